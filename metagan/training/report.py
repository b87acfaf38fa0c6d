"""Writes a run's report: one self-contained HTML file with charts and sample sheets."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from metagan import __version__
from metagan.files import real_path, write_bytes
from metagan.images.encode import MOST_SIDE_PX
from metagan.training.run_folder import RunConfig, RunFolder
from metagan.values import counted, text_of

# --------------------------------------------------------------------------------------------
# Line charts as inline SVG, without scripts or external style sheets.

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
    """A tick of an axis: its position in the drawing and its label."""

    place: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart, laid out in the drawing's units.

    Args:
        title: Its title.
        curves: Name and SVG points of each line.
        across: Ticks of the x axis.
        up: Ticks of the y axis.
    """

    title: str
    curves: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def lay_out(title: str, lines: Sequence[Line]) -> Chart | None:
    """Lay out lines in a drawing of WIDTH by HEIGHT; None if there is nothing to draw."""
    thinned = [Line(line.name, thin(line.points)) for line in lines]
    lines = [line for line in thinned if line.points]
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
    """Reduce a line to at most MOST_POINTS points by averaging neighbours; NaN and infinity are left out."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = max(1, math.ceil(len(finite) / MOST_POINTS))
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def round_steps(low: float, high: float) -> list[float]:
    """Return three to seven round numbers that cover `low` to `high`."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


Charts = Sequence[tuple[str, Mapping[str, str]]]
MOST_SHEETS: Final = 40
CHARTS: Final[Charts] = (
    (
        "Losses",
        {"loss_g": "generator", "loss_fake": "discriminator, made", "loss_real": "discriminator, real"},
    ),
    ("Losses of the second discriminator", {"loss_fake_second": "made", "loss_real_second": "real"}),
    ("Logits", {"logit_real": "real pictures", "logit_fake": "made pictures"}),
    (
        "Logits of the second discriminator",
        {"logit_real_second": "real pictures", "logit_fake_second": "made pictures"},
    ),
    ("R1: squared gradient of the discriminator", {"r1": "R1", "r1_second": "of the second"}),
    ("Augmentation strength, and the sign that steers it", {"augment_p": "p", "sign_real": "mean sign"}),
    ("Path length", {"path_length": "mean length"}),
    ("Pictures a second", {"images_per_s": "pictures a second"}),
    (
        "Sliced Wasserstein distance to the real pictures (lower is better)",
        {"distance": "made pictures", "floor_distance": "other real pictures"},
    ),
    (
        "Sliced Wasserstein distance to each collection (lower is better)",
        {"first_distance": "to the first", "second_distance": "to the second"},
    ),
    (
        "Precision and coverage beside each collection (higher is better)",
        {
            "first_precision": "precision, first",
            "second_precision": "precision, second",
            "first_coverage": "coverage, first",
            "second_coverage": "coverage, second",
        },
    ),
    (
        "Precision, recall and coverage (higher is better)",
        {"precision": "precision", "recall": "recall", "coverage": "coverage", "density": "density"},
    ),
    ("FID", {"fid": "FID"}),
    ("KID", {"kid": "KID"}),
)


@dataclass(frozen=True)
class Sheet:
    """A sheet of sample pictures at one point of the run, as a data URL."""

    kimg: float
    url: str


def write_report(folder: RunFolder, config: RunConfig) -> None:
    """Write a generator run's report.html from the run folder's files."""
    reals = [folder.reals] if config.dual is None else [folder.reals, folder.second_reals]
    own = {"config": config, "recipe": config.recipe.__dict__, "reals": [as_url(path) for path in reals]}
    write_page("metagan.training", folder, CHARTS, own, most_sheets=MOST_SHEETS)


def write_page(
    package: str,
    folder: RunFolder,
    charts: Charts,
    own: Mapping[str, object],
    *,
    most_sheets: int,
    quality: int = 85,
) -> None:
    """Write report.html by a package's template, report.html.j2.

    Args:
        package: The package that holds the template.
        folder: The run folder, with measurements and sheets of pictures.
        charts: Each chart's title, and its lines: a metric's name and the text of the legend.
        own: The template's variables that only this kind of report has.
        most_sheets: How many sheets to show at most.
        quality: WebP quality of the sheets, 0 to 100.
    """
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    metrics = folder.read_metrics()
    shared = {
        "name": real_path(folder.path).name,
        "latest": _latest(metrics),
        "charts": _lay_out_all(charts, metrics),
        "sheets": [Sheet(kimg, as_url(path, quality)) for kimg, path in spread(folder.sheets(), most_sheets)],
        "width": WIDTH,
        "height": HEIGHT,
        "version": __version__,
    }
    page = environment.get_template("report.html.j2").render(shared | dict(own))
    write_bytes(folder.report, text_of(page).encode())


def _lay_out_all(charts: Charts, metrics: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return every chart for which there are measurements."""
    drawn = []
    for title, names in charts:
        lines = [
            Line(text, [(line["kimg"], line[name]) for line in metrics if name in line])
            for name, text in names.items()
        ]
        chart = lay_out(title, lines)
        if chart is not None:
            drawn.append(chart)
    return drawn


def spread(entries: Sequence[Any], most: int) -> list[Any]:
    """Return at most `most` evenly spaced entries, including the first and the last."""
    if len(entries) <= most:
        return list(entries)
    return [entries[round(index * (len(entries) - 1) / (most - 1))] for index in range(most)]


def _latest(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the newest value of each metric."""
    values: dict[str, Any] = {}
    for line in metrics:
        values |= line
    return values


def as_url(path: Path, quality: int = 85) -> str:
    """Encode a picture file as a data URL in WebP, of a quality from 0 to 100."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((MOST_SIDE_PX["webp"], MOST_SIDE_PX["webp"]))  # of a sheet that is larger
        image.save(buffer, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
