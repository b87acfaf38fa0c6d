"""Draws untrusted SVG files, and those of DiceBear, with resvg.

resvg runs no scripts and opens no connections, but it reads picture files that an `href` names, and aborts its process
if a document claims an absurd size. So untrusted documents are inspected first: references to anything outside are
refused, and the size is decided here. Filters, masks, patterns, layers, style sheets and embedded pictures can take
hours or all memory in a few lines, so documents with more than some plain shapes are drawn in a separate process with
limits.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Final
from xml.parsers import expat

from metagan.collection.needs import need
from metagan.collection.pictures import NoPictureError

MAX_SVG_BYTES: Final = 10 << 20
_MAX_ELEMENTS: Final = 200_000
_MAX_DEPTH: Final = 200
_MAX_SECONDS: Final = 20
_MAX_MEMORY: Final = 2 << 30
_PLAIN_ELEMENTS: Final = 1000
_PLAIN_BYTES: Final = 1 << 18
# Elements whose cost grows with the document alone.
_PLAIN: Final = frozenset(
    "svg g a defs title desc metadata path rect circle ellipse line polyline polygon text tspan stop"  # noqa: SIM905
    " lineargradient radialgradient".split()
)
# Attributes that cost a layer of the picture's size, or millions of dashes.
_COSTLY: Final = re.compile(r"filter|dash|mix-blend|isolation|(?<![\w-])opacity", re.IGNORECASE)
_LINK: Final = re.compile(r"(?:.*:)?(?:href|src)$", re.IGNORECASE)
_INSIDE: Final = re.compile(r"\s*(?:#|data:image/(?:png|jpe?g|gif|webp)[;,])", re.IGNORECASE)
_URL: Final = re.compile(r"url\(\s*['\"]?\s*([^)'\"]*)", re.IGNORECASE)
_LENGTH: Final = re.compile(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(?:px)?\s*", re.IGNORECASE)


def draw_svg(data: bytes, side_px: int) -> bytes:
    """Draw an untrusted SVG as a PNG file whose longer side is `side_px`.

    Raises:
        NoPictureError: If it refers to files or hosts, defines entities, is damaged, or has no size.
        CollectionError: If resvg-py is not installed.
    """
    inspector = _inspect(data)
    width, height = _size(inspector.root or {})
    scale = side_px / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    render = render_svg if inspector.plain and len(data) <= _PLAIN_BYTES else _render_apart
    return render(data.decode("utf-8", "replace").lstrip("\ufeff"), *size)


def _render_apart(svg: str, width: int, height: int) -> bytes:
    """Draw like `render_svg`, in a process limited to 20 seconds and 2 GiB (on Windows, to 20 seconds)."""
    need("resvg_py")
    command = [sys.executable, "-P", "-c", _PROGRAM, str(width), str(height), str(_MAX_MEMORY)]
    try:
        done = subprocess.run(  # noqa: S603  this Python and numbers; the document goes by stdin
            command, input=svg.encode(), capture_output=True, timeout=_MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoPictureError(f"an SVG that takes more than {_MAX_SECONDS} seconds to draw") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit {done.returncode}"]
    raise NoPictureError(f"an SVG that can't be drawn ({said[-1][:100]})")


_PROGRAM: Final = """
import sys
import resvg_py
width, height, memory = map(int, sys.argv[1:])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
svg = sys.stdin.buffer.read().decode()
sys.stdout.buffer.write(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height, skip_system_fonts=True))
"""


def render_svg(svg: str, width: int, height: int, *, fonts: bool = False) -> bytes:
    """Draw a trusted or inspected SVG document as a PNG file of width x height pixels.

    Args:
        svg: The document.
        width: In pixels.
        height: In pixels.
        fonts: Whether to draw texts with this machine's fonts; otherwise texts are left out.

    Raises:
        NoPictureError: If resvg can't draw it.
        CollectionError: If resvg-py is not installed.
    """
    resvg_py = need("resvg_py")
    try:
        png: bytes = resvg_py.svg_to_bytes(
            svg_string=svg, width=width, height=height, skip_system_fonts=not fonts
        )
    except (ValueError, IndexError, OSError) as error:
        raise NoPictureError(f"an SVG that can't be drawn ({str(error)[:100]})") from error
    return png


class _Inspector:
    """Reads a document once: its size, and references to files and hosts outside it."""

    def __init__(self) -> None:
        self.root: dict[str, str] | None = None
        self._plain = True
        self._depth = 0
        self._elements = 0
        self._in_style = False

    @property
    def plain(self) -> bool:
        """Whether it can be drawn within a second or so."""
        return self._plain and self._elements <= _PLAIN_ELEMENTS

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2].lower()
        if self.root is None:
            self.root = attributes
            if local != "svg":
                raise NoPictureError(f"an XML document <{name[:40]}>, not an SVG")
        self._depth += 1
        self._elements += 1
        self._in_style = local == "style"
        self._plain = self._plain and local in _PLAIN
        if self._depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            most = f"{_MAX_DEPTH} levels and {_MAX_ELEMENTS:,} elements"
            raise NoPictureError(f"want at most {most} in an SVG, got more")
        for key, value in attributes.items():
            if _LINK.match(key) and local != "a" and not _INSIDE.match(value):
                raise _outside(value)
            self._check_style(value)
            self._plain = self._plain and not _COSTLY.search(f"{key} {value}")  # filter="blur(9)"

    def end(self, _: str) -> None:
        self._depth -= 1
        self._in_style = False

    def text(self, text: str) -> None:
        if self._in_style:
            self._check_style(text)
            if "@import" in text.lower():
                raise _outside(text)

    def _check_style(self, text: str) -> None:
        for match in _URL.finditer(text):
            if not _INSIDE.match(match[1]):
                raise _outside(match[1])


def _inspect(data: bytes) -> _Inspector:
    """Inspect a document.

    Raises:
        NoPictureError: If the document is damaged, too large, or refers to anything outside it.
    """
    if len(data) > MAX_SVG_BYTES:
        raise NoPictureError(f"want at most {MAX_SVG_BYTES:,} bytes in an SVG, got {len(data):,}")
    inspector = _Inspector()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = inspector.start
    parser.EndElementHandler = inspector.end
    parser.CharacterDataHandler = inspector.text
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # of codecs that aren't for texts
        raise NoPictureError(f"a damaged SVG ({str(error)[:100]})") from error
    return inspector


def _refuse_entity(*_: object) -> None:
    raise NoPictureError("an SVG with entities of its own, which could ask for files or never end")


def _outside(value: str) -> NoPictureError:
    shown = "".join(c if c.isprintable() else " " for c in value.strip())[:60]
    return NoPictureError(f"an SVG that asks for a file or another host ({shown}); not drawn")


def _size(root: dict[str, str]) -> tuple[float, float]:
    lengths = [_length(root.get(name)) for name in ("width", "height")]
    box = [_length(part) for part in re.split(r"[\s,]+", root.get("viewBox", "").strip())]
    width, height = lengths
    if len(box) == 4 and box[2] and box[3]:
        width, height = (width, height) if width and height else (box[2], box[3])
    if not (width and height):
        raise NoPictureError("an SVG without a size: neither width and height nor a viewBox")
    if not 1 / 100 <= width / height <= 100:
        raise NoPictureError(f"an SVG of {width:g}x{height:g}: more than a hundred times as long as wide")
    return width, height


def _length(text: str | None) -> float | None:
    match = _LENGTH.fullmatch(text or "")
    try:
        value = float(match[1]) if match else 0.0
    except ValueError:
        return None
    return value if value and math.isfinite(value) else None
