"""Describes an architecture: the file formats that hold it, and how its networks are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.generator import Synthesis
from metagan.networks.loading.assemble import assemble

# --------------------------------------------------------------------------------------------
# Configurations from the JSON headers of metagan's own files.

C = TypeVar("C")
SHOWN_PROBLEMS = 4


def restore_config(kind: type[C], configuration: Mapping[str, Any], title: str) -> C:
    """Build a configuration dataclass from JSON values, checking names and types of all entries.

    Args:
        kind: The frozen dataclass, which may contain others.
        configuration: The values from the header.
        title: The architecture's title, for messages.

    Raises:
        MalformedFileError: If entries are missing, unknown or of another type.
    """
    try:
        config = TypeAdapter(kind).validate_python(dict(configuration))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:SHOWN_PROBLEMS]
        )
        msg = f"the header's configuration is no {title}'s: {problems}"
        raise MalformedFileError(msg) from error
    unknown = sorted(_unknown(configuration, dataclasses.asdict(config)))  # type: ignore[call-overload]
    if unknown:
        entries = ", ".join(unknown[:SHOWN_PROBLEMS])
        msg = f"the header's configuration has entries that {title} doesn't: {entries}"
        raise MalformedFileError(msg)
    return config


def _unknown(there: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    for key, value in there.items():
        if key not in known:
            yield str(key)
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping):
            yield from _unknown(value, known[key])


def _nothing(_: NetworkRecord) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Part:
    """How one kind of network, generator or discriminator, is read from one file format.

    Args:
        recognises: Returns whether a record is such a network, by a few characteristic keys.
        build: Builds the network from a record, checking every key and shape.
        expected: Returns the keys of a network with the record's configuration, as far as it can be inferred;
        never raises, whatever the record is.
    """

    recognises: Callable[[NetworkRecord], bool]
    build: Callable[[NetworkRecord], nn.Module]
    expected: Callable[[NetworkRecord], Iterable[str]]


@dataclass(frozen=True)
class Reading:
    """One family of files that an architecture is read from.

    Args:
        title: Its name in messages, "rosinality's StyleGAN2".
        family: Its name in the table of formats, "rosinality stylegan2-pytorch".
        files: The files for that table, ".pt".
        generator: How its generators are read.
        discriminator: How its discriminators are read; None if metagan doesn't use them.
        notes: Returns what a user should know about a generator from a record: guessed and generated values.
    """

    title: str
    family: str
    files: str
    generator: Part
    discriminator: Part | None = None
    notes: Callable[[NetworkRecord], tuple[str, ...]] = _nothing


@dataclass(frozen=True)
class Official:
    """A generator in the layout of another program's code.

    Args:
        state: The complete state dict for `load_state_dict` of its class.
        arguments: The constructor arguments of its class, without those for channels if none give these channels.
        under: The name under which the program's files hold the state dict; empty if it is the file itself.
        beside: Other tensors of such a file.
        notes: What the arguments leave open, and what the program does otherwise.
    """

    state: Mapping[str, Tensor]
    arguments: Mapping[str, Any]
    under: str = ""
    beside: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """The content of a file, for `torch.save`."""
        return {self.under: dict(self.state), **self.beside} if self.under else dict(self.state)


@dataclass(frozen=True)
class Architecture:
    """An architecture, with all the file formats it is read from.

    Args:
        name: Its name in metagan's own files, "stylegan2".
        title: Its title for users, "StyleGAN2".
        readings: The families of foreign files, asked in this order.
        config: The dataclass of its generators' configuration, stored as JSON in metagan's own files.
        make: Builds an untrained generator from a configuration; raises MalformedFileError if it is invalid, or would
        take long to build.
        layouts: Convert a generator to other programs' layouts, by name; "official" is its authors'.
        prepare: Returns a faster form of a generator's synthesis for its device and a data type; None if there is
        no faster one.
        program: Describes what computes that form in float32 on a CPU; None if it is PyTorch.
        recordable: Whether that form can be captured as a CUDA graph, because it never synchronises with the CPU.
    """

    name: str
    title: str
    readings: tuple[Reading, ...]
    config: type[Any]
    make: Callable[[Any], nn.Module]
    layouts: Mapping[str, Callable[[nn.Module], Official]] = field(default_factory=dict)
    prepare: Callable[[nn.Module, torch.dtype], Synthesis] | None = None
    program: Callable[[nn.Module], str] | None = None
    recordable: bool = False

    def restore(self, configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
        """Build a generator from the configuration (JSON values) and tensors of metagan's own format.

        Raises:
            MalformedFileError: If the configuration is invalid, or doesn't fit the tensors' shapes.
            UnknownArchitectureError: If keys are missing or unknown.
        """
        config = restore_config(self.config, configuration, self.title)
        return assemble(lambda: self.make(config), tensors)
