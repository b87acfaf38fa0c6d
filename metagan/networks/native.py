"""Networks on the kernel compiled for this processor: how weights are packed for it, and how it is called.

The kernel checks nothing: an architecture checks that the kernel supports its network, and `NativeSynthesis` checks
every shape before a call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from ctypes import c_int, c_void_p

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from metagan.live.native import NativeKernel, Network, NoKernel, Step
from metagan.networks.generator import Noise
from metagan.networks.ops import Dense
from metagan.networks.shapes import require_styles
from metagan.values import Size

PLANE_LIMIT = 2**30  # limit of floats in a layer's features, which the kernel counts in 32 bits


def usable(kernel: NativeKernel | NoKernel, reasons: Sequence[str]) -> NativeKernel | NoKernel:
    """Return the kernel, or why it can't draw a network.

    Args:
        kernel: The kernel, or the reason why it cannot be used on this machine.
        reasons: Why the kernel can't draw the network; empty if it can.
    """
    return NoKernel("; ".join(reasons)) if reasons and isinstance(kernel, NativeKernel) else kernel


def describe(kernel: NativeKernel | NoKernel) -> str:
    """Describe what draws a network in float32 on the CPU: the kernel, or PyTorch and why.

    Args:
        kernel: The kernel, or why it isn't used.
    """
    return f"PyTorch, because {kernel.reason}" if isinstance(kernel, NoKernel) else kernel.title


class Packing:
    """Packs weights for the kernel; `kept` holds references to all memory that steps point to.

    Args:
        kernel: The kernel's library.
        w_dim: Width of styles.
    """

    def __init__(self, kernel: NativeKernel, w_dim: int) -> None:
        self.kernel = kernel
        self.w_dim = w_dim
        self.kept: list[object] = []

    def convolution(self, name: str, weight: Float[Tensor, "out in 3 3"]) -> tuple[int, int]:
        """Pack a convolution's kernels and the sums of their squares, and return their addresses.

        Args:
            name: As which kind of convolution: "winograd", "small", "upsampling" or "small_upsampling".
            weight: Its kernels.
        """
        out, into = weight.shape[:2]
        wide_out, wide_in = self.wide(out), self.wide(into)
        run = self.kernel.run
        small = name.startswith("small")
        floats = (
            9 * wide_out * wide_in if small else getattr(run, f"{name}_kernels_floats")(wide_out, wide_in)
        )
        kernels, squares = torch.empty(floats), torch.empty(wide_out * wide_in)
        weight = weight.detach().float().contiguous()
        for function, to in ((f"{name}_kernels", kernels), ("sum_squares", squares)):
            getattr(run, function)(weight.data_ptr(), to.data_ptr(), out, into, wide_out, wide_in)
        return self.address(kernels), self.address(squares)

    def product(self, weight: Float[Tensor, "out in"]) -> int:
        """Pack the kernels of a convolution of one tap, and return their address."""
        out, into = weight.shape
        wide_out, wide_in = self.wide(out), self.wide(into)
        kernels = torch.empty(wide_out * wide_in)
        weight = weight.detach().float().contiguous()
        self.kernel.run.skip_kernels(weight.data_ptr(), kernels.data_ptr(), out, into, wide_out, wide_in)
        return self.address(kernels)

    def affine(self, dense: Dense, gain: float, wide: int) -> tuple[int, int]:
        """Pack A [wide][w_dim] and a [wide], padded with zeros, and return their addresses."""
        weight = torch.zeros(wide, self.w_dim)
        weight[: len(dense.weight)] = dense.weight * (dense.weight_gain * gain)
        bias = self.widened(dense.bias * (dense.lr_multiplier * gain), wide)
        return self.address(weight), bias

    def widened(self, values: Float[Tensor, " n"], wide: int) -> int:
        """Pad values with zeros, and return their address."""
        widened = torch.zeros(wide)
        widened[: len(values)] = values
        return self.address(widened)

    def wide(self, channels: int) -> int:
        """Return the number of channels after padding."""
        return -(-channels // self.kernel.lanes) * self.kernel.lanes

    def address(self, tensor: Tensor) -> int:
        """Keep a contiguous tensor, and return its address."""
        self.kept.append(tensor)
        return tensor.data_ptr()


class NativeSynthesis:
    """A network's synthesis on the kernel.

    Args:
        packing: What packed the steps.
        steps: The network's steps.
        num_ws: Number of styles of a picture.
        size: Of pictures.
        image_channels: Of pictures, 1 to 4.
        constant: The first features, with their border; None if each picture has its own waves.
    """

    def __init__(
        self,
        packing: Packing,
        steps: Iterable[Step],
        num_ws: int,
        size: Size,
        image_channels: int,
        constant: Float[Tensor, "h w ch"] | None,
    ) -> None:
        self.kernel = packing.kernel
        self.shape = (num_ws, packing.w_dim)
        self.size, self.image_channels = size, image_channels
        self._lock = threading.Lock()
        self._work = torch.empty(0)
        self._steps = list(steps)
        self._table = (Step * len(self._steps))(*self._steps)
        self._network = Network(
            len(self._steps),
            *self.shape,
            size.height,
            size.width,
            image_channels,
            None if constant is None else packing.address(constant),
            self._table,
        )
        self._kept = packing.kept

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Draw pictures, nominally within [-1, 1], from styles: the network's `synthesize`, without gradients.

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
        waves = self._waves(styles)
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
            self.kernel.run.draw(
                self._network,
                styles.data_ptr(),
                None if waves is None else waves.data_ptr(),
                places,
                strides,
                images,
                pictures,
                self._work.data_ptr(),
                batch,
                threads,
            )

    def _noise(self, index: int, source: Noise, batch: int) -> Tensor | None:  # noqa: ARG002
        """Return the noise that step `index` adds to every channel: [h, w], [batch, h, w] or None."""
        return None

    def _waves(self, ws: Float[Tensor, "batch num_ws w_dim"]) -> Tensor | None:  # noqa: ARG002
        """Return the tables from which each picture's first features are made, if the network has them."""
        return None
