"""Filters by picture content: too small, too flat, duplicates, near duplicates, too much text."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.collection.attributes import clean
from metagan.collection.needs import need
from metagan.collection.pictures import known_formats
from metagan.collection.table import Table
from metagan.datasets.decode import to_rgb
from metagan.datasets.pool import available_cores
from metagan.errors import CollectionError, OptionError
from metagan.files import require_regular, sha256_of_file
from metagan.values import counted

if TYPE_CHECKING:
    import polars as pl

HASH_BITS: Final = 64
NEAR_BITS: Final = 4  # of 64: imagehash's phash of re-encoded and slightly scaled copies differs in fewer
_BITS: Final = np.array(
    [number.bit_count() for number in range(1 << 16)], np.uint8
)  # ones in each 16-bit number
_FLAT_SIDE: Final = 64

# Letters of 10 pixels are read at three times their size; pictures beyond 2,048 pixels only take longer.
_TEXT_SIDES_PX: Final = (512, 2048)
_TEXT_CONFIDENCE: Final = 60  # percent; textures are read as words with less
_FAILURES_AT_FIRST: Final = 5
LANGUAGE: Final = "eng"


@dataclass(frozen=True)
class Watch:
    """Callbacks while pictures are looked at.

    Args:
        begin: Called with what is done, and the number of pictures.
        advance: Called with the number of further pictures done.
        note: Called with what the user should know of the result.
    """

    begin: Callable[[str, int | None], None] = lambda _, __: None
    advance: Callable[[int], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


def drop_small(side_px: int, watch: Watch, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose shorter side is below `side_px`."""
    import polars as pl

    sizes = [_size(file) for file in _files("measuring pictures", watch, table, rows)]
    return rows.filter(pl.Series([min(size) >= side_px for size in sizes], dtype=pl.Boolean))


def drop_flat(deviation: float, watch: Watch, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures of nearly one colour: those whose channels, 0 to 255, deviate by less than `deviation`."""
    import polars as pl

    spreads = [_deviation(file) for file in _files("measuring colours", watch, table, rows)]
    return rows.filter(pl.Series([spread >= deviation for spread in spreads], dtype=pl.Boolean))


def drop_duplicates(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose file equals an earlier one's."""
    import polars as pl

    named = zip(rows["sha256"], rows["file"], strict=True)  # tables of other programs may have no digests
    digests = [digest or _digest(table.path / str(file)) for digest, file in named]
    return rows.filter(pl.Series(digests, dtype=pl.String).is_first_distinct())


def drop_near_duplicates(bits: int, watch: Watch, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures whose perceptual hash differs in at most `bits` of 64 bits from an earlier kept one."""
    files = _files("comparing pictures", watch, table, rows)
    hashes = np.array([perceptual_hash(file) for file in files], np.uint64)
    parts = hashes.view(np.uint16).reshape(-1, 4)
    kept: list[int] = []
    kept_parts = np.empty_like(parts)
    for index, part in enumerate(parts):
        distances = _BITS[kept_parts[: len(kept)] ^ part].sum(axis=1)
        if not (distances <= bits).any():
            kept_parts[len(kept)] = part
            kept.append(index)
    return rows[kept]


def drop_text(most_words: int, language: str, watch: Watch, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Drop pictures in which tesseract reads more than `most_words` words; those that it can't read stay.

    Args:
        most_words: Words of at least three letters or digits, read with a confidence of 60 percent or more.
        language: Languages as tesseract names them, such as "eng" or "eng+deu".
        watch: Callbacks.
        table: The collection.
        rows: Its items with pictures.

    Raises:
        CollectionError: If tesseract is not installed, fails on every picture, or a picture can't be decoded.
        OptionError: If tesseract doesn't know the language.
    """
    import polars as pl

    tesseract = Tesseract.find(language)
    files = [table.path / str(file) for file in rows["file"]]
    watch.begin("reading text", len(files))
    counts: list[int] = []
    failed: list[str] = []
    # A process each, so that threads suffice to keep all cores busy.
    with ThreadPoolExecutor(available_cores()) as threads:
        try:
            for file, outcome in zip(files, threads.map(partial(_outcome, tesseract), files), strict=True):
                if isinstance(outcome, str):
                    failed.append(f"{clean(file.name, 100)} ({outcome})")
                counts.append(outcome if isinstance(outcome, int) else 0)
                watch.advance(1)
                if len(failed) == len(counts) == min(_FAILURES_AT_FIRST, len(files)):
                    raise CollectionError(
                        f"tesseract reads none of the first {counted(len(failed), 'picture')}: {failed[0]}",
                        where=table.path,
                        fix="mend its installation, or leave --max-words out",
                    )
        finally:
            threads.shutdown(cancel_futures=True)
    if failed:
        stay = "which stays" if len(failed) == 1 else "which stay"
        watch.note(
            f"tesseract could not read {counted(len(failed), 'picture')}, {stay}: {', '.join(failed[:5])}"
        )
    return rows.filter(pl.Series([count <= most_words for count in counts], dtype=pl.Boolean))


class TesseractError(Exception):
    """tesseract could not read a picture; says why."""


@dataclass(frozen=True)
class Tesseract:
    """The program tesseract.

    Args:
        program: Its path.
        language: Languages that are installed, with "+" between them.
        timeout_s: Longest time for a picture.
    """

    program: str
    language: str
    timeout_s: float = 60

    @classmethod
    def find(cls, language: str) -> Tesseract:
        """Find the program.

        Raises:
            CollectionError: If it is not installed, or doesn't run.
            OptionError: If it lacks one of the languages.
        """
        program = shutil.which("tesseract")
        if program is None:
            raise CollectionError(
                "--max-words needs the program tesseract, which is not installed",
                fix="install it (Debian: apt install tesseract-ocr), or leave --max-words out",
            )
        found = cls(program, language)
        try:
            lines = found._run("--list-langs").decode("utf-8", "replace").splitlines()
        except TesseractError as error:
            raise CollectionError(
                f"tesseract doesn't run: {error}", where=program, fix="mend its installation"
            ) from error
        known = [line.strip() for line in lines[1:] if line.strip() not in ("", "osd")]
        absent = [one for one in language.split("+") if one not in known]
        if absent:
            have = f"it has {', '.join(known)[:300]}" if known else "it has none"
            raise OptionError(
                f"--language {language}: tesseract has no {absent[0] or 'language of no name'}; {have}",
                fix=f"install it (Debian: apt install tesseract-ocr-{absent[0] or 'eng'}), or give --language another",
            )
        return found

    def words(self, picture: Image.Image) -> int:
        """Count the words in a picture.

        Raises:
            TesseractError: If tesseract fails, or takes too long.
        """
        least, most = _TEXT_SIDES_PX
        factor = max(1, min(-(-least // min(picture.size)), most // max(picture.size)))
        grey = picture.convert("L")
        if factor > 1:
            grey = grey.resize((grey.width * factor, grey.height * factor), Image.Resampling.BICUBIC)
        grey.thumbnail((most, most))
        portable = io.BytesIO()
        grey.save(portable, "PPM")
        sparse = ("--psm", "11")  # text anywhere, in no order
        table = self._run("stdin", "stdout", "-l", self.language, *sparse, "tsv", given=portable.getvalue())
        header, *lines = table.decode("utf-8", "replace").splitlines() or [""]
        columns = header.split("\t")
        if not {"conf", "text"} <= set(columns):
            raise TesseractError("an answer that is no table; tesseract 3.05 or newer is needed")
        return sum(_is_word(dict(zip(columns, line.split("\t"), strict=False))) for line in lines)

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        # Pictures run side by side; more threads for each only wait for each other.
        one_thread = os.environ | {"OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(  # noqa: S603  the program by its path, numbers, and a language that it knows
                [self.program, *arguments],
                input=given,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
                env=one_thread,
            )
        except subprocess.TimeoutExpired as error:
            raise TesseractError(f"no answer in {self.timeout_s:g} seconds") from error
        except OSError as error:
            raise TesseractError(error.strerror or str(error)) from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise TesseractError(clean(said[-1], 200) if said else f"exit {done.returncode}")
        return done.stdout


def _outcome(tesseract: Tesseract, picture: Path) -> int | str:
    """Return the number of words in a picture, or why tesseract can't read it."""
    with _decoded(picture) as image:
        rgb = to_rgb(image, (255, 255, 255))
    try:
        return tesseract.words(rgb)
    except TesseractError as error:
        return str(error)


def _is_word(cells: dict[str, str]) -> bool:
    try:
        sure = float(cells["conf"]) >= _TEXT_CONFIDENCE
    except (KeyError, ValueError):
        return False
    # One Chinese character may be a word; one Latin letter is rather a texture.
    letters = (c for c in cells.get("text", "") if c.isalnum())
    return sure and sum(3 if unicodedata.east_asian_width(c) == "W" else 1 for c in letters) >= 3


def perceptual_hash(picture: Path) -> int:
    """Return the 64 bits of imagehash's phash of a picture over white."""
    imagehash = need("imagehash")
    with _decoded(picture) as image:
        bits: NDArray[np.bool_] = imagehash.phash(to_rgb(image, (255, 255, 255))).hash
    return int("".join("1" if bit else "0" for bit in bits.ravel()), 2)


def looks_of(
    *,
    side_px: int | None,
    deviation: float | None,
    duplicates: bool,
    near_bits: int | None,
    most_words: int | None,
    language: str = LANGUAGE,
    watch: Watch | None = None,
) -> Iterator[tuple[str, partial[pl.DataFrame]]]:
    """Yield the requested filters with their names, cheapest first."""
    watch = watch or Watch()
    if side_px is not None:
        yield f"at least {counted(side_px, 'pixel')} on each side", partial(drop_small, side_px, watch)
    if duplicates or near_bits is not None:
        yield "no exact duplicates", partial(drop_duplicates)
    if deviation is not None:
        yield f"not flatter than {deviation:g}", partial(drop_flat, deviation, watch)
    if near_bits is not None:
        yield (
            f"no near duplicates (within {near_bits} of {HASH_BITS} bits)",
            partial(drop_near_duplicates, near_bits, watch),
        )
    if most_words is not None:
        yield f"at most {counted(most_words, 'word')}", partial(drop_text, most_words, language, watch)


def _files(what: str, watch: Watch, table: Table, rows: pl.DataFrame) -> Iterator[Path]:
    watch.begin(what, rows.height)
    for file in rows["file"]:
        yield table.path / str(file)
        watch.advance(1)


@contextmanager
def _decoded(picture: Path) -> Iterator[Image.Image]:
    """Give an open picture; damage that shows while it is decoded in the block is said like damage at its head."""
    try:
        with Image.open(picture, formats=known_formats()) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(picture, error) from error


def _unreadable(picture: Path, error: Exception) -> CollectionError:
    return CollectionError(
        f"can't be read any more ({error})",
        where=picture,
        fix="run the same `metagan collection fetch` again",
    )


def _digest(picture: Path) -> str:
    try:
        require_regular(picture)
        return sha256_of_file(picture)
    except (OSError, ValueError) as error:  # of a name with NUL
        raise _unreadable(picture, error) from error


def _size(picture: Path) -> tuple[int, int]:
    with _decoded(picture) as image:
        return image.size


def _deviation(picture: Path) -> float:
    with _decoded(picture) as image:
        image.draft("RGB", (_FLAT_SIDE, _FLAT_SIDE))
        small = to_rgb(image, (255, 255, 255)).resize((_FLAT_SIDE, _FLAT_SIDE), Image.Resampling.BOX)
    return float(np.asarray(small, np.float32).std(axis=(0, 1)).mean())
