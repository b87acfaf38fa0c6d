"""StyleGAN3 generators built from records and from metagan's own files.

A pickle's discriminator is StyleGAN2's, and read as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.architecture import Part, Reading
from metagan.networks.assemble import assemble, require_fit
from metagan.networks.configuration import restore_config
from metagan.networks.mapping import MappingConfig
from metagan.networks.ops import ACTIVATIONS
from metagan.networks.reading import NameTable, rename
from metagan.networks.stylegan3.convert import (
    generator_config,
    generator_names,
    layer_names,
    require_geometry,
)
from metagan.networks.stylegan3.network import Config, InputConfig, LayerConfig, StyleGAN3

MAX_MAPPING_LAYERS = 64

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
    names = generator_names(config, layer_names(record))
    require_fit(record.tensors, names, "StyleGAN3")
    _require_sane(config.mapping)
    return assemble(lambda: StyleGAN3(config), rename(record.tensors, names))


def restore_generator(configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StyleGAN3:
    """A generator from the configuration and tensors of metagan's own format.

    Raises:
        MalformedFileError: The configuration isn't one, or its shapes are not the tensors'.
        UnknownArchitectureError: Keys are missing or unknown.
    """
    config = restore_config(Config, configuration, "StyleGAN3")
    _require_sane(config.mapping)
    require_geometry(config)
    return assemble(lambda: StyleGAN3(config), tensors)


def _require_sane(mapping: MappingConfig) -> None:
    """Refuse mapping networks that would take long to build, before building."""
    sane = (
        0 < len(mapping.widths) <= MAX_MAPPING_LAYERS
        and all(0 < size < 2**20 for size in (*mapping.widths, mapping.z_dim + mapping.embed_dim))
        and min(mapping.c_dim, mapping.embed_dim, mapping.z_dim) >= 0
        and (mapping.c_dim > 0) == (mapping.embed_dim > 0)
        and mapping.activation in ACTIVATIONS
    )
    if not sane:
        raise MalformedFileError(f"the mapping network is out of bounds: {mapping!r:.300}")


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
