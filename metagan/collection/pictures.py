"""Picture files of a collection: their names, and the check that they are pictures."""

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
    """Something that is not a usable picture; says why. Other items are not affected."""


@dataclass(frozen=True)
class Picture:
    """A picture file.

    Args:
        data: The file's bytes.
        suffix: The file name's suffix for its format, such as ".png".
    """

    data: bytes
    suffix: str


def file_stem(item_id: str) -> str:
    """Return a file name for any id: unique even where case is ignored, and never a path.

    Whole numbers are kept. Other ids become their letters and digits, followed by a digest.
    """
    if _SAFE_ID.fullmatch(item_id):
        return item_id
    readable = re.sub(r"[^a-z0-9]+", "-", item_id.lower()).strip("-")[:40]
    digest = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{readable}-{digest}" if readable else digest


def check_picture(data: bytes, svg_px: int = 512) -> Picture:
    """Return the picture as it is stored: unchanged, or an SVG drawn as PNG with `svg_px` on its longer side.

    Raises:
        NoPictureError: If it is not a picture, damaged, too large, or an SVG that refers to files or hosts.
    """
    if not data:
        raise NoPictureError("an empty file")
    if len(data) > MAX_BYTES:
        raise NoPictureError(f"want at most {MAX_BYTES:,} bytes for a picture, got {len(data):,}")
    if looks_like_svg(data):
        from metagan.collection.svg import draw_svg

        return Picture(draw_svg(data, svg_px), ".png")
    image_format = _checked_format(data)
    suffix = _SUFFIXES.get(image_format)
    return Picture(data, suffix or f".{image_format.lower()}")


def looks_like_svg(data: bytes) -> bool:
    """Return whether a file is an SVG document."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head[:1] == b"<" and b"<svg" in data[: 1 << 16].lower() and b"<html" not in head.lower()


def decode_data_uri(uri: str) -> bytes:
    """Return the bytes of a `data:` URI.

    Raises:
        NoPictureError: If the URI is damaged, or too long.
    """
    match = _DATA_URI.fullmatch(uri)
    if match is None:
        raise NoPictureError("a damaged data: URI")
    if len(match["data"]) > MAX_BYTES * 3:
        most = f"want at most {MAX_BYTES * 3:,} characters in a data: URI"
        raise NoPictureError(f"{most}, got {len(match['data']):,}")
    raw = unquote_to_bytes(match["data"])
    if ";base64" not in match["options"].lower():
        return raw
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError as error:
        raise NoPictureError("a damaged data: URI") from error


def suffix_of(name: str) -> str:
    """Return a name's suffix in lower case, such as ".png"."""
    return PurePosixPath(name).suffix.lower()


def known_formats() -> list[str]:
    """Return the formats that pictures are opened in: those that Pillow decodes itself, so not EPS."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _checked_format(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, judged below
            with Image.open(io.BytesIO(data), formats=known_formats()) as image:
                _check_pixels(image.width, image.height)
                image.load()  # a file that ends early is no picture
                return image.format or "PNG"
    except NoPictureError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit is higher, and comes before ours
        most = f"want at most {MAX_PIXELS // 1_000_000} megapixels"
        raise NoPictureError(
            f"{most}, got more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f}"
        ) from error
    except MemoryError as error:
        raise NoPictureError("not enough memory to decode it") from error
    except Exception as error:  # decoders raise anything on damaged files; all mean the same
        raise NoPictureError(_what_it_is(data, error)) from error


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        got = f"{width * height / 1e6:,.3g} ({width:,}x{height:,})"
        raise NoPictureError(f"want at most {MAX_PIXELS // 1_000_000} megapixels, got {got}")


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
