"""StyleGAN2 networks from official records and from metagan's own files, and generators back to the official layout.

Blocks are named by their number of pixels in a square network, b4, b8, ..., and so they are in programs whose learned
constant is no square of 4x4: names count blocks, and only the constant's shape tells the pictures' size.

The tables of names list every tensor that an official network has; a name that maps to None is dropped on purpose.
A file's metadata are only used if its tensors' shapes confirm them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.loading.architecture import Official, Part, Reading
from metagan.networks.loading.assemble import (
    NameTable,
    OneOf,
    Shapes,
    are_positive,
    are_sizes,
    dense_names,
    fill,
    is_sane,
    mapping_config,
    mapping_names,
    rename,
    require_stated,
    stated_activation,
    stated_clamp,
)
from metagan.networks.ops import ACTIVATIONS, make_taps, usual_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import MAX_RESOLUTION, BlockKind, Config, MappingConfig, StyleGAN2
from metagan.values import Size

# --------------------------------------------------------------------------------------------
# Limits: configurations that are consistent with their tensors but out of range are refused before a network is built.


def make_generator(config: Config) -> StyleGAN2:
    """Make a generator.

    Raises:
        MalformedFileError: If sizes, kernels or activations are out of range, or it would take long to build.
    """
    mapping = config.mapping
    sane = (
        config.channels
        and are_sizes(*config.constant)
        and config.size.longest <= MAX_RESOLUTION
        and mapping.widths
        and mapping.z_dim > 0
        and is_sane(mapping)
        and are_sizes(*config.channels, config.image_channels)
        and _are_kernels(config.kernel_size, config.filter_shape)
        and config.activation in ACTIVATIONS
        and are_positive(config.clamp)
    )
    if not sane:
        msg = f"its configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)
    return StyleGAN2(config)


def make_discriminator(config: DiscriminatorConfig) -> Discriminator:
    """Make a discriminator. Raises the same errors as make_generator."""
    sane = (
        config.channels
        and are_sizes(*config.last_px)
        and config.size.longest <= MAX_RESOLUTION
        and (config.label_mapping is None or is_sane(config.label_mapping))
        and are_sizes(*config.channels, config.image_channels)
        and _are_kernels(config.kernel_size, config.filter_shape)
        and {config.activation, config.last_activation} <= ACTIVATIONS.keys()
        and 0 <= config.std_channels <= config.channels[-1]
        and (config.std_channels == 0 or config.channels[-1] % config.std_channels == 0)
    )
    if not sane:
        msg = f"its configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)
    return Discriminator(config)


def _are_kernels(kernel_size: int, filter_shape: tuple[int, ...]) -> bool:
    """Return whether the kernel size is odd, and the filter is one-dimensional or square."""
    square = len(filter_shape) in (1, 2) and len(set(filter_shape)) == 1
    return kernel_size % 2 == 1 and square and are_sizes(kernel_size, *filter_shape)


__all__ = [
    "NameTable",
    "Shapes",
    "discriminator_config",
    "discriminator_names",
    "generator_config",
    "generator_names",
    "rename",
]

# --------------------------------------------------------------------------------------------
# Names


def _styled_conv(foreign: str, ours: str, *, up: bool, use_noise: bool) -> NameTable:
    names = dense_names(foreign, ours) | dense_names(f"{foreign}.affine", f"{ours}.affine")
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
    """Map the name of every tensor of an official generator of this configuration to ours."""
    mapping = config.mapping
    names = mapping_names(
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
            names |= dense_names(f"{foreign}.torgb", f"{ours}.to_rgb")
            names |= dense_names(f"{foreign}.torgb.affine", f"{ours}.to_rgb.affine")
        if up and config.kind == "resnet":
            names |= {
                f"{foreign}.skip.weight": f"{ours}.skip",
                f"{foreign}.skip.resample_filter": f"{ours}.skip_taps",
            }
    return names


def discriminator_names(config: DiscriminatorConfig) -> NameTable:
    """Map the name of every tensor of an official discriminator of this configuration to ours."""
    names: NameTable = {}
    if config.label_mapping:
        names |= mapping_names(len(config.label_mapping.widths), conditional=True, has_mean_style=False)
    blocks = len(config.channels) - 1
    for index in range(blocks):
        foreign, ours = f"b{4 * 2 ** (blocks - index)}", f"blocks.{index}"
        names[f"{foreign}.resample_filter"] = f"{ours}.image_taps" if config.kind == "skip" else None
        layers = {"conv0": "conv0", "conv1": "conv1"}
        if index == 0 or config.kind == "skip":
            layers["fromrgb"] = "from_rgb"
        for theirs, own in layers.items():
            names |= dense_names(f"{foreign}.{theirs}", f"{ours}.{own}")
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
        names |= dense_names(f"b4.{theirs}", f"epilogue.{own}")
        if theirs in ("conv", "fromrgb"):
            names[f"b4.{theirs}.resample_filter"] = None
    return names


# --------------------------------------------------------------------------------------------
# Shapes


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
    """Infer an official generator's configuration from its tensors.

    Raises:
        MalformedFileError: If blocks aren't 4, 8, 16, ..., or the file's metadata contradict its tensors.
    """
    shapes = Shapes(record)
    resolutions = shapes.block_resolutions("synthesis.")
    _require_resolutions(resolutions, "StyleGAN2's synthesis network")
    last = f"synthesis.b{resolutions[-1]}"
    convs = [f"synthesis.b{res}.conv0" for res in resolutions[1:]]
    filters = [f"{conv}.resample_filter" for conv in convs]
    convs += [f"synthesis.b{res}.conv1" for res in resolutions]
    config = Config(
        mapping=mapping_config(shapes),
        channels=tuple(shapes.size(f"synthesis.b{res}.conv1.weight", 0) for res in resolutions),
        image_channels=shapes.size(f"{last}.torgb.weight", 0),
        kind=_kind(shapes, "synthesis.b4.torgb", ".skip.", resolutions),
        activation=stated_activation(shapes, convs),
        kernel_size=shapes.size("synthesis.b4.conv1.weight", 2, 3),
        filter_shape=shapes.shape(filters, (4, 4)),
        clamp=stated_clamp(shapes, [*convs, f"{last}.torgb"]),
        use_noise=any(name.endswith(".noise_const") for name in record.tensors),
        constant=(shapes.size("synthesis.b4.const", 1, 4), shapes.size("synthesis.b4.const", 2, 4)),
    )
    require_stated(shapes, _generator_facts(config))
    return config


def stated_sizes(size: Size, blocks: int) -> OneOf:
    """Return what programs may state as the resolution: of a rectangular network, any of its sides and their pair.

    Some count blocks by it: it is what a network of so many blocks would have if it began with 4x4.
    """
    pair = (size.height, size.width)
    if size == Size.square(2 ** (blocks + 1)):
        return OneOf((size.width, pair), size.as_option)
    return OneOf((2 ** (blocks + 1), *pair, pair, tuple(size)), str(size))


def _generator_facts(config: Config) -> Iterator[tuple[str, object]]:
    """Yield the metadata of official generators, with the values that the tensors imply."""
    yield from (("z_dim", config.mapping.z_dim), ("mapping.z_dim", config.mapping.z_dim))
    yield from (("c_dim", config.mapping.c_dim), ("mapping.c_dim", config.mapping.c_dim))
    yield from (("w_dim", config.mapping.w_dim), ("mapping.w_dim", config.mapping.w_dim))
    sizes = stated_sizes(config.size, len(config.channels))
    yield from (("img_resolution", sizes), ("synthesis.img_resolution", sizes))
    yield from (("init_res", config.constant), ("synthesis.init_res", config.constant))
    yield from (("img_channels", config.image_channels), ("synthesis.img_channels", config.image_channels))
    yield from (("num_ws", config.num_ws), ("mapping.num_layers", len(config.mapping.widths)))


def discriminator_config(record: NetworkRecord, stated_px: object = None) -> DiscriminatorConfig:
    """Infer an official discriminator's configuration from its tensors.

    Args:
        record: The discriminator.
        stated_px: Height and width of its last features, if its file states them elsewhere than official files.

    Raises:
        MalformedFileError: If blocks aren't 4, 8, 16, ..., or the file's metadata contradict its tensors.
    """
    shapes = Shapes(record)
    resolutions = shapes.block_resolutions("")
    _require_resolutions(resolutions, "StyleGAN2's discriminator")
    conditional = "mapping.embed.weight" in record.tensors
    top = f"b{resolutions[-1]}"
    channels = [shapes.size(f"b{res}.conv1.weight", 1) for res in reversed(resolutions[1:])]
    channels.append(shapes.size("b4.conv.weight", 0))
    convs = [f"b{res}.{conv}" for res in resolutions[1:] for conv in ("conv0", "conv1")]
    config = DiscriminatorConfig(
        channels=tuple(channels),
        image_channels=shapes.size(f"{top}.fromrgb.weight", 1),
        kind=_kind(shapes, "b4.fromrgb", ".skip.", resolutions),
        activation=stated_activation(shapes, convs),
        last_activation=stated_activation(shapes, ["b4.conv", "b4.fc"]),
        kernel_size=shapes.size("b4.conv.weight", 2, 3),
        filter_shape=shapes.shape(
            [f"{conv}.resample_filter" for conv in convs if conv.endswith("1")], (4, 4)
        ),
        clamp=stated_clamp(shapes, [*convs, f"{top}.fromrgb", "b4.conv"]),
        group_size=_group_size(shapes),
        std_channels=shapes.size("b4.conv.weight", 1) - channels[-1],
        label_mapping=mapping_config(shapes, z_dim=0) if conditional else None,
        last_px=_last_px(shapes, stated_px or shapes.attributes.get("b4.init_res")),
    )
    c_dim = config.label_mapping.c_dim if config.label_mapping else 0
    sizes = stated_sizes(config.size, len(config.channels))
    require_stated(shapes, [("img_resolution", sizes), ("c_dim", c_dim)])
    return config


def _last_px(shapes: Shapes, stated: object) -> tuple[int, int]:
    """Return height and width of a discriminator's last features.

    Its tensors tell only their product, by the width of the dense layer on them; the sides are equal unless the file
    states others.

    Args:
        shapes: The discriminator.
        stated: Height and width as the file states them, or None.

    Raises:
        MalformedFileError: If the product is no square, and the file doesn't state the sides.
    """
    channels = max(shapes.size("b4.conv.weight", 0), 1)
    pixels = shapes.size("b4.fc.weight", 1, 16 * channels) / channels
    if isinstance(stated, list | tuple) and len(stated) == 2 and all(type(side) is int for side in stated):
        height, width = stated
        if height > 0 and width > 0 and height * width == pixels:
            return height, width
    side = math.isqrt(int(pixels))
    if stated is None and side**2 == pixels:
        return side, side
    says = "doesn't say" if stated is None else f"says {stated!r:.40} for"
    raise MalformedFileError(
        f"b4.fc.weight takes {pixels:g} pixels of a channel, and the file {says} their height and width"
    )


def _group_size(shapes: Shapes) -> int | None:
    size = shapes.attributes.get("b4.mbstd.group_size", 4)
    if size is None or (type(size) is int and 0 < size <= 2**16):
        return size
    msg = f"b4.mbstd.group_size: want a number of pictures or None, got {size!r:.40}"
    raise MalformedFileError(msg)


# --------------------------------------------------------------------------------------------
# Builds StyleGAN2 networks from official records and from metagan's own files, and converts generators back.

# Converts a StyleGAN2 generator to the official layout, for `load_state_dict` of the official code.
#
# The official classes have filters that they never use; metagan drops them on reading. They are restored here: blocks
# get the network's filter, with which they are constructed, and layers that don't resample get the default one.

_CONSTANT = re.compile(r"synthesis\.b(\d{1,4})\.const")
_BLOCK = re.compile(r"(synthesis\.b)(\d{1,6})(?=\.)")
USUAL = {
    "architecture": "skip",
    "activation": "lrelu",
    "kernel_size": 3,
    "use_noise": True,
    "conv_clamp": None,
}


def to_official(network: nn.Module) -> Official:
    """Return the official state dict of a StyleGAN2 generator, and the constructor arguments of its class.

    Args:
        network: A StyleGAN2.
    """
    if not isinstance(network, StyleGAN2):
        raise TypeError(f"want a StyleGAN2, got {type(network).__name__}")
    tensors, config = network.state_dict(), network.config
    usual = usual_taps((4, 4))
    own = tensors.get("blocks.1.conv0.taps", usual)
    state = {}
    for foreign, ours in generator_names(config).items():
        unused = usual if foreign.endswith(".conv1.resample_filter") else own
        state[foreign] = _copied(unused if ours is None else tensors[ours])
    height, width = config.constant
    note = f"it begins with {height}x{width} pixels; forks take that as init_res, the authors' class begins with 4x4"
    return Official(state, _arguments(config, own), notes=() if config.constant == (4, 4) else (note,))


def _copied(tensor: Tensor) -> Tensor:
    """Copy a tensor to its own memory; saving a view would store all of its storage."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _arguments(config: Config, taps: Tensor) -> dict[str, Any]:
    mapping = config.mapping
    # The authors' class draws squares from a 4x4 constant; forks that draw others call the constant's size init_res.
    rectangular = {} if config.constant == (4, 4) else {"init_res": list(config.constant)}
    return rectangular | {
        "z_dim": mapping.z_dim,
        "c_dim": mapping.c_dim,
        "w_dim": mapping.w_dim,
        "img_resolution": 2 ** (len(config.channels) + 1),
        "img_channels": config.image_channels,
        "mapping_kwargs": _mapping_arguments(config),
        "synthesis_kwargs": _synthesis_arguments(config, taps),
    }


def _mapping_arguments(config: Config) -> dict[str, Any]:
    mapping = config.mapping
    said: dict[str, Any] = {"num_layers": len(mapping.widths)}
    if mapping.c_dim and mapping.embed_dim != mapping.w_dim:
        said["embed_features"] = mapping.embed_dim
    if set(mapping.widths[:-1]) - {mapping.w_dim}:
        said["layer_features"] = mapping.widths[0]
    if mapping.activation != "lrelu":
        said["activation"] = mapping.activation
    if mapping.lr_multiplier != 0.01:
        said["lr_multiplier"] = mapping.lr_multiplier
    if not mapping.has_mean_style:
        said["w_avg_beta"] = None
    return said


def _synthesis_arguments(config: Config, taps: Tensor) -> dict[str, Any]:
    said: dict[str, Any] = dict(_channel_arguments(config.channels))
    values = {
        "architecture": config.kind, "activation": config.activation, "kernel_size": config.kernel_size,
        "use_noise": config.use_noise, "conv_clamp": config.clamp,
    }  # fmt: skip
    said |= {name: value for name, value in values.items() if value != USUAL[name]}
    if not torch.equal(taps, make_taps((1, 3, 3, 1))):
        said["resample_filter"] = [1] * len(taps)  # any filter of this length: the state dict has its values
    return said


def _channel_arguments(channels: tuple[int, ...]) -> Mapping[str, int]:
    """Return channel_base and channel_max, where channels are min(base // r, max); empty if none give these."""
    most = max(channels)
    resolutions = [4 * 2**index for index in range(len(channels))]
    base = max(count * size_px for count, size_px in zip(channels, resolutions, strict=True))
    given = tuple(min(base // size_px, most) for size_px in resolutions)
    return {"channel_base": base, "channel_max": most} if given == channels else {}


def recognises(record: NetworkRecord) -> bool:
    """Return whether the record is a StyleGAN2 generator: it has a synthesis network of blocks by resolution."""
    return any(name.startswith("synthesis.b4.") or _CONSTANT.fullmatch(name) for name in record.tensors)


def _numbered_from_4(record: NetworkRecord) -> NetworkRecord:
    """Rename the blocks of a generator that begins with a larger constant, b8, b16, ..., to b4, b8, ..."""
    numbers = [int(match[1]) for name in record.tensors if (match := _CONSTANT.fullmatch(name))]
    if len(numbers) != 1 or numbers[0] == 4:
        return record
    first = numbers[0]

    def rename(name: str) -> str:
        match = _BLOCK.match(name)
        if match is None or int(match[2]) % first:
            return name
        return f"{match[1]}{4 * int(match[2]) // first}{name[match.end() :]}"

    tensors, attributes = (
        {rename(name): value for name, value in of.items()} for of in (record.tensors, record.attributes)
    )
    return dataclasses.replace(record, tensors=tensors, attributes=attributes)


def generator_from_official(record: NetworkRecord) -> StyleGAN2:
    """Build a generator from an official record (StyleGAN2-ADA, and StyleGAN2 of the StyleGAN3 code).

    Raises:
        UnknownArchitectureError: If keys are missing or unknown.
        MalformedFileError: If shapes don't fit together, or the file contradicts itself.
    """
    record = _numbered_from_4(record)
    config = generator_config(record)
    return fill(record, generator_names(config), "StyleGAN2", lambda: make_generator(config))


def discriminator_from_official(record: NetworkRecord) -> Discriminator:
    """Build a discriminator from an official record. Raises the same errors as generator_from_official."""
    config = discriminator_config(record)
    title = "StyleGAN2's discriminator"
    return fill(record, discriminator_names(config), title, lambda: make_discriminator(config))


def expected_names(record: NetworkRecord) -> NameTable:
    """Return the keys of an official generator of the record's configuration, or of the smallest if it has none."""
    try:
        return generator_names(generator_config(record))
    except CheckpointError:
        mapping = MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1))
        return generator_names(Config(mapping, channels=(1, 1)))


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Return whether the record is an official discriminator: blocks by resolution, and no synthesis network."""
    return "b4.conv.weight" in record.tensors


def expected_discriminator_names(record: NetworkRecord) -> NameTable:
    """Return the keys of an official discriminator of the record's configuration, or of the smallest."""
    try:
        return discriminator_names(discriminator_config(record))
    except CheckpointError:
        return discriminator_names(DiscriminatorConfig(channels=(1, 1)))


def _notes(record: NetworkRecord) -> tuple[str, ...]:
    if record.attributes:
        return ()
    return (
        "a bare state dict doesn't say how its layers are activated, clamped and scaled; metagan takes the usual",
    )


OFFICIAL = Reading(
    title="StyleGAN2",
    family="stylegan2-ada-pytorch, and StyleGAN2 written by the stylegan3 code",
    files=".pkl with G, D, G_ema or one network; .pt with state dicts",
    generator=Part(recognises, generator_from_official, expected_names),
    notes=_notes,
    discriminator=Part(recognises_discriminator, discriminator_from_official, expected_discriminator_names),
)
