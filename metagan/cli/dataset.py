"""`metagan dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from metagan.datasets.render import RenderReport

COLLECTIONS = (
    "apes",
    "hummingbirds",
    "bagels",
)  # repeated here so that --help needn't import the drawing code


@click.group("dataset", short_help="Make training pictures: pack your own, or draw an example collection.")
def command() -> None:
    """Make a dataset zip to train from: square PNG pictures of one size, and dataset.json."""


@command.command("render", short_help="Draw an example collection.")
@click.argument("collection", type=click.Choice(COLLECTIONS))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The dataset zip to write."
)
@click.option("--count", type=click.IntRange(1, 10_000_000), default=10_000, help="How many pictures.")
@click.option(
    "--resolution", type=click.IntRange(16, 1024), default=128, help="Side in pixels, a power of two."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Other seeds draw other collections.")
@click.option(
    "--label", metavar="TRAIT", help="Store this trait as the pictures' label, for a conditional network."
)
@click.option(
    "--workers", type=click.IntRange(0), help="Processes; one a core by default, 0 for none but this one."
)
def render(
    collection: str, out: Path, count: int, resolution: int, seed: int, label: str | None, workers: int | None
) -> None:
    """Draw apes, hummingbirds or bagels: licence-free (CC0) pictures to train on.

    Each picture's traits lie beside it as the JSON that marketplaces read (ERC-721 `attributes`). Picture N is the
    same whatever --count and --workers are.
    """
    from metagan.cli.progress import stages
    from metagan.datasets.pool import available_cores
    from metagan.datasets.render import render as draw

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
    size_mb = report.path.stat().st_size / 1e6
    click.echo(
        f"{report.path}: {report.count:,} pictures of {report.resolution}x{report.resolution}, {size_mb:.1f} MB"
    )
    for trait, values in report.traits.items():
        shares = ", ".join(f"{value} {number / report.count:.1%}" for value, number in values.items())
        click.echo(f"  {trait}: {shares}")


def _refuse_odd_resolution(resolution: int) -> None:
    if resolution & (resolution - 1):
        lower = 1 << (resolution.bit_length() - 1)
        msg = f"want a power of two, got {resolution}; the nearest are {lower} and {lower * 2}"
        raise click.BadParameter(msg, param_hint="--resolution")
