"""`metagan blend`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from metagan.cli.options import (
    Number,
    OutPath,
    Whole,
    class_option,
    device_option,
    offline_option,
    psi_option,
    registry_option,
    seeds_option,
    sha256_option,
)
from metagan.files import real_path, require_other
from metagan.values import Label, counted

_SHARE = r"\d+(?:\.\d*)?|\.\d+"


class Alpha(click.ParamType[float | tuple[tuple[int, int, float], ...]]):
    """A share, "0.5", or shares of layers, "0-3:0,4-9:0.7"."""

    name = "alpha"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | tuple[tuple[int, int, float], ...]:
        """The number, or the first layer, last layer and share of each range."""
        text = str(value)
        if re.fullmatch(_SHARE, text):
            return float(text)
        ranges = []
        for part in text.split(","):
            match = re.fullmatch(rf"\s*(\d{{1,4}})(?:-(\d{{1,4}}))?:({_SHARE})\s*", part)
            if match is None:
                self.fail(
                    f"want a number from 0 to 1, or layers, such as 0-3:0,4-9:0.7, got {text}", param, ctx
                )
            ranges.append((int(match[1]), int(match[2] or match[1]), float(match[3])))
        return tuple(ranges)


@click.command("blend", short_help="Mix two generators of one parent.")
@click.argument("first", metavar="FIRST")
@click.argument("second", metavar="SECOND")
@click.option(
    "--alpha",
    type=Alpha(),
    metavar="NUMBER|LAYERS",
    help="Share of SECOND in the weights, 0 to 1; or of single layers, by their numbers: 0-3:0,4-9:0.7. By default 0.5,"
    " or 1 with --swap.",
)
@click.option(
    "--swap",
    type=Whole(1),
    metavar="PIXELS",
    help="Take coarse layers from FIRST, and those of this resolution and finer from SECOND.",
)
@click.option(
    "--soft",
    type=Number(0, 16),
    default=0.0,
    help="Width of the edge between both with --swap, in octaves of resolution.",
)
@click.option(
    "--mapping",
    type=click.Choice(["first", "second", "blend"]),
    help="Where the mapping network comes from. By default blend, or first with --swap and shares of layers.",
)
@click.option("--force", is_flag=True, help="Blend even generators that weren't fine-tuned from one another.")
@click.option("--out", type=OutPath(), help="The child to write, .safetensors.")
@click.option(
    "--sheet",
    "--grid",
    "sheet_path",
    type=OutPath(),
    help="Write a sheet: a row for each seed, from FIRST to the child. Its extension sets the format.",
)
@click.option("--steps", type=Whole(2, 64), default=5, help="Columns of the --sheet.")
@click.option(
    "--film",
    type=OutPath(folder=None),
    help="Write a film from FIRST to the child: .mp4, .webm, .webp, .gif, or a folder of PNG files.",
)
@click.option("--seconds", type=Number(0, 3600, min_open=True), default=6.0, help="Length of the --film.")
@click.option("--fps", type=Number(0.01, 240), default=30.0, help="Frames per second of the --film.")
@click.option("--loop", is_flag=True, help="Let the --film go back to FIRST.")
@seeds_option("0-3")
@psi_option(None, "By default FIRST's setting, or 1 for a weights file.")
@class_option
@device_option
@registry_option
@sha256_option
@click.option("--second-sha256", help="The same of SECOND's file; --sha256 is FIRST's.")
@offline_option
def command(
    first: str,
    second: str,
    alpha: float | tuple[tuple[int, int, float], ...] | None,
    swap: int | None,
    soft: float,
    mapping: str | None,
    force: bool,
    out: Path | None,
    sheet_path: Path | None,
    steps: int,
    film: Path | None,
    seconds: float,
    fps: float,
    loop: bool,
    seeds: tuple[int, ...],
    psi: float | None,
    label: Label | None,
    device: str,
    registry: Path,
    sha256: str | None,
    second_sha256: str | None,
    offline: bool,
) -> None:
    """Mix two generators that were trained from the same one: weights in between, or coarse layers of one and fine
    layers of the other.

    FIRST and SECOND are subjects or weights files. First the two are compared, layer by layer. Only children of one
    parent, or a parent and its child, can be blended: weights that were learned apart mean different things at the
    same place. Strangers are refused.

    \b
    metagan blend apes.safetensors robots.safetensors --swap 16 --out robot-apes.safetensors
    metagan blend a.pkl b.pkl --alpha 0.5 --out between.safetensors --sheet between.png
    metagan blend a.pkl b.pkl                                # only compares them
    """
    from typing import cast

    from metagan.cli.progress import note, stages
    from metagan.images.encode import write_sheet
    from metagan.images.provenance import Provenance
    from metagan.lab.blend import (
        Between,
        BlendOptions,
        MappingFrom,
        blend,
        compare,
        describe_shares,
        layers_of,
        open_parent,
        require_related,
        shares_of,
        write_blend_film,
        write_child,
    )
    from metagan.lab.film import FilmOptions
    from metagan.sampling.target import find_target

    if out is not None and out.suffix != ".safetensors":
        raise click.BadParameter(f"want a name that ends in .safetensors, got {out.name}", param_hint="--out")
    check_results(sheet_path, film, soft, swap)
    with stages() as progress:
        found = [
            find_target(what, registry, hashed, offline=offline, progress=progress.transfer)
            for what, hashed in ((first, sha256), (second, second_sha256))
        ]
    require_other(out, *(target.weights for target in found))
    parents = [open_parent(target, device, note) for target in found]
    one, other = (parent.generator for parent in parents)
    options = BlendOptions(
        alpha=alpha if isinstance(alpha, float) else None,
        ranges=alpha if isinstance(alpha, tuple) else (),
        swap=swap,
        soft=soft,
        mapping=cast("MappingFrom | None", mapping),
    )
    similarity = compare(one, other)
    layers = layers_of(one)
    shares = shares_of(layers, options)
    for line in describe_shares(layers, similarity, shares):
        click.echo(line)
    if similarity.different:
        said = counted(len(similarity.different), "tensor has another shape", "tensors have other shapes")
        note(f"{said}; FIRST's {'is' if len(similarity.different) == 1 else 'are'} kept")
    if not force:
        require_related(similarity)
    settings = found[0].settings(psi, label)
    between = Between(one, other, shares, seeds, settings)
    provenance = Provenance(f"{found[0].name} and {found[1].name}, blended (metagan)", None, settings.psi)
    between.require_sizes(sheet_path, steps, film)
    if sheet_path is not None:
        write_sheet(sheet_path, between.sheet(steps), provenance, note)
        click.echo(sheet_path)
    if film is not None:
        frames = max(1, round(seconds * fps))
        with stages() as progress:
            progress.begin("frames", frames)
            write_blend_film(film, between, frames, FilmOptions(fps, provenance, loop=loop), progress.advance)
        click.echo(f"{film}: {counted(frames, 'frame')}")
    if out is not None:
        child = blend(one, other, shares)
        header = write_child(out, child, parents[0], parents[1], shares)
        click.echo(f"{out}: {header.architecture}, licence {header.licence}")


def check_results(sheet_path: Path | None, film: Path | None, soft: float, swap: int | None) -> None:
    """Refuse names and options that don't go together."""
    from metagan.images.encode import picture_format
    from metagan.lab.film import film_format

    if soft and swap is None:
        raise click.UsageError("--soft is the width of --swap's edge; give --swap too")
    if sheet_path is not None:
        picture_format(sheet_path)
    if film is not None:
        film_format(film)
        if sheet_path is not None and real_path(film) == real_path(sheet_path):
            raise click.UsageError("--sheet and --film name one file; give two names")
