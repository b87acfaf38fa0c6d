"""`metagan export`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import offline_option, registry_option

if TYPE_CHECKING:
    from metagan.export.blob import Precision
    from metagan.export.web import WebWeights


@click.command("export", short_help="Write a generator for the visitor's browser.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@click.option(
    "--to",
    "target",
    type=click.Choice(["web"]),
    default="web",
    help="Who shall run it: the browser's kernel.",
)
@click.option("--precision", type=click.Choice(["fp16", "fp32"]), default="fp16", help="Of the weights: fp16 is half"
              " the download, at about 72 dB.")  # fmt: skip
@click.option("--noise", type=click.Choice(["const", "none"]), help="Per-pixel noise: the stored one, or none."
              " By default the subject's own, const for a weights file.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write. By default"
              " NAME.bin.gz.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@registry_option
@click.option("--sha256", help="What the weights file's SHA-256 must be; needed for weights by URL.")
@offline_option
def command(
    what: str,
    target: str,  # noqa: ARG001  the only one there is
    precision: Precision,
    noise: str | None,
    out: Path | None,
    as_json: bool,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Write the generator of a subject, or of a weights file, so that a visitor's browser can run it.

    What was written is read back and drawn from at fixed seeds, and must give the generator's own pictures within one
    level of 255; otherwise nothing is written.

    \b
    metagan export ape
    metagan export network.pkl --precision fp32 --out ape.bin.gz
    """
    from metagan.checkpoints.read import read_checkpoint
    from metagan.cli.sample import find_target
    from metagan.export.web import make_web_weights, write_web_weights
    from metagan.networks.detect import load_generator

    found = find_target(what, registry, sha256, offline=offline)
    weights = make_web_weights(
        load_generator(read_checkpoint(found.weights)), precision, noise or found.noise
    )
    path = out or Path(f"{Path(found.name.replace(':', '-')).stem}.bin.gz")
    write_web_weights(path, weights)
    click.echo(json.dumps(_facts(path, weights)) if as_json else _sentence(path, weights))


def _facts(path: Path, weights: WebWeights) -> dict[str, object]:
    likeness = weights.likeness
    return {
        "file": str(path),
        "precision": weights.precision,
        "size_bytes": len(weights.compressed),
        "content_bytes": len(weights.content),
        "sha256": weights.sha256,
        "off_by_one": likeness.off_by_one,
        "psnr_db": likeness.psnr_db if math.isfinite(likeness.psnr_db) else None,
    }


def _sentence(path: Path, weights: WebWeights) -> str:
    likeness = weights.likeness
    size = f"{len(weights.compressed) / 1e6:.1f} MB ({weights.precision})"
    same = f"{likeness.off_by_one:.2%} of the values off by one level, {likeness.psnr_db:.0f} dB"
    return f"{path}: {size}, {same}, sha256 {weights.sha256}"
