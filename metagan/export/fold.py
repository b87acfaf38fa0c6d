"""A StyleGAN2 in the form that the browser's kernel runs: every constant factor folded into its weights.

    y = clamp(lrelu(conv(s x) d + noise + b)),  s = A w + a,  d = sqrt(2) (s^2 . sum(W^2) + 1e-8)^(-1/2)

With lrelu(g v) = g lrelu(v) for g > 0, the activation's gain sqrt(2) goes into noise and b, equalised learning rates
into the matrices, the noise's strength into the noise (Karras et al. 2020, arXiv:1912.04958, sections 2 to 4).

Matrices are only multiplied by powers of two, which round nothing: those of a file in half precision stay what they
are. What is left of a factor goes on to the next layer, by lrelu's equation, and at last into s, whose scale d cancels;
in the conversion to RGB, which has no d, the small kernel takes it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from metagan.errors import ExportError
from metagan.networks.generator import Generator
from metagan.networks.ops import Dense, usual_taps
from metagan.networks.stylegan2.network import Block, Config, StyledConv, StyleGAN2, ToRGB

GAIN = math.sqrt(2)


@dataclass(frozen=True)
class WebConfig:
    """What the browser must know of a generator before it reads its tensors.

    Args:
        resolution: Height and width of the pictures in pixels.
        channels: Feature channels at 4x4, 8x8, ...
        image_channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        z_dim: Width of the latents.
        c_dim: Number of classes, 0 when unconditional.
        embed_dim: Width of the label's embedding, 0 when unconditional.
        widths: Output width of each mapping layer; the last is w_dim.
        clamp: Bound of every layer's output, or None.
        noise: Whether layers add the noise that is stored.
        mean: Whether the mean style is known; without it psi is 1.
    """

    resolution: int
    channels: tuple[int, ...]
    image_channels: int
    z_dim: int
    c_dim: int
    embed_dim: int
    widths: tuple[int, ...]
    clamp: float | None
    noise: bool
    mean: bool

    def as_json(self) -> dict[str, Any]:
        """As the blob's header holds it."""
        return {"architecture": StyleGAN2.architecture, **dataclasses.asdict(self)}


def fold(generator: Generator, noise: str = "const") -> tuple[WebConfig, dict[str, Tensor]]:
    """The generator's configuration and folded tensors, float32.

    Raises:
        ExportError: The kernel can't run it; every reason is listed.
    """
    problems = list(_obstacles(generator, noise))
    if problems or not isinstance(generator, StyleGAN2):
        reasons = "; ".join(problems)
        raise ExportError(
            f"the browser's kernel can't run this generator: {reasons}", fix="it stays with prepared pictures"
        )
    config, use_noise = generator.config, noise == "const" and generator.config.use_noise
    mapping = config.mapping
    web = WebConfig(
        config.resolution,
        config.channels,
        config.image_channels,
        mapping.z_dim,
        mapping.c_dim,
        mapping.embed_dim,
        mapping.widths,
        config.clamp,
        use_noise,
        mapping.has_mean_style,
    )
    with torch.no_grad():
        return web, {name: tensor.detach().contiguous() for name, tensor in _tensors(generator, use_noise)}


def _obstacles(generator: Generator, noise: str) -> Iterator[str]:
    """Everything about it that the kernel doesn't know."""
    if not isinstance(generator, StyleGAN2):
        yield f"it is a {generator.architecture}, want a stylegan2"
        return
    if noise not in ("const", "none"):
        yield f"noise {noise!r} is drawn anew for every picture, want const or none (--noise)"
    yield from _odd_settings(generator.config)
    usual = usual_taps((4, 4))
    taps = [tensor for name, tensor in generator.state_dict().items() if name.endswith("taps")]
    if any(tensor.shape != usual.shape or not torch.allclose(tensor, usual, atol=1e-6) for tensor in taps):
        yield "its resampling filter is not [1, 3, 3, 1]"


def _odd_settings(config: Config) -> Iterator[str]:
    wanted = {
        "kind": (config.kind, "skip"),
        "activation": (config.activation, "lrelu"),
        "the mapping's activation": (config.mapping.activation, "lrelu"),
        "kernel_size": (config.kernel_size, 3),
    }
    for name, (found, want) in wanted.items():
        if found != want:
            yield f"{name} is {found!r}, want {want!r}"
    if not config.mapping.widths:
        yield "its mapping network has no layer"
    if config.image_channels not in (1, 3, 4):
        yield f"its pictures have {config.image_channels} channels, want 1, 3 or 4"


def _tensors(generator: StyleGAN2, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    mapping = generator.mapping
    if mapping.embed is not None:
        yield "embed.weight", mapping.embed.weight * mapping.embed.weight_gain
        yield "embed.bias", mapping.embed.bias * mapping.embed.lr_multiplier
    left = 1.0  # a layer puts out its features divided by this
    for index, layer in enumerate(mapping.layers):
        matrix, left = _dense(f"mapping.{index}", cast("Dense", layer), left)
        yield from matrix
    if mapping.mean_style is not None:
        yield "mean", mapping.mean_style / left
    yield "constant", generator.constant.permute(1, 2, 0)
    for index, block in enumerate(generator.blocks):
        yield from _block(f"{4 * 2**index}", cast("Block", block), left, use_noise)


def _block(name: str, block: Block, left: float, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    if block.conv0 is not None:
        yield from _conv(f"{name}.conv0", block.conv0, left, use_noise)
    yield from _conv(f"{name}.conv1", block.conv1, left, use_noise)
    if block.to_rgb is not None:
        yield from _colours(f"{name}.rgb", block.to_rgb, left)


def _dense(name: str, layer: Dense, left: float) -> tuple[list[tuple[str, Tensor]], float]:
    """[out, in] and [out], for inputs divided by `left`; and what the outputs are divided by, within [1, 2)."""
    mantissa, exponent = math.frexp(layer.weight_gain * left)
    power, rest = 2.0 ** (exponent - 1), 2 * mantissa
    bias = layer.bias * (layer.lr_multiplier / rest)
    return [(f"{name}.weight", layer.weight * power), (f"{name}.bias", bias)], rest


def _conv(name: str, conv: StyledConv, left: float, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    """[out, in, 3, 3], its style's matrix, bias [out], noise [size, size]."""
    yield f"{name}.weight", conv.weight
    yield from _dense(f"{name}.style", conv.affine, left)[0]
    yield f"{name}.bias", conv.bias * GAIN
    if use_noise and conv.noise is not None and conv.noise_strength is not None:
        yield f"{name}.noise", conv.noise * (conv.noise_strength * GAIN)


def _colours(name: str, layer: ToRGB, left: float) -> Iterator[tuple[str, Tensor]]:
    """[image channels, in] with the gains, its style's matrix, bias [image channels]."""
    style, rest = _dense(f"{name}.style", layer.affine, left)
    yield f"{name}.weight", layer.weight[:, :, 0, 0] * (layer.weight_gain * rest)
    yield from style
    yield f"{name}.bias", layer.bias
