"""The offline measures of a set of made pictures, all at once, and what can be expected of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from metagan.evaluation.features import FeatureSpace
from metagan.evaluation.neighbours import compare
from metagan.evaluation.pyramid import describe, sliced_wasserstein

FLOOR: Final = "floor_"  # before a measure's name: the same of other real pictures


class Quality:
    """Measures made pictures against the same real ones, again and again.

    Args:
        real: Real pictures, [n, 3, side, side]; as many as will be made, for comparable numbers.
        device: Where to compute; whatever isn't CUDA leaves that to the CPU, which has every operation.

    The floor is the same measure of other real pictures: nothing made can be expected to come nearer.
    """

    def __init__(self, real: NDArray[np.uint8], device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device if torch.device(device).type == "cuda" else "cpu")
        self._levels = describe(real, self._device)
        self._space = FeatureSpace.of(real, self._device)
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


def spread(total: int, count: int) -> list[int]:
    """`count` numbers (or all of them) evenly spread over the first `total`."""
    return [int(index) for index in np.linspace(0, total - 1, min(count, total))]


def halves(
    pixels: Callable[[int], NDArray[np.uint8]], total: int, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """`count` real pictures to measure against, and `count` others for the floor; None where there aren't enough.

    Args:
        pixels: A picture by its number, [3, side, side].
        total: How many there are.
        count: How many will be made.
    """
    real = np.stack([pixels(index) for index in spread(total, 2 * count)])
    return (real[::2], real[1::2]) if len(real) == 2 * count else (real, None)


def quality_and_floor(
    pixels: Callable[[int], NDArray[np.uint8]], total: int, count: int, device: torch.device | str = "cpu"
) -> tuple[Quality, dict[str, float]]:
    """The measure against a collection's pictures, and its floor by name ("floor_distance"), as for `halves`."""
    real, others = halves(pixels, total, count)
    quality = Quality(real, device)
    floor = {} if others is None else quality(others)
    return quality, {f"{FLOOR}{name}": value for name, value in floor.items()}
