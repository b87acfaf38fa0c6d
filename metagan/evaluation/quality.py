"""The offline measures of a set of made pictures, all at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from metagan.evaluation.features import FeatureSpace
from metagan.evaluation.neighbours import compare
from metagan.evaluation.pyramid import describe, sliced_wasserstein


class Quality:
    """Measures made pictures against the same real ones, again and again.

    Args:
        real: Real pictures, [n, 3, side, side]; as many as will be made, for comparable numbers.
        device: Where to compute.

    The floor is the same measure of other real pictures: nothing made can be expected to come nearer.
    """

    def __init__(self, real: NDArray[np.uint8], device: torch.device | str = "cpu") -> None:
        self._device = device
        self._levels = describe(real, device)
        self._space = FeatureSpace.of(real, device)
        self._places = self._space.place(real)

    def __call__(self, made: NDArray[np.uint8]) -> dict[str, float]:
        """Measures by name.

        Returns:
            "swd_64" and so on, the sliced Wasserstein distance of each scale; "distance", their mean; and
            "precision", "recall", "density" and "coverage".
        """
        levels = {level.size_px: level for level in describe(made, self._device)}
        by_size = {
            f"swd_{real.size_px}": sliced_wasserstein(real, levels[real.size_px]) for real in self._levels
        }
        distance = sum(by_size.values()) / len(by_size)
        return {"distance": distance, **by_size, **compare(self._places, self._space.place(made))}
