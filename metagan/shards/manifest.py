"""A run's settings, its address, and the manifest that describes it; no torch here.

    OUT/NAME-ADDRESS/manifest.json                   the settings, and which shards there are
    OUT/NAME-ADDRESS/0000000000-0000000999.zip       the pictures of these seeds, uncompressed: 17.webp
    OUT/NAME-ADDRESS/0000000000-0000000999.jsonl     of each the seed, offset, length, SHA-256 and perceptual hash

The address is a hash of all that decides the pictures' bytes, so another setting is another folder. The seeds aren't
part of it: more seeds are more shards of the same run. A shard has the seeds of one range, which is its name, so a
listing tells what is there. A shard without its index isn't finished.

Indexes are JSON Lines: browsers read them as they are, anything can write them, and polars and duckdb scan a million
rows in a few seconds. Parquet would be a third of the size, and no browser could use it without a reader of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from metagan.errors import OptionError
from metagan.fetch.cache import safe_name
from metagan.images.encode import ENCODER_VERSION, EXTENSIONS
from metagan.storage import Storage
from metagan.values import Label

MANIFEST = "manifest.json"
PER_SHARD = 1000
_NAME = re.compile(r"(\d{10})-(\d{10})\.(zip|jsonl)", re.ASCII)


class RunSettings(BaseModel):
    """All that decides the bytes of a run's pictures.

    Args:
        name: The subject, as the pictures' provenance names it.
        weights: SHA-256 of the generator's file.
        network: Which network of the file; None for its usual one.
        psi: Truncation.
        label: Class or numbers that a conditional generator is asked for.
        noise: Per-pixel noise.
        upscaler: SHA-256 of the upscaler's file, or None.
        format: File format of the pictures.
        program: What draws: "metagan's kernel, x86-64-v4", or PyTorch's release, precision and kind of device.
        batch: Pictures at once, where the last bits depend on it.
        version: metagan's.
        encoder: Version of the encoders' settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weights: str
    network: str | None = None
    psi: float
    label: Label | None = None
    noise: str
    upscaler: str | None = None
    format: str
    program: str
    batch: int | None = None
    version: str
    encoder: int = ENCODER_VERSION

    @property
    def folder(self) -> str:
        """The name of the run's folder: the subject, and 16 hex digits of the settings' SHA-256."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return f"{safe_name(self.name)}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def member(self, seed: int) -> str:
        """The name of a seed's picture in its zip."""
        return f"{seed}.{EXTENSIONS[self.format]}"


class RunManifest(BaseModel):
    """What manifest.json holds.

    Args:
        metagan: What kind of file it is.
        settings: The run's.
        width: Of each picture, in pixels.
        height: Likewise.
        pictures: How many there are.
        shards: First and last seed of each finished shard, in ascending order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metagan: Literal["shards"] = "shards"
    settings: RunSettings
    width: int
    height: int
    pictures: int = 0
    shards: tuple[tuple[int, int], ...] = ()

    def encode(self) -> bytes:
        """The file's content."""
        return (self.model_dump_json() + "\n").encode()

    @property
    def ranges(self) -> tuple[range, ...]:
        """The seeds of each shard."""
        return tuple(range(first, last + 1) for first, last in self.shards)


def read_manifest(content: bytes, where: str) -> RunManifest:
    """Read a manifest.

    Args:
        content: The file's.
        where: Its address, for messages.

    Raises:
        OptionError: If it is none, or its folder's name isn't that of its settings.
    """
    try:
        return RunManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise OptionError(
            f"not a manifest of shards: {place}: {first['msg']}",
            where=where,
            fix="choose another --out, or delete this file",
        ) from error


def open_run(place: str) -> tuple[Storage, RunManifest]:
    """Open a run of shards by its folder.

    Raises:
        OptionError: There is no manifest, or it can't be read.
    """
    storage = Storage(place, OptionError, patience_s=10)
    content = storage.read(MANIFEST)
    if content is None:
        raise OptionError(
            f"there is no {MANIFEST}, and so no run of shards",
            where=storage.address("").rstrip("/"),
            fix="name the folder that `metagan sample --shards` printed",
        )
    return storage, read_manifest(content, storage.address(MANIFEST))


def shard_name(seeds: range) -> str:
    """The name of a shard, without an ending."""
    return f"{seeds[0]:010d}-{seeds[-1]:010d}"


def zip_name(seeds: range) -> str:
    """The name of a shard's pictures."""
    return f"{shard_name(seeds)}.zip"


def index_name(seeds: range) -> str:
    """The name of a shard's index."""
    return f"{shard_name(seeds)}.jsonl"


def shards_in(names: Iterable[str]) -> tuple[list[range], list[range]]:
    """Find the shards among the files of a run's folder.

    Returns:
        The seeds of the finished ones, and of those of which only the zip or only the index is there.
    """
    kinds: dict[tuple[int, int], set[str]] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            kinds.setdefault((int(match[1]), int(match[2])), set()).add(match[3])
    finished: list[range] = []
    begun: list[range] = []
    for (first, last), there in sorted(kinds.items()):
        if first <= last:
            (finished if len(there) == 2 else begun).append(range(first, last + 1))
    return finished, begun


def missing_shards(seeds: Sequence[int], there: Sequence[range], per_shard: int) -> list[range]:
    """Divide the seeds that aren't there yet into shards.

    Args:
        seeds: The wanted ones.
        there: Seeds of shards that exist.
        per_shard: Most pictures of a shard, which begins at a multiple of it where the seeds do.

    Returns:
        One range a shard, ascending.
    """
    known = set().union(*there) if there else set()
    left = sorted(set(seeds) - known)
    breaks = [
        place
        for place, (before, after) in enumerate(pairwise(left), start=1)
        if after != before + 1 or after % per_shard == 0
    ]
    return [
        range(left[start], left[stop - 1] + 1)
        for start, stop in pairwise([0, *breaks, len(left)])
        if start < stop
    ]
