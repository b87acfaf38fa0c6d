"""Random draws for augmentation: one row per picture, from an explicit rng."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.values import Size


class Transform(NamedTuple):
    """A group of augmentations.

    `draw` takes the number of pictures, their size, each transform's probability and an rng on the CPU, and returns
    one row per picture. `apply` takes pictures [n, c, h, w], those rows on their device, and an rng there, for noise.
    """

    draw: Callable[[int, Size, float, torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor, torch.Generator], Tensor]


def uniform(n: int, low: float, high: float, rng: torch.Generator) -> Float[Tensor, " n"]:
    """Draw uniformly within [low, high)."""
    return torch.rand(n, generator=rng, device=rng.device) * (high - low) + low


def normal(n: int, deviation: float, rng: torch.Generator) -> Float[Tensor, " n"]:
    """Draw from a normal distribution with mean 0."""
    return torch.randn(n, generator=rng, device=rng.device) * deviation


def with_chance(values: Tensor, p: float, identity: float, rng: torch.Generator) -> Tensor:
    """Keep each picture's value with probability p; replace the others by the identity value."""
    drawn = torch.rand(len(values), generator=rng, device=rng.device) < p
    return torch.where(drawn, values, identity)
