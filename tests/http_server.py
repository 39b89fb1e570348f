# SPDX-License-Identifier: Apache-2.0
"""What the small HTTP servers of the tests share: bodies in chunks, answers with a length, hanging up."""

import http.server
from collections.abc import Iterable


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads requests and writes answers; a subclass names its method for each kind of request."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""

    def hang_up(self) -> None:
        """Closes the connection without an answer."""
        self.close_connection = True
        self.connection.close()

    def answer(self, status: int, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        """Sends an answer, whose content stays away from those who ask for the head alone."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def body(self) -> bytes:
        """Reads the body of the request."""
        if self.headers.get('Transfer-Encoding', '').lower() != 'chunked':
            return self.rfile.read(int(self.headers.get('Content-Length') or 0))
        parts = []
        while size := int(self.rfile.readline().split(b';')[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b''.join(parts)
