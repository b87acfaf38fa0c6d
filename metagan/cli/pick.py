"""`metagan pick`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from metagan.cli.options import OutPath, Whole, json_option
from metagan.values import counted

if TYPE_CHECKING:
    from metagan.shards.pick import By


@click.command("pick", short_help="Pick the best seeds of shards, without look-alikes.")
@click.argument("shards", metavar="FOLDER|ADDRESS")
@click.option(
    "--scores",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Scores that `metagan rank --scores` wrote. Without them, lower seeds come first.",
)
@click.option(
    "--by",
    type=click.Choice(["logit", "distance"]),
    default="logit",
    help="Which of the scores: the discriminator's logit, or the distance to the nearest real pictures.",
)
@click.option("--keep", type=Whole(1, 100_000), default=1000, help="Seeds to pick at most.")
@click.option(
    "--apart",
    type=Whole(0, 64),
    default=5,
    help="Bits of 64 in which the perceptual hashes of two picked pictures differ at least; 0 takes those that look "
    "alike, too.",
)
@click.option(
    "--out",
    type=OutPath(),
    help="Write the seeds here, the best first, as `images` of a registry and --seeds take them; else print them.",
)
@json_option
def command(
    shards: str, scores: Path | None, by: str, keep: int, apart: int, out: Path | None, as_json: bool
) -> None:
    """Pick the best seeds of a run that `metagan sample --shards` drew.

    Only the indexes are read, a million rows in seconds. Pictures that look like a better one are passed over.

    \b
    metagan pick s3://bucket/apes/apes-8afed45c1ab96f80 --scores scores.jsonl --keep 500 --out seeds.txt
    """
    from metagan.cli.progress import stages
    from metagan.files import require_other, write_bytes
    from metagan.shards.manifest import MANIFEST, open_run
    from metagan.shards.pick import pick, read_hashes, read_scores

    require_other(out, scores, Path(shards, MANIFEST))
    storage, manifest = open_run(shards)
    with stages() as progress:
        progress.begin("pictures", manifest.pictures)
        seeds, hashes = read_hashes(storage, manifest, progress.advance)
    known = None if scores is None else read_scores(scores, cast("By", by))
    picked = pick(seeds, hashes, known, keep=keep, apart=apart)
    text = ",".join(map(str, picked.seeds))
    if out is not None:
        write_bytes(out, f"{text}\n".encode())
    if as_json:
        click.echo(json.dumps({"seeds": picked.seeds, "alike": picked.alike, "of": len(seeds)}))
    elif out is None:
        click.echo(text)
    else:
        alike = (
            f"; {picked.alike:,} look{'s' if picked.alike == 1 else ''} like a better one" if apart else ""
        )
        click.echo(f"{out}: {len(picked.seeds):,} of {counted(len(seeds), 'seed')}{alike}")
