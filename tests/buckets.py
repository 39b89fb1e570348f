# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for Google Cloud Storage: the part of its JSON interface that gcsfs and Beam speak.

It keeps objects in memory, counts requests, and fails on demand. `python tests/buckets.py PORT BUCKET…`
serves other processes; inside a test, `serving` does.

Source: https://cloud.google.com/storage/docs/json_api/v1
"""

import base64
import contextlib
import email
import http.server
import itertools
import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import google_crc32c

import http_server

_NAMED = re.compile(r'/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)(?:/o(?:/(?P<name>[^/]+))?)?')
_MOVED = re.compile(
    r'/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)/'
    r'(?P<how>copyTo|rewriteTo|moveTo)(?:/b/(?P<other>[^/]+))?/o/(?P<place>[^/]+)'
)
_UPLOADED = re.compile(r'/upload/storage/v1/b/(?P<bucket>[^/]+)/o')


class Answer(NamedTuple):
    """Holds what goes back: status, body, and further headers."""

    status: int
    body: bytes = b''
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)


class Store:
    """Holds buckets of objects.

    Attributes:
      objects: content and generation by (bucket, name).
      counts: requests by kind, such as 'GET', 'upload', 'rewriteTo'.
      fail: called with method and path; returns 0 for no failure, a status to answer, or -1 to hang up.
    """

    def __init__(self, *buckets: str) -> None:
        self.buckets = set(buckets)
        self.objects: dict[tuple[str, str], tuple[bytes, int]] = {}
        self.counts: dict[str, int] = {}
        self.fail: Callable[[str, str], int] = lambda method, path: 0
        self._uploads: dict[str, tuple[str, str, bytearray]] = {}
        self._generations = itertools.count(1)
        self._lock = threading.RLock()

    def names(self, bucket: str) -> list[str]:
        return sorted(name for one, name in self.objects if one == bucket)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = target.partition('?')
        options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        with self._lock:
            if path.startswith('/batch'):
                return self._batch(headers, body)
            if match := _MOVED.fullmatch(path):
                return self._move(**{k: v and urllib.parse.unquote(v) for k, v in match.groupdict().items()})
            if match := _UPLOADED.fullmatch(path):
                return self._upload(method, match['bucket'], options, headers, body)
            if match := _NAMED.fullmatch(path):
                name = match['name'] and urllib.parse.unquote(match['name'])
                return self._named(method, match['bucket'], name, path, options, headers)
        return Answer(404, b'{}')

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _put(self, bucket: str, name: str, content: bytes) -> Answer:
        self.objects[bucket, name] = (content, next(self._generations))
        return self._told(bucket, name)

    def _told(self, bucket: str, name: str) -> Answer:
        return Answer(200, json.dumps(self._resource(bucket, name)).encode())

    def _resource(self, bucket: str, name: str) -> dict[str, str]:
        content, generation = self.objects[bucket, name]
        checksum = google_crc32c.value(content).to_bytes(4, 'big')
        return {
            'kind': 'storage#object', 'id': f'{bucket}/{name}/{generation}', 'bucket': bucket, 'name': name,
            'size': str(len(content)), 'generation': str(generation), 'metageneration': '1',
            'crc32c': base64.b64encode(checksum).decode(), 'etag': str(generation),
            'timeCreated': '2026-01-01T00:00:00.000Z', 'updated': '2026-01-01T00:00:00.000Z',
            'contentType': 'application/octet-stream', 'storageClass': 'STANDARD',
        }  # fmt: skip

    def _named(self, method: str, bucket: str, name: str | None, path: str,
               options: dict[str, str], headers: dict[str, str]) -> Answer:  # fmt: skip
        self._count(method)
        if bucket not in self.buckets:
            return _missing(f'The specified bucket does not exist: {bucket}')
        if name is None:
            return (
                self._list(bucket, options) if path.endswith('/o') else _json({'id': bucket, 'name': bucket})
            )
        if (bucket, name) not in self.objects:
            return _missing(f'No such object: {bucket}/{name}')
        if method == 'DELETE':
            del self.objects[bucket, name]
            return Answer(204)
        if options.get('alt') != 'media' and not path.startswith('/download'):
            return self._told(bucket, name)
        return _part(self.objects[bucket, name][0], headers.get('range', ''))

    def _list(self, bucket: str, options: dict[str, str]) -> Answer:
        prefix, delimiter = options.get('prefix', ''), options.get('delimiter', '')
        items, prefixes = [], set[str]()
        for name in self.names(bucket):
            if not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                items.append(self._resource(bucket, name))
        return _json({'kind': 'storage#objects', 'items': items, 'prefixes': sorted(prefixes)})

    def _move(self, bucket: str, name: str, how: str, other: str | None, place: str) -> Answer:
        self._count(how)
        if (bucket, name) not in self.objects:
            return _missing(f'No such object: {bucket}/{name}')
        content, _ = self.objects[bucket, name]
        told = self._put(other or bucket, place, content)
        if how == 'moveTo':
            del self.objects[bucket, name]
        if how != 'rewriteTo':
            return told
        size = str(len(content))
        done = {'done': True, 'objectSize': size, 'totalBytesRewritten': size}
        return _json({**done, 'resource': json.loads(told.body)})

    def _upload(self, method: str, bucket: str, options: dict[str, str], headers: dict[str, str],
                body: bytes) -> Answer:  # fmt: skip
        if bucket not in self.buckets:
            return _missing(f'The specified bucket does not exist: {bucket}')
        kind = options.get('uploadType')
        if method == 'PUT' or 'upload_id' in options:
            return self._go_on(options['upload_id'], headers, body)
        name = options.get('name')
        if kind == 'multipart':
            told, body = _two_parts(headers['content-type'], body)
            name = told.get('name', name)
        elif kind == 'resumable':
            name = (json.loads(body) if body else {}).get('name', name)
        assert name
        if options.get('ifGenerationMatch') == '0' and (bucket, name) in self.objects:
            return Answer(412, b'{"error": {"code": 412, "message": "conditionNotMet"}}')
        self._count('upload')
        if kind != 'resumable':
            return self._put(bucket, name, body)
        number = str(next(self._generations))
        self._uploads[number] = (bucket, name, bytearray())
        where = (
            f'http://{headers["host"]}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={number}'
        )
        return Answer(200, b'{}', {'Location': where})

    def _go_on(self, number: str, headers: dict[str, str], body: bytes) -> Answer:
        bucket, name, gathered = self._uploads[number]
        match = re.fullmatch(r'bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)', headers.get('content-range', ''))
        first = int(match[1]) if match and match[1] else len(gathered)
        gathered[first:] = body
        if match and (match[3] == '*' or int(match[3]) > len(gathered)):
            return Answer(308, b'', {'Range': f'bytes=0-{len(gathered) - 1}'} if gathered else {})
        return self._put(bucket, name, bytes(gathered))

    def _batch(self, headers: dict[str, str], body: bytes) -> Answer:
        message = email.message_from_bytes(
            b'Content-Type: ' + headers['content-type'].encode() + b'\r\n\r\n' + body
        )
        parts = []
        for part in message.get_payload():
            text = part.get_payload(decode=True) or b''
            method, target = text.decode().strip().split(' ')[:2]
            found = self.answer(method, re.sub(r'^https?://[^/]+', '', target), headers, b'')
            head = f'Content-ID: <response-{(part["Content-ID"] or "").strip("<>")}>'
            parts.append(
                f'--BATCH\r\nContent-Type: application/http\r\n{head}\r\n\r\nHTTP/1.1 {found.status} X\r\n'
                f'Content-Type: application/json\r\nContent-Length: {len(found.body)}\r\n\r\n'.encode()
                + found.body
                + b'\r\n'
            )
        joined = b''.join(parts) + b'--BATCH--\r\n'
        return Answer(200, joined, {'Content-Type': 'multipart/mixed; boundary=BATCH'})


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())


def _missing(message: str) -> Answer:
    return Answer(404, json.dumps({'error': {'code': 404, 'message': message}}).encode())


def _part(content: bytes, wanted: str) -> Answer:
    match = re.fullmatch(r'bytes=(\d+)-(\d*)', wanted)
    kind = {'Content-Type': 'application/octet-stream'}
    if not match:
        return Answer(200, content, kind)
    first, last = int(match[1]), int(match[2] or len(content) - 1)
    if first >= max(1, len(content)):
        return Answer(416)
    last = min(last, len(content) - 1)
    told = {**kind, 'Content-Range': f'bytes {first}-{last}/{len(content)}'}
    return Answer(206, content[first : last + 1], told)


def _two_parts(kind: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """Splits a multipart upload into its JSON and its content, which may hold anything."""
    match = re.search(r'boundary="?([^";]+)"?', kind)
    assert match
    edge = b'--' + match[1].encode()
    _, told, content = body.split(edge, 2)
    content = content[: content.rindex(edge)]
    head = re.split(rb'\r?\n\r?\n', told, maxsplit=1)[1]
    content = re.split(rb'\r?\n\r?\n', content, maxsplit=1)[1]
    return json.loads(head), re.sub(rb'\r?\n\Z', b'', content)


class _Handler(http_server.Handler):
    store: Store

    def _serve(self) -> None:
        body = self.body()
        failure = self.store.fail(self.command, self.path)
        if failure < 0:
            self.hang_up()
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = (
            Answer(failure, b'{}') if failure else self.store.answer(self.command, self.path, headers, body)
        )
        told = {'Content-Type': 'application/json', **found.headers}
        self.answer(found.status, told.items(), found.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815


def server(store: Store, host: str = '127.0.0.1', port: int = 0) -> http.server.ThreadingHTTPServer:
    handler = type('Handler', (_Handler,), {'store': store})
    found = http.server.ThreadingHTTPServer((host, port), handler)
    found.daemon_threads = True
    return found


@contextlib.contextmanager
def serving(*buckets: str) -> Iterator[tuple[Store, str]]:
    """Serves buckets from a thread of this process; yields them, and what STORAGE_EMULATOR_HOST must be."""
    store = Store(*buckets)
    found = server(store)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield store, f'http://127.0.0.1:{found.server_port}'
    finally:
        found.shutdown()
        found.server_close()


if __name__ == '__main__':
    server(Store(*sys.argv[2:]), '0.0.0.0', int(sys.argv[1])).serve_forever()
