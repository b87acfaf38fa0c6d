"""Detects which network a checkpoint holds, trying an explicit, ordered list of formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from metagan.checkpoints.model import Checkpoint, Header, NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks import dcgan, lucidrains, r3gan, stylegan2, stylegan3, upscaler, vqgan
from metagan.networks.generator import Generator
from metagan.networks.loading.architecture import Architecture, Part, Reading
from metagan.networks.loading.assemble import KeyMatch, match_keys, require_finite
from metagan.values import LabelSpace

ARCHITECTURES: tuple[Architecture, ...] = (
    stylegan2.ARCHITECTURE,
    stylegan3.ARCHITECTURE,
    lucidrains.ARCHITECTURE,
    r3gan.ARCHITECTURE,
    dcgan.ARCHITECTURE,
)

ANOTHER_FILE = "get the file again from its publisher, or another one that metagan reads (docs/formats.md)"

Kind = Literal["generator", "discriminator"]


def load_generator(checkpoint: Checkpoint, role: str | None = None) -> Generator:
    """Build the generator of a checkpoint, on the CPU, in evaluation mode.

    Args:
        checkpoint: The content of a weights file.
        role: "G_ema", the moving average, which gives the best pictures, "G", or a network's name in the file. None
            takes the average or, without one, the only generator.

    Raises:
        CheckpointError: If the file holds no such network, an unknown one, or damaged tensors, or if role is None and
            none of several generators is the average.
    """

    def build(record: NetworkRecord) -> nn.Module:
        if checkpoint.header:
            return _restore(checkpoint.header, record)
        return _recognise(record, "generator")[1].build(record)

    generator = cast("Generator", _load(checkpoint, role or _choose(checkpoint), build))
    if checkpoint.header:
        generator.label_space = _checked(checkpoint.header.labels, generator.c_dim, checkpoint.path)
    return generator


def _checked(space: LabelSpace, c_dim: int, path: Path) -> LabelSpace:
    width = len(space.names or space.ranges)
    if width in (0, c_dim):
        return space
    raise MalformedFileError(
        f"metagan's header describes labels of width {width}, the generator's have {c_dim}",
        where=path,
        fix=ANOTHER_FILE,
    )


def _choose(checkpoint: Checkpoint) -> str:
    """Return the role of the generator to take if the caller names none."""
    there = checkpoint.networks
    if "G_ema" in there:
        return "G_ema"
    fits = _generators(checkpoint)
    averages = [role for role in fits if "ema" in role.lower()]
    if len(fits) > 1 and len(averages) != 1 and "G" not in fits:
        names = ", ".join(fits)
        raise UnknownArchitectureError(
            f"it holds several generators: {names}",
            where=checkpoint.path,
            fix="choose one with --network NAME",
        )
    others = [role for role in there if role != "D"]
    wanted = averages if len(averages) == 1 else fits if len(fits) == 1 else others
    return "G" if "G" in wanted else wanted[0] if len(wanted) == 1 else "G_ema"


def _generators(checkpoint: Checkpoint) -> list[str]:
    """Return the roles of all networks that are generators of a known architecture."""
    return [
        role
        for role, record in checkpoint.networks.items()
        if any(part.recognises(record) for _, part in _parts("generator"))
    ]


def _choice_note(checkpoint: Checkpoint, role: str) -> tuple[str, ...]:
    """Return a note about the chosen network if its author named it, or if there is no average."""
    names = checkpoint.names
    if role == "G_ema" and not names:
        return ()
    taken = names.get(role, role)
    others = [names.get(other, other) for other in _generators(checkpoint) if other != role]
    if not others:
        return (f"the generator was taken from the network that the file calls {taken}",)
    average = ", the average," if role == "G_ema" or "ema" in role.lower() else ""
    return (f"{taken}{average} was taken; --network chooses another: {', '.join(others)}",)


def load_discriminator(checkpoint: Checkpoint, role: str = "D") -> nn.Module:
    """Build the discriminator of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: If the file holds no discriminator, an unknown one, or damaged tensors.
    """
    return _load(checkpoint, role, lambda record: _recognise(record, "discriminator")[1].build(record))


def notes_on(checkpoint: Checkpoint, role: str | None = None) -> tuple[str, ...]:
    """Return what a user should know about a generator from `load_generator`: guessed and generated values."""
    if checkpoint.header:
        return ()
    chosen = role or _choose(checkpoint)
    record = _record(checkpoint, chosen)
    own = _recognise(record, "generator")[0].notes(record)
    return own if role else (*_choice_note(checkpoint, chosen), *own)


def _load(checkpoint: Checkpoint, role: str, build: Callable[[NetworkRecord], nn.Module]) -> nn.Module:
    """Build one network of a checkpoint, adding the file's name to errors."""
    try:
        record = _record(checkpoint, role)
        record = dataclasses.replace(
            record, tensors=dict(record.tensors)
        )  # make all tensors now, to find damage
        network = build(record)
    except CheckpointError as error:
        raise error.at(checkpoint.path, fix=ANOTHER_FILE) from error
    require_finite(record, checkpoint.path)
    return network


def describe_training(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a file's facts about its training, from its header or its format."""
    return dict(checkpoint.header.training if checkpoint.header else checkpoint.facts)


def _record(checkpoint: Checkpoint, role: str) -> NetworkRecord:
    if role in checkpoint.networks:
        return checkpoint.networks[role]
    for own, name in checkpoint.names.items():
        if name == role:
            return checkpoint.networks[own]
    there = ", ".join(checkpoint.names.get(own, own) for own in checkpoint.networks) or "no network at all"
    fix = "get the file with the generator in it"
    if role not in ("D", "G", "G_ema"):
        fix = "choose one of those"
    elif role != "D" and checkpoint.networks.keys() & {"G", "G_ema"}:
        other = "G" if role == "G_ema" else "G_ema"
        fix = f"`metagan convert IN OUT.safetensors --network {other}` takes that generator"
    raise UnknownArchitectureError(
        f"it holds {there}, but no {role}",
        where=checkpoint.format,
        fix=fix,
    )


def _restore(header: Header, record: NetworkRecord) -> nn.Module:
    for architecture in ARCHITECTURES:
        if architecture.name == header.architecture:
            return architecture.restore(header.configuration, record.tensors)
    if header.architecture == upscaler.ARCHITECTURE_NAME:
        raise UnknownArchitectureError(
            "it holds an upscaler, no generator",
            fix="enlarge pictures with it, `metagan upscale PICTURES --with FILE --out FOLDER`",
        )
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise MalformedFileError(
        f"unknown architecture {header.architecture!r:.60}; this version of metagan knows {known}",
        fix="load it with the version of metagan that wrote it, or a later one",
    )


def _recognise(record: NetworkRecord, kind: Kind) -> tuple[Reading, Part]:
    for reading, part in _parts(kind):
        if part.recognises(record):
            return reading, part
    if vqgan.is_vqgan(record):
        raise UnknownArchitectureError(
            f"this is a VQGAN, which turns pictures into codes and back; want a {kind}",
            fix="paint with it, `metagan paint --vqgan FILE`",
        )
    raise UnknownArchitectureError(_explain(kind, record))


def _parts(kind: Kind) -> Iterator[tuple[Reading, Part]]:
    """Yield every format that has this kind of network, in order, with how it is read."""
    for architecture in ARCHITECTURES:
        for reading in architecture.readings:
            part = reading.generator if kind == "generator" else reading.discriminator
            if part is not None:
                yield reading, part


# --------------------------------------------------------------------------------------------
# Why a record is no known network: the most similar format, and what doesn't match.


def _explain(kind: Kind, record: NetworkRecord) -> str:
    """Explain why a record doesn't match this kind of network."""
    other: Kind = "discriminator" if kind == "generator" else "generator"
    for reading, part in _parts(other):
        if part.recognises(record):
            makes = "makes no pictures" if other == "discriminator" else "scores none"
            return f"this is a {other} of {reading.title}, which {makes}; want a {kind}"
    fits = [(reading, _match(record, part)) for reading, part in _parts(kind)]
    reading, nearest = max(fits, key=lambda pair: _likeness(record, pair[1]))
    return f"no known architecture; nearest is {reading.title} ({nearest})"


def _match(record: NetworkRecord, part: Part) -> KeyMatch:
    return match_keys(record.tensors, dict.fromkeys(part.expected(record)))


def _likeness(record: NetworkRecord, result: KeyMatch) -> tuple[float, int]:
    """Rank formats by the fraction of matching keys, then by words that their keys have in common."""
    words = {word for key in record.tensors for word in key.replace("/", ".").split(".")}
    wanted = {word for key in result.missing for word in key.replace("/", ".").split(".")}
    return result.matched / max(result.expected, 1), len(words & wanted)
