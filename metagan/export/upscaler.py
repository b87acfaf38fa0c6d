"""An upscaler in the form that the browser's kernel runs, and what it will compute from that, in PyTorch.

The kernel's pixel shuffle takes each pixel's channels as one piece, [2][2][channels], where PyTorch's takes
[channels][2][2]: output channels are written in that order. The kernel's convolutions divide negative sums by 5, so
slopes are written 5 times as steep, and are 5 where there is no activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metagan.networks.upscaler import Upscaler, UpscalerConfig

KERNELS_SLOPE: Final = 0.2  # of the activation that the kernel's convolutions end in
PREFIX: Final = "upscaler"


def fold_upscaler(upscaler: Upscaler) -> dict[str, Tensor]:
    """The upscaler's tensors for the browser, float32: NAME.weight, NAME.bias and NAME.slope of every layer."""
    with torch.no_grad():
        return {
            f"{PREFIX}.{name}": tensor.detach().float().contiguous() for name, tensor in _tensors(upscaler)
        }


def _tensors(upscaler: Upscaler) -> Iterator[tuple[str, Tensor]]:
    config = upscaler.config
    yield from _layer("head", upscaler.head, upscaler.head_slope.weight)
    for index, block in enumerate(upscaler.blocks):
        yield from _layer(f"{index}.first", block.first, block.slope.weight)  # type: ignore[arg-type,union-attr]
        yield from _layer(f"{index}.second", block.second, None)  # type: ignore[arg-type]
    if config.factor == 4:
        yield from _layer("fine", upscaler.fine, upscaler.fine_slope.weight, shuffled=True)
    yield from _layer("last", upscaler.last, None, shuffled=True)


def _layer(
    name: str, convolution: nn.Conv2d, slopes: Tensor | None, *, shuffled: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """[out, in, 3, 3], [out] and [out]; slopes of a layer that is shuffled afterwards are those of its result."""
    count = convolution.out_channels
    order = torch.arange(count)
    if shuffled:
        order = order.view(count // 4, 4).t().flatten()
    bias = convolution.bias
    if bias is None:
        raise AssertionError("upscalers' convolutions have biases")
    yield f"{name}.weight", convolution.weight[order]
    yield f"{name}.bias", bias[order]
    if slopes is None:
        slopes = torch.ones(count)
    elif shuffled:
        slopes = slopes.repeat(4)
    yield f"{name}.slope", slopes / KERNELS_SLOPE


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
