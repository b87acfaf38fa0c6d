"""Augmentations of colour: one affine map of RGB per picture.

References:
    [1] Karras et al. 2020, arXiv:2006.06676, appendix B, "color transformations".
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.training.augment.draws import normal, uniform, with_chance
from metagan.values import Size

BRIGHTNESS_DEVIATION = 0.2
LOG2_CONTRAST_DEVIATION = 0.5
LOG2_SATURATION_DEVIATION = 1.0


def recolour(
    images: Float[Tensor, "n c h w"], maps: Float[Tensor, "n 3 4"], _source: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Map each picture's colours.

    Grey pictures take the mean over the mapped channels; an alpha channel is unchanged.
    """
    matrix, offset = maps[:, :, :3], maps[:, :, 3]
    if images.shape[1] == 1:
        grey = matrix.sum(dim=2).mean(dim=1)
        return images * grey[:, None, None, None] + offset.mean(dim=1)[:, None, None, None]
    rgb = torch.baddbmm(offset[:, :, None], matrix, images[:, :3].flatten(2)).view(
        len(images), 3, *images.shape[2:]
    )
    return rgb if images.shape[1] == 3 else torch.cat([rgb, images[:, 3:]], dim=1)


def draw_recolouring(n: int, _size: Size, p: float, rng: torch.Generator) -> Float[Tensor, "n 3 4"]:
    """Draw brightness, contrast, luma flip, hue and saturation, each with probability p.

    Returns one matrix and offset per picture, composed in the paper's order.
    """
    brightness = with_chance(normal(n, BRIGHTNESS_DEVIATION, rng), p, 0, rng)
    contrast = with_chance(normal(n, LOG2_CONTRAST_DEVIATION, rng), p, 0, rng).exp2()
    flipped = with_chance(uniform(n, 0, 2, rng).floor(), p, 0, rng)
    angle = with_chance(uniform(n, -math.pi, math.pi, rng), p, 0, rng)
    saturation = with_chance(normal(n, LOG2_SATURATION_DEVIATION, rng), p, 0, rng).exp2()
    matrix = contrast[:, None, None] * torch.eye(3, device=rng.device)
    for step in (flip_luma(flipped), rotate_hue(angle), saturate(saturation)):
        matrix = step @ matrix
    return torch.cat([matrix, matrix @ brightness[:, None, None].expand(-1, 3, 1)], dim=2)


def _grey_part(like: Tensor) -> Float[Tensor, "3 3"]:
    """Return the projection of a colour onto the luma axis (1, 1, 1)."""
    return torch.full((3, 3), 1 / 3, device=like.device)


def flip_luma(flipped: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """Invert the luma and keep the hue where `flipped` is 1: I - 2 v vᵀ with v along (1, 1, 1)."""
    return torch.eye(3, device=flipped.device) - 2 * _grey_part(flipped) * flipped[:, None, None]


def rotate_hue(angle: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """Rotate the colour around the luma axis (Rodrigues' formula)."""
    grey = _grey_part(angle)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / math.sqrt(3)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return cosine * torch.eye(3, device=angle.device) + sine * cross + (1 - cosine) * grey


def saturate(factor: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """Scale the chroma (the component orthogonal to the luma axis)."""
    grey = _grey_part(factor)
    return grey + (torch.eye(3, device=factor.device) - grey) * factor[:, None, None]
