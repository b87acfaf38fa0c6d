"""Earrings and other small extras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from metagan.drawings.apes.body import both
from metagan.drawings.apes.canvas import INK, Canvas, arc, curve, mirrored, oval, path, turned
from metagan.drawings.apes.colours import GOLD, WHITE, Colour, Fur, hexed, mix

Draw = Callable[[Canvas, Fur], None]
_LOBE: Final = (81.2, 58.0)


def _nothing(_: Canvas, __: Fur) -> None:
    """Draw nothing."""


@dataclass(frozen=True)
class Extra:
    """An extra: a part that is drawn last, and a part on the skin, under mouth and eyes."""

    front: Draw = _nothing
    skin: Draw = _nothing


def _hoop(colour: Colour) -> Draw:
    def draw(canvas: Canvas, _: Fur) -> None:
        ring = arc(_LOBE[0], _LOBE[1] + 3, 3, 3.2, -80, 260, 32)
        canvas.stroke(ring, INK, 3.0)
        canvas.stroke(ring, colour, 1.5)

    return draw


def _stud(colour: Colour) -> Draw:
    def draw(canvas: Canvas, _: Fur) -> None:
        canvas.shape(oval(*_LOBE, 2.6, 2.6), colour, shift=(-0.7, -0.7), outline=1.3)

    return draw


def _diamond(canvas: Canvas, _: Fur) -> None:
    x, y = _LOBE
    gem = path((x - 3.8, y), (x - 2, y - 2.4), (x + 2, y - 2.4), (x + 3.8, y), (x, y + 5.4))
    canvas.shape(gem, hexed("a8ecff"), shade=hexed("5cb8e0"), shift=(-1, -1), outline=1.1)


def _cross(canvas: Canvas, _: Fur) -> None:
    x, y = _LOBE
    arms = (
        (-0.8, 0),
        (0.8, 0),
        (0.8, 2),
        (2.6, 2),
        (2.6, 3.6),
        (0.8, 3.6),
        (0.8, 7),
        (-0.8, 7),
        (-0.8, 3.6),
        (-2.6, 3.6),
        (-2.6, 2),
        (-0.8, 2),
    )
    canvas.shape(path(*((x + u, y + v) for u, v in arms)), hexed("dfe3ec"), shift=(-0.5, -0.5), outline=1.1)


def _feather(canvas: Canvas, _: Fur) -> None:
    x, y = _LOBE
    canvas.shape(
        curve(
            (x, y), (x + 2.8, y + 4), (x + 2.2, y + 10), (x + 0.4, y + 13), (x - 1.8, y + 9), (x - 1.8, y + 4)
        ),
        hexed("35b0a0"),
        shift=(-1, -1),
        outline=1.1,
    )
    canvas.stroke(path((x, y + 1), (x + 0.4, y + 11)), hexed("d9fff4"), 0.7)


def _chain(canvas: Canvas, _: Fur) -> None:
    for angle in np.linspace(20, 160, 13):
        x, y = 50 + 21 * np.cos(np.radians(angle)), 80 + 15 * np.sin(np.radians(angle))
        canvas.shape(oval(x, y, 1.7, 1.7, steps=14), GOLD, shift=(-0.5, -0.5), outline=0.9)


def _medal(canvas: Canvas, fur: Fur) -> None:
    _chain(canvas, fur)
    canvas.shape(oval(50, 96, 4.6, 4.6), GOLD, shade=hexed("c98a1e"), shift=(-1.2, -1.2))


def _blush(canvas: Canvas, _: Fur) -> None:
    for cheek in both(oval(67.6, 56.6, 4.4, 2.8)):
        canvas.blend(cheek, hexed("ff6f7d"), 0.55)


def _freckles(canvas: Canvas, fur: Fur) -> None:
    for x, y in ((33, 62.6), (37.2, 65), (37, 60.4), (67, 62.6), (62.8, 65), (63, 60.4)):
        canvas.fill(oval(x, y, 1.2, 1.2, steps=12), mix(fur.lip, INK, 0.4))


def _scar(canvas: Canvas, fur: Fur) -> None:
    canvas.stroke(path((63, 33), (66.6, 56)), mix(fur.lip, hexed("8f1f2c"), 0.6), (0.5, 1.5, 0.5))
    for y in (36, 40.5, 52):
        x = 63 + (y - 33) * 3.6 / 23
        canvas.stroke(path((x - 2, y + 0.7), (x + 2, y - 0.7)), mix(fur.lip, hexed("8f1f2c"), 0.6), 0.9)


def _plaster(canvas: Canvas, _: Fur) -> None:
    strip = turned(oval(66, 60.6, 5.6, 2.1, power=4), 28, 66, 60.6)
    canvas.shape(strip, hexed("f2cfa0"), shift=(-0.6, -0.6), outline=1.0)
    canvas.fill(turned(oval(66, 60.6, 1.7, 1.3, power=4), 28, 66, 60.6), hexed("d9a878"))


def _tear(canvas: Canvas, _: Fur) -> None:
    drop = curve((35, 52.4), (37.2, 56.6), (35.4, 59.6), (33, 58.2), (33, 55.6))
    canvas.shape(drop, hexed("7fd0ff"), shift=(-0.8, -0.8), outline=1.0)


def _moustache(canvas: Canvas, fur: Fur) -> None:
    wing = curve(
        (50, 62.8), (54, 61.8), (59, 64), (64, 65), (68.6, 62.4), (66, 68), (60, 69), (53.4, 67), (50, 65)
    )
    for half in both(wing):
        canvas.shape(half, mix(fur.hair, INK, 0.45), shift=(-0.8, -1.2), outline=1.0)


def _beard(canvas: Canvas, fur: Fur) -> None:
    beard = mirrored((0, 78), (8, 78.4), (17, 74), (19, 80), (14, 88), (6, 93), (0, 97))
    canvas.shape(beard, mix(fur.hair, INK, 0.2), shift=(-2.4, -1.6))
    for x in (44, 50, 56):
        canvas.stroke(path((x, 83), (x + (50 - x) * 0.2, 89)), mix(fur.hair, INK, 0.55), (1.0, 0.4))


def _butterfly(canvas: Canvas, _: Fur) -> None:
    x, y = 15.5, 24
    for side in (1, -1):
        for du, dv, rx, ry, lean in ((4.4, -2.8, 4.8, 4.2, -25), (3.4, 3.6, 3.4, 3.2, 25)):
            wing = turned(oval(x + side * du, y + dv, rx, ry, steps=24), side * lean, x, y)
            canvas.shape(wing, hexed("ff9a3c"), shift=(-0.8, -0.8), outline=1.1)
    canvas.stroke(path((x, y - 4), (x, y + 5.4)), INK, 2.0)


def _bees(canvas: Canvas, _: Fur) -> None:
    for x, y in ((14, 26), (86, 20)):
        canvas.blend(oval(x - 1, y - 3, 1.8, 2.6), WHITE, 0.85)
        canvas.blend(oval(x + 1.8, y - 3, 1.8, 2.6), WHITE, 0.85)
        bee = oval(x, y, 4, 2.8)
        canvas.shape(bee, hexed("ffd23c"), shift=(-0.6, -0.8), outline=1.1)
        for stripe in (-0.8, 1.6):
            canvas.inside(
                bee,
                path(
                    (x + stripe, y - 4),
                    (x + stripe + 1.2, y - 4),
                    (x + stripe + 1.2, y + 4),
                    (x + stripe, y + 4),
                ),
                INK,
            )


def _parrot(canvas: Canvas, _: Fur) -> None:
    body = curve((12, 72), (17, 67), (22, 70), (23, 78), (20, 88), (13, 94), (10, 84))
    canvas.shape(body, hexed("e23c3c"), shift=(-1.6, -1))
    canvas.shape(
        curve((10.6, 78), (15, 77), (17.6, 82), (15, 90), (10, 95), (9, 87)),
        hexed("2c7fd0"),
        shift=(-1, -1),
        outline=1.2,
    )
    canvas.fill(oval(18.6, 71.8, 2.2, 2.2), WHITE)
    canvas.fill(oval(18.9, 71.8, 1.1, 1.1, steps=12), INK)
    canvas.shape(
        curve((21.4, 70.6), (25.4, 71.4), (26, 76), (22.6, 75)),
        hexed("f6c945"),
        shift=(-0.6, -0.6),
        outline=1.1,
    )


EARRINGS: Final[dict[str, tuple[float, Draw]]] = {
    "None": (58, _nothing),
    "Silver Stud": (12, _stud(hexed("dfe3ec"))),
    "Gold Stud": (10, _stud(GOLD)),
    "Silver Hoop": (7, _hoop(hexed("dfe3ec"))),
    "Gold Hoop": (7, _hoop(GOLD)),
    "Cross": (3, _cross),
    "Feather": (2, _feather),
    "Diamond": (1, _diamond),
}
EXTRAS: Final[dict[str, tuple[float, Extra]]] = {
    "None": (46, Extra()),
    "Freckles": (10, Extra(skin=_freckles)),
    "Blush": (9, Extra(skin=_blush)),
    "Gold Chain": (7, Extra(_chain)),
    "Plaster": (6, Extra(skin=_plaster)),
    "Scar": (5, Extra(skin=_scar)),
    "Beard": (5, Extra(skin=_beard)),
    "Moustache": (4, Extra(_moustache)),
    "Tear": (3, Extra(_tear)),
    "Bees": (2, Extra(_bees)),
    "Butterfly": (1.5, Extra(_butterfly)),
    "Medal": (1, Extra(_medal)),
    "Parrot": (0.5, Extra(_parrot)),
}
