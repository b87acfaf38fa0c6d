"""A local page for sorting out pictures: contact sheets of checkboxes, sixty at a time.

The page is a form, so it works without scripts and by keyboard; the script saves each choice at once and moves with the
arrow keys. The server answers browsers on this machine only: other host names (DNS rebinding) and forms of other pages
(without the token) are refused.
"""

from __future__ import annotations

import http.server
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from metagan.errors import CollectionError

PAGE_PICTURES: Final = 60
_MAX_FORM_BYTES: Final = 1 << 20
_TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
}
_POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " form-action 'self'"
)


@dataclass(frozen=True)
class Reviewed:
    """A picture to review.

    Args:
        id: Key of its choice.
        title: The picture's name.
        suffix: Suffix of its file, such as "png".
        read: Returns the file's bytes.
    """

    id: str
    title: str
    suffix: str
    read: Callable[[], bytes]


class ReviewServer(http.server.ThreadingHTTPServer):
    """Serves the review page.

    Args:
        title: Title of the page.
        pictures: The pictures to review.
        out: Ids that are rejected already.
        save: Called with all rejected ids after each change.
        port: Port to listen on; 0 for any free one.

    Raises:
        CollectionError: If the port can't be used.
    """

    daemon_threads = True

    def __init__(
        self,
        title: str,
        pictures: Sequence[Reviewed],
        out: frozenset[str],
        save: Callable[[frozenset[str]], None],
        port: int = 0,
    ) -> None:
        self.title = title
        self.pictures = pictures
        self.out = out
        self.save = save
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise CollectionError(
                str(error.strerror), where=f"port {port}", fix="choose another --port"
            ) from error
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    @property
    def pages(self) -> int:
        """Number of sheets."""
        return max(1, -(-len(self.pictures) // PAGE_PICTURES))

    def sheet(self, page: int) -> list[tuple[int, Reviewed]]:
        """Return a sheet's pictures with their numbers; pages count from 1."""
        start = (page - 1) * PAGE_PICTURES
        return list(enumerate(self.pictures[start : start + PAGE_PICTURES], start))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that left before the answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def choose(self, page: int, numbers: set[int]) -> None:
        """Reject exactly these pictures of a sheet."""
        shown = self.sheet(page)
        with self._lock:  # requests run in threads, and all save to one file
            out = self.out - {picture.id for _, picture in shown}
            self.out = out | {picture.id for number, picture in shown if number in numbers}
            self.save(self.out)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ReviewServer
    files: ClassVar[dict[str, str]] = {"/review.js": "text/javascript", "/review.css": "text/css"}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer with the page, its files, or a picture."""
        if not self._from_here():
            return
        parts = urlsplit(self.path)
        if parts.path == "/":
            self._send(
                self._page(_number(parse_qs(parts.query).get("page", ["1"])[0])).encode(),
                "text/html; charset=utf-8",
            )
        elif parts.path in self.files:
            data = resources.files("metagan.collection").joinpath(parts.path.removeprefix("/")).read_bytes()
            self._send(data, f"{self.files[parts.path]}; charset=utf-8")
        elif parts.path.startswith("/picture/"):
            self._picture(_number(parts.path.removeprefix("/picture/"), -1))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Store a sheet's choices."""
        length = _number(self.headers.get("Content-Length", "0"), 0)
        form = parse_qs(self.rfile.read(min(length, _MAX_FORM_BYTES)).decode("utf-8", "replace"))
        if not self._from_here() or not secrets.compare_digest(
            form.get("token", [""])[0].encode(), self.server.token.encode()
        ):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        page = min(max(_number(form.get("page", ["1"])[0]), 1), self.server.pages)
        self.server.choose(page, {_number(text, -1) for text in form.get("out", [])})
        if "quiet" in form:
            self._send(b"", "text/plain", HTTPStatus.NO_CONTENT)
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/?page={min(page + 1, self.server.pages)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _from_here(self) -> bool:
        host = self.headers.get("Host", "")
        port = self.server.server_address[1]
        if host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _picture(self, number: int) -> None:
        if not 0 <= number < len(self.server.pictures):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        picture = self.server.pictures[number]
        try:
            data = picture.read()
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send(data, _TYPES.get(picture.suffix, "application/octet-stream"))

    def _page(self, page: int) -> str:
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("metagan.collection", "."),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        page = min(max(page, 1), self.server.pages)
        return environment.get_template("review.html.j2").render(
            title=self.server.title,
            page=page,
            pages=self.server.pages,
            sheet=self.server.sheet(page),
            out=self.server.out,
            total=len(self.server.pictures),
            token=self.server.token,
        )

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)


def _number(text: str, otherwise: int = 1) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else otherwise
