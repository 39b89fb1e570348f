# SPDX-License-Identifier: Apache-2.0
"""A proxy before the storage emulator that fails now and then: answers 503, or hangs up.

It hangs up before the emulator has heard of a request, or after it has done it, as networks do.
"""

import contextlib
import http.client
import http.server
import random
import threading
from collections.abc import Iterator

import http_server

_HOPS = ('transfer-encoding', 'content-length', 'connection', 'date', 'server')


class Proxy:
    """Serves at a port what an emulator does at another, in threads of this process.

    Attributes:
      share: of the requests that fail; 0 for none.
      failed: how many have.
      requests: how many came.
    """

    def __init__(self, port: int, upstream: int, seed: int) -> None:
        self.share, self.failed, self.requests = 0.0, 0, 0
        self.upstream = upstream
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        handler = type('Handler', (_Handler,), {'proxy': self})
        server = _Server(('0.0.0.0', port), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def fault(self) -> str:
        """Chooses what happens to a request: '', 'status', 'before' or 'after'."""
        with self._lock:
            self.requests += 1
            if self._chance.random() >= self.share:
                return ''
            self.failed += 1
            return self._chance.choice(('status', 'before', 'after'))

    @contextlib.contextmanager
    def failing(self, share: float) -> Iterator[None]:
        """Lets a share of the requests fail while the block runs, and counts them anew."""
        self.share, self.failed, self.requests = share, 0, 0
        try:
            yield
        finally:
            self.share = 0.0


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Says nothing of clients that were killed."""


class _Handler(http_server.Handler):
    proxy: Proxy

    def _pass_on(self) -> None:
        body, fault = self.body(), self.proxy.fault()
        if fault == 'before':
            self.hang_up()
            return
        if fault == 'status':
            self.answer(503, [], b'{"error": {"code": 503, "message": "try again"}}')
            return
        upstream = http.client.HTTPConnection('127.0.0.1', self.proxy.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
        upstream.request(self.command, self.path, body, {**headers, 'Content-Length': str(len(body))})
        found = upstream.getresponse()
        content = found.read()
        upstream.close()
        if fault == 'after':
            self.hang_up()
            return
        headers = [(name, value) for name, value in found.getheaders() if name.lower() not in _HOPS]
        self.answer(found.status, headers, content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass_on  # noqa: N815
