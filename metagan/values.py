"""Values that people write: what is wrong with one, in words that fit any reader of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Complaint:
    """One value that a field can't take.

    Args:
        want: What the field takes, in words.
        got: What it was given, in words.
        fix: The way out, in the imperative.
        at: Where inside the field's value it is: the index in a list; empty for the value itself.
    """

    want: str
    got: str
    fix: str
    at: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"want {self.want}, got {self.got}"


class UnfitError(ValueError):
    """Text or lists that can't be read as what they should be: every complaint about them.

    A ValueError, so that pydantic collects it; readers turn it into a Problem or a usage error.
    """

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(f"{complaint}; {complaint.fix}" for complaint in self.complaints))


def unfit(want: str, got: str, fix: str) -> UnfitError:
    """The error for a value with one complaint."""
    return UnfitError([Complaint(want, got, fix)])


def has_controls(text: str) -> bool:
    """Whether line breaks, tabs or other control characters are in a text.

    Not the same as `not text.isprintable()`, which refuses no-break spaces and the joiners inside emoji.
    """
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)


def show(value: object) -> str:
    """A value from a registry in words, short and safe to print: "'abc'", "the number 3", "a list"."""
    if isinstance(value, str):
        shown = value if len(value) <= SHOWN_CHARACTERS else value[: SHOWN_CHARACTERS - 3] + "..."
        return ascii(shown) if not shown.isprintable() else repr(shown)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        digits = str(value)
        return f"the number {digits if len(digits) <= SHOWN_CHARACTERS else digits[:20] + '...'}"
    return "a list" if isinstance(value, Sequence) else "a mapping"
