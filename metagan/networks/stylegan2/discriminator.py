"""The discriminator of StyleGAN2 and StyleGAN2-ADA.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958, section 4.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676 (conditioning, freezing).
    [3] Miyato and Koyama 2018, cGANs with Projection Discriminator, arXiv:1802.05637.
    [4] Karras et al. 2018, Progressive Growing of GANs, arXiv:1710.10196 (minibatch standard deviation).

Symbols: c labels (one-hot). fast.py computes the same logits faster, for training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.ops import Dense, activate, convolve, downsample, minibatch_std, usual_taps
from metagan.networks.shapes import require_images, require_label
from metagan.networks.stylegan2.network import BlockKind, Mapping, MappingConfig
from metagan.values import Size


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A StyleGAN2 discriminator's configuration.

    Args:
        channels: Feature channels at the full resolution, half the resolution, ... down to the last features.
        image_channels: 3 for RGB.
        kind: How blocks join ([1] section 4); "resnet" in every published configuration.
        activation: Activation of the blocks' convolutions, by its name in ops.ACTIVATIONS.
        last_activation: Activation of the layers on the last features.
        kernel_size: Kernel size of the convolutions, odd.
        filter_shape: Shape of the resampling filters: (4, 4), or (9,) if separable.
        clamp: Bound of the absolute value of every convolution's output, or None.
        group_size: Pictures per minibatch-std group; None for the whole batch.
        std_channels: Channels that minibatch std appends; 0 disables it.
        label_mapping: The label's mapping network (z_dim 0); None if unconditional.
        last_px: Height and width of the last features in pixels, which gives the pictures' aspect ratio.
    """

    channels: tuple[int, ...]
    image_channels: int = 3
    kind: BlockKind = "resnet"
    activation: str = "lrelu"
    last_activation: str = "lrelu"
    kernel_size: int = 3
    filter_shape: tuple[int, ...] = (4, 4)
    clamp: float | None = None
    group_size: int | None = 4
    std_channels: int = 1
    label_mapping: MappingConfig | None = None
    last_px: tuple[int, int] = (4, 4)

    @property
    def size(self) -> Size:
        """Of the pictures: the last features', doubled by every block."""
        height, width = (side << (len(self.channels) - 1) for side in self.last_px)
        return Size(width, height)

    @property
    def resolution(self) -> int:
        """The longer side of the pictures in pixels; of square ones, both."""
        return self.size.longest


# --------------------------------------------------------------------------------------------
# A layer: [4] section 4.1 (equalised learning rate), [2] section B.1 (clamping)


class Conv(nn.Module):
    """A convolution with equalised learning rate, optional bias, activation and clamp."""

    taps: Tensor | None

    def __init__(
        self,
        config: DiscriminatorConfig,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        down: bool = False,
        bias: bool = True,
        activation: str | None = None,
        clamped: bool = True,
    ) -> None:
        super().__init__()
        self.activation = activation or config.activation
        self.clamp = config.clamp if clamped else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("taps", usual_taps(config.filter_shape) if down else None)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Features [n, in, h, w] to [n, out, h or h/2, w or w/2]."""
        x = convolve(x, self.weight * self.weight_gain, self.bias, down_taps=self.taps)
        return activate(x, self.activation, gain, self.clamp)


# --------------------------------------------------------------------------------------------
# [1] section 4.1 and figure 7: residual blocks, or input skips


class Block(nn.Module):
    """All layers of one resolution, halving it."""

    image_taps: Tensor | None

    def __init__(self, config: DiscriminatorConfig, index: int) -> None:
        super().__init__()
        before, after, k = config.channels[index], config.channels[index + 1], config.kernel_size
        takes_image = index == 0 or config.kind == "skip"
        self.from_rgb = Conv(config, config.image_channels, before, 1) if takes_image else None
        self.conv0 = Conv(config, before, before, k)
        self.conv1 = Conv(config, before, after, k, down=True)
        residual = config.kind == "resnet"
        self.skip = (
            Conv(config, before, after, 1, down=True, bias=False, activation="linear", clamped=False)
            if residual
            else None
        )
        self.register_buffer("image_taps", usual_taps(config.filter_shape) if config.kind == "skip" else None)

    def forward(self, x: Tensor | None, image: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the next features and picture from those so far (no features at the full resolution)."""
        if self.from_rgb is not None and image is not None:
            y = self.from_rgb(image)
            x = y if x is None else x + y
            image = None if self.image_taps is None else downsample(image, self.image_taps)
        if self.skip is None:
            return self.conv1(self.conv0(x)), image
        y = self.skip(x, gain=math.sqrt(0.5))
        return y + self.conv1(self.conv0(x), gain=math.sqrt(0.5)), image


# --------------------------------------------------------------------------------------------
# The last features, 4x4 as published, to logits: minibatch standard deviation ([4] section 3), and projection for
# labels ([3] section 3)


class Epilogue(nn.Module):
    """Maps the last features to a logit, or to the vector that is projected on the label's embedding."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = config.channels[-1]
        self.config = config
        self.from_rgb = (
            Conv(config, config.image_channels, channels, 1, activation=config.last_activation, clamped=False)
            if config.kind == "skip"
            else None
        )
        width = channels + config.std_channels
        self.conv = Conv(config, width, channels, config.kernel_size, activation=config.last_activation)
        self.fc = Dense(channels * math.prod(config.last_px), channels, activation=config.last_activation)
        self.out = Dense(channels, config.label_mapping.w_dim if config.label_mapping else 1)

    def forward(self, x: Tensor, image: Tensor | None) -> Tensor:
        """Features [n, c, h, w] of last_px to [n, 1 or the label vector's width]."""
        if self.from_rgb is not None and image is not None:
            x = x + self.from_rgb(image)
        if self.config.std_channels:
            x = minibatch_std(x, self.config.group_size, self.config.std_channels)
        out: Tensor = self.out(self.fc(self.conv(x).flatten(1)))
        return out


def project_on_label(
    out: Float[Tensor, "n width"], label: Tensor | None, mapping: Mapping
) -> Float[Tensor, "n 1"]:
    """Map the epilogue's vectors to logits: their products with the label's vector ([3] section 3).

    Raises:
        ShapeError: If the labels' size is not the mapping's, or labels are missing.
    """
    label = require_label(label, mapping.config.c_dim)
    target: Tensor = mapping(out.new_zeros(len(out), 0), label.to(out))
    return (out * target).sum(dim=1, keepdim=True) / math.sqrt(target.shape[1])


class Discriminator(nn.Module):
    """A StyleGAN2 discriminator, with high logits for real pictures.

    Karras et al. 2020, arXiv:1912.04958, section 4 and arXiv:2006.06676.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config, index) for index in range(len(config.channels) - 1))
        self.epilogue = Epilogue(config)
        self.mapping = Mapping(config.label_mapping) if config.label_mapping else None

    def forward(
        self, images: Float[Tensor, "n ch h w"], label: Float[Tensor, "n c_dim"] | None = None
    ) -> Float[Tensor, "n 1"]:
        """Return the logits of pictures.

        Args:
            images: [n, image_channels, height, width], nominally within [-1, 1]; n divisible by the
                minibatch-std group.
            label: One-hot labels, [n, c_dim], for conditional discriminators.

        Returns:
            Logits, [n, 1]; they depend on the other pictures of the group.

        Raises:
            ShapeError: If the size of pictures or labels is not the network's, or labels are missing.
        """
        return self.logits(*self.features(images), label)

    def features(self, images: Float[Tensor, "n ch h w"]) -> tuple[Tensor, Tensor | None]:
        """Apply the convolutional part: returns the last features, and the picture at their size for input skips.

        Raises:
            ShapeError: If the pictures' size is not the network's.
        """
        require_images(images, self.config.image_channels, self.config.size.height, self.config.size.width)
        x, image = None, images
        for block in self.blocks:
            x, image = block(x, image)
        if x is None:
            raise AssertionError("a discriminator has at least one block")
        return x, image

    def logits(self, x: Tensor, image: Tensor | None, label: Tensor | None) -> Float[Tensor, "n 1"]:
        """Map the result of `features` to logits.

        Raises:
            ShapeError: If the labels' size is not the network's, or labels are missing.
        """
        out: Tensor = self.epilogue(x, image)
        return out if self.mapping is None else project_on_label(out, label, self.mapping)
