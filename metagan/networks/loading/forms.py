"""What a generator that was built can be turned into: its header, its authors' layout, its forms for sampling."""

from __future__ import annotations

import dataclasses
from typing import cast

import torch
from torch import nn

from metagan.checkpoints.model import Header
from metagan.errors import OptionError
from metagan.networks.generator import Generator, Synthesis
from metagan.networks.loading.architecture import Architecture, Official
from metagan.networks.loading.detect import ARCHITECTURES


def describe(generator: Generator) -> Header:
    """Return a header for metagan's own format with architecture, configuration and labels; callers add the rest."""
    config = dataclasses.asdict(generator.config)  # type: ignore[call-overload]
    if config.get("constant") == (4, 4):
        del config["constant"]  # the default, which versions that only knew square pictures don't know
    return Header(generator.architecture, config, labels=generator.label_space)


def title_of(generator: Generator) -> str:
    """Return the architecture's title for users."""
    return _architecture(generator).title


def to_official(generator: Generator, layout: str = "official") -> Official:
    """Convert a generator to the layout of its authors' code, or of another program's.

    Args:
        generator: Any generator.
        layout: "official" or "rosinality".

    Raises:
        OptionError: If metagan doesn't write this architecture in that layout, or that program has none of its shape.
    """
    convert = _architecture(generator).layouts.get(layout)
    if convert:
        return convert(cast("nn.Module", generator))
    written = ", ".join(
        architecture.title for architecture in ARCHITECTURES if layout in architecture.layouts
    )
    raise OptionError(
        f"metagan writes {layout} state dicts of {written} only",
        where=title_of(generator),
        fix="convert to .safetensors",
    )


def prepare_synthesis(generator: Generator, dtype: torch.dtype) -> Synthesis:
    """Return the fastest form of a generator's synthesis for its device, or the plain one if there is no other.

    Args:
        generator: Any generator, in evaluation mode.
        dtype: float32, or a narrower type for layers that tolerate it.
    """
    prepare = _architecture(generator).prepare
    return prepare(cast("nn.Module", generator), dtype) if prepare else generator


def describe_program(generator: Generator) -> str:
    """Describe what draws a generator in float32 on the CPU: this machine's kernel, or PyTorch and why."""
    program = _architecture(generator).program
    return program(cast("nn.Module", generator)) if program else "PyTorch"


def has_narrow_form(generator: Generator) -> bool:
    """Return whether a generator can be sampled in lower precision than float32."""
    return _architecture(generator).prepare is not None


def is_recordable(generator: Generator) -> bool:
    """Return whether the result of `prepare_synthesis` can be captured as a CUDA graph."""
    return _architecture(generator).recordable


def _architecture(generator: Generator) -> Architecture:
    return next(arch for arch in ARCHITECTURES if arch.name == generator.architecture)
