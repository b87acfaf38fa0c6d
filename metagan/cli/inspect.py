"""`metagan inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metagan.cli.options import WeightsFile, json_option, network_option
from metagan.errors import CheckpointError
from metagan.values import json_text, printable

if TYPE_CHECKING:
    from metagan.checkpoints.model import Checkpoint, NetworkRecord
    from metagan.values import LabelSpace


def summarize(path: Path, network: str | None = None) -> dict[str, Any]:
    """Everything that `metagan inspect` says of a file, as JSON-like values.

    A file that can be read but not sampled is described all the same; "problem" then says why.

    Args:
        path: The file.
        network: Which generator to describe, as `load_generator` takes it.

    Raises:
        CheckpointError: The file can't be read at all.
    """
    from metagan.checkpoints.read import read_checkpoint
    from metagan.fetch.weights_file import sha256_of, size_of
    from metagan.networks.loading.detect import describe_training
    from metagan.networks.upscaler import is_upscaler

    checkpoint = read_checkpoint(path)
    summary: dict[str, Any] = {
        "file": str(path),
        "format": checkpoint.format,
        "size_bytes": size_of(path),
        "sha256": sha256_of(path),
    }
    is_generator = not is_upscaler(checkpoint)
    summary |= _generator_facts(checkpoint, network) if is_generator else _upscaler_facts(checkpoint)
    if checkpoint.header:
        summary |= {"licence": checkpoint.header.licence, "source": checkpoint.header.source}
    summary["networks"] = {role: _network_facts(record) for role, record in checkpoint.networks.items()}
    summary["training"] = describe_training(checkpoint)
    return summary


def _generator_facts(checkpoint: Checkpoint, network: str | None) -> dict[str, Any]:
    from metagan.networks.loading.detect import load_generator, notes_on
    from metagan.networks.loading.forms import describe, describe_program, title_of

    try:
        generator = load_generator(checkpoint, network)
    except CheckpointError as error:
        return {"architecture": None, "problem": str(error)}
    return {
        "architecture": title_of(generator),
        "resolution": generator.resolution,
        "width": generator.size.width,
        "height": generator.size.height,
        "image_channels": generator.image_channels,
        "z_dim": generator.z_dim,
        "w_dim": getattr(generator, "w_dim", None),
        "c_dim": generator.c_dim,
        **_labels(generator.label_space),
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "drawn_by": describe_program(generator),
        "configuration": dict(describe(generator).configuration),
        "notes": list(notes_on(checkpoint, network)),
    }


def _upscaler_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    from metagan.networks.upscaler import describe_upscaler, upscaler_of
    from metagan.networks.upscaler.load import TITLE
    from metagan.networks.upscaler.native import describe_program

    try:
        upscaler = upscaler_of(checkpoint)
    except CheckpointError as error:
        return {"architecture": None, "problem": str(error)}
    return {
        "architecture": TITLE,
        "factor": upscaler.factor,
        "parameters": sum(parameter.numel() for parameter in upscaler.parameters()),
        "enlarged_by": describe_program(upscaler),
        "configuration": dict(describe_upscaler(upscaler).configuration),
    }


def _labels(space: LabelSpace) -> dict[str, Any]:
    if space.is_numbers:
        names = space.names or tuple(f"{index}" for index in range(1, len(space.ranges) + 1))
        return {"label_ranges": dict(zip(names, space.ranges, strict=True))}
    return {"classes": list(space.names)} if space.names else {}


def _network_facts(record: NetworkRecord) -> dict[str, Any]:
    return {
        "class": record.class_name,
        "tensors": len(record.tensors),
        "numbers": sum(tensor.numel() for tensor in record.tensors.values()),
    }


@click.command("inspect", short_help="Describe a weights file without executing any code in it.")
@click.argument("weights", metavar="WEIGHTS", type=WeightsFile())
@network_option
@json_option
def command(weights: Path, network: str | None, as_json: bool) -> None:
    """Describe a weights file without executing any code in it.

    Prints format, architecture, sizes, parameter counts, the SHA-256 that registry.yaml needs, and the training
    facts that the file contains.
    """
    summary = summarize(weights, network)
    if as_json:
        click.echo(json_text(summary, indent=2, default=str))
        return
    for line in _lines(summary):
        click.echo(line)


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    networks = summary.pop("networks")
    training = summary.pop("training")
    summary.pop("configuration", None)
    notes = summary.pop("notes", ())
    width, height = summary.pop("width", None), summary.pop("height", None)
    if width != height:
        summary["resolution"] = f"{width}x{height}"
    for name, value in summary.items():
        if value is not None:
            yield f"{name.replace('_', ' '):<16}{_shown(value)}"
    yield from (f"{'note':<16}{note}" for note in notes)
    for role, facts in networks.items():
        named = f"{facts['class']}, " if facts["class"] else ""
        yield f"{'network ' + role:<16}{named}{facts['tensors']} tensors, {facts['numbers']:,} numbers"
    for name, value in training.items():
        yield f"{'training':<16}{name}: {value}"


def _shown(value: Any) -> str:
    """The value of a line: numbers with separators, a label's ranges, classes with their numbers."""
    if isinstance(value, dict):
        ranges = value.items()
        return ", ".join(f"{printable(name)}: {least:.7g} to {most:.7g}" for name, (least, most) in ranges)
    if isinstance(value, list):
        return ", ".join(f"{number} {printable(name)}" for number, name in enumerate(value))
    return f"{value:,}" if isinstance(value, int) else str(value)
