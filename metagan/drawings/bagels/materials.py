"""How dough, crumb and fillings look: colour, relief and shine at points of their surfaces."""

from dataclasses import dataclass

import numpy as np

from metagan.drawings.bagels.recipe import Recipe
from metagan.drawings.bagels.shape import Shape
from metagan.drawings.painting import Array, blend, fractal, linear, noise, ramp, smoothstep

CRUST = (
    (0.0, (244, 224, 184)),
    (0.2, (231, 193, 130)),
    (0.4, (209, 152, 82)),
    (0.58, (172, 110, 52)),
    (0.76, (124, 74, 36)),
    (1.0, (70, 43, 26)),
)


@dataclass(frozen=True)
class Look:
    """How points of a surface look; see picture.Surfaces."""

    colour: Array
    gloss: Array
    softness: Array
    relief: float
    grain: float


def paint_bread(recipe: Recipe, shape: Shape, lattice: Array, points: Array, normal: Array) -> Look:
    """Crust outside, crumb where the knife went."""
    crust = _crust(recipe, shape, lattice, points, normal)
    if recipe.traits["serving"] == "whole":
        return crust
    inside = smoothstep(-0.035, -0.01, _depth_inside(shape, points, normal))
    crumb = _crumb(lattice, points)
    return Look(
        blend(crust.colour, crumb, inside),
        np.asarray(crust.gloss * (1 - inside), np.float32),
        crust.softness,
        crust.relief,
        crust.grain,
    )


def _depth_inside(shape: Shape, points: Array, normal: Array) -> Array:
    """Negative on the crust; towards 0 on faces the knife left, which look straight up or down near the cut."""
    flat = smoothstep(0.75, 0.97, np.abs(normal[2]))
    near = smoothstep(0.2, 0.1, np.abs(points[2] - np.float32(shape.cut)))
    return np.asarray(flat * near * 0.1 - 0.1, np.float32)


def _crust(recipe: Recipe, shape: Shape, lattice: Array, points: Array, normal: Array) -> Look:
    """Bake: browner where it faces up, paler at the sides, round the foot and down the hole."""
    height = (points[2] - np.float32(shape.base)) / np.float32(shape.middle - shape.base)
    rho = np.sqrt(points[0] ** 2 + points[1] ** 2)
    patches = fractal(lattice, points * np.float32(2.3), 3) - np.float32(0.5)
    skin = noise(lattice, points * np.float32(13) + np.float32(3)) - np.float32(0.5)
    blister = smoothstep(0.7, 0.84, noise(lattice, points * np.float32(21)))
    bake = (
        np.float32(recipe.browning) + np.float32(0.24) * smoothstep(-0.35, 0.9, normal[2]) - np.float32(0.05)
    )
    contrast = np.float32(0.13 + 0.45 * max(recipe.browning - 0.42, 0))
    bake = bake - contrast * smoothstep(0.95, 0.1, height)
    bake = bake - np.float32(0.16) * smoothstep(0.4, 0.1, rho) * smoothstep(0.95, 0.4, normal[2])
    bake = bake + np.float32(0.27) * patches + np.float32(0.05) * skin - np.float32(0.11) * blister
    colour = ramp(CRUST, np.asarray(bake, np.float32))
    if recipe.traits["topping"] == "cinnamon raisin":
        swirl = np.sin(np.float32(9) * rho + np.float32(14) * patches + np.float32(5) * points[2])
        colour = blend(
            colour, colour * linear((176, 128, 104))[:, None] * 1.4, smoothstep(0.2, 0.9, swirl) * 0.7
        )
    gloss = np.float32(0.5) * smoothstep(-0.1, 0.7, normal[2]) + np.float32(0.12)
    return Look(colour, np.asarray(gloss, np.float32), np.full(rho.shape, 0.35, np.float32), 0.1, 15.0)


def _crumb(lattice: Array, points: Array) -> Array:
    """The cream-coloured inside with its pores, toasted in patches."""
    pores = smoothstep(0.6, 0.75, noise(lattice, points * np.float32(15)))
    toast = smoothstep(0.5, 0.8, fractal(lattice, points * np.float32(3) + np.float32(5), 2))
    pale = ramp(((0, (250, 234, 200)), (1, (226, 176, 108))), toast)
    return np.asarray(pale * (1 - np.float32(0.35) * pores), np.float32)


def paint_filling(name: str, lattice: Array, points: Array) -> Look:
    """Colour one filling by its material's name."""
    count = points.shape[1]
    painters = {
        "cream cheese": _cream_cheese,
        "salmon": _salmon,
        "lettuce": _lettuce,
        "tomato": _tomato,
        "cheddar": _cheddar,
        "egg": _egg,
    }
    colour, gloss, softness, relief, grain = painters[name](lattice, points)
    return Look(
        np.asarray(colour, np.float32),
        np.full(count, gloss, np.float32),
        np.full(count, softness, np.float32),
        relief,
        grain,
    )


Paint = tuple[Array, float, float, float, float]


def _cream_cheese(lattice: Array, points: Array) -> Paint:
    shade = fractal(lattice, points * np.float32(4), 2)
    return ramp(((0.2, (232, 222, 200)), (0.8, (246, 240, 226))), shade), 0.28, 0.5, 0.5, 4.0


def _salmon(lattice: Array, points: Array) -> Paint:
    """Orange flesh with pale bands of fat across it."""
    warp = fractal(lattice, points * np.float32(2), 2)
    angle = np.arctan2(points[1], points[0])
    bands = smoothstep(0.6, 0.95, np.sin(angle * 8 + warp * 12 + points[2] * 16))
    flesh = ramp(((0.2, (224, 84, 44)), (0.8, (244, 128, 84))), warp)
    return blend(flesh, linear((252, 204, 176))[:, None], bands * np.float32(0.7)), 0.7, 0.45, 0.34, 5.0


def _lettuce(lattice: Array, points: Array) -> Paint:
    rho = np.sqrt(points[0] ** 2 + points[1] ** 2)
    shade = fractal(lattice, points * np.float32(6), 2) * np.float32(0.7) + smoothstep(0.85, 1.15, rho) * 0.35
    return (
        ramp(((0.2, (176, 196, 112)), (0.6, (104, 148, 52)), (0.95, (56, 104, 32))), shade),
        0.4,
        0.5,
        0.35,
        8.0,
    )


def _tomato(lattice: Array, points: Array) -> Paint:
    shade = noise(lattice, points * np.float32(7))
    return ramp(((0, (196, 36, 24)), (1, (226, 72, 44))), shade), 0.9, 0.4, 0.1, 6.0


def _cheddar(lattice: Array, points: Array) -> Paint:
    shade = noise(lattice, points * np.float32(3))
    return ramp(((0, (242, 160, 40)), (1, (252, 186, 66))), shade), 0.5, 0.5, 0.06, 4.0


def _egg(lattice: Array, points: Array) -> Paint:
    shade = fractal(lattice, points * np.float32(5), 2)
    return ramp(((0.2, (246, 196, 62)), (0.8, (255, 226, 122))), shade), 0.4, 0.5, 0.4, 7.0
