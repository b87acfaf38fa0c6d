"""Options that mean the same in every command."""

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
        """The text as seeds."""
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
        help="Which pictures: seeds and ranges, 0-35,42.",
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
    help="Folder of the site.",
)
base_url_option = click.option(
    "--base-url", help="Where the site will stand, in place of the registry's base_url."
)
images_option = click.option(
    "--images", type=click.IntRange(1), help="Pictures of every subject, in place of the registry's images."
)
templates_option = click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder whose templates win over metagan's own; templates/ beside the registry where there is one.",
)
device_option = click.option(
    "--device", default="auto", help="Where networks run: auto, cpu, cuda, cuda:1 or mps."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "auto"]),
    default="fp32",
    help="Numbers that networks compute in. fp32: pictures are the generator's own. bf16: up to twice as fast where the"
    " processor has it, at a PSNR of at least 40 dB. auto: bf16 where the processor has it.",
)
upscale_option = click.option(
    "--upscale",
    metavar="FILE|bundled:NAME|none",
    help="Enlarge each picture with this upscaler; by default the subject's own, none for a weights file.",
)
offline_option = click.option("--offline", is_flag=True, help="Take remote weights from the cache only.")
