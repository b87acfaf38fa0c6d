"""Reduces originals to small pictures, with artefacts like those of a generator's pictures.

As in Wang et al. 2021, Real-ESRGAN, arXiv:2107.10833, section 3, training inputs get the artefacts that later inputs
have. Those of a StyleGAN that is narrow or trained briefly are smears (soft patches beside sharp ones), grain, and
blotches of colour.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BLUR_TAPS: Final = (1.0, 2.0, 1.0)  # binomial; blended in with a strength that varies over the picture
GRAIN: Final = 0.03  # standard deviations in a range of 2: about 4 levels of 255
BLOTCHES: Final = 0.03
BLOTCH_PX: Final = 4
PATCH_PX: Final = 8  # the scale on which smeared and sharp areas alternate
CLEAN_SHARE: Final = 0.25
LANCZOS_LOBES: Final = 3
LEVELS: Final = 127.5


def reduce(pictures: Float[Tensor, "n c h w"], factor: int) -> Float[Tensor, "n c small_h small_w"]:
    """Reduce pictures to 1/factor of their size by a bicubic filter widened by the factor, against aliasing."""
    size = (pictures.shape[2] // factor, pictures.shape[3] // factor)
    return F.interpolate(pictures, size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def reduce_variously(
    pictures: Float[Tensor, "n c h w"], factor: int, rng: torch.Generator
) -> Float[Tensor, "n c small_h small_w"]:
    """Reduce each picture with a filter drawn at random: pixel mean, bicubic or Lanczos.

    It is unknown how a collection's small pictures were made, and an upscaler trained with only one filter draws
    grid artefacts on pictures made with another.
    """
    ways = torch.stack([F.avg_pool2d(pictures, factor), reduce(pictures, factor), _lanczos(pictures, factor)])
    picks = torch.randint(len(ways), (len(pictures),), generator=rng, device=rng.device)
    return ways[picks, torch.arange(len(pictures), device=picks.device)]


def _lanczos(pictures: Tensor, factor: int) -> Tensor:
    """Reduce with a Lanczos filter of 3 lobes on each side, widened by `factor`, with repeated edges."""
    half = LANCZOS_LOBES * factor
    x = (torch.arange(2 * half, dtype=pictures.dtype, device=pictures.device) - half + 0.5) / factor
    taps = torch.sinc(x) * torch.sinc(x / LANCZOS_LOBES)
    taps = taps / taps.sum()
    channels, pad = pictures.shape[1], half - factor // 2
    padded = F.pad(pictures, (pad, pad, pad, pad), mode="replicate")
    rows = F.conv2d(
        padded, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), stride=(factor, 1), groups=channels
    )
    lines = F.conv2d(
        rows, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), stride=(1, factor), groups=channels
    )
    return lines.clamp(-1, 1)


def degrade(
    small: Float[Tensor, "n 3 h w"], strength: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Add smears, grain and blotches to pictures within [-1, 1], each with a random strength; a quarter stays clean.

    Args:
        small: Pictures at the upscaler's input size.
        strength: Multiplies everything; 0 gives the pictures rounded to bytes.
        rng: Random number generator on the pictures' device.
    """
    n, _, height, width = small.shape
    device = small.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, device=device)

    amount = (
        uniform(n, 1, 1, 1).square() * strength * (uniform(n, 1, 1, 1) >= CLEAN_SHARE)
    )  # small strengths are frequent
    # Smears: blend in a blurred copy where a smooth random map is high.
    patches = uniform(n, 1, max(1, height // PATCH_PX), max(1, width // PATCH_PX))
    where = F.interpolate(patches, (height, width), mode="bilinear", align_corners=False)
    x = torch.lerp(small, _blur(_blur(small)), (2 * amount * where).clamp(max=1))
    # Grain, pixel by pixel, and blotches, which are coarser.
    x = x + GRAIN * amount * normal(n, 3, height, width)
    coarse = normal(n, 3, max(1, height // BLOTCH_PX), max(1, width // BLOTCH_PX))
    x = x + BLOTCHES * amount * F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    # Round to bytes, like a generator's pictures.
    return ((x.clamp(-1, 1) * LEVELS + LEVELS).round() - LEVELS) / LEVELS


def _blur(x: Tensor) -> Tensor:
    """Apply a binomial 3x3 blur, with repeated edges."""
    taps = torch.tensor(BLUR_TAPS, dtype=x.dtype, device=x.device)
    kernel = (taps[:, None] * taps[None, :] / taps.sum().square()).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
