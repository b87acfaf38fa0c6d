"""Measures how close an exported generator's pictures are to the original's, at fixed seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from metagan.sampling.levels import to_uint8

PROOF_SEEDS = (0, 1, 2, 3)
PROOF_PSI = 0.7


@dataclass(frozen=True)
class Likeness:
    """The difference between pictures of an exported generator and of the original.

    Args:
        off_by_one: The fraction of values that differ, 0 to 1.
        worst: The largest difference, in levels of 255.
        psnr_db: Peak signal-to-noise ratio before rounding, in dB; infinity if the pictures are equal.
    """

    off_by_one: float
    worst: int
    psnr_db: float

    @property
    def finite_psnr_db(self) -> float | None:
        """The PSNR rounded to a tenth, for JSON; None if the pictures are equal, because JSON has no infinity."""
        return round(self.psnr_db, 1) if math.isfinite(self.psnr_db) else None


def measure(pairs: Iterable[tuple[Tensor, Tensor]]) -> Likeness:
    """Compare pictures nominally within [-1, 1], [batch, channels, height, width] each."""
    differences: list[Tensor] = []
    squares: list[Tensor] = []
    for got, want in pairs:
        differences.append((_bytes(got) - _bytes(want)).abs().flatten())
        squares.append((got - want).square().flatten())
    levels, error = torch.cat(differences), float(torch.cat(squares).mean())
    psnr_db = 10 * math.log10(4 / error) if error else math.inf
    return Likeness(float((levels > 0).double().mean()), int(levels.max()), psnr_db)


def _bytes(images: Tensor) -> Tensor:
    return torch.stack([torch.from_numpy(picture) for picture in to_uint8(images)]).int()
