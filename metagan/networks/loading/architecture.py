"""What metagan knows of an architecture: the families of files that hold one, and how its networks are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.generator import Synthesis
from metagan.networks.loading.assemble import assemble

# --------------------------------------------------------------------------------------------
# Configurations out of the JSON headers of metagan's own files.

C = TypeVar("C")
SHOWN_PROBLEMS = 4


def restore_config(kind: type[C], configuration: Mapping[str, Any], title: str) -> C:
    """A configuration dataclass from JSON values, of the right types and without an entry too many.

    Args:
        kind: The frozen dataclass, others nested in it or not.
        configuration: What the header says.
        title: The architecture's, for messages.

    Raises:
        MalformedFileError: Entries are missing, unknown or of another type.
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
    """One kind of network, generator or discriminator, as one family of files lays it out.

    Args:
        recognises: Whether a record is one, by a few tell-tale keys.
        build: A record to a network; every key and shape is checked there.
        expected: The keys that a network of the record's shape would have, as far as its shape can be told;
            raises nothing, whatever the record is.
    """

    recognises: Callable[[NetworkRecord], bool]
    build: Callable[[NetworkRecord], nn.Module]
    expected: Callable[[NetworkRecord], Iterable[str]]


@dataclass(frozen=True)
class Reading:
    """One family of files that an architecture is read from.

    Args:
        title: What messages call it, "rosinality's StyleGAN2".
        family: What the table of formats calls it, "rosinality stylegan2-pytorch".
        files: The files for that table, ".pt".
        generator: How its generators are read.
        discriminator: How its discriminators are read; None where metagan has no use for them.
        notes: What a user should know of a generator read from this record: guesses, and what was made up.
    """

    title: str
    family: str
    files: str
    generator: Part
    discriminator: Part | None = None
    notes: Callable[[NetworkRecord], tuple[str, ...]] = _nothing


@dataclass(frozen=True)
class Official:
    """A generator as its authors' own code takes it.

    Args:
        state: What their class's `load_state_dict` wants, every key of it.
        arguments: What to call their class with; without its numbers of channels where no arguments give these.
    """

    state: Mapping[str, Tensor]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """A network, and all the files it is read from.

    Args:
        name: In metagan's own files, "stylegan2".
        title: For people, "StyleGAN2".
        readings: The families of foreign files, asked in this order.
        config: The dataclass of its generators' configuration, which metagan's own files hold as JSON.
        make: A configuration to a generator not yet trained; MalformedFileError for one that makes none, or that
            takes long to build.
        to_official: A generator back to its authors' layout; None where metagan doesn't write it.
        prepare: A generator on its device, and the type of number wanted, to a faster form of its synthesis; None
            where the generator's own is the fastest there is.
        program: What computes that form in float32 on a CPU, for people; None where that is PyTorch as ever.
        recordable: Whether that form may be recorded as a CUDA graph: it neither waits for the GPU nor asks the CPU.
    """

    name: str
    title: str
    readings: tuple[Reading, ...]
    config: type[Any]
    make: Callable[[Any], nn.Module]
    to_official: Callable[[nn.Module], Official] | None = None
    prepare: Callable[[nn.Module, torch.dtype], Synthesis] | None = None
    program: Callable[[nn.Module], str] | None = None
    recordable: bool = False

    def restore(self, configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
        """A generator from the configuration (from JSON) and tensors of metagan's own format.

        Raises:
            MalformedFileError: The configuration isn't one, or its shapes are not the tensors'.
            UnknownArchitectureError: Keys are missing or unknown.
        """
        config = restore_config(self.config, configuration, self.title)
        return assemble(lambda: self.make(config), tensors)
