"""Folds all constant factors of a StyleGAN2 into its weights, which is the form that the browser's kernel runs.

    y = clamp(lrelu(conv(s x) d + noise + b)),  s = A w + a,  d = sqrt(2) (s^2 . sum(W^2) + 1e-8)^(-1/2)

Because lrelu(g v) = g lrelu(v) for g > 0, the activation's gain sqrt(2) goes into noise and b, equalised learning
rates into the matrices, and the noise strength into the noise (Karras et al. 2020, arXiv:1912.04958, sections 2
to 4).

Matrices are only multiplied by powers of two, which is exact, so that weights in half precision stay unchanged. The
rest of a factor moves to the next layer, by lrelu's equation, and finally into s, whose scale d cancels. The
conversion to RGB has no d; there the small kernel takes the factor.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import ExportError
from metagan.networks.generator import Generator
from metagan.networks.ops import Dense, usual_taps
from metagan.networks.stylegan2.network import Block, Config, StyledConv, StyleGAN2, ToRGB
from metagan.networks.upscaler import Upscaler, UpscalerConfig
from metagan.networks.upscaler.native import kernel_layers
from metagan.values import counted

GAIN = math.sqrt(2)


@dataclass(frozen=True)
class WebConfig:
    """The configuration that the browser needs to read a generator's tensors.

    Args:
        width: Width of the pictures in pixels.
        height: Their height.
        constant: Height and width of the learned constant in pixels.
        channels: Feature channels of the constant, at twice its size, ...
        image_channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        z_dim: Width of the latents.
        c_dim: Number of classes; 0 if unconditional.
        embed_dim: Width of the label's embedding; 0 if unconditional.
        widths: Output width of each mapping layer; the last is w_dim.
        clamp: Bound of the absolute value of every layer's output, or None.
        noise: Whether layers add the stored noise.
        mean: Whether the mean style is known. Without it, psi is always 1.
        upscaler: Shape of the upscaler that follows, whose tensors are in the same file; None without one.
    """

    width: int
    height: int
    constant: tuple[int, int]
    channels: tuple[int, ...]
    image_channels: int
    z_dim: int
    c_dim: int
    embed_dim: int
    widths: tuple[int, ...]
    clamp: float | None
    noise: bool
    mean: bool
    upscaler: UpscalerConfig | None = None

    def as_json(self) -> dict[str, Any]:
        """Serialise it for the header."""
        header = {"architecture": StyleGAN2.architecture, **dataclasses.asdict(self)}
        if self.upscaler is None:
            del header["upscaler"]
        return header


def fold(generator: Generator, noise: str = "const") -> tuple[WebConfig, dict[str, Tensor]]:
    """Return the generator's configuration and folded tensors in float32.

    Raises:
        ExportError: If the kernel does not support the generator. The message lists all reasons.
    """
    problems = list(_unsupported(generator, noise))
    if problems or not isinstance(generator, StyleGAN2):
        reasons = "; ".join(problems)
        raise ExportError(
            f"the browser's kernel does not support this generator: {reasons}",
            fix="show prepared pictures instead",
        )
    config, use_noise = generator.config, noise == "const" and generator.config.use_noise
    mapping = config.mapping
    web = WebConfig(
        *config.size,
        config.constant,
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


def _unsupported(generator: Generator, noise: str) -> Iterator[str]:
    """Yield every property of the generator that the kernel does not support."""
    if not isinstance(generator, StyleGAN2):
        yield f"it is a {generator.architecture}, want a stylegan2"
        return
    if noise not in ("const", "none"):
        yield f"noise {noise!r} is drawn anew for each picture, want const or none (--noise)"
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
        yield "its mapping network has no layers"
    if config.image_channels not in (1, 3, 4):
        yield f"its pictures have {counted(config.image_channels, 'channel')}, want 1, 3 or 4"


def _tensors(generator: StyleGAN2, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    mapping = generator.mapping
    if mapping.embed is not None:
        yield "embed.weight", mapping.embed.weight * mapping.embed.weight_gain
        yield "embed.bias", mapping.embed.bias * mapping.embed.lr_multiplier
    left = 1.0  # a layer outputs its features divided by this
    for index, layer in enumerate(mapping.layers):
        matrix, left = _dense(f"mapping.{index}", cast("Dense", layer), left)
        yield from matrix
    if mapping.mean_style is not None:
        yield "mean", mapping.mean_style / left
    yield "constant", generator.constant.permute(1, 2, 0)
    for index, block in enumerate(generator.blocks):
        yield from _block(f"{4 * 2**index}", cast("Block", block), left, use_noise)


def fold_directions(generator: Generator, vectors: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n w_dim"]:
    """Return directions of w as directions of the folded mapping network's styles, which are w divided by a factor.

    Raises:
        ExportError: If the kernel does not support the generator.
    """
    if not isinstance(generator, StyleGAN2):
        raise ExportError(
            f"the browser's kernel does not support a {generator.architecture}",
            fix="show prepared pictures instead",
        )
    left = 1.0
    for index, layer in enumerate(generator.mapping.layers):
        left = _dense(f"mapping.{index}", cast("Dense", layer), left)[1]
    return vectors / left


def _block(name: str, block: Block, left: float, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    if block.conv0 is not None:
        yield from _conv(f"{name}.conv0", block.conv0, left, use_noise)
    yield from _conv(f"{name}.conv1", block.conv1, left, use_noise)
    if block.to_rgb is not None:
        yield from _colours(f"{name}.rgb", block.to_rgb, left)


def _dense(name: str, layer: Dense, left: float) -> tuple[list[tuple[str, Tensor]], float]:
    """Return weight [out, in], bias [out] for inputs divided by `left`, and the divisor of the outputs, in [1, 2)."""
    mantissa, exponent = math.frexp(layer.weight_gain * left)
    power, rest = 2.0 ** (exponent - 1), 2 * mantissa
    bias = layer.bias * (layer.lr_multiplier / rest)
    return [(f"{name}.weight", layer.weight * power), (f"{name}.bias", bias)], rest


def _conv(name: str, conv: StyledConv, left: float, use_noise: bool) -> Iterator[tuple[str, Tensor]]:
    """Yield a convolution's weight [out, in, 3, 3], style matrix, bias [out] and noise [height, width]."""
    yield f"{name}.weight", conv.weight
    yield from _dense(f"{name}.style", conv.affine, left)[0]
    yield f"{name}.bias", conv.bias * GAIN
    if use_noise and conv.noise is not None and conv.noise_strength is not None:
        yield f"{name}.noise", conv.noise * (conv.noise_strength * GAIN)


def _colours(name: str, layer: ToRGB, left: float) -> Iterator[tuple[str, Tensor]]:
    """Yield the RGB weight [image channels, in] with the gains, its style matrix and bias [image channels]."""
    style, rest = _dense(f"{name}.style", layer.affine, left)
    yield f"{name}.weight", layer.weight[:, :, 0, 0] * (layer.weight_gain * rest)
    yield from style
    yield f"{name}.bias", layer.bias


# --------------------------------------------------------------------------------------------
# Upscalers

UPSCALER_PREFIX = "upscaler"


def fold_upscaler(upscaler: Upscaler) -> dict[str, Tensor]:
    """The upscaler's tensors for the browser, float32: NAME.weight, NAME.bias and NAME.slope of every layer."""
    tensors: dict[str, Tensor] = {}
    for layer in kernel_layers(upscaler):
        parts = {"weight": layer.weight, "bias": layer.bias, "slope": layer.slope}
        tensors |= {f"{UPSCALER_PREFIX}.{layer.name}.{part}": tensor for part, tensor in parts.items()}
    return tensors
