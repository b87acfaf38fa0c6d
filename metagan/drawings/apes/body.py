"""Draws the parts that all apes have: shoulders, ears, head, brow, muzzle and nose."""

from __future__ import annotations

from typing import Final

import numpy as np

from metagan.drawings.apes.canvas import INK, Canvas, Path, curve, flipped, mirrored, oval, path
from metagan.drawings.apes.colours import WHITE, Fur, mix

HEAD: Final = mirrored(
    *(
        (0, 20.5),
        (11, 22),
        (20, 27.5),
        (25, 36),
        (26, 45),
        (26.3, 54),
        (25.5, 62),
        (21, 71),
        (11, 78),
        (0, 80),
    )
)
FACE: Final = mirrored(
    *((0, 38.5), (5, 35.6), (12, 34.2), (19, 37.5), (21.6, 44), (20, 52), (17, 60), (8, 66), (0, 67))
)
MUZZLE: Final = mirrored(
    *((0, 52), (7.5, 52.3), (15, 54.5), (21, 60), (22.6, 67), (19.5, 74.8), (11, 80.4), (0, 82))
)
SHOULDERS: Final = mirrored(*((0, 74), (14, 75.5), (24, 79.5), (33, 85), (37.5, 93), (39, 106), (0, 108)))
_CHEEK: Final = path(
    *(
        (72, 50),
        (77.2, 54),
        (75.8, 57),
        (79, 60.5),
        (75.6, 62.5),
        (77.2, 67),
        (72.4, 67.8),
        (72.5, 72.5),
        (64, 72),
    )
)
_CROWN_TUFT: Final = curve(
    (44, 24), (45, 18.6), (48.5, 20.6), (50.5, 15.6), (53.5, 20), (57.5, 18), (56.5, 24)
)


def draw_shoulders(canvas: Canvas, fur: Fur) -> None:
    """Draw bare shoulders and chest."""
    canvas.shape(SHOULDERS, fur.hair, shift=(-4, -2))
    chest = mirrored((0, 84), (9, 85), (16, 90), (18, 100), (0, 108))
    canvas.inside(SHOULDERS, chest, mix(fur.hair, fur.skin, 0.55))
    for side in (1, -1):
        canvas.stroke(path((50 + 24 * side, 93), (50 + 25.5 * side, 104)), INK, (0.6, 1.4))


def draw_ears(canvas: Canvas, fur: Fur) -> None:
    """Draw both ears."""
    for mirror in (flipped, lambda shape: shape):
        canvas.shape(mirror(oval(78.2, 49.5, 8.6, 9.8)), fur.hair, shift=(-2, -2))
        inner = mirror(oval(78.4, 49.8, 5.4, 6.6))
        canvas.fill(inner, fur.lip)
        canvas.inside(inner, mirror(oval(80, 51, 5, 6)), fur.skin)


def draw_head(canvas: Canvas, fur: Fur) -> None:
    """Draw the skull and the skin around the eyes."""
    canvas.shape(_CROWN_TUFT, fur.hair, shift=(-1, -1))
    for cheek in (_CHEEK, flipped(_CHEEK)):
        canvas.shape(cheek, fur.hair, shift=(-1, -1))
    canvas.shape(HEAD, fur.hair, shift=(-3.4, -1.6))
    canvas.inside(HEAD, oval(38, 28, 9, 4.4), mix(fur.hair, WHITE, 0.16))
    canvas.shape(FACE, fur.skin, shift=(-1.6, -1.2), outline=0)


def draw_brow(canvas: Canvas, fur: Fur) -> None:
    """Draw the ridge over the eyes and its shadow."""
    under = mirrored(
        (0, 41.8), (4, 41), (11, 39.2), (18, 40.5), (21, 44.5), (17, 43.4), (10, 42.2), (0, 45.5)
    )
    canvas.inside(FACE, under, mix(fur.skin, fur.lip, 0.75))


def draw_muzzle(canvas: Canvas, fur: Fur) -> None:
    """Draw muzzle and nose; the mouth is drawn later."""
    canvas.shape(MUZZLE, fur.skin, shift=(-2.6, -2.4))
    canvas.inside(MUZZLE, oval(40, 58, 8, 2.6), mix(fur.skin, WHITE, 0.28))
    for side in (1, -1):
        nostril = curve(*((50 + side * x, y) for x, y in ((1.6, 58.6), (4.2, 56.6), (6, 58.4), (3.8, 60.4))))
        canvas.fill(nostril, mix(INK, fur.lip, 0.12))
    canvas.stroke(curve((45.5, 54.6), (50, 53), (54.5, 54.6), closed=False), fur.lip, (0.5, 1.2, 0.5))


def both(shape: Path) -> tuple[Path, Path]:
    """Return a shape and its mirror image."""
    return shape, flipped(shape)


def moved(shape: Path, x: float, y: float = 0.0) -> Path:
    """Move a shape to the right and down."""
    there: Path = shape + np.array([x, y])
    return there
