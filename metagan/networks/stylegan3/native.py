"""Runs StyleGAN3's synthesis on the kernel compiled for this processor: styles to bytes, in float32.

Karras et al. 2021, arXiv:2106.12423, section 3.2. A layer is two steps: a convolution of s x, whose sums are multiplied
by the demodulation, and the filtered non-linearity. Convolutions of three taps are Winograd's, on a canvas of whole
tiles with a pixel of zeros above and on the left: its border and that pixel are the two pixels of padding.

Normalising weights and styles, as network.py does, cancels in the demodulation but for its epsilon; here weights are
normalised. The kernel sums in another order: at most a thousandth of the pictures' values differ, by one level. Its
results are bit-identical in every batch and on any number of threads.

The kernel checks nothing, so this module checks that it supports the network.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from ctypes import pointer
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from metagan.live.native import (
    COLOUR,
    FILTER,
    POINT,
    WAVES,
    WINOGRAD,
    Filter,
    NativeKernel,
    NoKernel,
    Step,
    native_kernel,
)
from metagan.networks.generator import Synthesis
from metagan.networks.native import PLANE_LIMIT, NativeSynthesis, Packing, describe, usable
from metagan.networks.stylegan3 import fast
from metagan.networks.stylegan3.network import Config, Input, Layer, LayerConfig, StyleGAN3

TILE_PX = 4  # of Winograd's convolutions
GAIN = math.sqrt(2)  # of the leaky ReLU


class Canvas(NamedTuple):
    """Where a layer's input lies: a square of `side_px`, on which it begins `margin_px` from the top and the left."""

    side_px: int
    margin_px: int


def canvas_of(layer: LayerConfig) -> Canvas:
    """Return the canvas of a layer's input, which is also that of its convolution's result."""
    if layer.kernel_size == 1:
        return Canvas(layer.in_size, 0)
    return Canvas(-(-(layer.in_size + 2) // TILE_PX) * TILE_PX, 1)


def unsupported_by_kernel(network: StyleGAN3) -> list[str]:
    """Return the reasons why the kernel can't draw this network; empty if it can."""
    return [*_unsupported(network.config)] + (
        ["it is not on the CPU"] if any(each.device.type != "cpu" for each in network.parameters()) else []
    )


def _unsupported(config: Config) -> Iterator[str]:
    *layers, last = config.layers
    kernels = {layer.kernel_size for layer in layers} - {1, 3}
    if kernels:
        yield f"its kernels are {max(kernels)}x{max(kernels)}, want 3x3 or 1x1"
    if any(len(layer.up_taps) > 1 for layer in layers):
        yield "its upsampling filters aren't separable"
    if (last.kernel_size, last.up, last.down, *last.up_taps, *last.down_taps, *last.pads) != (
        1,
        1,
        1,
        *[0] * 4,
    ):
        yield "its last layer isn't only colours"
    if not 1 <= last.out_channels <= 4:
        yield f"its pictures have {last.out_channels} channels, want 1 to 4"
    if max(
        max(each.in_channels, each.out_channels) * (canvas_of(each).side_px + 2) ** 2
        for each in config.layers
    ) > (PLANE_LIMIT // 2):
        yield "its features are too large"


def native_form(network: StyleGAN3) -> NativeStyleGAN3 | NoKernel:
    """Return the network's form on the kernel, or the reason why the kernel can't run it."""
    kernel = _kernel_for(network)
    return kernel if isinstance(kernel, NoKernel) else NativeStyleGAN3(network, kernel)


def _kernel_for(network: StyleGAN3) -> NativeKernel | NoKernel:
    return usable(native_kernel(), unsupported_by_kernel(network))


def prepare(generator: nn.Module, dtype: torch.dtype) -> Synthesis:
    """Return a StyleGAN3's form for sampling: the kernel for float32 on a CPU if possible, else PyTorch."""
    network = cast("StyleGAN3", generator)
    if dtype == torch.float32 and network.input.freqs.device.type == "cpu":
        form = native_form(network)
        if not isinstance(form, NoKernel):
            return form
    return fast.prepare(generator, dtype)


def describe_program(generator: nn.Module) -> str:
    """Describe what draws a StyleGAN3 in float32 on the CPU."""
    return describe(_kernel_for(cast("StyleGAN3", generator)))


class NativeStyleGAN3(NativeSynthesis):
    """A StyleGAN3's synthesis on the kernel.

    Args:
        network: A network of which `unsupported_by_kernel` lists nothing. Later changes to its weights have no effect.
        kernel: The kernel's library.
    """

    def __init__(self, network: StyleGAN3, kernel: NativeKernel) -> None:
        with torch.no_grad():
            packing = _Packing(kernel, network.w_dim)
            steps = list(packing.steps(network))
        self._input = copy.deepcopy(network.input)
        super().__init__(packing, steps, network.num_ws, network.size, network.image_channels, None)

    @torch.no_grad()
    def _waves(self, ws: Float[Tensor, "batch num_ws w_dim"]) -> Tensor:
        """Return every picture's sinusoids, [batch, size, size, channels].

        They are network.Input's, made for one picture after the other: PyTorch's sums depend on the batch, and its
        sines on the number of threads.
        """
        features, size = self._input, self._input.config.size
        waves = np.zeros((len(ws), size, size, self._steps[0].inputs), np.float32)
        at = features.positions().numpy()[:, None]
        for w, picture in zip(ws[:, :1].unbind(), waves, strict=True):
            freqs, phases, amplitudes = (part[0].numpy() for part in features.spectrum(w))
            angles = picture[:, :, : len(phases)]
            np.add((freqs[:, 1] * at)[:, None], freqs[:, 0] * at + phases, out=angles)
            angles *= np.float32(2 * math.pi)
            np.sin(angles, out=angles)
            angles *= amplitudes
        return torch.from_numpy(waves)


class _Packing(Packing):
    """Packs a StyleGAN3's weights."""

    def steps(self, network: StyleGAN3) -> Iterator[Step]:
        """Yield all steps in order."""
        layers = [cast("Layer", layer) for layer in network.layers]
        yield self._input(network.input, canvas_of(layers[0].config))
        for index, (layer, following) in enumerate(itertools.pairwise(layers)):
            yield self._convolution(layer, index + 1)
            yield self._filter(layer, canvas_of(following.config))
        yield self._colours(layers[-1], len(layers), network.config.output_scale)

    def _input(self, features: Input, canvas: Canvas) -> Step:
        wide, size = self.wide(features.config.channels), features.config.size
        return Step(
            kind=WAVES,
            **_sides(size, canvas.side_px),
            inputs=wide,
            outputs=wide,
            margin=canvas.margin_px,
            kernels=self.product(features.weight / math.sqrt(features.config.channels)),
        )

    def _convolution(self, layer: Layer, style: int) -> Step:
        config, weight = layer.config, cast("Tensor", layer.weight)
        weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        into, out = self.wide(config.in_channels), self.wide(config.out_channels)
        if config.kernel_size == 1:
            energies = torch.zeros(out, into)
            energies[: config.out_channels, : config.in_channels] = weight.flatten(1).square()
            kernels, squares = self.product(weight.flatten(1)), self.address(energies)
        else:
            kernels, squares = self.convolution("winograd", weight)
        style_weight, style_bias = self.affine(layer.affine, 1.0, into)
        side = canvas_of(config).side_px
        return Step(
            kind=POINT if config.kernel_size == 1 else WINOGRAD,
            **_sides(side, side),
            inputs=into,
            outputs=out,
            style=style,
            scale=float(layer.magnitude.rsqrt()),
            clamp=math.inf,
            kernels=kernels,
            style_weight=style_weight,
            style_bias=style_bias,
            squares=squares,
            bias=self.widened(layer.bias, out),
        )

    def _filter(self, layer: Layer, canvas: Canvas) -> Step:
        config, wide = layer.config, self.wide(layer.config.out_channels)
        before = _phases(layer.up_taps, config.up) * (config.up * math.sqrt(GAIN))
        after = torch.ones(1) if layer.down_taps is None else layer.down_taps
        after = after.float().flip(tuple(range(after.ndim))).contiguous()
        given = config.in_size + config.kernel_size - 1
        filters = Filter(
            up=config.up,
            down=config.down,
            reach=before.shape[1],
            length=len(after),
            radial=after.ndim == 2,
            above=config.pads[2],
            left=config.pads[0],
            given_height=given,
            given_width=given,
            height=config.out_size,
            width=config.out_size,
            before=self.address(before),
            after=self.address(after),
        )
        self.kept.append(filters)
        return Step(
            kind=FILTER,
            **_sides(canvas_of(config).side_px, canvas.side_px),
            inputs=wide,
            outputs=wide,
            margin=canvas.margin_px,
            clamp=math.inf if config.clamp is None else config.clamp,
            filter=pointer(filters),
        )

    def _colours(self, layer: Layer, style: int, output_scale: float) -> Step:
        weight = cast("Tensor", layer.weight).flatten(1)
        out, into = weight.shape
        wide = self.wide(into)
        weights = torch.zeros(out, wide)
        weights[:, :into] = weight * (layer.magnitude.rsqrt() * output_scale)
        style_weight, style_bias = self.affine(layer.affine, 1 / math.sqrt(into), wide)
        clamp = layer.config.clamp
        return Step(
            kind=COLOUR,
            **_sides(layer.config.in_size, layer.config.out_size),
            inputs=wide,
            outputs=out,
            style=style,
            clamp=math.inf if clamp is None else clamp * output_scale,
            kernels=self.address(weights),
            style_weight=style_weight,
            style_bias=style_bias,
            bias=self.widened(layer.bias * output_scale, 4),
        )


def _sides(from_px: int, to_px: int) -> dict[str, int]:
    return {"from_height": from_px, "from_width": from_px, "height": to_px, "width": to_px}


def _phases(taps: Tensor | None, up: int) -> Float[Tensor, "up reach"]:
    """Return the taps that each phase of an upsampling filter applies to the inputs between inserted zeros."""
    line = torch.ones(1) if taps is None else taps.float().flip(0)
    line = torch.cat([line, line.new_zeros(-len(line) % up)])
    return line.view(-1, up).flip(1).t().contiguous()
