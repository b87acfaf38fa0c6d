"""Filters a collection into a smaller one, and counts the items that each filter leaves.

Pictures are hard links if the disk allows it, otherwise symbolic links, otherwise copies. Links take no space, and are
safe because metagan never modifies a picture in place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from metagan.collection.model import Facts, Item, SourceFacts
from metagan.collection.prices import currencies, kept_after_trim, priced_items
from metagan.collection.rarity import score_items
from metagan.collection.review import REVIEW_NAME, read_review
from metagan.collection.store import (
    IMAGES_NAME,
    ITEMS_NAME,
    Collection,
    now,
    open_collection,
    read_facts,
    read_lines,
    writing,
)
from metagan.collection.table import Table, open_table
from metagan.errors import CollectionError, OptionError
from metagan.files import real_path, replacing
from metagan.values import text_of

if TYPE_CHECKING:
    import polars as pl

By = Literal["price", "rarity", "likes", "sales"]
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)(%?)")
_YEARS: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


@dataclass(frozen=True)
class Choice:
    """The filters of a subset, applied in the order of the fields; None or empty filters nothing.

    Args:
        traits: (type, values): keep items that have one of the values, for every type.
        categories: Keep items of these categories.
        types: Keep items of these types.
        years: First and last year of creation.
        not_nsfw: Drop items that are marked as not safe for work.
        trim_percent: Drop the cheapest and dearest, as `prices.TRIM_DEFINITION` says, and items without a price.
        by: The value that `top` and `bottom` sort by.
        top: Keep the highest "15%" or "200"; all items that equal the last one are kept too.
        bottom: Keep the lowest, in the same way.
        sample: Keep this many random items.
        seed: Random seed of `sample`.
    """

    traits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    categories: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    years: tuple[int, int] | None = None
    not_nsfw: bool = False
    trim_percent: float | None = None
    by: By = "rarity"
    top: str | None = None
    bottom: str | None = None
    sample: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """A filter, and the number of items left after it."""

    what: str
    left: int


@dataclass(frozen=True)
class SubsetReport:
    """The result of a subset."""

    collection: Collection
    steps: tuple[Step, ...]


Look = Callable[[Table, "pl.DataFrame"], "pl.DataFrame"]
Filter = tuple[str, Callable[["pl.DataFrame"], "pl.DataFrame"]]


def take_subset(
    source: Path, out: Path, choice: Choice, looks: Sequence[tuple[str, Look]] = ()
) -> SubsetReport:
    """Write the items of the collection at `source` that a choice leaves as the collection at `out`.

    Args:
        source: A complete collection.
        out: Another folder; a subset in it is replaced.
        choice: The filters.
        looks: Filters that look at the pictures, each a name and a function from rows to the rows that stay.

    Raises:
        CollectionError: If the collection can't be read, nothing is left, or `out` holds something else.
        OptionError: If a filter names a value that no item has.
    """
    if real_path(out) == real_path(source):
        raise CollectionError("is the collection itself", where=out, fix="choose another --out")
    table = open_table(source)
    rows, steps = table.items, [Step("all", table.items.height)]
    for what, filtered in _filters(table, choice, looks):
        rows = filtered(rows)
        steps.append(Step(what, rows.height))
        if not rows.height:
            said = ", ".join(f"{step.what}: {step.left:,}" for step in steps)
            raise CollectionError(f"nothing is left ({said})", where=source, fix="choose less strictly")
    collection = open_collection(source)
    chosen = set(rows["id"].to_list())
    return SubsetReport(_write(collection, out, chosen, steps), tuple(steps))


def parse_traits(texts: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Parse texts such as "Hat=Crown", and group the values by type.

    Raises:
        OptionError: If a text has no "=", or nothing on one side of it.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        kind, equals, value = text.partition("=")
        if not (equals and kind.strip() and value.strip()):
            raise OptionError(f"--trait {text!r}: want TYPE=VALUE", fix="write it like 'Hat=Crown'")
        found.setdefault(kind.strip().lower(), []).append(value.strip())
    return tuple((kind, tuple(values)) for kind, values in found.items())


def parse_years(text: str) -> tuple[int, int]:
    """Parse "2019" or "2019-2021".

    Raises:
        OptionError: If the text is neither, or the first year is the later one.
    """
    match = _YEARS.fullmatch(text.strip())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise OptionError(
            f"--year {text}: want a year or two, the earlier first", fix="write 2019 or 2019-2021"
        )
    return first, last


def _filters(table: Table, choice: Choice, looks: Sequence[tuple[str, Look]]) -> Iterator[Filter]:
    yield from _filters_by_property(table, choice)
    if choice.trim_percent:
        yield (
            f"trimmed by {choice.trim_percent:g}% at both ends",
            partial(_trimmed, table, choice.trim_percent),
        )
    if looks:
        yield "with a picture", lambda rows: rows.drop_nulls("file")
    for what, look in looks:
        yield what, partial(look, table)
    if choice.top:
        yield f"top {choice.top} by {choice.by}", partial(_end, table, choice.by, choice.top, highest=True)
    if choice.bottom:
        yield (
            f"bottom {choice.bottom} by {choice.by}",
            partial(_end, table, choice.by, choice.bottom, highest=False),
        )
    if choice.sample is not None:
        yield (
            f"{choice.sample:,} by chance, seed {choice.seed}",
            partial(_sampled, choice.sample, choice.seed),
        )


def _filters_by_property(table: Table, choice: Choice) -> Iterator[Filter]:
    import polars as pl

    if sorted_out := read_review(table.path):
        ids = list(sorted_out)
        yield f"not sorted out in {REVIEW_NAME}", lambda rows: rows.filter(~pl.col("id").is_in(ids))

    for kind, values in choice.traits:
        yield f"{kind} = {' or '.join(values)}", partial(_in_rows, _rows_with_trait(table, kind, values))
    for name, wanted in (("category", choice.categories), ("type", choice.types)):
        if wanted:
            _refuse_unknown(table, name, wanted)
            yield f"{name} {' or '.join(wanted)}", partial(_of_group, name, wanted)
    if choice.years:
        between = pl.col("year").is_between(*choice.years)
        yield f"year {choice.years[0]} to {choice.years[1]}", lambda rows: rows.filter(between)
    if choice.not_nsfw:
        yield "not nsfw", lambda rows: rows.filter(~pl.col("nsfw").fill_null(value=False))


def _in_rows(numbers: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return rows.filter(pl.col("row").is_in(numbers.implode()))


def _of_group(name: str, wanted: Sequence[str], rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return rows.filter(pl.col(name).str.to_lowercase().is_in([value.lower() for value in wanted]))


def _rows_with_trait(table: Table, kind: str, values: Sequence[str]) -> pl.Series:
    import polars as pl

    of_type = table.traits.filter(pl.col("type_key") == kind.strip().lower())
    if not of_type.height:
        known = sorted(set(table.traits["type"].to_list()))
        raise OptionError(
            f"--trait {kind}={values[0]}: no item has such a trait; there are {', '.join(known)[:500]}",
            fix="use one of these",
        )
    found = of_type.filter(pl.col("value_key").is_in([value.strip().lower() for value in values]))
    absent = {value.strip().lower() for value in values} - set(found["value_key"].to_list())
    if absent:
        known = sorted(set(of_type["value"].to_list()))
        wanted = next(value for value in values if value.strip().lower() in absent)
        raise OptionError(
            f"--trait {kind}={wanted}: no item has this value; there are {', '.join(known)[:500]}",
            fix="use one of these",
        )
    return found["row"]


def _refuse_unknown(table: Table, name: str, wanted: Sequence[str]) -> None:
    known = sorted(set(table.items[name].drop_nulls().to_list()))
    keys = {value.lower() for value in known}
    absent = [value for value in wanted if value.lower() not in keys]
    if absent:
        there = f"there are {', '.join(known)[:500]}" if known else f"no item has a {name}"
        raise OptionError(
            f"--{name} {absent[0]}: no item has it; {there}",
            fix="use one of these" if known else f"leave --{name} out",
        )


def _trimmed(table: Table, percent: float, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    priced = rows.select("row").join(_paid(table), on="row", maintain_order="left")
    kept = priced.filter(pl.Series(kept_after_trim(priced["paid"].to_numpy(), percent)))
    return _in_rows(kept["row"], rows)


def _paid(table: Table) -> pl.DataFrame:
    """Return the prices of items, if they have one currency."""
    known = currencies(table)
    if len(known) != 1:
        what = f"prices in {len(known)} currencies ({', '.join(known[:5])}) can't be compared"
        if not known:
            what = "no item has a price above 0"
        fix = "fetch the collection with --usd rates.csv" if known else "choose by rarity, likes or sales"
        raise CollectionError(what, where=table.path, fix=fix)
    return priced_items(table, known[0]).select("row", "paid")


def _end(table: Table, by: By, amount: str, rows: pl.DataFrame, *, highest: bool) -> pl.DataFrame:
    import polars as pl

    values = {
        "price": lambda: _paid(table).rename({"paid": "value"}),
        "rarity": lambda: score_items(table).select("row", value="rarity"),
        "likes": lambda: table.items.select("row", value="likes").drop_nulls(),
        "sales": lambda: table.items.select("row", value="sales").drop_nulls(),
    }[by]()
    if by == "rarity" and not table.text_traits.height:
        raise CollectionError(
            "no item has a trait, so none is rarer", where=table.path, fix="choose by something else"
        )
    known = rows.select("row").join(values, on="row")
    if not known.height:
        raise CollectionError(
            f"no {by} is known of these items", where=table.path, fix="choose by something else"
        )
    count = min(_count(amount, known.height), known.height)
    # Equal values share a rank, so that which of them is taken never depends on their order in the file.
    rank = pl.col("value").rank("min", descending=highest)
    return _in_rows(known.filter(rank <= count)["row"], rows)


def _count(amount: str, of: int) -> int:
    match = _AMOUNT.fullmatch(amount.strip())
    number = float(match[1]) if match else 0.0
    if (
        match is None
        or number <= 0
        or (match[2] and number > 100)
        or (not match[2] and number != int(number))
    ):
        raise OptionError(
            f"{amount!r}: want a number of items or a percentage", fix="write it like 200 or 15%"
        )
    return max(1, round(of * number / 100)) if match[2] else int(number)


def _sampled(count: int, seed: int, rows: pl.DataFrame) -> pl.DataFrame:
    if count >= rows.height:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.height, count, replace=False)
    return rows[np.sort(chosen)]


def _write(source: Collection, out: Path, ids: set[str], steps: Sequence[Step]) -> Collection:
    known = read_facts(out)
    if known and known.source.kind != "subset":
        raise CollectionError(
            f"holds a collection of its own, from {known.source.kind}", where=out, fix="choose another --out"
        )
    options: dict[str, Any] = {"steps": [f"{step.what}: {step.left}" for step in steps]}
    subset = SourceFacts(kind="subset", reference=text_of(str(real_path(source.path))), options=options)
    facts: Facts = source.facts.model_copy(
        update={"name": out.name, "source": subset, "fetched_at": now(), "complete": False, "count": 0}
    )
    items = tuple(item for item in source.items if item.id in ids)
    former = _pictures_of(out)
    with writing(out, facts, replaces=True) as writer:
        images = out / IMAGES_NAME
        images.mkdir(exist_ok=True)
        wanted = {Path(item.file).name for item in items if item.file}
        for entry in list(os.scandir(images)):
            if entry.name not in wanted and entry.name in former:
                Path(entry.path).unlink()
        for name in sorted(wanted):
            link(source.path / IMAGES_NAME / name, images / name)
        return writer.finish(items, [sale for sale in source.sales if sale.id in ids])


def _pictures_of(subset: Path) -> set[str]:
    """Return the names of the pictures of the subset that is replaced; other files in its folder are not its own."""
    with contextlib.suppress(CollectionError):
        return {Path(item.file).name for item in read_lines(subset / ITEMS_NAME, Item) if item.file}
    return set()


def link(picture: Path, to: Path) -> None:
    """Make `to` a link to the file `picture`, or a copy where the disk allows no links."""
    if to.exists() and to.samefile(picture):
        return
    with replacing(to) as beside:
        try:
            os.link(real_path(picture), beside)
        except OSError:
            try:
                beside.symlink_to(real_path(picture))
            except OSError:
                shutil.copyfile(picture, beside)
