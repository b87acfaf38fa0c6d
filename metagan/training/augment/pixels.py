"""Augmentations that move pixels: exact ones by indexing, the rest by resampling.

References:
    [1] Karras et al. 2020, arXiv:2006.06676, appendix B, "pixel blitting" and "general geometric transformations".
    [2] Daubechies 1992, Ten Lectures on Wavelets (the orthonormal filter "sym6").

Coordinates are pixels relative to the picture's centre, x to the right and y down; pictures are extended by mirroring
at their edges. Matrices map output coordinates to input coordinates.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from metagan.networks.ops import downsample, upsample
from metagan.training.augment.draws import normal, uniform, with_chance
from metagan.values import Size

SHIFT_SHARE = (
    0.125  # the largest whole-pixel shift, and fractional ones' standard deviation, as fractions of the side
)
LOG2_SCALE_DEVIATION = 0.2
MARGIN = 4  # reach of the filter's 12 taps at double resolution, in pixels, and one more

# [2] table 6.3. Doubling with it and halving with its mirror image is the identity, as it is orthonormal.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)


def draw_moves(n: int, size: Size, p: float, rng: torch.Generator) -> Int[Tensor, "n 4"]:
    """Draw mirroring, quarter turns and whole-pixel shifts, each with probability p, for `move_pixels`."""
    mirrored = with_chance(uniform(n, 0, 2, rng).floor(), p, 0, rng).long()
    turns = with_chance(uniform(n, 0, 4, rng).floor(), p, 0, rng).long()
    right, down = (
        with_chance(uniform(n, -SHIFT_SHARE * side, SHIFT_SHARE * side, rng).round(), p, 0, rng).long()
        for side in size
    )
    return torch.stack([mirrored, turns, right, down], dim=1)


def blit(
    images: Float[Tensor, "n c h w"], moves: Int[Tensor, "n 4"], _source: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Apply drawn moves to each picture."""
    return move_pixels(images, *moves.unbind(dim=1))


def move_pixels(
    images: Float[Tensor, "n c h w"],
    mirrored: Int[Tensor, " n"],
    turns: Int[Tensor, " n"],
    right: Int[Tensor, " n"],
    down: Int[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    """Mirror pictures left to right, then turn them by quarters anticlockwise, then shift them; exact.

    A turned portrait is still as high and wide as it was: its middle is seen, and beside it what mirrors it.

    Args:
        images: Pictures whose sides differ by an even number of pixels.
        mirrored: 0 or 1.
        turns: 0 to 3.
        right: Pixels to the right.
        down: Pixels downward.
    """
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device) - down[:, None])[:, :, None].expand(-1, -1, width)
    x = (torch.arange(width, device=images.device) - right[:, None])[:, None, :].expand(-1, height, -1)
    bottom, last, beside = height - 1, width - 1, (height - width) // 2  # a turn is about the middle
    quarter = turns[:, None, None]
    rows = torch.where(
        quarter == 0,
        y,
        torch.where(quarter == 1, x + beside, torch.where(quarter == 2, bottom - y, last - x + beside)),
    )
    columns = torch.where(
        quarter == 0,
        x,
        torch.where(quarter == 1, bottom - y - beside, torch.where(quarter == 2, last - x, y - beside)),
    )
    columns = torch.where(mirrored[:, None, None] == 1, last - columns, columns)
    rows, columns = mirror_index(rows, height), mirror_index(columns, width)
    places = (rows * width + columns).flatten(1)[:, None, :].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, places).view(images.shape)


def mirror_index(index: Int[Tensor, "..."], side: int) -> Int[Tensor, "..."]:
    """Map indices outside [0, side) to those that they mirror; edges are repeated: -1 is 0, side is side - 1."""
    index = index.remainder(2 * side)
    return torch.minimum(index, 2 * side - 1 - index)


def warp(
    images: Float[Tensor, "n c h w"], matrices: Float[Tensor, "n 3 3"], _source: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Resample each picture by its matrix; on a CPU, pictures whose matrix is the identity are skipped."""
    moves = (matrices != torch.eye(3, device=matrices.device)).flatten(1).any(dim=1)
    if images.device.type != "cpu":  # on a GPU, finding out which ones move would cost more
        return torch.where(moves[:, None, None, None], resample(images, matrices), images)
    moved = moves.nonzero()[:, 0]
    return images.index_copy(0, moved, resample(images[moved], matrices[moved])) if len(moved) else images


def draw_warps(n: int, size: Size, p: float, rng: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Draw scaling, rotation, stretching, a second rotation and a shift, each with probability p (rotations together).

    Returns one matrix per picture: the inverse of its transforms, composed in the paper's order.
    """
    turn_p = 1 - math.sqrt(1 - p)  # the chance of at least one of the two rotations is p
    scale = with_chance(normal(n, LOG2_SCALE_DEVIATION, rng), p, 0, rng).exp2()
    first = with_chance(uniform(n, -math.pi, math.pi, rng), turn_p, 0, rng)
    stretch = with_chance(normal(n, LOG2_SCALE_DEVIATION, rng), p, 0, rng).exp2()
    second = with_chance(uniform(n, -math.pi, math.pi, rng), turn_p, 0, rng)
    right, down = (with_chance(normal(n, SHIFT_SHARE * side, rng), p, 0, rng) for side in size)
    matrix = _scaling(1 / scale, 1 / scale) @ _rotation(-first) @ _scaling(1 / stretch, stretch)
    return matrix @ _rotation(-second) @ _translation(-right, -down)


def resample(images: Float[Tensor, "n c h w"], matrices: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n c h w"]:
    """Resample each picture by its matrix, at double resolution between two orthonormal filters.

    An identity matrix returns the same picture, up to rounding.
    """
    height, width = images.shape[-2:]
    taps = _sym6(images.dtype, images.device)
    # The filter isn't symmetric: its output is offset by this much, and rotates around that point.
    centre = sum(place * tap for place, tap in enumerate(SYM6)) / sum(SYM6)
    beside = (centre - (len(SYM6) - 1) / 2) / 2
    wide = images
    for axis, side in ((2, height), (3, width)):
        edges = (wide.narrow(axis, start, MARGIN).flip(axis) for start in (0, side - MARGIN))
        wide = torch.cat([next(edges), wide, next(edges)], dim=axis)
    fine = upsample(wide, taps)[:, :, 2 * MARGIN : -2 * MARGIN, 2 * MARGIN : -2 * MARGIN]
    high, long = height + 2 * MARGIN, width + 2 * MARGIN
    turn, shift = matrices[:, :2, :2], matrices[:, :2, 2:]
    shift = shift + beside - turn.sum(dim=2, keepdim=True) * beside
    # The sampler counts from -1 to 1 along both axes, in the result's pixels and in the picture's.
    rows = [
        torch.cat(
            [turn[:, n, :1] * (long / side), turn[:, n, 1:] * (high / side), shift[:, n] * (2 / side)], dim=1
        )
        for n, side in enumerate((width, height))
    ]
    theta = torch.stack(rows, dim=1)
    shape = [len(images), images.shape[1], 2 * high, 2 * long]
    grid = F.affine_grid(theta.to(images.dtype), shape, align_corners=False)
    seen = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return downsample(seen, taps.flip(0))[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


@lru_cache
def _sym6(dtype: torch.dtype, device: torch.device) -> Tensor:
    line = torch.tensor(SYM6, dtype=torch.float64)
    return (line / line.sum()).to(device, dtype)


def _matrix(*rows: tuple[Tensor | float, Tensor | float, Tensor | float]) -> Float[Tensor, "n 3 3"]:
    like = next(entry for row in rows for entry in row if isinstance(entry, Tensor))
    entries = [
        entry if isinstance(entry, Tensor) else torch.full_like(like, entry) for row in rows for entry in row
    ]
    return torch.stack(entries, dim=1).view(-1, 3, 3)


def _scaling(x: Tensor, y: Tensor) -> Float[Tensor, "n 3 3"]:
    return _matrix((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, 1.0))


def _rotation(angle: Tensor) -> Float[Tensor, "n 3 3"]:
    sine, cosine = angle.sin(), angle.cos()
    return _matrix((cosine, -sine, 0.0), (sine, cosine, 0.0), (0.0, 0.0, 1.0))


def _translation(x: Tensor, y: Tensor) -> Float[Tensor, "n 3 3"]:
    return _matrix((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0))
