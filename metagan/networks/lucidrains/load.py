"""Networks of lucidrains' stylegan2-pytorch built from records and from metagan's own files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks import mean_style
from metagan.networks.architecture import Part, Reading
from metagan.networks.assemble import assemble, require_fit
from metagan.networks.lucidrains.convert import (
    MAX_BLOCKS,
    MAX_LAYERS,
    USUAL_LR,
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
    prefixes,
)
from metagan.networks.lucidrains.discriminator import LucidrainsDiscriminator
from metagan.networks.lucidrains.network import Config, LucidrainsStyleGAN2
from metagan.networks.lucidrains.network import Mapping as MappingNetwork
from metagan.networks.reading import NameTable, are_sizes, fill, rename

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
    """A generator's record, with its mapping network, to ours; mean style and constant noise are made here.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown.
        MalformedFileError: Shapes don't fit together, or the options beside the file contradict them.
    """
    config = generator_config(record)
    names = generator_names(config, *prefixes(record))
    require_fit(record.tensors, names, TITLE)
    tensors = rename(record.tensors, names)
    return assemble(lambda: make_generator(config), tensors | _made_up(config, tensors))


def _made_up(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the program draws when it runs: the mean style and the noise."""
    own = {
        name.removeprefix("mapping."): tensor
        for name, tensor in tensors.items()
        if name.startswith("mapping.")
    }
    mapping = assemble(lambda: MappingNetwork(config), own)
    noise = np.random.RandomState(0).random_sample((config.resolution, config.resolution))
    return {
        "mean_style": mean_style.mean_style(mapping, config.z_dim),
        "noise": torch.from_numpy(noise.astype(np.float32)),
    }


def discriminator_from_lucidrains(record: NetworkRecord) -> LucidrainsDiscriminator:
    """A discriminator's record to ours; raises as generator_from_lucidrains does."""
    config = discriminator_config(record)
    title = f"{TITLE}'s discriminator"
    return fill(record, discriminator_names(config), title, lambda: LucidrainsDiscriminator(config))


def make_generator(config: Config) -> LucidrainsStyleGAN2:
    """A generator, unless its configuration is out of bounds.

    Raises:
        MalformedFileError: It is.
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
    return (mean_style.NOTE, NOISE_NOTE) if known else (NO_SIDE_CAR, mean_style.NOTE, NOISE_NOTE)


LUCIDRAINS = Reading(
    title=TITLE,
    family="lucidrains stylegan2-pytorch",
    files=".pt, with its .config.json beside it",
    generator=Part(_recognises, generator_from_lucidrains, _expected),
    discriminator=Part(_recognises_discriminator, discriminator_from_lucidrains, _expected_of_discriminator),
    notes=_notes,
)
