"""`metagan upscale`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import Number, Whole, device_option, out_option
from metagan.values import counted

SHOWN = 5


@click.command(
    "upscale", short_help="Enlarge pictures with a network of `train --upscaler`, or another program's."
)
@click.argument("pictures", metavar="PICTURES|DATASET", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--with",
    "weights",
    required=True,
    metavar="FILE|bundled:NAME",
    help="Weights of the upscaler: metagan's own, a bundled one, or another program's of the ESRGAN family.",
)
@out_option("Folder for the enlarged pictures: PNG files with the same names.", required=True)
@click.option(
    "--denoise",
    type=click.Choice(["none", "before", "after", "both"]),
    default="none",
    help="Remove noise by non-local means, before or after pictures are enlarged.",
)
@click.option(
    "--noise-level",
    type=Number(0, 100, min_open=True),
    help="Standard deviation of the noise, in levels of 255. By default it is estimated for each picture.",
)
@click.option(
    "--tile",
    type=Whole(16, 8192),
    help="Side in pixels of the tiles in which another program's network takes pictures. By default what memory has"
    " room for.",
)
@click.option(
    "--memory",
    "memory_gib",
    type=Number(0, 1 << 20, min_open=True),
    help="Most memory that a tile may take, in GiB. By default most of what is free.",
)
@device_option
def command(
    pictures: Path,
    weights: str,
    out: Path,
    denoise: str,
    noise_level: float | None,
    tile: int | None,
    memory_gib: float | None,
    device: str,
) -> None:
    """Enlarge a picture, or a folder or zip of pictures.

    metagan's upscalers enlarge two or four times, and are trained for one kind of picture; `metagan train PICTURES
    --upscaler x4` trains one for yours. Other programs' (ESRGAN, Real-ESRGAN, SwinIR and relatives) are read without
    running anything in them. Labels of a dataset are kept, so that the folder is a dataset again.

    \b
    metagan upscale samples --with bundled:apes-x4 --out large
    metagan upscale apes.zip --with runs/apes-x4/latest.safetensors --out large
    metagan upscale samples --with RealESRGAN_x4plus.pth --denoise both --out large
    """
    from metagan.cli.progress import note, stages
    from metagan.datasets.store import say_repeated
    from metagan.datasets.upscale import upscale_folder
    from metagan.registry.weights_ref import BUNDLED, bundled_weights
    from metagan.sampling.denoise import Denoising
    from metagan.sampling.device import choose_device
    from metagan.sampling.foreign_upscaler import ForeignUpscaler
    from metagan.sampling.upscale import open_upscaler

    if noise_level is not None and denoise == "none":
        raise click.UsageError("--noise-level is of the noise that --denoise removes; give --denoise too")
    name = weights.removeprefix(BUNDLED)
    path = bundled_weights(name) if weights.startswith(BUNDLED) else Path(weights)
    where = choose_device(device)
    most = None if memory_gib is None else round(memory_gib * 2**30)
    upscaler = open_upscaler(path, where, tile, most)
    if isinstance(upscaler, ForeignUpscaler):
        note(f"{path.name}: {upscaler.name}, in tiles of {upscaler.tile_px} pixels")
    elif tile or most:
        note(
            "--tile and --memory have no effect: metagan's own upscalers are small, and take tiles of 256 pixels"
        )
    with stages() as progress:
        report = upscale_folder(
            pictures,
            out,
            upscaler,
            where,
            denoising=Denoising(denoise in ("before", "both"), denoise in ("after", "both"), noise_level),
            begin=lambda total: progress.begin("pictures", total),
            advance=progress.advance,
        )
    if report.repeated:
        note(say_repeated(report.repeated))
    for skipped, reason in report.skipped[:SHOWN]:
        click.echo(f"left out: {skipped}: {reason}", err=True)
    if len(report.skipped) > SHOWN:
        click.echo(f"left out: {len(report.skipped) - SHOWN} more", err=True)
    click.echo(f"{out}: {counted(report.upscaled, 'picture')}, {upscaler.factor} times the width and height")
