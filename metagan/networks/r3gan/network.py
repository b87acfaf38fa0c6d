"""R3GAN's generator and discriminator.

References:
    [1] Huang et al. 2024, The GAN is dead; long live the GAN! A Modern Baseline GAN, arXiv:2501.05441, section 4.

Symbols: z latents, c labels (one-hot). There is no mapping network, no truncation and no noise: the style is the
latent itself, followed by the label's embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Generator, Noise
from metagan.networks.ops import downsample, upsample, usual_taps
from metagan.networks.shapes import require_images, require_label
from metagan.values import Size


@dataclass(frozen=True)
class StageConfig:
    """The configuration of one resolution.

    Args:
        channels: Channels of its features.
        hidden: Channels inside its residual blocks.
        groups: Groups of the blocks' 3x3 convolutions.
        blocks: Number of residual blocks.
    """

    channels: int
    hidden: int
    groups: int
    blocks: int = 1


@dataclass(frozen=True)
class Config:
    """A generator's or discriminator's configuration.

    Args:
        stages: The stages from 4x4 up, each with twice the resolution of the one before.
        z_dim: Width of the latents; 0 in a discriminator.
        c_dim: Number of classes; 0 if unconditional.
        embed_dim: Width of the label embedding; 0 if unconditional.
        image_channels: 3 for RGB.
        filter_size: Side of the resampling filters.
    """

    stages: tuple[StageConfig, ...]
    z_dim: int
    c_dim: int = 0
    embed_dim: int = 0
    image_channels: int = 3
    filter_size: int = 4

    @property
    def resolution(self) -> int:
        """Height and width of the pictures in pixels."""
        return int(2 ** (len(self.stages) + 1))


# --------------------------------------------------------------------------------------------
# [1] section 4, "ResNeXt-ify": inverted bottlenecks of grouped convolutions, without normalisation


class Residual(nn.Module):
    """A residual block: a 1x1 convolution to more channels, a grouped 3x3 one, and a 1x1 one back."""

    def __init__(self, config: StageConfig) -> None:
        super().__init__()
        channels, hidden, self.groups = config.channels, config.hidden, config.groups
        self.expand = nn.Parameter(torch.randn(hidden, channels, 1, 1))
        self.bias0 = nn.Parameter(torch.zeros(hidden))
        self.mix = nn.Parameter(torch.randn(hidden, hidden // config.groups, 3, 3))
        self.bias1 = nn.Parameter(torch.zeros(hidden))
        self.shrink = nn.Parameter(torch.randn(channels, hidden, 1, 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Map features [n, c, h, w] to features of the same shape."""
        y = F.leaky_relu(F.conv2d(x, self.expand, self.bias0), 0.2)
        y = F.leaky_relu(F.conv2d(y, self.mix, self.bias1, padding=1, groups=self.groups), 0.2)
        return x + F.conv2d(y, self.shrink)


class Start(nn.Module):
    """The 4x4 features: learned feature maps, weighted by the style."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, 4, 4))
        self.weight = nn.Parameter(torch.randn(channels, w_dim))

    def forward(self, w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c 4 4"]:
        """Map styles to 4x4 features."""
        return self.basis * F.linear(w, self.weight)[:, :, None, None]


class Resample(nn.Module):
    """Doubles or halves the resolution, and changes the number of channels if necessary.

    Channels are changed at the lower resolution: before upsampling, after downsampling.
    """

    taps: Tensor

    def __init__(self, before: int, after: int, filter_size: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.randn(after, before, 1, 1)) if before != after else None
        self.register_buffer("taps", usual_taps((filter_size, filter_size)))

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, before, h, w] to [n, after, 2h or h/2, 2w or w/2]."""
        x = x if self.up else downsample(x, self.taps)
        x = x if self.weight is None else F.conv2d(x, self.weight)
        return upsample(x, self.taps) if self.up else x


def _blocks(stage: StageConfig) -> list[Residual]:
    return [Residual(stage) for _ in range(stage.blocks)]


class R3GAN(Generator):
    """An R3GAN generator: `synthesize(map_latents(z))`.

    The latent and the label's embedding are the only style; psi must be 1, and there is no noise.
    """

    architecture = "r3gan"

    def __init__(self, config: Config) -> None:
        super().__init__(
            size=Size.square(config.resolution),
            image_channels=config.image_channels,
            z_dim=config.z_dim,
            c_dim=config.c_dim,
            num_ws=1,
            w_dim=config.z_dim + config.embed_dim,
        )
        self.config = config
        self.embed = nn.Parameter(torch.randn(config.embed_dim, config.c_dim)) if config.c_dim else None
        stages: list[nn.Module] = []
        for index, stage in enumerate(config.stages):
            if index:
                before = config.stages[index - 1].channels
                first: nn.Module = Resample(before, stage.channels, config.filter_size, up=True)
            else:
                first = Start(self.w_dim, stage.channels)
            stages.append(nn.Sequential(first, *_blocks(stage)))
        self.stages = nn.ModuleList(stages)
        self.to_rgb = nn.Parameter(torch.randn(config.image_channels, config.stages[-1].channels, 1, 1))

    def _map(self, z: Tensor, label: Tensor | None) -> Tensor:
        if self.embed is None or label is None:
            return z[:, None]
        return torch.cat([z, F.linear(label, self.embed)], dim=1)[:, None]

    def _synthesize(self, ws: Tensor, noise: Noise) -> Tensor:
        del noise
        x = ws[:, 0]
        for stage in self.stages:
            x = stage(x)
        return F.conv2d(x, self.to_rgb)


class Discriminator(nn.Module):
    """An R3GAN discriminator, with high logits for real pictures ([1] section 4)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = [stage.channels for stage in config.stages]
        self.from_rgb = nn.Parameter(torch.randn(channels[-1], config.image_channels, 1, 1))
        stages: list[nn.Module] = []
        for index, stage in reversed(list(enumerate(config.stages))):
            last = Resample(channels[index], channels[index - 1], config.filter_size, up=False)
            stages.append(nn.Sequential(*_blocks(stage), *([last] if index else [])))
        self.stages = nn.ModuleList(stages)
        self.basis = nn.Parameter(torch.randn(channels[0], 1, 4, 4))
        self.out = nn.Parameter(torch.randn(config.embed_dim or 1, channels[0]))
        self.embed = nn.Parameter(torch.randn(config.embed_dim, config.c_dim)) if config.c_dim else None

    def forward(
        self, images: Float[Tensor, "n ch res res"], label: Float[Tensor, "n c_dim"] | None = None
    ) -> Float[Tensor, "n 1"]:
        """Return the logits of pictures.

        Args:
            images: [n, image_channels, resolution, resolution], nominally within [-1, 1].
            label: One-hot labels, [n, c_dim], for conditional discriminators.

        Raises:
            ShapeError: If the size of pictures or labels is not the network's, or labels are missing.
        """
        config = self.config
        require_images(images, config.image_channels, config.resolution, config.resolution)
        x = F.conv2d(images, self.from_rgb)
        for stage in self.stages:
            x = stage(x)
        x = F.conv2d(x, self.basis, groups=len(self.basis)).flatten(1)
        logits = F.linear(x, self.out)
        if self.embed is None:
            return logits
        target = F.linear(require_label(label, config.c_dim).float(), self.embed)
        return (logits * target).sum(dim=1, keepdim=True)
