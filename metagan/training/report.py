"""A run's report: one HTML file with curves and grids in it, to be opened without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from metagan import __version__
from metagan.files import write_bytes
from metagan.training.chart import HEIGHT, WIDTH, Chart, Line, lay_out
from metagan.training.folder import RunConfig, RunFolder

MOST_GRIDS: Final = 40
CHARTS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (
        "Losses",
        {"loss_g": "generator", "loss_fake": "discriminator, made", "loss_real": "discriminator, real"},
    ),
    ("Logits", {"logit_real": "real pictures", "logit_fake": "made pictures"}),
    ("R1: squared gradient of the discriminator", {"r1": "R1"}),
    ("Augmentation strength, and the sign that steers it", {"augment_p": "p", "sign_real": "mean sign"}),
    ("Path length", {"path_length": "mean length"}),
    ("Pictures a second", {"images_per_s": "pictures a second"}),
    (
        "Sliced Wasserstein distance to the real pictures (lower is better)",
        {"distance": "made pictures", "floor_distance": "other real pictures"},
    ),
    (
        "Precision, recall and coverage (higher is better)",
        {"precision": "precision", "recall": "recall", "coverage": "coverage", "density": "density"},
    ),
    ("FID", {"fid": "FID"}),
    ("KID", {"kid": "KID"}),
)


@dataclass(frozen=True)
class Grid:
    """A sheet of pictures at a time of the run, as a data URL."""

    kimg: float
    url: str


def write_report(folder: RunFolder, config: RunConfig) -> None:
    """Write report.html from what the folder holds."""
    environment = Environment(
        loader=PackageLoader("metagan.training", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metrics = folder.read_metrics()
    page = environment.get_template("report.html.j2").render(
        name=folder.path.resolve().name,
        config=config,
        recipe=config.recipe.__dict__,
        latest=_latest(metrics),
        charts=charts(metrics),
        grids=[Grid(kimg, _as_url(path)) for kimg, path in spread(folder.grids(), MOST_GRIDS)],
        reals=_as_url(folder.reals),
        width=WIDTH,
        height=HEIGHT,
        version=__version__,
    )
    write_bytes(folder.report, page.encode())


def charts(metrics: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Every chart that the measurements have something for."""
    drawn = []
    for title, names in CHARTS:
        lines = [
            Line(text, [(line["kimg"], line[name]) for line in metrics if name in line])
            for name, text in names.items()
        ]
        chart = lay_out(title, lines)
        if chart is not None:
            drawn.append(chart)
    return drawn


def spread(entries: Sequence[Any], most: int) -> list[Any]:
    """At most so many entries, evenly spread, the first and the last among them."""
    if len(entries) <= most:
        return list(entries)
    return [entries[round(index * (len(entries) - 1) / (most - 1))] for index in range(most)]


def _latest(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest value of everything measured."""
    values: dict[str, Any] = {}
    for line in metrics:
        values |= line
    return values


def _as_url(path: Path) -> str:
    """A picture file as a data URL, in WebP."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.save(buffer, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
