"""Resolves URL paths to files of a site's folder, with the rules of GitHub Pages.

The rules, as observed on GitHub Pages: an exact file wins, then the same name with .html, then a folder, which
is redirected to its name with a slash and shows its index.html. Folders are never listed.
"""

from __future__ import annotations

import mimetypes
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote, unquote_to_bytes

from metagan.files import real_path

SWAP_PATIENCE_S = 2.0

# Python's built-in table, not the machine's, with GitHub Pages' deviations and additions.
_TYPES = mimetypes.MimeTypes(filenames=())
for _suffix, _type in {
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".js": "application/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "application/javascript",
    ".rss": "application/rss+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".wgsl": "text/wgsl",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}.items():
    _TYPES.add_type(_type, _suffix)
_WITH_CHARSET = frozenset({"application/javascript", "application/json", "text/plain"})


@dataclass(frozen=True)
class Found:
    """A file to send; the caller closes it.

    Args:
        status: 200, or 404 if the file is the site's 404.html.
        name: The file's name, which determines its content type.
        stream: The file, open at its beginning.
    """

    status: int
    name: str
    stream: IO[bytes]


@dataclass(frozen=True)
class Redirect:
    """A redirect for a folder that was requested without its closing slash.

    Args:
        below: Its path below the site's root, percent-encoded: "bagel/42/".
    """

    below: str


def content_type(name: str) -> str:
    """Return the Content-Type that GitHub Pages sends for a file of this name."""
    kind, encoding = _TYPES.guess_type(f"x{PurePosixPath(name).suffix.lower()}")
    if encoding == "gzip":
        return "application/gzip"
    if kind is None or encoding is not None:
        return "application/octet-stream"
    readable = kind.startswith("text/") or kind in _WITH_CHARSET
    return f"{kind}; charset=utf-8" if readable else kind


def is_web_name(path: str) -> bool:
    """Whether a file of this path, with slashes, can be published: hosts and git take no control characters or stray
    bytes, nor a quotation mark at the beginning."""
    return path.isprintable() and not path.startswith('"')


def is_hidden(parts: tuple[str, ...]) -> bool:
    """Return whether a path has a part that hosts don't serve: a dot name, except .well-known at the top."""
    rest = parts[1:] if parts[:1] == (".well-known",) else parts
    return any(part.startswith(".") for part in rest)


def split_path(below: str) -> tuple[str, ...] | None:
    """Split a URL's path below the site's root: "bagel/42/" gives ("bagel", "42", "").

    Args:
        below: Percent-encoded, without the leading slash, as http.server reads it (latin-1).

    Returns:
        Decoded parts, the last one empty for a folder; None for paths that no host serves: empty, dot and hidden
        parts, null bytes, backslashes, drive letters, and what isn't UTF-8.
    """
    try:
        text = unquote_to_bytes(below.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        return None
    parts = tuple(text.split("/"))
    if "" in parts[:-1] or is_hidden(parts) or any(mark in text for mark in ("\0", "\\", ":")):
        return None
    return parts


def resolve(folder: Path, below: str) -> Found | Redirect | None:
    """Open the file of a URL, or the site's 404.html.

    A build replaces the whole folder by renaming. A miss only counts if the folder existed and was the same
    before and after it.

    Args:
        folder: The site's folder.
        below: The URL's path below the site's root, percent-encoded, without the leading slash.

    Returns:
        None if there is no such file, and no 404.html.
    """
    deadline = time.monotonic() + SWAP_PATIENCE_S
    parts = split_path(below)
    while True:
        before = _identity(folder)
        found = _find(folder, parts) if parts is not None else None
        found = found or _open(folder, ("404.html",), status=404)
        settled = before is not None and before == _identity(folder)
        if isinstance(found, Found) and found.status == 200:
            return found
        if settled or time.monotonic() > deadline:
            return found
        if isinstance(found, Found):
            found.stream.close()
        time.sleep(0.005)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _find(folder: Path, parts: tuple[str, ...]) -> Found | Redirect | None:
    if parts[-1] == "":
        return _open(folder, (*parts[:-1], "index.html"))
    found = _open(folder, parts) or _open(folder, (*parts[:-1], f"{parts[-1]}.html"))
    if found is None and _is_folder(folder, parts):
        return Redirect(quote("/".join(parts)) + "/")
    return found


def _open(folder: Path, parts: tuple[str, ...], status: int = 200) -> Found | None:
    try:
        file = _inside(folder, parts)
        if file is None or not file.is_file():  # opening a pipe would block forever
            return None
        return Found(status, parts[-1], file.open("rb"))
    except OSError:  # removed meanwhile, unreadable, or a name too long for the file system
        return None


def _is_folder(folder: Path, parts: tuple[str, ...]) -> bool:
    try:
        found = _inside(folder, parts)
        return found is not None and found.is_dir()
    except OSError:
        return False


def _inside(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """Return the real path; None if symbolic links lead out of the site."""
    real = real_path(folder.joinpath(*parts))
    return real if real.is_relative_to(real_path(folder)) else None
