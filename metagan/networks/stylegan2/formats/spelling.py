"""Maps other programs' StyleGAN2 tensors to the official names and layouts.

A dialect is a function from an official tensor's name to its name in the other program's files, and its conversion to
the official layout. The complete list of keys follows from the tables of official.py, so that each layout is
written down once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError
from metagan.networks.loading.assemble import require_fit
from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.formats.official import (
    NameTable,
    discriminator_names,
    generator_names,
    rename,
)
from metagan.networks.stylegan2.network import MAX_RESOLUTION, Config, MappingConfig

MAX_LAYERS = 64
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.")


def unchanged(tensor: Tensor) -> Tensor:
    """Return the same tensor."""
    return tensor


@dataclass(frozen=True)
class Spelling:
    """A tensor as another program stores it.

    Args:
        name: Its name in that program's files.
        restore: Converts it to the official layout.
        store: Converts it from the official layout, the inverse.
    """

    name: str
    restore: Callable[[Tensor], Tensor] = unchanged
    store: Callable[[Tensor], Tensor] = unchanged


Dialect = Callable[[str], Spelling | None]


def _largest_generator() -> NameTable:
    """Return every name that any official generator may have."""
    mapping = MappingConfig(z_dim=1, c_dim=1, embed_dim=1, widths=(1,) * MAX_LAYERS)
    channels = (1,) * int(math.log2(MAX_RESOLUTION) - 1)
    return generator_names(Config(mapping, channels)) | generator_names(
        Config(mapping, channels, kind="resnet")
    )


def _largest_discriminator() -> NameTable:
    """Return every name that any official discriminator may have."""
    mapping = MappingConfig(z_dim=0, c_dim=1, embed_dim=1, widths=(1,) * MAX_LAYERS)
    channels = (1,) * int(math.log2(MAX_RESOLUTION) - 1)
    skip = DiscriminatorConfig(channels, kind="skip", label_mapping=mapping)
    return discriminator_names(skip) | discriminator_names(DiscriminatorConfig(channels))


def generator_view(record: NetworkRecord, dialect: Dialect) -> NetworkRecord:
    """Return a foreign generator's tensors under official names and layouts, without unknown ones.

    Raises:
        MalformedFileError: If a tensor's number of axes is not that of the program's files.
    """
    return _view(record, dialect, _largest_generator())


def discriminator_view(record: NetworkRecord, dialect: Dialect) -> NetworkRecord:
    """Return the same for a discriminator. Raises the same errors as generator_view."""
    return _view(record, dialect, _largest_discriminator())


def _view(record: NetworkRecord, dialect: Dialect, names: Iterable[str]) -> NetworkRecord:
    tensors = {}
    for official in names:
        spelling = dialect(official)
        if spelling is not None and spelling.name in record.tensors:
            tensors[official] = _restored(spelling, record.tensors[spelling.name])
    return NetworkRecord(record.class_name, _whole(tensors))


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop blocks after a missing one, so that their keys are reported instead of implying a larger network."""
    sizes = {name: int(match[1]) for name in tensors if (match := _BLOCK.match(name))}
    top = 4
    while 2 * top in sizes.values():
        top *= 2
    return {name: tensor for name, tensor in tensors.items() if sizes.get(name, 4) <= top}


def _restored(spelling: Spelling, tensor: Tensor) -> Tensor:
    try:
        return spelling.restore(tensor)
    except (RuntimeError, IndexError) as error:
        msg = f"{spelling.name} is {list(tensor.shape)}, which isn't the number of axes it should have"
        raise MalformedFileError(msg) from error


def spelled(names: Iterable[str], dialect: Dialect) -> dict[str, str]:
    """Map the names that a foreign file must have to the official ones."""
    pairs = [(dialect(official), official) for official in names]
    return {spelling.name: official for spelling, official in pairs if spelling is not None}


def to_ours(
    record: NetworkRecord,
    view: NetworkRecord,
    names: NameTable,
    dialect: Dialect,
    *,
    title: str,
    taps: Tensor,
    dropped: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Return a foreign network's tensors under our names, checking every key.

    Args:
        record: The network under its own names.
        view: The same network under official names.
        names: The names of an official network of its configuration, with ours.
        dialect: The program's dialect.
        title: The format's title, for messages.
        taps: The filter, if the program doesn't store it.
        dropped: Keys that are ignored, whether they exist or not.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown. The message uses the file's names.
    """
    wanted = spelled(names, dialect)
    there = {key: tensor for key, tensor in record.tensors.items() if key not in set(dropped)}
    require_fit(there, wanted, title)
    filters = {name: taps for name in names if name.endswith("resample_filter") and dialect(name) is None}
    tensors: Mapping[str, Tensor] = filters | dict(view.tensors)
    return rename(tensors, names)
