"""Where the camera looks, so that all of the bird is in the picture."""

import numpy as np

from metagan.drawings.hummingbirds.anatomy import Anatomy
from metagan.drawings.hummingbirds.feathers import tail_plane, wing_plane
from metagan.drawings.hummingbirds.recipe import Recipe
from metagan.drawings.tracing import Array

FRAME = 1.19  # half the picture's width, in body lengths


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
