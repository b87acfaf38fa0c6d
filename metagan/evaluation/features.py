"""A small feature space that distinguishes pictures of a dataset without a learned network.

A picture becomes 704 numbers: its mean colour in 8x8 cells (192), and the strength of edges in 8 directions in each
cell (512). Both parts are scaled to the same variance over the real pictures. Then the principal components of the
real pictures with the most variance (at most 64) are kept, unscaled. Distances reflect layout, colour and outline.
These features don't replace those of FID for photographs, but need no download and cost milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

CELLS = 8
DIRECTIONS = 8
COMPONENTS = 64
CHUNK_PIXELS = 2**20  # of the pictures that are computed on at once: 256 of 64x64
LEAST_SPREAD = 1e-3  # of colours or edges that are the same in all pictures


def at_once_of(pictures: NDArray[np.uint8]) -> int:
    """How many of some pictures [n, 3, height, width] to compute on at once: the larger they are, the fewer."""
    height, width = pictures.shape[2:]
    return max(1, min(256, CHUNK_PIXELS // int(height * width)))


def raw_features(pictures: NDArray[np.uint8], device: torch.device | str = "cpu") -> Float[Tensor, "n 704"]:
    """Compute cell colours and edge directions of pictures [n, 3, height, width] on a device; sides of at least 8."""
    at_once = at_once_of(pictures)
    chunks = [pictures[start : start + at_once] for start in range(0, len(pictures), at_once)]
    return torch.cat([_features(torch.from_numpy(chunk).to(device).float() / 127.5 - 1) for chunk in chunks])


def _features(images: Tensor) -> Tensor:
    colours = F.adaptive_avg_pool2d(images, CELLS).flatten(1)
    grey = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    right = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    strength = (right.square() + down.square()).sqrt()
    angle = torch.atan2(down, right) * (DIRECTIONS / (2 * math.pi)) % DIRECTIONS
    bins = torch.arange(DIRECTIONS, device=images.device).view(1, -1, 1, 1)
    apart = (angle - bins).abs()
    shares = (1 - torch.minimum(apart, DIRECTIONS - apart)).clamp(
        min=0
    )  # each edge counts for its two nearest directions
    edges = F.adaptive_avg_pool2d(shares * strength, CELLS).flatten(1)
    return torch.cat([colours, edges.sqrt()], dim=1)


@dataclass(frozen=True)
class FeatureSpace:
    """The feature space of a dataset.

    Args:
        mean: Mean of the real pictures' scaled features.
        scale: The factor of each feature.
        components: Principal directions, [704, at most 64].
    """

    mean: Float[Tensor, " features"]
    scale: Float[Tensor, " features"]
    components: Float[Tensor, "features kept"]

    @classmethod
    def of(cls, real: NDArray[np.uint8], device: torch.device | str = "cpu") -> FeatureSpace:
        """Compute the feature space of real pictures, [n, 3, height, width], on a device."""
        raw = raw_features(real, device)
        colours = 3 * CELLS**2
        spread = [raw[:, :colours].var(dim=0).sum().sqrt(), raw[:, colours:].var(dim=0).sum().sqrt()]
        scale = torch.ones(raw.shape[1], device=raw.device)
        scale[:colours] /= spread[0].clamp_min(LEAST_SPREAD)
        scale[colours:] /= spread[1].clamp_min(LEAST_SPREAD)
        scaled = raw * scale
        mean = scaled.mean(dim=0)
        _, _, directions = torch.linalg.svd(scaled - mean, full_matrices=False)
        return cls(mean, scale, directions[:COMPONENTS].t().contiguous())

    def place(self, pictures: NDArray[np.uint8]) -> Float[Tensor, "n kept"]:
        """Project pictures into the space."""
        return (raw_features(pictures, self.mean.device) * self.scale - self.mean) @ self.components
