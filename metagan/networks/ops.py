"""The operations of StyleGANs in plain PyTorch.

References:
    [1] Karras et al. 2018, Progressive Growing of GANs, arXiv:1710.10196 (equalised learning rate, minibatch std).
    [2] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958
        (modulation and demodulation, skip and residual networks).
    [3] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676 (clamping for half precision).

Pictures and features are [batch, channels, height, width]. FIR filters ("taps") are stored as checkpoints store them,
with unit sum: two-dimensional [t, t], or one-dimensional [t] and applied along both axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.errors import ShapeError

Pads = tuple[int, int]


class Activation(NamedTuple):
    """A non-linearity and the gain that preserves the variance.

    `homogeneous`: Whether f(a x) = a f(x) for a > 0, so that a positive gain may be applied before it.
    """

    function: Callable[[Tensor], Tensor]
    gain: float
    homogeneous: bool


def _leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, 1.0, homogeneous=True),
    "relu": Activation(F.relu, math.sqrt(2), homogeneous=True),
    "lrelu": Activation(_leaky_relu, math.sqrt(2), homogeneous=True),
    "tanh": Activation(torch.tanh, 1.0, homogeneous=False),
    "sigmoid": Activation(torch.sigmoid, 1.0, homogeneous=False),
    "elu": Activation(F.elu, 1.0, homogeneous=False),
    "selu": Activation(F.selu, 1.0, homogeneous=False),
    "softplus": Activation(F.softplus, 1.0, homogeneous=False),
    "swish": Activation(F.silu, math.sqrt(2), homogeneous=False),
}


def normalize_second_moment(x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
    """Scale each row to a mean square of one ("pixel norm", [1] section 4.2)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def activate(x: Tensor, name: str, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """Apply an activation, then its own gain times `gain`, then clamp to ±clamp·gain ([3] section B.1)."""
    function, own_gain, _ = ACTIVATIONS[name]
    x = function(x)
    if own_gain * gain != 1:
        x = x * (own_gain * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class Dense(nn.Module):
    """A fully connected layer with equalised learning rate ([1] section 4.1).

    `y = act(x (W·lr/√in)ᵀ + b·lr)`: weights are stored at unit variance divided by the learning rate's multiplier.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.lr_multiplier = lr_multiplier
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init) / lr_multiplier))

    def forward(self, x: Float[Tensor, "batch in"]) -> Float[Tensor, "batch out"]:
        """Features [batch, in] to [batch, out]."""
        bias = self.bias if self.lr_multiplier == 1 else self.bias * self.lr_multiplier
        return activate(torch.addmm(bias, x, self.weight.t() * self.weight_gain), self.activation)


class FoldedDense:
    """A Dense layer without activation, its gain folded into copies of its weights; for sampling, without gradients.

    Args:
        dense: The layer; later changes to its weights are not seen.
        gain: Factor of its output.
    """

    def __init__(self, dense: Dense, gain: float = 1.0) -> None:
        self.weight = (dense.weight.t() * (dense.weight_gain * gain)).contiguous()
        self.bias = dense.bias * (dense.lr_multiplier * gain)

    def __call__(self, x: Float[Tensor, "batch in"]) -> Float[Tensor, "batch out"]:
        """Features [batch, in] to [batch, out]."""
        return torch.addmm(self.bias, x, self.weight)


# --------------------------------------------------------------------------------------------
# FIR filters


def make_taps(taps: tuple[float, ...]) -> Tensor:
    """Make a filter as checkpoints store it: with unit sum, and two-dimensional below 8 taps."""
    line = torch.tensor(taps, dtype=torch.float32)
    kernel = line if len(line) >= 8 else torch.outer(line, line)
    return kernel / kernel.sum()


def usual_taps(shape: tuple[int, ...]) -> Tensor:
    """Return the published networks' filter [1, 3, 3, 1], or zeros of another shape for a checkpoint to fill."""
    return make_taps((1, 3, 3, 1)) if shape == (4, 4) else torch.zeros(shape)


def filter_fir(
    x: Float[Tensor, "n c h w"], taps: Tensor, pads: Pads, gain: float = 1.0, *, up: int = 1, down: int = 1
) -> Float[Tensor, "n c oh ow"]:
    """Convolve every channel with `taps` times `gain`; both axes are padded by (lo, hi), or cropped if negative.

    Before that, `up` - 1 zeros are inserted after every sample; after it, every `down`-th sample is kept.
    """
    kernel = (taps * (gain if taps.ndim == 2 else math.sqrt(gain))).flip(tuple(range(taps.ndim)))
    if x.requires_grad and torch.is_grad_enabled():
        return _differentiable(x, kernel, pads, up, down)
    return _resample(x, kernel, pads, up, down)


def _resample(x: Tensor, kernel: Tensor, pads: Pads, up: int, down: int) -> Tensor:
    """Do the same as `filter_fir`, with a kernel that is correlated without flipping."""
    if up > 1:
        x = _insert_zeros(x, up)
    padding = pads[0] if pads[0] == pads[1] and pads[0] >= 0 else 0
    if not padding:
        x = F.pad(x, (*pads, *pads))
    channels, kernel = x.shape[1], kernel.to(x.dtype)
    if kernel.ndim == 2:
        weight = kernel.expand(channels, 1, *kernel.shape)
        return F.conv2d(x, weight, stride=down, padding=padding, groups=channels)
    column, row = (
        kernel.view(shape).expand(channels, *shape[1:]) for shape in ((1, 1, -1, 1), (1, 1, 1, -1))
    )
    x = F.conv2d(x, column, stride=(down, 1), padding=(padding, 0), groups=channels)
    return F.conv2d(x, row, stride=(1, down), padding=(0, padding), groups=channels)


def memory_layout(x: Tensor) -> torch.memory_format:
    """Return the memory format of features: channels last if they are stored so."""
    return (
        torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    )


def _insert_zeros(x: Tensor, up: int) -> Tensor:
    """Insert `up` - 1 zeros after every sample of both axes."""
    n, c, h, w = x.shape
    spread = torch.empty(
        (n, c, up * h, up * w), dtype=x.dtype, device=x.device, memory_format=memory_layout(x)
    ).zero_()
    spread[:, :, ::up, ::up] = x
    return spread


class _Resampling(torch.autograd.Function):
    """`_resample` with its transpose as derivative: the same operation with up and down swapped and a flipped kernel.

    PyTorch's own second derivative of depthwise convolutions is many times slower than the convolution, and R1 and
    path-length regularisation need it; so is the first one with a stride, in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, pads: Pads, up: int, down: int) -> Tensor:
        """Return the filtered picture."""
        ctx.save_for_backward(kernel)
        ctx.geometry = (x.shape[2], pads, up, down)
        return _resample(x, kernel, pads, up, down)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Return the gradient with respect to the picture; filters aren't trained."""
        (kernel,) = ctx.saved_tensors
        size, (lo, _), up, down = ctx.geometry
        taps = len(kernel)
        pads = (taps - 1 - lo, size * up - gradient.shape[2] * down + lo - up + 1)
        turned = kernel.flip(tuple(range(kernel.ndim)))
        return _differentiable(gradient, turned, pads, down, up), None, None, None, None


def _differentiable(x: Tensor, kernel: Tensor, pads: Pads, up: int, down: int) -> Tensor:
    filtered: Tensor = _Resampling.apply(x, kernel, pads, up, down)  # type: ignore[no-untyped-call]
    return filtered


def upsample(x: Float[Tensor, "n c h w"], taps: Tensor) -> Float[Tensor, "n c h2 w2"]:
    """Double both axes: zero insertion, then the filter with gain 4 ([2] section 4)."""
    size = len(taps)
    if x.is_cuda and taps.shape == (4, 4) and x.shape[1] <= 4:
        channels = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, :, None, None]
        return convolve_composed(x, channels, None, taps, up=True)
    return filter_fir(x, taps, ((size + 1) // 2, (size - 2) // 2), gain=4, up=2)


def downsample(x: Float[Tensor, "n c h w"], taps: Tensor) -> Float[Tensor, "n c h2 w2"]:
    """Halve both axes: the filter, then every second sample."""
    size = len(taps)
    return filter_fir(x, taps, ((size - 1) // 2, (size - 2) // 2), down=2)


# --------------------------------------------------------------------------------------------
# Convolutions


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    up_taps: Tensor | None = None,
    down_taps: Tensor | None = None,
) -> Tensor:
    """Convolve with "same" padding, optionally to twice or half the size with an anti-aliasing filter.

    Upsampling is a transposed convolution followed by the filter, downsampling the filter followed by a strided
    convolution (in official files, the stored kernel is correlated everywhere but in upsampling).

    Args:
        x: Features, [n, in, h, w].
        weight: Kernel, [out, in, k, k], k odd.
        bias: Bias of every channel, [out]; not when upsampling.
        up_taps: The filter for doubling the size.
        down_taps: The filter for halving the size; at most one of the two is given.
    """
    k = weight.shape[-1]
    taps = down_taps if up_taps is None else up_taps
    if x.is_cuda and taps is not None and taps.shape == (4, 4) and (k == 3 or up_taps is None):
        return convolve_composed(x, weight, bias, taps, up=up_taps is not None)
    if up_taps is not None:
        if k == 1:
            return upsample(F.conv2d(x, weight), up_taps)
        size = len(up_taps)
        pads = (k // 2 + (size + 1) // 2 - (k - 1), k // 2 + (size - 2) // 2 - (k - 2))
        return filter_fir(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), up_taps, pads, gain=4)
    if down_taps is not None:
        if k == 1:
            return F.conv2d(downsample(x, down_taps), weight, bias)
        size = len(down_taps)
        pads = (k // 2 + (size - 1) // 2, k // 2 + (size - 2) // 2)
        return F.conv2d(filter_fir(x, down_taps, pads), weight, bias, stride=2)
    return F.conv2d(x, weight, bias, padding=k // 2)


def convolve_composed(x: Tensor, weight: Tensor, bias: Tensor | None, taps: Tensor, *, up: bool) -> Tensor:
    """Do the same as `convolve` to twice (`up`) or half the size, composing kernel and 4x4 filter into one kernel.

    This takes up to sixteen times the multiplications, which cost little on a GPU's matrix units, but saves the
    filter's pass over the features, which is limited by memory bandwidth.
    """
    out, into, k, _ = weight.shape
    kernel = taps.to(weight.dtype).flip((0, 1)) * 4 if up else taps.to(weight.dtype)
    rows = weight.reshape(out * into, 1, k, k)
    kernels = F.conv2d(rows, kernel[None, None], padding=3).view(out, into, k + 3, k + 3)
    if up:
        x = F.conv_transpose2d(x, kernels.transpose(0, 1), stride=2, padding=k // 2 + 1)
        return x if bias is None else x + bias[:, None, None]
    return F.conv2d(x, kernels, bias, stride=2, padding=k // 2 + 1)


def demodulation(
    weight: Float[Tensor, "out in k k"], styles: Float[Tensor, "batch in"]
) -> Float[Tensor, "batch out"]:
    """Return the factors that restore the unit norm of modulated kernels ([2] equation 3): (Σ (s·W)² + 1e-8)^-½."""
    return (styles.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt()


def minibatch_std(
    x: Float[Tensor, "n c h w"], group_size: int | None, features: int
) -> Float[Tensor, "n c2 h w"]:
    """Append `features` channels with the standard deviation within groups of the batch ([1] section 3).

    Groups are strided: sample i belongs to group i mod (n / group_size). None makes the whole batch one group.

    Raises:
        ShapeError: If the batch isn't a multiple of the group size, or the channels aren't a multiple of `features`.
    """
    n, c, h, w = x.shape
    group = n if group_size is None else min(group_size, n)
    if n % group or c % features:
        msg = f"minibatch std: want a batch divisible by {group} and channels by {features}, got {n} and {c}"
        raise ShapeError(msg)
    y = x.reshape(group, n // group, features, c // features, h, w)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))
    return torch.cat([x, y.repeat(group, 1)[:, :, None, None].expand(n, features, h, w)], dim=1)
