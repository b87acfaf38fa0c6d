"""Flowers to drink from and twigs to sit on."""

from dataclasses import dataclass

import numpy as np

from metagan.drawings.hummingbirds.anatomy import Vector, cone
from metagan.drawings.hummingbirds.canvas import Canvas, bounds
from metagan.drawings.hummingbirds.plumage import light_feathers
from metagan.drawings.hummingbirds.recipe import Colour, Recipe
from metagan.drawings.painting import Array, blend, fractal, linear, noise, smoothstep
from metagan.drawings.tracing import normalize

PETALS: dict[str, tuple[Colour, Colour]] = {
    "scarlet": ((222, 34, 34), (250, 180, 70)),
    "pink": ((236, 96, 150), (250, 226, 190)),
    "orange": ((246, 130, 36), (252, 214, 90)),
    "violet": ((132, 84, 204), (240, 224, 250)),
    "white": ((244, 240, 232), (236, 220, 120)),
}


@dataclass(frozen=True)
class Trumpet:
    """One tubular flower: its mouth's middle, the way it opens, and its measures."""

    mouth: Vector
    axis: Vector
    length: float
    throat: float
    flare: float
    lobes: int

    def frame(self, points: Array) -> tuple[Array, Array, Array]:
        """Distance behind the mouth (negative inside it), distance from the axis, and angle about it."""
        side = normalize(np.cross(self.axis, np.array([0.3, 0.2, 1], np.float32)))
        up = np.cross(self.axis, side).astype(np.float32)
        away = points - self.mouth[:, None]
        x, y = side @ away, up @ away
        return self.axis @ away, np.sqrt(x * x + y * y + np.float32(1e-8)), np.arctan2(y, x)

    def field(self, points: Array) -> Array:
        """Distance to the thin flaring wall, cut into lobes at the mouth."""
        along, rho, angle = self.frame(points)
        lobe = np.abs(np.cos(angle * np.float32(self.lobes / 2)))
        bell = np.float32(self.flare) * np.exp(np.minimum(along, 0.08) / np.float32(0.07))
        taper = np.float32(self.throat) * smoothstep(-self.length, -self.length * 0.35, along)
        radius = bell + taper + np.float32(0.015)
        slope = bell / np.float32(0.07)
        wall = np.abs(rho - radius) / np.sqrt(1 + slope * slope) - np.float32(0.012)
        rim = along - np.float32(0.05) * lobe
        ends = np.maximum(rim, -along - np.float32(self.length))
        return np.asarray(np.maximum(wall, ends) * np.float32(0.75), np.float32)


def add_flowers(
    rng: np.random.Generator, canvas: Canvas, recipe: Recipe, tip: Vector, lattice: Array
) -> None:
    """Put a flower at the bill's tip, more on the same stem, and the stem."""
    away = np.float32(recipe.side)
    slope = float(rng.uniform(-0.5, 0.35))
    axis = normalize(np.array([-away, -slope, rng.uniform(0.15, 0.55)]))
    first = Trumpet(
        tip - axis * np.float32(0.06),
        axis,
        float(rng.uniform(0.34, 0.5)),
        0.07,
        float(rng.uniform(0.085, 0.13)),
        5,
    )
    foot = first.mouth - axis * np.float32(first.length)
    stem = [
        foot + np.array([away * 0.06, 0.5, -0.1], np.float32),
        foot + np.array([away * 0.05, 0, 0], np.float32),
        foot + np.array([-away * 0.05, -2.2, -0.1], np.float32),
    ]
    _add_stem(canvas, recipe, stem)
    colours = PETALS[recipe.traits["flower"]]
    for flower in (*_others(rng, first, foot, away), first):
        _add_trumpet(canvas, recipe, flower, colours, lattice)


def _others(rng: np.random.Generator, first: Trumpet, foot: Vector, away: np.float32) -> list[Trumpet]:
    """Flowers lower and higher on the stem, turned another way."""
    flowers = []
    for rise in (-0.42, 0.36, -0.85):
        if rng.random() < 0.7:
            turned = normalize(
                np.array([away * rng.uniform(-0.8, 1.0), rng.uniform(-0.7, 0.2), rng.uniform(-0.2, 0.8)])
            )
            length = first.length * float(rng.uniform(0.75, 1.0))
            base = foot + np.array([away * 0.04, rise + rng.normal(0, 0.05), -0.05], np.float32)
            flowers.append(
                Trumpet(
                    base + turned * np.float32(length),
                    turned,
                    length,
                    first.throat * 0.9,
                    first.flare * 0.9,
                    first.lobes,
                )
            )
    return flowers


def _add_trumpet(
    canvas: Canvas, recipe: Recipe, flower: Trumpet, colours: tuple[Colour, Colour], lattice: Array
) -> None:
    ends = np.stack([flower.mouth, flower.mouth - flower.axis * np.float32(flower.length)], 1)

    def paint(points: Array, normal: Array) -> Array:
        along, _, angle = flower.frame(points)
        inside = (normal * (points - flower.mouth[:, None] - flower.axis[:, None] * along)).sum(0) < 0
        share = smoothstep(0.04, -0.12, along) * (0.35 + 0.65 * inside)
        veins = noise(lattice, np.stack([angle * 9, along * 6]).astype(np.float32))
        colour = blend(linear(colours[0])[:, None], linear(colours[1])[:, None], share * 0.85)
        calyx = smoothstep(-flower.length * 0.72, -flower.length * 0.86, along)
        colour = blend(colour * (0.78 + 0.4 * veins), linear((96, 132, 60))[:, None], calyx)
        open_ = np.where(inside, 1 - 0.75 * smoothstep(0.02, -0.16, along), 1).astype(np.float32)
        return light_feathers(recipe, colour, normal, open_) * (0.35 + 0.65 * open_)

    canvas.add_solid(flower.field, bounds(ends, flower.flare * 2.6 + 0.1), paint, 40)


def _add_stem(canvas: Canvas, recipe: Recipe, joints: list[Vector]) -> None:
    def field(points: Array) -> Array:
        upper = cone(points, joints[0], joints[1], 0.018, 0.024)
        lower = cone(points, joints[1], joints[2], 0.024, 0.03)
        return np.minimum(upper, lower)

    def paint(points: Array, normal: Array) -> Array:
        return _matt(recipe, np.broadcast_to(linear((88, 128, 58))[:, None], points.shape), normal)

    canvas.add_solid(field, bounds(np.stack(joints, 1), 0.06), paint)


def add_twig(rng: np.random.Generator, canvas: Canvas, recipe: Recipe, grip: Vector, lattice: Array) -> None:
    """Lay a twig under the feet across the picture, with a leaf or two, and the feet on it."""
    slope, thick = float(rng.normal(0, 0.12)), float(rng.uniform(0.035, 0.055))
    ends = [grip + np.array([side * 2.2, side * slope * 2.2 - thick, 0], np.float32) for side in (-1, 1)]
    middle = grip + np.array([0, -thick, 0], np.float32)
    bark = (linear((110, 86, 66)), linear((66, 56, 50)), linear((140, 132, 118)))[int(rng.integers(3))]

    def field(points: Array) -> Array:
        rough = (noise(lattice, points * np.float32(9)) - np.float32(0.5)) * np.float32(0.022)
        left = cone(points, ends[0], middle, thick * 1.15, thick)
        right = cone(points, middle, ends[1], thick, thick * 0.8)
        return np.asarray((np.minimum(left, right) - rough) * np.float32(0.85), np.float32)

    def paint(points: Array, normal: Array) -> Array:
        shade = fractal(lattice, points * np.array([[6], [22], [22]], np.float32), 3)
        return _matt(recipe, bark[:, None] * (np.float32(0.55) + np.float32(0.9) * shade), normal)

    canvas.add_solid(field, bounds(np.stack([*ends, middle], 1), 0.1), paint)
    for _ in range(int(rng.integers(0, 3))):
        side = int(rng.choice([-1, 1]))
        out = np.float32(rng.uniform(0.45, 1.0) * side)
        root = middle + np.array([out, out * slope, 0], np.float32)
        _add_leaf(rng, canvas, recipe, root, side)
    _add_feet(canvas, recipe, grip)


def _matt(recipe: Recipe, colour: Array, normal: Array) -> Array:
    return light_feathers(
        recipe, np.asarray(colour, np.float32), normal, np.ones(normal.shape[1], np.float32)
    )


def _add_leaf(rng: np.random.Generator, canvas: Canvas, recipe: Recipe, root: Vector, side: int) -> None:
    """A pointed leaf: where two balls overlap, pressed flat."""
    lean = rng.uniform(-1.0, 1.0)
    axis = normalize(np.array([side * np.cos(lean), np.sin(lean), rng.uniform(-0.2, 0.4)]))
    face = normalize(np.cross(axis, np.cross(np.array([rng.normal(0, 0.5), 0.6, 1.0]), axis)))
    edge = np.cross(axis, face).astype(np.float32)
    half = np.float32(rng.uniform(0.16, 0.26))
    centre = root + axis * half
    wide = half * np.float32(0.42)
    offset = (half * half - wide * wide) / (2 * wide)
    green = linear((70 + rng.normal(0, 12), 118 + rng.normal(0, 12), 50))

    def field(points: Array) -> Array:
        away = points - centre[:, None]
        x, y, z = axis @ away, np.abs(edge @ away), face @ away
        z = z - x * x * np.float32(0.5) - y * np.float32(0.25)
        lens = np.sqrt(x * x + (y + offset) ** 2) - (offset + wide)
        return np.asarray(np.maximum(lens, np.abs(z) - np.float32(0.012)) * np.float32(0.7), np.float32)

    def paint(points: Array, normal: Array) -> Array:
        rib = smoothstep(0.016, 0.004, np.abs(edge @ (points - centre[:, None])))
        return _matt(recipe, green[:, None] * (1 + np.float32(0.7) * rib), normal)

    canvas.add_solid(field, bounds(np.stack([root, root + axis * half * 2], 1), float(half) * 0.6), paint)


def _add_feet(canvas: Canvas, recipe: Recipe, grip: Vector) -> None:
    """Two small feet, three toes each, over the twig."""
    toes = []
    for foot in (-0.05, 0.06):
        heel = grip + np.array([foot, 0.0, 0.085], np.float32)
        toes += [
            (heel, grip + np.array([foot + out, -0.04, 0.08], np.float32)) for out in (-0.025, 0.0, 0.025)
        ]

    def field(points: Array) -> Array:
        return np.asarray(np.min([cone(points, heel, tip, 0.012, 0.01) for heel, tip in toes], 0), np.float32)

    def paint(points: Array, normal: Array) -> Array:
        return _matt(recipe, np.broadcast_to(linear((84, 66, 60))[:, None], points.shape), normal)

    canvas.add_solid(field, bounds(np.stack([grip], 1), 0.15), paint)
