"""Picks the best seeds of a run that don't look alike, from its indexes; no picture is read, and no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from metagan.errors import MalformedFileError, OptionError
from metagan.files import read_bytes
from metagan.shards.manifest import MANIFEST, RunManifest, index_name
from metagan.storage import Storage

READERS = 8
BLOCK = 4096
HASH_BITS = 64
By = Literal["logit", "distance"]
_BITS: Final = np.array(
    [number.bit_count() for number in range(1 << 16)], np.uint8
)  # ones of each 16-bit number


@dataclass(frozen=True)
class Picked:
    """Seeds, the best first, and how many were passed over because they looked like a better one."""

    seeds: tuple[int, ...]
    alike: int


def read_hashes(
    storage: Storage, manifest: RunManifest, advance: Callable[[int], None] = lambda _count: None
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The seeds of a run, and the perceptual hash of each.

    Raises:
        OptionError: polars isn't installed, or an index is missing or damaged.
    """
    pl = import_polars()

    def read(seeds: range) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        name = index_name(seeds)
        content = storage.read(name)
        try:
            rows = pl.read_ndjson(content or b"", schema={"seed": pl.Int64, "dhash": pl.String})
            hashes = np.frombuffer(bytes.fromhex("".join(rows["dhash"].to_list())), ">u8").astype(np.uint64)
            if rows["seed"].to_list() != list(seeds) or len(hashes) != len(seeds):
                raise ValueError  # noqa: TRY301
        except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
            raise OptionError(
                "this index is missing or damaged",
                where=storage.address(name),
                fix="run the `metagan sample` command of these shards again with --verify",
            ) from error
        return rows["seed"].to_numpy(), hashes

    parts = []
    with ThreadPoolExecutor(READERS) as pool:
        for part in pool.map(read, manifest.ranges):
            parts.append(part)
            advance(len(part[0]))
    if not parts:
        raise OptionError(
            "this run has no shards yet", where=storage.address(MANIFEST), fix="draw some first"
        )
    return np.concatenate([seeds for seeds, _ in parts]), np.concatenate([hashes for _, hashes in parts])


def read_scores(path: Path, by: By) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The scores that `metagan rank --scores` wrote: seeds, and numbers that are higher for better pictures.

    Args:
        path: The file.
        by: "logit" of the discriminator, or "distance" to the nearest real pictures.

    Raises:
        MalformedFileError: It is no such file.
        OptionError: It has no such scores, or polars isn't installed.
    """
    pl = import_polars()
    head, _, rows = read_bytes(path).partition(b"\n")
    rows = rows[: rows.rfind(b"\n") + 1]  # the last line may have been cut off
    try:
        if "task" not in json.loads(head):
            raise ValueError  # noqa: TRY301
        schema = {"seed": pl.Int64, "logit": pl.Float64, "distance": pl.Float64, "copy": pl.Boolean}
        table = pl.read_ndjson(rows, schema=schema)
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise MalformedFileError(
            "no scores that `metagan rank` wrote", where=path, fix="choose another file for --scores"
        ) from error
    table = table.filter(~pl.col("copy") & pl.col(by).is_finite()).unique("seed", keep="last")
    if table.is_empty():
        raise OptionError(f"no picture in it has a {by}", where=path, fix="choose another --by")
    values = table[by].to_numpy().astype(np.float64)
    return table["seed"].to_numpy(), -values if by == "distance" else values


def pick(
    seeds: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    scores: tuple[NDArray[np.int64], NDArray[np.float64]] | None,
    *,
    keep: int,
    apart: int,
) -> Picked:
    """Pick the best seeds that don't look alike.

    Args:
        seeds: Of a run.
        hashes: The perceptual hash of each.
        scores: Seeds and scores, higher for better ones; seeds without one are left out. None takes the run's order.
        keep: How many to pick at most.
        apart: Bits of 64 in which each picked picture's hash differs from every better one's at least; 0 keeps all.

    Returns:
        The seeds, best first; of equal scores the lower seed.
    """
    if scores is not None:
        found, there, scored = np.intersect1d(seeds, scores[0], return_indices=True)
        best = np.lexsort((found, -scores[1][scored]))
        seeds, hashes = found[best], hashes[there[best]]
    kept: list[int] = []
    kept_hashes = np.empty(min(keep, len(seeds)), np.uint64)
    for start in range(0, len(hashes), BLOCK):
        # First all of a block against what is kept by then, and what is left one by one.
        block = hashes[start : start + BLOCK]
        for place in np.flatnonzero(_nearest(kept_hashes[: len(kept)], block) >= apart).tolist():
            if _nearest(kept_hashes[: len(kept)], block[place : place + 1])[0] >= apart:
                kept_hashes[len(kept)] = block[place]
                kept.append(start + place)
                if len(kept) == keep:
                    return Picked(tuple(seeds[kept].tolist()), kept[-1] + 1 - keep)
    return Picked(tuple(seeds[kept].tolist()), len(seeds) - len(kept))


def _nearest(kept: NDArray[np.uint64], block: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The fewest bits in which each hash of a block differs from one that is kept."""
    least = np.full(len(block), HASH_BITS, np.uint8)
    for start in range(0, len(kept), 256):
        differing = (kept[start : start + 256, None] ^ block[None, :]).view(np.uint16)
        bits = _BITS[differing].reshape(-1, len(block), 4).sum(axis=2, dtype=np.uint8)
        np.minimum(least, bits.min(axis=0), out=least)
    return least


def import_polars() -> Any:
    """Import polars.

    Raises:
        OptionError: It isn't installed.
    """
    try:
        import polars as pl
    except ModuleNotFoundError as error:
        raise OptionError("picking from shards needs polars", fix="pip install polars") from error
    return pl
