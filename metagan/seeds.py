"""Parses seeds and ranges such as "0-35,42"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain, islice

from metagan.values import InvalidValueError, ValueProblem, invalid_value, show

MAX_SEED = 2**32 - 1
MAX_SEEDS = 1_000_000
MAX_COMPLAINTS = 10
WANT = "seeds and ranges like 0-35,42"

_PART = re.compile(r"([0-9]{1,20})(?:\s*-\s*([0-9]{1,20}))?", re.ASCII)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse "0-35,42" into seeds, in the order given and without duplicates.

    Args:
        text: Seeds and inclusive ranges from 0 to 4294967295, separated by commas; spaces are ignored.

    Raises:
        InvalidValueError: If the text contains anything else, or more than a million seeds. It is a ValueError.
    """
    return expand(parse_ranges(text))


def parse_ranges(text: str) -> tuple[range, ...]:
    """Parse "0-35,42" into ranges, without expanding them.

    Raises:
        InvalidValueError: As parse_seeds.
    """
    if not text.strip():
        raise invalid_value(WANT, "no text", "write at least one seed")
    ranges: list[range] = []
    complaints: list[ValueProblem] = []
    for part in text.split(","):
        try:
            ranges.append(_parse_part(part.strip()))
        except InvalidValueError as error:
            complaints += error.complaints
        if len(complaints) >= MAX_COMPLAINTS:
            break
    if complaints:
        raise InvalidValueError(complaints)
    return check_size(ranges)


def parse_list(items: Sequence[object]) -> tuple[range, ...]:
    """Parse a list of seeds, whose items may also be text such as "0-35".

    Raises:
        InvalidValueError: As parse_seeds. Each complaint names its item.
    """
    ranges: list[range] = []
    complaints: list[ValueProblem] = []
    for index, item in enumerate(items):
        try:
            ranges += _parse_item(item)
        except InvalidValueError as error:
            complaints += [ValueProblem(c.want, c.got, c.fix, (index,)) for c in error.complaints]
        if len(complaints) >= MAX_COMPLAINTS:
            break
    if complaints:
        raise InvalidValueError(complaints)
    return check_size(ranges)


def check_size(ranges: Iterable[range]) -> tuple[range, ...]:
    """Return the ranges if they contain at most a million seeds in total.

    Raises:
        InvalidValueError: If they contain more.
    """
    ranges = tuple(ranges)
    count = sum(map(len, ranges))
    if count > MAX_SEEDS:
        raise invalid_value(f"at most {MAX_SEEDS:,} seeds", f"{count:,}", "ask for fewer")
    return ranges


def expand(ranges: Iterable[range]) -> tuple[int, ...]:
    """Expand ranges into seeds, in order and without duplicates."""
    return tuple(dict.fromkeys(chain.from_iterable(ranges)))


def choose_seeds(images: int | Iterable[range], exclude: Iterable[range]) -> tuple[int, ...]:
    """Return the seeds to publish, without the excluded ones.

    Args:
        images: A list of seeds, or a number of seeds to take from 0 on.
        exclude: Seeds to leave out; if `images` is a number, later seeds replace them.
    """
    excluded = frozenset(chain.from_iterable(exclude))
    if isinstance(images, int):
        return tuple(islice((seed for seed in range(MAX_SEED + 1) if seed not in excluded), images))
    return tuple(seed for seed in expand(images) if seed not in excluded)


def _parse_item(item: object) -> tuple[range, ...]:
    if isinstance(item, str):
        return parse_ranges(item)
    if isinstance(item, int) and not isinstance(item, bool):
        return (_closed_range(item, item, show(item)),)
    raise invalid_value(
        f"a seed from 0 to {MAX_SEED}", show(item), "list whole numbers, for example [0, 7, 42]"
    )


def _parse_part(part: str) -> range:
    if not part:
        raise invalid_value(
            WANT, "nothing between two commas, or a comma at an end", "remove the extra comma"
        )
    match = _PART.fullmatch(part)
    if match is None:
        raise invalid_value(WANT, show(part), "write whole numbers separated by commas, and ranges as 0-35")
    first, last = match.groups()
    return _closed_range(int(first), int(last or first), show(part))


def _closed_range(first: int, last: int, got: str) -> range:
    if first < 0 or max(first, last) > MAX_SEED:
        raise invalid_value(f"seeds from 0 to {MAX_SEED}", got, "choose seeds within that range")
    if last < first:
        raise invalid_value("a range from the smaller seed to the larger", got, f"write {last}-{first}")
    return range(first, last + 1)
