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
    wing_feathers,
)
from metagan.drawings.hummingbirds.flowers import add_flowers, add_twig
from metagan.drawings.hummingbirds.framing import FRAME, aim
from metagan.drawings.hummingbirds.plumage import paint_bill, paint_body
from metagan.drawings.hummingbirds.recipe import Recipe, draw_recipe
from metagan.drawings.painting import Array, encode, film, make_lattice, shrink, vignette

SAMPLING = 2  # rays per pixel, along each side


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
