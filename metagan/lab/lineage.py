"""Lineages: pictures that were bred from others, as a code that fits an address.

An individual is a style for each of the generator's layers. A *founder* is a seed's, truncated, or a projected
picture's, whose numbers are those of metagan/lab/axes.py. A *child* takes its first parent's styles, on some layers
its second parent's (a cross), and is then moved toward the styles of a fresh seed, on some layers and by a share of
the way (a mutation), in float32 and in this order:

    child = first                              child[l] = second[l]                          for l in taken
    fresh = the founder of the child's seed    child[l] = child[l] + t (fresh[l] - child[l]) for l in mutated

with t = strength / 128. A *brood* is the last step nine times: with seeds that count up from its own, and where it is
a cross, with the layers of `cut_of` from the second parent. A code is base64url (RFC 4648, section 5) without padding
of these bytes; numbers of several bytes have the highest first:

    1  version: 1, or 2 if a founder is a projected picture
    1  flags: 1 for a brood; plus 2 if the label is a class, 4 if it is numbers
    1  layers: styles of a picture
    3  the beginning of the generator's fingerprint, as in styles files
    2  psi in thousandths, signed
       the label: 2 bytes of the class, or 1 of the count and each number as a float32
    1  number of founders, then 4 bytes of each one's seed. In version 2 a byte before each says what follows: 0 for a
       seed; 1 for a projected picture: the number of ranges and of axes (1 each), and each range's numbers (1 each,
       signed)
       steps: first parent, second parent (1 each; the same twice without a cross; founders count first), for a cross
       the first and last layer taken (1 each), the first and last layer mutated (1 each), strength (1), seed (4)
    4  CRC-32 of all bytes before

templates/static/lineage.js is the same for browsers.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import OptionError
from metagan.lab.axes import MOST_AXES, MOST_UNITS, Axes, Projected, find_axes
from metagan.lab.styles import fingerprint, styles_shape
from metagan.networks.generator import Generator
from metagan.sampling.device import on_one_thread_each
from metagan.sampling.latents import labels, latents
from metagan.sampling.sampler import Picture, Sampler, Settings
from metagan.seeds import MAX_SEED
from metagan.values import PSI_RANGE, Label, counted

VERSION: Final = 1
VERSION_PROJECTED: Final = 2
"""The version of codes with projected pictures; programs that read only version 1 say so."""
BROOD_SIZE: Final = 9
MOST_INDIVIDUALS: Final = 120
"""Founders and steps; a code of this many has at most 1,768 letters, or 1,932 with a label of 31 numbers."""
MOST_NUMBERS: Final = 31
MOST_LETTERS: Final = 1932
FULL_STRENGTH: Final = 128
MARK_BYTES: Final = 3
PSI_UNITS: Final = 1000
_IS_BROOD, _HAS_CLASS, _HAS_NUMBERS = 1, 2, 4
_IS_SEED, _IS_PROJECTED = 0, 1
# What a brood's cross takes from the second parent, in twelfths of the layers: coarse, middle, fine ...
_CUTS = ((0, 4), (4, 8), (8, 12), (0, 8), (4, 12), (0, 6), (6, 12), (3, 9), (0, 3))

Layers = tuple[int, int]
"""The first and the last of a range of layers."""


@dataclass(frozen=True)
class Step:
    """How a child came to be.

    Args:
        parents: Their numbers, one or two, founders first.
        taken: The layers taken from the second parent; None without one.
        mutated: The layers moved toward a fresh seed's.
        strength: By how much, in 128ths.
        seed: That seed.
    """

    parents: tuple[int, ...]
    taken: Layers | None
    mutated: Layers
    strength: int
    seed: int


@dataclass(frozen=True)
class Lineage:
    """An individual, or a brood of nine, with all of its ancestors.

    Args:
        num_ws: The generator's styles of a picture.
        mark: The first digits of the generator's fingerprint.
        psi: Truncation in thousandths.
        label: What a conditional generator is asked for: a class's number, or the label's numbers.
        founders: Their seeds, or the numbers of projected pictures.
        steps: The children in their order; the last one is the individual.
        is_brood: Whether it is nine in place of the last one.
    """

    num_ws: int
    mark: str
    psi: int
    label: int | tuple[float, ...] | None
    founders: tuple[int | Projected, ...]
    steps: tuple[Step, ...] = ()
    is_brood: bool = False

    @property
    def checksum(self) -> str:
        """The code's checksum, 8 hex digits, a short name."""
        code = write_lineage(self)
        return urlsafe_b64decode(code + "=" * (-len(code) % 4))[-4:].hex()

    def individuals(self) -> list[Lineage]:
        """Return each individual's own lineage: the nine of a brood, or this one."""
        return [self._child(number) for number in range(BROOD_SIZE)] if self.is_brood else [self]

    def _child(self, number: int) -> Lineage:
        if not self.steps:
            (seed,) = self.founders
            if isinstance(seed, Projected):
                raise AssertionError("a brood without parents has a seed")
            return replace(self, founders=(_counted(seed, number),), is_brood=False)
        *before, last = self.steps
        taken = last.taken and cut_of(number, self.num_ws)
        child = replace(last, seed=_counted(last.seed, number), taken=taken)
        return replace(self, steps=(*before, child), is_brood=False)


def cut_of(number: int, num_ws: int) -> Layers:
    """Return the layers that a brood's child takes from its second parent."""
    first, after = (num_ws * twelfths // 12 for twelfths in _CUTS[number])
    return min(first, num_ws - 1), min(max(first, after - 1), num_ws - 1)


def _counted(seed: int, number: int) -> int:
    return (seed + number) & MAX_SEED


# --------------------------------------------------------------------------------------------
# Codes


def write_lineage(lineage: Lineage) -> str:
    """Return a lineage's code."""
    label = lineage.label
    kind = 0 if label is None else _HAS_NUMBERS if isinstance(label, tuple) else _HAS_CLASS
    has_projected = any(isinstance(founder, Projected) for founder in lineage.founders)
    version = VERSION_PROJECTED if has_projected else VERSION
    parts = [
        bytes([version, lineage.is_brood * _IS_BROOD | kind, lineage.num_ws]),
        bytes.fromhex(lineage.mark),
        struct.pack(">h", lineage.psi),
    ]
    if isinstance(label, tuple):
        parts.append(struct.pack(f">B{len(label)}f", len(label), *label))
    elif label is not None:
        parts.append(struct.pack(">H", label))
    parts.append(bytes([len(lineage.founders)]))
    for founder in lineage.founders:
        if isinstance(founder, Projected):
            ranges, axes = len(founder.numbers), len(founder.numbers[0])
            numbers = (number for row in founder.numbers for number in row)
            parts.append(struct.pack(f">3B{ranges * axes}b", _IS_PROJECTED, ranges, axes, *numbers))
        else:
            parts.append(bytes([_IS_SEED]) * has_projected + struct.pack(">I", founder))
    for step in lineage.steps:
        first, second = step.parents[0], step.parents[-1]
        layers = (*(step.taken or ()), *step.mutated)
        parts.append(bytes([first, second, *layers, step.strength]) + struct.pack(">I", step.seed))
    content = b"".join(parts)
    return urlsafe_b64encode(content + struct.pack(">I", zlib.crc32(content))).decode().rstrip("=")


def read_lineage(text: str) -> Lineage:
    """Read a lineage's code.

    Args:
        text: The code, or an address that holds it as ?lineage=CODE.

    Raises:
        OptionError: If it is damaged, cut off, too long or of another version.
    """
    code = _code_of(text.strip())
    if len(code) > MOST_LETTERS:
        raise _bad(f"want at most {MOST_LETTERS:,} letters, got {len(code):,}")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", code):
        raise _bad("want letters, digits, - and _ only" if code else "there is none")
    try:
        data = urlsafe_b64decode(code + "=" * (-len(code) % 4))
    except binascii.Error as error:
        raise _bad("letters are missing") from error
    content, checksum = data[:-4], data[-4:]
    if checksum != struct.pack(">I", zlib.crc32(content)):
        raise _bad("letters are missing or changed (its checksum is wrong)")
    if data[0] not in (VERSION, VERSION_PROJECTED):
        raise OptionError(
            f"lineage {code[:12]}…: it is of version {data[0]}, and this metagan reads versions {VERSION} and "
            f"{VERSION_PROJECTED}",
            fix="open its address on the site that it is from, or take a newer metagan",
        )
    try:
        lineage = _parse(content)
    except (struct.error, IndexError, ValueError) as error:
        raise _bad(f"what it says is impossible ({error})") from error
    if write_lineage(lineage) != code:  # bits beyond the last byte
        raise _bad("letters are changed")
    return lineage


def _code_of(text: str) -> str:
    """The code in an address, or the text itself."""
    in_address = re.search(r"\blineage=([^&#\s]*)", text)
    return in_address[1] if in_address else text


def _bad(what: str) -> OptionError:
    return OptionError(
        f"lineage: {what}", fix="copy the page's address once more; the whole address may be given, too"
    )


class _Reader:
    """Takes numbers from bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(f">{form}", self.data, self.place)
        self.place += struct.calcsize(f">{form}")
        return values

    def take_floats(self, count: int) -> tuple[float, ...]:
        return struct.unpack(f">{count}f", bytes(self.take(f"{4 * count}B")))

    @property
    def is_done(self) -> bool:
        return self.place == len(self.data)


def _parse(content: bytes) -> Lineage:
    """Read a code's bytes.

    Raises:
        ValueError: If a number is out of its range.
        struct.error: If there are too few.
    """
    reader = _Reader(content)
    version, flags, num_ws = reader.take("3B")
    mark = bytes(reader.take(f"{MARK_BYTES}B"))
    (psi,) = reader.take("h")
    label: int | tuple[float, ...] | None = None
    _require(flags < 6 and num_ws >= 1, "flags or layers")
    if flags & _HAS_CLASS:
        (label,) = reader.take("H")
    elif flags & _HAS_NUMBERS:
        (count,) = reader.take("B")
        label = reader.take_floats(count)
        _require(0 < count <= MOST_NUMBERS and all(map(math.isfinite, label)), "the label's numbers")
    _require(PSI_RANGE[0] * PSI_UNITS <= psi <= PSI_RANGE[1] * PSI_UNITS, "psi")
    (count,) = reader.take("B")
    founders = tuple(_parse_founder(reader, version, num_ws) for _ in range(count))
    steps: list[Step] = []
    while not reader.is_done:
        _require(count + len(steps) < MOST_INDIVIDUALS, f"more than {MOST_INDIVIDUALS} individuals")
        steps.append(_parse_step(reader, count + len(steps), num_ws))
    is_brood = bool(flags & _IS_BROOD)
    _require(1 <= count <= MOST_INDIVIDUALS, "the number of founders")
    _require(bool(steps) or count == 1, "founders without a child")
    has_projected = any(isinstance(founder, Projected) for founder in founders)
    _require(has_projected == (version == VERSION_PROJECTED), "the version")
    _require(bool(steps) or not (is_brood and has_projected), "a brood of projected pictures")
    return Lineage(num_ws, mark.hex(), psi, label, founders, tuple(steps), is_brood)


def _parse_founder(reader: _Reader, version: int, num_ws: int) -> int | Projected:
    (kind,) = reader.take("B") if version == VERSION_PROJECTED else (_IS_SEED,)
    if kind == _IS_SEED:
        (seed,) = reader.take("I")
        return seed
    _require(kind == _IS_PROJECTED, f"a founder of kind {kind}")
    ranges, axes = reader.take("2B")
    _require(1 <= ranges <= num_ws and 1 <= axes <= MOST_AXES, f"{ranges} ranges of layers, {axes} axes")
    rows = tuple(reader.take(f"{axes}b") for _ in range(ranges))
    _require(all(abs(number) <= MOST_UNITS for row in rows for number in row), "a number of -128")
    return Projected(rows)


def _parse_step(reader: _Reader, number: int, num_ws: int) -> Step:
    first, second = reader.take("2B")
    _require(first < number and second < number, f"individual {number} has a parent that isn't there yet")
    is_cross = first != second
    taken = reader.take("2B") if is_cross else None
    mutated = reader.take("2B")
    for least, most in (taken or mutated, mutated):
        _require(least <= most < num_ws, f"layers {least} to {most} of {num_ws}")
    strength, seed = reader.take("BI")
    _require(strength <= FULL_STRENGTH, f"strength {strength}")
    parents = (first, second) if is_cross else (first,)
    return Step(parents, (taken[0], taken[1]) if taken else None, (mutated[0], mutated[1]), strength, seed)


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)


# --------------------------------------------------------------------------------------------
# Styles


def draw_lineage(
    sampler: Sampler, lineage: Lineage, settings: Settings, *, foreign: bool = False
) -> Iterator[tuple[Lineage, Picture]]:
    """Yield the individual, or each of the nine of a brood, with its picture [h, w, ch].

    Args:
        sampler: A sampler of its generator.
        lineage: The lineage, which has its own psi and label.
        settings: Noise, and what is added to the styles.
        foreign: As `lineage_styles`.

    Raises:
        OptionError: As `lineage_styles`, or if noise is random, or dials move latents.
    """
    if settings.noise == "random":
        raise OptionError(
            "lineage: random noise is drawn from a seed, and a lineage has many", fix="add --noise const"
        )
    if settings.z_shift is not None:
        raise OptionError(
            "--dials: this generator's dials move latents, and a lineage is of styles",
            fix="turn dials of --seeds only",
        )
    rows = lineage_styles(lineage, sampler.generator, foreign=foreign)
    if settings.ws_shift is not None:
        rows = [ws + settings.ws_shift.to(ws) for ws in rows]
    yield from zip(lineage.individuals(), sampler.draw_styles(rows, settings.noise), strict=True)


def lineage_styles(
    lineage: Lineage, generator: Generator, *, foreign: bool = False
) -> list[Float[Tensor, "num_ws w_dim"]]:
    """Breed a lineage.

    Args:
        lineage: The lineage.
        generator: Its generator.
        foreign: Whether to accept another generator with as many styles, such as a fine-tuned one.

    Returns:
        The styles of the individual, or of the nine of a brood.

    Raises:
        OptionError: If it is another generator's, or asks for a label or psi that this one doesn't have.
    """
    _require_same_generator(lineage, generator, foreign=foreign)
    return [_bred(one, generator) for one in lineage.individuals()]


@torch.inference_mode()
def _bred(lineage: Lineage, generator: Generator) -> Tensor:
    family = [_founder(founder, lineage, generator) for founder in lineage.founders]
    for step in lineage.steps:
        child = family[step.parents[0]].clone()
        if step.taken:
            taken = slice(step.taken[0], step.taken[1] + 1)
            child[taken] = family[step.parents[1]][taken]
        mutated = slice(step.mutated[0], step.mutated[1] + 1)
        fresh = _founder(step.seed, lineage, generator)
        child[mutated] = child[mutated] + (step.strength / FULL_STRENGTH) * (fresh[mutated] - child[mutated])
        family.append(child)
    return family[-1]


def _founder(founder: int | Projected, lineage: Lineage, generator: Generator) -> Tensor:
    """A projected picture's styles, or a seed's, mapped alone, so that they don't depend on the others."""
    if isinstance(founder, Projected):
        return _axes(founder, lineage, generator).projected_styles(founder, generator.num_ws)
    device = next(generator.parameters()).device
    label: Label | None = lineage.label
    rows = labels(generator, label, 1)
    with on_one_thread_each():
        return generator.map_latents(
            latents([founder], generator.z_dim).to(device),
            None if rows is None else rows.to(device),
            psi=lineage.psi / PSI_UNITS,
        )[0]


def _axes(founder: Projected, lineage: Lineage, generator: Generator) -> Axes:
    """The axes that a projected picture's numbers are on.

    Raises:
        OptionError: If there are fewer.
    """
    count, (_, w_dim) = len(founder.numbers[0]), styles_shape(generator)
    if count > w_dim:
        raise OptionError(
            f"lineage: it is on {count} axes, and this generator's styles have {w_dim}",
            fix="name the subject on whose page it was made",
        )
    return find_axes(generator, count, lineage.label)


def _require_same_generator(lineage: Lineage, generator: Generator, *, foreign: bool) -> None:
    has_label = lineage.label is not None
    if lineage.num_ws != generator.num_ws or has_label != bool(generator.c_dim):
        own = f"{counted(generator.num_ws, 'layer')} and {'a' if generator.c_dim else 'no'} label"
        raise OptionError(
            f"lineage: it is of a generator with {counted(lineage.num_ws, 'layer')} and "
            f"{'a' if has_label else 'no'} label, "
            f"and this one has {own}",
            fix="name the subject on whose page it was bred",
        )
    found = mark_of(generator)
    if not foreign and lineage.mark != found:
        raise OptionError(
            f"lineage: it is of another generator, whose hash begins with {lineage.mark}; this one's begins with "
            f"{found}",
            fix="name the subject on whose page it was bred, or take it as it is with --foreign-styles",
        )


def mark_of(generator: Generator) -> str:
    """Return the digits by which a lineage knows its generator: the first ones of its fingerprint."""
    return fingerprint(generator)[: 2 * MARK_BYTES]
