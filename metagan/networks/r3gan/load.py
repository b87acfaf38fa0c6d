"""R3GAN's networks built from records and from metagan's own files."""

from __future__ import annotations

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.architecture import Part, Reading
from metagan.networks.r3gan.convert import (
    MAX_BLOCKS,
    MAX_STAGES,
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
)
from metagan.networks.r3gan.network import R3GAN, Config, Discriminator, StageConfig
from metagan.networks.reading import NameTable, fill


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
    return fill(record, generator_names(config), "R3GAN", lambda: make_generator(config))


def discriminator_from_record(record: NetworkRecord) -> Discriminator:
    """A discriminator's record to ours; raises as generator_from_record does."""
    config = discriminator_config(record)

    def make() -> Discriminator:
        _require_sane(config)
        return Discriminator(config)

    return fill(record, discriminator_names(config), "R3GAN's discriminator", make)


def make_generator(config: Config) -> R3GAN:
    """A generator, unless its configuration is out of bounds.

    Raises:
        MalformedFileError: It is.
    """
    _require_sane(config)
    return R3GAN(config)


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
