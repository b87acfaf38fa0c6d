"""StyleGAN3 generators built from records and from metagan's own files.

A pickle's discriminator is StyleGAN2's, and read as such.
"""

from __future__ import annotations

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.architecture import Part, Reading
from metagan.networks.mapping import MappingConfig
from metagan.networks.reading import NameTable, fill, is_sane
from metagan.networks.stylegan3.convert import (
    generator_config,
    generator_names,
    layer_names,
    require_geometry,
)
from metagan.networks.stylegan3.network import Config, InputConfig, LayerConfig, StyleGAN3

# Programs that build on StyleGAN3's code: keys that only they have, and what metagan doesn't have for them.
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
    """Whether the record is a StyleGAN3 generator, or one of a program that builds on its code."""
    return "synthesis.input.freqs" in record.tensors or _relative(record) is not None


def _relative(record: NetworkRecord) -> str | None:
    for key, what in RELATIVES:
        if any(name.startswith(key) for name in record.tensors):
            return what
    return None


def generator_from_official(record: NetworkRecord) -> StyleGAN3:
    """An official generator's record to ours.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown, or it is a relative's that has more to it.
        MalformedFileError: Shapes don't fit together, or the file contradicts itself.
    """
    relative = _relative(record)
    if relative:
        fix = "metagan reads StyleGAN-XL's and Projected GAN's generators where they have StyleGAN2's or 3's own keys"
        raise UnknownArchitectureError(f"this is {relative}: metagan doesn't have that\n  fix: {fix}")
    config = generator_config(record)
    return fill(
        record, generator_names(config, layer_names(record)), "StyleGAN3", lambda: make_generator(config)
    )


def make_generator(config: Config) -> StyleGAN3:
    """A generator, unless its geometry doesn't hold, or it would take long to build.

    Raises:
        MalformedFileError: Says what is wrong.
    """
    if not config.mapping.widths or config.mapping.z_dim == 0 or not is_sane(config.mapping):
        raise MalformedFileError(f"the mapping network is out of bounds: {config.mapping!r:.300}")
    require_geometry(config)
    return StyleGAN3(config)


def expected_names(record: NetworkRecord) -> NameTable:
    """The keys of an official generator of the record's shape; of the smallest, where it has none."""
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
