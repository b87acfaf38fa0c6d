"""Backgrounds of apes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from metagan.drawings.apes.canvas import Canvas, curve, oval, path
from metagan.drawings.apes.colours import WHITE, Colour, hexed, mix

Background = Callable[[Canvas], None]


def _plain(colour: Colour) -> Background:
    return lambda canvas: _glow(canvas, colour)


def _glow(canvas: Canvas, colour: Colour) -> None:
    canvas.fill(oval(50, 50, 120, 120), colour)
    canvas.fill(oval(46, 46, 46, 46, steps=72), mix(colour, WHITE, 0.13))


def _gradient(canvas: Canvas, *stops: Colour) -> None:
    side = canvas.side_px
    heights = np.linspace(0, len(stops) - 1, side)
    rows = np.stack(
        [np.interp(heights, range(len(stops)), channel) for channel in zip(*stops, strict=True)], 1
    )
    canvas.paste(np.repeat(np.round(rows).astype(np.uint8)[:, None], side, axis=1))


def _sunburst(canvas: Canvas) -> None:
    canvas.fill(oval(50, 50, 120, 120), hexed("f58a3c"))
    for ray in range(12):
        angle = np.radians([ray * 30 - 7.5, ray * 30 + 7.5])
        ends = [(50 + 90 * np.cos(a), 50 + 90 * np.sin(a)) for a in angle]
        canvas.fill(path((50, 50), *ends), hexed("fbc65a"))


def _sunset(canvas: Canvas) -> None:
    _gradient(canvas, hexed("3d2a6b"), hexed("c24f83"), hexed("f99b5a"), hexed("fdd27a"))
    canvas.fill(oval(22, 30, 10, 10), hexed("ffe7a0"))


def _night(canvas: Canvas) -> None:
    _gradient(canvas, hexed("141a3f"), hexed("2c3a7a"))
    for x, y, size in ((9, 12, 0.9), (24, 8, 0.6), (17, 28, 0.7), (6, 40, 0.6), (91, 38, 0.9), (94, 62, 0.6)):
        canvas.fill(oval(x, y, size, size, steps=8), hexed("f5f0d0"))
    for x, y, size in (
        (36, 12, 0.6),
        (66, 7, 0.8),
        (8, 66, 0.8),
        (12, 84, 0.6),
        (90, 80, 0.7),
        (74, 26, 0.6),
    ):
        canvas.fill(oval(x, y, size, size, steps=8), hexed("f5f0d0"))
    canvas.fill(oval(84, 17, 8, 8), hexed("f7efc4"))
    canvas.fill(oval(80.8, 15, 7.2, 7.2), hexed("1a2150"))


def _jungle(canvas: Canvas) -> None:
    _gradient(canvas, hexed("bfe6a0"), hexed("6fb874"))
    leaf = ((0, 0), (10, -5), (24, -3), (32, 4), (22, 5), (9, 4))
    for x, y, sign in ((-3, 14, 1), (-3, 44, 1), (-3, 72, 1), (103, 10, -1), (103, 40, -1), (103, 70, -1)):
        blade = curve(*((x + sign * u * 0.8, y + v * 1.5 + u * 0.35) for u, v in leaf))
        canvas.fill(blade, hexed("3d8f5c"))
        canvas.stroke(path((x, y), (x + sign * 22, y + 11)), hexed("5cab70"), 0.9)


def _waves(canvas: Canvas) -> None:
    canvas.fill(oval(50, 50, 120, 120), hexed("9ad7ea"))
    for row, colour in enumerate(("7cc6e2", "5eb2d6", "469cc8")):
        level = 48 + row * 15
        crests = [(x, level + (3 if (x // 10 + row) % 2 else -3)) for x in range(-20, 130, 10)]
        canvas.fill(
            np.concatenate([curve(*crests, closed=False), path((130, 120), (-30, 120))]), hexed(colour)
        )


BACKGROUNDS: Final[dict[str, tuple[float, Background]]] = {
    "Sky": (12, _plain(hexed("9fd0ee"))),
    "Mint": (11, _plain(hexed("a5dcc0"))),
    "Peach": (11, _plain(hexed("f8bd97"))),
    "Lilac": (10, _plain(hexed("bcb0ec"))),
    "Sand": (10, _plain(hexed("ead7a4"))),
    "Rose": (9, _plain(hexed("f2a0ae"))),
    "Stone": (9, _plain(hexed("bfc0c4"))),
    "Lemon": (7, _plain(hexed("f6dc62"))),
    "Teal": (6, _plain(hexed("4fb0ac"))),
    "Sunburst": (5, _sunburst),
    "Waves": (4, _waves),
    "Sunset": (3, _sunset),
    "Jungle": (2, _jungle),
    "Night": (1, _night),
}
