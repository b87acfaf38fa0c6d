"""Computes in PyTorch what the browser's kernel computes from its weights file, to check an export.

It follows the kernel's formulas, not the network's: factors are folded, and upsampling is a transposed convolution
and a separable filter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from metagan.export.fold import GAIN, UPSCALER_PREFIX, WebConfig
from metagan.networks.ops import normalize_second_moment
from metagan.networks.upscaler import UpscalerConfig
from metagan.networks.upscaler.native import KERNELS_SLOPE

_LINE = (1 / 4, 3 / 4, 3 / 4, 1 / 4)


def replay(
    config: WebConfig, tensors: Mapping[str, Tensor], z: Tensor, label: Tensor | None, psi: float
) -> Tensor:
    """Draw pictures [batch, image_channels, height, width] from latents [batch, z_dim] and one-hot labels."""
    return synthesize(config, tensors, map_latents(config, tensors, z, label, psi))


def map_latents(
    config: WebConfig, tensors: Mapping[str, Tensor], z: Tensor, label: Tensor | None, psi: float
) -> Tensor:
    """Map latents to truncated styles [batch, w_dim]."""
    x = normalize_second_moment(z)
    if label is not None:
        embedded = F.linear(label, tensors["embed.weight"], tensors["embed.bias"])
        x = torch.cat([x, normalize_second_moment(embedded)], dim=1)
    for index in range(len(config.widths)):
        x = F.linear(x, tensors[f"mapping.{index}.weight"], tensors[f"mapping.{index}.bias"])
        x = F.leaky_relu(x, 0.2) * GAIN
    return torch.lerp(tensors["mean"], x, psi) if config.mean else x


def synthesize(config: WebConfig, tensors: Mapping[str, Tensor], w: Tensor) -> Tensor:
    """Draw pictures from styles [batch, w_dim]."""
    x = tensors["constant"].permute(2, 0, 1).expand(len(w), -1, -1, -1)
    image: Tensor | None = None
    for index in range(len(config.channels)):
        name = f"{4 * 2**index}"
        if index:
            x = _layer(config, tensors, f"{name}.conv0", x, w, up=True)
        x = _layer(config, tensors, f"{name}.conv1", x, w, up=False)
        colours = _colours(config, tensors, f"{name}.rgb", x, w)
        image = colours if image is None else _double(image) + colours
    if image is None:
        raise AssertionError("a generator has a block")
    return image


def _layer(
    config: WebConfig, tensors: Mapping[str, Tensor], name: str, x: Tensor, w: Tensor, *, up: bool
) -> Tensor:
    weight = tensors[f"{name}.weight"]
    s = F.linear(w, tensors[f"{name}.style.weight"], tensors[f"{name}.style.bias"])
    d = GAIN * (s.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt()
    x = x * s[:, :, None, None]
    if up:
        x = _filter(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), (1, 1))
    else:
        x = F.conv2d(x, weight, padding=1)
    x = x * d[:, :, None, None] + tensors[f"{name}.bias"][:, None, None]
    if config.noise:
        x = x + tensors[f"{name}.noise"]
    return _bounded(F.leaky_relu(x, 0.2), config.clamp)


def _colours(config: WebConfig, tensors: Mapping[str, Tensor], name: str, x: Tensor, w: Tensor) -> Tensor:
    s = F.linear(w, tensors[f"{name}.style.weight"], tensors[f"{name}.style.bias"])
    mixed = torch.einsum("nihw,ni,oi->nohw", x, s, tensors[f"{name}.weight"])
    return _bounded(mixed + tensors[f"{name}.bias"][:, None, None], config.clamp)


def _bounded(x: Tensor, clamp: float | None) -> Tensor:
    return x if clamp is None else x.clamp(-clamp, clamp)


def _filter(x: Tensor, pads: tuple[int, int]) -> Tensor:
    """Apply the filter [1, 3, 3, 1] / 4 along both axes, with padding."""
    line, channels = torch.tensor(_LINE), x.shape[1]
    x = F.pad(x, (*pads, *pads))
    x = F.conv2d(x, line.view(1, 1, 4, 1).expand(channels, 1, 4, 1), groups=channels)
    return F.conv2d(x, line.view(1, 1, 1, 4).expand(channels, 1, 1, 4), groups=channels)


def _double(image: Tensor) -> Tensor:
    """Double the size: insert zeros between pixels, then filter."""
    n, c, h, w = image.shape
    sparse = torch.zeros(n, c, 2 * h, 2 * w)
    sparse[:, :, ::2, ::2] = image
    return _filter(sparse, (2, 1))


# --------------------------------------------------------------------------------------------
# Upscalers


def replay_upscaler(config: UpscalerConfig, tensors: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """What the browser will make of pictures [n, 3, h, w] with these tensors; results may lie outside [-1, 1]."""

    def layer(name: str, x: Tensor) -> Tensor:
        weight, bias, slope = (
            tensors[f"{UPSCALER_PREFIX}.{name}.{part}"] for part in ("weight", "bias", "slope")
        )
        y = F.leaky_relu(F.conv2d(x, weight, bias, padding=1), KERNELS_SLOPE)
        return y.clamp(min=0) + slope[:, None, None] * y.clamp(max=0)

    pictures = pictures.clamp(-1, 1)
    x = layer("head", pictures)
    for index in range(config.blocks):
        x = x + layer(f"{index}.second", layer(f"{index}.first", x))
    if config.factor == 4:
        x = _shuffle(layer("fine", x))
    missing = _shuffle(layer("last", x))
    return F.interpolate(pictures, scale_factor=config.factor, mode="nearest") + missing


def _shuffle(x: Tensor) -> Tensor:
    """Channels [2][2][c] to 2x2 pixels."""
    n, count, height, width = x.shape
    return F.pixel_shuffle(x.view(n, 4, count // 4, height, width).transpose(1, 2).flatten(1, 2), 2)
