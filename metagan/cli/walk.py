"""`metagan walk`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from metagan.cli.options import (
    Number,
    OutPath,
    Whole,
    class_option,
    dials_option,
    foreign_styles_option,
    psi_option,
    sampling_options,
    seeds_option,
    upscale_option,
    weights_options,
)
from metagan.values import Label, counted, show


def parse_grid(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Parse columns and rows such as "3x2"."""
    match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", value)
    if match is None:
        raise click.BadParameter(f"want COLUMNSxROWS, such as 3x2, got {show(value)}")
    return int(match[1]), int(match[2])


@click.command("walk", short_help="Film a walk through a generator.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@seeds_option(default="0-4")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A key frame, in place of --seeds; may be given more than once. A seed, a styles file of `metagan project`, "
    "the mean of two (5+9), or two mixed by layers (5/9@8: layers 0 to 7 of 5, the others of 9). Dials may follow: "
    "5,Fur=2.",
)
@click.option(
    "--out",
    required=True,
    type=OutPath(folder=None),
    help="The film: .mp4 or .webm (by ffmpeg), .webp or .gif. Without an extension, a folder of numbered PNG files.",
)
@click.option("--seconds", type=Number(0, min_open=True), default=10.0, help="Length of the film.")
@click.option("--fps", type=Number(0.01, 240), default=30.0, help="Frames per second.")
@click.option("--loop", is_flag=True, help="Return to the first key frame at the end.")
@click.option(
    "--curve",
    type=click.Choice(["auto", "z", "w", "w+"]),
    default="auto",
    help="Path between key frames: great circles of latents (z), straight lines of styles (w), or a cubic spline "
    "through all of them (w+). auto: w+, or z for generators without a mapping network.",
)
@click.option(
    "--circle",
    type=Whole(0, 2**32 - 1),
    metavar="SEED",
    help="Walk a circle of latents drawn from this seed, without key frames. Its end meets its beginning.",
)
@click.option(
    "--easing",
    type=click.Choice(["linear", "smooth", "sine"]),
    default="linear",
    help="Speed between key frames: constant, or slow at each of them.",
)
@click.option(
    "--grid",
    default="1x1",
    callback=parse_grid,
    metavar="COLUMNSxROWS",
    help="Several walks side by side; key frames are dealt out to them evenly.",
)
@psi_option()
@click.option(
    "--psi-to",
    type=Number(-2, 2),
    help="Truncation at the end (with --loop, in the middle): a sweep. One key frame is enough then.",
)
@click.option("--hold", metavar="KEY", help="Layers from --hold-from on keep the styles of this key frame.")
@click.option("--hold-from", type=Whole(0), default=8, help="First layer that --hold keeps.")
@class_option
@click.option(
    "--frames",
    "frames_folder",
    type=OutPath(folder=True),
    help="Keep the frames in this folder, too; an interrupted film continues from them.",
)
@dials_option
@foreign_styles_option
@upscale_option
@sampling_options
@weights_options
def command(
    what: str,
    seeds: tuple[int, ...],
    keys: tuple[str, ...],
    out: Path,
    seconds: float,
    fps: float,
    loop: bool,
    curve: str,
    circle: int | None,
    easing: str,
    grid: tuple[int, int],
    psi: float | None,
    psi_to: float | None,
    hold: str | None,
    hold_from: int,
    label: Label | None,
    frames_folder: Path | None,
    dials: str | None,
    directions: str | None,
    foreign_styles: bool,
    upscale: str | None,
    device: str,
    precision: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Film a walk through a generator.

    Frames are drawn in batches and encoded while the next ones are drawn, so that memory doesn't grow with the length.
    A folder of PNG files, or one given as --frames, lets an interrupted film continue.

    \b
    metagan walk ape --seeds 1,5,9 --seconds 10 --fps 30 --loop --out walk.mp4
    metagan walk ape --key 5 --key projected/photo.safetensors --loop --out me.webp
    metagan walk ape --seeds 0-11 --grid 3x2 --loop --out wall.mp4
    """
    from typing import cast

    from metagan.cli.progress import note, stages
    from metagan.lab.dials import choose_dials, open_dials
    from metagan.lab.film import film_format
    from metagan.lab.walk import Curve, Easing, Walk, WalkOptions, film_noise, turns_dials, write_walk
    from metagan.sampling.target import find_target, open_sampler

    if circle is not None and (keys or curve != "auto"):
        raise click.UsageError("--circle walks latents without key frames; leave --key and --curve out")
    if film_format(out) == "" and frames_folder is not None:
        raise click.UsageError("--frames: --out is a folder of frames already; leave one of them out")
    with stages() as progress:
        target = find_target(
            what, registry, sha256, offline=offline, upscale=upscale, progress=progress.transfer
        )
    sampler = open_sampler(target, device, None, precision, note=note)
    options = WalkOptions(
        keys=keys or tuple(map(str, seeds)) if circle is None else (),
        seconds=seconds,
        fps=fps,
        loop=loop or circle is not None,
        curve=cast("Curve", curve),
        circle=circle,
        easing=cast("Easing", easing),
        grid=grid,
        psi=target.psi if psi is None else psi,
        psi_to=psi_to,
        hold=hold,
        hold_from=hold_from,
        label=target.label if label is None else label,
        dials=dials,
        noise=film_noise(target.noise),
    )
    opened = None
    if dials is not None or any(map(turns_dials, (*keys, hold or ""))):
        ref = choose_dials(directions, target.dials, target.name)
        opened = open_dials(ref, sampler.generator, label=options.label, foreign=foreign_styles)
    walk = Walk(sampler.generator, options, foreign=foreign_styles, directions=opened)
    with stages() as progress:
        progress.begin("frames", options.frames)
        write_walk(
            walk,
            sampler,
            out,
            f"{target.name} (metagan)",
            frames_folder=frames_folder,
            advance=progress.advance,
        )
    click.echo(f"{out}: {counted(options.frames, 'frame')}")
