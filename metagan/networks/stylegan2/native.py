"""Runs StyleGAN2's synthesis on the kernel compiled for this processor: styles to bytes, in float32.

    y = clamp(lrelu(conv(s x) d + noise + b)),  s = A w + a,  d = sqrt(2) (s^2 . sum(W^2) + 1e-8)^(-1/2)

is the layer of network.py with the activation's gain folded into d, noise and b (Karras et al. 2020, arXiv:1912.04958,
sections 2 and 4). The kernel sums in another order: at most a thousandth of the pictures' values
differ, by one level. Its results are bit-identical in every batch and on any number of threads.

The kernel checks nothing, so this module checks that it supports the network, and every shape before a call.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from ctypes import c_int, c_void_p
from typing import cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from metagan.live.native import (
    COLOUR,
    SKIP,
    SMALL,
    UP,
    UP_SMALL,
    WINOGRAD,
    NativeKernel,
    Network,
    NoKernel,
    Step,
    native_kernel,
)
from metagan.networks.generator import Noise, Synthesis
from metagan.networks.ops import ACTIVATIONS, Dense, usual_taps
from metagan.networks.shapes import require_styles
from metagan.networks.stylegan2 import fast
from metagan.networks.stylegan2.network import Block, StyledConv, StyleGAN2, ToRGB

SMALL_UP_TO_PX = (
    8 * 8
)  # inputs of so few pixels are convolved by one matrix product, others by Winograd's algorithm
TILE_PX = 4  # Winograd's tiles: what they don't cover evenly is convolved by one product too
FIR = 1 / 16  # the upsampling filter's factor, with the gain for zero insertion
PLANE_LIMIT = 2**30  # limit of floats in a layer's features, which the kernel counts in 32 bits


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


def native_form(network: StyleGAN2) -> NativeSynthesis | NoKernel:
    """Return the network's form on the kernel, or the reason why the kernel can't run it."""
    kernel = _kernel_for(network)
    return kernel if isinstance(kernel, NoKernel) else NativeSynthesis(network, kernel)


def _kernel_for(network: StyleGAN2) -> NativeKernel | NoKernel:
    kernel = native_kernel()
    reasons = unsupported_by_kernel(network)
    return NoKernel("; ".join(reasons)) if reasons and isinstance(kernel, NativeKernel) else kernel


def prepare(generator: nn.Module, dtype: torch.dtype) -> Synthesis:
    """Return a StyleGAN2's form for sampling: the kernel for float32 on a CPU if possible, else PyTorch."""
    network = cast("StyleGAN2", generator)
    if dtype == torch.float32 and network.constant.device.type == "cpu":
        form = native_form(network)
        if isinstance(form, NativeSynthesis):
            return form
    return fast.prepare(generator, dtype)


def describe_program(generator: nn.Module) -> str:
    """Describe what draws a StyleGAN2 in float32 on the CPU."""
    kernel = _kernel_for(cast("StyleGAN2", generator))
    return f"PyTorch, because {kernel.reason}" if isinstance(kernel, NoKernel) else kernel.title


class NativeSynthesis:
    """A StyleGAN2's synthesis on the kernel.

    Args:
        network: A network of which `unsupported_by_kernel` lists nothing. Later changes to its weights have no effect.
        kernel: The kernel's library.
    """

    def __init__(self, network: StyleGAN2, kernel: NativeKernel) -> None:
        self.kernel = kernel
        self.shape = (network.num_ws, network.w_dim)
        self.size, self.image_channels = network.size, network.image_channels
        self._lock = threading.Lock()
        self._work = torch.empty(0)
        with torch.no_grad():
            packing = _Packing(kernel, network)
            self._steps = list(packing.steps(network))
            first = self._steps[0].inputs
            height, width = network.config.constant
            constant = torch.zeros(height + 2, width + 2, first)
            constant[1:-1, 1:-1, : network.constant.shape[0]] = network.constant.permute(1, 2, 0)
        self._kept = [*packing.kept, constant]
        self._noises = packing.noises
        self._table = (Step * len(self._steps))(*self._steps)
        self._network = Network(
            len(self._steps),
            *self.shape,
            self.size.height,
            self.size.width,
            self.image_channels,
            constant.data_ptr(),
            self._table,
        )

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Draw pictures, nominally within [-1, 1], from styles: `StyleGAN2.synthesize`, without gradients.

        Raises:
            ShapeError: If the number or the width of styles is not the network's.
        """
        images = torch.empty(len(ws), self.image_channels, self.size.height, self.size.width)
        self._draw(ws, noise, images.data_ptr(), None)
        return images

    def pictures(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> UInt8[Tensor, "batch h w ch"]:
        """Draw pictures as bytes from styles: trunc(clamp(127.5 x + 128, 0, 255)), as published generators round.

        Raises:
            ShapeError: If the number or the width of styles is not the network's.
        """
        pictures = torch.empty(
            len(ws), self.size.height, self.size.width, self.image_channels, dtype=torch.uint8
        )
        self._draw(ws, noise, None, pictures.data_ptr())
        return pictures

    def _draw(self, ws: Tensor, noise: Noise | None, images: int | None, pictures: int | None) -> None:
        require_styles(ws, *self.shape)
        batch, threads = len(ws), torch.get_num_threads()
        if batch == 0:
            return
        styles = ws.detach().to("cpu", torch.float32).contiguous()
        drawn = [self._noise(index, noise or Noise("const"), batch) for index in range(len(self._steps))]
        places = (c_void_p * len(drawn))(*(None if each is None else each.data_ptr() for each in drawn))
        strides = (c_int * len(drawn))(
            *(each[0].numel() if each is not None and each.ndim == 3 else 0 for each in drawn)
        )
        with self._lock:  # each picture reuses the same work memory
            floats = int(self.kernel.run.draw_floats(self._network, batch, threads))
            if len(self._work) < floats:
                self._work = torch.empty(0)
                self._work = torch.empty(floats)
            work = self._work.data_ptr()
            self.kernel.run.draw(
                self._network, styles.data_ptr(), places, strides, images, pictures, work, batch, threads
            )

    def _noise(self, index: int, source: Noise, batch: int) -> Tensor | None:
        """Return the noise that step `index` adds to every channel: [h, w], [batch, h, w] or None."""
        layer = self._noises[index]
        if layer is None:
            return None
        stored, strength, scaled = layer
        if source.mode == "const":
            return scaled
        image = source.image(stored, batch)
        return None if image is None else (image * strength).reshape(-1, *stored.shape).contiguous()


class _Packing:
    """Packs weights for the kernel; `kept` holds references to all memory that steps point to."""

    def __init__(self, kernel: NativeKernel, network: StyleGAN2) -> None:
        self.kernel = kernel
        self.kept: list[Tensor] = []
        self.noises: list[tuple[Tensor, Tensor, Tensor] | None] = []
        self.w_dim = network.w_dim

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
        wide_out, wide_in = self._wide(out), self._wide(into)
        up, run = layer.taps is not None, self.kernel.run
        from_px = _half(size_px) if up else size_px
        small = math.prod(from_px) <= SMALL_UP_TO_PX or any(side % TILE_PX for side in from_px)
        name = {
            (False, False): "winograd",
            (False, True): "small",
            (True, False): "upsampling",
            (True, True): "small_upsampling",
        }[up, small]
        floats = (
            9 * wide_out * wide_in if small else getattr(run, f"{name}_kernels_floats")(wide_out, wide_in)
        )
        kernels, squares = torch.empty(floats), torch.empty(wide_out * wide_in)
        weight = layer.weight.detach().float().contiguous()
        for function, to in ((f"{name}_kernels", kernels), ("sum_squares", squares)):
            getattr(run, function)(weight.data_ptr(), to.data_ptr(), out, into, wide_out, wide_in)
        scale = ACTIVATIONS[layer.activation].gain * gain
        self.noises.append(None)
        if layer.noise is not None and layer.noise_strength is not None:
            strength = layer.noise_strength.detach() * scale
            scaled = (layer.noise * strength).float().contiguous()
            self.noises[-1] = (layer.noise, strength, self._keep(scaled))
        kinds = {"winograd": WINOGRAD, "small": SMALL, "upsampling": UP, "small_upsampling": UP_SMALL}
        return Step(
            kinds[name],
            *from_px,
            *size_px,
            wide_in,
            wide_out,
            style,
            scale * (FIR if up else 1),
            math.inf if layer.clamp is None else layer.clamp * gain,
            self._keep(kernels).data_ptr(),
            *self._affine(layer.affine, 1.0, wide_in),
            self._keep(squares).data_ptr(),
            self._widened(layer.bias * scale, wide_out),
        )

    def _skip(self, weight: Tensor, size_px: tuple[int, int], gain: float) -> Step:
        out, into = weight.shape[:2]
        wide_out, wide_in = self._wide(out), self._wide(into)
        kernels = torch.empty(wide_out * wide_in)
        scaled = (weight.detach().float() * (gain / math.sqrt(into))).contiguous()
        self.kernel.run.skip_kernels(scaled.data_ptr(), kernels.data_ptr(), out, into, wide_out, wide_in)
        self.noises.append(None)
        place = self._keep(kernels).data_ptr()
        return Step(
            SKIP, *_half(size_px), *size_px, wide_in, wide_out, 0, 1, math.inf, place, None, None, None, None
        )

    def _colour(self, layer: ToRGB, size_px: tuple[int, int], style: int) -> Step:
        out, into = layer.weight.shape[:2]
        wide = self._wide(into)
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
            1,
            math.inf if layer.clamp is None else layer.clamp,
            self._keep(weights).data_ptr(),
            *self._affine(layer.affine, layer.weight_gain, wide),
            None,
            self._widened(layer.bias, 4),
        )

    def _affine(self, dense: Dense, gain: float, wide: int) -> tuple[int, int]:
        """Pack A [wide][w_dim] and a [wide], padded with zeros, and return their addresses."""
        weight = torch.zeros(wide, self.w_dim)
        weight[: len(dense.weight)] = dense.weight * (dense.weight_gain * gain)
        bias = self._widened(dense.bias * (dense.lr_multiplier * gain), wide)
        return self._keep(weight).data_ptr(), bias

    def _widened(self, values: Float[Tensor, " n"], wide: int) -> int:
        widened = torch.zeros(wide)
        widened[: len(values)] = values
        return self._keep(widened).data_ptr()

    def _wide(self, channels: int) -> int:
        return -(-channels // self.kernel.lanes) * self.kernel.lanes

    def _keep(self, tensor: Tensor) -> Tensor:
        self.kept.append(tensor)
        return tensor


def _half(size_px: tuple[int, int]) -> tuple[int, int]:
    height, width = size_px
    return height // 2, width // 2
