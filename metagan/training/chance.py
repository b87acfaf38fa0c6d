"""Where a training step's chance comes from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metagan.networks.generator import Noise


def seed_of(*place: int) -> int:
    """A seed of its own for each place, such as (seed, step, process)."""
    words = np.random.SeedSequence(place).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class DrawnNoise(Noise):
    """Fresh noise for every layer and picture, from the step's own source."""

    def __init__(self, source: torch.Generator) -> None:
        super().__init__("random")
        self._source = source

    def image(self, stored: Tensor, batch: int, *, uniform: bool = False) -> Tensor:
        """The next layer's noise, [batch, 1, h, w]."""
        draw = torch.rand if uniform else torch.randn
        return draw((batch, 1, *stored.shape), generator=self._source, device=stored.device)
