"""Writes an upscaler run's report: one self-contained HTML file with pairs and charts."""

from __future__ import annotations

import dataclasses
from typing import Final

from metagan.networks.upscaler import Upscaler
from metagan.training.report import Charts, write_page
from metagan.training.run_folder import RunFolder
from metagan.training.upscaler.recipe import UpscalerRunConfig

MOST_GRIDS: Final = 20
WEBP_QUALITY: Final = 92  # high, because pairs are compared closely
CHARTS: Final[Charts] = (
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
    """Write an upscaler run's report.html from the run folder's files."""
    own = {
        "config": config,
        "shape": dataclasses.asdict(config.upscaler),
        "recipe": dataclasses.asdict(config.recipe),
        "parameters": sum(p.numel() for p in Upscaler(config.upscaler).parameters()),
    }
    write_page("metagan.training.upscaler", folder, CHARTS, own, most_grids=MOST_GRIDS, quality=WEBP_QUALITY)
