"""Adaptive discriminator augmentation: transforms the discriminator's input pictures with probability p.

References:
    [1] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676, section 2 and appendix B: the transforms,
        their order and their strengths.
    [2] Daubechies 1992, Ten Lectures on Wavelets (the orthonormal filters "sym6" and "sym2").

Random parameters are drawn separately from applying them: a few numbers per picture, drawn on the CPU, so that the
CPU needn't wait for the GPU and the sequence of operations doesn't depend on them. Everything is differentiable with
respect to the pictures. Transforms that move pixels leave pictures that drew none of them bit-identical.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from metagan.networks.ops import downsample, upsample
from metagan.values import Size

# --------------------------------------------------------------------------------------------
# Random draws: one row per picture, from an explicit rng


def uniform(n: int, low: float, high: float, rng: torch.Generator) -> Float[Tensor, " n"]:
    """Draw uniformly within [low, high)."""
    return torch.rand(n, generator=rng, device=rng.device) * (high - low) + low


def normal(n: int, deviation: float, rng: torch.Generator) -> Float[Tensor, " n"]:
    """Draw from a normal distribution with mean 0."""
    return torch.randn(n, generator=rng, device=rng.device) * deviation


def with_chance(values: Tensor, p: float, identity: float, rng: torch.Generator) -> Tensor:
    """Keep each picture's value with probability p; replace the others by the identity value."""
    drawn = torch.rand(len(values), generator=rng, device=rng.device) < p
    return torch.where(drawn, values, identity)


# --------------------------------------------------------------------------------------------
# [1] "pixel blitting" and "general geometric transformations": exact moves by indexing, the rest by resampling
#
# Coordinates are pixels relative to the picture's centre, x to the right and y down; pictures are extended by mirroring
# at their edges. Matrices map output coordinates to input coordinates.

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


# --------------------------------------------------------------------------------------------
# [1] "color transformations": one affine map of RGB per picture

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


# --------------------------------------------------------------------------------------------
# [1] "image-space filtering" and "image-space corruptions"; off by default, as in the paper's best setting

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


# --------------------------------------------------------------------------------------------
# The pipeline, in the paper's order


class Transform(NamedTuple):
    """A group of augmentations.

    `draw` takes the number of pictures, their size, each transform's probability and an rng on the CPU, and returns
    one row per picture. `apply` takes pictures [n, c, h, w], those rows on their device, and an rng there, for noise.
    """

    draw: Callable[[int, Size, float, torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor, torch.Generator], Tensor]


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


# --------------------------------------------------------------------------------------------
# [1] section 3: the strength p follows how sure the discriminator is of real pictures


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
