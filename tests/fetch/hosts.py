"""Hosts of weights on 127.0.0.1, with the faults that real ones have."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hosted:
    """One hosted file.

    `cuts` are taken from its front, one a request: how many bytes to send before hanging up, None for all;
    `statuses` likewise: what to answer instead of the file.
    """

    data: bytes
    ranges: bool = True
    etag: str | None = '"v1"'
    last_modified: str | None = None
    length: int | str | None = "right"
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    pause_every: int = 1 << 16


class Host(ThreadingHTTPServer):
    """Serves `files` by path, and remembers the headers of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Hosted] = {}
        self.requests: list[dict[str, str]] = []
        self.scheme = "http"

    def url(self, path: str = "/birds.pkl") -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"

    def put(self, data: bytes, path: str = "/birds.pkl", **behaviour) -> str:
        self.files[path] = Hosted(data, **behaviour)
        return self.url(path)

    def handle_error(self, request, client_address) -> None:
        """Clients hang up in these tests, and TLS handshakes fail."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Host
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait 40 ms for the ACK of its headers

    def log_message(self, *args) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.server.requests.append({"method": self.command, "path": self.path, **dict(self.headers.items())})
        self.close_connection = True
        hosted = self.server.files.get(self.path)
        if hosted is None:
            return self.end(404, {"Content-Length": "0"})
        if hosted.statuses:
            return self.end(hosted.statuses.pop(0), {"Content-Length": "0", **hosted.headers})
        start = self.range_start(hosted)
        if start is not None and start >= len(hosted.data):
            return self.end(416, {"Content-Range": f"bytes */{len(hosted.data)}", "Content-Length": "0"})
        self.start(hosted, start)
        return self.send(hosted, start or 0) if body else None

    def range_start(self, hosted: Hosted) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if match is None or not hosted.ranges or condition not in {None, hosted.etag, hosted.last_modified}:
            return None
        return int(match[1])

    def start(self, hosted: Hosted, start: int | None) -> None:
        size = len(hosted.data)
        length = size - (start or 0) if hosted.length == "right" else hosted.length
        headers = {"ETag": hosted.etag, "Last-Modified": hosted.last_modified, "Content-Length": length}
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.end(200 if start is None else 206, {**headers, **hosted.headers})

    def end(self, status: int, headers: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()

    def send(self, hosted: Hosted, start: int) -> None:
        cut = hosted.cuts.pop(0) if hosted.cuts else None
        data = hosted.data[start:] if cut is None else hosted.data[start : start + cut]
        for at in range(0, len(data), hosted.pause_every):
            with contextlib.suppress(OSError):
                self.wfile.write(data[at : at + hosted.pause_every])
                self.wfile.flush()
            time.sleep(hosted.pause_s)


@contextlib.contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[Host]:
    """A host at work, by https if it is given certificates."""
    with Host() as host:
        if context:
            host.socket = context.wrap_socket(host.socket, server_side=True, do_handshake_on_connect=False)
            host.scheme = "https"
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()
