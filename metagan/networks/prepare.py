"""The form in which a generator is sampled."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from metagan.networks.detect import ARCHITECTURES
from metagan.networks.generator import Generator, Synthesis


def prepare_synthesis(generator: Generator, dtype: torch.dtype) -> Synthesis:
    """The fastest form of a generator's synthesis on the device it is on; its own, where there is no other.

    Args:
        generator: Any generator, in evaluation mode.
        dtype: float32, or a narrower type for those blocks that bear it.
    """
    for architecture in ARCHITECTURES:
        if architecture.name == generator.architecture and architecture.prepare:
            return architecture.prepare(cast("nn.Module", generator), dtype)
    return generator


def has_narrow_form(generator: Generator) -> bool:
    """Whether a generator can be sampled in narrower numbers than float32."""
    return any(arch.name == generator.architecture and arch.prepare for arch in ARCHITECTURES)
