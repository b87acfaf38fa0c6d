"""The generator of StyleGAN2 and StyleGAN2-ADA.

References:
    [1] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948 (mapping, truncation, noise).
    [2] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [3] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676 (conditioning, clamping).

Symbols: z latents, c labels (one-hot), w styles, psi truncation. A convolution modulates its input channels by
s = A(w), convolves with weights that all pictures of the batch share, and demodulates its output channels: equal to
per-picture weights ([2] section 2.2), and one ordinary convolution for the whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from metagan.errors import ShapeError
from metagan.networks.generator import Noise
from metagan.networks.mapping import Mapping, MappingConfig
from metagan.networks.ops import (
    ACTIVATIONS,
    Dense,
    activate,
    activate_fresh,
    convolve,
    demodulation,
    memory_layout,
    upsample,
    usual_taps,
)

__all__ = ["MAX_RESOLUTION", "BlockKind", "Config", "Mapping", "MappingConfig", "StyleGAN2"]

BlockKind = Literal["skip", "resnet", "orig"]
MAX_RESOLUTION = 4096


@dataclass(frozen=True)
class Config:
    """A StyleGAN2 generator's shape.

    Args:
        mapping: The mapping network's.
        channels: Feature channels at 4x4, 8x8, ... ; their number gives the resolution.
        image_channels: 3 for RGB.
        kind: How blocks join: output skips, residual, or neither ([2] section 4).
        activation: The convolutions', by its name in ops.ACTIVATIONS.
        kernel_size: The convolutions', odd.
        filter_shape: Of the resampling filters: (4, 4), or (8,) when separable.
        clamp: Bound of every layer's output, or None ([3] section B.1).
        use_noise: Whether layers add noise.
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

    @property
    def resolution(self) -> int:
        """Height and width of the pictures in pixels."""
        return int(2 ** (len(self.channels) + 1))

    @property
    def num_ws(self) -> int:
        """Styles a picture takes: one a convolution, one for the last conversion to RGB."""
        return 2 * len(self.channels)


# --------------------------------------------------------------------------------------------
# Synthesis network: [2] sections 2 and 4


class StyledConv(nn.Module):
    """A modulated convolution with noise, bias and activation ([2] figure 2c)."""

    taps: Tensor | None
    noise: Tensor | None

    def __init__(
        self, config: Config, in_channels: int, out_channels: int, size_px: int, *, up: bool
    ) -> None:
        super().__init__()
        self.activation = config.activation
        self.clamp = config.clamp
        w_dim, k = config.mapping.w_dim, config.kernel_size
        self.affine = Dense(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, k, k))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("taps", usual_taps(config.filter_shape) if up else None)
        self.register_buffer("noise", torch.randn(size_px, size_px) if config.use_noise else None)
        self.noise_strength = nn.Parameter(torch.zeros([])) if config.use_noise else None

    def forward(self, x: Tensor, w: Float[Tensor, "batch w_dim"], noise: Noise, gain: float = 1.0) -> Tensor:
        """Features [batch, in, h, w] and styles to features [batch, out, h or 2h, w or 2w]."""
        s = self.affine(w)
        own_gain, early = ACTIVATIONS[self.activation].gain, ACTIVATIONS[self.activation].homogeneous
        scale = own_gain * gain if early else 1.0
        d = (demodulation(self.weight, s) * scale)[:, :, None, None]
        x = convolve(x * s[:, :, None, None], self.weight, up_taps=self.taps)
        x = self._shift(x, d.to(x.dtype), noise, scale)
        if not early:
            return activate(x, self.activation, gain, self.clamp)
        x = activate_fresh(x, self.activation)
        return x if self.clamp is None else x.clamp(-self.clamp * gain, self.clamp * gain)

    def _shift(self, x: Tensor, d: Tensor, noise: Noise, scale: float) -> Tensor:
        """Features times d plus bias and noise, in their own type and layout: autocast's stay narrow."""
        shift = self.bias[:, None, None] * scale
        image = None
        if self.noise_strength is not None and self.noise is not None:
            image = noise.image(self.noise, len(x))
        if image is not None and self.noise_strength is not None:
            image = image * (self.noise_strength * scale)
            if image.ndim == 4:  # a noise image a picture
                return (x * d).add_(_spread(image.to(x.dtype), shift.to(x.dtype), memory_layout(x)))
            shift = shift + image
        shift = shift[None].to(x.dtype).contiguous(memory_format=memory_layout(x))
        return torch.addcmul(shift, x, d)


def _spread(image: Float[Tensor, "n 1 h w"], bias: Tensor, layout: torch.memory_format) -> Tensor:
    """The noise plus bias [c, 1, 1] as features [n, c, h, w] in this layout, by a product.

    A sum that broadcasts both of them takes ten times as long on a processor where c is 16: too few at a stretch.
    """
    if layout != torch.channels_last:
        return image + bias
    n, _, h, w = image.shape
    rows = torch.addmm(bias.flatten(), image.reshape(-1, 1), image.new_ones(1, len(bias)))
    return rows.view(n, h, w, -1).permute(0, 3, 1, 2)


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
        s = self.affine(w) * self.weight_gain
        # Kernels per picture are tiny here, and spare a pass over the features.
        kernels = self.weight[None, :, :, 0, 0] * s[:, None, :]
        rgb = torch.baddbmm(self.bias[None, :, None], kernels, x.flatten(2)).view(len(x), -1, *x.shape[2:])
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """All layers of one resolution; the first has one convolution, on the learned constant."""

    skip_taps: Tensor | None
    image_taps: Tensor | None

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        last = index == len(config.channels) - 1
        out_channels, size_px = config.channels[index], 4 * 2**index
        self.residual = config.kind == "resnet" and index > 0
        self.conv0 = (
            StyledConv(config, config.channels[index - 1], out_channels, size_px, up=True) if index else None
        )
        self.conv1 = StyledConv(config, out_channels, out_channels, size_px, up=False)
        self.to_rgb = ToRGB(config, out_channels) if last or config.kind == "skip" else None
        self.skip = (
            nn.Parameter(torch.randn(out_channels, config.channels[index - 1], 1, 1))
            if self.residual
            else None
        )
        self.register_buffer("skip_taps", usual_taps(config.filter_shape) if self.residual else None)
        self.register_buffer(
            "image_taps", usual_taps(config.filter_shape) if index and config.kind == "skip" else None
        )

    def forward(
        self, x: Tensor, image: Tensor | None, ws: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor | None]:
        """Features and the picture so far, with the block's styles [batch, 2 or 3, w_dim], to the next ones."""
        gain = math.sqrt(0.5) if self.residual else 1.0
        styles = iter(ws.unbind(dim=1))
        y = None
        if self.skip is not None:
            weight_gain = gain / math.sqrt(self.skip.shape[1])
            y = convolve(x, self.skip * weight_gain, up_taps=self.skip_taps)
        if self.conv0 is not None:
            x = self.conv0(x, next(styles), noise)
        x = self.conv1(x, next(styles), noise, gain)
        if y is not None:
            x = x + y
        if image is not None and self.image_taps is not None:
            image = upsample(image, self.image_taps)
        if self.to_rgb is not None:
            rgb = self.to_rgb(x, next(styles))
            image = rgb if image is None else image + rgb
        return x, image


class StyleGAN2(nn.Module):
    """A StyleGAN2 generator: `synthesize(map_latents(z))`."""

    architecture = "stylegan2"

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.resolution, self.image_channels = config.resolution, config.image_channels
        self.z_dim, self.c_dim = config.mapping.z_dim, config.mapping.c_dim
        self.w_dim, self.num_ws = config.mapping.w_dim, config.num_ws
        self.mapping = Mapping(config.mapping)
        self.constant = nn.Parameter(torch.randn(config.channels[0], 4, 4))
        self.blocks = nn.ModuleList(Block(config, index) for index in range(len(config.channels)))

    def map_latents(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch c_dim"] | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Map latents to styles, pulled toward the mean style by psi.

        Karras et al. 2019, arXiv:1812.04948, section 2 and appendix B.

        Args:
            z: Unit-normal latents, [batch, z_dim].
            label: One-hot labels, [batch, c_dim]; needed by conditional generators, ignored by others.
            psi: Truncation: 1 leaves styles as they are, 0 gives the mean picture.
            cutoff: How many of the styles to truncate, from the coarse end; None for all.

        Returns:
            Styles, [batch, num_ws, w_dim].

        Raises:
            ShapeError: z's width is not the checkpoint's z_dim, or the label's not its c_dim.
            OptionError: psi is not 1 and the checkpoint has no mean style.
        """
        ws = self.mapping(z, label)[:, None].expand(-1, self.num_ws, -1)
        return self.mapping.truncate(ws, psi, cutoff)

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Draw pictures, nominally within [-1, 1], from styles.

        Karras et al. 2020, arXiv:1912.04958, sections 2 and 4.

        Args:
            ws: Styles, [batch, num_ws, w_dim]; a conversion to RGB shares its style with the next convolution.
            noise: Where noise comes from; the checkpoint's constant noise when None.

        Returns:
            Pictures, [batch, image_channels, resolution, resolution].

        Raises:
            ShapeError: There are more or fewer styles, or of another width.
        """
        if ws.shape[1:] != (self.num_ws, self.w_dim):
            msg = f"styles: want [batch, {self.num_ws}, {self.w_dim}], got {list(ws.shape)}"
            raise ShapeError(msg)
        noise = noise or Noise("const")
        x: Tensor = self.constant.expand(len(ws), -1, -1, -1)
        image: Tensor | None = None
        start = 0
        for block in self.blocks:
            convs = 1 if block.conv0 is None else 2
            x, image = block(x, image, ws[:, start : start + convs + 1], noise)
            start += convs
        if image is None:
            raise AssertionError("the last block always converts to RGB")
        return image
