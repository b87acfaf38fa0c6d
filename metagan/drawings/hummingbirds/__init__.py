"""Hummingbirds: bodies traced from signed distance fields, feathered fans blurred by motion, far backgrounds.

Nothing here is a photograph: every picture is drawn from its random numbers, and is free of any licence (CC0).
"""

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.hummingbirds.anatomy import Anatomy, make_anatomy
from metagan.drawings.hummingbirds.backdrop import paint_backdrop
from metagan.drawings.hummingbirds.canvas import Canvas, bounds
from metagan.drawings.hummingbirds.feathers import (
    add_tail,
    add_wing,
    tail_feathers,
    tail_plane,
    wing_feathers,
    wing_plane,
)
from metagan.drawings.hummingbirds.flowers import add_flowers, add_twig
from metagan.drawings.hummingbirds.plumage import paint_bill, paint_body
from metagan.drawings.hummingbirds.recipe import Recipe, draw_recipe, draw_traits
from metagan.drawings.painting import Array, encode, film, make_lattice, shrink, vignette

__all__ = ["draw", "draw_traits"]

SAMPLING = 2  # rays per pixel, along each side
FRAME = 1.19  # half the picture's width, in body lengths


def draw(rng: np.random.Generator, resolution: int) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Draw one hummingbird.

    Args:
        rng: Random number generator; the same state draws the same picture.
        resolution: The picture's side in pixels.

    Returns:
        The picture in sRGB, [resolution, resolution, 3], and its traits.
    """
    recipe = draw_recipe(rng)
    bird, lattice = make_anatomy(recipe), make_lattice(rng)
    size = resolution * SAMPLING
    wing, tail = wing_feathers(rng, recipe), tail_feathers(rng, recipe)
    zoom, centre = aim(rng, recipe, bird)
    canvas = Canvas(
        light=paint_backdrop(rng, recipe.traits["background"], size),
        depth=np.full((size, size), -9, np.float32),
        scale=size / 2 / FRAME * zoom,
        centre=centre,
    )
    if not recipe.perched:
        add_wing(canvas, recipe, bird, wing, -bird.near)
    add_tail(canvas, recipe, bird, tail)
    _add_surroundings(rng, canvas, recipe, bird, lattice)
    _add_body(canvas, recipe, bird, lattice)
    add_wing(canvas, recipe, bird, wing, bird.near)
    exposure = np.float32(rng.uniform(0.74, 0.9)) * vignette(size, 0.12)
    return encode(shrink(film(canvas.light.transpose(1, 2, 0) * exposure[:, :, None]), SAMPLING)), dict(
        recipe.traits
    )


def extremes(recipe: Recipe, bird: Anatomy) -> Array:
    """Bill tip, head, tail tip and, in flight, wing tips in the picture's frame, [3, n]."""
    points = [bird.bill[2][:, None], bird.head[:, None]]
    points.append(tail_plane(bird).place(np.array([[0.6], [0.0]], np.float32)))
    if not recipe.perched:
        tip = np.array([[1.0], [0.2]], np.float32)
        points += [wing_plane(recipe, bird, side, 0.0).place(tip) for side in (1, -1)]
    return np.asarray(bird.turn @ np.concatenate(points, 1), np.float32)


def aim(rng: np.random.Generator, recipe: Recipe, bird: Anatomy) -> tuple[float, tuple[float, float]]:
    """Choose zoom and middle so that bill, tail, wings and the nearest flower are in the picture."""
    there = extremes(recipe, bird)
    if recipe.traits["pose"] == "feeding":
        flower = there[:, :1] + np.array([[recipe.side * 0.28], [0], [0]], np.float32)
        there = np.concatenate([there, flower], 1)
    low, high = there.min(1)[:2], there.max(1)[:2]
    zoom = min(recipe.zoom, 0.95 * 2 * FRAME / float((high - low).max()))
    middle = (low + high) / 2 + rng.normal(0, 0.025, 2)
    return zoom, (float(middle[0]), float(middle[1]))


def _add_surroundings(
    rng: np.random.Generator, canvas: Canvas, recipe: Recipe, bird: Anatomy, lattice: Array
) -> None:
    if recipe.traits["pose"] == "feeding":
        add_flowers(rng, canvas, recipe, bird.turn @ bird.bill[2], lattice)
    if recipe.perched:
        grip = bird.along * np.float32(-0.22) - bird.dorsal * np.float32(0.2 * recipe.plumpness)
        add_twig(rng, canvas, recipe, bird.turn @ grip, lattice)


def _add_body(canvas: Canvas, recipe: Recipe, bird: Anatomy, lattice: Array) -> None:
    back = bird.turn.T
    trunk = np.stack([bird.head, bird.rump, bird.shoulder, bird.bill[0]], 1)
    canvas.add_solid(
        lambda points: bird.field(back @ points),
        bounds(bird.turn @ trunk, 0.36),
        lambda points, normal: paint_body(recipe, bird, lattice, points, normal),
    )
    canvas.add_solid(
        lambda points: bird.bill_field(back @ points),
        bounds(bird.turn @ np.stack(bird.bill, 1), 0.05),
        lambda points, normal: paint_bill(recipe, bird, points, normal),
    )
