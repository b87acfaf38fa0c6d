"""R3GAN's networks built from records and from metagan's own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.architecture import Part, Reading
from metagan.networks.assemble import assemble, require_fit
from metagan.networks.configuration import restore_config
from metagan.networks.r3gan.convert import (
    MAX_BLOCKS,
    MAX_STAGES,
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
)
from metagan.networks.r3gan.network import R3GAN, Config, Discriminator, StageConfig
from metagan.networks.reading import NameTable, rename


def recognises(record: NetworkRecord) -> bool:
    """Whether the record is an R3GAN generator."""
    return "Model.AggregationLayer.Layer.weight" in record.tensors


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Whether the record is an R3GAN discriminator."""
    return "Model.ExtractionLayer.Layer.weight" in record.tensors


def generator_from_record(record: NetworkRecord) -> R3GAN:
    """A generator's record to ours.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown.
        MalformedFileError: Shapes don't fit together, or the file contradicts itself.
    """
    config = generator_config(record)
    names = generator_names(config)
    require_fit(record.tensors, names, "R3GAN")
    _require_sane(config)
    return assemble(lambda: R3GAN(config), rename(record.tensors, names))


def discriminator_from_record(record: NetworkRecord) -> Discriminator:
    """A discriminator's record to ours; raises as generator_from_record does."""
    config = discriminator_config(record)
    names = discriminator_names(config)
    require_fit(record.tensors, names, "R3GAN's discriminator")
    _require_sane(config)
    return assemble(lambda: Discriminator(config), rename(record.tensors, names))


def restore_generator(configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> R3GAN:
    """A generator from the configuration and tensors of metagan's own format.

    Raises:
        MalformedFileError: The configuration isn't one, or its shapes are not the tensors'.
        UnknownArchitectureError: Keys are missing or unknown.
    """
    config = restore_config(Config, configuration, "R3GAN")
    _require_sane(config)
    return assemble(lambda: R3GAN(config), tensors)


def _require_sane(config: Config) -> None:
    """Refuse configurations that can't be built, or would take long, before building."""
    sizes = [size for stage in config.stages for size in (stage.channels, stage.hidden, stage.groups)]
    sane = (
        0 < len(config.stages) <= MAX_STAGES
        and all(0 < size < 2**20 for size in (*sizes, config.image_channels, config.filter_size))
        and all(
            0 <= stage.blocks <= MAX_BLOCKS and stage.hidden % stage.groups == 0 for stage in config.stages
        )
        and all(0 <= size < 2**20 for size in (config.z_dim, config.c_dim, config.embed_dim))
        and (config.c_dim > 0) == (config.embed_dim > 0)
    )
    if not sane:
        raise MalformedFileError(f"the configuration is out of bounds: {config!r:.300}")


def expected_names(record: NetworkRecord) -> NameTable:
    """The keys of a generator of the record's shape; of the smallest, where it has none."""
    try:
        return generator_names(generator_config(record))
    except CheckpointError:
        return generator_names(Config((StageConfig(1, 1, 1),), z_dim=1))


def expected_discriminator_names(record: NetworkRecord) -> NameTable:
    """The keys of a discriminator of the record's shape; of the smallest, where it has none."""
    try:
        return discriminator_names(discriminator_config(record))
    except CheckpointError:
        return discriminator_names(Config((StageConfig(1, 1, 1),), z_dim=0))


READING = Reading(
    title="R3GAN",
    family="R3GAN",
    files=".pkl with G, D, G_ema",
    generator=Part(recognises, generator_from_record, expected_names),
    discriminator=Part(recognises_discriminator, discriminator_from_record, expected_discriminator_names),
)
