"""`metagan rank`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import (
    Number,
    OutPath,
    Whole,
    class_option,
    json_option,
    psi_option,
    sampling_options,
    seeds_option,
    weights_options,
)
from metagan.values import counted, show

if TYPE_CHECKING:
    from metagan.lab.rank import Ranker, Score
    from metagan.values import Label


@click.command("rank", short_help="Rank seeds by a discriminator, without storing pictures.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@click.option(
    "--discriminator",
    type=click.Path(path_type=Path),
    help="Rank by this discriminator: a run folder of `metagan train`, or a weights file that holds one, such as an "
    "official pickle.",
)
@click.option(
    "--second",
    is_flag=True,
    help="Of a run with two discriminators (`train --dual`), rank by the second, which knows the other collection.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Real pictures, from `metagan dataset pack`: to rank by nearness to them, to say where a score stands among "
    "theirs, and to find copies.",
)
@seeds_option("0-999")
@click.option(
    "--by",
    type=click.Choice(["discriminator", "realism", "mixture"]),
    help="What orders the seeds: the discriminator's score, the distance to the nearest real pictures, or both. By "
    "default the discriminator if there is one.",
)
@click.option("--mix", type=Number(0, 1), default=0.5, help="Realism's share of the mixture.")
@click.option("--reals", type=Whole(2), default=10_000, help="Real pictures to compare with at most.")
@click.option("--keep", type=Whole(1), default=100, help="Seeds to keep.")
@click.option("--keep-copies", is_flag=True, help="Keep pictures that copy a real one, too.")
@click.option(
    "--out",
    type=OutPath(),
    help="Write the kept seeds here, the best first, as `images` of a registry and --seeds take them.",
)
@click.option(
    "--sheet",
    "sheet_path",
    type=OutPath(),
    help="Write a picture of the 16 best above the 16 worst; its extension sets the format.",
)
@click.option(
    "--scores",
    type=OutPath(),
    help="Append every score to this file as a line of JSON. An interrupted ranking goes on from it.",
)
@click.option(
    "--exclude-below",
    type=Number(0, 100),
    metavar="PERCENT",
    help="Add seeds that stand below this percentile of real pictures to the subject's `exclude` in the registry.",
)
@psi_option()
@class_option
@json_option
@sampling_options
@weights_options
def command(
    what: str,
    discriminator: Path | None,
    second: bool,
    data: Path | None,
    seeds: tuple[int, ...],
    by: str | None,
    mix: float,
    reals: int,
    keep: int,
    keep_copies: bool,
    out: Path | None,
    sheet_path: Path | None,
    scores: Path | None,
    exclude_below: float | None,
    psi: float | None,
    label: Label | None,
    as_json: bool,
    device: str,
    precision: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Find the best seeds among many.

    Each picture is scored by itself: a discriminator's minibatch standard deviation is computed against the same fixed
    real pictures (without --data, against the generator's mean picture), not against its neighbours in the list.

    \b
    metagan rank ape --discriminator runs/apes --seeds 0-9999 --keep 500 --out seeds.txt
    metagan rank ape --discriminator network.pkl --data apes.zip --by mixture --sheet best.png
    metagan sample ape --seeds "$(cat seeds.txt)"
    """
    from typing import cast

    from metagan.cli.progress import note, stages
    from metagan.datasets.source import PictureSource
    from metagan.files import require_other, require_outside
    from metagan.images.encode import picture_format, require_size, write_sheet
    from metagan.images.provenance import Provenance
    from metagan.lab.rank import (
        By,
        Ranker,
        RankOptions,
        has_second,
        read_discriminator,
        require_discriminator,
        score_all,
        sheet,
        sheet_size,
        without_copies,
    )
    from metagan.sampling.target import find_target, open_sampler
    from metagan.values import printable

    require_outside(sheet_path, data, "--sheet")
    require_other(out, scores, data, discriminator, registry)
    require_discriminator(discriminator, second)
    if sheet_path is not None:
        picture_format(sheet_path)
    if exclude_below is not None:
        require_subject(what, registry, data)
    with stages() as progress:
        target = find_target(
            what, registry, sha256, offline=offline, upscale="none", progress=progress.transfer
        )
    require_other(out, target.weights)
    sampler = open_sampler(target, device, None, precision, note=note)
    if sheet_path is not None:
        what_for = f"--sheet {printable(str(sheet_path))}"
        size = sheet_size(sampler.size, len(seeds))
        require_size(picture_format(sheet_path), size, what_for, "name a .png file")
    network = None if discriminator is None else read_discriminator(discriminator, second=second)
    if discriminator is not None and not second and has_second(discriminator):
        note(
            "this run has two discriminators, and the first ranks; --second takes that of the other collection"
        )
    dataset = None if data is None else PictureSource(data)
    with stages() as progress:
        progress.begin("real pictures", min(reals, len(dataset)) if dataset else None)
        ranker = Ranker(
            sampler,
            target.settings(psi, label),
            RankOptions(cast("By | None", by), mix, reals),
            discriminator=network,
            dataset=dataset,
            advance=progress.advance,
        )
        progress.begin("pictures", len(seeds))
        ordered = ranker.order(score_all(ranker, seeds, scores, progress.advance))
    say_copies(ordered)
    kept = ordered[:keep] if keep_copies else without_copies(ordered, keep)
    say_scores(ranker, ordered, kept, as_json=as_json)
    if out is not None:
        write_seeds(out, kept)
        click.echo(f"{out}: {len(kept):,} of {counted(len(seeds), 'seed')}", err=as_json)
    if sheet_path is not None:
        provenance = Provenance(f"{target.name} (metagan)", None, ranker.settings.psi)
        write_sheet(sheet_path, sheet(ranker, ordered), provenance, note)
        click.echo(sheet_path, err=as_json)
    if exclude_below is not None:
        count = exclude(registry, what, ranker, ordered, exclude_below)
        click.echo(
            f"{registry}: {what} leaves out {count} of these {counted(len(ordered), 'seed')}", err=as_json
        )


def require_subject(what: str, registry: Path, data: Path | None) -> None:
    """Refuse --exclude-below without a subject to write it to, or without real pictures."""
    from metagan.errors import OptionError
    from metagan.registry.read import read_registry

    if data is None:
        raise click.UsageError("--exclude-below: a percentile of real pictures needs --data")
    if not registry.exists() or what not in {subject.slug for subject in read_registry(registry).subjects}:
        raise OptionError(
            f"--exclude-below: {show(what)} is no subject of {registry}",
            fix="name a subject, or leave it out",
        )


def say_copies(ordered: Sequence[Score]) -> None:
    """Name the pictures that copy a real one."""
    from metagan.cli.progress import note

    copies = [f"{score.seed} of {score.nearest}" for score in ordered if score.copy]
    if copies:
        more = f" and {len(copies) - 10} more" if len(copies) > 10 else ""
        are = "is a copy of a real one" if len(copies) == 1 else "are copies of real ones"
        note(f"{counted(len(copies), 'picture')} {are}: {', '.join(copies[:10])}{more}")


def say_scores(ranker: Ranker, ordered: Sequence[Score], kept: Sequence[Score], *, as_json: bool) -> None:
    """Print all scores as JSON, or the five best and worst."""
    from metagan.lab.rank import describe_score

    if as_json:
        rows = [asdict(score) | {"percentile": ranker.percentile(score)} for score in ordered]
        click.echo(json.dumps({"by": ranker.by, "kept": [score.seed for score in kept], "scores": rows}))
        return
    for title, part in (("best", kept[:5]), ("worst", ordered[-5:])):
        for score in part:
            click.echo(f"{title}: {describe_score(score)}")


def write_seeds(path: Path, kept: Sequence[Score]) -> None:
    """Write seeds, the best first."""
    from metagan.files import write_bytes

    write_bytes(path, (",".join(str(score.seed) for score in kept) + "\n").encode())


def exclude(registry: Path, slug: str, ranker: Ranker, scores: Sequence[Score], below: float) -> int:
    """Add seeds below a percentile to a subject's `exclude`; returns their number."""
    from metagan.registry.exclude import excluded_seeds, write_exclude

    bad = {score.seed for score in scores if (ranker.percentile(score) or 0.0) < below}
    write_exclude(registry, slug, sorted(bad.union(excluded_seeds(registry, slug))))
    return len(bad)
