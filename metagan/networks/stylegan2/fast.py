"""StyleGAN2 as it is sampled and trained: network.py's pictures and gradients, in the shape that processors like.

The form for sampling, `FastSynthesis`, works out once what all pictures share; the form for training,
`synthesize_for_training` and its discriminator's like, reads the weights anew in each step. Both are proved equal to
network.py and discriminator.py by tests.

Sampling. Gains are folded into weights, and kernels are laid out, once and beforehand. What is left for every picture
depends on its resolution:

* Coarse blocks are few numbers and large kernels. All pictures of a batch share the kernels, and their channels are
  scaled before and after the convolution (Karras et al. 2020, arXiv:1912.04958, section 2.2).
* Fine blocks, on a CPU, are many numbers and small kernels. Scaling kernels is next to free, and spares two passes
  over the features. Pictures go through them one at a time: what a layer writes is still in the cache when the next
  reads it, and memory is used again instead of asked for, whose page faults cost as much as some convolutions.

Features are channels last, except in float32 on a GPU. Pictures, and conversions to RGB, are float32 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Noise
from metagan.networks.ops import (
    ACTIVATIONS,
    FoldedDense,
    activate,
    convolve,
    demodulation,
    downsample,
    memory_layout,
    minibatch_std,
    upsample,
)
from metagan.networks.shapes import require_styles
from metagan.networks.stylegan2.discriminator import Block as DiscriminatorBlock
from metagan.networks.stylegan2.discriminator import Conv, Discriminator, project_on_label
from metagan.networks.stylegan2.network import Block, StyledConv, StyleGAN2, ToRGB

# --------------------------------------------------------------------------------------------
# Sampling
#
# Three ways to convolve with a kernel that is laid out beforehand, and may be scaled for one picture.
#
# A kernel that a picture's styles modulate and demodulate is W[o, i] d[o] s[i] (Karras et al. 2020, arXiv:1912.04958,
# section 2.2). Upsampling layers are a transposed convolution followed by the filter f with gain 4; in one formula,
#
#     z[y] = Σ_i x[i] (W * 4f)[y + c - 2i],    c = taps - 1 - (zeros before the filter),
#
# so that even and odd rows and columns, the four phases, are ordinary convolutions of x with every second tap of W *
# 4f.
# They take four times the multiplications and one pass over the features instead of two: which is faster depends on the
# processor, so that there are both.

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
        height = 2 * x.shape[2]
        x = F.conv_transpose2d(x, kernel, stride=2)
        hi = height - 1 + self.taps - x.shape[2] - self.lo  # the same along both axes
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


WIDE_UP_TO_PX = 8  # blocks up to 8x8 stay float32: they decide what a picture shows, and are done in no time
FINE_NUMBERS = 2**15  # of a feature map: below it, calls cost more than passes over memory
RGB_NUMBERS = 2**20  # at a time, when features are widened for RGB: they stay in the cache


@dataclass(frozen=True)
class BlockPlan:
    """How a block is computed.

    Args:
        dtype: Of its features and kernels.
        alone: Each picture by itself.
        own_kernels: With kernels of its own, too.
        phases: Upsampling as one convolution for each of four phases, instead of a transposed one and a filter.
        layout: How features and kernels lie in memory.
    """

    dtype: torch.dtype
    alone: bool
    own_kernels: bool
    phases: bool
    layout: torch.memory_format = LAST


class _Layer:
    """A StyledConv, its gains folded."""

    def __init__(self, layer: StyledConv, gain: float, plan: BlockPlan) -> None:
        activation = ACTIVATIONS[layer.activation]
        self.plan, self.gain, self.activation, self.clamp = plan, gain, layer.activation, layer.clamp
        self.early = activation.homogeneous
        self.scale = activation.gain * gain if self.early else 1.0
        self.affine = FoldedDense(layer.affine)
        self.energies = layer.weight.square().sum(dim=(2, 3)).t() / self.scale**2
        self.epsilon = torch.full_like(layer.bias, 1e-8 / self.scale**2)
        self.convolution = make_convolution(layer.weight, layer.taps, phases=plan.phases)
        kernel = self.convolution.kernel.to(torch.float32 if plan.own_kernels else plan.dtype)
        self.kernel = kernel.contiguous(memory_format=plan.layout)
        self.bias = (layer.bias * self.scale).to(plan.dtype)
        self.stored_noise = layer.noise
        strength = layer.noise_strength
        self.strength = None if strength is None else strength * self.scale

    def noise(self, source: Noise, batch: int) -> Tensor | None:
        """What to add to every channel, [h, w] or [batch, 1, h, w]."""
        if self.stored_noise is None or self.strength is None:
            return None
        image = source.image(self.stored_noise, batch)
        return None if image is None else (image * self.strength).to(self.plan.dtype)

    def __call__(self, x: Tensor, w: Float[Tensor, "batch w_dim"], noise: Tensor | None) -> Tensor:
        s = self.affine(w)
        d = torch.addmm(self.epsilon, s.square(), self.energies).rsqrt()
        if self.plan.own_kernels:
            kernel = self.convolution.modulated(s[0], d[0]).to(self.plan.dtype)
            x = self.convolution.convolve(x, kernel, self.bias)
        else:
            x = x * s.to(x.dtype)[:, :, None, None]
            x = self.convolution.convolve(x, self.kernel, None)
            x = x.mul_(d.to(x.dtype)[:, :, None, None]).add_(self.bias[:, None, None])
        return self._activate(x if noise is None else x.add_(noise))

    def _activate(self, x: Tensor) -> Tensor:
        """The non-linearity, in place where it can be; its gain is in the kernels and the bias, where it can be."""
        if not self.early:
            return activate(x, self.activation, self.gain, self.clamp)
        x = F.leaky_relu_(x, 0.2) if self.activation == "lrelu" else ACTIVATIONS[self.activation].function(x)
        return x if self.clamp is None else x.clamp_(-self.clamp * self.gain, self.clamp * self.gain)


class _ToRGB:
    """A ToRGB, its gains folded."""

    def __init__(self, layer: ToRGB) -> None:
        self.affine = FoldedDense(layer.affine, layer.weight_gain)
        self.weight, self.bias, self.clamp = layer.weight[None, :, :, 0, 0], layer.bias[:, None], layer.clamp

    def __call__(self, x: Tensor, w: Float[Tensor, "batch w_dim"]) -> Float[Tensor, "batch ch h w"]:
        kernels = self.weight * self.affine(w)[:, None, :]
        n, c, *size = x.shape
        rows = x.flatten(2).transpose(1, 2)  # a view of either layout
        if x.dtype == torch.float32 or x.device.type != "cpu":
            rgb = torch.bmm(kernels, rows.float().transpose(1, 2))
        else:
            rgb = kernels.new_empty(n, kernels.shape[1], rows.shape[1])
            at_once = max(RGB_NUMBERS // (n * c), 1)
            for start in range(0, rows.shape[1], at_once):
                piece = slice(start, start + at_once)
                rgb[:, :, piece] = torch.bmm(kernels, rows[:, piece].float().transpose(1, 2))
        rgb = rgb.add_(self.bias).view(n, -1, *size)
        return rgb if self.clamp is None else rgb.clamp_(-self.clamp, self.clamp)


class _Block:
    """A Block, its layers prepared."""

    def __init__(self, block: Block, plan: BlockPlan) -> None:
        self.plan = plan
        gain = math.sqrt(0.5) if block.residual else 1.0
        self.layers = [_Layer(block.conv1, gain, plan)]
        if block.conv0 is not None:
            self.layers.insert(0, _Layer(block.conv0, 1.0, plan))
        self.to_rgb = None if block.to_rgb is None else _ToRGB(block.to_rgb)
        self.skip, self.skip_taps, self.image_taps = None, block.skip_taps, block.image_taps
        if block.skip is not None:
            self.skip = (block.skip * (gain / math.sqrt(block.skip.shape[1]))).to(plan.dtype)

    def __call__(
        self, x: Tensor, image: Tensor | None, ws: Tensor, noises: list[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        x = x.to(self.plan.dtype, memory_format=self.plan.layout)
        y = None if self.skip is None else convolve(x, self.skip, up_taps=self.skip_taps)
        for index, layer in enumerate(self.layers):
            x = layer(x, ws[:, index], noises[index])
        if y is not None:
            x = x.add_(y)
        if image is not None and self.image_taps is not None:
            image = enlarge(image, self.image_taps)
        if self.to_rgb is not None:
            rgb = self.to_rgb(x, ws[:, len(self.layers)])
            image = rgb if image is None else image.add_(rgb)
        return x, image


def plan_blocks(network: StyleGAN2, dtype: torch.dtype = torch.float32) -> list[BlockPlan]:
    """How each block is best computed on the device that the network is on.

    On a CPU, a picture in bfloat16 is made alone from the start: sums over a batch of another size are rounded
    otherwise, and each layer rounds the difference up. On a GPU bfloat16 wants channels last and float32 doesn't, and
    filters channel by channel are slow.

    Args:
        network: The generator.
        dtype: float32, or a narrower one for all blocks above WIDE_UP_TO_PX.
    """
    device, k = network.constant.device.type, network.config.kernel_size
    plans = []
    for index, channels in enumerate(network.config.channels):
        pixels = math.prod(network.config.size_at(index))
        fine = pixels >= k**2 * channels and pixels * channels >= FINE_NUMBERS
        chosen = dtype if pixels > WIDE_UP_TO_PX**2 else torch.float32
        last = device == "cpu" or chosen != torch.float32
        layout = LAST if last else torch.contiguous_format
        own = fine and device == "cpu"
        alone = own or (device == "cpu" and dtype != torch.float32)
        plans.append(BlockPlan(chosen, alone, own, phases=device == "cuda", layout=layout))
    return plans


class FastSynthesis:
    """A StyleGAN2's synthesis, prepared for the device that the network is on.

    Args:
        network: Where weights come from; later changes to them are not seen.
        plans: How to compute each block; once pictures are alone, they stay so.
    """

    def __init__(self, network: StyleGAN2, plans: Sequence[BlockPlan]) -> None:
        self.shape = (network.num_ws, network.w_dim)
        with torch.no_grad():
            self.constant = network.constant.detach().clone()[None]
            blocks = (block for block in network.blocks if isinstance(block, Block))
            self.blocks = [_Block(block, plan) for block, plan in zip(blocks, plans, strict=True)]

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Styles to pictures, nominally within [-1, 1]: `StyleGAN2.synthesize`, without gradients.

        Raises:
            ShapeError: There are more or fewer styles, or of another width.
        """
        require_styles(ws, *self.shape)
        source = noise or Noise("const")
        with torch.no_grad():
            noises = [[layer.noise(source, len(ws)) for layer in block.layers] for block in self.blocks]
            x: Tensor = self.constant.expand(len(ws), -1, -1, -1)
            return self._run(0, x, None, ws, noises)

    def _run(
        self, index: int, x: Tensor, image: Tensor | None, ws: Tensor, noises: list[list[Tensor | None]]
    ) -> Tensor:
        """Blocks from that number on; pictures part where blocks want them alone."""
        while index < len(self.blocks):
            block = self.blocks[index]
            if block.plan.alone and len(ws) > 1:
                return self._run_apart(index, x, image, ws, noises)
            start = max(2 * index - 1, 0)
            x, image = block(x, image, ws[:, start : start + len(block.layers) + 1], noises[index])
            index += 1
        if image is None:
            raise AssertionError("the last block always converts to RGB")
        return image

    def _run_apart(
        self, index: int, x: Tensor, image: Tensor | None, ws: Tensor, noises: list[list[Tensor | None]]
    ) -> Tensor:
        """Blocks from that number on, a picture at a time."""
        images = []
        for n in range(len(ws)):
            one = slice(n, n + 1)
            own = [
                [noise[one] if noise is not None and noise.ndim == 4 else noise for noise in of_block]
                for of_block in noises
            ]
            images.append(self._run(index, x[one], None if image is None else image[one], ws[one], own))
        return torch.cat(images)


def prepare(generator: nn.Module, dtype: torch.dtype) -> FastSynthesis:
    """A StyleGAN2's fast synthesis on the generator's device."""
    network = cast("StyleGAN2", generator)
    return FastSynthesis(network, plan_blocks(network, dtype))


# --------------------------------------------------------------------------------------------
# Training
#
# Networks in training change their weights in each step, so that nothing can be prepared. What is spared is passes over
# the features and the memory that their gradients keep:
#
# * An activation f with f(a x) = a f(x) takes its gain before it: in the demodulation, or in small kernels and biases.
# * Demodulation, bias and noise are one fused product and sum (addcmul), in the features' own type and layout, so that
#   what autocast made bfloat16 stays so.
# * The activation overwrites its input, which nothing else needs.
#
# Everything is differentiable twice, as R1 and path-length regularisation need it. Shapes are checked before a run, not
# in each step.


def synthesize_for_training(
    network: StyleGAN2, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise
) -> Float[Tensor, "batch ch h w"]:
    """Styles to pictures, nominally within [-1, 1]: `network.synthesize` with the same gradients, faster."""
    x: Tensor = network.constant.expand(len(ws), -1, -1, -1)
    image: Tensor | None = None
    styles = iter(ws.unbind(dim=1))
    w = next(styles)
    for block in network.blocks:
        assert isinstance(block, Block)  # noqa: S101 - for mypy: a ModuleList has modules
        gain = math.sqrt(0.5) if block.residual else 1.0
        y = None
        if block.skip is not None:
            y = convolve(x, block.skip * (gain / math.sqrt(block.skip.shape[1])), up_taps=block.skip_taps)
        if block.conv0 is not None:
            x, w = _styled_conv(block.conv0, x, w, noise), next(styles)
        x, w = _styled_conv(block.conv1, x, w, noise, gain), next(styles)
        x = x if y is None else x + y
        if image is not None and block.image_taps is not None:
            image = upsample(image, block.image_taps)
        if block.to_rgb is not None:
            rgb = _to_rgb(block.to_rgb, x, w)
            image = rgb if image is None else image + rgb
    if image is None:
        raise AssertionError("the last block always converts to RGB")
    return image


def _styled_conv(
    layer: StyledConv, x: Tensor, w: Float[Tensor, "batch w_dim"], noise: Noise, gain: float = 1.0
) -> Tensor:
    """`StyledConv.forward`."""
    s = layer.affine(w)
    scale = _early_gain(layer.activation, gain)
    d = (demodulation(layer.weight, s) * scale)[:, :, None, None]
    x = convolve(x * s[:, :, None, None], layer.weight, up_taps=layer.taps)
    x = _scale_and_shift(layer, x, d.to(x.dtype), noise, scale)
    return _activate_in_place(x, layer.activation, gain, layer.clamp)


def _scale_and_shift(layer: StyledConv, x: Tensor, d: Tensor, noise: Noise, scale: float) -> Tensor:
    """Features times d plus bias and noise, in their own type and layout: autocast's stay narrow."""
    shift = layer.bias[:, None, None] * scale
    image = None
    if layer.noise_strength is not None and layer.noise is not None:
        image = noise.image(layer.noise, len(x))
    if image is not None and layer.noise_strength is not None:
        image = image * (layer.noise_strength * scale)
        if image.ndim == 4:  # a noise image a picture
            return (x * d).add_(_spread(image.to(x.dtype), shift.to(x.dtype), memory_layout(x)))
        shift = shift + image
    shift = shift[None].to(x.dtype).contiguous(memory_format=memory_layout(x))
    return torch.addcmul(shift, x, d)


def _spread(image: Float[Tensor, "n 1 h w"], bias: Tensor, layout: torch.memory_format) -> Tensor:
    """The noise plus bias [c, 1, 1] as features [n, c, h, w] in this layout, by a product.

    A sum that broadcasts both of them takes ten times as long on a processor where c is 16: too few at a stretch.
    """
    if layout != LAST:
        return image + bias
    n, _, h, w = image.shape
    rows = torch.addmm(bias.flatten(), image.reshape(-1, 1), image.new_ones(1, len(bias)))
    return rows.view(n, h, w, -1).permute(0, 3, 1, 2)


def _to_rgb(layer: ToRGB, x: Tensor, w: Float[Tensor, "batch w_dim"]) -> Tensor:
    """`ToRGB.forward` with kernels for each picture: they are tiny, and spare a pass over the features."""
    s = layer.affine(w) * layer.weight_gain
    kernels = layer.weight[None, :, :, 0, 0] * s[:, None, :]
    rgb = torch.baddbmm(layer.bias[None, :, None], kernels, x.flatten(2)).view(len(x), -1, *x.shape[2:])
    return rgb if layer.clamp is None else rgb.clamp(-layer.clamp, layer.clamp)


def features_for_training(
    network: Discriminator, images: Float[Tensor, "n ch h w"]
) -> tuple[Tensor, Tensor | None]:
    """`network.features` with the same gradients, faster."""
    x: Tensor | None = None
    image: Tensor | None = images
    for block in network.blocks:
        assert isinstance(block, DiscriminatorBlock)  # noqa: S101 - for mypy: a ModuleList has modules
        if block.from_rgb is not None and image is not None:
            y = _conv(block.from_rgb, image)
            x = y if x is None else x + y
            image = None if block.image_taps is None else downsample(image, block.image_taps)
        if x is None:
            raise AssertionError("the first block always converts from RGB")
        if block.skip is None:
            x = _conv(block.conv1, _conv(block.conv0, x))
        else:
            y = _conv(block.skip, x, math.sqrt(0.5))
            x = y + _conv(block.conv1, _conv(block.conv0, x), math.sqrt(0.5))
    if x is None:
        raise AssertionError("a discriminator has at least one block")
    return x, image


def logits_for_training(
    network: Discriminator, x: Tensor, image: Tensor | None, label: Tensor | None
) -> Float[Tensor, "n 1"]:
    """`network.logits` with the same gradients, faster.

    Raises:
        ShapeError: Labels of another size than the network's, or a label is missing.
    """
    last = network.epilogue
    if last.from_rgb is not None and image is not None:
        x = x + _conv(last.from_rgb, image)
    if last.config.std_channels:
        x = minibatch_std(x, last.config.group_size, last.config.std_channels)
    out: Tensor = last.out(last.fc(_conv(last.conv, x).flatten(1)))
    return out if network.mapping is None else project_on_label(out, label, network.mapping)


def _conv(layer: Conv, x: Tensor, gain: float = 1.0) -> Tensor:
    """`Conv.forward`."""
    scale = _early_gain(layer.activation, gain)
    bias = None if layer.bias is None else layer.bias * scale
    x = convolve(x, layer.weight * (layer.weight_gain * scale), bias, down_taps=layer.taps)
    return _activate_in_place(x, layer.activation, gain, layer.clamp)


def _early_gain(activation: str, gain: float) -> float:
    """What may be multiplied before the activation: all gains where it is homogeneous, else none."""
    return ACTIVATIONS[activation].gain * gain if ACTIVATIONS[activation].homogeneous else 1.0


def _activate_in_place(x: Tensor, name: str, gain: float, clamp: float | None) -> Tensor:
    """`activate` of features that nobody else holds, and that have the gains of `_early_gain` already."""
    if not ACTIVATIONS[name].homogeneous:
        return activate(x, name, gain, clamp)
    x = F.leaky_relu(x, 0.2, inplace=True) if name == "lrelu" else ACTIVATIONS[name].function(x)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)
