"""Augmentations that corrupt pictures: frequency bands, noise, cutout. Off by default, as in the paper's best setting.

References:
    [1] Karras et al. 2020, arXiv:2006.06676, appendix B, "image-space filtering" and "image-space corruptions".
    [2] Daubechies 1992, Ten Lectures on Wavelets (the orthonormal filter "sym2").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metagan.training.augment.draws import normal, uniform, with_chance
from metagan.training.augment.pixels import mirror_index
from metagan.values import Size

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
BANDS = 4
LOG2_AMPLITUDE_DEVIATION = 1.0
EXPECTED_POWER = (
    10 / 13,
    1 / 13,
    1 / 13,
    1 / 13,
)  # expected power of natural pictures in the bands, low to high
NOISE_DEVIATION = 0.1
CUTOUT_SHARE = 0.5


def draw_filters(n: int, _size: Size, p: float, rng: torch.Generator) -> Float[Tensor, "n taps"]:
    """Draw gains of four frequency bands, each with probability p: one zero-phase filter per picture.

    Filters are normalised so that the expected power is kept.
    """
    power = torch.tensor(EXPECTED_POWER)
    gains = torch.ones(n, BANDS)
    for band in range(BANDS):
        gain = torch.ones_like(gains)
        gain[:, band] = with_chance(normal(n, LOG2_AMPLITUDE_DEVIATION, rng), p, 0, rng).exp2()
        gains = gains * gain / (power * gain.square()).sum(dim=1, keepdim=True).sqrt()
    return gains @ band_filters()


def band_filters() -> Float[Tensor, "4 taps"]:
    """Return zero-phase filters of the bands up to 1/8, 1/4, 1/2 and 1 of the highest frequency, which sum to identity.

    The wavelet's autocorrelation halves the band; applied again to every second and fourth sample, it halves the
    rest.
    """
    wavelet = torch.tensor(SYM2)
    halving = F.conv1d(wavelet[None, None], wavelet[None, None], padding=len(wavelet) - 1)[0, 0] / 2
    low, bands = torch.ones(1), []
    for spacing in (1, 2, 4):
        spread = torch.zeros((len(halving) - 1) * spacing + 1)
        spread[::spacing] = halving
        lower = F.conv1d(low[None, None], spread[None, None], padding=len(spread) - 1)[0, 0]
        bands.append(_centred(low, len(lower)) - lower)
        low = lower
    bands.append(low)
    return torch.stack([_centred(band, len(low)) for band in reversed(bands)])


def _centred(line: Tensor, length: int) -> Tensor:
    margin = (length - len(line)) // 2
    return F.pad(line, (margin, margin))


def filter_each(
    images: Float[Tensor, "n c h w"], filters: Float[Tensor, "n taps"], _source: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Filter both axes of each picture with its own zero-phase filter, with mirrored edges."""
    n, c, h, w = images.shape
    margin = filters.shape[1] // 2
    rows = mirror_index(torch.arange(-margin, h + margin, device=images.device), h)
    columns = mirror_index(torch.arange(-margin, w + margin, device=images.device), w)
    kernels = filters.to(images.dtype).repeat_interleave(c, dim=0)
    x = images[:, :, rows][:, :, :, columns].reshape(1, n * c, h + 2 * margin, w + 2 * margin)
    x = F.conv2d(x, kernels[:, None, :, None], groups=n * c)
    return F.conv2d(x, kernels[:, None, None, :], groups=n * c).view(n, c, h, w)


def draw_noise(n: int, _size: Size, p: float, rng: torch.Generator) -> Float[Tensor, " n"]:
    """Draw half-normal noise strengths, each with probability p."""
    return with_chance(normal(n, NOISE_DEVIATION, rng).abs(), p, 0, rng)


def add_noise(
    images: Float[Tensor, "n c h w"], strengths: Float[Tensor, " n"], rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Add unit-normal noise times each picture's strength."""
    noise = torch.randn(images.shape, generator=rng, device=images.device)
    return images + noise * strengths[:, None, None, None]


def draw_cutouts(n: int, _size: Size, p: float, rng: torch.Generator) -> Float[Tensor, "n 3"]:
    """Draw cutouts with probability p: size (half the sides) and centre, as fractions of the sides."""
    size = with_chance(torch.full((n,), CUTOUT_SHARE), p, 0, rng)
    return torch.stack([size, uniform(n, 0, 1, rng), uniform(n, 0, 1, rng)], dim=1)


def cut_out(
    images: Float[Tensor, "n c h w"], squares: Float[Tensor, "n 3"], _source: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Replace each picture's cutout by grey."""
    h, w = images.shape[2:]
    size, x, y = squares.unbind(dim=1)
    columns = (torch.arange(w, device=images.device) + 0.5) / w
    rows = (torch.arange(h, device=images.device) + 0.5) / h
    beside = (columns[None] - x[:, None]).abs() >= size[:, None] / 2
    above = (rows[None] - y[:, None]).abs() >= size[:, None] / 2
    return images * (beside[:, None, None, :] | above[:, None, :, None]).to(images.dtype)
