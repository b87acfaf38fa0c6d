"""Cutouts of a picture: random parts of it, altered at random, at the size that CLIP takes.

Crowson et al. 2022, VQGAN-CLIP, arXiv:2204.08583, sections 3.1 and 3.2: a picture that agrees with words from many
places and after many small changes agrees with them in content, and not by an adversarial pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

ROTATION: Final = math.radians(30)
SHIFT: Final = 0.1  # of the side
PERSPECTIVE: Final = 0.2
COLOUR: Final = 0.15  # of saturation and brightness
NOISE: Final = 0.1  # deviation of pixels within [-1, 1]
OFTEN: Final = 0.8  # probability of rotations and shifts; of perspectives half of it


@dataclass(frozen=True)
class Cut:
    """A part of a picture, and how it is altered.

    Args:
        top: Its first row.
        left: Its first column.
        side: Its side in pixels.
        place: Matrix from a place in the cutout to a place in this part, both within [-1, 1], [3, 3].
        saturation: Factor of the colours' distance to grey.
        brightness: Factor of all values.
        noise: Noise that is added, [3, side_px, side_px]; None for none.
    """

    top: int
    left: int
    side: int
    place: Float[Tensor, "3 3"]
    saturation: float
    brightness: float
    noise: Float[Tensor, "3 side_px side_px"] | None


class Cutouts:
    """Draws cutouts.

    Args:
        side_px: Their side in pixels.
        augment: Whether they are turned, moved, tilted, mirrored, and change in colour, with noise on them.
    """

    def __init__(self, side_px: int, *, augment: bool = True) -> None:
        self.side_px, self.augment = side_px, augment

    def plan(self, height: int, width: int, count: int, rng: torch.Generator) -> Iterator[Cut]:
        """Yield cuts of pictures of a size, one by one; how many are taken at once doesn't change them."""
        largest = min(height, width)
        smallest = min(largest, max(largest // 2, 1) if largest < 2 * self.side_px else self.side_px)
        for _ in range(count):
            u = torch.rand(12, generator=rng, dtype=torch.float64).tolist()
            side = smallest + round((largest - smallest) * u[0])
            top, left = round((height - side) * u[1]), round((width - side) * u[2])
            if not self.augment:
                yield Cut(top, left, side, torch.eye(3), 1.0, 1.0, None)
                continue
            noise = torch.randn(3, self.side_px, self.side_px, generator=rng) * (NOISE * u[3])
            saturation, brightness = (1 + COLOUR * (2 * u[index] - 1) for index in (4, 5))
            yield Cut(top, left, side, _place(u[6:]), saturation, brightness, noise)

    def cut(
        self, picture: Float[Tensor, "1 3 h w"], cuts: Sequence[Cut]
    ) -> Float[Tensor, "n 3 side_px side_px"]:
        """Return cutouts of a picture within [-1, 1], with gradients to it."""
        size = (self.side_px, self.side_px)
        parts = [
            F.interpolate(
                picture[:, :, cut.top : cut.top + cut.side, cut.left : cut.left + cut.side],
                size, mode="bilinear", antialias=True, align_corners=False,
            )
            for cut in cuts
        ]  # fmt: skip
        whole = torch.cat(parts)
        if not self.augment:
            return whole
        whole = F.grid_sample(
            whole, self._places(cuts).to(whole), padding_mode="reflection", align_corners=False
        )
        saturation, brightness = (
            torch.tensor([getattr(cut, name) for cut in cuts]).view(-1, 1, 1, 1).to(whole)
            for name in ("saturation", "brightness")
        )
        grey = whole.mean(dim=1, keepdim=True)
        whole = (grey + (whole - grey) * saturation) * brightness
        noise = torch.stack([cut.noise for cut in cuts if cut.noise is not None])
        return whole + noise.to(whole)

    def _places(self, cuts: Sequence[Cut]) -> Float[Tensor, "n side_px side_px 2"]:
        """Return for each pixel of the cutouts where in its part it is taken from."""
        middles = (torch.arange(self.side_px) + 0.5) * 2 / self.side_px - 1
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        here = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        there = torch.einsum("nij,hwj->nhwi", torch.stack([cut.place for cut in cuts]).float(), here)
        return there[..., :2] / there[..., 2:]


def _place(u: Sequence[float]) -> Float[Tensor, "3 3"]:
    """Return a random projective map of the square [-1, 1] x [-1, 1] from six numbers within [0, 1)."""
    flip = -1.0 if u[0] < 0.5 else 1.0
    turned = u[1] < OFTEN
    angle = ROTATION * (2 * _spread(u[1], OFTEN) - 1) if turned else 0.0
    shift = [2 * SHIFT * (2 * number - 1) if turned else 0.0 for number in u[2:4]]
    tilted = u[4] < OFTEN / 2
    tilt = [PERSPECTIVE * (2 * number - 1) if tilted else 0.0 for number in (_spread(u[4], OFTEN / 2), u[5])]
    cosine, sine = math.cos(angle), math.sin(angle)
    moved = torch.tensor([[cosine * flip, -sine, shift[0]], [sine * flip, cosine, shift[1]], [0.0, 0.0, 1.0]])
    tilts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [*tilt, 1.0]])
    return moved @ tilts


def _spread(number: float, below: float) -> float:
    """Spread a number that was drawn below a bound over [0, 1)."""
    return min(number / below, 1.0)
