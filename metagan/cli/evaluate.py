"""`metagan evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import (
    Whole,
    class_option,
    device_option,
    json_option,
    noise_option,
    offline_option,
    psi_option,
    registry_option,
)

if TYPE_CHECKING:
    from metagan.evaluation.evaluate import Evaluation
    from metagan.values import Label, NoiseMode


@click.command("evaluate", short_help="Measure how close a generator's pictures are to a dataset's.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@click.argument("data", metavar="DATASET", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--count",
    type=Whole(1),
    show_default="2000, or all real pictures if there are fewer",
    help="Number of generated pictures, and of real pictures to compare them with.",
)
@psi_option(1.0, "Measures are comparable only at 1.")
@class_option
@noise_option("const", "const as on sites and in `train`, random as in published measurements.")
@click.option(
    "--inception",
    type=click.Path(path_type=Path),
    metavar="FILE|auto",
    help="Also measure FID and KID with these Inception weights; auto uses installed ones (needs metagan[evaluate]).",
)
@click.option(
    "--upscale",
    metavar="FILE|bundled:NAME|none",
    default="none",
    help="Enlarge each picture with this upscaler first, to compare with large originals.",
)
@device_option
@registry_option
@offline_option
@json_option
def command(
    what: str,
    data: Path,
    count: int | None,
    psi: float,
    label: Label | None,
    noise: NoiseMode,
    inception: Path | None,
    upscale: str,
    as_json: bool,
    registry: Path,
    device: str,
    offline: bool,
) -> None:
    """Measure how close a generator's pictures are to those of a dataset.

    Each measure is printed next to its floor: the same measure between two sets of real pictures, which is the best
    value to expect. docs/training.md explains the measures.

    Without --class, a conditional generator draws its classes in the dataset's shares. With it, the class is compared
    with its own real pictures.
    """
    from metagan.cli.progress import note, stages
    from metagan.datasets.source import PictureSource
    from metagan.evaluation.evaluate import DEFAULT_COUNT, evaluate
    from metagan.evaluation.inception import require_inception
    from metagan.sampling.target import find_target, open_sampler

    weights = require_inception(inception) if inception else None
    pictures = PictureSource(data)
    for line in pictures.left_out():
        note(line)
    with stages() as progress:
        target = find_target(what, registry, offline=offline, upscale=upscale, progress=progress.transfer)
    sampler = open_sampler(target, device, note=note)
    settings = target.settings(psi, label, noise)
    with stages() as progress:
        expected = min(DEFAULT_COUNT, len(pictures)) if count is None else count
        progress.begin("pictures", expected * (4 if weights else 1))
        result = evaluate(sampler, pictures, settings, count, inception=weights, advance=progress.advance)
    for text in result.notes:
        note(text)
    for line in _json(result) if as_json else _table(result):
        click.echo(line)


def _json(result: Evaluation) -> Iterator[str]:
    yield json.dumps(dataclasses.asdict(result), indent=2)


def _table(result: Evaluation) -> Iterator[str]:
    yield f"{'':<14}{'made':>10}{'floor':>10}"
    for name, value in result.made.items():
        floor = f"{result.floor[name]:>10.4g}" if name in result.floor else ""
        yield f"{name:<14}{value:>10.4g}{floor}"
