"""Filtered non-linearities at the speed that plain PyTorch can have.

Karras et al. 2021, Alias-Free Generative Adversarial Networks, arXiv:2106.12423, section 3.1 and appendix B: a
non-linearity between two low-pass filters, at a higher sampling rate, so that it makes no frequency that the pixels
can't carry. Their code has a CUDA kernel for it; a plain transcription convolves zero-filled pictures channel by
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

DENSE_LENGTH = 128  # up to here one block is faster than several
BLOCK_LENGTH = 64
CACHED_NUMBERS = 1 << 19  # of the widened features, per pass on a CPU; 2 MiB
RANK_TOLERANCE = 1e-7  # of the largest singular value: below what float32 holds


class Block(NamedTuple):
    """Some rows of a banded matrix: outputs from `start` on, out of inputs from `first` on."""

    start: int
    first: int
    matrix: Float[Tensor, "rows columns"]


class Band(NamedTuple):
    """A filter along one axis as a matrix, [length, size], of which only the blocks are not zero."""

    length: int
    blocks: tuple[Block, ...]


def make_band(
    taps: Float[Tensor, " t"], size: int, *, up: int = 1, down: int = 1, pads: tuple[int, int] = (0, 0)
) -> Band:
    """The matrix that inserts zeros, pads, convolves and keeps every `down`-th sample.

    Args:
        taps: The filter; a true convolution, so it is flipped.
        size: How many samples there are.
        up: One in `up` samples is the input's, the others zeros.
        down: Every how many samples of the result to keep.
        pads: Zeros before and after; cropped, where negative.
    """
    taps = taps.flip(0)
    length = (size * up + sum(pads) - len(taps)) // down + 1
    rows = length if length * down <= DENSE_LENGTH else max(BLOCK_LENGTH // down, 1)
    blocks = []
    for start in range(0, length, rows):
        stop = min(start + rows, length)
        first = min(max(-(-(start * down - pads[0]) // up), 0), size - 1)
        last = max(min(((stop - 1) * down + len(taps) - 1 - pads[0]) // up, size - 1), first)
        output = torch.arange(start, stop, device=taps.device)[:, None]
        index = torch.arange(first, last + 1, device=taps.device) * up + pads[0] - output * down
        inside = (index >= 0) & (index < len(taps))
        matrix = torch.where(inside, taps[index.clamp(0, len(taps) - 1)], 0.0)
        blocks.append(Block(start, first, matrix))
    return Band(length, tuple(blocks))


def filter_columns(x: Float[Tensor, "n h w"], band: Band) -> Float[Tensor, "n oh w"]:
    """The band along the height."""
    parts = [
        torch.bmm(
            block.matrix.expand(len(x), -1, -1), x[:, block.first : block.first + block.matrix.shape[1]]
        )
        for block in band.blocks
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def filter_rows(x: Float[Tensor, "n h w"], band: Band) -> Float[Tensor, "n h ow"]:
    """The band along the width."""
    flat = x.reshape(-1, x.shape[2])
    parts = [
        flat[:, block.first : block.first + block.matrix.shape[1]] @ block.matrix.t() for block in band.blocks
    ]
    y = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return y.view(*x.shape[:2], band.length)


def separate(taps: Tensor) -> list[tuple[Float[Tensor, " t"], Float[Tensor, " t"]]]:
    """A filter as a sum of vertical times horizontal ones: one pair if it is [t], some if it is [t, t]."""
    if taps.ndim == 1:
        return [(taps, taps)]
    u, s, v = torch.linalg.svd(taps.double().cpu())
    kept = int((s > s[0] * RANK_TOLERANCE).sum())
    scale = s[:kept].sqrt()
    pairs = zip((u[:, :kept] * scale).t(), v[:kept] * scale[:, None], strict=True)
    return [(vertical.to(taps), horizontal.to(taps)) for vertical, horizontal in pairs]


class Resampling(NamedTuple):
    """How a layer's filters change the rate.

    Args:
        up: Factor of the first filter.
        down: Factor of the second.
        pads: Zeros left, right, above, below, at the higher rate; cropped, where negative.
    """

    up: int
    down: int
    pads: Pads


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
    """Scale, add a bias, raise the rate, leaky ReLU, clamp, lower the rate ([appendix B], figure 2b of the paper).

    Args:
        x: Features.
        scale: A factor for each channel of each picture.
        bias: Added to each channel after that.
        up_taps: The first filter, [t]; [t, t] if it isn't separable; None for none.
        down_taps: The second.
        resampling: The rates and pads.
        slope: The leaky ReLU's below zero; 1 for none.
        gain: Factor after the leaky ReLU.
        clamp: Bound of what the second filter sees.
    """
    n, c, h, w = x.shape
    up, down, (left, right, above, below) = resampling
    # The leaky ReLU is homogeneous, so that its gain fits into the first filter, a share for each axis.
    share = up * math.sqrt(gain)
    one = x.new_ones(1)
    before = [
        (
            make_band(vertical * share, h, up=up, pads=(above, below)),
            make_band(horizontal * share, w, up=up, pads=(left, right)),
        )
        for vertical, horizontal in separate(one if up_taps is None else up_taps.to(x.dtype))
    ]
    high, wide = before[0][0].length, before[0][1].length
    after = [
        (make_band(vertical, high, down=down), make_band(horizontal, wide, down=down))
        for vertical, horizontal in separate(one if down_taps is None else down_taps.to(x.dtype))
    ]
    flat, scale, shift = x.reshape(n * c, h, w), scale.reshape(-1, 1, 1), bias.repeat(n)[:, None, None]
    at_once = max(CACHED_NUMBERS // (high * wide), 1) if x.device.type == "cpu" else n * c
    parts = []
    for start in range(0, n * c, at_once):
        piece = slice(start, start + at_once)
        y = _apply(torch.addcmul(shift[piece], flat[piece], scale[piece]), before)
        if slope != 1:
            y = F.leaky_relu(y, slope)
        if clamp is not None:
            y = y.clamp(-clamp, clamp)
        parts.append(_apply(y, after))
    return torch.cat(parts).view(n, c, *parts[0].shape[1:])


def _apply(x: Float[Tensor, "n h w"], pairs: list[tuple[Band, Band]]) -> Float[Tensor, "n oh ow"]:
    y = filter_rows(filter_columns(x, pairs[0][0]), pairs[0][1])
    for vertical, horizontal in pairs[1:]:
        y = y + filter_rows(filter_columns(x, vertical), horizontal)
    return y
