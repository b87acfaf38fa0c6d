"""Values that people write: what is wrong with one, in words that fit any reader of them."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from metagan.errors import OptionError, Problem

SHOWN_CHARACTERS = 60

PSI_RANGE = (-2, 2)
"""The least and the largest truncation that is taken, in registries and on the command line."""

ABSENT_TRAIT = "none"
"""The value of a trait type for a picture that has none of it."""

NoiseMode = Literal["const", "random", "none"]

Precision = Literal["fp32", "fp16", "bf16", "int8", "auto"]
"""Number formats by name: of computations, and of stored weights. Each command takes some of them."""

_FORMER_PRECISIONS: dict[object, Precision] = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def precision_of_today(name: object) -> object:
    """A precision's name, translated from that of earlier versions ("bfloat16"); anything else as it is."""
    return _FORMER_PRECISIONS.get(name, name) if isinstance(name, str) else name


@dataclass(frozen=True)
class ValueProblem:
    """A value that a field does not accept.

    Args:
        want: A description of what the field accepts.
        got: A description of the value.
        fix: How to correct it, in the imperative.
        at: The index in a list or the key in a mapping, for each level; empty for the value itself.
    """

    want: str
    got: str
    fix: str
    at: tuple[int | str, ...] = ()

    def __str__(self) -> str:
        return f"want {self.want}, got {self.got}"


class InvalidValueError(OptionError, ValueError):
    """A value that can't be parsed, with all complaints about it.

    It is a ValueError, so that pydantic collects it. Readers turn it into a Problem or a usage error.
    """

    def __init__(self, complaints: Sequence[ValueProblem]) -> None:
        self.complaints = tuple(complaints)
        told = "; ".join(f"{complaint}; {complaint.fix}" for complaint in self.complaints)
        super().__init__(text_of(told))  # pydantic takes UTF-8 only
        self.problems = tuple(Problem(None, str(each), each.fix) for each in self.complaints)

    def __str__(self) -> str:
        """All complaints in a line, each with its way out."""
        return str(self.args[0])


def invalid_value(want: str, got: str, fix: str) -> InvalidValueError:
    """Create the error for a value with one complaint."""
    return InvalidValueError([ValueProblem(want, got, fix)])


MOST_COARSEST_PX = 16
"""The longer side that new networks of rectangular pictures may begin with, in pixels."""


class Size(NamedTuple):
    """The size of pictures in pixels; people write WIDTHxHEIGHT, or one number for squares."""

    width: int
    height: int

    @classmethod
    def square(cls, side_px: int) -> Size:
        """The size of square pictures."""
        return cls(side_px, side_px)

    @classmethod
    def read(cls, text: str) -> Size:
        """Parse "512x1024", a portrait, or "256", a square.

        Raises:
            InvalidValueError: If the text is neither.
        """
        found = re.fullmatch(r"\s*(\d{1,6})\s*(?:[xX×*]\s*(\d{1,6})\s*)?", text, re.ASCII)
        if found is None or not int(found[1]) or not int(found[2] or 1):
            raise invalid_value(
                "a side in pixels, or WIDTHxHEIGHT", show(text), "write 256, or 512x1024 for portraits"
            )
        return cls(int(found[1]), int(found[2] or found[1]))

    @classmethod
    def of(cls, size: Size | int) -> Size:
        """A size, or the square of a side in pixels."""
        return cls.square(size) if isinstance(size, int) else size

    @property
    def longest(self) -> int:
        """The longer side."""
        return max(self)

    @property
    def shortest(self) -> int:
        """The shorter side."""
        return min(self)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def is_square(self) -> bool:
        """Whether width and height are equal."""
        return self.width == self.height

    def times(self, factor: int) -> Size:
        """The size after an enlargement by a factor."""
        return Size(self.width * factor, self.height * factor)

    @property
    def coarsest(self) -> Size:
        """The smallest size that doubles to this one, at least 4 pixels on the longer side: what networks begin with.

        4x4 for squares, 2x4 for portraits of 512x1024, 6x4 for films of 768x512.
        """
        size = self
        while size.width % 2 == 0 and size.height % 2 == 0 and size.longest >= 8:
            size = Size(size.width // 2, size.height // 2)
        return size

    @property
    def doublings(self) -> int:
        """How often `coarsest` doubles to this size."""
        return (self.width // self.coarsest.width).bit_length() - 1

    @property
    def is_trainable(self) -> bool:
        """Whether networks can be trained for pictures of this size: its sides share a large power of two."""
        most = 4 if self.is_square else MOST_COARSEST_PX
        if not self.is_square and (self.shortest < 8 or self.doublings == 0):
            return False
        return 4 <= self.coarsest.longest <= most

    @property
    def nearest_trainable(self) -> Size:
        """A trainable size near this one."""
        near, step = self, max(2, 2 ** (self.longest // MOST_COARSEST_PX).bit_length())
        while not near.is_trainable:
            near = Size(*(max(step, round(side / step) * step) for side in self))
            if near.is_square:
                near = Size.square(2 ** max(2, near.width.bit_length() - 1))
            step *= 2
        return near

    @property
    def as_option(self) -> str:
        """As an option's value: "256", "512x1024"."""
        return str(self.width) if self.is_square else str(self)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def source_date() -> dt.datetime | None:
    """The time in UTC that SOURCE_DATE_EPOCH sets for what is made (reproducible-builds.org); None if it is not set.

    Raises:
        OptionError: If it is not a number of seconds since 1970, within the years that a calendar has.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return None
    try:
        return dt.datetime.fromtimestamp(int(epoch), dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise OptionError(
            f"want seconds since 1970, got {show(epoch)}",
            where="SOURCE_DATE_EPOCH",
            fix="set it to a whole number, or unset it",
        ) from error


def has_controls(text: str) -> bool:
    """Whether a text contains line breaks, tabs or other control characters.

    `not text.isprintable()` would also refuse no-break spaces and the joiners inside emoji.
    """
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)


_HALVES = re.compile(
    r"[\ud800-\udfff]"
)  # of characters; U+DC80 to U+DCFF stand for a file name's stray bytes


def text_of(name: str) -> str:
    """A file's name as text that every file and terminal takes: a byte that isn't UTF-8 becomes "\\xe9"."""
    return _HALVES.sub(lambda half: _escaped(half[0]), name)


def json_text(
    value: object, indent: int | None = None, *, default: Callable[[Any], object] | None = None
) -> str:
    """JSON that is UTF-8 and keeps letters, with the stray bytes of file names written as `text_of` writes them."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default)
    return _HALVES.sub(lambda half: "\\" + _escaped(half[0]), text)


def _escaped(half: str) -> str:
    code = ord(half)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def printable(text: str, *, lines: bool = False) -> str:
    """A stranger's text, fit for a terminal: what would move the cursor or can't be encoded becomes an escape.

    Args:
        text: A file's name, a message.
        lines: Keep line breaks.
    """
    return "".join(
        character if character.isprintable() or (lines and character == "\n") else ascii(character)[1:-1]
        for character in text_of(text)
    )


def show(value: object) -> str:
    """Describe a value briefly and safely for messages: "'abc'", "the number 3", "a list"."""
    if isinstance(value, str):
        shown = value if len(value) <= SHOWN_CHARACTERS else value[: SHOWN_CHARACTERS - 3] + "..."
        if shown.isprintable():
            return repr(shown)
        return re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", ascii(shown))  # bytes of a file's name
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        digits = str(value)
        return f"the number {digits if len(digits) <= SHOWN_CHARACTERS else digits[:20] + '...'}"
    return "a list" if isinstance(value, Sequence) else "a mapping"


def span_of(
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> str:
    """A range in words behind "a number": " from 1 to 64", " above 0, up to 10", " from 0", or nothing."""
    lower = " above" if above is not None else " from"
    first, last = (least if above is None else above), (most if below is None else below)
    if last is None:
        return "" if first is None else f"{lower} {_digits(first)}"
    if first is None:
        return f" {'up to' if below is None else 'below'} {_digits(last)}"
    between = " to" if above is None and below is None else ", up to" if below is None else " and below"
    return f"{lower} {_digits(first)}{between} {_digits(last)}"


def _digits(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: "1 picture", "1,200 pictures", "0 copies".

    Args:
        number: How many.
        noun: For one of them.
        plural: For any other number of them; None for the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def format_bytes(size_bytes: int) -> str:
    """A size in powers of ten, "812.4 MB", as hosts state their limits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.2f} GB" if unit == "GB" else f"{size_bytes / scale:.1f} {unit}"
    return counted(size_bytes, "byte")


# --------------------------------------------------------------------------------------------
# Labels of conditional generators.

Label = int | str | tuple[float, ...]
"""What a conditional generator is asked for: a class by its number or name, or the numbers of its label."""


@dataclass(frozen=True)
class LabelSpace:
    """What the labels of a conditional generator mean.

    Args:
        names: Names of classes 0, 1, ..., or of the label's numbers; empty if they have no names.
        ranges: Least and greatest value of each of the label's numbers in the training data; empty for classes.
    """

    names: tuple[str, ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()

    @property
    def is_numbers(self) -> bool:
        """Whether labels are numbers of their own, such as an angle and an age, rather than one-hot classes."""
        return bool(self.ranges)

    def number_of(self, label: int | str, count: int) -> int | None:
        """Return a class's number; None if there is no such class.

        Args:
            label: The number, also as text, or the name, which comes first.
            count: The number of classes.
        """
        if isinstance(label, str):
            names = [unicodedata.normalize("NFC", name) for name in self.names]
            if (name := unicodedata.normalize("NFC", text_of(label))) in names:
                return names.index(name)
            if not (label.isascii() and label.isdecimal()):  # int() would also take "1_0" and " 1"
                return None
            label = int(label[:20])
        return label if 0 <= label < count else None

    @property
    def middle(self) -> tuple[float, ...]:
        """The middle of each number's range."""
        return tuple((least + most) / 2 for least, most in self.ranges)


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parse a label's numbers, "0.2,0.7".

    Raises:
        ValueError: If it isn't finite numbers with commas between them.
    """
    numbers = tuple(float(part) for part in text.split(","))
    if not all(map(math.isfinite, numbers)):
        raise ValueError(text)
    return numbers
