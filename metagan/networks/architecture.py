"""What metagan knows of an architecture: the families of files that hold one, and how its networks are built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.networks.assemble import assemble
from metagan.networks.configuration import restore_config
from metagan.networks.generator import Synthesis


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
        recordable: Whether that form may be recorded as a CUDA graph: it neither waits for the GPU nor asks the CPU.
    """

    name: str
    title: str
    readings: tuple[Reading, ...]
    config: type[Any]
    make: Callable[[Any], nn.Module]
    to_official: Callable[[nn.Module], Official] | None = None
    prepare: Callable[[nn.Module, torch.dtype], Synthesis] | None = None
    recordable: bool = False

    def restore(self, configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
        """A generator from the configuration (from JSON) and tensors of metagan's own format.

        Raises:
            MalformedFileError: The configuration isn't one, or its shapes are not the tensors'.
            UnknownArchitectureError: Keys are missing or unknown.
        """
        config = restore_config(self.config, configuration, self.title)
        return assemble(lambda: self.make(config), tensors)
