"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Seeds(click.ParamType[tuple[int, ...]]):
    """Seeds and ranges of them, "0-35,42"."""

    name = "seeds"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse the text of the option."""
        from metagan.seeds import parse_seeds

        try:
            return parse_seeds(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def seeds_option(default: str) -> Decorator:
    """`--seeds 0-35,42`."""
    return click.option(
        "--seeds",
        type=Seeds(),
        default=default,
        metavar="SEEDS",
        help="Seeds of the pictures to draw, with ranges: 0-35,42.",
    )


registry_option = click.option(
    "-r",
    "--registry",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("registry.yaml"),
    help="The registry file.",
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    help="Folder of the built site.",
)
base_url_option = click.option(
    "--base-url", help="Address of the published site; overrides base_url in the registry."
)
images_option = click.option(
    "--images",
    type=click.IntRange(1),
    help="Number of pictures per subject; overrides images in the registry.",
)
templates_option = click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of templates that override metagan's own. By default templates/ next to the registry, if it exists.",
)
device_option = click.option(
    "--device", default="auto", help="Device for the networks: auto, cpu, cuda, cuda:1 or mps."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "auto"]),
    default="fp32",
    help="Number format of the computation. fp32: exact pictures. bf16: up to twice as fast if the "
    "hardware supports it, with a PSNR of at least 40 dB. auto: bf16 if the hardware supports it, "
    "otherwise fp32.",
)
upscale_option = click.option(
    "--upscale",
    metavar="FILE|bundled:NAME|none",
    help="Enlarge each picture with this upscaler; by default the subject's own, none for a weights file.",
)
offline_option = click.option(
    "--offline", is_flag=True, help="Don't download anything; use weights from the cache."
)
