"""Three ways to convolve with a kernel that is laid out beforehand, and may be scaled for one picture.

A kernel that a picture's styles modulate and demodulate is W[o, i] d[o] s[i] (Karras et al. 2020, arXiv:1912.04958,
section 2.2). Upsampling layers are a transposed convolution followed by the filter f with gain 4; in one formula,

    z[y] = Σ_i x[i] (W * 4f)[y + c - 2i],    c = taps - 1 - (zeros before the filter),

so that even and odd rows and columns, the four phases, are ordinary convolutions of x with every second tap of W * 4f.
They take four times the multiplications and one pass over the features instead of two: which is faster depends on the
processor, so that there are both.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metagan.networks.ops import memory_layout

LAST = torch.channels_last


@runtime_checkable
class Convolution(Protocol):
    """Features to features, with kernels as `kernel` has them."""

    kernel: Tensor

    def modulated(self, s: Float[Tensor, " in"], d: Float[Tensor, " out"]) -> Tensor:
        """The kernel, scaled for one picture."""
        ...

    def convolve(self, x: Tensor, kernel: Tensor, bias: Float[Tensor, " out"] | None) -> Tensor:
        """Features [n, in, h, w] to features that nobody else holds."""
        ...


def make_convolution(
    weight: Float[Tensor, "out in k k"], taps: Tensor | None, *, phases: bool
) -> Convolution:
    """A layer's convolution: to twice the size, where it has a filter."""
    if taps is None:
        return Same(weight)
    return Phases(weight, taps) if phases else Transposed(weight, taps)


class Same:
    """To the same size."""

    def __init__(self, weight: Float[Tensor, "out in k k"]) -> None:
        self.kernel = weight.contiguous(memory_format=LAST)
        self.padding = weight.shape[-1] // 2

    def modulated(self, s: Tensor, d: Tensor) -> Tensor:
        """The kernel, scaled for one picture."""
        return self.kernel * (d[:, None] * s)[:, :, None, None]

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Features [n, in, h, w] to [n, out, h, w]."""
        return F.conv2d(x, kernel, bias, padding=self.padding)


class Transposed:
    """To twice the size, by a transposed convolution and a filter."""

    def __init__(self, weight: Float[Tensor, "out in k k"], taps: Tensor) -> None:
        k, self.taps = weight.shape[-1], len(taps)
        self.kernel = weight.transpose(0, 1).contiguous()
        self.lo = k // 2 + (self.taps + 1) // 2 - (k - 1)
        out = len(weight)
        if taps.ndim == 2:
            filters = [(taps * 4).flip(0, 1)[None, None]]
        else:
            line = (taps * 2).flip(0)
            filters = [line[None, None, :, None], line[None, None, None, :]]
        self.filters = [kernel.expand(out, -1, -1, -1).contiguous() for kernel in filters]

    def modulated(self, s: Tensor, d: Tensor) -> Tensor:
        """The kernel, scaled for one picture."""
        return self.kernel * (s[:, None] * d)[:, :, None, None]

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Features [n, in, h, w] to [n, out, 2h, 2w]."""
        size = 2 * x.shape[2]
        x = F.conv_transpose2d(x, kernel, stride=2)
        hi = size - 1 + self.taps - x.shape[2] - self.lo
        padding = self.lo if self.lo == hi and self.lo >= 0 else 0
        if padding != self.lo or padding != hi:
            layout = memory_layout(x)
            x = F.pad(x, (self.lo, hi, self.lo, hi)).contiguous(memory_format=layout)
        *first, last = self.filters
        for line in first:
            x = F.conv2d(x, line.to(x.dtype), padding=(padding, 0), groups=x.shape[1])
        sides = (padding, padding) if last.shape[2] > 1 else (0, padding)
        return F.conv2d(x, last.to(x.dtype), bias, padding=sides, groups=x.shape[1])


class Phases:
    """To twice the size, by one convolution to four times the channels."""

    def __init__(self, weight: Float[Tensor, "out in k k"], taps: Tensor) -> None:
        out, into, k = weight.shape[:3]
        self.out = out
        plane = (taps if taps.ndim == 2 else torch.outer(taps, taps)) * 4
        size = len(plane)
        joined = F.conv_transpose2d(weight.reshape(-1, 1, k, k), plane[None, None].to(weight))
        joined = joined.view(out, into, k + size - 1, k + size - 1)
        shift = size - 1 - (k // 2 + (size + 1) // 2 - (k - 1))
        # z[2m + p] takes x[m + δ] with tap p + shift - 2δ, for every δ at which there is one.
        reach = max(shift + 1, k + size - 2 - shift) // 2
        index = torch.arange(2)[:, None] + shift - 2 * torch.arange(-reach, reach + 1)
        inside = (index >= 0) & (index < joined.shape[-1])
        index = index.clamp(0, joined.shape[-1] - 1).to(weight.device)
        mask = inside.to(weight)
        phases = joined[:, :, index][..., index]  # [out, in, py, ky, px, kx]
        phases = phases * mask[:, :, None, None] * mask
        phases = phases.permute(2, 4, 0, 1, 3, 5).reshape(4 * out, into, 2 * reach + 1, 2 * reach + 1)
        self.kernel = phases.contiguous(memory_format=LAST)

    def modulated(self, s: Tensor, d: Tensor) -> Tensor:
        """The kernel, scaled for one picture."""
        return self.kernel * (d.repeat(4)[:, None] * s)[:, :, None, None]

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Features [n, in, h, w] to [n, out, 2h, 2w]."""
        n, _, h, w = x.shape
        bias = None if bias is None else bias.repeat(4)
        x = F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
        if memory_layout(x) == LAST:
            x = x.permute(0, 2, 3, 1).reshape(n, h, w, 2, 2, self.out).transpose(2, 3)
            return x.reshape(n, 2 * h, 2 * w, self.out).permute(0, 3, 1, 2)
        x = x.reshape(n, 2, 2, self.out, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, self.out, 2 * h, 2 * w)


def enlarge(image: Float[Tensor, "n c h w"], taps: Tensor) -> Float[Tensor, "n c h2 w2"]:
    """Twice the size by the filter with gain 4: few channels, whose zeros are better skipped than inserted."""
    n, c, h, w = image.shape
    plane = (taps if taps.ndim == 2 else torch.outer(taps, taps)) * 4
    crop = len(plane) - 1 - (len(plane) + 1) // 2
    wide = F.conv_transpose2d(image.reshape(n * c, 1, h, w), plane[None, None].to(image), stride=2)
    return wide[:, :, crop : crop + 2 * h, crop : crop + 2 * w].reshape(n, c, 2 * h, 2 * w)
