"""`metagan dataset`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from metagan.cli.options import Whole, json_option, out_file_option, size_option, workers_option
from metagan.values import Size, counted, format_bytes, json_text, show

if TYPE_CHECKING:
    from metagan.datasets.pack import PackReport
    from metagan.drawings.render import RenderReport

COLLECTIONS = (
    "apes",
    "hummingbirds",
    "bagels",
)  # repeated here so that --help needn't import the drawing code


@click.group("dataset", short_help="Create datasets: pack your own pictures or draw an example collection.")
def command() -> None:
    """Create a dataset zip for training: PNG pictures of one size, and dataset.json."""


@command.command("render", short_help="Draw an example collection.")
@click.argument("collection", type=click.Choice(COLLECTIONS))
@out_file_option("The dataset zip to write.", required=True)
@click.option("--count", type=Whole(1, 10_000_000), default=10_000, help="Number of pictures.")
@click.option("--resolution", type=Whole(16, 1024), default=128, help="Side in pixels, a power of two.")
@click.option("--seed", type=Whole(0), default=0, help="Random seed; each seed draws another collection.")
@click.option(
    "--label",
    metavar="TRAIT",
    help="Store this trait as the pictures' label, to train a conditional generator.",
)
@workers_option
def render(
    collection: str, out: Path, count: int, resolution: int, seed: int, label: str | None, workers: int | None
) -> None:
    """Draw apes, hummingbirds or bagels: licence-free (CC0) pictures to train on.

    The traits of each picture are stored next to it as marketplace metadata (JSON, ERC-721 `attributes`).
    Picture N does not depend on --count or --workers.
    """
    from metagan.cli.progress import stages
    from metagan.datasets.pool import available_cores
    from metagan.drawings.render import render as draw

    _refuse_odd_resolution(resolution)
    cores = available_cores() if workers is None else workers
    with stages() as progress:
        progress.begin(f"drawing {collection}", count)
        report = draw(
            collection,
            out,
            count=count,
            resolution=resolution,
            seed=seed,
            label=label,
            workers=cores,
            advance=progress.advance,
        )
    _show_rendered(report)


def _show_rendered(report: RenderReport) -> None:
    size = format_bytes(report.path.stat().st_size)
    click.echo(
        f"{report.path}: {counted(report.count, 'picture')} of {report.resolution}x{report.resolution}, "
        f"{size}"
    )
    for trait, values in report.traits.items():
        shares = ", ".join(f"{value} {number / report.count:.1%}" for value, number in values.items())
        click.echo(f"  {trait}: {shares}")


def _refuse_odd_resolution(resolution: int) -> None:
    if resolution & (resolution - 1):
        lower = 1 << (resolution.bit_length() - 1)
        msg = f"want a power of two, got {resolution}; the nearest are {lower} and {lower * 2}"
        raise click.BadParameter(msg, param_hint="--resolution")


def _background(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(value)[:3]
    except ValueError as error:
        raise click.BadParameter(f"want a colour such as white or #ffcc00, got {show(value)}") from error


@command.command("pack", short_help="Pack your own pictures into a dataset zip.")
@click.argument("pictures", type=click.Path(path_type=Path))
@out_file_option("The dataset zip to write.", required=True)
@size_option("64")
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "stretch"]),
    default="crop",
    help="crop keeps the middle; pad keeps the whole picture, never enlarges it, and fills the "
    "rest with --background; stretch keeps the whole picture and changes its proportions.",
)
@click.option(
    "--resample",
    type=click.Choice(["auto", "lanczos", "nearest"]),
    default="auto",
    help="lanczos suits photographs; nearest keeps pixels sharp and enlarges by whole factors; auto uses "
    "nearest for pixel art whose size divides --resolution.",
)
@click.option(
    "--background",
    metavar="COLOUR",
    default="white",
    callback=_background,
    help="Colour behind transparent pixels and in padding: a name or #rrggbb.",
)
@click.option(
    "--alpha",
    type=click.Choice(["over", "keep"]),
    default="over",
    help="over puts transparent pictures over --background; keep packs every picture with an alpha channel.",
)
@click.option(
    "--stretch",
    is_flag=True,
    help="Scale the values of 16-bit files that use only 8, 10, 12 or 14 of the bits, as many sensors' do.",
)
@click.option(
    "--max-megapixels",
    type=Whole(1, 4096),
    default=64,
    help="The largest picture to decode. JPEGs count at the size they are decoded at, about four times "
    "--resolution.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["keep", "drop"]),
    default="keep",
    help="What to do with pictures whose pixels equal an earlier one's. They are reported either way.",
)
@click.option(
    "--labels",
    metavar="auto|none|folders|FILE.csv|trait:TYPE|category|type",
    default="auto",
    help="Source of labels: the pictures' dataset.json if there is one (auto), sub-folder names, or a "
    "CSV of file,label or file,number,number. For a collection: the values of a trait, its categories or its types.",
)
@workers_option
@json_option
def pack_command(
    pictures: Path,
    out: Path,
    resolution: Size,
    fit: Literal["crop", "pad", "stretch"],
    resample: Literal["lanczos", "nearest", "auto"],
    background: tuple[int, int, int],
    alpha: Literal["over", "keep"],
    stretch: bool,
    max_megapixels: int,
    duplicates: str,
    labels: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Pack PICTURES into a dataset zip for training: a collection, or a folder or zip of any formats and sizes.

    Each picture becomes a PNG of --resolution: rotated according to EXIF, with transparency filled by
    --background, and only the first frame of an animation. Unreadable files are skipped and listed with the reason.
    The zip has the layout of the official dataset tool.
    """
    from metagan.cli.progress import stages
    from metagan.collection.training_data import collection_contents
    from metagan.datasets.decode import Fit
    from metagan.datasets.pack import pack
    from metagan.datasets.pool import available_cores

    cores = available_cores() if workers is None else workers
    how = Fit(resolution, fit, background, resample, alpha, max_megapixels=max_megapixels)
    what = collection_contents(pictures, labels)
    with stages() as progress:
        report = pack(
            pictures,
            out,
            how,
            labels=what.labels,
            names=what.names,
            facts=what.facts,
            brighten=stretch,
            drop_duplicates=duplicates == "drop",
            workers=cores,
            begin=lambda total: progress.begin("packing", total),
            advance=progress.advance,
        )
    if as_json:
        width, height = report.size
        facts = {"resolution": report.size.longest, "width": width, "height": height}
        facts |= dataclasses.asdict(report)
        del facts["size"]
        click.echo(json_text(facts, indent=2, default=str))
        return
    for line in _packed_lines(report):
        click.echo(line)


_CUT = {
    "crop": "cropped to their middle",
    "pad": "padded to a",
    "stretch": "stretched to a",
}


def _packed_lines(report: PackReport) -> Iterator[str]:
    from metagan.datasets.labels import left_over
    from metagan.datasets.store import say_repeated

    size = format_bytes(report.path.stat().st_size)
    yield f"{report.path}: {counted(report.packed, 'picture')} of {report.size}, {size}"
    if report.cut:
        square = report.size.is_square
        how = _CUT[report.fit] if square else _CUT[report.fit].removesuffix(" a")
        yield f"  {report.cut:,} {how} {'square' if square else report.size}"
    if report.enlarged:
        yield f"  {report.enlarged:,} enlarged, because they had fewer pixels"
    yield from _remarkable(report)
    if report.repeated:
        yield f"  warning: {say_repeated(report.repeated)}"
    if report.ignored:
        yield f"  {counted(report.ignored, 'other file')} ignored"
    if report.labels:
        counts = ", ".join(f"{name} {count:,}" for name, count in report.labels.items())
        yield f"  {counted(len(report.labels), 'label')}: {counts}"
    if report.label_width:
        yield f"  labels of {counted(report.label_width, 'number')}"
    if report.unused_labels:
        yield f"  {left_over(report.unused_labels)}"
    if report.unread_labels:
        yield f"  labels not used: {'; '.join(report.unread_labels)}. --labels chooses"
    if report.skipped:
        yield f"  {len(report.skipped):,} skipped:"
        yield from (f"    {name}: {reason}" for name, reason in report.skipped)


def _remarkable(report: PackReport) -> Iterator[str]:
    """Lines about dark pictures and duplicates."""
    if report.dark and report.brightened:
        yield f"  {len(report.dark):,} stretched from {report.brightened} bits to the full range"
    elif report.dark:
        name, depth = report.dark[0]
        one = len(report.dark) == 1
        dark = "comes out dark, because it uses" if one else "come out dark, because they use"
        yield (
            f"  warning: {len(report.dark):,} with 16 bits {dark} fewer ({name}: {depth}); "
            f"--stretch scales {'it' if one else 'them'}"
        )
    if report.duplicates:
        name, first = report.duplicates[0]
        copies = counted(len(report.duplicates), "exact duplicate of another", "exact duplicates of others")
        yield f"  {copies}{', left out' if report.dropped else ''}, such as {name} of {first}"
