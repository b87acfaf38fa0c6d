"""Training data of an upscaler: crops of originals, and generated pictures that have no original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from metagan.networks.generator import Generator
from metagan.sampling.sampler import Sampler, Settings
from metagan.training.data_loader import Pictures
from metagan.values import Label, Size

MADE_PICTURES = 512
# The settings with which sites draw: with or without truncation and per-pixel noise.
MADE_SETTINGS = (
    Settings(psi=0.7),
    Settings(psi=1.0),
    Settings(psi=0.7, noise="none"),
    Settings(psi=1.0, noise="none"),
)
HELD_OUT_SHARE = 0.05
HELD_OUT_MOST = 500


@dataclass(frozen=True)
class Part:
    """A subset of a collection's pictures; implements Pictures.

    Args:
        whole: The collection.
        indices: Which of its pictures, in order.
    """

    whole: Pictures
    indices: range

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.whole.size

    @property
    def label_count(self) -> int:
        """0, because upscalers have no labels."""
        return 0

    def __len__(self) -> int:
        return len(self.indices)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return picture `index` of the subset, [3, height, width]."""
        return self.whole.pixels(self.indices[index])

    def label(self, index: int) -> NDArray[np.float32]:
        """Return the empty label."""
        del index
        return np.zeros(0, np.float32)


def hold_out(pictures: Pictures) -> tuple[Part, Part]:
    """Split a collection into training pictures, and the last twentieth (at most 500) for evaluation."""
    count = max(1, min(HELD_OUT_MOST, round(len(pictures) * HELD_OUT_SHARE)))
    split = max(1, len(pictures) - count)
    return Part(pictures, range(split)), Part(pictures, range(split, len(pictures)))


def draw_made(
    generator: Generator, device: torch.device, count: int = MADE_PICTURES
) -> UInt8[Tensor, "n 3 h w"]:
    """Draw pictures with all settings that sites use, as bytes, cycling through the classes; deterministic."""
    sampler = Sampler(generator, device)
    rows: list[NDArray[np.uint8]] = []
    each = count // len(MADE_SETTINGS)
    for number, settings in enumerate(MADE_SETTINGS):
        seeds = range(1_000_000 + number * each, 1_000_000 + (number + 1) * each)  # not on any site
        for group, label in _labels(seeds, generator):
            chosen = Settings(psi=settings.psi, noise=settings.noise, label=label)
            rows += [picture.transpose(2, 0, 1) for _, picture in sampler.pictures(group, chosen)]
    return torch.from_numpy(np.stack(rows))


def _labels(seeds: range, generator: Generator) -> list[tuple[Sequence[int], Label | None]]:
    count = generator.c_dim
    if not count:
        return [(seeds, None)]
    if generator.label_space.is_numbers:
        return [(seeds, generator.label_space.middle)]
    return [(seeds[index::count], index) for index in range(count) if seeds[index::count]]


def crop(
    pictures: Float[Tensor, "n c h w"], side_px: int, step_px: int, rng: torch.Generator
) -> Float[Tensor, "n c side side"]:
    """Crop a random square of each picture, with its corner at a multiple of `step_px`."""
    down, right = ((side - side_px) // step_px + 1 for side in pictures.shape[2:])
    most = max(down, right)
    corners = torch.randint(most, (len(pictures), 2), generator=rng, device=rng.device)
    if down != right:  # a whole number drawn below the larger count, scaled down along the other axis
        corners = corners * torch.tensor([down, right], device=rng.device) // most
    corners = corners * step_px
    rows = [
        picture[:, top : top + side_px, left : left + side_px]
        for picture, (top, left) in zip(pictures, corners.tolist(), strict=True)
    ]
    return torch.stack(rows)
