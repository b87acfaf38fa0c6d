"""StyleGAN2 networks built from records and from metagan's own files."""

from __future__ import annotations

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError
from metagan.networks.architecture import Part, Reading
from metagan.networks.reading import NameTable, fill
from metagan.networks.stylegan2.convert import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
)
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.networks.stylegan2.sanity import make_discriminator, make_generator


def recognises(record: NetworkRecord) -> bool:
    """Whether the record is a StyleGAN2 generator: it has a synthesis network of blocks by resolution."""
    return any(name.startswith("synthesis.b4.") for name in record.tensors)


def generator_from_official(record: NetworkRecord) -> StyleGAN2:
    """An official generator's record (FORMATS: StyleGAN2-ADA, and StyleGAN2 of the StyleGAN3 code) to ours.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown.
        MalformedFileError: Shapes don't fit together, or the file contradicts itself.
    """
    config = generator_config(record)
    return fill(record, generator_names(config), "StyleGAN2", lambda: make_generator(config))


def discriminator_from_official(record: NetworkRecord) -> Discriminator:
    """An official discriminator's record to ours; raises as generator_from_official does."""
    config = discriminator_config(record)
    title = "StyleGAN2's discriminator"
    return fill(record, discriminator_names(config), title, lambda: make_discriminator(config))


def expected_names(record: NetworkRecord) -> NameTable:
    """The keys of an official generator of the record's shape; of the smallest, where it has none."""
    try:
        return generator_names(generator_config(record))
    except CheckpointError:
        mapping = MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1))
        return generator_names(Config(mapping, channels=(1, 1)))


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Whether the record is an official discriminator: blocks by resolution, and no synthesis network."""
    return "b4.conv.weight" in record.tensors


def expected_discriminator_names(record: NetworkRecord) -> NameTable:
    """The keys of an official discriminator of the record's shape; of the smallest, where it has none."""
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
    files=".pkl with G, D, G_ema, or one network's state dict as .pt",
    generator=Part(recognises, generator_from_official, expected_names),
    notes=_notes,
    discriminator=Part(recognises_discriminator, discriminator_from_official, expected_discriminator_names),
)
