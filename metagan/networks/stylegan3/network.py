"""The generator of StyleGAN3, configurations T and R.

References:
    [1] Karras et al. 2021, Alias-Free Generative Adversarial Networks, arXiv:2106.12423.
    [2] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958 (modulation).

Symbols: z latents, c labels (one-hot), w styles, psi truncation. Features are samples of a continuous signal on a
canvas slightly larger than the picture, so that its border is not visible ([1] section 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Generator, Noise
from metagan.networks.mapping import Mapping, MappingConfig
from metagan.networks.ops import Dense, demodulation
from metagan.networks.stylegan3.filtering import Pads, Resampling, filtered_leaky_relu
from metagan.values import Size


@dataclass(frozen=True)
class InputConfig:
    """The configuration of the Fourier features.

        Args:
            channels: Number of sinusoids.
    size: Height and width of the canvas in samples.
            sampling_rate: Samples per unit of length; the picture is one unit wide.
            bandwidth: Cutoff; higher frequencies are faded out.
    """

    channels: int
    size: int
    sampling_rate: float
    bandwidth: float


@dataclass(frozen=True)
class LayerConfig:
    """A layer's configuration.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Kernel size of the convolution.
        in_size: Height and width of the input features.
        out_size: Height and width of the output features.
        up: Sampling rate of the non-linearity divided by that of the input.
        down: Sampling rate of the non-linearity divided by that of the output.
        up_taps: Shape of the filter before the non-linearity; empty for none.
        down_taps: Shape of the filter after it; two-dimensional if it isn't separable.
        pads: Left, right, above, below, at the non-linearity's rate.
        clamp: Bound of the absolute value of the non-linearity's output, or None.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    in_size: int
    out_size: int
    up: int
    down: int
    up_taps: tuple[int, ...]
    down_taps: tuple[int, ...]
    pads: Pads
    clamp: float | None = 256.0


@dataclass(frozen=True)
class Config:
    """A StyleGAN3 generator's configuration.

    Args:
        mapping: The mapping network.
        input: The Fourier features.
        layers: The layers, from coarse to fine; the last one outputs the picture.
        output_scale: Factor of the last layer's output.
    """

    mapping: MappingConfig
    input: InputConfig
    layers: tuple[LayerConfig, ...]
    output_scale: float = 0.25

    @property
    def num_ws(self) -> int:
        """Number of styles per picture: one for the input, and one per layer."""
        return len(self.layers) + 1


# --------------------------------------------------------------------------------------------
# Input: [1] section 3.2 "Fourier features" and "transformed Fourier features", appendix F


class Input(nn.Module):
    """A learned mix of sinusoids, shifted and rotated by the style."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: InputConfig, w_dim: int) -> None:
        super().__init__()
        self.config = config
        self.affine = Dense(w_dim, 4)
        self.weight = nn.Parameter(torch.randn(config.channels, config.channels))
        self.register_buffer("freqs", torch.randn(config.channels, 2))
        self.register_buffer("phases", torch.rand(config.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n channels size size"]:
        """Map styles to the input features."""
        freqs, phases, amplitudes = self.spectrum(w)
        at = self.positions()
        angles = (
            freqs[:, :, 1, None, None] * at[:, None]
            + (freqs[:, :, 0, None] * at + phases[:, :, None])[:, :, None]
        )
        x = torch.sin(angles * (2 * math.pi)) * amplitudes[:, :, None, None]
        return F.conv2d(x, (self.weight / math.sqrt(self.config.channels))[:, :, None, None])

    def spectrum(
        self, w: Float[Tensor, "n w_dim"]
    ) -> tuple[Float[Tensor, "n channels 2"], Float[Tensor, "n channels"], Float[Tensor, "n channels"]]:
        """Return frequencies (along the width and the height), phases and amplitudes of each picture's sinusoids."""
        matrix = self._placement(w)
        phases = self.phases + (matrix[:, None, :2, 2] * self.freqs).sum(dim=2)
        freqs = self.freqs @ matrix[:, :2, :2]
        bandwidth, rate = self.config.bandwidth, self.config.sampling_rate
        amplitudes = (1 - (freqs.norm(dim=2) - bandwidth) / (rate / 2 - bandwidth)).clamp(0, 1)
        return freqs, phases, amplitudes

    def _placement(self, w: Tensor) -> Float[Tensor, "n 3 3"]:
        """Return each picture's transform: rotation and shift by its style, then the user's transform."""
        t: Tensor = self.affine(w)
        cos, sin, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
        return turn @ shift @ self.transform

    def positions(self) -> Float[Tensor, " size"]:
        """Return the centres of the canvas' samples along an axis; 0 is the picture's centre, ±1/2 its border."""
        size, device = self.config.size, self.freqs.device
        middle = (2 * torch.arange(size, device=device, dtype=torch.float32) + 1) / size - 1
        return middle * (0.5 * size / self.config.sampling_rate)


# --------------------------------------------------------------------------------------------
# Layers: [1] section 3.2, figure 4b


class Layer(nn.Module):
    """A modulated convolution and a filtered non-linearity; the last layer has no demodulation or non-linearity."""

    up_taps: Tensor | None
    down_taps: Tensor | None
    magnitude: Tensor

    def __init__(self, config: LayerConfig, w_dim: int, *, to_rgb: bool) -> None:
        super().__init__()
        self.config, self.to_rgb = config, to_rgb
        k = config.kernel_size
        self.resampling = Resampling(config.up, config.down, config.pads)
        self.affine = Dense(w_dim, config.in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(config.out_channels, config.in_channels, k, k))
        self.bias = nn.Parameter(torch.zeros(config.out_channels))
        self.register_buffer("magnitude", torch.ones([]))  # mean square of the input, tracked in training
        self.register_buffer("up_taps", _flat_taps(config.up_taps))
        self.register_buffer("down_taps", _flat_taps(config.down_taps))

    def forward(self, x: Tensor, w: Float[Tensor, "n w_dim"]) -> Tensor:
        """Features [n, in, in_size, in_size] and styles to features [n, out, out_size, out_size]."""
        s: Tensor = self.affine(w)
        weight: Tensor = self.weight
        if self.to_rgb:
            s = s / math.sqrt(weight[0].numel())
            scale = torch.ones_like(s[:, :1]).expand(-1, len(weight))
        else:
            # Both normalisations cancel except for the demodulation's epsilon. The official code averages styles over
            # the batch; here each picture is normalised separately, so that it doesn't depend on its batch.
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            s = s * s.square().mean(dim=1, keepdim=True).rsqrt()
            scale = demodulation(weight, s)
        x = F.conv2d(x * s[:, :, None, None], weight, padding=self.config.kernel_size - 1)
        slope, gain = (1.0, 1.0) if self.to_rgb else (0.2, math.sqrt(2))
        return filtered_leaky_relu(
            x, scale * self.magnitude.rsqrt(), self.bias, self.up_taps, self.down_taps, self.resampling,
            slope=slope, gain=gain, clamp=self.config.clamp,
        )  # fmt: skip


def _flat_taps(shape: tuple[int, ...]) -> Tensor | None:
    """Return an empty filter for a checkpoint to fill."""
    return torch.full(shape, 1 / math.prod(shape)) if shape else None


# --------------------------------------------------------------------------------------------
# The generator: [1] section 3 and appendix F


class StyleGAN3(Generator):
    """A StyleGAN3 generator: `synthesize(map_latents(z))`.

    The first style is the input's, followed by one per layer. It has no noise.
    """

    architecture = "stylegan3"

    def __init__(self, config: Config) -> None:
        super().__init__(
            size=Size.square(config.layers[-1].out_size),
            image_channels=config.layers[-1].out_channels,
            z_dim=config.mapping.z_dim,
            c_dim=config.mapping.c_dim,
            num_ws=config.num_ws,
            w_dim=config.mapping.w_dim,
        )
        self.config = config
        self.mapping = Mapping(config.mapping)
        self.input = Input(config.input, self.w_dim)
        last = len(config.layers) - 1
        self.layers = nn.ModuleList(
            Layer(layer, self.w_dim, to_rgb=index == last) for index, layer in enumerate(config.layers)
        )

    def _map(self, z: Tensor, label: Tensor | None) -> Tensor:
        w: Tensor = self.mapping(z, label)
        return w[:, None].expand(-1, self.num_ws, -1)

    def _mean_style(self) -> Tensor | None:
        return self.mapping.mean_style

    def _synthesize(self, ws: Tensor, noise: Noise) -> Tensor:
        del noise
        first, *others = ws.unbind(dim=1)
        x: Tensor = self.input(first)
        for layer, w in zip(self.layers, others, strict=True):
            x = layer(x, w)
        return x * self.config.output_scale
