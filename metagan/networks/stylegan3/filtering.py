"""Fast filtered non-linearities in plain PyTorch.

Karras et al. 2021, Alias-Free Generative Adversarial Networks, arXiv:2106.12423, section 3.1 and appendix B: a
non-linearity between two low-pass filters, at a higher sampling rate, so that it creates no frequencies above the
Nyquist limit. Their code has a CUDA kernel for it; a plain transcription convolves zero-filled pictures channel by
channel, most of the time with zeros, and takes several times as long as the layers' convolutions.

A one-dimensional filter that also changes the rate is a banded matrix. Multiplying by the band, cut into blocks of some
64 rows, skips the zeros and runs at the speed of matrix products; a few channels at a time, so that what lies between
the two filters stays in the processor's cache.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Pads = tuple[int, int, int, int]

DENSE_LENGTH = 128  # up to this size one block is faster than several
BLOCK_LENGTH = 64
CACHED_NUMBERS = 1 << 19  # elements of upsampled features per pass on a CPU; 2 MiB
RANK_TOLERANCE = 1e-7  # relative to the largest singular value: below float32's precision


class Block(NamedTuple):
    """A block of banded matrices: outputs from `start` on, inputs from `first` on."""

    start: int
    first: int
    matrix: Float[Tensor, "rows rank columns"]


class Band(NamedTuple):
    """Filters along an axis as banded matrices [length, size], whose non-zero blocks are stored."""

    length: int
    blocks: tuple[Block, ...]


def make_band(
    taps: Float[Tensor, "rank t"], size: int, *, up: int = 1, down: int = 1, pads: tuple[int, int] = (0, 0)
) -> Band:
    """Make the matrices that insert zeros, pad, convolve and keep every `down`-th sample.

    Args:
        taps: The filters; they are convolved, not correlated, and therefore flipped.
        size: Number of input samples.
        up: Upsampling factor: `up` - 1 zeros are inserted after every sample.
        down: Downsampling factor: every `down`-th sample of the result is kept.
        pads: Zeros before and after; negative values crop.
    """
    taps, count = taps.flip(1), taps.shape[1]
    length = (size * up + sum(pads) - count) // down + 1
    rows = length if length * down <= DENSE_LENGTH else max(BLOCK_LENGTH // down, 1)
    blocks = []
    for start in range(0, length, rows):
        stop = min(start + rows, length)
        first = min(max(-(-(start * down - pads[0]) // up), 0), size - 1)
        last = max(min(((stop - 1) * down + count - 1 - pads[0]) // up, size - 1), first)
        output = torch.arange(start, stop, device=taps.device)[:, None]
        index = torch.arange(first, last + 1, device=taps.device) * up + pads[0] - output * down
        inside = (index >= 0) & (index < count)
        matrix = torch.where(inside, taps[:, index.clamp(0, count - 1)], 0.0)
        blocks.append(Block(start, first, matrix.transpose(0, 1).contiguous()))
    return Band(length, tuple(blocks))


def filter_columns(x: Float[Tensor, "n h w"], band: Band) -> Float[Tensor, "n oh rank w"]:
    """Apply every filter of the band along the height."""
    parts = []
    for _, first, matrix in band.blocks:
        stacked = matrix.flatten(0, 1).expand(len(x), -1, -1)
        parts.append(torch.bmm(stacked, x[:, first : first + matrix.shape[2]]))
    y = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return y.view(len(x), band.length, -1, x.shape[2])


def filter_rows(x: Float[Tensor, "n h rank w"], band: Band) -> Float[Tensor, "n h ow"]:
    """Apply each filter of the band along the width of its own features, and sum the results."""
    flat = x.flatten(0, 1)
    parts = []
    for _, first, matrix in band.blocks:
        taken = flat[:, :, first : first + matrix.shape[2]].reshape(len(flat), -1)
        parts.append(taken @ matrix.flatten(1).t())
    y = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return y.view(*x.shape[:2], band.length)


def separate(taps: Tensor) -> tuple[Float[Tensor, "rank t"], Float[Tensor, "rank t"]]:
    """Decompose a filter into a sum of separable ones: one pair for [t], several for [t, t].

    A filter that is already decomposed may be given as [2, rank, t].
    """
    if taps.ndim == 1:
        return taps[None], taps[None]
    if taps.ndim == 3:
        return taps[0], taps[1]
    u, s, v = torch.linalg.svd(taps.double().cpu())
    kept = max(int((s > s[0] * RANK_TOLERANCE).sum()), 1)
    scale = s[:kept, None].sqrt()
    return (u[:, :kept].t() * scale).to(taps), (v[:kept] * scale).to(taps)


class Resampling(NamedTuple):
    """How a layer's filters change the sampling rate.

    Args:
        up: Upsampling factor of the first filter.
        down: Downsampling factor of the second filter.
        pads: Zeros left, right, above, below, at the higher rate; negative values crop.
    """

    up: int
    down: int
    pads: Pads


class Filters(NamedTuple):
    """The filters before and after the non-linearity, each along the height and along the width."""

    before: tuple[Band, Band]
    after: tuple[Band, Band]


def filtered_leaky_relu(
    x: Float[Tensor, "n c h w"],
    scale: Float[Tensor, "n c"],
    bias: Float[Tensor, " c"],
    up_taps: Tensor | None,
    down_taps: Tensor | None,
    resampling: Resampling,
    *,
    slope: float = 0.2,
    gain: float = math.sqrt(2),
    clamp: float | None = None,
) -> Float[Tensor, "n c oh ow"]:
    """Scale, add a bias, upsample, apply leaky ReLU, clamp, and downsample (figure 4b of the paper).

    Args:
        x: Features.
        scale: A factor for each channel of each picture.
        bias: Added to each channel after scaling.
        up_taps: The first filter, [t], or [t, t] if it isn't separable; None for none.
        down_taps: The second filter, likewise.
        resampling: The factors and padding.
        slope: Negative slope of the leaky ReLU; 1 for none.
        gain: Factor after the leaky ReLU.
        clamp: Bound of the absolute value before the second filter.
    """
    size = (x.shape[2], x.shape[3])
    filters = make_filters(size, up_taps, down_taps, resampling, gain, like=x)
    return filter_leaky_relu(x, scale, bias, filters, slope=slope, clamp=clamp)


def filter_leaky_relu(
    x: Float[Tensor, "n c h w"],
    scale: Float[Tensor, "n c"],
    bias: Float[Tensor, " c"],
    filters: Filters,
    *,
    slope: float,
    clamp: float | None,
) -> Float[Tensor, "n c oh ow"]:
    """Do the same as `filtered_leaky_relu` with prepared filters; features may be of a narrower type than they are."""
    n, c, h, w = x.shape
    before, after = filters
    flat, scale, shift = x.reshape(n * c, h, w), scale.reshape(-1, 1, 1), bias.repeat(n)[:, None, None]
    at_once = n * c
    if x.device.type == "cpu":
        at_once = max(CACHED_NUMBERS // (before[0].length * before[1].length), 1)
    parts = []
    for piece in _passes(n * c, at_once):
        y = torch.addcmul(shift[piece], flat[piece].to(shift.dtype), scale[piece])
        y = filter_rows(filter_columns(y, before[0]), before[1])
        y = y if slope == 1 else F.leaky_relu(y, slope)
        y = y if clamp is None else y.clamp(-clamp, clamp)
        parts.append(filter_rows(filter_columns(y, after[0]), after[1]))
    return torch.cat(parts).view(n, c, *parts[0].shape[1:])


def _passes(channels: int, at_once: int) -> list[slice]:
    """Split channels into passes; a single one during export, when the batch size is unknown."""
    if torch.compiler.is_compiling():
        return [slice(None)]
    return [slice(start, start + at_once) for start in range(0, channels, at_once)]


def make_filters(
    size: tuple[int, int],
    up_taps: Tensor | None,
    down_taps: Tensor | None,
    how: Resampling,
    gain: float,
    *,
    like: Tensor,
) -> Filters:
    """Make both filters for features of this height and width.

    The leaky ReLU between them is homogeneous, so that its gain is folded into the first, split between the axes.
    """
    h, w = size
    left, right, above, below = how.pads
    one, share = like.new_ones(1), how.up * math.sqrt(gain)
    tall, wide = separate(one if up_taps is None else up_taps.to(like.dtype))
    before = (
        make_band(tall * share, h, up=how.up, pads=(above, below)),
        make_band(wide * share, w, up=how.up, pads=(left, right)),
    )
    tall, wide = separate(one if down_taps is None else down_taps.to(like.dtype))
    after = (
        make_band(tall, before[0].length, down=how.down),
        make_band(wide, before[1].length, down=how.down),
    )
    return Filters(before, after)
