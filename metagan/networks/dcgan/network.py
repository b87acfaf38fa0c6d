"""DCGAN: a plain stack of layers, as hobby projects build it with Keras and as `metagan train` does.

References:
    [1] Radford et al. 2016, Unsupervised Representation Learning with Deep Convolutional GANs, arXiv:1511.06434.

There is no fixed design: layers and sizes come from the model's description. Keras' pictures are [height, width,
channels]; here they are [channels, height, width], and permuted when a flat vector is reshaped to features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.errors import MalformedFileError
from metagan.networks.generator import Generator, Noise
from metagan.networks.shapes import require_images
from metagan.values import Size

LayerKind = Literal[
    "dense", "conv", "conv_transpose", "upsample", "norm", "reshape", "flatten", "leaky_relu", "activation"
]
Shape = tuple[int, ...]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
MAX_SIZE = 4096
MOMENTUM = 0.01  # a batch's share of a normalisation's running mean and variance; Keras' default
MAX_FEATURES = 1 << 28


@dataclass(frozen=True)
class LayerConfig:
    """A layer's configuration; fields that its kind doesn't use keep their defaults.

    Args:
        kind: The operation.
        outputs: Number of output features or channels.
        kernel_size: Side of a convolution's kernel.
        stride: Stride of a convolution, or factor of an enlargement.
        bias: Whether it has a bias.
        activation: Activation that follows, by its name in ACTIVATIONS.
        slope: Negative slope of the leaky ReLU.
        epsilon: Added to a normalisation's variance.
        scale: Whether a normalisation has a scale.
        shape: Target of a reshape: height, width, channels.
    """

    kind: LayerKind
    outputs: int = 0
    kernel_size: int = 0
    stride: int = 1
    bias: bool = False
    activation: str = "linear"
    slope: float = 0.0
    epsilon: float = 1e-3
    scale: bool = True
    shape: Shape = ()


@dataclass(frozen=True)
class Config:
    """The configuration of a stack of layers.

    Args:
        inputs: Input shape: the latents' width, or a picture's height, width and channels.
        layers: The layers in order.
    """

    inputs: Shape
    layers: tuple[LayerConfig, ...]

    @property
    def size(self) -> Size:
        """Width and height of the pictures that the stack gives or takes."""
        *_, last = self.shapes()
        height, width, _ = last if len(self.inputs) == 1 else self.inputs
        return Size(width, height)

    @property
    def channels(self) -> tuple[int, ...]:
        """Outputs of every layer with a kernel, in order."""
        return tuple(layer.outputs for layer in self.layers if layer.outputs)

    def shapes(self) -> Iterator[Shape]:
        """Yield the input shape of each layer, and finally the output shape: (features,) or (height, width, channels).

        Raises:
            MalformedFileError: If consecutive layers don't fit, or sizes are out of range.
        """
        shape = self.inputs
        try:
            _require_sizes(shape)
        except ValueError as error:
            raise MalformedFileError(f"no network takes {shape}: {error}") from error
        yield shape
        for index, layer in enumerate(self.layers):
            try:
                shape = _after(layer, shape)
            except ValueError as error:
                raise MalformedFileError(
                    f"layer {index} ({layer.kind}) can't take {shape}: {error}"
                ) from error
            yield shape


def _after(layer: LayerConfig, shape: Shape) -> Shape:
    """Return a layer's output shape for an input shape."""
    if not 0 <= layer.outputs <= MAX_FEATURES:
        raise ValueError(f"its outputs are {layer.outputs}")
    after = shape
    if layer.kind == "dense":
        after = (*shape[:-1], layer.outputs)
    elif layer.kind == "flatten":
        after = (_product(shape),)
    elif layer.kind == "reshape":
        after = layer.shape
        if len(after) != 3 or _product(after) != _product(shape):
            raise ValueError(f"want as many numbers as {layer.shape} has")
    elif layer.kind == "upsample":
        if len(shape) != 3 or not 0 < layer.stride <= 64:
            raise ValueError("want a picture, and a factor of 1 to 64")
        after = (shape[0] * layer.stride, shape[1] * layer.stride, shape[2])
    elif layer.kind in ("conv", "conv_transpose"):
        if len(shape) != 3 or not (0 < layer.kernel_size <= 64 and 0 < layer.stride <= 64):
            raise ValueError("want a picture, and a kernel and stride of 1 to 64")
        sides = [
            side * layer.stride if layer.kind == "conv_transpose" else -(-side // layer.stride)
            for side in shape[:2]
        ]
        after = (*sides, layer.outputs)
    _require_sizes(after)
    return after


def _require_sizes(shape: Shape) -> None:
    """Raise ValueError if the size of features or of a picture is out of range."""
    if not shape or any(not 0 < size <= MAX_FEATURES for size in shape) or _product(shape) > MAX_FEATURES:
        raise ValueError(f"sizes of {shape} are out of bounds")
    if len(shape) == 3 and max(shape[:2]) > MAX_SIZE:
        raise ValueError(f"{shape} is larger than {MAX_SIZE} pixels")


def _product(shape: Shape) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


class Layer(nn.Module):
    """One layer of the stack, with Keras' conventions ("same" padding) and torch's layouts."""

    weight: Tensor | None
    mean: Tensor | None
    variance: Tensor | None

    def __init__(self, config: LayerConfig, takes: Shape) -> None:
        super().__init__()
        self.config = config
        inputs, outputs, k = takes[-1], config.outputs or takes[-1], config.kernel_size
        shape = {
            "dense": (outputs, inputs),
            "conv": (outputs, inputs, k, k),
            "conv_transpose": (inputs, outputs, k, k),
            "norm": (inputs,) if config.scale else None,
        }.get(config.kind)
        self.weight = nn.Parameter(torch.randn(shape)) if shape else None
        self.bias = nn.Parameter(torch.zeros(outputs)) if config.bias else None
        norm = config.kind == "norm"
        self.register_buffer("mean", torch.zeros(inputs) if norm else None)
        self.register_buffer("variance", torch.ones(inputs) if norm else None)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to vectors [n, features] or feature maps [n, channels, height, width]."""
        return ACTIVATIONS[self.config.activation](self._apply_layer(x))

    def _apply_layer(self, x: Tensor) -> Tensor:
        kind = self.config.kind
        if kind == "dense" and self.weight is not None:
            return F.linear(x, self.weight, self.bias)
        if kind == "conv":
            return self._conv(x)
        if kind == "conv_transpose":
            return self._conv_transpose(x)
        if kind == "norm":
            epsilon, learns = self.config.epsilon, self.training
            return F.batch_norm(
                x, self.mean, self.variance, self.weight, self.bias, learns, momentum=MOMENTUM, eps=epsilon
            )
        if kind == "upsample":
            return F.interpolate(x, scale_factor=float(self.config.stride))  # nearest
        return F.leaky_relu(x, self.config.slope) if kind == "leaky_relu" else self._rearrange(x)

    def _rearrange(self, x: Tensor) -> Tensor:
        """Reshape vectors to feature maps or back, in Keras' memory order."""
        if self.config.kind == "reshape":
            return x.view(len(x), *self.config.shape).permute(0, 3, 1, 2)
        return x.permute(0, 2, 3, 1).flatten(1) if self.config.kind == "flatten" and x.ndim == 4 else x

    def _conv(self, x: Tensor) -> Tensor:
        """Convolve with "same" padding; if it is odd, the larger half is below and right."""
        k, s = self.config.kernel_size, self.config.stride
        pads: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // s) - 1) * s + k - side, 0)
            pads += [total // 2, total - total // 2]
        assert self.weight is not None  # noqa: S101 - a convolution has one
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, stride=s)

    def _conv_transpose(self, x: Tensor) -> Tensor:
        """Apply a transposed convolution, cropped to stride times the size, less above and left."""
        k, s = self.config.kernel_size, self.config.stride
        before = max(k - s, 0) // 2
        assert self.weight is not None  # noqa: S101 - a convolution has one
        y = F.conv_transpose2d(x, self.weight, stride=s)
        pads = [
            (-before, side * s - whole + before) for side, whole in zip(x.shape[2:], y.shape[2:], strict=True)
        ]
        y = F.pad(y, (*pads[1], *pads[0]))
        return y if self.bias is None else y + self.bias[:, None, None]


def _stack(config: Config) -> nn.Sequential:
    return nn.Sequential(
        *(Layer(layer, takes) for layer, takes in zip(config.layers, config.shapes(), strict=False))
    )


class DCGAN(Generator):
    """A DCGAN generator: `synthesize(map_latents(z))`.

    The latent is the only style; psi must be 1, and there are no classes and no noise.
    """

    architecture = "dcgan"

    def __init__(self, config: Config) -> None:
        *_, (height, width, channels) = config.shapes()
        z_dim = config.inputs[0]
        super().__init__(
            size=Size(width, height), image_channels=channels, z_dim=z_dim, c_dim=0, num_ws=1, w_dim=z_dim
        )
        self.config = config
        self.layers = _stack(config)

    def _map(self, z: Tensor, label: Tensor | None) -> Tensor:
        del label
        return z[:, None]

    def _synthesize(self, ws: Tensor, noise: Noise) -> Tensor:
        del noise
        images: Tensor = self.layers(ws[:, 0])
        return images


class Discriminator(nn.Module):
    """A DCGAN discriminator: higher for pictures that are more likely real.

    Keras' usually end in a sigmoid and give that probability; those that `metagan train` makes give its logit.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.layers = _stack(config)

    def forward(self, images: Float[Tensor, "n ch h w"]) -> Float[Tensor, "n 1"]:
        """Return the scores of pictures, [n, image_channels, resolution, resolution].

        Raises:
            ShapeError: If the pictures' size is not the network's.
        """
        height, width, channels = self.config.inputs
        require_images(images, channels, height, width)
        scores: Tensor = self.layers(images)
        return scores
