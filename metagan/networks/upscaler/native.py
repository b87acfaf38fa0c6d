"""Runs upscalers on the kernel compiled for this processor: numbers to bytes, in float32.

The kernel checks nothing, so this module checks every shape before a call. Its results are bit-identical in every
batch and on any number of threads; at most a thousandth of the values differ from PyTorch's, by one level.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from metagan.errors import ShapeError
from metagan.live.native import NativeKernel, NoKernel, UpscalerLayer, UpscalerTable, native_kernel
from metagan.networks.upscaler.network import Block, Upscaler

KERNELS_SLOPE: Final = 0.2  # of the activation that the kernel's convolutions end in
PLANE_LIMIT: Final = 2**30  # limit of floats in a layer's features, which the kernel counts in 32 bits


class KernelLayer(NamedTuple):
    """A convolution of an upscaler and its PReLU in the form that the kernel runs.

    The kernel's pixel shuffle takes each pixel's channels as one piece, [2][2][channels], where PyTorch's takes
    [channels][2][2]: output channels are in that order. The kernel's convolutions divide negative sums by 5, so
    slopes are 5 times as steep, and are 5 where there is no activation.

    Args:
        name: "head", "0.first", "0.second", ..., "fine" and "last".
        weight: Of the convolution.
        bias: Of the convolution.
        slope: 5 times PReLU's.
    """

    name: str
    weight: Float[Tensor, "out in 3 3"]
    bias: Float[Tensor, " out"]
    slope: Float[Tensor, " out"]


@torch.no_grad()
def kernel_layers(upscaler: Upscaler) -> list[KernelLayer]:
    """Return the upscaler's layers for the kernel, in float32, in the order in which it runs them."""
    layers = [_layer("head", upscaler.head, upscaler.head_slope.weight)]
    for index, block in enumerate(cast("list[Block]", list(upscaler.blocks))):
        layers.append(_layer(f"{index}.first", block.first, block.slope.weight))
        layers.append(_layer(f"{index}.second", block.second, None))
    if upscaler.config.factor == 4:
        layers.append(_layer("fine", upscaler.fine, upscaler.fine_slope.weight, shuffled=True))
    return [*layers, _layer("last", upscaler.last, None, shuffled=True)]


def _layer(
    name: str, convolution: nn.Conv2d, slopes: Tensor | None, *, shuffled: bool = False
) -> KernelLayer:
    """Return a layer; slopes of one that is shuffled afterwards are those of its result."""
    count, bias = convolution.out_channels, convolution.bias
    order = torch.arange(count)
    if shuffled:
        order = order.view(count // 4, 4).t().flatten()
    if bias is None:
        raise AssertionError("upscalers' convolutions have biases")
    if slopes is None:
        slopes = torch.ones(count)
    elif shuffled:
        slopes = slopes.repeat(4)
    tensors = (convolution.weight[order], bias[order], slopes / KERNELS_SLOPE)
    return KernelLayer(name, *(tensor.float().contiguous() for tensor in tensors))


def native_upscaler(upscaler: Upscaler) -> NativeUpscaler | NoKernel:
    """Return an upscaler's form on the kernel, or the reason why the kernel can't run it."""
    kernel = _kernel_for(upscaler)
    return kernel if isinstance(kernel, NoKernel) else NativeUpscaler(upscaler, kernel)


def _kernel_for(upscaler: Upscaler) -> NativeKernel | NoKernel:
    if upscaler.head.weight.device.type != "cpu":
        return NoKernel("it is not on the CPU")
    return native_kernel()


def describe_program(upscaler: Upscaler) -> str:
    """Describe what runs an upscaler: this machine's kernel, or PyTorch and why."""
    kernel = _kernel_for(upscaler)
    return f"PyTorch, because {kernel.reason}" if isinstance(kernel, NoKernel) else kernel.title


class NativeUpscaler:
    """An upscaler on the kernel.

    Args:
        upscaler: On the CPU. Later changes to its weights have no effect.
        kernel: The kernel's library.

    Attributes:
        factor: Enlargement factor of width and height.
        reach: Radius of the receptive field in input pixels.
    """

    def __init__(self, upscaler: Upscaler, kernel: NativeKernel) -> None:
        self.factor, self.reach = upscaler.factor, upscaler.reach
        self._kernel = kernel
        self._lock = threading.Lock()
        self._work = torch.empty(0)
        self._kept: list[Tensor] = []  # all memory that the table points to
        layers = kernel_layers(upscaler)
        self._layers = (UpscalerLayer * len(layers))(*map(self._pack, layers))
        ones = self._keep(torch.ones(max(max(layer.inputs, layer.outputs) for layer in self._layers)))
        config = upscaler.config
        self._table = UpscalerTable(
            config.factor, config.blocks, config.fine_channels, ones.data_ptr(), self._layers
        )

    def enlarge(self, images: Float[Tensor, "n ch h w"]) -> UInt8[Tensor, "n up_h up_w 3"]:
        """Enlarge pictures within [-1, 1] (others are clamped) to bytes: trunc(clamp(127.5 x + 128, 0, 255)).

        Raises:
            ShapeError: If they have other channels than three, no pixels, or more than the kernel counts.
        """
        count, colours, height, width = images.shape
        if colours != 3 or height < 1 or width < 1:
            msg = f"pictures to enlarge: want [n, 3, h, w], got {list(images.shape)}"
            raise ShapeError(msg)
        if self._widest_plane(height, width) > PLANE_LIMIT:
            msg = f"pictures to enlarge: {width}x{height} pixels are too many at once"
            raise ShapeError(msg)
        larger = torch.empty(count, height * self.factor, width * self.factor, 3, dtype=torch.uint8)
        if not count:
            return larger
        given = images.detach().to("cpu", torch.float32).contiguous()
        threads, run = torch.get_num_threads(), self._kernel.run
        with self._lock:  # all calls reuse the same work memory
            floats = int(run.enlarge_floats(self._table, height, width, count, threads))
            if len(self._work) < floats:
                self._work = torch.empty(0)
                self._work = torch.empty(floats)
            places = (given.data_ptr(), larger.data_ptr(), self._work.data_ptr())
            run.enlarge(self._table, *places, height, width, count, threads)
        return larger

    def _widest_plane(self, height: int, width: int) -> int:
        """Return an upper bound of the floats of a layer's features."""
        last = self._layers[len(self._layers) - 1]
        at_half = max(last.inputs, last.outputs) * (self.factor // 2) ** 2
        channels: int = max(at_half, *(layer.outputs for layer in self._layers))
        return channels * (height + 8) * (width + 8)

    def _pack(self, layer: KernelLayer) -> UpscalerLayer:
        run = self._kernel.run
        out, into = layer.weight.shape[:2]
        # Inputs that a convolution wrote are padded as its outputs are, others to a vector only.
        lanes = self._kernel.lanes
        copied = layer.name == "head" or (layer.name == "last" and self.factor == 4)
        wide_out, wide_in = _up_to(out, lanes), _up_to(into, lanes // 2 if copied else lanes)
        kernels = self._keep(torch.empty(run.winograd_kernels_floats(wide_out, wide_in)))
        run.winograd_kernels(layer.weight.data_ptr(), kernels.data_ptr(), out, into, wide_out, wide_in)
        bias, slope = (self._keep(torch.zeros(wide_out)) for _ in range(2))
        bias[:out], slope[:out] = layer.bias, layer.slope
        return UpscalerLayer(wide_in, wide_out, kernels.data_ptr(), bias.data_ptr(), slope.data_ptr())

    def _keep(self, tensor: Tensor) -> Tensor:
        self._kept.append(tensor)
        return tensor


def _up_to(count: int, step: int) -> int:
    return -(-count // step) * step
