"""Filters by picture content: too small, too flat, duplicates, near duplicates, too much text."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.collection.needs import need
from metagan.collection.table import Table
from metagan.datasets.decode import to_rgb
from metagan.errors import CollectionError

if TYPE_CHECKING:
    import polars as pl

HASH_BITS: Final = 64
NEAR_BITS: Final = 4  # of 64: imagehash's phash of re-encoded and slightly scaled copies differs in fewer
_BITS: Final = np.array(
    [number.bit_count() for number in range(1 << 16)], np.uint8
)  # ones in each 16-bit number
_FLAT_SIDE: Final = 64
_TEXT_TIMEOUT_S: Final = 60


def drop_small(side_px: int, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose shorter side is below `side_px`."""
    import polars as pl

    return rows.filter(
        pl.Series([min(_size(table.path / file)) >= side_px for file in rows["file"]], dtype=pl.Boolean)
    )


def drop_flat(deviation: float, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures of nearly one colour: those whose channels, 0 to 255, deviate by less than `deviation`."""
    import polars as pl

    return rows.filter(
        pl.Series([_deviation(table.path / file) >= deviation for file in rows["file"]], dtype=pl.Boolean)
    )


def drop_duplicates(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose file equals an earlier one's."""
    del table
    return rows.unique("sha256", keep="first", maintain_order=True)


def drop_near_duplicates(bits: int, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose perceptual hash differs in at most `bits` of 64 bits from an earlier kept one."""
    hashes = np.array([perceptual_hash(table.path / file) for file in rows["file"]], np.uint64)
    parts = hashes.view(np.uint16).reshape(-1, 4)
    kept: list[int] = []
    kept_parts = np.empty_like(parts)
    for index, part in enumerate(parts):
        distances = _BITS[kept_parts[: len(kept)] ^ part].sum(axis=1)
        if not (distances <= bits).any():
            kept_parts[len(kept)] = part
            kept.append(index)
    return rows[kept]


def drop_text(most_words: int, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures in which tesseract reads more than `most_words` words.

    Raises:
        CollectionError: If tesseract is not installed.
    """
    import polars as pl

    program = shutil.which("tesseract")
    if program is None:
        raise CollectionError(
            "--max-words needs the program tesseract, which is not installed",
            fix="install it (Debian: apt install tesseract-ocr), or leave --max-words out",
        )
    counts = [_words(program, table.path / file) for file in rows["file"]]
    return rows.filter(pl.Series([count <= most_words for count in counts], dtype=pl.Boolean))


def perceptual_hash(picture: Path) -> int:
    """Return the 64 bits of imagehash's phash of a picture over white."""
    imagehash = need("imagehash")
    with _opened(picture) as image:
        bits: NDArray[np.bool_] = imagehash.phash(to_rgb(image, (255, 255, 255))).hash
    return int("".join("1" if bit else "0" for bit in bits.ravel()), 2)


def looks_of(
    *,
    side_px: int | None,
    deviation: float | None,
    duplicates: bool,
    near_bits: int | None,
    most_words: int | None,
) -> Iterator[tuple[str, partial[pl.DataFrame]]]:
    """Yield the requested filters with their names, cheapest first."""
    if side_px is not None:
        yield f"at least {side_px} pixels on each side", partial(drop_small, side_px)
    if duplicates or near_bits is not None:
        yield "no exact duplicates", partial(drop_duplicates)
    if deviation is not None:
        yield f"not flatter than {deviation:g}", partial(drop_flat, deviation)
    if near_bits is not None:
        yield (
            f"no near duplicates (within {near_bits} of {HASH_BITS} bits)",
            partial(drop_near_duplicates, near_bits),
        )
    if most_words is not None:
        yield f"at most {most_words} words", partial(drop_text, most_words)


def _opened(picture: Path) -> Image.Image:
    try:
        return Image.open(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise CollectionError(
            f"can't be read any more ({error})",
            where=picture,
            fix="run the same `metagan collection fetch` again",
        ) from error


def _size(picture: Path) -> tuple[int, int]:
    with _opened(picture) as image:
        return image.size


def _deviation(picture: Path) -> float:
    with _opened(picture) as image:
        image.draft("RGB", (_FLAT_SIDE, _FLAT_SIDE))
        small = to_rgb(image, (255, 255, 255)).resize((_FLAT_SIDE, _FLAT_SIDE), Image.Resampling.BOX)
    return float(np.asarray(small, np.float32).std(axis=(0, 1)).mean())


def _words(program: str, picture: Path) -> int:
    command = [program, str(picture.resolve()), "stdout", "--psm", "11"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TEXT_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return 0
    return sum(len(word) > 2 and word.isalnum() for word in done.stdout.decode("utf-8", "replace").split())
