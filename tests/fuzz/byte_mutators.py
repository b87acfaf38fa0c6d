"""Mutators that know nothing of formats, but for where a file's structure is: numbers of networks look like noise."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from tests.fuzz.cases import Case

CHUNK = 32
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 4096, 65535, 65536, 2**24,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**47, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip


@lru_cache(maxsize=64)
def structure(content: bytes) -> tuple[int, ...]:
    """Where chunks begin that look like headers, names and counts: many zeros, or mostly text."""
    starts = range(0, len(content), CHUNK)
    return tuple(start for start in starts if _is_structure(content[start : start + CHUNK])) or (0,)


def _is_structure(chunk: bytes) -> bool:
    text = sum(32 <= byte < 127 for byte in chunk)
    return chunk.count(0) >= len(chunk) // 4 or text >= 0.7 * len(chunk)


def place(content: bytes, chance: Random) -> int:
    """A byte to change, mostly within the file's structure."""
    if chance.random() < 0.1:
        return chance.randrange(len(content))
    start = chance.choice(structure(content))
    return min(start + chance.randrange(CHUNK), len(content) - 1)


def flip_bits(content: bytes, chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8, 64))):
        changed[place(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def set_bytes(content: bytes, chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        changed[place(content, chance)] = chance.randrange(256)
    return bytes(changed)


def set_number(content: bytes, chance: Random) -> bytes:
    """A number of 1 to 8 bytes: an interesting one, one near it, the file's size, or another of the file's own."""
    width = chance.choice((1, 2, 4, 8))
    at = place(content, chance)
    at -= at % chance.choice((1, 1, 2, 4, 8))
    old = int.from_bytes(content[at : at + width], "little")
    elsewhere = place(content, chance)
    number = chance.choice((
        chance.choice(NUMBERS), old + chance.choice((-1, 1, 8, -8)), old * 2, old // 2, len(content),
        chance.randrange(len(content)), int.from_bytes(content[elsewhere : elsewhere + width], "little"),
    ))  # fmt: skip
    raw = (number % (1 << 8 * width)).to_bytes(width, chance.choice(("little", "little", "big")))
    return content[:at] + raw + content[at + width :]


def truncate(content: bytes, chance: Random) -> bytes:
    return content[: place(content, chance)]


def delete(content: bytes, chance: Random) -> bytes:
    at = place(content, chance)
    return content[:at] + content[at + chance.choice((1, 2, 4, 8, 100, 10_000)) :]


def duplicate(content: bytes, chance: Random) -> bytes:
    at, length = place(content, chance), chance.choice((1, 4, 8, 32, 200, 5_000))
    return content[: at + length] + content[at : at + length] + content[at + length :]


def overwrite(content: bytes, chance: Random) -> bytes:
    """A stretch of the file over another one."""
    start, target, length = place(content, chance), place(content, chance), chance.choice((4, 8, 40, 300))
    piece = content[start : start + length]
    return content[:target] + piece + content[target + len(piece) :]


def append(content: bytes, chance: Random) -> bytes:
    return content + chance.choice(
        (b"\0", b".", b"PK\x05\x06" + bytes(18), content[:64], chance.randbytes(40))
    )


def splice(content: bytes, other: bytes, chance: Random) -> bytes:
    """The beginning of one file, and the end of another."""
    return content[: place(content, chance)] + other[place(other, chance) :]


BYTE_MUTATORS = (flip_bits, set_bytes, set_number, set_number, truncate, delete, duplicate, overwrite, append)


def mutate_bytes(case: Case, name: str, other: bytes, chance: Random) -> Case:
    """One of the files with its bytes changed somehow."""
    content = case.files[name]
    if not content:
        return case.with_file(name, chance.randbytes(chance.randrange(64)))
    if other and chance.random() < 0.05:
        return case.with_file(name, splice(content, other, chance))
    return case.with_file(name, chance.choice(BYTE_MUTATORS)(content, chance))
