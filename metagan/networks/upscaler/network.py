"""A small super-resolution network: residual blocks at the picture's own size, pixel shuffles to the larger one.

References:
    [1] Shi et al. 2016, Real-Time Single Image and Video Super-Resolution, arXiv:1609.05158 (ESPCN: all work is done
        at the low resolution, and a pixel shuffle lays the features out as pixels).
    [2] Ledig et al. 2017, Photo-Realistic Single Image Super-Resolution, arXiv:1609.04802 (SRGAN: residual blocks,
        PReLU, a shuffle for each doubling).
    [3] Wang et al. 2018, ESRGAN, arXiv:1809.00219 (no batch normalisation, small initial residuals).
    [4] He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852 (PReLU).

The network adds a residual to its input's nearest-neighbour enlargement. It is convolutional: pictures may have any
size, and each output pixel depends on the `reach` input pixels around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.errors import MalformedFileError

FACTORS: Final = (2, 4)
MOST_PARAMETERS: Final = 150_000
MOST_CHANNELS: Final = 512
MOST_BLOCKS: Final = 32
FIRST_SLOPE: Final = 0.2  # PReLU's, for negative values, before training
FIRST_RESIDUAL: Final = 0.1  # initial factor of a residual's last weights


@dataclass(frozen=True)
class UpscalerConfig:
    """An upscaler's configuration.

    Args:
        factor: Enlargement factor of width and height: 2 or 4.
        channels: Features at the picture's own size.
        blocks: Residual blocks there, two convolutions each.
        fine_channels: Features at twice the picture's size; used when the factor is 4.
    """

    factor: int = 4
    channels: int = 32
    blocks: int = 4
    fine_channels: int = 16

    def check(self) -> None:
        """Check the configuration.

        Raises:
            MalformedFileError: If the factor is not 2 or 4, or a width or depth is out of range.
        """
        if self.factor not in FACTORS:
            raise MalformedFileError(f"an upscaler's factor: want 2 or 4, got {self.factor}")
        widths = {"channels": self.channels, "fine_channels": self.fine_channels}
        for name, width in widths.items():
            if not 1 <= width <= MOST_CHANNELS:
                raise MalformedFileError(f"an upscaler's {name}: want 1 to {MOST_CHANNELS}, got {width}")
        if not 0 <= self.blocks <= MOST_BLOCKS:
            raise MalformedFileError(f"an upscaler's blocks: want 0 to {MOST_BLOCKS}, got {self.blocks}")


class Upscaler(nn.Module):
    """Enlarges pictures by `factor`.

    Args:
        config: Its configuration.

    Raises:
        MalformedFileError: If the configuration is out of range.
    """

    def __init__(self, config: UpscalerConfig) -> None:
        config.check()
        super().__init__()
        self.config = config
        width = config.channels
        self.head = _convolution(3, width)
        self.head_slope = nn.PReLU(width, FIRST_SLOPE)
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.blocks))
        # Each doubling is a convolution to four times the features, laid out as 2x2 pixels ([1] section 3.2).
        if config.factor == 4:
            self.fine = _convolution(width, 4 * config.fine_channels)
            self.fine_slope = nn.PReLU(config.fine_channels, FIRST_SLOPE)
            width = config.fine_channels
        self.last = _convolution(width, 4 * 3)
        _shrink(self.last, 0)  # before training: the nearest-neighbour enlargement itself

    @property
    def factor(self) -> int:
        """Enlargement factor of width and height."""
        return self.config.factor

    @property
    def reach(self) -> int:
        """Radius of the receptive field in input pixels: one for each convolution."""
        return 2 * len(self.blocks) + self.config.factor // 2 + 1

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 up_h up_w"]:
        """Upscale pictures, nominally within [-1, 1]; results may lie slightly outside."""
        # Features at the pictures' own size.
        x = self.head_slope(self.head(pictures))
        for block in self.blocks:
            x = block(x)
        # At twice the size, and for factor 4 once more.
        if self.config.factor == 4:
            x = self.fine_slope(F.pixel_shuffle(self.fine(x), 2))
        missing = F.pixel_shuffle(self.last(x), 2)
        return F.interpolate(pictures, scale_factor=self.config.factor, mode="nearest") + missing


class Block(nn.Module):
    """x + conv(prelu(conv(x))): a residual block without normalisation ([2] figure 4, [3] section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.slope = nn.PReLU(channels, FIRST_SLOPE)
        self.second = _convolution(channels, channels)
        _shrink(self.second, FIRST_RESIDUAL)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Map features to features of the same shape."""
        residual: Tensor = self.second(self.slope(self.first(x)))
        return x + residual


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, zeros around the picture, initialised for PReLU ([4] equation 14) and without bias at first."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    if not convolution.weight.is_meta:  # on the meta device, only its shape is needed
        nn.init.kaiming_normal_(convolution.weight, a=FIRST_SLOPE)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


@torch.no_grad()
def _shrink(convolution: nn.Conv2d, factor: float) -> None:
    """Scale a residual's initial weights down ([3] section 3.4)."""
    if not convolution.weight.is_meta:
        convolution.weight.mul_(factor)
