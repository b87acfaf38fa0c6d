"""Builds StyleGAN3 generators from records and from metagan's own files.

A pickle's discriminator is a StyleGAN2 one, and read as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.architecture import Part, Reading
from metagan.networks.loading.assemble import (
    NameTable,
    Shapes,
    are_positive,
    dense_names,
    fill,
    is_same,
    is_sane,
    mapping_config,
    mapping_names,
    positive,
    require_stated,
    shortened,
)
from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan3.filtering import Pads
from metagan.networks.stylegan3.network import Config, InputConfig, LayerConfig, StyleGAN3

# Official records of StyleGAN3 generators: maps foreign names and metadata to ours.
#
# Unlike StyleGAN2's, StyleGAN3's geometry isn't determined by its tensors: resampling factors, padding and sizes are
# attributes. They must agree with each other, with the layers' names and with the tensors.

MAX_LAYERS = 64
MAX_SIZE = 4608  # 4096 pixels and margins
MAX_FACTOR = 16
MAX_TAPS = 512
_LAYER = re.compile(r"synthesis\.(L(\d{1,3})_(\d{1,5})_(\d{1,5}))\.")

# --------------------------------------------------------------------------------------------
# Names


def generator_names(config: Config, layers: tuple[str, ...]) -> NameTable:
    """Map the name of every tensor of an official generator of this configuration to ours.

    Args:
        config: Its configuration.
        layers: Its layers' names in the file, "L0_36_512".
    """
    mapping = config.mapping
    names = mapping_names(
        len(mapping.widths), conditional=mapping.c_dim > 0, has_mean_style=mapping.has_mean_style
    )
    names |= {
        f"synthesis.input.{name}": f"input.{name}" for name in ("weight", "transform", "freqs", "phases")
    }
    names |= dense_names("synthesis.input.affine", "input.affine")
    for index, (layer, name) in enumerate(zip(config.layers, layers, strict=True)):
        foreign, ours = f"synthesis.{name}", f"layers.{index}"
        names |= dense_names(foreign, ours) | dense_names(f"{foreign}.affine", f"{ours}.affine")
        names[f"{foreign}.magnitude_ema"] = f"{ours}.magnitude"
        names |= {f"{foreign}.up_filter": f"{ours}.up_taps"} if layer.up_taps else {}
        names |= {f"{foreign}.down_filter": f"{ours}.down_taps"} if layer.down_taps else {}
    return names


def layer_names(record: NetworkRecord) -> tuple[str, ...]:
    """Return the layers' names in order, from the tensors' names.

    Raises:
        MalformedFileError: If they aren't layers 0, 1, 2, ..., or the file lists other ones.
    """
    found = {match[1]: int(match[2]) for name in record.tensors if (match := _LAYER.match(name))}
    names = tuple(sorted(found, key=lambda name: found[name]))
    if sorted(found.values()) != list(range(len(found))) or not 0 < len(found) <= MAX_LAYERS:
        msg = f"StyleGAN3's synthesis network has layers {shortened(names) or 'none'}; want L0, L1, ... once each"
        raise MalformedFileError(msg)
    listed = record.attributes.get("synthesis.layer_names", list(names))
    if not isinstance(listed, list) or not _are_names(listed, names):
        shown = shortened(tuple(map(repr, listed))) if isinstance(listed, list) else repr(listed)
        msg = f"the file lists layers {shown:.200}, its tensors are of {shortened(names)}"
        raise MalformedFileError(msg)
    return names


def _are_names(listed: list[Any], names: tuple[str, ...]) -> bool:
    """Return whether a file's list, with entries of any type, equals these names."""
    return len(listed) == len(names) and all(map(is_same, listed, names))


# --------------------------------------------------------------------------------------------
# Shapes


class _Stated:
    """Reads a record's attributes, and reports those that are missing or out of range."""

    def __init__(self, record: NetworkRecord) -> None:
        self.attributes = record.attributes

    def number(self, name: str, low: int, high: int) -> int:
        """Read an integer within bounds."""
        value = self.attributes.get(name)
        if isinstance(value, np.integer):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise self._wrong(name, f"a whole number from {low} to {high}", value)

    def size(self, name: str) -> int:
        """Read width and height, which must be equal."""
        sides = self._list(name)
        if (
            len(sides) == 2
            and type(sides[0]) is int
            and is_same(sides[1], sides[0])
            and 0 < sides[0] <= MAX_SIZE
        ):
            return sides[0]
        raise self._wrong(name, f"one width and height up to {MAX_SIZE}", self.attributes.get(name))

    def pads(self, name: str) -> Pads:
        """Read the padding of four sides."""
        pads = self._list(name)
        if len(pads) == 4 and all(type(pad) is int and abs(pad) <= MAX_TAPS for pad in pads):
            left, right, above, below = pads
            return left, right, above, below
        raise self._wrong(name, f"four pads of at most {MAX_TAPS}", self.attributes.get(name))

    def _list(self, name: str) -> list[Any]:
        value = self.attributes.get(name)
        entries = value.tolist() if isinstance(value, np.ndarray) else value
        return list(entries) if isinstance(entries, list | tuple) else []

    def _wrong(self, name: str, want: str, value: object) -> MalformedFileError:
        if name not in self.attributes:
            return MalformedFileError(
                f"this is a StyleGAN3, and {name} isn't stated",
                fix=(
                    "StyleGAN3 can't be told from its tensors alone: take the network pickle, not "
                    "its state dict"
                ),
            )
        return MalformedFileError(f"want {want}, got {value!r:.60}", where=name)


def generator_config(record: NetworkRecord) -> Config:
    """Infer an official generator's configuration from its tensors and attributes.

    Raises:
        MalformedFileError: If layers are missing, or attributes are out of range or contradict the tensors.
    """
    names, shapes, stated = layer_names(record), Shapes(record), _Stated(record)
    config = Config(
        mapping=mapping_config(shapes),
        input=_input_config(shapes, stated),
        layers=tuple(_layer_config(f"synthesis.{name}", shapes, stated) for name in names),
        output_scale=positive(
            "synthesis.output_scale", record.attributes.get("synthesis.output_scale", 0.25)
        ),
    )
    require_geometry(config)
    require_stated(shapes, _generator_facts(config, names))
    return config


def _input_config(shapes: Shapes, stated: _Stated) -> InputConfig:
    size = stated.size("synthesis.input.size")
    rate = positive("sampling_rate", stated.attributes.get("synthesis.input.sampling_rate"))
    bandwidth = positive("bandwidth", stated.attributes.get("synthesis.input.bandwidth"))
    return InputConfig(shapes.size("synthesis.input.weight", 0), size, rate, bandwidth)


def _layer_config(name: str, shapes: Shapes, stated: _Stated) -> LayerConfig:
    clamp = stated.attributes.get(f"{name}.conv_clamp", 256)
    return LayerConfig(
        in_channels=shapes.size(f"{name}.weight", 1),
        out_channels=shapes.size(f"{name}.weight", 0),
        kernel_size=shapes.size(f"{name}.weight", 2),
        in_size=stated.size(f"{name}.in_size"),
        out_size=stated.size(f"{name}.out_size"),
        up=stated.number(f"{name}.up_factor", 1, MAX_FACTOR),
        down=stated.number(f"{name}.down_factor", 1, MAX_FACTOR),
        up_taps=shapes.shape([f"{name}.up_filter"], ()),
        down_taps=shapes.shape([f"{name}.down_filter"], ()),
        pads=stated.pads(f"{name}.padding"),
        clamp=None if clamp is None else positive(f"{name}.conv_clamp", clamp),
    )


def _generator_facts(config: Config, names: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """Yield the metadata of official generators, with the values that the tensors imply."""
    last, mapping = config.layers[-1], config.mapping
    yield from (("z_dim", mapping.z_dim), ("mapping.z_dim", mapping.z_dim))
    yield from (("c_dim", mapping.c_dim), ("mapping.c_dim", mapping.c_dim))
    yield from (("w_dim", mapping.w_dim), ("mapping.w_dim", mapping.w_dim))
    yield from (("img_resolution", last.out_size), ("synthesis.img_resolution", last.out_size))
    yield from (("img_channels", last.out_channels), ("synthesis.img_channels", last.out_channels))
    yield from (("num_ws", config.num_ws), ("synthesis.num_layers", len(config.layers) - 1))
    yield ("synthesis.input.channels", config.input.channels)
    for name, layer in zip(names, config.layers, strict=True):
        prefix = f"synthesis.{name}"
        yield from (
            (f"{prefix}.in_channels", layer.in_channels),
            (f"{prefix}.out_channels", layer.out_channels),
        )
        yield from ((f"{prefix}.conv_kernel", layer.kernel_size), (f"{prefix}.is_torgb", name == names[-1]))


def require_geometry(config: Config) -> None:
    """Refuse layers that don't fit each other, and sizes that would take long to build.

    Raises:
        MalformedFileError: If there are any. The message names the first ones.
    """
    wrong = list(_misfits(config))
    if wrong:
        raise MalformedFileError(f"the layers' geometry doesn't hold: {'; '.join(wrong[:4])}")


def _misfits(config: Config) -> Iterator[str]:
    size, channels = config.input.size, config.input.channels
    if not 0 < len(config.layers) <= MAX_LAYERS:
        yield f"{len(config.layers)} layers, want 1 to {MAX_LAYERS}"
    if not (
        0 < size <= MAX_SIZE
        and 0 < channels < 2**16
        and are_positive(config.input.bandwidth, config.input.sampling_rate)
        and config.input.bandwidth < config.input.sampling_rate / 2
    ):
        yield f"the input is {config.input!r}"
    if not are_positive(config.output_scale):
        yield f"the pictures are scaled by {config.output_scale}"
    for index, layer in enumerate(config.layers):
        if not _sane(layer):
            yield f"layer {index} is {layer!r:.300}"
            return
        if layer.in_size != size or layer.in_channels != channels:
            yield (
                f"layer {index} takes {layer.in_channels} channels of {layer.in_size}, "
                f"the one before gives {channels} of {size}"
            )
        size, channels = layer.out_size, layer.out_channels
        given = {_length(layer, *layer.pads[:2]), _length(layer, *layer.pads[2:])}
        if given != {size}:
            yield f"layer {index} gives {' by '.join(map(str, sorted(given)))} samples, but states {size}"


def _sane(layer: LayerConfig) -> bool:
    filters = [*layer.up_taps, *layer.down_taps]
    return (
        all(0 < size <= MAX_SIZE for size in (layer.in_size, layer.out_size))
        and all(0 < count < 2**16 for count in (layer.in_channels, layer.out_channels))
        and 0 < layer.kernel_size <= 16
        and all(0 < factor <= MAX_FACTOR for factor in (layer.up, layer.down))
        and all(abs(pad) <= MAX_TAPS for pad in layer.pads)
        and are_positive(layer.clamp)
        and max(len(layer.up_taps), len(layer.down_taps)) <= 2
        and all(0 < taps <= MAX_TAPS for taps in filters)
        and all(len(set(shape)) <= 1 for shape in (layer.up_taps, layer.down_taps))
    )


def _length(layer: LayerConfig, before: int, after: int) -> int:
    """Return the length of an axis after the layer."""
    convolved = layer.in_size + layer.kernel_size - 1
    up_taps, down_taps = (layer.up_taps or (1,))[0], (layer.down_taps or (1,))[0]
    return (convolved * layer.up + before + after - up_taps - down_taps + 1) // layer.down + 1


# Programs based on StyleGAN3's code: keys that only they have, and what metagan doesn't support.
RELATIVES = (
    (
        "mapping.embed_proj.weight",
        "a class-conditional StyleGAN-XL, whose mapping network starts from embeddings of ImageNet's classes and has"
        " a mean style for each class",
    ),
    ("synthesis.init.", "a FastGAN of Projected GAN, whose synthesis network has nothing of StyleGAN's"),
    ("synthesis.se_64.", "a FastGAN of Projected GAN, whose synthesis network has nothing of StyleGAN's"),
)


def recognises(record: NetworkRecord) -> bool:
    """Return whether the record is a StyleGAN3 generator, or one of a program based on its code."""
    return "synthesis.input.freqs" in record.tensors or _relative(record) is not None


def _relative(record: NetworkRecord) -> str | None:
    for key, what in RELATIVES:
        if any(name.startswith(key) for name in record.tensors):
            return what
    return None


def generator_from_official(record: NetworkRecord) -> StyleGAN3:
    """Build a generator from an official record.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown, or a derived program has added parts.
        MalformedFileError: If shapes don't fit together, or the file contradicts itself.
    """
    relative = _relative(record)
    if relative:
        raise UnknownArchitectureError(
            f"this is {relative}: metagan doesn't have that",
            fix=(
                "metagan reads StyleGAN-XL's and Projected GAN's generators where they have "
                "StyleGAN2's or 3's own keys"
            ),
        )
    config = generator_config(record)
    return fill(
        record, generator_names(config, layer_names(record)), "StyleGAN3", lambda: make_generator(config)
    )


def make_generator(config: Config) -> StyleGAN3:
    """Make a generator.

    Raises:
        MalformedFileError: If its geometry is inconsistent, or it would take long to build.
    """
    if not config.mapping.widths or config.mapping.z_dim == 0 or not is_sane(config.mapping):
        raise MalformedFileError(f"the mapping network is out of bounds: {config.mapping!r:.300}")
    require_geometry(config)
    return StyleGAN3(config)


def expected_names(record: NetworkRecord) -> NameTable:
    """Return the keys of an official generator of the record's configuration, or of the smallest if it has none."""
    try:
        return generator_names(generator_config(record), layer_names(record))
    except CheckpointError:
        mapping = MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1))
        layer = LayerConfig(1, 1, 1, 1, 1, 1, 1, (), (), (0, 0, 0, 0))
        return generator_names(Config(mapping, InputConfig(1, 1, 4.0, 1.0), (layer,)), ("L0_1_1",))


OFFICIAL = Reading(
    title="StyleGAN3",
    family="StyleGAN3-T and -R",
    files=".pkl with G, D, G_ema",
    generator=Part(recognises, generator_from_official, expected_names),
)
