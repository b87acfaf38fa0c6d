"""Vector drawing with one light source: outlined shapes, each darker on its lower right.

Coordinates run from 0 to 100, y downwards, whatever the picture's size. Everything is drawn at several times
the requested size and reduced at the end, for anti-aliasing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from metagan.drawings.apes.colours import Colour, mix

Path = NDArray[np.float64]  # [points, 2]
INK: Final[Colour] = (28, 20, 32)
OUTLINE: Final = 1.5
MIN_FACTOR: Final = 4
MIN_CANVAS_PX: Final = 512
_MAX_MITRE: Final = 2.5


def path(*points: tuple[float, float]) -> Path:
    """Make a path of straight lines through points."""
    return np.array(points, np.float64)


def curve(*points: tuple[float, float], closed: bool = True, steps: int = 8) -> Path:
    """Make a smooth line through points (Catmull and Rom 1974, uniform)."""
    nodes = np.array(points, np.float64)
    if closed:
        nodes = np.concatenate([nodes[-1:], nodes, nodes[:2]])
    else:
        nodes = np.concatenate([2 * nodes[:1] - nodes[1:2], nodes, 2 * nodes[-1:] - nodes[-2:-1]])
    before, start, end, after = nodes[:-3, None], nodes[1:-2, None], nodes[2:-1, None], nodes[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    line = 2 * start + (end - before) * t
    line += (2 * before - 5 * start + 4 * end - after) * t**2
    line = (line + (3 * start - before - 3 * end + after) * t**3) / 2
    flat: Path = line.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, nodes[-2:-1]])


def mirrored(*points: tuple[float, float], centre: float = 50.0) -> Path:
    """Make a smooth symmetric shape from its right half, top to bottom as (distance from the axis, y)."""
    right = [(centre + x, y) for x, y in points]
    left = [(centre - x, y) for x, y in reversed(points) if x > 0]
    return curve(*right, *left)


def oval(cx: float, cy: float, rx: float, ry: float, power: float = 2.0, steps: int = 48) -> Path:
    """Make a superellipse: an ellipse at power 2, boxier at higher powers."""
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = cx + rx * np.sign(cos) * np.abs(cos) ** (2 / power)
    y = cy + ry * np.sign(sin) * np.abs(sin) ** (2 / power)
    return np.stack([x, y], 1)


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, steps: int = 24) -> Path:
    """Make part of an ellipse, between angles in degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, end, steps))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], 1)


def flipped(shape: Path, centre: float = 50.0) -> Path:
    """Mirror a shape left to right."""
    return np.stack([2 * centre - shape[:, 0], shape[:, 1]], 1)


def turned(shape: Path, degrees: float, cx: float, cy: float) -> Path:
    """Rotate a shape clockwise about a point."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = shape[:, 0] - cx, shape[:, 1] - cy
    return np.stack([cx + x * cos - y * sin, cy + x * sin + y * cos], 1)


def grown(shape: Path, by: float) -> Path:
    """Move a closed shape's edge outwards, or inwards if `by` is negative."""
    x, y = shape[:, 0], shape[:, 1]
    area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    bigger: Path = shape + _mitres(shape, closed=True) * (by if area > 0 else -by)
    return bigger


def ribbon(line: Path, width: float | Sequence[float]) -> Path:
    """Return a line's outline with round ends; `width` may vary along it."""
    widths = np.atleast_1d(np.asarray(width, np.float64))
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    normals = _mitres(line, closed=False)
    first, last = _cap(line[0], -normals[0] * half[0]), _cap(line[-1], normals[-1] * half[-1])
    return np.concatenate([line + normals * half, last, (line - normals * half)[::-1], first])


def _cap(end: Path, arm: Path) -> Path:
    angle = np.linspace(0, np.pi, 8)[1:-1]
    across = np.array([-arm[1], arm[0]])
    half_circle: Path = end + np.cos(angle)[:, None] * arm + np.sin(angle)[:, None] * across
    return half_circle


def _mitres(line: Path, *, closed: bool) -> Path:
    step = (
        np.roll(line, -1, 0) if closed else np.concatenate([line[1:], 2 * line[-1:] - line[-2:-1]])
    ) - line
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    normal = np.stack([step[:, 1], -step[:, 0]], 1) / length[:, None]
    previous = np.roll(normal, 1, 0)
    if not closed:
        previous[0] = normal[0]
    between = normal + previous
    squared = np.maximum((between**2).sum(1, keepdims=True), 1e-6)
    mitre: Path = 2 * between / squared
    size = np.hypot(mitre[:, 0], mitre[:, 1])[:, None]
    clipped: Path = mitre * np.minimum(1, _MAX_MITRE / np.maximum(size, 1e-9))
    return clipped


class Canvas:
    """A square picture that is being drawn."""

    def __init__(self, resolution: int, colour: Colour = (255, 255, 255)) -> None:
        self._resolution = resolution
        self._factor = max(MIN_FACTOR, -(-MIN_CANVAS_PX // resolution))
        self.side_px = resolution * self._factor
        self._image = Image.new("RGB", (self.side_px, self.side_px), colour)
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, shape: Path, colour: Colour) -> None:
        """Fill a shape without outline or shade."""
        self._draw.polygon(self._pixels(shape), fill=colour)

    def stroke(self, line: Path, colour: Colour = INK, width: float | Sequence[float] = OUTLINE) -> None:
        """Draw a line with round ends, whose `width` may vary along it."""
        self.fill(ribbon(line, width), colour)

    def shape(
        self,
        shape: Path,
        colour: Colour,
        *,
        shade: Colour | None = None,
        shift: tuple[float, float] = (-2.6, -2.6),
        outline: float = OUTLINE,
        ink: Colour = INK,
    ) -> None:
        """Draw an outlined shape lit from the upper left: the lit part is the shape moved by `shift`, clipped."""
        if outline:
            self.fill(grown(shape, outline / 2), ink)
        inner = grown(shape, -outline / 2) if outline else shape
        self.fill(inner, shade or shadow(colour))
        self.inside(inner, inner + np.array(shift), colour)

    def inside(self, frame: Path, shape: Path, colour: Colour, opacity: float = 1.0) -> None:
        """Draw the part of `shape` that lies inside `frame`."""
        frame_px, shape_px = self._pixels(frame), self._pixels(shape)
        xs, ys = [x for x, _ in frame_px], [y for _, y in frame_px]
        left, top = max(0, int(min(xs))), max(0, int(min(ys)))
        right, bottom = min(self.side_px, int(max(xs)) + 2), min(self.side_px, int(max(ys)) + 2)
        if right <= left or bottom <= top:
            return
        size, corner = (right - left, bottom - top), (left, top)
        mask = ImageChops.multiply(
            _mask(frame_px, size, corner, 255), _mask(shape_px, size, corner, round(255 * opacity))
        )
        self._image.paste(colour, (left, top), mask)

    def blend(self, shape: Path, colour: Colour, opacity: float) -> None:
        """Draw a translucent shape."""
        self.inside(shape, shape, colour, opacity)

    def paste(self, pixels: NDArray[np.uint8]) -> None:
        """Replace the picture by pixels [side_px, side_px, 3]."""
        self._image.paste(Image.fromarray(pixels))

    def finish(self) -> NDArray[np.uint8]:
        """Return the picture at its final size, RGB [resolution, resolution, 3]."""
        return np.asarray(self._image.reduce(self._factor))

    def _pixels(self, shape: Path) -> list[tuple[float, float]]:
        scaled = (shape * (self.side_px / 100) - 0.5).tolist()
        return [(x, y) for x, y in scaled]


def shadow(colour: Colour) -> Colour:
    """Return a colour in shadow: darker and slightly bluer."""
    return mix(colour, (38, 22, 70), 0.3)


def _mask(
    points: list[tuple[float, float]], size: tuple[int, int], corner: tuple[int, int], value: int
) -> Image.Image:
    mask = Image.new("L", size, 0)
    moved = [(x - corner[0], y - corner[1]) for x, y in points]
    ImageDraw.Draw(mask).polygon(moved, fill=value)
    return mask
