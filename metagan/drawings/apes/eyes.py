"""Eyes, glasses and other eyewear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from metagan.drawings.apes.body import both, moved
from metagan.drawings.apes.canvas import INK, Canvas, Path, arc, curve, oval, path
from metagan.drawings.apes.colours import BLACK, GOLD, WHITE, Colour, Fur, hexed, mix

Eyes = Callable[[Canvas, Fur], None]
LEFT, RIGHT, LEVEL = 40.6, 59.4, 46.2
_RX, _RY = 6.4, 6.0


def _ball(centre: float, rx: float = _RX, ry: float = _RY) -> Path:
    return oval(centre, LEVEL, rx, ry, power=2.2)


def _open(
    canvas: Canvas,
    iris: Colour,
    *,
    look: tuple[float, float] = (0.0, 0.4),
    pupil: float = 2.0,
    white: Colour = WHITE,
) -> None:
    for centre in (LEFT, RIGHT):
        ball = _ball(centre)
        canvas.shape(ball, white, shade=mix(white, (60, 50, 110), 0.22), shift=(1.2, 1.8), outline=1.3)
        inner = oval(centre, LEVEL, _RX - 0.6, _RY - 0.6, power=2.2)
        x, y = centre + look[0], LEVEL + look[1]
        canvas.inside(inner, oval(x, y, 3.7, 3.7), mix(iris, BLACK, 0.45))
        canvas.inside(inner, oval(x + 0.3, y + 0.4, 3.0, 3.0), iris)
        canvas.inside(inner, oval(x, y, pupil, pupil), INK)
        canvas.inside(inner, oval(x - 1.3, y - 1.5, 1.15, 1.15), WHITE)


def _lid(canvas: Canvas, fur: Fur, left: Path) -> None:
    # `left` covers the left eye; its lower edge is drawn, clipped to the eye.
    for lid, centre in zip(both(left), (LEFT, RIGHT), strict=True):
        ball = grown_ball(centre)
        canvas.inside(ball, moved(lid, 0, 1.3), INK)
        canvas.inside(ball, lid, mix(fur.skin, fur.lip, 0.8))


def grown_ball(centre: float) -> Path:
    """Return the eye's shape inside its outline."""
    return oval(centre, LEVEL, _RX - 0.55, _RY - 0.55, power=2.2)


def _calm(iris: Colour) -> Eyes:
    def draw(canvas: Canvas, fur: Fur) -> None:
        _open(canvas, iris, look=(0, 0.8))
        _lid(canvas, fur, path((30, 36), (50, 36), (50, 42.2), (40, 41.4), (30, 43.4)))

    return draw


def _bored(canvas: Canvas, fur: Fur) -> None:
    _open(canvas, hexed("8a5a2c"), look=(0, 1.4))
    _lid(canvas, fur, path((30, 36), (50, 36), (50, 46.2), (30, 46.2)))


def _sleepy(canvas: Canvas, fur: Fur) -> None:
    _open(canvas, hexed("6d7c4a"), look=(0, 2.6))
    _lid(canvas, fur, path((30, 36), (50, 36), (50, 46.4), (30, 48.8)))
    for bag in both(arc(LEFT, LEVEL + 3.4, 5.6, 4.6, 35, 145)):
        canvas.stroke(bag, fur.lip, (0.3, 1.0, 0.3))


def _angry(canvas: Canvas, fur: Fur) -> None:
    _open(canvas, hexed("a8442a"), look=(0.0, 1.0), pupil=1.6)
    _lid(canvas, fur, path((30, 36), (50, 36), (50, 48.4), (30, 41.2)))
    for brow in both(path((32.5, 39.2), (47, 44.4))):
        canvas.stroke(brow, INK, (1.6, 3.0))


def _wide(canvas: Canvas, _: Fur) -> None:
    for centre in (LEFT, RIGHT):
        canvas.shape(
            oval(centre, LEVEL, 7.4, 7.6), WHITE, shade=hexed("cfcbe6"), shift=(1.2, 1.8), outline=1.3
        )
        canvas.fill(oval(centre, LEVEL, 2.1, 2.1), INK)
        canvas.fill(oval(centre - 0.8, LEVEL - 0.8, 0.7, 0.7, steps=12), WHITE)


def _side(canvas: Canvas, fur: Fur) -> None:
    _open(canvas, hexed("8a5a2c"), look=(2.6, 0.6))
    _lid(canvas, fur, path((30, 36), (70, 36), (70, 43.4), (30, 43.4)))


def _closed(canvas: Canvas, fur: Fur) -> None:
    for lid in both(arc(LEFT, LEVEL - 1.6, 6.2, 5, 15, 165)):
        canvas.stroke(lid, INK, (1.0, 2.0, 1.0))
    for shadow_line in both(arc(LEFT, LEVEL - 1, 6.4, 4.6, 200, 340)):
        canvas.stroke(shadow_line, fur.lip, (0.4, 1.2, 0.4))


def _wink(canvas: Canvas, fur: Fur) -> None:
    _open(canvas, hexed("4f7fb0"))
    canvas.fill(oval(RIGHT, LEVEL, _RX + 1.2, _RY + 1.2), fur.skin)
    canvas.stroke(arc(RIGHT, LEVEL + 2.6, 6.2, 5, 195, 345), INK, (1.0, 2.0, 1.0))


def _hypnotized(canvas: Canvas, _: Fur) -> None:
    for centre in (LEFT, RIGHT):
        canvas.shape(_ball(centre), WHITE, outline=1.3)
        for radius, colour in ((4.6, hexed("7a3fb0")), (3.4, WHITE), (2.2, hexed("7a3fb0")), (1.0, WHITE)):
            canvas.fill(oval(centre, LEVEL, radius, radius), colour)


def _hearts(canvas: Canvas, _: Fur) -> None:
    half = ((0, 42.6), (2.2, 40.2), (5.6, 40.2), (7, 43.4), (5.4, 47.2), (0, 52.6))
    for centre in (LEFT, RIGHT):
        right = [(centre + x, y) for x, y in half]
        left = [(centre - x, y) for x, y in reversed(half[1:-1])]
        canvas.shape(curve(*right, *left), hexed("ee3f62"), shift=(-1.4, -1.4))
        canvas.fill(turned_spark(centre - 3.2, 43.6), hexed("ffd0da"))


def turned_spark(x: float, y: float) -> Path:
    """Return a small highlight."""
    return oval(x, y, 1.3, 0.9, steps=12)


def _laser(canvas: Canvas, _: Fur) -> None:
    for centre in (LEFT, RIGHT):
        canvas.shape(_ball(centre), hexed("ff5a3c"), shift=(0, -1), outline=1.3)
    beam = path((RIGHT, LEVEL - 2.4), (104, LEVEL + 7), (104, LEVEL + 15), (RIGHT, LEVEL + 2.4))
    for ray in (moved(beam, LEFT - RIGHT), beam):
        canvas.blend(ray, hexed("ff3b30"), 0.72)
        canvas.blend((ray - ray.mean(0)) * np.array([1, 0.4]) + ray.mean(0), hexed("ffd9b0"), 0.85)
    for centre in (LEFT, RIGHT):
        canvas.fill(oval(centre, LEVEL, 3, 3), hexed("fff0c8"))


def _lens(
    canvas: Canvas, lens: Path, colour: Colour, glint: Colour, frame: Colour = INK, rim: float = 1.8
) -> None:
    canvas.shape(lens, colour, shift=(-1.2, -2.4), outline=rim, ink=frame)
    x, y = lens.mean(0)
    canvas.inside(
        lens, path((x - 4.6, y + 5), (x - 0.6, y - 6), (x + 1.6, y - 6), (x - 2.4, y + 5)), glint, 0.75
    )


def _temples(canvas: Canvas, colour: Colour, width: float = 1.8) -> None:
    for arm in both(path((33, 44.4), (25.5, 42.6))):
        canvas.stroke(arm, colour, width)
    canvas.stroke(curve((46, 44.6), (50, 43.2), (54, 44.6), closed=False), colour, width)


def _shades(colour: Colour, glint: Colour, frame: Colour = INK) -> Eyes:
    def draw(canvas: Canvas, _: Fur) -> None:
        _temples(canvas, frame, 2.2)
        lens = curve((31.4, 41.4), (40, 40.2), (48, 41.6), (48.4, 46), (45.2, 51.6), (38, 52.4), (32.6, 49))
        for glass in both(lens):
            _lens(canvas, glass, colour, glint, frame, 2.0)

    return draw


def _round_glasses(canvas: Canvas, _: Fur) -> None:
    _open(canvas, hexed("5f7f46"))
    _temples(canvas, GOLD, 1.4)
    for centre in (LEFT, RIGHT):
        ring = np.concatenate([arc(centre, LEVEL, 8.4, 8.2, 0, 360, 48)])
        canvas.blend(ring, hexed("e9f4ff"), 0.22)
        canvas.stroke(ring, mix(GOLD, INK, 0.75), 2.4)
        canvas.stroke(ring, GOLD, 1.2)


def _three_d(canvas: Canvas, _: Fur) -> None:
    frame = path((29.5, 39.5), (70.5, 39.5), (70, 53), (54, 53), (51.4, 48), (48.6, 48), (46, 53), (30, 53))
    _temples(canvas, INK, 2.4)
    canvas.shape(frame, WHITE, shift=(0, -1.2))
    for centre, colour in ((LEFT - 1, hexed("e5393f")), (RIGHT + 1, hexed("2f8fe0"))):
        _lens(canvas, oval(centre, LEVEL, 6.6, 4.6, power=5), colour, WHITE, INK, 1.0)


def _visor(canvas: Canvas, _: Fur) -> None:
    band = path((24.4, 40.6), (75.6, 40.6), (76, 46), (75.2, 51), (24.8, 51), (24, 46))
    canvas.shape(band, hexed("ff4f72"), shift=(0, -3.2))
    canvas.inside(band, path((27, 42.4), (60, 42.4), (58, 44.4), (27, 44.4)), hexed("ffd2da"), 0.9)
    canvas.inside(band, path((62, 42.4), (66, 42.4), (64, 44.4), (60.6, 44.4)), hexed("ffd2da"), 0.9)


def _patch(canvas: Canvas, fur: Fur) -> None:
    _bored(canvas, fur)
    for ends in (((66, 42), (76, 35)), ((53.6, 42.6), (27, 32.5))):
        canvas.stroke(path(*ends), INK, 1.8)
    canvas.shape(
        curve((52, 41), (60, 39.4), (68, 41), (67.4, 48), (60.6, 53.4), (53.4, 49)), BLACK, shift=(-2, -2)
    )


def _monocle(canvas: Canvas, fur: Fur) -> None:
    _side(canvas, fur)
    ring = arc(RIGHT, LEVEL, 8.6, 8.4, 0, 360, 48)
    canvas.stroke(curve((67.6, 49), (71.5, 57), (72, 66), (74, 78), closed=False), mix(GOLD, INK, 0.35), 1.0)
    canvas.blend(ring, hexed("e9f4ff"), 0.14)
    canvas.stroke(ring, INK, 2.8)
    canvas.stroke(ring, GOLD, 1.5)


def _goggles(canvas: Canvas, _: Fur) -> None:
    for strap in both(path((23.8, 42), (32, 42.8), (32, 49.6), (23.8, 50))):
        canvas.shape(strap, hexed("6b4a34"), shift=(0, -1))
    for centre in (LEFT - 0.4, RIGHT + 0.4):
        canvas.shape(oval(centre, LEVEL, 9, 8.6, power=2.4), hexed("b9873f"), shift=(-1.4, -1.4))
        _lens(canvas, oval(centre, LEVEL, 6.2, 5.8), hexed("58c2b4"), WHITE, INK, 1.2)


EYES: Final[dict[str, tuple[float, Eyes]]] = {
    "Calm": (14, _calm(hexed("8a5a2c"))),
    "Bored": (14, _bored),
    "Sleepy": (9, _sleepy),
    "Side Glance": (8, _side),
    "Angry": (8, _angry),
    "Wide": (7, _wide),
    "Blue": (7, _calm(hexed("2f86d8"))),
    "Sunglasses": (6, _shades(BLACK, hexed("8f8aa8"))),
    "Closed": (5, _closed),
    "Wink": (4, _wink),
    "Round Glasses": (4, _round_glasses),
    "Aviators": (3, _shades(hexed("e0903a"), hexed("ffe3b0"), hexed("8a5f18"))),
    "3D Glasses": (2.5, _three_d),
    "Eyepatch": (2.5, _patch),
    "Goggles": (2, _goggles),
    "Visor": (1.5, _visor),
    "Monocle": (1, _monocle),
    "Hypnotized": (0.75, _hypnotized),
    "Hearts": (0.75, _hearts),
    "Laser": (0.5, _laser),
}
