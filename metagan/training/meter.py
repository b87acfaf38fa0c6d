"""Means of what a training run measures of itself."""

from __future__ import annotations

import torch
from torch import Tensor

from metagan.training.world import World


class Meter:
    """Sums and counts on the device, each in one place; nothing waits for the device until they are read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> None:
        """So many more values of this name."""
        values = values.detach().to(self._world.sum_dtype)
        entry = torch.stack([values.sum(), values.new_full((), values.numel())])
        if name in self._sums:
            self._sums[name] += entry
        else:
            self._sums[name] = entry

    def is_finite(self) -> bool:
        """Whether every value since the last reading was a number; on this process only."""
        return not self._sums or bool(torch.cat(list(self._sums.values())).isfinite().all())

    def read(self) -> dict[str, float]:
        """The means over all processes since the last reading, by name."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        totals = self._world.mean(torch.stack([self._sums[name] for name in names])).tolist()
        torch._foreach_zero_(list(self._sums.values()))
        return {name: total / count for name, (total, count) in zip(names, totals, strict=True) if count}
