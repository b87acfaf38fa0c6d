"""Builds StyleGAN2 networks from official records and from metagan's own files, and converts generators back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError
from metagan.networks.loading.architecture import Official, Part, Reading
from metagan.networks.loading.fields import NameTable, fill
from metagan.networks.ops import make_taps, usual_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats.limits import make_discriminator, make_generator
from metagan.networks.stylegan2.formats.names import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
)
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2

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
    """Build a generator from an official record (StyleGAN2-ADA, and StyleGAN2 of the StyleGAN3 code; see FORMATS).

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
