"""Writes an upscaler run's report: one self-contained HTML file with pairs and charts."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from metagan import __version__
from metagan.files import write_bytes
from metagan.networks.upscaler import Upscaler
from metagan.training.report import HEIGHT, WIDTH, Chart, Grid, Line, lay_out, spread
from metagan.training.run_folder import RunFolder
from metagan.training.upscaler.recipe import UpscalerRunConfig

MOST_GRIDS: Final = 20
WEBP_QUALITY: Final = 92  # high, because pairs are compared closely
CHARTS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    ("PSNR of held-out originals, dB (higher is better)", {"psnr": "upscaled", "lanczos_psnr": "Lanczos"}),
    ("SSIM of held-out originals (higher is better)", {"ssim": "upscaled", "lanczos_ssim": "Lanczos"}),
    (
        "Distances",
        {"loss_pixel": "to the original", "loss_cycle": "generated, made small again"},
    ),
    ("Perceptual loss", {"loss_perceptual": "discriminator's features"}),
    (
        "Adversarial losses",
        {"loss_adversarial": "upscaler", "loss_fake": "discriminator, upscaled", "loss_real": "original"},
    ),
    ("Crops a second", {"images_per_s": "crops a second"}),
)


def write_upscaler_report(folder: RunFolder, config: UpscalerRunConfig) -> None:
    """Write report.html from the run folder's files."""
    environment = Environment(
        loader=PackageLoader("metagan.training.upscaler", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metrics = folder.read_metrics()
    latest: dict[str, Any] = {}
    for line in metrics:
        latest |= line
    page = environment.get_template("report.html.j2").render(
        name=folder.path.resolve().name,
        config=config,
        shape=dataclasses.asdict(config.upscaler),
        recipe=dataclasses.asdict(config.recipe),
        parameters=sum(p.numel() for p in Upscaler(config.upscaler).parameters()),
        latest=latest,
        charts=_charts(metrics),
        grids=[Grid(kimg, _as_url(path)) for kimg, path in spread(folder.grids(), MOST_GRIDS)],
        width=WIDTH,
        height=HEIGHT,
        version=__version__,
    )
    write_bytes(folder.report, page.encode())


def _charts(metrics: Sequence[Mapping[str, Any]]) -> list[Chart]:
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


def _as_url(path: Path) -> str:
    """Encode a sheet as a data URL in WebP."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.save(buffer, "WEBP", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
