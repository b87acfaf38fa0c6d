"""Line charts as inline SVG: no script, no style sheet from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 10.0, 26.0
MOST_POINTS = 400


@dataclass(frozen=True)
class Line:
    """One curve.

    Args:
        name: For the legend.
        points: (x, y), by x.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: its place in the drawing and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart, laid out in the drawing's own units.

    Args:
        title: What it shows.
        curves: Name and SVG points of each line.
        across: The x axis' marks.
        up: The y axis' marks.
    """

    title: str
    curves: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def lay_out(title: str, lines: Sequence[Line]) -> Chart | None:
    """Place lines in a drawing of WIDTH by HEIGHT; None when there is nothing to draw."""
    lines = [Line(line.name, thin(line.points)) for line in lines if line.points]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_ticks, y_ticks = round_steps(min(xs), max(xs)), round_steps(min(ys), max(ys))
    x_range = (min(*xs, x_ticks[0]), max(*xs, x_ticks[-1]))
    y_range = (y_ticks[0], y_ticks[-1])

    def place_x(x: float) -> float:
        return round(LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT), 1)

    def place_y(y: float) -> float:
        return round(
            HEIGHT - BOTTOM - (y - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM), 1
        )

    curves = tuple(
        (line.name, " ".join(f"{place_x(x)},{place_y(y)}" for x, y in line.points)) for line in lines
    )
    across = tuple(Tick(place_x(x), f"{x:g}") for x in x_ticks)
    return Chart(title, curves, across, tuple(Tick(place_y(y), f"{y:g}") for y in y_ticks))


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS points, each the mean of its neighbours; what is no number is left out."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = max(1, math.ceil(len(finite) / MOST_POINTS))
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def round_steps(low: float, high: float) -> list[float]:
    """Three to seven round numbers from at most `low` to at least `high`."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]
