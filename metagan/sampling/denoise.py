"""Removes noise from pictures by non-local means.

References:
    [1] Buades, Coll and Morel 2005, A Non-Local Algorithm for Image Denoising (the mean of places that look alike).
    [2] Buades, Coll and Morel 2011, Non-Local Means Denoising, IPOL, doi:10.5201/ipol.2011.bcm_nlm (its parameters).
    [3] Immerkaer 1996, Fast Noise Variance Estimation (a mask that sees noise, and neither slopes nor flat parts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

PATCH: Final = 2  # radius of what is compared
SEARCH: Final = 7  # radius of where it is looked for
FILTERING: Final = 0.4  # h in units of the noise's deviation, [2]
LEAST: Final = 0.5  # levels of 255: with less noise than that, a picture stays as it is
STRIP_PX: Final = 512  # rows at a time, so that memory doesn't grow with the picture


@dataclass(frozen=True)
class Denoising:
    """When to remove noise, and how much.

    Args:
        before: Before pictures are enlarged.
        after: After they are enlarged.
        deviation: The noise's standard deviation in levels of 255; None estimates it for each picture.
    """

    before: bool = False
    after: bool = False
    deviation: float | None = None


def noise_of(picture: NDArray[np.uint8]) -> float:
    """Estimate the standard deviation of a picture's noise [h, w, 3], in levels of 255.

    [3], by the median instead of the mean, which edges don't move.
    """
    if min(picture.shape[:2]) < 3:
        return 0.0
    x = picture.astype(np.float32)
    x = x[:-2] - 2 * x[1:-1] + x[2:]
    x = x[:, :-2] - 2 * x[:, 1:-1] + x[:, 2:]
    return float(np.median(np.abs(x))) / (6 * 0.6745)  # the mask's norm, and a unit normal's median


@torch.inference_mode()
def denoise(picture: NDArray[np.uint8], deviation: float | None = None) -> NDArray[np.uint8]:
    """Remove noise from a picture [h, w, 3] by non-local means, [1] and [2].

    Each pixel becomes the mean of those around it whose surroundings look alike; details that occur once remain.

    Args:
        picture: RGB.
        deviation: The noise's standard deviation in levels of 255; None estimates it.
    """
    sigma = noise_of(picture) if deviation is None else deviation
    if sigma < LEAST:
        return picture
    margin = PATCH + SEARCH
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    x = torch.from_numpy(padded).permute(2, 0, 1).float()
    height = picture.shape[0]
    strips = [
        _denoised(x[:, top : min(top + STRIP_PX, height) + 2 * margin], sigma)
        for top in range(0, height, STRIP_PX)
    ]
    whole = torch.cat(strips, dim=1)
    return (whole + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _denoised(x: Float[Tensor, "c h w"], sigma: float) -> Float[Tensor, "c inner_h inner_w"]:
    """Return the inside of a padded picture, denoised."""
    rows, columns = x.shape[1] - 2 * SEARCH, x.shape[2] - 2 * SEARCH
    here = x[:, SEARCH : SEARCH + rows, SEARCH : SEARCH + columns]
    inside = slice(PATCH, rows - PATCH), slice(PATCH, columns - PATCH)
    total = torch.zeros_like(here[:, *inside])
    weights = torch.zeros_like(total[0])
    side = 2 * PATCH + 1
    for down in range(2 * SEARCH + 1):
        for right in range(2 * SEARCH + 1):
            there = x[:, down : down + rows, right : right + columns]
            apart = F.avg_pool2d((here - there).square().mean(dim=0)[None, None], side, stride=1)[0, 0]
            weight = torch.exp(-(apart - 2 * sigma**2).clamp(min=0) / (FILTERING * sigma) ** 2)
            weights += weight
            total += weight * there[:, *inside]
    return total / weights
