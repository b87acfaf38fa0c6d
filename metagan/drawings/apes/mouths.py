"""Mouths, drawn on the muzzle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from metagan.drawings.apes.canvas import INK, Canvas, Path, curve, oval, path
from metagan.drawings.apes.colours import GOLD, WHITE, Colour, Fur, hexed, mix

Mouth = Callable[[Canvas, Fur], None]
_INSIDE: Final = hexed("7a1f30")
_TONGUE: Final = hexed("ee7a80")
_WIDTH: Final = (1.0, 1.9, 1.9, 1.0)


def _line(*points: tuple[float, float]) -> Mouth:
    line = curve(*points, closed=False)

    def draw(canvas: Canvas, fur: Fur) -> None:
        canvas.stroke(line, INK, _WIDTH)
        canvas.stroke(curve((44, 76.6), (50, 77.6), (56, 76.6), closed=False), fur.lip, (0.4, 1.2, 0.4))

    return draw


_NEUTRAL: Final = _line((35, 69.6), (42, 69), (50, 69.4), (58, 69), (65, 69.6))
_SMILE: Final = _line((33.5, 66), (37, 69.6), (43, 72), (50, 72.8), (57, 72), (63, 69.6), (66.5, 66))
_FROWN: Final = _line((36, 73.4), (42, 69.8), (50, 68.4), (58, 69.8), (64, 73.4))
_SMIRK: Final = _line((37, 71), (44, 71.4), (52, 71), (59, 69), (65.5, 64.6))

_JAW: Final = curve(
    (33, 65.4),
    (41, 67.4),
    (50, 67.8),
    (59, 67.4),
    (67, 65.4),
    (63.6, 72.6),
    (57, 76.6),
    (50, 77.6),
    (43, 76.6),
    (36.4, 72.6),
)
_GRIN: Final = curve(
    (33.6, 66.6),
    (42, 65.8),
    (50, 65.6),
    (58, 65.8),
    (66.4, 66.6),
    (66.4, 72.4),
    (60, 75.4),
    (50, 76.2),
    (40, 75.4),
    (33.6, 72.4),
)


def _laugh(canvas: Canvas, _: Fur) -> None:
    canvas.shape(_JAW, _INSIDE, shift=(0, 1.6))
    canvas.inside(_JAW, path((30, 60), (70, 60), (66, 69.8), (50, 70.8), (34, 69.8)), WHITE)
    canvas.inside(_JAW, oval(50, 78, 7.4, 4.4), _TONGUE)


def _teeth(colour: Colour, special: Colour | None = None) -> Mouth:
    def draw(canvas: Canvas, _: Fur) -> None:
        canvas.shape(_GRIN, colour, shade=mix(colour, INK, 0.22), shift=(0, -2))
        if special:
            canvas.inside(_GRIN, path((50, 60), (56, 60), (56, 71), (50, 71)), special)
        for x in (39, 44.4, 50, 55.6, 61):
            canvas.stroke(path((x, 66.6), (x, 75)), INK, 0.8)
        canvas.stroke(curve((35, 70.8), (50, 71.2), (65, 70.8), closed=False), INK, 0.9)

    return draw


def _fangs(canvas: Canvas, fur: Fur) -> None:
    _FROWN(canvas, fur)
    for side in (1, -1):
        tooth = path((50 + side * 7, 70.4), (50 + side * 11.4, 72.2), (50 + side * 8.6, 65.2))
        canvas.shape(tooth, WHITE, shift=(-0.8, 0), outline=1.1)


def _surprised(canvas: Canvas, _: Fur) -> None:
    hole = oval(50, 71.2, 5.6, 6)
    canvas.shape(hole, _INSIDE, shift=(0, 2))
    canvas.inside(hole, oval(50, 77, 4.4, 3.2), _TONGUE)


def _tongue(canvas: Canvas, fur: Fur) -> None:
    tongue: Path = curve(
        (45.4, 71.6), (50, 71), (55.6, 71.4), (56, 78), (53.6, 83.4), (50.4, 84.2), (47, 83), (45.2, 78)
    )
    canvas.shape(tongue, _TONGUE, shift=(-1.6, -1))
    canvas.stroke(path((50.4, 73), (50.5, 79)), hexed("b94a58"), (1.0, 0.5))
    _SMILE(canvas, fur)


def _cigar(canvas: Canvas, fur: Fur) -> None:
    _NEUTRAL(canvas, fur)
    canvas.shape(
        path((57, 67.6), (80, 71), (79.4, 75), (56.6, 71.4)), hexed("8f5a34"), shift=(0, -1.4), outline=1.2
    )
    canvas.fill(path((63.4, 68.8), (66.6, 69.3), (66.1, 72.6), (62.9, 72.1)), GOLD)
    canvas.shape(
        path((79.6, 71), (82.6, 71.5), (82, 75.4), (79, 75)), hexed("ff6a3c"), shift=(0, -1.4), outline=1.0
    )
    for x, y, size in ((84.4, 66, 1.7), (83, 60.6, 2.2), (86, 54.4, 2.7)):
        canvas.blend(oval(x, y, size, size), WHITE, 0.75)


def _pipe(canvas: Canvas, fur: Fur) -> None:
    _SMIRK(canvas, fur)
    stem = curve((58, 69.4), (66, 71.6), (71, 77), (74.6, 79), closed=False)
    canvas.stroke(stem, INK, 4.2)
    canvas.stroke(stem, hexed("6e3f26"), 2.0)
    canvas.shape(
        curve((71.6, 71), (80.4, 71), (81, 79), (76, 82.6), (71.6, 79)), hexed("8a4f2c"), shift=(-1.6, -1)
    )
    canvas.shape(oval(76, 71, 4.6, 1.5), hexed("3a2018"), shift=(0, 0.6), outline=1.0)


def _bubble(canvas: Canvas, fur: Fur) -> None:
    _SMILE(canvas, fur)
    canvas.shape(oval(50, 75.4, 9.6, 9.2), hexed("ff8fc0"), shift=(-1.8, -1.8))
    canvas.fill(oval(46.4, 71.6, 2.6, 1.8, steps=16), hexed("ffe3f0"))


def _banana(canvas: Canvas, fur: Fur) -> None:
    _SMILE(canvas, fur)
    fruit = curve(
        (47.4, 70.6),
        (56, 73.4),
        (66, 71.6),
        (73.6, 64.6),
        (76, 66),
        (74, 73.6),
        (66, 79.4),
        (55, 79.6),
        (47.6, 75.6),
    )
    canvas.shape(fruit, hexed("ffd93b"), shift=(-0.6, -2.4))
    canvas.shape(
        path((73.2, 65.6), (75, 61.4), (77.4, 62.2), (76.6, 66.6)),
        hexed("7a5a24"),
        shift=(-0.6, 0),
        outline=1.1,
    )
    canvas.stroke(curve((50, 74), (60, 75.6), (70, 71.4), closed=False), hexed("d9a520"), 0.8)


MOUTHS: Final[dict[str, tuple[float, Mouth]]] = {
    "Neutral": (19, _NEUTRAL),
    "Smile": (17, _SMILE),
    "Grin": (13, _teeth(WHITE)),
    "Laugh": (11, _laugh),
    "Frown": (10, _FROWN),
    "Smirk": (9, _SMIRK),
    "Surprised": (5, _surprised),
    "Tongue Out": (4, _tongue),
    "Cigar": (3.5, _cigar),
    "Bubblegum": (2.5, _bubble),
    "Pipe": (2, _pipe),
    "Gold Tooth": (1.5, _teeth(WHITE, GOLD)),
    "Fangs": (1.25, _fangs),
    "Banana": (1, _banana),
    "Gold Grill": (0.25, _teeth(GOLD)),
}
