"""An upscaler in the form that the browser's kernel runs, and what it will compute from that, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from metagan.networks.upscaler import Upscaler, UpscalerConfig
from metagan.networks.upscaler.native import KERNELS_SLOPE, kernel_layers

PREFIX: Final = "upscaler"


def fold_upscaler(upscaler: Upscaler) -> dict[str, Tensor]:
    """The upscaler's tensors for the browser, float32: NAME.weight, NAME.bias and NAME.slope of every layer."""
    tensors: dict[str, Tensor] = {}
    for layer in kernel_layers(upscaler):
        parts = {"weight": layer.weight, "bias": layer.bias, "slope": layer.slope}
        tensors |= {f"{PREFIX}.{layer.name}.{part}": tensor for part, tensor in parts.items()}
    return tensors


def replay_upscaler(config: UpscalerConfig, tensors: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """What the browser will make of pictures [n, 3, h, w] with these tensors; results may lie outside [-1, 1]."""

    def layer(name: str, x: Tensor) -> Tensor:
        weight, bias, slope = (tensors[f"{PREFIX}.{name}.{part}"] for part in ("weight", "bias", "slope"))
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
