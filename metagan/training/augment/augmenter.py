"""Adaptive discriminator augmentation: transforms the discriminator's input pictures with probability p.

References:
    [1] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676, section 2 and appendix B: the transforms,
        their order and their strengths.

Random parameters are drawn separately from applying them: a few numbers per picture, drawn on the CPU, so that the
CPU needn't wait for the GPU and the sequence of operations doesn't depend on them. Everything is differentiable with
respect to the pictures. Transforms that move pixels leave pictures that drew none of them bit-identical.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.training.augment.colour import draw_recolouring, recolour
from metagan.training.augment.corrupt import (
    add_noise,
    cut_out,
    draw_cutouts,
    draw_filters,
    draw_noise,
    filter_each,
)
from metagan.training.augment.draws import Transform
from metagan.training.augment.pixels import blit, draw_moves, draw_warps, warp
from metagan.values import Size

GROUPS: dict[str, Transform] = {
    "blit": Transform(draw_moves, blit),  # mirroring, quarter turns, whole-pixel shifts
    "geometry": Transform(draw_warps, warp),  # scaling, rotation, stretching, fractional shifts
    "colour": Transform(draw_recolouring, recolour),  # brightness, contrast, luma flip, hue, saturation
    "filter": Transform(draw_filters, filter_each),  # frequency bands up and down
    "noise": Transform(draw_noise, add_noise),
    "cutout": Transform(draw_cutouts, cut_out),
}


class Augmenter:
    """The pipeline: groups of transforms in the paper's order.

    Args:
        groups: Which of GROUPS are applied.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self.groups = [name for name in GROUPS if name in groups]

    def draw(self, n: int, size: Size | int, p: float, rng: torch.Generator) -> dict[str, Tensor]:
        """Draw the transforms of n pictures: for each group, one row per picture; nothing if p is 0.

        Args:
            n: Number of pictures.
            size: Of the pictures; the side of squares.
            p: Each transform's probability, 0 to 1.
            rng: Random number generator on the CPU.
        """
        if p <= 0:
            return {}
        return {name: GROUPS[name].draw(n, Size.of(size), p, rng) for name in self.groups}

    def __call__(
        self, images: Float[Tensor, "n c h w"], drawn: Mapping[str, Tensor], rng: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        """Augment pictures; returns the same tensor if nothing was drawn.

        Args:
            images: Nominally within [-1, 1].
            drawn: The result of `draw`, on the pictures' device.
            rng: Random number generator for pixel noise, on the pictures' device.
        """
        for name, rows in drawn.items():
            images = GROUPS[name].apply(images, rows, rng)
        return images


class Controller:
    """Steers the strength of augmentation by the mean sign of the logits of real pictures ([1] section 3).

    If the mean sign exceeds `target`, the discriminator overfits, and p rises.

    Args:
        p: The initial strength.
        target: The mean sign to hold.
        speed_kimg: Thousands of pictures in which p can rise from 0 to 1.
    """

    def __init__(self, p: float, target: float, speed_kimg: float) -> None:
        self.p = p
        self.target = target
        self.speed_kimg = speed_kimg

    def adjust(self, mean_sign: float, images: int) -> None:
        """Adjust p once, after `images` pictures with this mean sign of their logits; p stays within 0 and 1."""
        step = images / (self.speed_kimg * 1000)
        direction = (mean_sign > self.target) - (mean_sign < self.target)
        self.p = min(1.0, max(0.0, self.p + direction * step))
