"""Runs StyleGAN2's synthesis on the kernel compiled for this processor: styles to bytes, in float32.

    y = clamp(lrelu(conv(s x) d + noise + b)),  s = A w + a,  d = sqrt(2) (s^2 . sum(W^2) + 1e-8)^(-1/2)

is the layer of network.py with the activation's gain folded into d, noise and b (Karras et al. 2020, arXiv:1912.04958,
sections 2 and 4). The kernel sums in another order: at most a thousandth of the pictures' values
differ, by one level. Its results are bit-identical in every batch and on any number of threads.

The kernel checks nothing, so this module checks that it supports the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from metagan.live.native import (
    COLOUR,
    SKIP,
    SMALL,
    UP,
    UP_SMALL,
    WINOGRAD,
    NativeKernel,
    NoKernel,
    Step,
    native_kernel,
)
from metagan.networks.generator import Noise, Synthesis
from metagan.networks.native import PLANE_LIMIT, NativeSynthesis, Packing, describe, usable
from metagan.networks.ops import ACTIVATIONS, usual_taps
from metagan.networks.stylegan2 import fast
from metagan.networks.stylegan2.network import Block, StyledConv, StyleGAN2, ToRGB

SMALL_UP_TO_PX = (
    8 * 8
)  # inputs of so few pixels are convolved by one matrix product, others by Winograd's algorithm
TILE_PX = 4  # Winograd's tiles: what they don't cover evenly is convolved by one product too
FIR = 1 / 16  # the upsampling filter's factor, with the gain for zero insertion


def unsupported_by_kernel(network: StyleGAN2) -> list[str]:
    """Return the reasons why the kernel can't draw this network; empty if it can."""
    config = network.config
    found = []
    if config.activation != "lrelu":
        found.append(f"its activation is {config.activation}, want lrelu")
    if config.kernel_size != 3:
        found.append(f"its kernels are {config.kernel_size}x{config.kernel_size}, want 3x3")
    if any(not _is_usual(taps) for name, taps in network.named_buffers() if name.endswith("taps")):
        found.append("its filter isn't [1, 3, 3, 1]")
    if not 1 <= config.image_channels <= 4:
        found.append(f"its pictures have {config.image_channels} channels, want 1 to 4")
    sizes = [config.size_at(index) for index in range(len(config.channels))]
    if (
        max(c * (h + 2) * (w + 2) for c, (h, w) in zip(config.channels, sizes, strict=True))
        > PLANE_LIMIT // 2
    ):
        found.append("its features are too large")
    if any(tensor.device.type != "cpu" for tensor in network.parameters()):
        found.append("it is not on the CPU")
    return found


def _is_usual(taps: Tensor) -> bool:
    usual = usual_taps((4, 4))
    plane = taps if taps.ndim == 2 else torch.outer(taps, taps)
    return plane.shape == usual.shape and bool(torch.allclose(plane.float().cpu(), usual, rtol=0, atol=1e-7))


def native_form(network: StyleGAN2) -> NativeStyleGAN2 | NoKernel:
    """Return the network's form on the kernel, or the reason why the kernel can't run it."""
    kernel = _kernel_for(network)
    return kernel if isinstance(kernel, NoKernel) else NativeStyleGAN2(network, kernel)


def _kernel_for(network: StyleGAN2) -> NativeKernel | NoKernel:
    return usable(native_kernel(), unsupported_by_kernel(network))


def prepare(generator: nn.Module, dtype: torch.dtype) -> Synthesis:
    """Return a StyleGAN2's form for sampling: the kernel for float32 on a CPU if possible, else PyTorch."""
    network = cast("StyleGAN2", generator)
    if dtype == torch.float32 and network.constant.device.type == "cpu":
        form = native_form(network)
        if not isinstance(form, NoKernel):
            return form
    return fast.prepare(generator, dtype)


def describe_program(generator: nn.Module) -> str:
    """Describe what draws a StyleGAN2 in float32 on the CPU."""
    return describe(_kernel_for(cast("StyleGAN2", generator)))


class NativeStyleGAN2(NativeSynthesis):
    """A StyleGAN2's synthesis on the kernel.

    Args:
        network: A network of which `unsupported_by_kernel` lists nothing. Later changes to its weights have no effect.
        kernel: The kernel's library.
    """

    def __init__(self, network: StyleGAN2, kernel: NativeKernel) -> None:
        with torch.no_grad():
            packing = _Packing(kernel, network.w_dim)
            steps = list(packing.steps(network))
            height, width = network.config.constant
            constant = torch.zeros(height + 2, width + 2, steps[0].inputs)
            constant[1:-1, 1:-1, : network.constant.shape[0]] = network.constant.permute(1, 2, 0)
        self._noises = packing.noises
        super().__init__(packing, steps, network.num_ws, network.size, network.image_channels, constant)

    def _noise(self, index: int, source: Noise, batch: int) -> Tensor | None:
        layer = self._noises[index]
        if layer is None:
            return None
        stored, strength, scaled = layer
        if source.mode == "const":
            return scaled
        image = source.image(stored, batch)
        return None if image is None else (image * strength).reshape(-1, *stored.shape).contiguous()


class _Packing(Packing):
    """Packs a StyleGAN2's weights; `noises` has an entry for each step."""

    def __init__(self, kernel: NativeKernel, w_dim: int) -> None:
        super().__init__(kernel, w_dim)
        self.noises: list[tuple[Tensor, Tensor, Tensor] | None] = []

    def steps(self, network: StyleGAN2) -> Iterator[Step]:
        """Yield all steps in order, appending one entry to `noises` for each."""
        style, gain = 0, 1.0
        for index, module in enumerate(network.blocks):
            block, size_px = cast("Block", module), network.config.size_at(index)
            gain = math.sqrt(0.5) if block.residual else 1.0
            if block.conv0 is not None:
                yield self._convolution(block.conv0, size_px, style, 1.0)
                style += 1
            yield self._convolution(block.conv1, size_px, style, gain)
            style += 1
            if block.skip is not None:
                yield self._skip(block.skip, size_px, gain)
            if block.to_rgb is not None:
                yield self._colour(block.to_rgb, size_px, style)

    def _convolution(self, layer: StyledConv, size_px: tuple[int, int], style: int, gain: float) -> Step:
        out, into = layer.weight.shape[:2]
        wide_out, wide_in = self.wide(out), self.wide(into)
        up = layer.taps is not None
        from_px = _half(size_px) if up else size_px
        small = math.prod(from_px) <= SMALL_UP_TO_PX or any(side % TILE_PX for side in from_px)
        name = {
            (False, False): "winograd",
            (False, True): "small",
            (True, False): "upsampling",
            (True, True): "small_upsampling",
        }[up, small]
        kernels, squares = self.convolution(name, layer.weight)
        scale = ACTIVATIONS[layer.activation].gain * gain
        self.noises.append(None)
        if layer.noise is not None and layer.noise_strength is not None:
            strength = layer.noise_strength.detach() * scale
            self.noises[-1] = (layer.noise, strength, (layer.noise * strength).float().contiguous())
        kinds = {"winograd": WINOGRAD, "small": SMALL, "upsampling": UP, "small_upsampling": UP_SMALL}
        return Step(
            kinds[name],
            *from_px,
            *size_px,
            wide_in,
            wide_out,
            style,
            0,
            scale * (FIR if up else 1),
            math.inf if layer.clamp is None else layer.clamp * gain,
            kernels,
            *self.affine(layer.affine, 1.0, wide_in),
            squares,
            self.widened(layer.bias * scale, wide_out),
        )

    def _skip(self, weight: Tensor, size_px: tuple[int, int], gain: float) -> Step:
        out, into = weight.shape[:2]
        kernels = self.product(weight.detach().flatten(1) * (gain / math.sqrt(into)))
        self.noises.append(None)
        return Step(
            SKIP, *_half(size_px), *size_px, self.wide(into), self.wide(out), 0, 0, 1, math.inf, kernels
        )

    def _colour(self, layer: ToRGB, size_px: tuple[int, int], style: int) -> Step:
        out, into = layer.weight.shape[:2]
        wide = self.wide(into)
        weights = torch.zeros(out, wide)
        weights[:, :into] = layer.weight[:, :, 0, 0]
        self.noises.append(None)
        return Step(
            COLOUR,
            *size_px,
            *size_px,
            wide,
            out,
            style,
            0,
            1,
            math.inf if layer.clamp is None else layer.clamp,
            self.address(weights),
            *self.affine(layer.affine, layer.weight_gain, wide),
            None,
            self.widened(layer.bias, 4),
        )


def _half(size_px: tuple[int, int]) -> tuple[int, int]:
    height, width = size_px
    return height // 2, width // 2
