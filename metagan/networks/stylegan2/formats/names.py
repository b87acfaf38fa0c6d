"""StyleGAN2 networks from official records: foreign names and metadata to ours.

Blocks are named by their number of pixels in a square network, b4, b8, ..., and so they are in programs whose learned
constant is no square of 4x4: names count blocks, and only the constant's shape tells the pictures' size.

The tables below list every tensor that an official network has; a name that maps to None is dropped on purpose.
A file's metadata are only used if its tensors' shapes confirm them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.loading.fields import (
    NameTable,
    OneOf,
    Shapes,
    dense_names,
    mapping_config,
    mapping_names,
    rename,
    require_stated,
    stated_activation,
    stated_clamp,
)
from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import MAX_RESOLUTION, BlockKind, Config
from metagan.values import Size

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
