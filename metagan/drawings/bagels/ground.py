"""Surfaces under the bagel: tables as patterns, plates and boards as distance fields."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metagan.drawings.painting import Array, blend, fractal, linear, noise, ramp, smoothstep
from metagan.drawings.tracing import Field, smooth_max, smooth_min

GLAZES = (
    (244, 242, 236),
    (240, 232, 214),
    (206, 222, 232),
    (176, 196, 186),
    (92, 116, 140),
    (70, 72, 78),
    (226, 178, 152),
)
CLOTHS = (
    ((236, 230, 218), (150, 60, 52)),
    ((232, 232, 230), (70, 100, 150)),
    ((206, 196, 178), (236, 230, 218)),
    ((150, 168, 170), (220, 224, 220)),
    ((236, 226, 196), (196, 160, 70)),
)


@dataclass(frozen=True)
class Stand:
    """A plate or a board: its field, its top's height, and how to colour points of it."""

    field: dict[str, Field]
    base: float
    paint: Callable[[Array], Array]
    gloss: float


def make_stand(rng: np.random.Generator, name: str, lattice: Array) -> Stand:
    """Make a "plate", a "wooden board", or nothing ("table")."""
    if name == "plate":
        return _plate(rng, lattice)
    if name == "wooden board":
        return _board(rng, lattice)
    return Stand({}, 0.0, lambda points: points, 0.0)


def _plate(rng: np.random.Generator, lattice: Array) -> Stand:
    """A disc with a rising rim, as a surface of revolution of two thick lines."""
    glaze = linear(GLAZES[int(rng.integers(len(GLAZES)))])
    well, rim = float(rng.uniform(1.0, 1.1)), float(rng.uniform(1.38, 1.62))
    rise, banded = float(rng.uniform(0.07, 0.16)), bool(rng.random() < 0.35)
    band = linear((60, 80, 120)) if rng.random() < 0.5 else linear((150, 110, 70))

    def field(points: Array) -> Array:
        rho = np.sqrt(points[0] * points[0] + points[1] * points[1])
        flat = np.maximum(rho - well, 0)
        disc = np.sqrt(flat * flat + (points[2] - 0.035) ** 2)
        along = np.clip(((rho - well) * (rim - well) + (points[2] - 0.035) * rise), 0, None)
        along = np.minimum(along / ((rim - well) ** 2 + rise**2), 1)
        slope = np.sqrt((rho - well - along * (rim - well)) ** 2 + (points[2] - 0.035 - along * rise) ** 2)
        return smooth_min(disc.astype(np.float32), slope.astype(np.float32), 0.05) - np.float32(0.03)

    def paint(points: Array) -> Array:
        rho = np.sqrt(points[0] ** 2 + points[1] ** 2)
        speckle = smoothstep(0.78, 0.86, noise(lattice, points * np.float32(22)))
        colour = glaze[:, None] * (1 - np.float32(0.2) * speckle)
        if banded:
            edge = smoothstep(rim - 0.1, rim - 0.085, rho) * smoothstep(rim - 0.04, rim - 0.05, rho)
            colour = blend(colour, band[:, None], edge)
        return np.asarray(colour, np.float32)

    return Stand({"stand": field}, 0.065, paint, 0.75)


def _board(rng: np.random.Generator, lattice: Array) -> Stand:
    """A slab with rounded corners, or a round one, at a random angle."""
    turn = float(rng.uniform(0, np.pi))
    round_, long, wide = (
        bool(rng.random() < 0.4),
        float(rng.uniform(1.5, 1.9)),
        float(rng.uniform(1.15, 1.35)),
    )
    thickness = float(rng.uniform(0.09, 0.15))
    tone = float(rng.uniform(0.25, 0.75))
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))

    def field(points: Array) -> Array:
        x, y = points[0] * c + points[1] * s, points[1] * c - points[0] * s
        if round_:
            side = np.sqrt(x * x + y * y) - np.float32(long * 0.9)
        else:
            dx, dy = np.abs(x) - np.float32(long - 0.2), np.abs(y) - np.float32(wide - 0.2)
            outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
            side = outside + np.minimum(np.maximum(dx, dy), 0) - np.float32(0.2)
        height = np.abs(points[2] - np.float32(thickness / 2)) - np.float32(thickness / 2)
        return smooth_max(np.asarray(side, np.float32), np.asarray(height, np.float32), 0.05)

    def paint(points: Array) -> Array:
        return wood(lattice, points[0] * c + points[1] * s, points[1] * c - points[0] * s, tone, None)

    return Stand({"stand": field}, thickness, paint, 0.18)


def wood(lattice: Array, along: Array, across: Array, tone: float, plank: float | None) -> Array:
    """Wood of a tone from pale (0) to dark (1), grained along, [3, n]; in planks of a width or in one piece."""
    shade = np.full(along.shape, tone, np.float32)
    gap = np.zeros(along.shape, np.float32)
    if plank is not None:
        number = np.floor(across / np.float32(plank))
        inside = across / np.float32(plank) - number
        shade = shade + (noise(lattice, np.stack([number * 3.7, number * 1.3])) - np.float32(0.5)) * 0.35
        gap = smoothstep(0.03, 0.0, np.minimum(inside, 1 - inside))
        along = along + number * np.float32(5.3)
    warp = fractal(lattice, np.stack([along * 0.7, across * 2.2]), 2)
    rings = 0.5 + 0.5 * np.sin(across * np.float32(16) + warp * np.float32(17))
    fibre = fractal(lattice, np.stack([along * 1.6, across * np.float32(26)]), 2)
    shade = shade + (rings - 0.5) * np.float32(0.14) + (fibre - 0.5) * np.float32(0.34)
    stops = ((0, (228, 190, 140)), (0.35, (190, 138, 86)), (0.7, (120, 76, 44)), (1, (64, 40, 26)))
    return np.asarray(ramp(stops, shade) * (1 - np.float32(0.8) * gap), np.float32)


def paint_table(rng: np.random.Generator, name: str, lattice: Array, points: Array) -> tuple[Array, float]:
    """Colour the table at points, and say how much it shines."""
    turn = float(rng.uniform(0, np.pi))
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x, y = points[0] * c + points[1] * s, points[1] * c - points[0] * s
    if name in {"oak", "walnut"}:
        tone = float(rng.uniform(0.12, 0.42) if name == "oak" else rng.uniform(0.62, 0.95))
        return wood(lattice, x, y, tone, float(rng.uniform(0.55, 1.0))), 0.2
    if name == "marble":
        return _marble(lattice, x, y), 0.5
    if name == "linen":
        return _linen(rng, lattice, x, y), 0.0
    grey = fractal(lattice, np.stack([x * 2.6, y * 2.6]), 5)
    stops = ((0.2, (52, 55, 59)), (0.5, (68, 71, 75)), (0.85, (92, 94, 96)))
    return ramp(stops, grey), 0.12


def _marble(lattice: Array, x: Array, y: Array) -> Array:
    warp = fractal(lattice, np.stack([x, y]), 3)
    vein = np.abs(fractal(lattice, np.stack([x * 0.8 + warp * 2, y * 0.8 - warp * 2 + 9]), 3) - 0.5)
    strength = smoothstep(0.06, 0.0, vein) * np.float32(0.55) + (1 - warp) * np.float32(0.22)
    return ramp(((0, (238, 236, 232)), (0.5, (200, 199, 198)), (1, (140, 141, 146))), strength)


def _linen(rng: np.random.Generator, lattice: Array, x: Array, y: Array) -> Array:
    """A tea towel: a weave too fine to see but for its unevenness, and stripes or checks."""
    ground, stripe = (linear(colour) for colour in CLOTHS[int(rng.integers(len(CLOTHS)))])
    pitch, offset = float(rng.uniform(0.4, 0.7)), float(rng.uniform(0, 1))
    width = float(rng.uniform(0.16, 0.26))

    def stripes(t: Array) -> Array:
        place = np.abs((t / pitch + offset) % 1 - 0.5)
        return smoothstep(width + 0.02, width - 0.02, np.asarray(place, np.float32))

    kind = rng.random()
    if kind < 0.35:
        weight = stripes(x) * np.float32(0.8)
    elif kind < 0.65:
        weight = (stripes(x) + stripes(y)) * np.float32(0.42)
    else:
        weight = np.zeros_like(x)
    weave = noise(lattice, np.stack([x * 26, y * 5])) + noise(lattice, np.stack([x * 5, y * 26])) - 1
    folds = fractal(lattice, np.stack([x * 0.8, y * 0.8]), 2) - np.float32(0.5)
    colour = blend(ground[:, None], stripe[:, None], weight)
    return np.asarray(colour * (1 + np.float32(0.16) * weave + np.float32(0.3) * folds), np.float32)
