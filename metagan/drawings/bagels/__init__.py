"""Bagels: sphere-traced tori of dough under a soft light, with toppings and fillings.

Nothing here is a photograph: every picture is drawn from its random numbers, and is free of any licence (CC0).
"""

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.bagels.fillings import draw_layers
from metagan.drawings.bagels.grains import MIXES, ring_starts, strew
from metagan.drawings.bagels.ground import Stand, make_stand, paint_table
from metagan.drawings.bagels.materials import Look, paint_bread, paint_filling
from metagan.drawings.bagels.picture import Surfaces, add_grains, develop, look, shade
from metagan.drawings.bagels.recipe import Recipe, draw_recipe, draw_traits
from metagan.drawings.bagels.shape import Shape, make_shape
from metagan.drawings.painting import Array, fractal, make_lattice
from metagan.drawings.tracing import normalize, normals, trace

__all__ = ["draw", "draw_traits"]

SAMPLING = 2  # rays per pixel, along each side


def draw(rng: np.random.Generator, resolution: int) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Draw one bagel.

    Args:
        rng: Random number generator; the same state draws the same picture.
        resolution: The picture's side in pixels.

    Returns:
        The picture in sRGB, [resolution, resolution, 3], and its traits.
    """
    recipe = draw_recipe(rng)
    lattice = make_lattice(rng)
    stand = make_stand(rng, recipe.traits["stand"], lattice)
    shape = make_shape(recipe, stand.field, stand.base, draw_layers(rng, recipe))
    height = (shape.base + shape.top - 0.12) / 2 - 0.05
    surfaces = look(resolution * SAMPLING, recipe.elevation, recipe.zoom, recipe.shift, height)
    colour, gloss = paint_table(rng, recipe.traits["table"], lattice, surfaces.points)
    surfaces.colour[:], surfaces.gloss[:] = colour, gloss
    _add_solids(surfaces, recipe, shape, stand, lattice)
    _add_toppings(rng, surfaces, recipe, shape)
    light = shade(surfaces, recipe, shape.nearest, shape.top)
    return develop(light, surfaces.size_px, SAMPLING, rng), dict(recipe.traits)


def _add_solids(surfaces: Surfaces, recipe: Recipe, shape: Shape, stand: Stand, lattice: Array) -> None:
    """Trace the bagel and its stand, and paint what the rays hit."""
    near = ((np.float32(shape.top) - surfaces.origin[2]) / surfaces.rays[2]).astype(np.float32)
    depth = trace(shape.nearest, surfaces.origin, surfaces.rays, near, surfaces.depth)
    hit = np.flatnonzero(np.isfinite(depth))
    points = surfaces.origin + surfaces.rays[:, hit] * depth[hit]
    normal, part = normals(shape.nearest, points), shape.materials(points)
    surfaces.depth[hit] = depth[hit]
    for number, name in enumerate(shape.parts):
        mine = part == number
        if mine.any():
            where, at = hit[mine], points[:, mine]
            painted = _paint(name, recipe, shape, stand, lattice, at, normal[:, mine])
            surfaces.normal[:, where] = _roughen(normal[:, mine], at, painted, lattice)
            surfaces.colour[:, where], surfaces.gloss[where] = painted.colour, painted.gloss
            surfaces.softness[where] = painted.softness


def _paint(
    name: str, recipe: Recipe, shape: Shape, stand: Stand, lattice: Array, points: Array, normal: Array
) -> Look:
    if name == "stand":
        flat = np.zeros(points.shape[1], np.float32)
        return Look(stand.paint(points), flat + np.float32(stand.gloss), flat, 0.0, 1.0)
    if name in {"crust", "lid"}:
        return paint_bread(recipe, shape, lattice, points, normal)
    return paint_filling(name.rsplit(" ", 1)[0], lattice, points)


def _roughen(normal: Array, points: Array, painted: Look, lattice: Array) -> Array:
    """Tilt normals by the slope of a noise, as small dents and bubbles do."""
    if not painted.relief:
        return normal
    scale, step = np.float32(painted.grain), np.float32(0.02)
    here = fractal(lattice, points * scale, 2)
    slope = np.stack(
        [
            fractal(lattice, (points + axis[:, None]) * scale, 2) - here
            for axis in np.eye(3, dtype=np.float32) * step
        ]
    )
    return normalize(normal - slope * np.float32(painted.relief / painted.grain / step * 2))


def _add_toppings(rng: np.random.Generator, surfaces: Surfaces, recipe: Recipe, shape: Shape) -> None:
    """Strew seeds over the crust; on an open half, green things over the spread instead."""
    mix = MIXES[recipe.traits["topping"]]
    on, height, spread = shape.bread, shape.middle, 0.62
    if recipe.traits["serving"] == "sandwich":
        height = shape.top - 0.12 - recipe.tube * recipe.tallness
    if recipe.traits["serving"] == "open half":
        on, height, spread = shape.nearest, shape.cut, 0.4
    if mix:
        starts = ring_starts(rng, recipe.ring, recipe.tube, height, spread)
        for kind, share in mix:
            add_grains(surfaces, strew(rng, kind, share, starts, on), recipe.light)
