"""The bagel's signed distance fields: dough, fillings, and what it lies on.

All fields take points [3, n] (z is up, the table is z = 0, the bagel's axis is the z axis) and give
distances [n], scaled down where the true distance is only estimated so that sphere tracing can't overshoot.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.bagels.recipe import Recipe
from metagan.drawings.tracing import Array, Field, smooth_max

CUT = 0.46  # where the knife goes, as a share of the bagel's height


@dataclass(frozen=True)
class Layer:
    """One filling: a rounded disc whose edge and height wave with the angle.

    Attributes:
        material: What it is made of.
        height: Its middle over the cut, in bagel radii.
        thickness: How thick it is.
        edge: Its edge's distance from the axis.
        ripple: How far its edge goes in and out.
        frill: How far its edge goes up and down.
        folds: How many waves go round: a coarse and a fine count.
        phase: Where the waves start.
        inner: Where it begins, as a distance from the axis; 0 covers the hole.
    """

    material: str
    height: float
    thickness: float
    edge: float
    ripple: float
    frill: float
    folds: tuple[int, int]
    phase: tuple[float, float]
    inner: float = 0.0


@dataclass(frozen=True)
class Shape:
    """A bagel ready to be traced: one field for each material, and the height nothing reaches above."""

    parts: dict[str, Field]
    bread: Field
    base: float
    middle: float
    cut: float
    top: float

    def nearest(self, points: Array) -> Array:
        """Distance to the nearest part, [n]."""
        distances = [part(points) for part in self.parts.values()]
        return distances[0] if len(distances) == 1 else np.minimum.reduce(distances)

    def materials(self, points: Array) -> NDArray[np.intp]:
        """Which part each point belongs to: its place in parts, [n]."""
        return np.asarray(np.argmin(np.stack([part(points) for part in self.parts.values()]), 0), np.intp)


def make_shape(recipe: Recipe, stand: dict[str, Field], base: float, layers: tuple[Layer, ...]) -> Shape:
    """Put dough and fillings on a stand whose top is at height base."""
    half_height = recipe.tube * recipe.tallness
    middle = base + 0.86 * half_height
    cut = base + CUT * 1.86 * half_height
    whole = make_ring(recipe, middle)
    serving = recipe.traits["serving"]
    lift = 0.0
    if serving == "whole":
        parts: dict[str, Field] = {"crust": floored(whole, base)}
    else:
        parts = {"crust": between(whole, base, cut)}
        parts |= {f"{layer.material} {k}": make_layer(layer, cut) for k, layer in enumerate(layers)}
    if serving == "sandwich":
        lift = max(layer.height + layer.thickness / 2 for layer in layers) - 0.02
        parts["lid"] = make_lid(recipe, make_ring(recipe, middle), cut, lift)
    bread = parts.get("lid", parts["crust"])
    top = middle + half_height + lift + 0.12
    return Shape(parts | stand, bread, base, middle, cut, top)


def make_ring(recipe: Recipe, middle: float) -> Field:
    """The whole bagel: a torus, irregular, flattened, with a dent where the dough's ends were joined."""
    waves, tall = recipe.waves, np.float32(1 / recipe.tallness)
    join = np.float32(np.cos(recipe.seam)), np.float32(np.sin(recipe.seam))

    def ring(points: Array) -> Array:
        x, y = points[0] * np.float32(recipe.stretch), points[1] * np.float32(2 - recipe.stretch)
        z = points[2] - np.float32(middle)
        rho = np.sqrt(x * x + y * y) + np.float32(1e-6)
        cos, sin = x / rho, y / rho
        radius, tube = np.float32(recipe.ring), np.float32(recipe.tube)
        c, s = cos, sin
        for k in range(4):
            radius = radius + waves[k, 0, 0] * c + waves[k, 0, 1] * s
            tube = tube + waves[k, 1, 0] * c + waves[k, 1, 1] * s
            c, s = c * cos - s * sin, s * cos + c * sin
        if recipe.seam_depth:
            near = np.exp(np.float32(14) * (cos * join[0] + sin * join[1] - 1))
            tube = tube - np.float32(recipe.seam_depth) * near
        across, up = rho - radius, z * tall
        return np.asarray((np.sqrt(across * across + up * up) - tube) * np.float32(0.82), np.float32)

    return ring


def floored(field: Field, floor: float) -> Field:
    """Cut a field off flat below, as what it lies on flattens dough."""
    return lambda points: smooth_max(field(points), np.float32(floor) - points[2], 0.09)


def between(field: Field, floor: float, ceiling: float) -> Field:
    """Keep the part of a field between two heights: the lower half of a sliced bagel."""

    def lower(points: Array) -> Array:
        slab = smooth_max(np.float32(floor) - points[2], points[2] - np.float32(ceiling), 0.05)
        return smooth_max(field(points), slab, 0.04)

    return lower


def make_lid(recipe: Recipe, ring: Field, cut: float, lift: float) -> Field:
    """The upper half, lifted by the fillings and set down a little askew."""
    tilt = np.asarray(recipe.waves[:2, 1, 0] * 1.6, np.float32)
    aside = np.asarray(recipe.waves[2:, 1, 1] * 2.0, np.float32)

    def lid(points: Array) -> Array:
        x, y = points[0] - aside[0], points[1] - aside[1]
        z = points[2] - np.float32(lift) - tilt[0] * x - tilt[1] * y
        return smooth_max(ring(np.stack([x, y, z])), np.float32(cut) - z, 0.04)

    return lid


def make_layer(layer: Layer, cut: float) -> Field:
    """One filling's field."""
    middle = np.float32(cut + layer.height)
    coarse, fine = layer.folds
    half = np.float32(layer.thickness / 2)
    slack = np.float32(0.9 if layer.frill < 0.02 else 0.55)

    def filling(points: Array) -> Array:
        x, y, z = points
        rho = np.sqrt(x * x + y * y)
        angle = np.arctan2(y, x)
        wave = np.sin(coarse * angle + np.float32(layer.phase[0]))
        ripple = np.sin(fine * angle + np.float32(layer.phase[1]))
        edge = np.float32(layer.edge) + np.float32(layer.ripple) * (wave + np.float32(0.6) * ripple)
        sway = np.float32(layer.frill) * ripple * np.clip((rho - 0.55) * 2.2, 0, 1)
        across = rho - edge
        if layer.inner:
            across = np.maximum(across, np.float32(layer.inner) - rho)
        across = across + half
        up = z - middle - sway
        core = np.maximum(across, 0)
        return np.asarray((np.sqrt(core * core + up * up) - half) * slack, np.float32)

    return filling
