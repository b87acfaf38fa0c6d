"""Parses seeds and ranges such as "0-35,42"."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import overload

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
    if not isinstance(text, str):
        raise invalid_value(WANT, f"{text!r:.60}", "write them as text")
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


class SeedRanges(Sequence[int]):
    """Ascending seeds without duplicates, kept as ranges: a million take no more memory than two.

    Args:
        ranges: In any order; they may overlap.
    """

    def __init__(self, ranges: Iterable[range]) -> None:
        merged: list[range] = []
        for each in sorted(filter(None, ranges), key=lambda each: each.start):
            if merged and each.start <= merged[-1].stop:
                merged[-1] = range(merged[-1].start, max(merged[-1].stop, each.stop))
            else:
                merged.append(each)
        self.ranges = tuple(merged)
        self._counts = (0, *accumulate(map(len, self.ranges)))

    def without(self, excluded: Iterable[range]) -> SeedRanges:
        """These seeds but the excluded ones."""
        gone, left, place = SeedRanges(excluded).ranges, list[range](), 0
        for each in self.ranges:
            start = each.start
            while place < len(gone) and gone[place].start < each.stop:
                left.append(range(start, gone[place].start))
                start = max(start, gone[place].stop)
                if start > each.stop:
                    break
                place += 1
            left.append(range(start, each.stop))
        return SeedRanges(left)

    def first(self, count: int) -> SeedRanges:
        """The lowest seeds, so many at most."""
        parts = zip(self.ranges, self._counts, strict=False)
        return SeedRanges(each[: max(count - before, 0)] for each, before in parts)

    def __len__(self) -> int:
        return self._counts[-1]

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[int, ...]: ...
    def __getitem__(self, place: int | slice) -> int | tuple[int, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        at = range(len(self))[place]
        which = bisect_right(self._counts, at) - 1
        return self.ranges[which][at - self._counts[which]]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges)

    def __contains__(self, seed: object) -> bool:
        return any(seed in each for each in self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeedRanges) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"SeedRanges({self.ranges!r})"


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
