"""Scores how rare items are: rarity.tools' score, and information content as OpenRarity defines it.

rarity.tools ("Ranking Rarity: Understanding Rarity Calculation Methods", 2021): an item's score is the sum, over its
traits, of 1 / share, the share being the part of all items that have that trait value.

OpenRarity (openrarity.org, "Core Methodology", 2022): the sum over traits of -log2(share), divided by the collection's
entropy, which is the mean of that sum over all items. The number of traits counts as a trait of its own. Items with
traits that nobody else has come first in its ranking, whatever their score; since that makes rank and score disagree,
both rankings are given here.

In both, a trait type that an item lacks counts as one more value, "none"; that is a switch, since it is wrong for
collections of several bases that have different traits. Numbers and dates don't count. Case and surrounding spaces
don't tell values apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from metagan.collection.table import Table
from metagan.collection.traits import type_counts, value_counts

if TYPE_CHECKING:
    import polars as pl

_DIGITS: Final = 10  # scores that agree to so many digits are equal: their sums were added in another order


def score_items(table: Table, *, missing: bool = True) -> pl.DataFrame:
    """Return all items' scores and ranks, in order; equal scores share the smaller rank, and 1 is rarest.

    Args:
        table: The collection.
        missing: Whether missing traits, and the number of traits, count.

    Returns:
        Columns: row, rarity, rarity_rank, information, information_rank, unique_traits, openrarity_rank.
    """
    import polars as pl

    total = table.items.height
    traits = table.text_traits.select("row", "type_key", "value_key")
    if missing:
        traits = pl.concat([traits, _trait_counts(table)])
    values = traits.group_by("type_key", "value_key").agg(count=pl.len())
    shared = traits.join(values, on=["type_key", "value_key"]).with_columns(share=pl.col("count") / total)
    own = shared.group_by("row").agg(
        rarity=(1 / pl.col("share")).sum(),
        bits=(-pl.col("share").log(2)).sum(),
        unique_traits=(pl.col("count") == 1).sum(),
    )
    scores = table.items.select("row").join(own, on="row", how="left").fill_null(0)
    entropy = _entropy(values, total)
    if missing:
        absent = _absent(traits, total)
        entropy += _entropy(absent.rename({"absent": "count"}), total)
        # The number of traits is OpenRarity's; rarity.tools' sum has no such term.
        counts = shared.filter(pl.col("type_key") == _COUNT).select("row", count_rarity=1 / pl.col("share"))
        scores = (
            scores.join(_missing(traits, absent), on="row", how="left").join(counts, on="row").fill_null(0)
        )
        scores = scores.with_columns(
            rarity=pl.col("rarity")
            + _sum(absent, 1 / pl.col("share"))
            - pl.col("missing_rarity")
            - pl.col("count_rarity"),
            bits=pl.col("bits") + _sum(absent, -pl.col("share").log(2)) - pl.col("missing_bits"),
        )
    scores = scores.with_columns(
        rarity=pl.col("rarity").round_sig_figs(_DIGITS),
        information=(pl.col("bits") / (entropy or 1.0)).round_sig_figs(_DIGITS) + 0.0,  # 0, not -0
    )
    ranked = scores.with_columns(
        rarity_rank=_rank(pl.col("rarity")),
        information_rank=_rank(pl.col("information")),
        openrarity_rank=pl.struct("unique_traits", "information").rank("min", descending=True).cast(pl.Int64),
    )
    return ranked.select(
        *(
            "row",
            "rarity",
            "rarity_rank",
            "information",
            "information_rank",
            "unique_traits",
            "openrarity_rank",
        )
    ).sort("row")


class TraitRanking:
    """Ranks pictures whose traits were predicted among a collection's items, by rarity.tools' score.

    Only the trait types that are predicted count, for pictures and items alike, so that their scores can be compared.
    A type that a picture lacks has the share of the items that lack it; a value that no item has counts as if one item
    had it.

    Args:
        table: The collection.
        types: The types that are predicted.
    """

    def __init__(self, table: Table, types: Iterable[str]) -> None:
        keys = dict.fromkeys(map(key_of, types))
        told = table.with_types(keys)
        self.items = table.items.height
        self._share = {(key_of(v.type), key_of(v.value)): v.share for v in value_counts(told)}
        self._lacking = {key_of(kind.type): 1 - kind.share for kind in type_counts(told)}
        self._keys = [key for key in keys if key in self._lacking]
        self._scores = np.sort(score_items(told)["rarity"].to_numpy())
        # A number for each value; 0 for items that lack the type.
        self._numbers = {pair: number for number, pair in enumerate(self._share, 1)}
        self._has = np.zeros((self.items, len(self._keys)), np.int64)
        column = {key: index for index, key in enumerate(self._keys)}
        traits = told.text_traits.select("row", "type_key", "value_key").iter_rows()
        for row, kind, value in reversed(list(traits)):  # of several values of a type, the first
            self._has[row, column[kind]] = self._numbers[kind, value]

    def share(self, kind: str, value: str | None) -> float:
        """Return the share of items that have a value of a type; with None, of those that lack the type."""
        if value is None:
            return self._lacking.get(key_of(kind), 1.0)
        return self._share.get((key_of(kind), key_of(value)), 0.0)

    def score(self, traits: Mapping[str, str]) -> float:
        """Return the rarity score of a picture with these traits, by type."""
        known = {key_of(kind): value for kind, value in traits.items()}
        shares = (self.share(key, known.get(key)) for key in self._keys)
        return float(f"{sum(1 / max(share, 1 / self.items) for share in shares):.{_DIGITS}g}")

    def as_rare(self, score: float) -> int:
        """Return how many items have this score or a higher one."""
        least = score * (1 - 10.0**-_DIGITS)
        return self.items - int(np.searchsorted(self._scores, least, "left"))

    def nearest(self, traits: Mapping[str, str], count: int) -> list[tuple[int, int]]:
        """Return the items that have most in common with a picture: row, and number of common traits.

        A common trait counts by its information, -log2(share), so that a rare one outweighs several frequent ones;
        equals are in the collection's order. At least one trait must be common.
        """
        known = {key_of(kind): key_of(value) for kind, value in traits.items()}
        want = np.array([self._numbers.get((key, known.get(key, "")), 0) for key in self._keys])
        bits = np.array([-math.log2(max(self.share(key, known.get(key)), 1e-9)) for key in self._keys])
        same = self._has == want
        common = (same & (want > 0)).sum(axis=1)
        likeness = np.where(common > 0, same @ bits, -1.0)
        order = np.argsort(-likeness, kind="stable")[:count]
        return [(int(row), int(common[row])) for row in order if common[row] > 0]


def key_of(text: str) -> str:
    """Return a type or value as it is compared: without surrounding spaces, in lower case."""
    return text.strip().lower()


_COUNT: Final = "\x00number of traits"  # no type of an item: they have no control characters


def _trait_counts(table: Table) -> pl.DataFrame:
    # OpenRarity's meta trait counts numbers and dates too.
    import polars as pl

    counts = table.traits.group_by("row").agg(value_key=pl.len())
    every = table.items.select("row").join(counts, on="row", how="left").fill_null(0)
    return every.select("row", type_key=pl.lit(_COUNT), value_key=pl.col("value_key").cast(pl.String))


def _absent(traits: pl.DataFrame, total: int) -> pl.DataFrame:
    """Return the types that some items lack, with the number and share of these items."""
    import polars as pl

    has = traits.group_by("type_key").agg(has=pl.col("row").n_unique())
    absent = has.select("type_key", absent=total - pl.col("has").cast(pl.Int64)).filter(pl.col("absent") > 0)
    return absent.with_columns(share=pl.col("absent") / total)


def _missing(traits: pl.DataFrame, absent: pl.DataFrame) -> pl.DataFrame:
    """Return each item's terms for lacking the types that it has, to subtract from the sum over all types."""
    import polars as pl

    has = traits.select("row", "type_key").unique().join(absent, on="type_key")
    return has.group_by("row").agg(
        missing_rarity=(1 / pl.col("share")).sum(), missing_bits=(-pl.col("share").log(2)).sum()
    )


def _entropy(values: pl.DataFrame, total: int) -> float:
    import polars as pl

    share = pl.col("count") / total
    return float(values.select((-share * share.log(2)).sum()).item() or 0)


def _sum(frame: pl.DataFrame, of: pl.Expr) -> float:
    return float(frame.select(of.sum()).item() or 0)


def _rank(of: pl.Expr) -> pl.Expr:
    import polars as pl

    return of.rank("min", descending=True).cast(pl.Int64)
