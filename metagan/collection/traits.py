"""Counts a collection's traits by type and value, per item, and values that never occur together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from metagan.collection.table import Table
from metagan.errors import MalformedFileError

MAX_VALUES_PAIRED: Final = 400  # the most common values, among which pairs that never meet are looked for


@dataclass(frozen=True)
class ValueCount:
    """Number and share of the items that have a trait value."""

    type: str
    value: str
    count: int
    share: float


@dataclass(frozen=True)
class TypeCount:
    """Number of a trait type's values, and of the items that have it."""

    type: str
    values: int
    items: int
    share: float


@dataclass(frozen=True)
class NumberTrait:
    """A trait type whose values are numbers."""

    type: str
    items: int
    least: float
    median: float
    most: float


@dataclass(frozen=True)
class NeverMet:
    """Two values of different types that no item has together.

    Args:
        expected: Number of items that would have both if the types were independent.
    """

    first: ValueCount
    second: ValueCount
    expected: float


@dataclass(frozen=True)
class TraitAccuracy:
    """How well a trait type is predicted.

    Args:
        type: "Hat".
        values: Number of values that are distinguished.
        accuracy: Fraction of the held-out items that are predicted correctly.
        majority: Fraction that is correct if the most common value is always predicted.
        kept: Whether the classifier keeps a head for it.
        why: The reason if it doesn't.
    """

    type: str
    values: int
    accuracy: float
    majority: float
    kept: bool
    why: str = ""


def read_accuracies(facts: Mapping[str, Any], where: Path) -> list[TraitAccuracy]:
    """Read how well a classifier predicts each trait type from the training facts in its file.

    Raises:
        MalformedFileError: If the facts are not as `metagan collection traits` writes them.
    """
    try:
        return TypeAdapter(list[TraitAccuracy]).validate_python(facts.get("told", []))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise MalformedFileError(
            f"its accuracies can't be read ({'.'.join(map(str, first['loc']))}: {first['msg']})",
            where=where,
            fix="give a file that `metagan collection traits` wrote",
        ) from error


def value_counts(table: Table) -> list[ValueCount]:
    """Count all trait values, most common first."""
    import polars as pl

    total = table.items.height
    counts = (
        table.text_traits.group_by("type_key", "value_key")
        .agg(pl.col("type").first(), pl.col("value").first(), count=pl.len())
        .sort("count", "type", "value", descending=[True, False, False])
    )
    rows = counts.select("type", "value", "count").iter_rows()
    return [ValueCount(kind, value, count, count / total) for kind, value, count in rows]


def type_counts(table: Table) -> list[TypeCount]:
    """Count all trait types, by name."""
    import polars as pl

    total = table.items.height
    counts = table.text_traits.group_by("type_key").agg(
        pl.col("type").first(), values=pl.col("value_key").n_unique(), items=pl.col("row").n_unique()
    )
    rows = counts.sort("type").select("type", "values", "items").iter_rows()
    return [TypeCount(kind, values, items, items / total) for kind, values, items in rows]


def number_traits(table: Table) -> list[NumberTrait]:
    """Return the trait types whose values are numbers, by name."""
    import polars as pl

    number = pl.col("number")
    counts = (
        table.traits.drop_nulls("number")
        .group_by("type")
        .agg(items=pl.col("row").n_unique(), least=number.min(), median=number.median(), most=number.max())
    )
    return [NumberTrait(*row) for row in counts.sort("type").iter_rows()]


def traits_per_item(table: Table) -> list[tuple[int, int]]:
    """Count items by their number of traits: (traits, items), fewest traits first."""
    import polars as pl

    counts = table.text_traits.group_by("row").agg(traits=pl.len())
    every = table.items.select("row").join(counts, on="row", how="left").fill_null(0)
    return list(every.group_by("traits").agg(items=pl.len()).sort("traits").iter_rows())


def never_met(table: Table, most: int = 20, least_expected: float = 5.0) -> list[NeverMet]:
    """Return pairs of values that never occur together although chance predicts it, most expected first.

    Args:
        table: The collection.
        most: Largest number of pairs.
        least_expected: Pairs expected less often than this are left out, since their absence means little.
    """
    import polars as pl

    values = value_counts(table)[:MAX_VALUES_PAIRED]
    if len(values) < 2:
        return []
    frame = pl.DataFrame(
        {"type": [v.type for v in values], "value": [v.value for v in values], "column": range(len(values))}
    ).with_columns(
        type_key=pl.col("type").str.strip_chars().str.to_lowercase(),
        value_key=pl.col("value").str.strip_chars().str.to_lowercase(),
    )
    present = table.text_traits.join(frame, on=["type_key", "value_key"]).select("row", "column")
    has = np.zeros((table.items.height, len(values)), np.float32)
    has[present["row"].to_numpy(), present["column"].to_numpy()] = 1
    together = has.T @ has
    counts = np.array([value.count for value in values], np.float64)
    expected = np.outer(counts, counts) / table.items.height
    kinds = np.array([value.type.strip().lower() for value in values])
    found = np.triu((together == 0) & (kinds[:, None] != kinds[None, :]) & (expected >= least_expected), 1)
    pairs = sorted(zip(*map(list, np.nonzero(found)), strict=True), key=lambda pair: (-expected[pair], pair))
    return [
        NeverMet(values[first], values[second], float(expected[first, second]))
        for first, second in pairs[:most]
    ]
