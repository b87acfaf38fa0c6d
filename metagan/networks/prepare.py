"""The form in which a generator is sampled."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from metagan.networks.architecture import Architecture
from metagan.networks.detect import ARCHITECTURES
from metagan.networks.generator import Generator, Synthesis


def prepare_synthesis(generator: Generator, dtype: torch.dtype) -> Synthesis:
    """The fastest form of a generator's synthesis on the device it is on; its own, where there is no other.

    Args:
        generator: Any generator, in evaluation mode.
        dtype: float32, or a narrower type for what bears it.
    """
    prepare = _architecture(generator).prepare
    return prepare(cast("nn.Module", generator), dtype) if prepare else generator


def has_narrow_form(generator: Generator) -> bool:
    """Whether a generator can be sampled in narrower numbers than float32."""
    return _architecture(generator).prepare is not None


def is_recordable(generator: Generator) -> bool:
    """Whether what `prepare_synthesis` gives may be recorded as a CUDA graph."""
    return _architecture(generator).recordable


def _architecture(generator: Generator) -> Architecture:
    return next(arch for arch in ARCHITECTURES if arch.name == generator.architecture)
