"""`metagan directions`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import (
    OutPath,
    Whole,
    class_option,
    device_option,
    lpips_option,
    out_file_option,
    psi_option,
    weights_options,
)
from metagan.errors import OptionError
from metagan.files import require_other
from metagan.values import Label, show

if TYPE_CHECKING:
    from metagan.lab.trait_directions import TraitDirection


def parse_ranges(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[tuple[int, int], ...]:
    """Parse layer ranges such as "0-3,4-9"."""
    if value is None:
        return ()
    ranges = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if match is None:
            raise click.BadParameter(f"want ranges of layers, such as 0-3,4-9, got {show(value)}")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return tuple(ranges)


@click.command("directions", short_help="Find dials: directions that change pictures visibly.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@out_file_option("The directions file to write.", required=True)
@click.option(
    "--sheet",
    type=OutPath(),
    help="Write a picture of each dial at -3 to 3 on four seeds; its extension sets the format.",
)
@click.option(
    "--method",
    type=click.Choice(["both", "sefa", "pca"]),
    default="both",
    help="Source of candidates: the layers' weights (SeFa), or the spread of styles (PCA). Generators without a "
    "mapping network have PCA of their features only.",
)
@click.option(
    "--layers",
    callback=parse_ranges,
    metavar="RANGES",
    help="Layers to move, 0-3,4-9. By default all of them, and the coarse, middle and fine ones.",
)
@click.option(
    "--traits",
    metavar="FILE|bundled:NAME|none",
    help="Name directions by the trait that they change most, as this classifier of `metagan collection traits` sees "
    "it. By default the subject's.",
)
@click.option(
    "--trait",
    "wanted",
    multiple=True,
    metavar="TYPE=VALUE",
    help="Begin with the direction of this trait, by logistic regression; may be given more than once.",
)
@click.option("--count", type=Whole(1, 1000), default=10, help="Dials to keep at most.")
@click.option(
    "--candidates", type=Whole(1, 512), default=6, help="Candidates per method and range of layers."
)
@click.option("--pictures", type=Whole(2, 64), default=6, help="Pictures to measure the effect on.")
@psi_option(0.7, "Used for the measured pictures.")
@class_option
@click.option("--seed", type=Whole(0, 2**32 - 1), default=0, help="Random seed.")
@lpips_option
@device_option
@weights_options
def command(
    what: str,
    out: Path,
    sheet: Path | None,
    method: str,
    layers: tuple[tuple[int, int], ...],
    traits: str | None,
    wanted: tuple[str, ...],
    count: int,
    candidates: int,
    pictures: int,
    psi: float,
    label: Label | None,
    seed: int,
    lpips: str,
    device: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Find directions along which pictures change visibly and in different ways: the dials of a site.

    Directions with less than twice the effect of a random direction are dropped, and so are copies of stronger ones.
    One step changes pictures by the same amount on every dial.

    \b
    metagan directions ape --out ape-directions.safetensors --sheet dials.png
    metagan directions ape --out hats.safetensors --trait Hat=Crown --trait Hat=Beanie
    """
    from metagan.cli.progress import note, stages
    from metagan.images.encode import picture_format, require_size, write_sheet
    from metagan.images.provenance import Provenance
    from metagan.lab.dials import write_directions
    from metagan.lab.directions import DirectionFinder, DirectionsOptions, describe
    from metagan.lab.perceptual import load_perceptual
    from metagan.lab.trait_directions import TraitMeter, choose_classifier
    from metagan.sampling.target import find_target, open_sampler
    from metagan.values import printable

    if len(wanted) > count:
        raise click.UsageError(
            f"--count {count}: there are {len(wanted)} --trait, which come first; give a larger one"
        )
    sheet_format = None if sheet is None else picture_format(sheet)
    perceptual = load_perceptual(lpips)
    with stages() as progress:
        target = find_target(what, registry, sha256, offline=offline, progress=progress.transfer)
    require_other(out, target.weights, None if traits is None else Path(traits))
    classifier = choose_classifier(traits, target.traits)
    options = DirectionsOptions(
        methods=("sefa", "pca") if method == "both" else ("sefa",) if method == "sefa" else ("pca",),
        ranges=layers,
        count=count,
        candidates=candidates,
        pictures=pictures,
        psi=psi,
        label=target.label if label is None else label,
        seed=seed,
    )
    finder = DirectionFinder(open_sampler(target, device, 1, note=note).generator, options, perceptual)
    if sheet_format is not None:
        what = f"--sheet {printable(str(sheet))} of {count} dials"
        require_size(
            sheet_format, finder.sheet_size(count), what, "name a .png file, or give a smaller --count"
        )
    meter = None
    if classifier is not None:
        meter = TraitMeter(finder, classifier)
    elif wanted:
        msg = f"--trait {printable(wanted[0])}: {printable(target.name)} has no trait classifier"
        raise OptionError(msg, fix="name a file of `metagan collection traits` with --traits")
    found: list[TraitDirection] = []
    with stages() as progress:
        if meter is not None and wanted:
            progress.begin("traits", len(wanted) * len(finder.ranges))
            found = meter.find(wanted, progress.advance)
        progress.begin("candidates", finder.total)
        directions = finder.find(progress.advance, [one.named for one in found])
        if meter is not None:
            progress.begin("names", len(directions.vectors))
            directions = meter.name(directions, progress.advance)
    write_directions(out, directions)
    for line in (*found, *describe(directions)):
        click.echo(line)
    if sheet is not None:
        provenance = Provenance(f"{target.name} (metagan)", None, psi)
        write_sheet(sheet, finder.sheet(directions), provenance, note)
        click.echo(sheet)
