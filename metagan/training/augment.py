"""Adaptive discriminator augmentation: what the discriminator sees, real or made, is disturbed with probability p.

References:
    [1] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676, section 2 and appendix B: the transforms,
        their order and their strengths.

Everything is differentiable by the pictures. Transforms that move pixels leave a picture that drew none of them bit by
bit as it was, and spare its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.training.augment_colour import recolour
from metagan.training.augment_corrupt import add_noise, cut_out, filter_bands
from metagan.training.augment_pixels import blit, warp

Transform = Callable[[Tensor, float, torch.Generator], Tensor]

GROUPS: dict[str, Transform] = {
    "blit": blit,  # mirroring, quarter turns, whole-pixel shifts
    "geometry": warp,  # scaling, rotation, stretching, fractional shifts
    "colour": recolour,  # brightness, contrast, luma flip, hue, saturation
    "filter": filter_bands,  # frequency bands up and down
    "noise": add_noise,
    "cutout": cut_out,
}


class Augmenter:
    """The pipeline: groups of transforms in the paper's order.

    Args:
        groups: Which of GROUPS take part.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self.transforms = [transform for name, transform in GROUPS.items() if name in groups]

    def __call__(
        self, images: Float[Tensor, "n c h w"], p: float, source: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        """Disturbed pictures; the very same tensor when p is 0.

        Args:
            images: Nominally within [-1, 1].
            p: Each transform's probability, 0 to 1.
            source: Where chance comes from, on the CPU: what is drawn are a few numbers a picture, and which pictures
                move must be known without waiting for a GPU.
        """
        if p <= 0:
            return images
        for transform in self.transforms:
            images = transform(images, p, source)
        return images


class Controller:
    """Steers the strength of augmentation by the mean sign of the logits of real pictures ([1] section 3).

    Where the discriminator is surer of the training pictures than `target`, it overfits, and p rises.

    Args:
        p: The strength at the beginning.
        target: The mean sign to hold.
        speed_kimg: Thousands of pictures in which p may go from 0 to 1.
    """

    def __init__(self, p: float, target: float, speed_kimg: float) -> None:
        self.p = p
        self.target = target
        self.speed_kimg = speed_kimg

    def adjust(self, mean_sign: float, images: int) -> None:
        """One adjustment, after `images` pictures with this mean sign of their logits; p stays within 0 and 1."""
        step = images / (self.speed_kimg * 1000)
        direction = (mean_sign > self.target) - (mean_sign < self.target)
        self.p = min(1.0, max(0.0, self.p + direction * step))
