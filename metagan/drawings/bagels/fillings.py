"""Fillings of a sliced bagel, from the bottom up."""

from collections.abc import Callable

import numpy as np

from metagan.drawings.bagels.recipe import Recipe
from metagan.drawings.bagels.shape import Layer


def draw_layers(rng: np.random.Generator, recipe: Recipe) -> tuple[Layer, ...]:
    """Draw the fillings a recipe's traits name; none for a whole bagel."""
    serving, filling = recipe.traits["serving"], recipe.traits["filling"]
    if serving == "whole":
        return ()
    if serving == "open half":
        return _spread(rng, recipe)
    stacks: dict[str, Callable[[np.random.Generator], tuple[Layer, ...]]] = {
        "cream cheese": _cream_cheese,
        "salmon and cream cheese": _salmon,
        "lettuce and tomato": _lettuce,
        "egg and cheese": _egg,
    }
    return stacks[filling](rng)


def _layer(
    rng: np.random.Generator,
    material: str,
    height: float,
    thickness: float,
    edge: float,
    waves: tuple[float, float],
    folds: tuple[int, int],
    inner: float = 0.0,
) -> Layer:
    phase = (float(rng.uniform(0, 6.28)), float(rng.uniform(0, 6.28)))
    spread = float(rng.normal(0, 0.012))
    return Layer(material, height, thickness, edge + spread, waves[0], waves[1], folds, phase, inner)


def _spread(rng: np.random.Generator, recipe: Recipe) -> tuple[Layer, ...]:
    """Cream cheese on an open half keeps clear of the hole and shows the crumb round its edge."""
    inner = recipe.ring - recipe.tube * 0.62
    edge = recipe.ring + recipe.tube * 0.72
    cheese = _layer(rng, "cream cheese", 0.03, 0.15, edge, (0.022, 0.0), (3, 7), inner)
    if recipe.traits["filling"] == "cream cheese":
        return (cheese,)
    return (cheese, _layer(rng, "salmon", 0.115, 0.1, edge - 0.03, (0.022, 0.045), (3, 5), inner + 0.01))


def _cream_cheese(rng: np.random.Generator) -> tuple[Layer, ...]:
    thickness = float(rng.uniform(0.17, 0.25))
    return (_layer(rng, "cream cheese", thickness / 2 - 0.02, thickness, 0.99, (0.025, 0.008), (4, 7)),)


def _salmon(rng: np.random.Generator) -> tuple[Layer, ...]:
    return (
        _layer(rng, "cream cheese", 0.055, 0.14, 0.98, (0.02, 0.008), (4, 7)),
        _layer(rng, "salmon", 0.165, 0.085, 1.03, (0.04, 0.03), (3, 8)),
        _layer(rng, "salmon", 0.24, 0.08, 1.01, (0.045, 0.03), (4, 7)),
    )


def _lettuce(rng: np.random.Generator) -> tuple[Layer, ...]:
    return (
        _layer(rng, "cheddar", 0.03, 0.05, 1.02, (0.02, 0.0), (4, 4)),
        _layer(rng, "tomato", 0.115, 0.1, 0.97, (0.02, 0.0), (2, 3)),
        _layer(rng, "lettuce", 0.215, 0.045, 1.07, (0.03, 0.04), (7, 13)),
    )


def _egg(rng: np.random.Generator) -> tuple[Layer, ...]:
    return (
        _layer(rng, "egg", 0.08, 0.17, 1.0, (0.03, 0.018), (3, 7)),
        _layer(rng, "cheddar", 0.19, 0.05, 1.02, (0.035, -0.05), (2, 4)),
    )
