"""StyleGAN2 networks from official records: foreign names and metadata to ours.

The tables below list every tensor that an official network has; a name that maps to None is dropped on purpose.
Nothing is taken from a file's metadata that its tensors' shapes don't confirm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.ops import ACTIVATIONS
from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import MAX_RESOLUTION, BlockKind, Config, MappingConfig

NameTable = dict[str, str | None]

# --------------------------------------------------------------------------------------------
# Names


def _dense(foreign: str, ours: str) -> NameTable:
    return {f"{foreign}.weight": f"{ours}.weight", f"{foreign}.bias": f"{ours}.bias"}


def _mapping_names(layers: int, *, conditional: bool, has_mean_style: bool) -> NameTable:
    names: NameTable = {}
    if has_mean_style:
        names["mapping.w_avg"] = "mapping.mean_style"
    if conditional:
        names |= _dense("mapping.embed", "mapping.embed")
    for index in range(layers):
        names |= _dense(f"mapping.fc{index}", f"mapping.layers.{index}")
    return names


def _styled_conv(foreign: str, ours: str, *, up: bool, use_noise: bool) -> NameTable:
    names = _dense(foreign, ours) | _dense(f"{foreign}.affine", f"{ours}.affine")
    names[f"{foreign}.resample_filter"] = (
        f"{ours}.taps" if up else None
    )  # conv1 carries one and never resamples
    if use_noise:
        names |= {
            f"{foreign}.noise_const": f"{ours}.noise",
            f"{foreign}.noise_strength": f"{ours}.noise_strength",
        }
    return names


def generator_names(config: Config) -> NameTable:
    """Every tensor of an official generator of this shape, with our name for it."""
    mapping = config.mapping
    names = _mapping_names(
        len(mapping.widths), conditional=mapping.c_dim > 0, has_mean_style=mapping.has_mean_style
    )
    names["synthesis.b4.const"] = "constant"
    for index in range(len(config.channels)):
        foreign, ours, up = f"synthesis.b{4 * 2**index}", f"blocks.{index}", index > 0
        skips_image = up and config.kind == "skip"
        names[f"{foreign}.resample_filter"] = f"{ours}.image_taps" if skips_image else None
        for conv in ("conv0", "conv1") if up else ("conv1",):
            names |= _styled_conv(
                f"{foreign}.{conv}", f"{ours}.{conv}", up=conv == "conv0", use_noise=config.use_noise
            )
        if config.kind == "skip" or index == len(config.channels) - 1:
            names |= _dense(f"{foreign}.torgb", f"{ours}.to_rgb")
            names |= _dense(f"{foreign}.torgb.affine", f"{ours}.to_rgb.affine")
        if up and config.kind == "resnet":
            names |= {
                f"{foreign}.skip.weight": f"{ours}.skip",
                f"{foreign}.skip.resample_filter": f"{ours}.skip_taps",
            }
    return names


def discriminator_names(config: DiscriminatorConfig) -> NameTable:
    """Every tensor of an official discriminator of this shape, with our name for it."""
    names: NameTable = {}
    if config.label_mapping:
        names |= _mapping_names(len(config.label_mapping.widths), conditional=True, has_mean_style=False)
    blocks = len(config.channels) - 1
    for index in range(blocks):
        foreign, ours = f"b{config.resolution // 2**index}", f"blocks.{index}"
        names[f"{foreign}.resample_filter"] = f"{ours}.image_taps" if config.kind == "skip" else None
        layers = {"conv0": "conv0", "conv1": "conv1"}
        if index == 0 or config.kind == "skip":
            layers["fromrgb"] = "from_rgb"
        for theirs, own in layers.items():
            names |= _dense(f"{foreign}.{theirs}", f"{ours}.{own}")
            names[f"{foreign}.{theirs}.resample_filter"] = f"{ours}.{own}.taps" if theirs == "conv1" else None
        if config.kind == "resnet":
            names |= {
                f"{foreign}.skip.weight": f"{ours}.skip.weight",
                f"{foreign}.skip.resample_filter": f"{ours}.skip.taps",
            }
    layers = {"conv": "conv", "fc": "fc", "out": "out"} | (
        {"fromrgb": "from_rgb"} if config.kind == "skip" else {}
    )
    for theirs, own in layers.items():
        names |= _dense(f"b4.{theirs}", f"epilogue.{own}")
        if theirs in ("conv", "fromrgb"):
            names[f"b4.{theirs}.resample_filter"] = None
    return names


# --------------------------------------------------------------------------------------------
# Shapes


class Shapes:
    """Reads sizes off a record; what isn't there reads as a size no network has, so that it is reported as missing."""

    def __init__(self, record: NetworkRecord) -> None:
        self.tensors = record.tensors
        self.attributes = record.attributes

    def size(self, name: str, axis: int, default: int = 1) -> int:
        """One axis of a tensor."""
        tensor = self.tensors.get(name)
        return default if tensor is None or tensor.ndim <= axis else int(tensor.shape[axis])

    def shape(self, names: Iterable[str], default: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the first of these tensors that is there."""
        return next((tuple(self.tensors[name].shape) for name in names if name in self.tensors), default)

    def block_resolutions(self, prefix: str) -> list[int]:
        """The resolutions of blocks "b4", "b8" ... under a prefix."""
        pattern = re.compile(re.escape(prefix) + r"b(\d{1,6})\.")
        return sorted({int(match[1]) for name in self.tensors if (match := pattern.match(name))})

    def layers(self, stem: str) -> int:
        """How many layers stem0, stem1, ... there are."""
        count = 0
        while f"{stem}{count}.weight" in self.tensors:
            count += 1
        return count

    def stated(self, attribute: str, layers: Iterable[str], default: object) -> Any:
        """The one value that these layers state for an attribute; the default where they state none.

        Raises:
            MalformedFileError: They state different values.
        """
        found = {
            repr(value): value
            for layer in layers
            for value in [self.attributes.get(f"{layer}.{attribute}", default)]
        }
        if len(found) > 1:
            msg = f"layers disagree about {attribute}: {', '.join(sorted(found))}; metagan wants one for all of them"
            raise MalformedFileError(msg)
        return next(iter(found.values()), default)


def _activation(shapes: Shapes, layers: Iterable[str]) -> str:
    """The activation that all the named layers state."""
    name = shapes.stated("activation", layers, "lrelu")
    if isinstance(name, str) and name in ACTIVATIONS:
        return name
    msg = f"unknown activation {name!r:.60}; want one of {', '.join(ACTIVATIONS)}"
    raise MalformedFileError(msg)


def _clamp(shapes: Shapes, layers: Iterable[str]) -> float | None:
    """The bound of their output that all the named layers state."""
    clamp = shapes.stated("conv_clamp", layers, None)
    return None if clamp is None else positive("conv_clamp", clamp)


def positive(name: str, value: object) -> float:
    """A number above 0 that a file states.

    Raises:
        MalformedFileError: It is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
        return float(value)
    msg = f"{name}: want a number above 0, got {value!r:.60}"
    raise MalformedFileError(msg)


def _mapping_config(shapes: Shapes, z_dim: int | None = None) -> MappingConfig:
    layers = shapes.layers("mapping.fc")
    c_dim, embed_dim = shapes.size("mapping.embed.weight", 1, 0), shapes.size("mapping.embed.weight", 0, 0)
    width_in = shapes.size("mapping.fc0.weight", 1)
    names = [f"mapping.fc{index}" for index in range(layers)]
    wanted = layers if z_dim == 0 else max(layers, 1)
    return MappingConfig(
        z_dim=width_in - embed_dim if z_dim is None else z_dim,
        c_dim=c_dim,
        embed_dim=embed_dim,
        widths=tuple(shapes.size(f"mapping.fc{index}.weight", 0) for index in range(wanted)),
        activation=_activation(shapes, names),
        lr_multiplier=positive("bias_gain", shapes.stated("bias_gain", names, 0.01)),
        has_mean_style="mapping.w_avg" in shapes.tensors,
    )


def _kind(shapes: Shapes, first: str, skip: str, resolutions: list[int]) -> BlockKind:
    if len(resolutions) > 1 and f"{first}.weight" in shapes.tensors:
        return "skip"
    return "resnet" if any(skip in name for name in shapes.tensors) else "orig"


def _require_resolutions(resolutions: list[int], where: str) -> None:
    want = [4 * 2**index for index in range(len(resolutions))]
    if resolutions != want or not resolutions or resolutions[-1] > MAX_RESOLUTION:
        msg = f"{where} has blocks of resolution {resolutions}; want 4, 8, ... up to at most {MAX_RESOLUTION}"
        raise MalformedFileError(msg)


def generator_config(record: NetworkRecord) -> Config:
    """The shape of an official generator, from its tensors.

    Raises:
        MalformedFileError: Blocks aren't 4, 8, 16, ..., or what the file states contradicts its tensors.
    """
    shapes = Shapes(record)
    resolutions = shapes.block_resolutions("synthesis.")
    _require_resolutions(resolutions, "the synthesis network")
    last = f"synthesis.b{resolutions[-1]}"
    convs = [f"synthesis.b{res}.conv0" for res in resolutions[1:]]
    filters = [f"{conv}.resample_filter" for conv in convs]
    convs += [f"synthesis.b{res}.conv1" for res in resolutions]
    config = Config(
        mapping=_mapping_config(shapes),
        channels=tuple(shapes.size(f"synthesis.b{res}.conv1.weight", 0) for res in resolutions),
        image_channels=shapes.size(f"{last}.torgb.weight", 0),
        kind=_kind(shapes, "synthesis.b4.torgb", ".skip.", resolutions),
        activation=_activation(shapes, convs),
        kernel_size=shapes.size("synthesis.b4.conv1.weight", 2, 3),
        filter_shape=shapes.shape(filters, (4, 4)),
        clamp=_clamp(shapes, [*convs, f"{last}.torgb"]),
        use_noise=any(name.endswith(".noise_const") for name in record.tensors),
    )
    _require_stated(shapes, _generator_facts(config))
    return config


def _generator_facts(config: Config) -> Iterator[tuple[str, int]]:
    """What official generators state of themselves, as the tensors have it."""
    yield from (("z_dim", config.mapping.z_dim), ("mapping.z_dim", config.mapping.z_dim))
    yield from (("c_dim", config.mapping.c_dim), ("mapping.c_dim", config.mapping.c_dim))
    yield from (("w_dim", config.mapping.w_dim), ("mapping.w_dim", config.mapping.w_dim))
    yield from (("img_resolution", config.resolution), ("synthesis.img_resolution", config.resolution))
    yield from (("img_channels", config.image_channels), ("synthesis.img_channels", config.image_channels))
    yield from (("num_ws", config.num_ws), ("mapping.num_layers", len(config.mapping.widths)))


def _require_stated(shapes: Shapes, facts: Iterable[tuple[str, int]]) -> None:
    wrong = [
        f"{name} is {shapes.attributes[name]!r:.40}, its tensors say {value}"
        for name, value in facts
        if name in shapes.attributes and not _is(shapes.attributes[name], value)
    ]
    if wrong:
        msg = f"the file contradicts itself: {'; '.join(wrong)}"
        raise MalformedFileError(msg)


def _is(stated: object, value: object) -> bool:
    """Whether a value of the file's, of any type, is this one; arrays are never."""
    return isinstance(stated, bool | int | float | str) and stated == value


def discriminator_config(record: NetworkRecord) -> DiscriminatorConfig:
    """The shape of an official discriminator, from its tensors.

    Raises:
        MalformedFileError: Blocks aren't 4, 8, 16, ..., or what the file states contradicts its tensors.
    """
    shapes = Shapes(record)
    resolutions = shapes.block_resolutions("")
    _require_resolutions(resolutions, "the discriminator")
    conditional = "mapping.embed.weight" in record.tensors
    top = f"b{resolutions[-1]}"
    channels = [shapes.size(f"b{res}.conv1.weight", 1) for res in reversed(resolutions[1:])]
    channels.append(shapes.size("b4.conv.weight", 0))
    convs = [f"b{res}.{conv}" for res in resolutions[1:] for conv in ("conv0", "conv1")]
    config = DiscriminatorConfig(
        channels=tuple(channels),
        image_channels=shapes.size(f"{top}.fromrgb.weight", 1),
        kind=_kind(shapes, "b4.fromrgb", ".skip.", resolutions),
        activation=_activation(shapes, convs),
        last_activation=_activation(shapes, ["b4.conv", "b4.fc"]),
        kernel_size=shapes.size("b4.conv.weight", 2, 3),
        filter_shape=shapes.shape(
            [f"{conv}.resample_filter" for conv in convs if conv.endswith("1")], (4, 4)
        ),
        clamp=_clamp(shapes, [*convs, f"{top}.fromrgb", "b4.conv"]),
        group_size=_group_size(shapes),
        std_channels=shapes.size("b4.conv.weight", 1) - channels[-1],
        label_mapping=_mapping_config(shapes, z_dim=0) if conditional else None,
    )
    c_dim = config.label_mapping.c_dim if config.label_mapping else 0
    _require_stated(shapes, [("img_resolution", config.resolution), ("c_dim", c_dim)])
    return config


def _group_size(shapes: Shapes) -> int | None:
    size = shapes.attributes.get("b4.mbstd.group_size", 4)
    if size is None or (isinstance(size, int) and 0 < size <= 2**16):
        return size
    msg = f"b4.mbstd.group_size: want a number of pictures or None, got {size!r:.40}"
    raise MalformedFileError(msg)


def rename(tensors: Mapping[str, Tensor], names: NameTable) -> dict[str, Tensor]:
    """The tensors under our names, the dropped ones left out."""
    return {
        ours: tensors[foreign] for foreign, ours in names.items() if ours is not None and foreign in tensors
    }
