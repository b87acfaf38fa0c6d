"""Which network a checkpoint holds: an explicit, ordered list, asked from top to bottom."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

import torch
from torch import nn

from metagan.checkpoints.model import Checkpoint, Header, NetworkRecord
from metagan.checkpoints.tensors import require_finite
from metagan.errors import CheckpointError, MalformedFileError, OptionError, UnknownArchitectureError
from metagan.networks import dcgan, lucidrains, r3gan, stylegan2, stylegan3, upscaler
from metagan.networks.generator import Generator, Synthesis
from metagan.networks.loading.architecture import Architecture, Official, Part, Reading
from metagan.networks.loading.assemble import Fit, fit

# --------------------------------------------------------------------------------------------
# Why a record is none of the networks that metagan knows, in words: the nearest family, and what doesn't
# fit.

Kind = Literal["generator", "discriminator"]


def parts(architectures: Sequence[Architecture], kind: Kind) -> Iterator[tuple[Reading, Part]]:
    """Every family that has this kind of network, in order, with how it is read."""
    for architecture in architectures:
        for reading in architecture.readings:
            part = reading.generator if kind == "generator" else reading.discriminator
            if part is not None:
                yield reading, part


def explain(architectures: Sequence[Architecture], kind: Kind, record: NetworkRecord) -> str:
    """Why none of these architectures takes a record for this kind of network."""
    other: Kind = "discriminator" if kind == "generator" else "generator"
    for reading, part in parts(architectures, other):
        if part.recognises(record):
            makes = "makes no pictures" if other == "discriminator" else "judges none"
            return f"this is a {other} of {reading.title}, which {makes}; want a {kind}"
    fits = [(reading, _fit(record, part)) for reading, part in parts(architectures, kind)]
    reading, nearest = max(fits, key=lambda pair: _likeness(record, pair[1]))
    return f"no known architecture; nearest is {reading.title} ({nearest})"


def _fit(record: NetworkRecord, part: Part) -> Fit:
    return fit(record.tensors, dict.fromkeys(part.expected(record)))


def _likeness(record: NetworkRecord, result: Fit) -> tuple[float, int]:
    """By the share of keys that match; among families without any, by the words that their keys share."""
    words = {word for key in record.tensors for word in key.replace("/", ".").split(".")}
    wanted = {word for key in result.missing for word in key.replace("/", ".").split(".")}
    return result.matched / max(result.expected, 1), len(words & wanted)


ARCHITECTURES: tuple[Architecture, ...] = (
    stylegan2.ARCHITECTURE,
    stylegan3.ARCHITECTURE,
    lucidrains.ARCHITECTURE,
    r3gan.ARCHITECTURE,
    dcgan.ARCHITECTURE,
)


def load_generator(checkpoint: Checkpoint, role: str = "G_ema") -> Generator:
    """The generator of a checkpoint, on the CPU, in evaluation mode.

    Args:
        checkpoint: A file, read.
        role: "G_ema", the moving average that samples best, or "G".

    Raises:
        CheckpointError: The file holds no such network, or one that metagan doesn't know, or damaged tensors.
    """

    def build(record: NetworkRecord) -> nn.Module:
        if checkpoint.header:
            return _restore(checkpoint.header, record)
        return _recognise(record, "generator")[1].build(record)

    return cast("Generator", _load(checkpoint, role, build))


def load_discriminator(checkpoint: Checkpoint, role: str = "D") -> nn.Module:
    """The discriminator of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file holds none, or one that metagan doesn't know, or damaged tensors.
    """
    return _load(checkpoint, role, lambda record: _recognise(record, "discriminator")[1].build(record))


def notes_on(checkpoint: Checkpoint, role: str = "G_ema") -> tuple[str, ...]:
    """What a user should know of a generator that `load_generator` takes: guesses, and what was made up."""
    if checkpoint.header:
        return ()
    record = _record(checkpoint, role)
    return _recognise(record, "generator")[0].notes(record)


def _load(checkpoint: Checkpoint, role: str, build: Callable[[NetworkRecord], nn.Module]) -> nn.Module:
    """Build one network of a checkpoint; what is wrong with it is said with the file's name."""
    try:
        record = _record(checkpoint, role)
        record = dataclasses.replace(record, tensors=dict(record.tensors))  # made now, or found to be damaged
        network = build(record)
    except CheckpointError as error:
        raise error.at(checkpoint.path) from error
    require_finite(record, checkpoint.path)
    return network


def describe(generator: Generator) -> Header:
    """A header for metagan's own format: architecture and configuration; licence and facts are the caller's."""
    config = dataclasses.asdict(generator.config)  # type: ignore[call-overload]
    return Header(architecture=generator.architecture, configuration=config)


def title_of(generator: Generator) -> str:
    """The architecture's name for people."""
    return next(arch.title for arch in ARCHITECTURES if arch.name == generator.architecture)


def to_official(generator: Generator) -> Official:
    """A generator in the layout of its authors' code.

    Raises:
        OptionError: metagan doesn't write that architecture's.
    """
    for architecture in ARCHITECTURES:
        if architecture.name == generator.architecture and architecture.to_official:
            return architecture.to_official(cast("nn.Module", generator))
    written = ", ".join(architecture.title for architecture in ARCHITECTURES if architecture.to_official)
    raise OptionError(
        f"metagan writes official state dicts of {written} only; convert to .safetensors",
        where=title_of(generator),
    )


def describe_training(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a file says of its training: its header's facts, or those that its format carries."""
    return dict(checkpoint.header.training if checkpoint.header else checkpoint.facts)


def _record(checkpoint: Checkpoint, role: str) -> NetworkRecord:
    if role in checkpoint.networks:
        return checkpoint.networks[role]
    there = ", ".join(checkpoint.networks) or "no network at all"
    fix = "get the file with the generator in it"
    if role != "D" and checkpoint.networks.keys() & {"G", "G_ema"}:
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
    msg = f"unknown architecture {header.architecture!r:.60}; this version of metagan knows {known}"
    raise MalformedFileError(msg)


def _recognise(record: NetworkRecord, kind: Kind) -> tuple[Reading, Part]:
    for reading, part in parts(ARCHITECTURES, kind):
        if part.recognises(record):
            return reading, part
    raise UnknownArchitectureError(explain(ARCHITECTURES, kind, record))


# --------------------------------------------------------------------------------------------
# The form in which a generator is sampled.


def prepare_synthesis(generator: Generator, dtype: torch.dtype) -> Synthesis:
    """The fastest form of a generator's synthesis on the device it is on; its own, where there is no other.

    Args:
        generator: Any generator, in evaluation mode.
        dtype: float32, or a narrower type for what bears it.
    """
    prepare = _architecture(generator).prepare
    return prepare(cast("nn.Module", generator), dtype) if prepare else generator


def describe_program(generator: Generator) -> str:
    """What draws a generator in float32 on the CPU: the kernel of this machine, or PyTorch and why."""
    program = _architecture(generator).program
    return program(cast("nn.Module", generator)) if program else "PyTorch"


def has_narrow_form(generator: Generator) -> bool:
    """Whether a generator can be sampled in narrower numbers than float32."""
    return _architecture(generator).prepare is not None


def is_recordable(generator: Generator) -> bool:
    """Whether what `prepare_synthesis` gives may be recorded as a CUDA graph."""
    return _architecture(generator).recordable


def _architecture(generator: Generator) -> Architecture:
    return next(arch for arch in ARCHITECTURES if arch.name == generator.architecture)
