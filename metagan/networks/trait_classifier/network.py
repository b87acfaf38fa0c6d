"""A convolutional classifier with a head for each trait type.

References:
    [1] He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852 (initialisation).
    [2] Wu and He 2018, Group Normalization, arXiv:1803.08494 (a picture's result doesn't depend on its batch).

Each stage halves the picture, down to 4x4 positions. Heads see them separately, because a trait's position matters.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from metagan.errors import MalformedFileError
from metagan.values import ABSENT_TRAIT

LEAST_PX: Final = 8
MOST_PX: Final = 512
MOST_VALUES: Final = 1_000
LAST_PX: Final = 4
_GROUPS: Final = 8
_MOST_CHANNELS: Final = 128


@dataclass(frozen=True)
class Head:
    """A trait type that is predicted.

    Args:
        type: Its name, such as "Hat".
        values: Its values, in the order of the head's logits; "none" is one of them if items may lack it.
    """

    type: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class TraitClassifierConfig:
    """A classifier's configuration.

    Args:
        resolution: Side of the input pictures in pixels, a power of two.
        channels: Channels of the first stage; each next one has twice as many, at most 128.
        heads: The heads, one per trait type.
    """

    resolution: int
    heads: tuple[Head, ...]
    channels: int = 32

    def check(self) -> None:
        """Check the configuration.

        Raises:
            MalformedFileError: If the resolution, a width or a head is out of range.
        """
        side = self.resolution
        if not LEAST_PX <= side <= MOST_PX or side & (side - 1):
            raise MalformedFileError(
                f"a classifier's resolution: want a power of two from {LEAST_PX} to {MOST_PX}, got {side}"
            )
        if not 8 <= self.channels <= _MOST_CHANNELS or self.channels % _GROUPS:
            raise MalformedFileError(
                f"a classifier's channels: want a multiple of 8 up to {_MOST_CHANNELS}, got {self.channels}"
            )
        if not self.heads or any(not 2 <= len(head.values) <= MOST_VALUES for head in self.heads):
            raise MalformedFileError(
                f"a classifier's heads: want 2 to {MOST_VALUES} values each, and one head at least"
            )


class TraitClassifier(nn.Module):
    """Maps pictures to logits of each trait type's values.

    Args:
        config: Its configuration.

    Raises:
        MalformedFileError: If the configuration is out of range.
    """

    def __init__(self, config: TraitClassifierConfig) -> None:
        config.check()
        super().__init__()
        self.config = config
        stages = (config.resolution // LAST_PX).bit_length() - 1
        widths = [3, *(min(config.channels << stage, _MOST_CHANNELS) for stage in range(stages))]
        self.stages = nn.ModuleList(Stage(*pair) for pair in itertools.pairwise(widths))
        features = widths[-1] * LAST_PX * LAST_PX
        self.heads = nn.ModuleList(nn.Linear(features, len(head.values)) for head in config.heads)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return logits, [n, values], one tensor per head; pictures are nominally within [-1, 1]."""
        x = pictures
        for stage in self.stages:
            x = stage(x)
        x = x.flatten(1)
        return [head(x) for head in self.heads]

    @torch.no_grad()
    def tell(self, pictures: UInt8[Tensor, "n h w 3"]) -> list[Int[Tensor, " n"]]:
        """Predict each head's most likely value, as its index, for pictures of any size: by their middle square."""
        logits: list[Tensor] = self(self.prepare(pictures))
        return [one.argmax(1) for one in logits]

    def prepare(self, pictures: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 side side"]:
        """Return what `forward` takes, of pictures of any size: their middle square at the classifier's resolution."""
        height, width = pictures.shape[1:3]
        kept = min(height, width)
        top, left = (height - kept) // 2, (width - kept) // 2
        pictures = pictures[:, top : top + kept, left : left + kept]
        x = pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        side = self.config.resolution
        if x.shape[2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(
                -1, 1
            )
        return x

    def tell_values(self, pictures: UInt8[Tensor, "n h w 3"]) -> list[dict[str, str]]:
        """Predict each picture's values by trait type; a type that it has none of is left out."""
        numbers = [one.tolist() for one in self.tell(pictures)]
        rows = [
            {head.type: head.values[number] for head, number in zip(self.config.heads, row, strict=True)}
            for row in zip(*numbers, strict=True)
        ]
        return [{kind: value for kind, value in row.items() if value != ABSENT_TRAIT} for row in rows]


class Stage(nn.Module):
    """Halves the size: a 3x3 convolution of stride 2, group normalisation, then ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, outputs)
        if not self.convolution.weight.is_meta:
            nn.init.kaiming_normal_(self.convolution.weight)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d half_h half_w"]:
        """Map features to features of half the size."""
        return F.relu(self.norm(self.convolution(x)))
