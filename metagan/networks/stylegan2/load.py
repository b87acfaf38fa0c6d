"""StyleGAN2 networks built from records and from metagan's own files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.assemble import assemble, fit, require_fit
from metagan.networks.ops import ACTIVATIONS
from metagan.networks.stylegan2.convert import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
    rename,
)
from metagan.networks.stylegan2.discriminator import Discriminator
from metagan.networks.stylegan2.network import MAX_RESOLUTION, Config, MappingConfig, StyleGAN2

MAX_MAPPING_LAYERS = 64


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
    names = generator_names(config)
    require_fit(record.tensors, names, "StyleGAN2")
    return assemble(lambda: StyleGAN2(config), rename(record.tensors, names))


def discriminator_from_official(record: NetworkRecord) -> Discriminator:
    """An official discriminator's record to ours; raises as generator_from_official does."""
    config = discriminator_config(record)
    names = discriminator_names(config)
    require_fit(record.tensors, names, "StyleGAN2's discriminator")
    return assemble(lambda: Discriminator(config), rename(record.tensors, names))


def restore_generator(configuration: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StyleGAN2:
    """A generator from the configuration and tensors of metagan's own format.

    Raises:
        MalformedFileError: The configuration isn't one, or its shapes are not the tensors'.
        UnknownArchitectureError: Keys are missing or unknown.
    """
    try:
        config = TypeAdapter(Config).validate_python(dict(configuration))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4])
        msg = f"the header's configuration is no StyleGAN2's: {problems}"
        raise MalformedFileError(msg) from error
    known = dataclasses.asdict(config)
    unknown = [
        *(configuration.keys() - known.keys()),
        *(configuration["mapping"].keys() - known["mapping"].keys()),
    ]
    if unknown:
        msg = f"the header's configuration has entries that StyleGAN2 doesn't: {', '.join(sorted(map(str, unknown)))}"
        raise MalformedFileError(msg)
    _require_sane(config)
    return assemble(lambda: StyleGAN2(config), tensors)


def _require_sane(config: Config) -> None:
    """Refuse configurations that would take long to build, before building."""
    mapping = config.mapping
    sizes = [*config.channels, *mapping.widths, *config.filter_shape]
    sizes += [mapping.z_dim + mapping.embed_dim, config.image_channels, config.kernel_size]
    sane = (
        config.channels
        and config.resolution <= MAX_RESOLUTION
        and 0 < len(mapping.widths) <= MAX_MAPPING_LAYERS
        and len(config.filter_shape) in (1, 2)
        and all(0 < size < 2**20 for size in sizes)
        and min(mapping.c_dim, mapping.embed_dim, mapping.z_dim) >= 0
        and (mapping.c_dim > 0) == (mapping.embed_dim > 0)
        and {mapping.activation, config.activation} <= ACTIVATIONS.keys()
    )
    if not sane:
        msg = f"the header's configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)


def explain_mismatch(record: NetworkRecord) -> str:
    """Why a record is no StyleGAN2 generator, in words."""
    if any(name.startswith("synthesis.input.") for name in record.tensors):
        return "this is a StyleGAN3 generator; this version of metagan samples StyleGAN2"
    if any(name.startswith("b4.") for name in record.tensors):
        return "this is a discriminator, which makes no pictures; want a generator"
    smallest = Config(MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1)), channels=(1, 1))
    generic = generator_names(smallest)
    return f"no known architecture; nearest is StyleGAN2 ({fit(record.tensors, generic)})"
