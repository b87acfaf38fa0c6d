"""The generator of lucidrains' stylegan2-pytorch: a StyleGAN2 with its own mapping, noise, resampling and attention.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.

It differs from [1]: latents are scaled to unit length, not to unit variance; layers have no equalised learning rate;
a block takes one style, to which 1 is added; all layers see crops of one noise image, uniform within [0, 1); pictures
are upsampled bilinearly and blurred; and blocks may begin with attention. Its pictures are within [0, 1], which
`synthesize` maps to [-1, 1] as metagan has it everywhere.

Symbols: z latents, w styles, psi truncation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Generator, Noise
from metagan.networks.lucidrains.layers import SLOPE, AttentionBlock, Blur
from metagan.networks.ops import demodulation
from metagan.values import Size

MEAN_NOISE = 0.5


@dataclass(frozen=True)
class Config:
    """The generator's configuration.

    Args:
        z_dim: Width of latents and styles.
        depth: Layers of the mapping network.
        channels: Input channels of the first block, then output channels of each block; one block per resolution,
        from 4x4 up.
        image_channels: 3 for RGB, 4 with alpha.
        attention: Which blocks begin with attention, from 0 at 4x4.
        heads: Number of attention heads, each 64 features wide.
        has_constant: Whether the first block's input is a learned constant, or else made from the mean of the styles.
        lr_multiplier: The mapping network's learning-rate multiplier, which scales its weights and biases.
    """

    z_dim: int
    depth: int
    channels: tuple[int, ...]
    image_channels: int = 3
    attention: tuple[int, ...] = ()
    heads: int = 8
    has_constant: bool = True
    lr_multiplier: float = 0.1

    @property
    def blocks(self) -> int:
        """Number of blocks: one per resolution, with one style each."""
        return len(self.channels) - 1

    @property
    def resolution(self) -> int:
        """Height and width of the pictures in pixels."""
        return int(2 ** (self.blocks + 1))


class MappingLayer(nn.Linear):
    """A fully connected layer whose weights and biases are multiplied by its learning-rate multiplier."""

    def __init__(self, width: int, lr_multiplier: float) -> None:
        super().__init__(width, width)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """Features [batch, width] to the same shape."""
        x = F.linear(x, self.weight * self.lr_multiplier, self.bias * self.lr_multiplier)
        return F.leaky_relu(x, SLOPE)


class Mapping(nn.Module):
    """The mapping network: normalised latents through layers of equal width."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MappingLayer(config.z_dim, config.lr_multiplier) for _ in range(config.depth)
        )

    def forward(self, z: Float[Tensor, "batch z_dim"]) -> Float[Tensor, "batch w_dim"]:
        """Return styles without truncation."""
        x: Tensor = F.normalize(z.float(), dim=1)
        for layer in self.layers:
            x = layer(x)
        return x


class StyledConv(nn.Module):
    """A modulated 3x3 convolution ([1] section 2.2), noise and activation; its only bias comes with the noise."""

    def __init__(self, w_dim: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.to_style = nn.Linear(w_dim, in_channels)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.from_noise = nn.Linear(1, out_channels)

    def forward(self, x: Tensor, w: Float[Tensor, "batch w_dim"], noise: Tensor) -> Tensor:
        """Features [batch, in, h, w], styles and noise [1 or batch, 1, h, w] to features [batch, out, h, w]."""
        s = self.to_style(w) + 1
        d = demodulation(self.weight, s)
        x = F.conv2d(x * s[:, :, None, None], self.weight, padding=1)
        shift = noise * self.from_noise.weight[:, :, None] + self.from_noise.bias[:, None, None]
        return F.leaky_relu(torch.addcmul(shift, x, d[:, :, None, None]), SLOPE)


class ToRGB(nn.Module):
    """The conversion to RGB: a modulated 1x1 convolution without demodulation or bias."""

    def __init__(self, w_dim: int, in_channels: int, image_channels: int) -> None:
        super().__init__()
        self.to_style = nn.Linear(w_dim, in_channels)
        self.weight = nn.Parameter(torch.randn(image_channels, in_channels, 1, 1))

    def forward(self, x: Tensor, w: Float[Tensor, "batch w_dim"]) -> Tensor:
        """Features [batch, in, h, w] to colours [batch, image_channels, h, w]."""
        s = self.to_style(w) + 1
        kernels = self.weight[None, :, :, 0, 0] * s[:, None, :]
        colours: Tensor = (kernels @ x.flatten(2)).view(len(x), -1, *x.shape[2:])
        return colours


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Block(nn.Module):
    """All layers of one resolution."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        before, after = config.channels[index], config.channels[index + 1]
        self.doubles = index > 0
        self.attention = AttentionBlock(before, config.heads) if index in config.attention else None
        self.conv1 = StyledConv(config.z_dim, before, after)
        self.conv2 = StyledConv(config.z_dim, after, after)
        self.to_rgb = ToRGB(config.z_dim, after, config.image_channels)
        self.blur = Blur() if index < config.blocks - 1 else None

    def forward(
        self, x: Tensor, image: Tensor | None, w: Float[Tensor, "batch w_dim"], noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next features and picture from those at the block's resolution."""
        if self.attention is not None:
            x = self.attention(x)
        if self.doubles:
            x = _double(x)
        noise = noise[..., : x.shape[2], : x.shape[3]]
        x = self.conv2(self.conv1(x, w, noise), w, noise)
        rgb = self.to_rgb(x, w)
        image = rgb if image is None else image + rgb
        return x, image if self.blur is None else self.blur(_double(image))


class LucidrainsStyleGAN2(Generator):
    """A generator of lucidrains' variant: `synthesize(map_latents(z))`.

    Latents may have any length. There is one style per block. "const" noise is one image that is generated when the
    checkpoint is read, "none" is its mean.
    """

    architecture = "lucidrains"
    mean_style: Tensor
    noise: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(
            size=Size.square(config.resolution),
            image_channels=config.image_channels,
            z_dim=config.z_dim,
            c_dim=0,
            num_ws=config.blocks,
            w_dim=config.z_dim,
        )
        self.config = config
        first = config.channels[0]
        self.mapping = Mapping(config)
        self.register_buffer("mean_style", torch.zeros(config.z_dim))
        self.register_buffer("noise", torch.rand(config.resolution, config.resolution))
        shape = (1, first, 4, 4) if config.has_constant else (config.z_dim, first, 4, 4)
        self.constant = nn.Parameter(torch.randn(shape))
        self.initial = nn.Conv2d(first, first, 3, padding=1)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.blocks))

    def _map(self, z: Tensor, label: Tensor | None) -> Tensor:
        del label
        ws: Tensor = self.mapping(z)
        return ws[:, None].expand(-1, self.num_ws, -1)

    def _mean_style(self) -> Tensor:
        return self.mean_style

    def _synthesize(self, ws: Tensor, noise: Noise) -> Tensor:
        grain = self._noise_image(noise, len(ws))
        x: Tensor = self.initial(self._first_features(ws))
        image: Tensor | None = None
        for block, w in zip(self.blocks, ws.unbind(dim=1), strict=True):
            x, image = block(x, image, w, grain)
        if image is None:
            raise AssertionError("every block converts to RGB")
        return image * 2 - 1

    def _first_features(self, ws: Tensor) -> Tensor:
        if self.config.has_constant:
            return self.constant.expand(len(ws), -1, -1, -1)
        features: Tensor = torch.einsum("ni,ichw->nchw", ws.mean(dim=1), self.constant)
        return features

    def _noise_image(self, noise: Noise, batch: int) -> Tensor:
        """Return noise [1 or batch, 1, resolution, resolution], with axes swapped as in the original code."""
        image = noise.image(self.noise, batch, uniform=True)
        if image is None:
            image = torch.full_like(self.noise, MEAN_NOISE)
        return image.reshape(-1, 1, *self.noise.shape).transpose(2, 3)
