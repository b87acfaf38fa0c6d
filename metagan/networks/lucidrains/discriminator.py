"""The discriminator of lucidrains' stylegan2-pytorch.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958, section 4.
    [2] van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv:1711.00937 (quantisation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.lucidrains.layers import SLOPE, AttentionBlock, Blur
from metagan.networks.shapes import require_images


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator's configuration.

    Args:
        channels: Output channels of each block, from the full resolution down to 2x2.
        image_channels: 3 for RGB, 4 with alpha.
        attention: Which blocks are followed by attention.
        quantized: Which blocks are followed by quantisation, with the size of its codebook.
        heads: Number of attention heads, each 64 features wide.
    """

    channels: tuple[int, ...]
    image_channels: int = 3
    attention: tuple[int, ...] = ()
    quantized: tuple[tuple[int, int], ...] = ()
    heads: int = 8

    @property
    def resolution(self) -> int:
        """Height and width of the pictures in pixels."""
        return int(2 ** len(self.channels))


class Quantize(nn.Module):
    """Vector quantisation: replaces each pixel's features by the nearest codebook entry ([2] section 3.1)."""

    entries: Tensor

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.randn(channels, count))

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, c, h, w] to the same shape."""
        pixels = x.permute(0, 2, 3, 1)
        distances = self.entries.square().sum(dim=0) - 2 * pixels @ self.entries
        return self.entries.t()[distances.argmin(dim=-1)].permute(0, 3, 1, 2)


class Block(nn.Module):
    """All layers of one resolution; every block except the last one halves it."""

    def __init__(self, config: DiscriminatorConfig, index: int) -> None:
        super().__init__()
        before, after = (config.image_channels, *config.channels)[index : index + 2]
        self.stride = 1 if index == len(config.channels) - 1 else 2
        self.skip = nn.Conv2d(before, after, 1, stride=self.stride)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.blur = Blur() if self.stride == 2 else None
        self.down = nn.Conv2d(after, after, 3, stride=2, padding=1) if self.stride == 2 else None
        self.attention = AttentionBlock(after, config.heads) if index in config.attention else None
        count = dict(config.quantized).get(index)
        self.quantize = None if count is None else Quantize(after, count)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, before, h, w] to [n, after, h/2, w/2]."""
        y = self.skip(x)
        x = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), SLOPE)), SLOPE)
        if self.blur is not None and self.down is not None:
            x = self.down(self.blur(x))
        x = (x + y) / math.sqrt(2)
        if self.attention is not None:
            x = self.attention(x)
        return x if self.quantize is None else self.quantize(x)


class LucidrainsDiscriminator(nn.Module):
    """A discriminator of lucidrains' variant, with high logits for real pictures.

    The original program uses the opposite sign.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        last = config.channels[-1]
        self.blocks = nn.ModuleList(Block(config, index) for index in range(len(config.channels)))
        self.conv = nn.Conv2d(last, last, 3, padding=1)
        self.to_logit = nn.Linear(last * 4, 1)

    def forward(
        self,
        images: Float[Tensor, "n ch res res"],
        label: Float[Tensor, "n c_dim"] | None = None,  # noqa: ARG002  there are no labels
    ) -> Float[Tensor, "n 1"]:
        """Return logits of pictures nominally within [-1, 1], independent of each other and high for real pictures.

        Raises:
            ShapeError: If the pictures' size is not the network's.
        """
        config = self.config
        require_images(images, config.image_channels, config.resolution, config.resolution)
        x = (images + 1) / 2
        for block in self.blocks:
            x = block(x)
        fake: Tensor = self.to_logit(self.conv(x).flatten(1))
        return -fake
