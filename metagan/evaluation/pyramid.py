"""Sliced Wasserstein distance between patches of real and generated pictures, per scale.

References:
    [1] Karras et al. 2018, Progressive Growing of GANs, arXiv:1710.10196, section 5.
    [2] Burt and Adelson 1983, The Laplacian Pyramid as a Compact Image Code.

A level of the pyramid contains the details of one scale. 7x7 patches are drawn at random from the levels of each
picture. Two sets of patches are compared by projecting them onto random directions and comparing the sorted
projections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from metagan.evaluation.features import at_once_of

PATCH_PX = 7
PATCHES = 64  # per picture and level
DIRECTIONS = 128
SMALLEST_PX = 16
FEWEST_PX = 4  # of the shorter side: the filter reaches so far beyond a pixel and back
GROUP = 256  # pictures whose patches' positions are drawn together
LEAST_DEVIATION = 1 / 127.5  # one level of 255; pictures of one colour have none of their own
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True)
class Descriptors:
    """The patches of one level.

    Args:
        size_px: The longer side of the level in pixels.
        patches: [pictures x PATCHES, 3 x 49], not normalised.
    """

    size_px: int
    patches: Float[Tensor, "n features"]


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the height and width of each level of a picture's pyramid, finest first."""
    sizes = [(height, width)]
    while max(height, width) > SMALLEST_PX and min(height, width) >= 2 * FEWEST_PX:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
        sizes.append((height, width))
    return sizes


def laplacian_pyramid(images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n c _h _w"]]:
    """Compute the Laplacian pyramid, finest level first. The last level is the coarsest picture itself."""
    levels = []
    for _ in level_sizes(*images.shape[-2:])[1:]:
        smaller = _blur(images)[:, :, ::2, ::2]
        levels.append(images - _expand(smaller))
        images = smaller
    return [*levels, images]


def _kernel(channels: int) -> Tensor:
    line = torch.tensor(BINOMIAL)
    return torch.outer(line, line).expand(channels, 1, -1, -1)


def _blur(images: Tensor) -> Tensor:
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(padded, _kernel(images.shape[1]).to(images.device), groups=images.shape[1])


def _expand(images: Tensor) -> Tensor:
    n, c, h, w = images.shape
    spread = images.new_zeros(n, c, 2 * h, 2 * w)
    spread[:, :, ::2, ::2] = images
    return _blur(spread) * 4


def describe(pictures: NDArray[np.uint8], device: torch.device | str = "cpu") -> list[Descriptors]:
    """Take patches from all levels of all pictures, at positions that depend only on their number and size.

    Args:
        pictures: [n, 3, height, width].
        device: The device to compute on.
    """
    source = np.random.default_rng(0)
    sizes, at_once = level_sizes(*pictures.shape[2:]), at_once_of(pictures)
    collected: dict[int, list[Tensor]] = {}
    for start in range(0, len(pictures), GROUP):
        group = pictures[start : start + GROUP]
        positions = [_positions(size, len(group), source) for size in sizes]
        for first in range(0, len(group), at_once):
            part = group[first : first + at_once]
            images = torch.from_numpy(part).to(device).float() / 127.5 - 1
            for level, drawn in zip(laplacian_pyramid(images), positions, strict=True):
                patches = _patches(level, drawn[:, first : first + len(part)].to(device))
                collected.setdefault(max(level.shape[-2:]), []).append(patches)
    return [Descriptors(size, torch.cat(patches)) for size, patches in collected.items()]


def _positions(size: tuple[int, int], n: int, source: np.random.Generator) -> Int[Tensor, "2 n patches"]:
    """Draw the top and the left of each patch of n pictures of a level."""
    patch = min(PATCH_PX, *size)
    drawn = [source.integers(0, side - patch + 1, n * PATCHES) for side in size]
    return torch.from_numpy(np.stack(drawn).reshape(2, n, PATCHES))


def _patches(level: Tensor, positions: Int[Tensor, "2 n patches"]) -> Float[Tensor, "m features"]:
    n, c, *sides = level.shape
    patch = min(PATCH_PX, *sides)
    windows = level.unfold(2, patch, 1).unfold(3, patch, 1)
    picture = torch.arange(n, device=level.device).repeat_interleave(PATCHES)
    y, x = positions.flatten(1)
    return windows[picture, :, y, x].reshape(n * PATCHES, c * patch * patch)


def sliced_wasserstein(real: Descriptors, made: Descriptors) -> float:
    """Compute the mean distance of sorted projections, times 1000 as in [1].

    Both sets are normalised by the mean and deviation of the real patches in each colour channel, so that a colour
    cast counts. The larger set is thinned to the size of the smaller one.
    """
    first, second = _normalised(real.patches, real.patches), _normalised(made.patches, real.patches)
    size = min(len(first), len(second))
    directions = torch.from_numpy(
        np.random.default_rng(1).standard_normal((first.shape[1], DIRECTIONS))
    ).float()
    directions = (directions / directions.norm(dim=0, keepdim=True)).to(first.device)
    projected = [
        (_thinned(patches, size) @ directions).t().contiguous().sort(dim=1).values
        for patches in (first, second)
    ]
    return float((projected[0] - projected[1]).abs().mean()) * 1000


def _normalised(patches: Tensor, by: Tensor) -> Tensor:
    channels = by.view(len(by), 3, -1)
    mean, deviation = channels.mean(dim=(0, 2)), channels.std(dim=(0, 2)).clamp_min(LEAST_DEVIATION)
    return ((patches.view(len(patches), 3, -1) - mean[:, None]) / (deviation[:, None] + 1e-8)).flatten(1)


def _thinned(patches: Tensor, size: int) -> Tensor:
    return patches[torch.linspace(0, len(patches) - 1, size).long().to(patches.device)]
