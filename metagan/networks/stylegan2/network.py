"""The generator of StyleGAN2 and StyleGAN2-ADA.

References:
    [1] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948 (mapping, truncation, noise).
    [2] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [3] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676 (conditioning, clamping).

Symbols: z latents, c labels (one-hot), w styles, psi truncation; A a style's affine transform, B a noise strength.

This is the formula as the papers have it, for reading and for gradients by anything. fast.py computes the same
pictures faster, in one form for sampling and one for training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Generator, Noise
from metagan.networks.mapping import Mapping, MappingConfig
from metagan.networks.ops import Dense, activate, convolve, demodulation, upsample, usual_taps
from metagan.values import Size

__all__ = ["MAX_RESOLUTION", "BlockKind", "Config", "Mapping", "MappingConfig", "StyleGAN2"]

BlockKind = Literal["skip", "resnet", "orig"]
MAX_RESOLUTION = 4096


@dataclass(frozen=True)
class Config:
    """A StyleGAN2 generator's shape.

    Args:
        mapping: The mapping network's.
        channels: Feature channels of the constant, at twice its size, ... ; their number gives the pictures' size.
        image_channels: 3 for RGB.
        kind: How blocks join: output skips, residual, or neither ([2] section 4).
        activation: The convolutions', by its name in ops.ACTIVATIONS.
        kernel_size: The convolutions', odd.
        filter_shape: Of the resampling filters: (4, 4), or (8,) when separable.
        clamp: Bound of every layer's output, or None ([3] section B.1).
        use_noise: Whether layers add noise.
        constant: Height and width of the learned constant in pixels, which gives the pictures' aspect ratio.
    """

    mapping: MappingConfig
    channels: tuple[int, ...]
    image_channels: int = 3
    kind: BlockKind = "skip"
    activation: str = "lrelu"
    kernel_size: int = 3
    filter_shape: tuple[int, ...] = (4, 4)
    clamp: float | None = None
    use_noise: bool = True
    constant: tuple[int, int] = (4, 4)

    @property
    def size(self) -> Size:
        """Of the pictures: the constant's, doubled by every block after the first."""
        height, width = self.size_at(len(self.channels) - 1)
        return Size(width, height)

    @property
    def resolution(self) -> int:
        """The longer side of the pictures in pixels; of square ones, both."""
        return self.size.longest

    def size_at(self, index: int) -> tuple[int, int]:
        """Height and width of a block's features."""
        height, width = self.constant
        return height << index, width << index

    @property
    def num_ws(self) -> int:
        """Styles a picture takes: one a convolution, one for the last conversion to RGB."""
        return 2 * len(self.channels)


# --------------------------------------------------------------------------------------------
# A layer: modulation, convolution, demodulation, noise and bias ([2] section 2.2 and figure 2d)


class StyledConv(nn.Module):
    """A modulated convolution with noise, bias and activation ([2] figure 2d).

    Equations 1 to 3 of [2]: kernels w'_oi = s_i w_oi, divided by the square root of the sum of their squares. Since a
    convolution is linear, s may scale its input and the square root its output, with kernels that all pictures share.
    """

    taps: Tensor | None
    noise: Tensor | None

    def __init__(
        self, config: Config, in_channels: int, out_channels: int, size_px: tuple[int, int], *, up: bool
    ) -> None:
        super().__init__()
        self.activation = config.activation
        self.clamp = config.clamp
        w_dim, k = config.mapping.w_dim, config.kernel_size
        self.affine = Dense(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, k, k))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("taps", usual_taps(config.filter_shape) if up else None)
        self.register_buffer("noise", torch.randn(*size_px) if config.use_noise else None)
        self.noise_strength = nn.Parameter(torch.zeros([])) if config.use_noise else None

    def forward(self, x: Tensor, w: Float[Tensor, "batch w_dim"], noise: Noise, gain: float = 1.0) -> Tensor:
        """Features [batch, in, h, w] and styles to features [batch, out, h or 2h, w or 2w]."""
        s = self.affine(w)  # [batch, in]
        d = demodulation(self.weight, s)  # [batch, out]
        x = convolve(x * s[:, :, None, None], self.weight, up_taps=self.taps) * d[:, :, None, None]
        if self.noise is not None and self.noise_strength is not None:
            image = noise.image(self.noise, len(x))  # [h, w] or [batch, 1, h, w]
            x = x if image is None else x + image * self.noise_strength
        return activate(x + self.bias[:, None, None], self.activation, gain, self.clamp)


class ToRGB(nn.Module):
    """Features to RGB: a 1x1 modulated convolution without demodulation ([2] section 2.2)."""

    def __init__(self, config: Config, in_channels: int) -> None:
        super().__init__()
        self.clamp = config.clamp
        self.affine = Dense(config.mapping.w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(config.image_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.image_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Float[Tensor, "batch w_dim"]) -> Tensor:
        """Features [batch, in, h, w] to pictures [batch, image_channels, h, w]."""
        s = self.affine(w) * self.weight_gain  # [batch, in]
        rgb = F.conv2d(x * s[:, :, None, None], self.weight, self.bias)
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


# --------------------------------------------------------------------------------------------
# A block: all layers of one resolution, joined by output skips or residuals ([2] section 4.1 and figure 7)


class Block(nn.Module):
    """All layers of one resolution; the first has one convolution, on the learned constant."""

    skip_taps: Tensor | None
    image_taps: Tensor | None

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        last = index == len(config.channels) - 1
        before, after = config.channels[max(index - 1, 0)], config.channels[index]
        size_px, taps = config.size_at(index), usual_taps(config.filter_shape)
        self.residual = config.kind == "resnet" and index > 0
        self.conv0 = StyledConv(config, before, after, size_px, up=True) if index else None
        self.conv1 = StyledConv(config, after, after, size_px, up=False)
        self.to_rgb = ToRGB(config, after) if last or config.kind == "skip" else None
        self.skip = nn.Parameter(torch.randn(after, before, 1, 1)) if self.residual else None
        self.register_buffer("skip_taps", taps if self.residual else None)
        self.register_buffer("image_taps", taps.clone() if index and config.kind == "skip" else None)

    def forward(
        self,
        x: Float[Tensor, "batch in h w"],
        image: Tensor | None,
        ws: Float[Tensor, "batch layers w_dim"],
        noise: Noise,
    ) -> tuple[Tensor, Tensor | None]:
        """Features and the picture so far to those of this resolution.

        Styles are those of the convolutions, one or two, and last that of the conversion to RGB.
        """
        convs = 1 if self.conv0 is None else 2
        w_conv1, w_rgb = ws[:, convs - 1], ws[:, convs]
        y = None
        if self.skip is not None:
            y = convolve(x, self.skip / math.sqrt(self.skip.shape[1]), up_taps=self.skip_taps)
        if self.conv0 is not None:
            x = self.conv0(x, ws[:, 0], noise)
        if y is None:
            x = self.conv1(x, w_conv1, noise)
        else:  # half the variance of each branch
            x = self.conv1(x, w_conv1, noise, gain=math.sqrt(0.5)) + y * math.sqrt(0.5)
        if image is not None and self.image_taps is not None:
            image = upsample(image, self.image_taps)
        if self.to_rgb is not None:
            rgb = self.to_rgb(x, w_rgb)
            image = rgb if image is None else image + rgb
        return x, image


# --------------------------------------------------------------------------------------------
# The generator: mapping network, truncation ([1] section 2 and appendix B) and synthesis network ([2] section 4)


class StyleGAN2(Generator):
    """A StyleGAN2 generator: `synthesize(map_latents(z))`.

    A conversion to RGB shares its style with the next block's first convolution.
    """

    architecture = "stylegan2"

    def __init__(self, config: Config) -> None:
        super().__init__(
            size=config.size,
            image_channels=config.image_channels,
            z_dim=config.mapping.z_dim,
            c_dim=config.mapping.c_dim,
            num_ws=config.num_ws,
            w_dim=config.mapping.w_dim,
        )
        self.config = config
        self.mapping = Mapping(config.mapping)
        self.constant = nn.Parameter(torch.randn(config.channels[0], *config.constant))
        self.blocks = nn.ModuleList(Block(config, index) for index in range(len(config.channels)))

    def _map(self, z: Tensor, label: Tensor | None) -> Tensor:
        w: Tensor = self.mapping(z, label)
        return w[:, None].expand(-1, self.num_ws, -1)

    def _mean_style(self) -> Tensor | None:
        return self.mapping.mean_style

    def _synthesize(self, ws: Tensor, noise: Noise) -> Tensor:
        x: Tensor = self.constant.expand(len(ws), -1, -1, -1)
        image: Tensor | None = None
        for index, block in enumerate(self.blocks):
            first = max(2 * index - 1, 0)  # the block's first style
            x, image = block(x, image, ws[:, first : first + 3], noise)
        if image is None:
            raise AssertionError("the last block always converts to RGB")
        return image
