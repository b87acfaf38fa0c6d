"""StyleGAN2 networks out of other programs' files: the official tensors, spelled differently.

A dialect is a function from an official tensor's name to the name it has in the other program's files, and how to
turn it into the official orientation. What the files have to hold follows from the official tables of convert.py, so
that each layout is written down once.
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
from metagan.networks.stylegan2.formats.names import NameTable, discriminator_names, generator_names, rename
from metagan.networks.stylegan2.network import MAX_RESOLUTION, Config, MappingConfig

MAX_LAYERS = 64
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.")


def unchanged(tensor: Tensor) -> Tensor:
    """The same tensor."""
    return tensor


@dataclass(frozen=True)
class Spelling:
    """A tensor as another program stores it.

    Args:
        name: Its name in that program's files.
        restore: From there to the official orientation.
    """

    name: str
    restore: Callable[[Tensor], Tensor] = unchanged


Dialect = Callable[[str], Spelling | None]


def _largest_generator() -> NameTable:
    """Every name that any official generator may have."""
    mapping = MappingConfig(z_dim=1, c_dim=1, embed_dim=1, widths=(1,) * MAX_LAYERS)
    channels = (1,) * int(math.log2(MAX_RESOLUTION) - 1)
    return generator_names(Config(mapping, channels)) | generator_names(
        Config(mapping, channels, kind="resnet")
    )


def _largest_discriminator() -> NameTable:
    """Every name that any official discriminator may have."""
    mapping = MappingConfig(z_dim=0, c_dim=1, embed_dim=1, widths=(1,) * MAX_LAYERS)
    channels = (1,) * int(math.log2(MAX_RESOLUTION) - 1)
    skip = DiscriminatorConfig(channels, kind="skip", label_mapping=mapping)
    return discriminator_names(skip) | discriminator_names(DiscriminatorConfig(channels))


def generator_view(record: NetworkRecord, dialect: Dialect) -> NetworkRecord:
    """A foreign generator's tensors under their official names; what isn't known is left out, for `official`.

    Raises:
        MalformedFileError: A tensor has not the axes it has in that program's files.
    """
    return _view(record, dialect, _largest_generator())


def discriminator_view(record: NetworkRecord, dialect: Dialect) -> NetworkRecord:
    """The same of a discriminator; raises the same."""
    return _view(record, dialect, _largest_discriminator())


def _view(record: NetworkRecord, dialect: Dialect, names: Iterable[str]) -> NetworkRecord:
    tensors = {}
    for official in names:
        spelling = dialect(official)
        if spelling is not None and spelling.name in record.tensors:
            tensors[official] = _restored(spelling, record.tensors[spelling.name])
    return NetworkRecord(record.class_name, _whole(tensors))


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without blocks beyond one that is missing: their keys are then reported, not taken for a larger network."""
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
    """The names that a foreign file has to hold, each with the official one."""
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
    """A foreign network's tensors under our names, every key accounted for.

    Args:
        record: The network under its own names.
        view: The same under official names.
        names: What an official network of its shape has, and our names.
        dialect: How its program spells them.
        title: The family's, for messages.
        taps: The filter, where the program doesn't store it.
        dropped: Keys that don't matter, whether they are there or not.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown; named as the file does.
    """
    wanted = spelled(names, dialect)
    there = {key: tensor for key, tensor in record.tensors.items() if key not in set(dropped)}
    require_fit(there, wanted, title)
    filters = {name: taps for name in names if name.endswith("resample_filter") and dialect(name) is None}
    tensors: Mapping[str, Tensor] = filters | dict(view.tensors)
    return rename(tensors, names)
