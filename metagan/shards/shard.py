"""One shard: a zip of stored pictures and its index, as bytes; no torch here."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from metagan.shards.manifest import RunSettings

_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16


class Row(BaseModel):
    """A line of an index.

    Args:
        seed: The picture's.
        offset: Where its file begins in the zip, in bytes.
        length: Of its file, in bytes.
        sha256: Of its file, as 64 hex digits.
        dhash: Its perceptual hash, as 16 hex digits; see `difference_hash`.
    """

    model_config = ConfigDict(frozen=True)

    seed: int
    offset: int
    length: int
    sha256: str
    dhash: str


def pack(settings: RunSettings, pictures: Iterable[tuple[int, bytes]]) -> tuple[bytes, list[Row]]:
    """Put picture files into a zip, uncompressed; equal pictures give equal bytes.

    Args:
        settings: The run's.
        pictures: Seeds and files, in the order of the zip.
    """
    held, rows = io.BytesIO(), []
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for seed, data in pictures:
            info = zipfile.ZipInfo(settings.member(seed), _EPOCH)
            info.create_system, info.external_attr = 3, _READABLE
            archive.writestr(info, data)
            rows.append(_row(seed, held.tell() - len(data), data))
    return held.getvalue(), rows


def unpack(settings: RunSettings, seeds: range, content: bytes) -> list[Row] | None:
    """The index of a zip that was read back, or None if it is damaged, or not these seeds' shard."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if [info.filename for info in members] != [settings.member(seed) for seed in seeds]:
                return None
            if any(info.compress_type != zipfile.ZIP_STORED for info in members):
                return None
            rows = []
            for seed, info in zip(seeds, members, strict=True):
                data = archive.read(info)  # which checks the CRC
                offset = info.header_offset + 30 + len(info.filename)
                if content[offset : offset + len(data)] != data:
                    return None
                rows.append(_row(seed, offset, data))
            return rows
    except (
        zipfile.BadZipFile,
        ValueError,
        EOFError,
        RuntimeError,
        SyntaxError,
        OSError,
        Image.DecompressionBombError,
    ):
        return None


def encode_index(rows: Iterable[Row]) -> bytes:
    """The content of an index."""
    return "".join(f"{row.model_dump_json()}\n" for row in rows).encode()


def decode_index(content: bytes) -> list[Row] | None:
    """The rows of an index, or None if it is damaged."""
    try:
        return [Row.model_validate_json(line) for line in content.splitlines()]
    except ValidationError:
        return None


def is_intact(seeds: range, rows: list[Row], content: bytes) -> bool:
    """Whether a zip has the pictures that its index says, each with its SHA-256."""
    return [row.seed for row in rows] == list(seeds) and all(
        hashlib.sha256(content[row.offset : row.offset + row.length]).hexdigest() == row.sha256
        for row in rows
    )


def difference_hash(data: bytes) -> str:
    """The perceptual hash of a picture file, as 16 hex digits: near pictures differ in few of the 64 bits.

    N. Krawetz 2013, "Kind of like that" (dHash): in a grey picture of 9x8 pixels, whether each is darker than its
    right neighbour.
    """
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX))
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def _row(seed: int, offset: int, data: bytes) -> Row:
    return Row(
        seed=seed,
        offset=offset,
        length=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        dhash=difference_hash(data),
    )
