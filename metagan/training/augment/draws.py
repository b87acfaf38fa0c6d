"""Chance as augmentation needs it: a row a picture, from one explicit source."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Transform(NamedTuple):
    """A group of augmentations.

    `draw` takes the number of pictures, their side, each transform's probability and a source on the CPU, and gives a
    row a picture. `apply` takes pictures [n, c, h, w], those rows on their device, and a source there, for noise.
    """

    draw: Callable[[int, int, float, torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor, torch.Generator], Tensor]


def uniform(n: int, low: float, high: float, source: torch.Generator) -> Float[Tensor, " n"]:
    """Uniform within [low, high)."""
    return torch.rand(n, generator=source, device=source.device) * (high - low) + low


def normal(n: int, deviation: float, source: torch.Generator) -> Float[Tensor, " n"]:
    """Normal around 0."""
    return torch.randn(n, generator=source, device=source.device) * deviation


def with_chance(values: Tensor, p: float, identity: float, source: torch.Generator) -> Tensor:
    """Each picture's value with probability p, else the one that changes nothing."""
    drawn = torch.rand(len(values), generator=source, device=source.device) < p
    return torch.where(drawn, values, identity)
