"""Builds DCGANs from Keras' records and from metagan's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.dcgan.network import ACTIVATIONS, DCGAN, Config, Discriminator, LayerConfig
from metagan.networks.loading.architecture import Part, Reading
from metagan.networks.loading.assemble import assemble, require_fit

# Keras' records: translates the layers' descriptions to ours, and maps each tensor.
#
# The allow-list below names every supported layer class. Each of its options that changes the result is either
# used or must have its default value.

NAMELESS = "layer_with_weights-"

# Layers that are the identity in inference.
_DROPPED = frozenset({"InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise"})
_MATRIX: tuple[int, ...] = (1, 0)
_KERNEL: tuple[int, ...] = (3, 2, 0, 1)  # [kh, kw, a, b] to [b, a, kh, kw]; a is in or, transposed, out
_ORDERS: Mapping[str, tuple[int, ...]] = {"dense": _MATRIX, "conv": _KERNEL, "conv_transpose": _KERNEL}


class _Options:
    """Reads a layer's options strictly."""

    def __init__(self, index: int, layer: Mapping[str, Any]) -> None:
        self.where = f"layer {index} ({layer['class_name'][:40]})"
        self.values: Mapping[str, Any] = layer["config"]

    def whole(self, name: str) -> int:
        """Read a positive integer."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
            return value
        raise self.wrong(name, "a whole number above 0")

    def number(self, name: str, default: float) -> float:
        """Read a non-negative number."""
        value = self.values.get(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6:
            return float(value)
        raise self.wrong(name, "a number from 0 on")

    def side(self, name: str) -> int:
        """Read the side of a square kernel or stride."""
        value = self.values.get(name)
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) == 2 and sides[0] == sides[1] and type(sides[0]) is int and 0 < sides[0] < 2**16:
            return sides[0]
        raise self.wrong(name, "one number twice")

    def flag(self, name: str, *, default: bool) -> bool:
        """Read a boolean."""
        value = self.values.get(name, default)
        if isinstance(value, bool):
            return value
        raise self.wrong(name, "true or false")

    def activation(self) -> str:
        """Read a supported activation."""
        value = self.values.get("activation", "linear")
        if isinstance(value, str) and value in ACTIVATIONS:
            return value
        raise self.wrong("activation", f"one of {', '.join(ACTIVATIONS)}")

    def require(self, name: str, *usual: object) -> None:
        """Refuse an option whose value is not one of those supported; a missing option is accepted."""
        if name in self.values and self.values[name] not in usual:
            raise self.wrong(name, " or ".join(map(repr, usual)))

    def wrong(self, name: str, want: str) -> MalformedFileError:
        """Make the error for an unsupported option."""
        return MalformedFileError(f"{name}: want {want}, got {self.values.get(name)!r:.60}", where=self.where)


def _dense(options: _Options) -> LayerConfig:
    bias = options.flag("use_bias", default=True)
    return LayerConfig("dense", options.whole("units"), bias=bias, activation=options.activation())


def _conv(options: _Options) -> LayerConfig:
    for name, usual in (
        ("padding", ("same",)),
        ("data_format", ("channels_last",)),
        ("dilation_rate", ([1, 1], 1)),
        ("groups", (1,)),
        ("output_padding", (None,)),
    ):
        options.require(name, *usual)
    return LayerConfig(
        "conv",
        options.whole("filters"),
        kernel_size=options.side("kernel_size"),
        stride=options.side("strides"),
        bias=options.flag("use_bias", default=True),
        activation=options.activation(),
    )


def _conv_transpose(options: _Options) -> LayerConfig:
    conv = _conv(options)
    return LayerConfig(
        "conv_transpose", conv.outputs, conv.kernel_size, conv.stride, conv.bias, conv.activation
    )


def _norm(options: _Options) -> LayerConfig:
    options.require("axis", [1], [3], [-1], -1, 1, 3)
    scale, center = options.flag("scale", default=True), options.flag("center", default=True)
    return LayerConfig("norm", bias=center, scale=scale, epsilon=options.number("epsilon", 1e-3))


def _reshape(options: _Options) -> LayerConfig:
    shape = options.values.get("target_shape")
    if isinstance(shape, list) and len(shape) == 3 and all(type(size) is int for size in shape):
        return LayerConfig("reshape", shape=(shape[0], shape[1], shape[2]))
    raise options.wrong("target_shape", "height, width and channels")


def _relu(options: _Options) -> LayerConfig:
    options.require("max_value", None)
    options.require("threshold", 0, 0.0)
    return LayerConfig("leaky_relu", slope=options.number("negative_slope", 0.0))


def _upsample(options: _Options) -> LayerConfig:
    options.require("data_format", "channels_last")
    options.require("interpolation", "nearest")
    return LayerConfig("upsample", stride=options.side("size"))


_UNDERSTOOD: Mapping[str, Callable[[_Options], LayerConfig]] = {
    "Dense": _dense,
    "Conv2D": _conv,
    "Conv2DTranspose": _conv_transpose,
    "UpSampling2D": _upsample,
    "BatchNormalization": _norm,
    "Reshape": _reshape,
    "Flatten": lambda _: LayerConfig("flatten"),
    "LeakyReLU": lambda options: LayerConfig("leaky_relu", slope=options.number("alpha", 0.3)),
    "ReLU": _relu,
    "Activation": lambda options: LayerConfig("activation", activation=options.activation()),
}


def read_config(record: NetworkRecord) -> tuple[Config, dict[str, str]]:
    """Read the layers that a record describes, and the mapping of its tensors' names to ours.

    Raises:
        UnknownArchitectureError: If a layer class is not supported. The message names all of them.
        MalformedFileError: If a layer has an unsupported option, or consecutive layers don't fit.
    """
    described = [layer for layer in record.attributes["layers"] if layer["class_name"] not in _DROPPED]
    strange = sorted({layer["class_name"] for layer in described} - _UNDERSTOOD.keys())
    if strange:
        known = ", ".join(_UNDERSTOOD)
        msg = f"Keras layers that metagan doesn't know: {', '.join(map(ascii, strange))[:200]}; it knows {known}"
        raise UnknownArchitectureError(msg)
    layers = tuple(
        _UNDERSTOOD[layer["class_name"]](_Options(index, layer)) for index, layer in enumerate(described)
    )
    config = Config(_inputs(record), layers)
    names: dict[str, str] = {}
    weighted = 0
    by_number = any(name.startswith(NAMELESS) for name in record.tensors)
    for index, (layer, description) in enumerate(zip(layers, described, strict=True)):
        own = tensor_names(layer)
        foreign = f"{NAMELESS}{weighted}" if by_number else str(description["config"].get("name"))
        names |= {f"{foreign}/{theirs}": f"layers.{index}.{ours}" for theirs, ours in own.items()}
        weighted += bool(own)
    return config, names


def tensor_names(layer: LayerConfig) -> dict[str, str]:
    """Map Keras' names of a layer's tensors to ours."""
    if layer.kind == "norm":
        names = {"gamma": "weight"} if layer.scale else {}
        names |= {"beta": "bias"} if layer.bias else {}
        return names | {"moving_mean": "mean", "moving_variance": "variance"}
    if layer.kind in _ORDERS:
        return {"kernel": "weight"} | ({"bias": "bias"} if layer.bias else {})
    return {}


def _inputs(record: NetworkRecord) -> tuple[int, ...]:
    for layer in record.attributes["layers"]:
        shape = layer["config"].get("batch_input_shape")
        if isinstance(shape, list) and len(shape) in (2, 4) and all(type(size) is int for size in shape[1:]):
            return tuple(shape[1:])
    raise MalformedFileError("no layer says what it takes: want a batch_input_shape of latents or pictures")


def rename(tensors: Mapping[str, Tensor], names: Mapping[str, str], config: Config) -> dict[str, Tensor]:
    """Return the tensors under our names, in torch's layouts.

    Raises:
        MalformedFileError: If a kernel's number of axes doesn't fit its layer.
    """
    ours: dict[str, Tensor] = {}
    for foreign, name in names.items():
        tensor, kind = tensors[foreign], config.layers[int(name.split(".")[1])].kind
        order = _ORDERS.get(kind, ())
        if name.endswith(".weight") and order:
            if tensor.ndim != len(order):
                raise MalformedFileError(f"{foreign} is {list(tensor.shape)}, want {len(order)} axes")
            tensor = tensor.permute(order).contiguous()
        ours[name] = tensor
    return ours


MAX_LAYERS = 1000
MAX_NUMBER = 1e6


def recognises(record: NetworkRecord) -> bool:
    """Return whether the record is a stack of Keras' layers that doesn't end in logits: a generator."""
    return _is_stack(record) and not recognises_discriminator(record)


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Return whether the record is a stack of Keras' layers that ends in a few numbers: a discriminator."""
    return _is_stack(record) and record.attributes["layers"][-1]["class_name"] == "Dense"


def _is_stack(record: NetworkRecord) -> bool:
    layers = record.attributes.get("layers")
    return isinstance(layers, list) and bool(layers) and all(isinstance(layer, dict) for layer in layers)


def generator_from_keras(record: NetworkRecord) -> DCGAN:
    """Build a generator from its record.

    Raises:
        UnknownArchitectureError: If layers or tensors are unknown or missing.
        MalformedFileError: If consecutive layers don't fit, or tensors don't fit them.
    """
    config, tensors = _converted(record, "the Keras DCGAN")
    return assemble(lambda: make_generator(config), tensors)


def discriminator_from_keras(record: NetworkRecord) -> Discriminator:
    """Build a discriminator from its record. Raises the same errors as generator_from_keras."""
    config, tensors = _converted(record, "the Keras DCGAN's discriminator")
    *_, last = config.shapes()
    if len(config.inputs) != 3 or last != (1,):
        raise MalformedFileError(
            f"a discriminator takes a picture and gives a number, got {config.inputs} to {last}"
        )
    return assemble(lambda: Discriminator(config), tensors)


def _converted(record: NetworkRecord, title: str) -> tuple[Config, dict[str, Tensor]]:
    config, names = read_config(record)
    require_fit(record.tensors, names, title)
    return config, rename(record.tensors, names, config)


def make_generator(config: Config) -> DCGAN:
    """Make a generator.

    Raises:
        MalformedFileError: If its layers don't turn latent vectors into pictures.
    """
    wrong = {layer.activation for layer in config.layers} - ACTIVATIONS.keys()
    numbers = [number for layer in config.layers for number in (layer.slope, layer.epsilon)]
    wrong |= {str(number) for number in numbers if not 0 <= number < MAX_NUMBER}
    if wrong or not 0 < len(config.layers) <= MAX_LAYERS or not config.inputs:
        raise MalformedFileError(f"its configuration is out of bounds: {config!r:.300}")
    *_, last = config.shapes()
    picture = len(last) == 3 and 1 <= last[2] <= 4
    if len(config.inputs) != 1 or not picture:
        raise MalformedFileError(f"a generator takes a row of latents and gives a picture, got {last}")
    return DCGAN(config)


def expected_names(record: NetworkRecord) -> Mapping[str, str]:
    """Return the keys of the record's layers; empty if it describes no layers."""
    try:
        return read_config(record)[1] if recognises(record) or recognises_discriminator(record) else {}
    except CheckpointError:
        return {}


KERAS = Reading(
    title="the Keras DCGAN",
    family="Keras DCGANs of NFT hobby projects",
    files=".h5, SavedModel folder, or a zip of one",
    generator=Part(recognises, generator_from_keras, expected_names),
    discriminator=Part(recognises_discriminator, discriminator_from_keras, expected_names),
)
