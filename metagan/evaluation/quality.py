"""All offline measures of a set of generated pictures, and their floor between real pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from metagan.datasets.source import evenly_spaced, stack
from metagan.evaluation.features import FeatureSpace
from metagan.evaluation.pyramid import describe, sliced_wasserstein
from metagan.values import counted

# Precision, recall, density and coverage by nearest neighbours in a feature space.
#
# References:
#     [1] Kynkäänniemi et al. 2019, Improved Precision and Recall Metric, arXiv:1904.06991 (precision, recall; k = 3).
#     [2] Naeem et al. 2020, Reliable Fidelity and Diversity Metrics, arXiv:2002.09797 (density, coverage; k = 5).

PRECISION_K = 3
COVERAGE_K = 5
LEAST_PICTURES: Final = COVERAGE_K + 1
"""The fewest pictures, real ones that differ and generated ones, that have all these neighbours, and FID and KID."""


def radii(points: Float[Tensor, "n features"], k: int) -> Float[Tensor, " n"]:
    """Compute the distance from each point to its k-th nearest other point."""
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(0)
    return distances.kthvalue(min(k + 1, len(points)), dim=1).values


def compare(real: Float[Tensor, "n features"], made: Float[Tensor, "m features"]) -> dict[str, float]:
    """Measure how well two sets of points cover each other. Each measure is near 1 for two samples of one distribution.

    Returns:
        "precision", the fraction of generated points in neighbourhoods of real ones ([1] equation 1); "recall", the
            fraction of real points in neighbourhoods of generated ones; "density", the number of real neighbourhoods
            that contain a generated point, divided by k; "coverage", the fraction of real neighbourhoods that contain a
            generated point ([2] equations 3 and 4).
    """
    between = torch.cdist(real, made)
    near_real = between <= radii(real, PRECISION_K)[:, None]
    near_made = between <= radii(made, PRECISION_K)[None, :]
    wider = between <= radii(real, COVERAGE_K)[:, None]
    return {
        "precision": float(near_real.any(dim=0).float().mean()),
        "recall": float(near_made.any(dim=1).float().mean()),
        "density": float(wider.float().sum(dim=0).mean()) / COVERAGE_K,
        "coverage": float(wider.any(dim=1).float().mean()),
    }


FLOOR: Final = "floor_"  # prefix of a measure's name in training: the same measure between real pictures


class Quality:
    """Measures sets of generated pictures against a fixed set of real ones.

    Args:
        real: Real pictures, [n, 3, height, width]; as many as the generated ones, for comparable numbers.
        device: The device to compute on; the CPU is used unless it is CUDA.

    The floor is the same measure between real pictures: the best value to expect. Without LEAST_PICTURES of each kind,
    "distance" is measured alone.
    """

    def __init__(self, real: NDArray[np.uint8], device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device if torch.device(device).type == "cuda" else "cpu")
        self._levels = describe(real, self._device)
        self._space = FeatureSpace.of(real, self._device) if count_different(real) >= LEAST_PICTURES else None
        self._places = None if self._space is None else self._space.place(real)

    def __call__(self, made: NDArray[np.uint8]) -> dict[str, float]:
        """Return measures by name.

        Returns:
            "swd_64" and so on, the sliced Wasserstein distance of each scale; "distance", their mean; and
            "precision", "recall", "density" and "coverage".
        """
        levels = {level.size_px: level for level in describe(made, self._device)}
        by_size = {
            f"swd_{real.size_px}": sliced_wasserstein(real, levels[real.size_px]) for real in self._levels
        }
        distance = sum(by_size.values()) / len(by_size)
        measures = {"distance": distance, **by_size}
        if self._space is not None and self._places is not None and len(made) >= LEAST_PICTURES:
            measures |= compare(self._places, self._space.place(made))
        return measures


def count_different(pictures: NDArray[np.uint8]) -> int:
    """Count pictures [n, 3, height, width] that differ, up to LEAST_PICTURES."""
    found: list[NDArray[np.uint8]] = []
    for picture in pictures:
        if not any(np.array_equal(picture, other) for other in found):
            found.append(picture)
        if len(found) == LEAST_PICTURES:
            break
    return len(found)


def describe_gaps(real: NDArray[np.uint8], total: int, count: int, measures: str) -> list[str]:
    """Say what is not measured, and why.

    Args:
        real: The real pictures of one side, see `halves`.
        total: Number of pictures in the dataset, or in the class that is measured.
        count: Number of generated pictures.
        measures: The measures that need LEAST_PICTURES.
    """
    notes = []
    different = count_different(real)
    if different < LEAST_PICTURES:
        found = f"{different} of the {counted(len(real), 'real picture')} {'differs' if different == 1 else 'differ'}"
        if len(real) == 1:
            found = "there is 1"
        elif different == 1:
            found = f"all {len(real)} real pictures are the same"
        elif different == len(real):
            found = f"there are {len(real)}"
        notes.append(f"no {measures}: they need {LEAST_PICTURES} different real pictures, and {found}")
    elif count < LEAST_PICTURES:
        notes.append(f"no {measures}: they need {LEAST_PICTURES} generated pictures, and there are {count}")
    if total < 2 * count:
        fewer = f"; a count of {total // 2} leaves enough" if total >= 2 else ""
        notes.append(
            f"no floor: it takes {counted(2 * count, 'real picture')}, two sets of {count}, and there "
            f"{'is' if total == 1 else 'are'} {total}{fewer}"
        )
    return notes


def halves(
    pixels: Callable[[int], NDArray[np.uint8]], total: int, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return `count` real pictures, and `count` others for the floor, or None if there aren't enough.

    Args:
        pixels: Returns a picture [3, height, width] by its index.
        total: Number of pictures in the dataset.
        count: Number of generated pictures.
    """
    indices = evenly_spaced(total, min(2 * count, total))
    if len(indices) < 2 * count:
        return stack(map(pixels, indices), len(indices)), None
    return stack(map(pixels, indices[::2]), count), stack(map(pixels, indices[1::2]), count)
