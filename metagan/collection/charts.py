"""Draws charts as SVG without scripts, with colours from the page's style sheet for light and dark.

Every chart has a sentence for screen readers, and the report shows its numbers in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 24, 10, 34
_HEIGHT: Final = 240
_ROW: Final = 22  # a horizontal bar's, in pixels
_LABEL: Final = 122  # in front of horizontal bars


@dataclass(frozen=True)
class Series:
    """One collection's values in a chart."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Frame:
    """The place of the data in a chart: a range of x and of y, and the pixels that they fill."""

    x0: float
    x1: float
    y0: float
    y1: float
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM

    def x(self, value: float) -> float:
        """Convert a value to pixels."""
        return self.left + (value - self.x0) / (self.x1 - self.x0 or 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Convert a value to pixels; larger values are higher up."""
        return self.bottom - (value - self.y0) / (self.y1 - self.y0 or 1) * (self.bottom - self.top)


def bars(labels: Sequence[str], counts: Sequence[float], title: str, x_title: str) -> str:
    """Draw upright bars, one for each label; labels are thinned out where they would overlap."""
    frame = Frame(0, len(labels), 0, nice_ticks(0, max([*counts, 1]))[-1])
    step = max(1, math.ceil(len(labels) * 34 / (frame.right - frame.left)))
    parts = _y_axis(frame)
    for index, (label, count) in enumerate(zip(labels, counts, strict=True)):
        x, width = frame.x(index + 0.08), frame.x(index + 0.92) - frame.x(index + 0.08)
        parts.append(_rect(x, frame.y(count), width, frame.bottom - frame.y(count), f"{label}: {count:,.6g}"))
        if index % step == 0:
            parts.append(_text(frame.x(index + 0.5), frame.bottom + 14, label, "middle"))
    return _svg(parts, _HEIGHT, title, x_title)


def histogram(
    edges: Sequence[float], counts: Sequence[float], title: str, x_title: str, *, logs: bool = False
) -> str:
    """Draw bars between edges; with `logs`, edges are exponents of ten and the axis shows the powers."""
    frame = Frame(edges[0], edges[-1], 0, nice_ticks(0, max([*counts, 1]))[-1])
    parts = _y_axis(frame) + _x_axis(frame, logs=logs)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            shown = f"{_power(low)} to {_power(high)}" if logs else f"{low:.4g} to {high:.4g}"
            x, width = frame.x(low) + 0.5, frame.x(high) - frame.x(low) - 1
            parts.append(
                _rect(x, frame.y(count), width, frame.bottom - frame.y(count), f"{shown}: {count:,.0f}")
            )
    return _svg(parts, _HEIGHT, title, x_title)


def horizontal_bars(labels: Sequence[str], counts: Sequence[float], title: str) -> str:
    """Draw horizontal bars with names in front and counts behind them."""
    height = len(labels) * _ROW + 8
    frame = Frame(0, max([*counts, 1]), 0, 1, left=_LABEL, right=WIDTH - 60)
    parts = []
    for index, (label, count) in enumerate(zip(labels, counts, strict=True)):
        y = 4 + index * _ROW
        shown = _brief(label)
        parts.append(_text(_LABEL - 8, y + 15, shown, "end"))
        parts.append(
            _rect(_LABEL, y + 3, max(frame.x(count) - _LABEL, 1), _ROW - 6, f"{label}: {count:,.6g}")
        )
        parts.append(_text(frame.x(count) + 6, y + 15, f"{count:,.6g}", "start"))
    return _svg(parts, height, title)


def density(series: Sequence[Series], title: str, x_title: str) -> str:
    """Draw a line for each series: its Gaussian kernel density, with the bandwidth of Silverman's rule.

    Silverman 1986, Density Estimation, equation 3.31: 0.9 min(sd, interquartile range / 1.34) n^(-1/5).
    """
    known = [one for one in series if len(one.values)]
    low = min(min(one.values) for one in known)
    high = max(max(one.values) for one in known)
    pad = max((high - low) * 0.05, 1)
    grid = np.linspace(low - pad, high + pad, 160)
    lines = [kernel_density(np.asarray(one.values, np.float64), grid) for one in known]
    frame = Frame(grid[0], grid[-1], 0, nice_ticks(0, max(float(line.max()) for line in lines))[-1])
    parts = _y_axis(frame) + _x_axis(frame, whole=True)
    for index, (one, line) in enumerate(zip(known, lines, strict=True)):
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(grid, line, strict=True))
        parts.append(f'<polyline class="line s{index % 6}" points="{path}"/>')
        parts.append(_text(frame.right, frame.top + 12 + index * 15, one.name, "end", f"s{index % 6}"))
    return _svg(parts, _HEIGHT, title, x_title)


def strips(series: Sequence[Series], title: str, x_title: str) -> str:
    """Draw a row of dots for each series on a logarithmic axis; values are logarithms to base 10."""
    values = [value for one in series for value in one.values]
    frame = Frame(math.floor(min(values)), math.ceil(max(values) + 1e-9), 0, 1, left=_LABEL)
    height = len(series) * 64 + _BOTTOM + _TOP
    parts = _x_axis(frame, logs=True, bottom=height - _BOTTOM)
    for index, one in enumerate(series):
        middle = _TOP + 32 + index * 64
        shown = _brief(one.name)
        parts.append(_text(_LABEL - 8, middle + 4, shown, "end"))
        # A fixed golden-ratio jitter: no chance, so that the same collection gives the same chart.
        places = (
            (frame.x(value), middle + (number * 0.618034 % 1 - 0.5) * 44)
            for number, value in enumerate(one.values)
        )
        parts.append(_dots(places, f"s{index % 6}"))
    return _svg(parts, height, title, x_title)


def scatter(x: NDArray[np.float64], y: NDArray[np.float64], title: str, x_title: str, y_title: str) -> str:
    """Draw a dot for each pair; y is a logarithm, and x becomes one if it spans more than a decade."""
    wide = float(x.min()) > 0 and float(x.max() / x.min()) > 10
    x = np.log10(x) if wide else x
    ticks = nice_ticks(float(x.min()), float(x.max()))
    frame = Frame(ticks[0], ticks[-1], math.floor(y.min()), math.ceil(y.max() + 1e-9))
    parts = _x_axis(frame, logs=wide) + _y_axis(frame, logs=True)
    parts.append(_dots(((frame.x(a), frame.y(b)) for a, b in zip(x, y, strict=True)), "s0"))
    return _svg(parts, _HEIGHT, title, x_title, y_title)


def kernel_density(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of values, [n], at places, [m]; see `density`."""
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    quarters = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.34
    spread = min(deviation, quarters) if quarters else deviation
    width = max(0.9 * spread * len(values) ** -0.2, 0.7)  # years are whole: narrower would show only that
    unique, counts = np.unique(values, return_counts=True)
    kernel = np.exp(-0.5 * ((at[:, None] - unique[None, :]) / width) ** 2)
    return np.asarray(kernel @ counts / (len(values) * width * math.sqrt(2 * math.pi)), np.float64)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at least two round, evenly spaced numbers that cover low to high."""
    if not high > low:
        high = low + 1
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _brief(label: str) -> str:
    return label if len(label) <= 19 else f"{label[:18]}…"


def _y_axis(frame: Frame, *, logs: bool = False) -> list[str]:
    ticks = _decades(frame.y0, frame.y1) if logs else nice_ticks(frame.y0, frame.y1)
    parts = []
    for tick in ticks:
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(frame.left - 6, y + 4, _power(tick) if logs else _short(tick), "end"))
    return parts


def _x_axis(
    frame: Frame, *, logs: bool = False, whole: bool = False, bottom: float | None = None
) -> list[str]:
    bottom = frame.bottom if bottom is None else bottom
    ticks = _decades(frame.x0, frame.x1) if logs else nice_ticks(frame.x0, frame.x1)
    parts = [f'<line class="axis" x1="{frame.left}" x2="{frame.right}" y1="{bottom}" y2="{bottom}"/>']
    for tick in ticks:
        if frame.x0 - 1e-9 <= tick <= frame.x1 + 1e-9 and not (whole and tick != int(tick)):
            label = _power(tick) if logs else f"{tick:.0f}" if whole else _short(tick)
            parts.append(_text(frame.x(tick), bottom + 14, label, "middle"))
    return parts


def _decades(low: float, high: float) -> list[float]:
    """Return the exponents of 1, 10, 100 ...; of more numbers over less than two decades."""
    step = max(1, math.ceil((high - low) / 8))
    if high - low < 0.8 and -300 < low < high < 300:  # the difference of larger powers is no number
        ticks = [math.log10(tick) for tick in nice_ticks(power_of_ten(low), power_of_ten(high)) if tick > 0]
        return [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]
    if high - low < 2:
        exponents = range(math.floor(low), math.ceil(high) + 1)
        ticks = [exponent + math.log10(digit) for exponent in exponents for digit in (1, 2, 5)]
        return [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]
    return [float(tick) for tick in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1, step)]


def power_of_ten(exponent: float) -> float:
    """Return 10 to an exponent, kept to what a float holds at full precision: 1e-307 to 1e308."""
    return math.pow(10, min(max(exponent, -307), 308))


def _power(exponent: float) -> str:
    value = power_of_ten(exponent)
    return _short(value) if 1e-3 <= value < 1e6 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g}M"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def _rect(x: float, y: float, width: float, height: float, says: str) -> str:
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="bar" {shape}><title>{escape(says)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str, extra: str = "") -> str:
    name = f' class="{extra}"' if extra else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(text)}</text>'


def _dots(places: Iterable[tuple[float, float]], style: str) -> str:
    path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    return f'<path class="dots {style}" d="{path}"/>'


def _svg(parts: Sequence[str], height: float, title: str, x_title: str = "", y_title: str = "") -> str:
    more = [_text(WIDTH - _RIGHT, height - 4, x_title, "end", "title")] if x_title else []
    if y_title:
        more.append(_text(_LEFT + 4, _TOP + 4, y_title, "start", "title"))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}{''.join(more)}</svg>"
    )
