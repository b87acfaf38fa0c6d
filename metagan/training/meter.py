"""Means of what a training run measures of itself."""

from __future__ import annotations

import torch
from torch import Tensor

from metagan.training.world import World


class Meter:
    """Sums and counts on the device; nothing waits for the device until they are read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> None:
        """So many more values of this name."""
        values = values.detach().double()
        entry = torch.stack([values.sum(), values.new_full((), values.numel())])
        self._sums[name] = self._sums[name] + entry if name in self._sums else entry

    def is_finite(self) -> bool:
        """Whether every value so far was a number; on this process only."""
        return all(bool(entry.isfinite().all()) for entry in self._sums.values())

    def read(self) -> dict[str, float]:
        """The means over all processes since the last reading, by name."""
        means = {}
        for name in sorted(self._sums):
            total, count = self._world.mean(self._sums[name]).tolist()
            means[name] = total / count
        self._sums.clear()
        return means
