"""Serves a built site on this machine with GitHub Pages' rules, as a preview before publishing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from metagan.errors import OptionError
from metagan.site.routes import Found, Redirect, content_type, resolve
from metagan.site.serve.reload import (
    SCRIPT,
    Build,
    LiveSite,
    Report,
    first_site,
    rebuild_on_change,
    with_script,
)
from metagan.values import printable

RESERVED = "__metagan__/"
# While pages reload, browsers must not use their caches.
OFFLINE = Path(__file__).with_name("sw.js")
IDLE_TIMEOUT_S = 60
PORTS_TO_TRY = 100
STOP_PATIENCE_S = 5.0
CHUNK_BYTES = 1 << 16
# A request's body is discarded, so that it isn't parsed as a second request; a longer one ends the connection.
LONGEST_BODY_BYTES = 1 << 20
LINGER_S = 2.0
METHODS = "GET, HEAD"
LONGEST_LINE = 500
# Socket errors of a disconnected client, besides Python's ConnectionError.
GONE = frozenset(
    {errno.ENOTCONN, errno.ESHUTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETRESET, errno.ENETDOWN}
)


def serve(build: Build, *, host: str, port: int, reload: bool, report: Report, ready: Report) -> None:
    """Build a site, serve it, and rebuild it whenever its sources change, until Ctrl-C.

    Args:
        build: Builds the site, or returns an existing one.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        reload: Whether to watch the sources, rebuild, and reload open pages.
        report: Called with a line for each rebuild and each request that found nothing.
        ready: Called with the site's address once it can be opened.

    Raises:
        OptionError: If the port is in use, or the address is not one of this machine's.
        MetaganError: If the first build fails; later failures are reported, and the last good site stays.
    """
    # The server is created before the build, so that a port in use is reported immediately.
    with PagesServer(host, port, reload=reload, report=report) as server:
        try:
            server.live_site = first_site(build)
            with _watching(server.live_site, build, report) if reload else contextlib.nullcontext():
                ready(server.url)
                server.serve_forever()
        except KeyboardInterrupt:
            report("stopped")


@contextlib.contextmanager
def _watching(live_site: LiveSite, build: Build, report: Report) -> Iterator[None]:
    stop = threading.Event()
    watcher = threading.Thread(target=rebuild_on_change, args=(live_site, build, stop, report), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(STOP_PATIENCE_S)  # don't wait for a running build: interrupting it is safe


class PagesServer(ThreadingHTTPServer):
    """A server for one site; it listens immediately, and answers once its live_site has a site.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        reload: Whether pages get the script that reloads them.
        report: Called with a line for each request that found nothing.

    Raises:
        OptionError: If the port is in use, or the address is not one of this machine's.
    """

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # on Windows it would let two servers use one port

    live_site: LiveSite

    def __init__(self, host: str, port: int, *, reload: bool, report: Report) -> None:
        self.reload = reload
        self.report = report
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), PagesHandler)
        except (OSError, OverflowError) as error:
            raise _cannot_listen(error, host, port) from error

    def server_bind(self) -> None:
        """Bind without http.server's reverse DNS lookup, which can take seconds."""
        socketserver.TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        """The site's address."""
        host = str(self.server_address[0])
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.server_address[1]}{self.live_site.built.subpath}"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Report an error in one line, unless a browser disconnected during a response."""
        error = sys.exception()
        if not (isinstance(error, (ConnectionError, TimeoutError)) or getattr(error, "errno", None) in GONE):
            self.report(f"a request failed: {type(error).__name__}: {error}")


class PagesHandler(BaseHTTPRequestHandler):
    """Handles one connection."""

    server: PagesServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms for an ACK
    timeout = IDLE_TIMEOUT_S
    _unread = False  # an unread body precedes whatever else the client sends

    def parse_request(self) -> bool:
        """Read a request's head, and discard its body, which must not be parsed as a request."""
        return super().parse_request() and self._drop_body()

    def _drop_body(self) -> bool:
        lengths = set(self.headers.get_all("Content-Length", []))
        if (
            "Transfer-Encoding" in self.headers or "Expect" in self.headers
        ):  # its length, or the time it is sent, is unknown
            self.close_connection = self._unread = True
        elif len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,18}", length) for length in lengths):
            self._unread = True
            self.send_error(HTTPStatus.BAD_REQUEST, "Content-Length: want one whole number of bytes.")
            return False
        elif (left := int(lengths.pop()) if lengths else 0) > LONGEST_BODY_BYTES:
            self.close_connection = self._unread = True
        else:
            while left and (chunk := self.rfile.read1(min(left, CHUNK_BYTES))):
                left -= len(chunk)
            self.close_connection |= left > 0
        return True

    def handle_expect_100(self) -> bool:
        """Don't request a body that the client holds back until then."""
        return True

    def finish(self) -> None:
        """Close the connection; unread data are discarded first, or the client would lose the response."""
        if self._unread:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(LINGER_S)
                end = time.monotonic() + LINGER_S
                while self.connection.recv(CHUNK_BYTES) and time.monotonic() < end:
                    pass
        super().finish()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Send an error as plain text; http.server would send an HTML page."""
        self.close_connection = self._unread = True
        if self.request_version == "HTTP/0.9" and not self.command:  # the request line could not be parsed
            self.request_version = self.protocol_version
        if code == HTTPStatus.NOT_IMPLEMENTED:  # a method without a do_ handler
            self.do_POST()
        else:
            self._say(code, message or HTTPStatus(code).phrase)

    def do_GET(self) -> None:
        """Send the file of the URL."""
        path, _, query = self.path.partition("?")
        built, version = self.server.live_site.built, self.server.live_site.news.version
        if not path.startswith(built.subpath):
            self._outside(path, built.subpath)
            return
        below = path.removeprefix(built.subpath)
        if self.server.reload and below == OFFLINE.name:
            self._send(HTTPStatus.OK, {"Content-Type": content_type(below)}, OFFLINE.read_bytes())
            return
        if self.server.reload and below.startswith(RESERVED):
            self._reserved(below.removeprefix(RESERVED))
            return
        found = resolve(built.folder, below)
        if isinstance(found, Found):
            with found.stream:
                self._page(found, f"{built.subpath}{RESERVED}reload.js?{version}")
        elif isinstance(found, Redirect):
            self._move(
                HTTPStatus.MOVED_PERMANENTLY, built.subpath + found.below + (f"?{query}" if query else "")
            )
        else:
            self._say(HTTPStatus.NOT_FOUND, "This page does not exist, and the site has no 404.html.")

    do_HEAD = do_GET  # noqa: N815 - http.server's name; bodies are left out in _send

    def do_POST(self) -> None:
        """Refuse methods that a static site doesn't support."""
        self._say(
            HTTPStatus.METHOD_NOT_ALLOWED, "A published site supports only GET and HEAD.", {"Allow": METHODS}
        )

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815

    def _outside(self, path: str, subpath: str) -> None:
        if path == "/":
            self._move(HTTPStatus.FOUND, subpath)
        elif path == subpath.rstrip("/"):
            self._move(HTTPStatus.MOVED_PERMANENTLY, subpath)
        else:
            self._say(
                HTTPStatus.NOT_FOUND, f"The site's address is under {subpath}; this path is outside of it."
            )

    def _page(self, page: Found, script: str) -> None:
        kind = content_type(page.name)
        if self.server.reload and kind.startswith("text/html"):
            self._send(page.status, {"Content-Type": kind}, with_script(page.stream.read(), script))
            return
        status = os.fstat(page.stream.fileno())
        size, tag = status.st_size, f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {"Content-Type": kind, "ETag": tag, "Accept-Ranges": "bytes"}
        if page.status != HTTPStatus.OK:
            self._send_file(page.status, headers, page.stream, range(size))
        elif tag in self.headers.get("If-None-Match", ""):
            self._start(HTTPStatus.NOT_MODIFIED, headers)
        else:
            wanted = self.headers.get("Range", "") if self.headers.get("If-Range", tag) == tag else ""
            self._send_range(headers, page.stream, byte_range(wanted, size), size)

    def _send_range(self, headers: dict[str, str], stream: IO[bytes], span: range | None, size: int) -> None:
        if span is None:
            self._send_file(HTTPStatus.OK, headers, stream, range(size))
        elif not span:
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"}, b"")
        else:
            headers |= {"Content-Range": f"bytes {span.start}-{span.stop - 1}/{size}"}
            self._send_file(HTTPStatus.PARTIAL_CONTENT, headers, stream, span)

    def _send_file(self, status: int, headers: dict[str, str], stream: IO[bytes], span: range) -> None:
        self._start(status, headers | {"Content-Length": str(len(span))})
        if self.command == "HEAD":
            return
        stream.seek(span.start)
        left = len(span)
        while left and (chunk := stream.read(min(left, CHUNK_BYTES))):
            self.wfile.write(chunk)
            left -= len(chunk)
        if left:  # the file shrank meanwhile: only closing the connection tells the browser
            self.close_connection = True

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._start(status, headers | {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, status: int, headers: dict[str, str]) -> None:
        # GitHub allows caching for ten minutes; while pages reload that would show old style sheets.
        caching = "no-cache" if self.server.reload else "max-age=600"
        self.send_response(status)
        for name, value in ({"Cache-Control": caching, "Access-Control-Allow-Origin": "*"} | headers).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self._send(
            status, {"Content-Type": "text/plain; charset=utf-8"} | (headers or {}), f"{text}\n".encode()
        )

    def _move(self, status: int, location: str) -> None:
        self._say(status, f"Moved to {location}", {"Location": location})

    def _reserved(self, name: str) -> None:
        if name == "reload.js":
            self._send(HTTPStatus.OK, {"Content-Type": content_type(name)}, SCRIPT.read_bytes())
        elif name == "events":
            self._events()
        else:
            self._say(HTTPStatus.NOT_FOUND, "metagan uses this folder itself while it serves the site.")

    def _events(self) -> None:
        self.close_connection = True
        self._start(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        if self.command == "HEAD":
            return
        self.wfile.write(b"retry: 500\n\n")
        for news in self.server.live_site.follow():
            data = json.dumps({"version": news.version, "error": news.error}) if news else None
            self.wfile.write(f"data: {data}\n\n".encode() if data else b": still here\n\n")

    def version_string(self) -> str:
        """Return the Server header."""
        return "metagan"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Report requests that found nothing; others are not logged."""
        if isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST:
            self.server.report(f"{int(code)} {printable(self.requestline)[:LONGEST_LINE]}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Suppress http.server's own log lines."""


def byte_range(header: str, size: int) -> range | None:
    """Read a Range header (RFC 9110, section 14.1.2).

    Args:
        header: "bytes=0-99", "bytes=100-" or "bytes=-100".
        size: The file's.

    Returns:
        The bytes to send; empty if none of them exist; None to send the whole file, also for several ranges
        at once.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1 if last else size, size))


def _cannot_listen(error: OSError | OverflowError, host: str, port: int) -> OptionError:
    if isinstance(error, OverflowError):
        return OptionError(f"--port {port}: not a port", fix="choose a number from 0 to 65535")
    if error.errno == errno.EADDRINUSE:
        free = _next_free(host, port)
        fix = f"--port {free} is free" if free else "stop the other program or choose another --port"
        return OptionError(f"port {port} of {host} is taken by another program", fix=fix)
    if error.errno == errno.EACCES:
        return OptionError(
            f"you have no permission to use port {port} of {host}",
            fix="choose a --port above 1023, for instance 8000",
        )
    return OptionError(
        f"--host {host}: can't listen there ({error.strerror})",
        fix="127.0.0.1 serves only this machine, 0.0.0.0 the whole network",
    )


def _next_free(host: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + PORTS_TO_TRY, 65536)):
        with contextlib.suppress(OSError), socket.create_server((host, candidate)):
            return candidate
    return None
