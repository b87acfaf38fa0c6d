"""Builds networks of lucidrains' stylegan2-pytorch from records and from metagan's own files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.loading.architecture import Part, Reading
from metagan.networks.loading.assemble import (
    NameTable,
    are_sizes,
    assemble,
    fill,
    rename,
    require_fit,
    shortened,
)
from metagan.networks.lucidrains.discriminator import DiscriminatorConfig, LucidrainsDiscriminator
from metagan.networks.lucidrains.layers import HEAD_WIDTH
from metagan.networks.lucidrains.network import Config, LucidrainsStyleGAN2
from metagan.networks.lucidrains.network import Mapping as MappingNetwork
from metagan.networks.mapping import MEAN_STYLE_NOTE, mean_style

# Networks of lucidrains' stylegan2-pytorch from its checkpoints: its names and options to ours.
#
# Sizes come from tensors' shapes. Of the options in the `.config.json` beside a checkpoint only `lr_mlp` tells more
# than
# the tensors do; the others must agree with them.

MAX_LAYERS = 64
MAX_BLOCKS = 12
USUAL_LR = 0.1
# Options that don't matter after training, or that follow from the tensors' shapes.
SILENT = {"network_capacity", "fq_dict_size", "fmap_max", "latent_dim", "style_depth"}
SPOKEN = {"image_size", "lr_mlp", "transparent", "attn_layers", "no_const", "fq_layers"}

# --------------------------------------------------------------------------------------------
# Names


def _layer(foreign: str, ours: str) -> NameTable:
    return {f"{foreign}.weight": f"{ours}.weight", f"{foreign}.bias": f"{ours}.bias"}


def _attention_names(foreign: str, ours: str) -> NameTable:
    first, second = f"{foreign}.0.fn", f"{foreign}.1.fn"
    names: NameTable = {
        f"{first}.fn.to_q.weight": f"{ours}.attention.to_query.weight",
        f"{first}.fn.to_kv.net.0.weight": f"{ours}.attention.spread.weight",
        f"{first}.fn.to_kv.net.1.weight": f"{ours}.attention.to_key_value.weight",
    }
    names |= _layer(f"{first}.fn.to_out", f"{ours}.attention.to_out")
    names |= _layer(f"{second}.fn.0", f"{ours}.widen") | _layer(f"{second}.fn.2", f"{ours}.narrow")
    for norm, step in (("norm1", first), ("norm2", second)):
        names |= {f"{step}.norm.g": f"{ours}.{norm}.scale", f"{step}.norm.b": f"{ours}.{norm}.shift"}
    return names


def prefixes(record: NetworkRecord) -> tuple[str, str]:
    """Return the key prefixes of mapping and synthesis network: those of the moving average, or of the raw one."""
    return ("SE.", "GE.") if any(name.startswith("GE.") for name in record.tensors) else ("S.", "G.")


def generator_names(config: Config, mapping: str, synthesis: str) -> NameTable:
    """Map the name of every tensor of a generator of this configuration to ours.

    Args:
        config: The configuration.
        mapping: Prefix of the mapping network's names.
        synthesis: Prefix of the synthesis network's names.
    """
    names: NameTable = {}
    for index in range(config.depth):
        names |= _layer(f"{mapping}net.{2 * index}", f"mapping.layers.{index}")
    first = "initial_block" if config.has_constant else "to_initial_block.weight"
    names[f"{synthesis}{first}"] = "constant"
    names |= _layer(f"{synthesis}initial_conv", "initial")
    for index in range(config.blocks):
        names |= _block_names(f"{synthesis}blocks.{index}", f"blocks.{index}")
        if index < config.blocks - 1:
            names[f"{synthesis}blocks.{index}.to_rgb.upsample.1.f"] = f"blocks.{index}.blur.taps"
        if index in config.attention:
            names |= _attention_names(f"{synthesis}attns.{index}", f"blocks.{index}.attention")
    return names


def _block_names(foreign: str, ours: str) -> NameTable:
    names: NameTable = {}
    for number in (1, 2):
        conv = f"{ours}.conv{number}"
        names |= _layer(f"{foreign}.to_style{number}", f"{conv}.to_style")
        names |= _layer(f"{foreign}.to_noise{number}", f"{conv}.from_noise")
        names[f"{foreign}.conv{number}.weight"] = f"{conv}.weight"
    names |= _layer(f"{foreign}.to_rgb.to_style", f"{ours}.to_rgb.to_style")
    names[f"{foreign}.to_rgb.conv.weight"] = f"{ours}.to_rgb.weight"
    return names


def discriminator_names(config: DiscriminatorConfig) -> NameTable:
    """Map the name of every tensor of a discriminator of this configuration to ours."""
    names: NameTable = {}
    quantized = dict(config.quantized)
    for index in range(len(config.channels)):
        foreign, ours = f"D.blocks.{index}", f"blocks.{index}"
        names |= _layer(f"{foreign}.conv_res", f"{ours}.skip")
        names |= _layer(f"{foreign}.net.0", f"{ours}.conv1") | _layer(f"{foreign}.net.2", f"{ours}.conv2")
        if index < len(config.channels) - 1:
            names[f"{foreign}.downsample.0.f"] = f"{ours}.blur.taps"
            names |= _layer(f"{foreign}.downsample.1", f"{ours}.down")
        if index in config.attention:
            names |= _attention_names(f"D.attn_blocks.{index}", f"{ours}.attention")
        if index in quantized:
            stem = f"D.quantize_blocks.{index}.fn"
            names |= {f"{stem}.embed": f"{ours}.quantize.entries"}
            names |= {
                f"{stem}.cluster_size": None,
                f"{stem}.embed_avg": None,
            }  # only needed for further training
    return names | _layer("D.final_conv", "conv") | _layer("D.to_logit", "to_logit")


# --------------------------------------------------------------------------------------------
# Shapes


def _size(tensors: Mapping[str, Tensor], name: str, axis: int) -> int:
    """Return the size of one axis of a tensor; 1 if it doesn't exist, so that it is reported as missing."""
    tensor = tensors.get(name)
    return 1 if tensor is None or tensor.ndim <= axis else int(tensor.shape[axis])


def _run(tensors: Mapping[str, Tensor], names: Iterable[str]) -> int:
    """Return how many of these tensors exist before the first missing one."""
    return sum(1 for _ in takewhile(tensors.__contains__, names))


def _indices(tensors: Mapping[str, Tensor], name: str, blocks: int) -> tuple[int, ...]:
    return tuple(index for index in range(blocks) if name.format(index) in tensors)


def _heads(tensors: Mapping[str, Tensor], name: str, blocks: tuple[int, ...]) -> int:
    return _size(tensors, name.format(blocks[0]), 0) // HEAD_WIDTH if blocks else 8


def generator_config(record: NetworkRecord) -> Config:
    """Infer a generator's configuration from its tensors and the options beside the file.

    Raises:
        MalformedFileError: If the options are invalid, or contradict the tensors.
    """
    tensors, (mapping, synthesis) = record.tensors, prefixes(record)
    layers = (
        f"{mapping}net.{2 * index}.weight" for index in range(MAX_LAYERS)
    )  # odd indices are activations
    blocks = max(1, _run(tensors, (f"{synthesis}blocks.{i}.conv1.weight" for i in range(MAX_BLOCKS))))
    query = f"{synthesis}attns.{{}}.0.fn.fn.to_q.weight"
    attention = _indices(tensors, query, blocks)
    options = _options(record)
    config = Config(
        z_dim=_size(tensors, f"{mapping}net.0.weight", 1),
        depth=max(1, _run(tensors, layers)),
        channels=tuple(_channels(tensors, synthesis, blocks)),
        image_channels=_size(tensors, f"{synthesis}blocks.0.to_rgb.conv.weight", 0),
        attention=attention,
        heads=max(1, _heads(tensors, query, attention)),
        has_constant=f"{synthesis}to_initial_block.weight" not in tensors,
        lr_multiplier=_learning_rate(options),
    )
    facts = {"image_size": config.resolution, "transparent": config.image_channels == 4}
    facts |= {"no_const": not config.has_constant}
    _require_agreement(options, facts, blocks, config.attention)
    return config


def _channels(tensors: Mapping[str, Tensor], synthesis: str, blocks: int) -> Iterator[int]:
    yield _size(tensors, f"{synthesis}initial_conv.weight", 0)
    for index in range(blocks):
        yield _size(tensors, f"{synthesis}blocks.{index}.conv1.weight", 0)


def discriminator_config(record: NetworkRecord) -> DiscriminatorConfig:
    """Infer a discriminator's configuration from its tensors."""
    tensors = record.tensors
    blocks = max(1, _run(tensors, (f"D.blocks.{i}.conv_res.weight" for i in range(MAX_BLOCKS))))
    query, embed = "D.attn_blocks.{}.0.fn.fn.to_q.weight", "D.quantize_blocks.{}.fn.embed"
    attention = _indices(tensors, query, blocks)
    return DiscriminatorConfig(
        channels=tuple(_size(tensors, f"D.blocks.{index}.conv_res.weight", 0) for index in range(blocks)),
        image_channels=_size(tensors, "D.blocks.0.conv_res.weight", 1),
        attention=attention,
        quantized=tuple(
            (index, _size(tensors, embed.format(index), 1)) for index in _indices(tensors, embed, blocks)
        ),
        heads=max(1, _heads(tensors, query, attention)),
    )


# --------------------------------------------------------------------------------------------
# Options


def _options(record: NetworkRecord) -> Mapping[str, Any]:
    options = record.attributes.get("config", {})
    if not isinstance(options, Mapping):
        msg = f".config.json: want an object with lucidrains' options, got {options!r:.60}"
        raise MalformedFileError(msg)
    strange = tuple(sorted(str(name) for name in options if name not in SILENT | SPOKEN))
    if strange:
        msg = f".config.json: options that metagan doesn't know, and that may change pictures: {shortened(strange)}"
        raise MalformedFileError(msg)
    return options


def _learning_rate(options: Mapping[str, Any]) -> float:
    rate = options.get("lr_mlp", USUAL_LR)
    if type(rate) in (int, float) and 0 < rate < 1e6:
        return float(rate)
    msg = f".config.json: lr_mlp: want a number above 0, got {rate!r:.60}"
    raise MalformedFileError(msg)


def _require_agreement(
    options: Mapping[str, Any], facts: Mapping[str, object], blocks: int, attention: tuple[int, ...]
) -> None:
    wrong = [
        f"{name} is {options[name]!r:.40}, the tensors say {value}"
        for name, value in facts.items()
        if name in options and not (isinstance(options[name], int) and options[name] == value)
    ]
    layers = [blocks - index for index in reversed(attention)]  # counted from the full resolution
    stated = options.get("attn_layers", layers)
    if not isinstance(stated, list) or sorted(stated, key=repr) != sorted(layers, key=repr):
        wrong.append(f"attn_layers is {stated!r:.40}, the tensors say {layers}")
    if wrong:
        msg = f".config.json isn't this checkpoint's: {'; '.join(wrong)}"
        raise MalformedFileError(msg)


TITLE = "lucidrains' StyleGAN2"
NOISE_NOTE = (
    "its noise is drawn anew for every picture; metagan's constant noise is one image that it always draws"
)
NO_SIDE_CAR = (
    f"no .config.json beside the file, so lr_mlp was taken for {USUAL_LR:g}, its program's default; if pictures look "
    "wrong, put the training folder's .config.json there"
)


def _recognises(record: NetworkRecord) -> bool:
    return any(f"{synthesis}blocks.0.to_style1.weight" in record.tensors for synthesis in ("GE.", "G."))


def generator_from_lucidrains(record: NetworkRecord) -> LucidrainsStyleGAN2:
    """Build a generator from its record; its mean style and constant noise are generated here.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown.
        MalformedFileError: If shapes don't fit together, or the options beside the file contradict them.
    """
    config = generator_config(record)
    names = generator_names(config, *prefixes(record))
    require_fit(record.tensors, names, TITLE)
    tensors = rename(record.tensors, names)
    return assemble(lambda: make_generator(config), tensors | _made_up(config, tensors))


def _made_up(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Generate the mean style and the noise, which the original program draws at run time."""
    own = {
        name.removeprefix("mapping."): tensor
        for name, tensor in tensors.items()
        if name.startswith("mapping.")
    }
    mapping = assemble(lambda: MappingNetwork(config), own)
    noise = np.random.RandomState(0).random_sample((config.resolution, config.resolution))
    return {
        "mean_style": mean_style(mapping, config.z_dim),
        "noise": torch.from_numpy(noise.astype(np.float32)),
    }


def discriminator_from_lucidrains(record: NetworkRecord) -> LucidrainsDiscriminator:
    """Build a discriminator from its record. Raises the same errors as generator_from_lucidrains."""
    config = discriminator_config(record)
    title = f"{TITLE}'s discriminator"
    return fill(record, discriminator_names(config), title, lambda: LucidrainsDiscriminator(config))


def make_generator(config: Config) -> LucidrainsStyleGAN2:
    """Make a generator.

    Raises:
        MalformedFileError: If its configuration is out of range.
    """
    sane = (
        0 < config.depth <= MAX_LAYERS
        and 0 < config.blocks <= MAX_BLOCKS
        and are_sizes(config.z_dim, config.image_channels, *config.channels)
        and 0 < config.heads < 2**10
        and set(config.attention) <= set(range(config.blocks))
        and 0 < config.lr_multiplier < 1e6
    )
    if not sane:
        msg = f"its configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)
    return LucidrainsStyleGAN2(config)


def _expected(record: NetworkRecord) -> NameTable:
    try:
        config = generator_config(record)
    except CheckpointError:
        config = Config(z_dim=1, depth=1, channels=(1, 1))
    return generator_names(config, *prefixes(record))


def _expected_of_discriminator(record: NetworkRecord) -> NameTable:
    return discriminator_names(discriminator_config(record))


def _recognises_discriminator(record: NetworkRecord) -> bool:
    return "D.blocks.0.conv_res.weight" in record.tensors


def _notes(record: NetworkRecord) -> tuple[str, ...]:
    options = record.attributes.get("config", {})
    known = isinstance(options, Mapping) and "lr_mlp" in options
    return (MEAN_STYLE_NOTE, NOISE_NOTE) if known else (NO_SIDE_CAR, MEAN_STYLE_NOTE, NOISE_NOTE)


LUCIDRAINS = Reading(
    title=TITLE,
    family="lucidrains stylegan2-pytorch",
    files=".pt, with its .config.json beside it",
    generator=Part(_recognises, generator_from_lucidrains, _expected),
    discriminator=Part(_recognises_discriminator, discriminator_from_lucidrains, _expected_of_discriminator),
    notes=_notes,
)
