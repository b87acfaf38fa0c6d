"""Mutators of pickles, instruction by instruction: bare ones, torch's five in a row, and those nested inside."""

from __future__ import annotations

import pickletools
import struct
from functools import lru_cache
from random import Random

from metagan.checkpoints.pickles.allowlist import CONTAINER_NAMES, PICKLE_NAMES
from tests.checkpoints.assembler import number, raw, text
from tests.fuzz.byte_mutators import NUMBERS, mutate_bytes
from tests.fuzz.cases import Case

STOP = ord(".")
LEGACY_PICKLES = 5
MAX_NESTED = 100_000

WORDS = (
    "", "weight", "bias", "synthesis", "mapping", "b4", "b8", "b16", "conv0", "conv1", "torgb", "const", "w_avg",
    "_parameters", "_buffers", "_modules", "state", "class", "type", "version", "class_name", "module_src", "G",
    "D", "G_ema", "g_ema", "GAN", "storage", "cpu", "0", "1", "lrelu", "linear", "eval('1')", "../../etc/passwd",
    "a" * 200, "\x1b[31m", "\u202e", "b4.conv1.noise_const", "f4", "f8", "O", "|O", "<", ">", "C", "F", "latin1",
)  # fmt: skip
FORBIDDEN = (
    ("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("copyreg", "_reconstructor"),
)  # fmt: skip
NAMES = (*PICKLE_NAMES, *CONTAINER_NAMES, *FORBIDDEN)
PLAIN = b"(tleu)]}s0ab.NQR12\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x97\x98"


@lru_cache(maxsize=64)
def instructions(content: bytes) -> tuple[bytes, ...]:
    """The instructions of a pickle, or of several in a row, and whatever follows them as the last entry.

    Of a torch file of the old layout there are five pickles; of other files one.
    """
    pieces: list[bytes] = []
    position = 0
    for _ in range(LEGACY_PICKLES if content.startswith(b"\x80\x02\x8a\x0al\xfc\x9c") else 1):
        length = 0
        try:
            for _, _, at in pickletools.genops(content[position:]):
                if at:
                    pieces.append(content[position + length : position + at])
                length = at
        except (ValueError, OverflowError, struct.error):
            position += length
            break
        pieces.append(content[position + length : position + length + 1])
        position += length + 1
    return (*pieces, content[position:])


def mutate_pickle(content: bytes, chance: Random) -> bytes:
    """One to four changes of instructions, mostly of their operands, so that much of the pickle still holds."""
    pieces = list(instructions(content))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        index = chance.randrange(len(pieces))
        if chance.random() < 0.8:
            index = _with_operand(pieces, index)
            pieces[index] = change_operand(pieces[index], pieces, chance)
        else:
            chance.choice(STRUCTURAL)(pieces, index, chance)
    return b"".join(pieces)


def _with_operand(pieces: list[bytes], index: int) -> int:
    """The next instruction that has an operand, and a sizeable one less often than a small one."""
    for offset in range(len(pieces)):
        at = (index + offset) % len(pieces)
        if len(pieces[at]) > 1 and pieces[at][0] not in b"qr\x95":
            return at
    return index


# Operands


def change_operand(piece: bytes, pieces: list[bytes], chance: Random) -> bytes:
    """The same instruction, or its like, about something else."""
    code = piece[:1]
    if code in (b"K", b"M", b"J", b"\x8a"):
        return number(_number(piece, chance))
    if code == b"G":
        return b"G" + struct.pack(">d", chance.choice((0.0, -1.0, 1e308, 1e-320, float("inf"), float("nan"))))
    if code in (b"X", b"\x8c", b"\x8d"):
        return _text(pieces, chance)
    if code == b"h":
        return b"h" + bytes([chance.randrange(256)])
    if code == b"j":
        return b"j" + struct.pack("<I", chance.choice(NUMBERS) % 2**32)
    if code == b"c":
        module, name = chance.choice(NAMES)
        return f"c{module}\n{name}\n".encode()
    if code in (b"B", b"C", b"\x8e", b"\x96"):
        return _bytes(piece, chance)
    at = chance.randrange(len(piece)) if piece else 0
    return piece[:at] + chance.randbytes(1) + piece[at + 1 :]


def _number(piece: bytes, chance: Random) -> int:
    old = int.from_bytes(piece[1:9], "little")
    return chance.choice((
        chance.choice(NUMBERS), old + 1, old - 1, old * 2, old // 2, -old, -1, -chance.choice(NUMBERS), 2**80,
    ))  # fmt: skip


def _text(pieces: list[bytes], chance: Random) -> bytes:
    if chance.random() < 0.5:
        return text(chance.choice(WORDS))
    for _ in range(20):
        piece = chance.choice(pieces)
        if piece[:1] in (b"X", b"\x8c"):
            return piece
    return text("nothing")


def _bytes(piece: bytes, chance: Random) -> bytes:
    """Bytes in a pickle: often a nested torch file, else an array's numbers."""
    head = {b"B": 5, b"C": 2}.get(piece[:1], 9)
    content = piece[head:]
    if content.startswith(b"\x80\x02") and len(content) < MAX_NESTED and chance.random() < 0.7:
        return raw(mutate_pickle(content, chance))
    if not content:
        return raw(chance.randbytes(8))
    return raw(mutate_bytes(Case("", "x", {"x": content}), "x", b"", chance).content)


# Structure


def _delete(pieces: list[bytes], index: int, chance: Random) -> None:
    del pieces[index : index + chance.choice((1, 1, 1, 2, 5, 40))]
    pieces.append(b"")


def _insert(pieces: list[bytes], index: int, chance: Random) -> None:
    pieces.insert(index, random_instruction(chance))


def _replace(pieces: list[bytes], index: int, chance: Random) -> None:
    pieces[index] = random_instruction(chance)


def _copy(pieces: list[bytes], index: int, chance: Random) -> None:
    """A run of instructions once more, elsewhere."""
    length = chance.choice((1, 1, 2, 4, 10, 100))
    target = chance.randrange(len(pieces))
    pieces[target:target] = pieces[index : index + length]


def _swap(pieces: list[bytes], index: int, chance: Random) -> None:
    other = min(index + chance.choice((1, 1, 2, 5)), len(pieces) - 1)
    pieces[index], pieces[other] = pieces[other], pieces[index]


def _repeat(pieces: list[bytes], index: int, chance: Random) -> None:
    """One instruction over and over, as bombs have it."""
    pieces[index] *= chance.choice((2, 3, 50, 3000))


STRUCTURAL = (_delete, _insert, _replace, _copy, _swap, _repeat)


def random_instruction(chance: Random) -> bytes:
    """Any instruction, allowed or not, with an operand that makes sense more often than not."""
    kind = chance.randrange(8)
    if kind == 0:
        return number(chance.choice(NUMBERS))
    if kind == 1:
        return text(chance.choice(WORDS))
    if kind == 2:
        return raw(chance.randbytes(chance.choice((0, 1, 4, 8, 400))))
    if kind == 3:
        module, name = chance.choice(NAMES)
        return f"c{module}\n{name}\n".encode()
    if kind == 4:
        return b"h" + bytes([chance.randrange(40)])
    if kind == 5:
        return chance.choice((b"q", b"r")) + struct.pack("<I", chance.randrange(300))
    if kind == 6:
        return chance.randbytes(chance.choice((1, 2, 5)))
    return bytes([chance.choice(PLAIN)])
