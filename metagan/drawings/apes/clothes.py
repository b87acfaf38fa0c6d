"""Clothes, drawn over the shoulders and under the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from metagan.drawings.apes.body import SHOULDERS, both
from metagan.drawings.apes.canvas import INK, Canvas, Path, curve, grown, mirrored, oval, path
from metagan.drawings.apes.colours import BLACK, GOLD, RED, WHITE, Colour, Fur, hexed, mix

Clothes = Callable[[Canvas, Fur], None]
_CLOTH: Final = grown(SHOULDERS, 1.2)
_FRAME: Final = grown(SHOULDERS, 0.4)


def _nothing(_: Canvas, __: Fur) -> None:
    """Draw nothing."""


def _seams(canvas: Canvas, colour: Colour) -> None:
    for seam in both(curve((73, 91), (74.6, 97), (75, 104), closed=False)):
        canvas.stroke(seam, colour, (0.6, 1.5))


def _shirt(canvas: Canvas, colour: Colour) -> None:
    canvas.shape(_CLOTH, colour, shift=(-4, -2))
    _seams(canvas, mix(colour, INK, 0.75))


def _neck(canvas: Canvas, opening: Path, fur: Fur, rim: Colour) -> None:
    canvas.fill(grown(opening, 1.4), rim)
    canvas.fill(opening, mix(fur.hair, INK, 0.25))


_ROUND: Final = mirrored((0, 74), (14, 76), (15, 80), (9, 87), (0, 89))
_VEE: Final = path((36, 76), (64, 76), (50, 98))


def _tee(colour: Colour) -> Clothes:
    def draw(canvas: Canvas, fur: Fur) -> None:
        _shirt(canvas, colour)
        _neck(canvas, _ROUND, fur, mix(colour, INK, 0.45))

    return draw


def _stripes(canvas: Canvas, fur: Fur) -> None:
    _shirt(canvas, WHITE)
    for level in (80.5, 86.5, 92.5, 98.5):
        low = curve(
            (8, level + 4),
            (30, level + 1.4),
            (50, level + 3.4),
            (70, level + 1.4),
            (92, level + 4),
            closed=False,
        )
        canvas.inside(_FRAME, np.concatenate([low, (low + np.array([0, 2.8]))[::-1]]), hexed("2c3f7a"))
    _seams(canvas, INK)
    _neck(canvas, _ROUND, fur, hexed("2c3f7a"))


def _hoodie(colour: Colour) -> Clothes:
    def draw(canvas: Canvas, _: Fur) -> None:
        hood = mirrored((0, 66), (20, 67), (27, 73), (26, 82), (15, 88.4), (0, 91))
        _shirt(canvas, colour)
        canvas.shape(hood, colour, shade=mix(colour, INK, 0.35), shift=(-2, -4))
        for x in (43.6, 56.4):
            canvas.stroke(path((x, 87), (x - 0.4, 97)), INK, 2.2)
            canvas.stroke(path((x, 87), (x - 0.4, 97)), WHITE, 1.1)

    return draw


def _turtleneck(canvas: Canvas, _: Fur) -> None:
    colour = hexed("2f3f46")
    _shirt(canvas, colour)
    collar = mirrored((0, 76), (16, 76.6), (17.6, 83), (16, 88.4), (0, 91))
    canvas.shape(collar, mix(colour, WHITE, 0.1), shift=(-3, -2))
    for x in (40, 45, 50, 55, 60):
        canvas.stroke(path((x, 83), (x + (x - 50) * 0.04, 88.4)), mix(colour, INK, 0.5), 0.8)


def _suit(jacket: Colour, tie: Colour | None) -> Clothes:
    def draw(canvas: Canvas, _: Fur) -> None:
        _shirt(canvas, jacket)
        canvas.shape(
            path((37, 76), (63, 76), (57, 104), (43, 104)),
            WHITE,
            shade=hexed("cfcbe0"),
            shift=(-3, 0),
            outline=1.1,
        )
        if tie:
            canvas.shape(path((47, 86), (53, 86), (54.6, 104), (45.4, 104)), tie, shift=(-2, 0), outline=1.1)
            canvas.shape(
                path((46.4, 82.4), (53.6, 82.4), (52.4, 87.4), (47.6, 87.4)), tie, shift=(-1, -1), outline=1.1
            )
        else:
            for wing in both(path((50, 87), (58.6, 83), (58.6, 91))):
                canvas.shape(wing, hexed("c22f44"), shift=(-0.8, -1.2), outline=1.1)
            canvas.shape(oval(50, 87, 2, 2.2), hexed("c22f44"), shift=(-0.6, -0.6), outline=1.0)
        lapel = path((62, 76.4), (69, 82), (66.4, 87), (69.4, 89), (56.4, 107), (54, 107), (61.4, 86))
        for side in both(lapel):
            canvas.shape(side, mix(jacket, WHITE, 0.12), shift=(-1.2, -1.2), outline=1.2)

    return draw


def _hawaiian(canvas: Canvas, fur: Fur) -> None:
    colour = hexed("e8574f")
    _shirt(canvas, colour)
    for x, y, petals in (
        (24, 92, "fff2b8"),
        (33, 85, "ffd04f"),
        (36, 97, "fff2b8"),
        (66, 96, "ffd04f"),
        (70, 87, "fff2b8"),
        (79, 95, "fff2b8"),
    ):
        for turn in range(5):
            angle = np.radians(turn * 72)
            canvas.inside(
                _FRAME, oval(x + 2 * np.cos(angle), y + 2 * np.sin(angle), 1.7, 1.7, steps=14), hexed(petals)
            )
        canvas.inside(_FRAME, oval(x, y, 1.1, 1.1, steps=12), hexed("b32a36"))
    _seams(canvas, INK)
    canvas.fill(_VEE, mix(fur.hair, INK, 0.2))
    for collar in both(path((64, 75), (71, 83), (58, 92), (52, 96), (60, 82))):
        canvas.shape(collar, mix(colour, WHITE, 0.14), shift=(-1, -1), outline=1.2)


def _leather(canvas: Canvas, _: Fur) -> None:
    black = hexed("2b2833")
    _shirt(canvas, black)
    canvas.fill(path((38, 76), (62, 76), (56, 104), (44, 104)), WHITE)
    for side in both(path((61, 76), (72, 82.6), (64, 91), (57, 107), (53.6, 107), (60.4, 86))):
        canvas.shape(side, mix(black, WHITE, 0.2), shade=black, shift=(-1.4, -1.4), outline=1.2)
    for x, y in ((66, 84), (34, 84), (63, 88.6), (37, 88.6)):
        canvas.fill(oval(x, y, 0.9, 0.9, steps=10), hexed("d8d8e4"))


def _dungarees(canvas: Canvas, fur: Fur) -> None:
    blue = hexed("3f6aa8")
    _tee(hexed("f0c24f"))(canvas, fur)
    for strap in both(path((64, 79.4), (69.4, 82), (66, 96), (60.6, 96))):
        canvas.shape(strap, blue, shift=(-1, 0), outline=1.2)
    canvas.shape(path((35, 93), (65, 93), (67, 107), (33, 107)), blue, shift=(-2, 0), outline=1.2)
    for x in (37.4, 62.6):
        canvas.shape(oval(x, 94.6, 1.8, 1.8, steps=16), GOLD, shift=(-0.5, -0.5), outline=0.9)


def _tank(canvas: Canvas, _: Fur) -> None:
    top = mirrored((0, 89), (9, 87.6), (14, 80), (20.4, 80.4), (21.4, 92), (28, 99), (29, 108), (0, 109))
    canvas.shape(top, WHITE, shade=hexed("cfcbe0"), shift=(-3, 0))


def _space(canvas: Canvas, _: Fur) -> None:
    _shirt(canvas, hexed("e6e8ef"))
    canvas.shape(
        mirrored((0, 70), (20, 71), (28, 76.6), (29, 82), (18, 88), (0, 90.4)),
        hexed("aeb6c8"),
        shift=(-3, -3),
    )
    canvas.shape(
        mirrored((0, 74), (18, 75), (23, 79), (16, 84), (0, 86)), hexed("3b4258"), shift=(0, 2), outline=1.1
    )
    canvas.shape(path((62, 92), (72, 92), (72, 98), (62, 98)), hexed("ef5a4c"), shift=(-1, -1), outline=1.1)
    canvas.fill(path((64, 94), (67, 94), (67, 96), (64, 96)), WHITE)
    canvas.shape(oval(33, 95, 3, 3), hexed("2f86d8"), shift=(-0.8, -0.8), outline=1.1)


def _robe(canvas: Canvas, _: Fur) -> None:
    _shirt(canvas, hexed("9c2340"))
    fluff = mirrored((0, 76), (16, 75), (27, 79), (30, 85), (22, 91), (9, 97), (0, 99))
    canvas.shape(fluff, WHITE, shade=hexed("cfcbe0"), shift=(-2.4, -2.6))
    for x, y in ((26.6, 83), (33.6, 88), (42, 92), (58, 92), (66.4, 88), (73.4, 83), (50, 95)):
        canvas.fill(oval(x, y, 0.9, 1.5, steps=10), BLACK)


CLOTHES: Final[dict[str, tuple[float, Clothes]]] = {
    "None": (17, _nothing),
    "Red T-Shirt": (10, _tee(hexed("c8413d"))),
    "Green T-Shirt": (9, _tee(hexed("2a8f6a"))),
    "Striped Shirt": (9, _stripes),
    "Grey Hoodie": (8, _hoodie(hexed("8d929c"))),
    "Orange Hoodie": (7, _hoodie(hexed("f08a35"))),
    "Tank Top": (7, _tank),
    "Turtleneck": (7, _turtleneck),
    "Dungarees": (6, _dungarees),
    "Navy Suit": (5, _suit(hexed("2f3d6b"), RED)),
    "Hawaiian Shirt": (5, _hawaiian),
    "Leather Jacket": (4, _leather),
    "Tuxedo": (3, _suit(hexed("26232e"), None)),
    "Space Suit": (2, _space),
    "King's Robe": (1, _robe),
}
