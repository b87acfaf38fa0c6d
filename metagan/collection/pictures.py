"""Picture files of a collection: what they are called, and whether they are pictures."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote_to_bytes

from PIL import Image, UnidentifiedImageError

from metagan.datasets.decode import FORMATS

MAX_BYTES: Final = 50 << 20
MAX_PIXELS: Final = 100_000_000
_SUFFIXES: Final = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "GIF": ".gif",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
}
_SAFE_ID: Final = re.compile(r"[0-9]{1,40}")
_DATA_URI: Final = re.compile(
    r"data:(?P<type>[^;,]*)(?P<options>(?:;[^,;]*)*),(?P<data>.*)", re.DOTALL | re.IGNORECASE
)


class NoPictureError(Exception):
    """Something that is no usable picture; says why. The other items may be fine."""


@dataclass(frozen=True)
class Picture:
    """A picture file.

    Args:
        data: Its bytes.
        suffix: What its name ends in, by what it is.
    """

    data: bytes
    suffix: str


def file_stem(item_id: str) -> str:
    """A file name for an item, whatever its id is: unlike other items' also where case doesn't count, and never a path.

    Whole numbers stay as they are; of others the readable letters stay, with a digest behind them.
    """
    if _SAFE_ID.fullmatch(item_id):
        return item_id
    readable = re.sub(r"[^a-z0-9]+", "-", item_id.lower()).strip("-")[:40]
    digest = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{readable}-{digest}" if readable else digest


def check_picture(data: bytes, svg_px: int = 512) -> Picture:
    """The picture as it is kept: its file as it came; an SVG drawn as PNG with its longer side at `svg_px`.

    Raises:
        NoPictureError: It is no picture, damaged, too large, or an SVG that asks for files or hosts.
    """
    if not data:
        raise NoPictureError("an empty file")
    if len(data) > MAX_BYTES:
        raise NoPictureError(f"{len(data) / 2**20:,.0f} MiB; the most for a picture is {MAX_BYTES >> 20} MiB")
    if looks_like_svg(data):
        from metagan.collection.svg import draw_svg

        return Picture(draw_svg(data, svg_px), ".png")
    image_format = _checked_format(data)
    suffix = _SUFFIXES.get(image_format)
    return Picture(data, suffix or f".{image_format.lower()}")


def looks_like_svg(data: bytes) -> bool:
    """Whether a file is an SVG document."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head[:1] == b"<" and b"<svg" in data[: 1 << 16].lower() and b"<html" not in head.lower()


def decode_data_uri(uri: str) -> bytes:
    """A `data:` URI's bytes. Raises NoPictureError."""
    match = _DATA_URI.fullmatch(uri)
    if match is None:
        raise NoPictureError("a damaged data: URI")
    if len(match["data"]) > MAX_BYTES * 3:
        raise NoPictureError(f"a data: URI of {len(match['data']) / 2**20:,.0f} MiB")
    raw = unquote_to_bytes(match["data"])
    if ";base64" not in match["options"].lower():
        return raw
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError as error:
        raise NoPictureError("a damaged data: URI") from error


def suffix_of(name: str) -> str:
    """A name's suffix in lower case, ".png"."""
    return PurePosixPath(name).suffix.lower()


def _checked_format(data: bytes) -> str:
    Image.init()
    known: list[str] = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, judged below
            with Image.open(io.BytesIO(data), formats=known) as image:
                _check_pixels(image.width, image.height)
                image.load()  # a file that ends early is no picture
                return image.format or "PNG"
    except NoPictureError:
        raise
    except MemoryError as error:
        raise NoPictureError("not enough memory to decode it") from error
    except Exception as error:  # decoders raise anything on damaged files; all mean the same
        raise NoPictureError(_what_it_is(data, error)) from error


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise NoPictureError(f"{width:,}x{height:,} pixels; the most is {MAX_PIXELS // 1_000_000} megapixels")


def _what_it_is(data: bytes, error: Exception) -> str:
    head = data[:1024].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    if head.startswith((b"{", b"[")):
        return "JSON, not a picture"
    if data[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3".lower()):
        return "a film, not a picture"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return f"damaged ({str(error)[:100] or type(error).__name__})"
