"""`metagan upscale`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import device_option, out_option

SHOWN = 5


@click.command("upscale", short_help="Enlarge pictures with a network from `train --upscaler`.")
@click.argument("pictures", metavar="PICTURES|DATASET", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--with",
    "weights",
    required=True,
    metavar="FILE|bundled:NAME",
    help="Weights of the upscaler: a file, or a bundled one.",
)
@out_option("Folder for the enlarged pictures: PNG files with the same names.", required=True)
@device_option
def command(pictures: Path, weights: str, out: Path, device: str) -> None:
    """Enlarge a picture, or a folder or zip of pictures, two or four times.

    An upscaler is trained for one kind of picture; `metagan train PICTURES --upscaler x4` trains one for yours. Labels
    of a dataset are kept, so that the folder is a dataset again.

    \b
    metagan upscale samples --with bundled:apes-x4 --out large
    metagan upscale apes.zip --with runs/apes-x4/latest.safetensors --out large
    """
    from metagan.cli.progress import stages
    from metagan.datasets.upscale import upscale_folder
    from metagan.networks.upscaler import load_upscaler
    from metagan.registry.weights_ref import BUNDLED, bundled_weights
    from metagan.sampling.device import choose_device

    name = weights.removeprefix(BUNDLED)
    path = bundled_weights(name) if weights.startswith(BUNDLED) else Path(weights)
    where = choose_device(device)
    upscaler = load_upscaler(path).to(where)
    with stages() as progress:
        report = upscale_folder(
            pictures,
            out,
            upscaler,
            where,
            begin=lambda total: progress.begin("pictures", total),
            advance=progress.advance,
        )
    for skipped, reason in report.skipped[:SHOWN]:
        click.echo(f"left out: {skipped}: {reason}", err=True)
    if len(report.skipped) > SHOWN:
        click.echo(f"left out: {len(report.skipped) - SHOWN} more", err=True)
    count = "1 picture" if report.upscaled == 1 else f"{report.upscaled} pictures"
    click.echo(f"{out}: {count}, {upscaler.config.factor} times the width and height")
