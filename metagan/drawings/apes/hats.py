"""Hats and other headwear. Each has a front, and some have a part behind the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from metagan.drawings.apes.body import HEAD, both
from metagan.drawings.apes.canvas import INK, Canvas, Path, arc, curve, mirrored, oval, path
from metagan.drawings.apes.colours import BLACK, GOLD, RED, WHITE, Colour, Fur, hexed, mix

Draw = Callable[[Canvas, Fur], None]


def _nothing(_: Canvas, __: Fur) -> None:
    """Draw nothing."""


@dataclass(frozen=True)
class Hat:
    """A hat: a part in front of the head, and one behind it."""

    front: Draw = _nothing
    behind: Draw = _nothing


def _shade_forehead(canvas: Canvas, line: Path, depth: float = 2.6) -> None:
    canvas.inside(HEAD, np.concatenate([line, (line + np.array([0.6, depth]))[::-1]]), INK, 0.3)


def _dome(top: float, edge: float, reach: float) -> Path:
    sag = edge + 2.2
    return mirrored(
        *(
            (0, top),
            (reach * 0.5, top + 1.4),
            (reach * 0.86, top + 7),
            (reach, edge - 3),
            (reach, edge),
            (0, sag),
        )
    )


def _band(top: float, bottom: float, reach: float, bow: float = 2.0) -> Path:
    upper = curve((50 - reach, top), (50, top + bow), (50 + reach, top), closed=False)
    lower = curve((50 + reach, bottom), (50, bottom + bow), (50 - reach, bottom), closed=False)
    return np.concatenate([upper, lower])


def _beanie(colour: Colour, cuff: Colour, pompom: Colour | None) -> Draw:
    def draw(canvas: Canvas, _: Fur) -> None:
        _shade_forehead(canvas, curve((23, 35.5), (50, 37.8), (77, 35.5), closed=False))
        if pompom:
            canvas.shape(oval(50, 11.6, 5.2, 5), pompom, shift=(-1.4, -1.4))
        dome = _dome(14.6, 31, 25.2)
        canvas.shape(dome, colour, shift=(-3.2, -1.4))
        for x, lean in ((38, -3), (50, 0), (62, 3)):
            canvas.stroke(
                curve((x - lean, 18), (x, 24), (x + lean * 0.4, 29), closed=False), mix(colour, INK, 0.3), 0.9
            )
        canvas.shape(_band(28.6, 35, 26.6), cuff, shift=(-1.4, -1.8))

    return draw


def _cap(canvas: Canvas, _: Fur) -> None:
    canvas.shape(_dome(16, 32, 25.4), RED, shift=(-3.2, -1.4))
    canvas.stroke(curve((50, 16.4), (50.6, 23), (50.4, 30), closed=False), mix(RED, INK, 0.35), 0.9)
    canvas.shape(oval(50, 16, 2.2, 1.3), RED, shift=(0, -0.6), outline=1.1)
    canvas.shape(oval(50, 25.2, 6, 5), WHITE, shift=(-1, -1), outline=1.0)
    canvas.fill(curve((47.4, 26.6), (49, 22.6), (52.6, 22.4), (51.4, 25), (49.6, 28)), hexed("f2b733"))
    _shade_forehead(canvas, curve((25, 36), (50, 40), (75, 36), closed=False), 3)
    brim = curve((22, 34.6), (35, 30.4), (50, 29.6), (65, 30.4), (78, 34.6), (69, 38.6), (50, 40), (31, 38.6))
    canvas.shape(brim, hexed("2b3a63"), shift=(-1, -2.8))


def _top_hat(canvas: Canvas, _: Fur) -> None:
    _shade_forehead(canvas, curve((24, 32), (50, 35), (76, 32), closed=False), 3)
    tube = path((33.6, 1.6), (66.4, 1.6), (64.4, 29), (35.6, 29))
    canvas.shape(tube, BLACK, shade=hexed("17131f"), shift=(-6, 0))
    canvas.inside(tube, path((37, 3), (40, 3), (40.6, 22), (38, 22)), hexed("6b6478"))
    canvas.shape(path((35, 21.4), (65, 21.4), (64.4, 28.6), (35.6, 28.6)), RED, shift=(-6, 0))
    canvas.shape(oval(50, 30, 27, 3.8), BLACK, shade=hexed("17131f"), shift=(-2, -1.6))


def _crown(canvas: Canvas, _: Fur) -> None:
    _shade_forehead(canvas, curve((27, 32), (50, 34.6), (73, 32), closed=False))
    points = (
        (26.6, 31),
        (23.6, 12.6),
        (34.4, 20.4),
        (40, 8.6),
        (46, 18.4),
        (50, 5),
        (54, 18.4),
        (60, 8.6),
        (65.6, 20.4),
        (76.4, 12.6),
        (73.4, 31),
        (50, 33.4),
    )
    crown = path(*points)
    canvas.shape(crown, GOLD, shade=hexed("d08f22"), shift=(-3.6, -1))
    canvas.shape(_band(26.4, 31, 23.6), hexed("f9d866"), shift=(-1, -1.6), outline=1.1)
    for x, y, colour in (
        (50.0, 30.0, hexed("d92b4b")),
        (36, 29.4, hexed("2f86d8")),
        (64, 29.4, hexed("35a86b")),
    ):
        canvas.shape(oval(x, y, 2.3, 1.8), colour, shift=(-0.7, -0.7), outline=0.9)
    for x, y in ((23.6, 12.0), (40.0, 8.0), (60, 8), (76.4, 12), (50, 4.4)):
        canvas.shape(oval(x, y, 1.9, 1.9), hexed("fff0b0"), shift=(-0.7, -0.7), outline=1.1)


def _headband(canvas: Canvas, _: Fur) -> None:
    green = hexed("2aa05c")
    for tail in (
        path((75, 31), (84, 34), (82, 39), (75, 34)),
        path((75, 32), (80, 40), (76, 43.6), (73.6, 35)),
    ):
        canvas.shape(tail, green, shift=(-1, -1))
    canvas.shape(_band(26.4, 33, 25), green, shift=(-1, -2.4))
    canvas.inside(_band(26.4, 33, 25), _band(28.6, 30.4, 25), WHITE)


def _bandana(canvas: Canvas, _: Fur) -> None:
    blue = hexed("2c62b4")
    canvas.shape(curve((74, 29), (82, 26), (86, 31), (80, 34)), blue, shift=(-1, -1))
    canvas.shape(curve((74, 31), (80, 34), (81, 41), (76, 38)), blue, shift=(-1, -1))
    cloth = _dome(17.4, 32, 25.6)
    canvas.shape(cloth, blue, shift=(-3.2, -1.4))
    for x, y in ((34, 27), (42, 21.6), (45, 29.4), (53, 24), (60, 30), (65, 23.4), (70, 30)):
        canvas.inside(cloth, oval(x, y, 1.7, 1.7, steps=16), WHITE)


def _cowboy(canvas: Canvas, _: Fur) -> None:
    tan, dark = hexed("b97a3e"), hexed("8f5829")
    _shade_forehead(canvas, curve((24, 31), (50, 36.4), (76, 31), closed=False), 3)
    canvas.shape(
        mirrored((0, 10.6), (6, 7.8), (12.6, 7.6), (17, 14), (19.6, 27), (0, 31)),
        tan,
        shade=dark,
        shift=(-4, -1),
    )
    canvas.stroke(curve((50, 11), (49.4, 16), (50, 20), closed=False), dark, (1.4, 0.6))
    canvas.shape(_band(22.4, 27, 19.4), hexed("5a3420"), shift=(-2, 0), outline=1.1)
    brim = mirrored((0, 28), (16, 26.4), (28, 21.4), (36, 17.8), (37.6, 21), (29, 30), (15, 34.8), (0, 36))
    canvas.shape(brim, tan, shade=dark, shift=(-1.4, -2.2))


def _fez(canvas: Canvas, _: Fur) -> None:
    _shade_forehead(canvas, curve((33, 27), (50, 29), (67, 27), closed=False), 2)
    canvas.shape(
        path((38, 6.6), (62, 6.6), (66.4, 25.6), (50, 28), (33.6, 25.6)), hexed("b3283c"), shift=(-4, 0)
    )
    canvas.shape(oval(50, 6.8, 12, 2.4), hexed("cf4552"), shift=(0, -0.6), outline=1.2)
    canvas.stroke(curve((50, 6.4), (60, 6.4), (66.4, 10), (67.4, 17), closed=False), INK, 2.0)
    canvas.stroke(curve((50, 6.4), (60, 6.4), (66.4, 10), (67.4, 17), closed=False), GOLD, 0.9)
    canvas.shape(path((66, 16), (69, 16), (70.4, 23), (65, 23)), GOLD, shift=(-0.8, 0), outline=1.0)


def _party(canvas: Canvas, _: Fur) -> None:
    cone = path((50, 1.4), (65.4, 27.6), (50, 30), (34.6, 27.6))
    canvas.shape(cone, hexed("ff7ab0"), shift=(-4.4, 0))
    for level, colour in ((9, hexed("ffe066")), (16, hexed("5cc8e8")), (23, hexed("ffe066"))):
        canvas.inside(cone, path((30, level + 2.4), (70, level - 3), (70, level), (30, level + 5.4)), colour)
    canvas.shape(oval(50, 3.4, 3.2, 3), hexed("ffe066"), shift=(-1, -1), outline=1.2)


def _mohawk(canvas: Canvas, _: Fur) -> None:
    spikes = (
        (42, 30),
        (35, 18),
        (41.6, 19),
        (39, 7),
        (46, 13.4),
        (50, 1.6),
        (54, 13.4),
        (61, 7),
        (58.4, 19),
        (65, 18),
        (58, 30),
        (50, 35),
    )
    canvas.shape(path(*spikes), hexed("ee3f8c"), shift=(-2.4, -0.6))
    for tip, root in (((43, 16), (46, 29)), ((50, 12), (50, 31)), ((57, 16), (54, 29))):
        canvas.stroke(path(tip, root), hexed("a81f60"), (0.5, 1.1))


def _halo(canvas: Canvas, _: Fur) -> None:
    ring = arc(50, 9, 17, 4.2, 0, 360, 48)
    canvas.stroke(ring, INK, 4.6)
    canvas.stroke(ring, hexed("ffd95e"), 2.4)
    canvas.stroke(arc(50, 8.6, 16.8, 4, 170, 260), hexed("fff6cc"), 1.1)


def _horns(canvas: Canvas, _: Fur) -> None:
    for horn in both(curve((58.6, 24), (64, 18), (65, 9), (69.4, 5), (72.6, 13), (70.6, 22), (66.6, 28))):
        canvas.shape(horn, hexed("cf2f3a"), shift=(-1.8, -1))


def _headphones(canvas: Canvas, _: Fur) -> None:
    band = arc(50, 44, 30, 27.6, 188, 352, 40)
    canvas.stroke(band, INK, 5.6)
    canvas.stroke(band, hexed("f4f1ea"), 3.0)
    for cup in both(oval(78.4, 48.4, 6.4, 9.6, power=2.8)):
        canvas.shape(cup, hexed("ef5a4c"), shift=(-1.8, -1.8))
        canvas.fill(oval(float(cup[:, 0].mean()), 48.4, 2.4, 4.6), hexed("a8322e"))


def _propeller(canvas: Canvas, fur: Fur) -> None:
    _shade_forehead(canvas, curve((24, 33), (50, 35.4), (76, 33), closed=False))
    dome = _dome(16.4, 31.4, 25.2)
    canvas.shape(dome, hexed("f5cf3d"), shift=(-3.2, -1.4))
    for left, right, colour in ((22, 36, "e5484d"), (50, 64, "2f9be0")):
        canvas.inside(dome, path((50, 12), (right, 36), (left, 36)), hexed(colour))
    canvas.stroke(path((50, 16), (50, 9)), INK, 1.8)
    for blade, colour in zip(
        both(curve((50, 8.6), (58, 5.4), (66, 7), (60, 10))), ("e5484d", "2f9be0"), strict=True
    ):
        canvas.shape(blade, hexed(colour), shift=(-0.4, -1.2), outline=1.2)
    _ = fur


def _flowers(canvas: Canvas, _: Fur) -> None:
    canvas.stroke(
        curve((25, 32), (37, 27.4), (50, 26.6), (63, 27.4), (75, 32), closed=False), hexed("3c8f52"), 3.4
    )
    for x, y, colour in (
        (28, 30.6, "ff8fb4"),
        (39, 26.4, "ffffff"),
        (50, 25.2, "ffb13c"),
        (61, 26.4, "b98cf0"),
        (72, 30.6, "ff8fb4"),
    ):
        for turn in range(5):
            angle = np.radians(turn * 72 - 90)
            petal = oval(x + 2.7 * np.cos(angle), y + 2.7 * np.sin(angle), 2.3, 2.3, steps=20)
            canvas.shape(petal, hexed(colour), shift=(-0.6, -0.6), outline=0.9)
        canvas.shape(oval(x, y, 1.7, 1.7, steps=20), GOLD, shift=(-0.5, -0.5), outline=0.7)


def _captain(canvas: Canvas, _: Fur) -> None:
    top = mirrored((0, 9.6), (14, 10), (27, 14), (31.6, 20), (25, 27), (0, 29))
    canvas.shape(top, WHITE, shade=hexed("c9c6dc"), shift=(-3, -2))
    canvas.shape(_band(24.6, 31, 25), hexed("28345e"), shift=(-1, -1.6))
    canvas.shape(oval(50, 23.4, 4.4, 4.6), GOLD, shift=(-1, -1), outline=1.0)
    _shade_forehead(canvas, curve((29, 35), (50, 38), (71, 35), closed=False))
    canvas.shape(mirrored((0, 32.4), (14, 31.4), (23.6, 31), (19, 36), (0, 38)), BLACK, shift=(-1, -2))


def _wizard(canvas: Canvas, _: Fur) -> None:
    violet = hexed("5a3fa8")
    _shade_forehead(canvas, curve((24, 31), (50, 35), (76, 31), closed=False), 3)
    cone = curve(
        (31, 30), (38, 18), (45, 7), (55, 1.4), (62, 3.4), (57, 7), (58, 14), (65, 24), (69, 30), (50, 33)
    )
    canvas.shape(cone, violet, shift=(-4, -1))
    for x, y in ((46, 16), (54, 22.4), (42, 25)):
        star = [
            (x + r * np.sin(a), y - r * np.cos(a))
            for r, a in zip((2.4, 1.0) * 5, np.linspace(0, 2 * np.pi, 11)[:-1], strict=True)
        ]
        canvas.fill(path(*star), hexed("ffe066"))
    canvas.shape(oval(50, 30.2, 29, 4.4), violet, shift=(-2, -1.8))


HATS: Final[dict[str, tuple[float, Hat]]] = {
    "None": (22, Hat()),
    "Cap": (9, Hat(_cap)),
    "Blue Beanie": (9, Hat(_beanie(hexed("2f7fc0"), hexed("e8eef5"), hexed("f4f6fa")))),
    "Headband": (8, Hat(_headband)),
    "Red Beanie": (7, Hat(_beanie(hexed("c23b34"), hexed("8f2a2c"), None))),
    "Bandana": (7, Hat(_bandana)),
    "Cowboy Hat": (6, Hat(_cowboy)),
    "Headphones": (6, Hat(_headphones)),
    "Party Hat": (5, Hat(_party)),
    "Fez": (4, Hat(_fez)),
    "Captain's Cap": (4, Hat(_captain)),
    "Mohawk": (3, Hat(_mohawk)),
    "Top Hat": (3, Hat(_top_hat)),
    "Propeller Cap": (2, Hat(_propeller)),
    "Flower Crown": (2, Hat(_flowers)),
    "Horns": (1.5, Hat(behind=_horns)),
    "Wizard Hat": (1, Hat(_wizard)),
    "Crown": (1, Hat(_crown)),
    "Halo": (0.5, Hat(_halo)),
}
