"""Price statistics, with and without trimming, the distribution of prices, and their relation to rarity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from metagan.collection.table import Table

if TYPE_CHECKING:
    import polars as pl

USD: Final = "USD"
_Z_95: Final = 1.959964

TRIM_DEFINITION: Final = (
    "Trimming by p percent: the n items with a price above 0 are ordered by price over the whole collection, and the"
    " k = floor(n p / 100) cheapest and the k dearest are left out. Items of equal price stay together: they are left"
    " out only if all of them are among those k."
)


@dataclass(frozen=True)
class PriceStats:
    """Statistics of some prices.

    Args:
        label: "all", or a year.
        deviation: The sample standard deviation (divided by count - 1); None for a single price.
    """

    label: str
    count: int
    mean: float
    median: float
    deviation: float | None
    least: float
    most: float


@dataclass(frozen=True)
class PriceTable:
    """Statistics after trimming: of all items, and by year of creation.

    Args:
        trim_percent: Percentage trimmed at each end; 0 for none.
        left: Number of prices left.
    """

    trim_percent: float
    left: int
    rows: tuple[PriceStats, ...]


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Args:
        rho: -1 to 1; ties have their mean rank.
        low: Lower end of the 95% confidence interval.
        high: Upper end of the 95% confidence interval.
        count: Number of pairs.
        words: The meaning in words.
    """

    rho: float
    low: float
    high: float
    count: int
    words: str


def currencies(table: Table) -> list[str]:
    """Return the currencies of the items' prices, most frequent first: only USD if all prices are known in USD."""
    import polars as pl

    counts = (
        _priced(table)
        .group_by("currency")
        .agg(count=pl.len())
        .sort("count", "currency", descending=[True, False])
    )
    return counts["currency"].to_list()


def priced_items(table: Table, currency: str) -> pl.DataFrame:
    """Return the items with a price above 0 in a currency: row, year, paid."""
    import polars as pl

    return _priced(table).filter(pl.col("currency") == currency).drop("currency")


def _priced(table: Table) -> pl.DataFrame:
    """Return the items with a price above 0, in USD if all of them are known in USD: row, year, paid, currency.

    Otherwise each is in the currency of its `price`, or in USD if it has only `price_usd`.
    """
    import polars as pl

    own = (pl.col("price") > 0).fill_null(value=False)
    symbol = pl.col("symbol").fill_null("")
    in_usd = (
        pl.when(pl.col("price_usd") > 0)
        .then(pl.col("price_usd"))
        .when(own & (symbol.str.to_uppercase() == USD))
        .then(pl.col("price"))
    )
    priced = table.items.with_columns(in_usd=in_usd).filter(own | pl.col("in_usd").is_not_null())
    if not priced["in_usd"].null_count():
        return priced.select("row", "year", paid="in_usd", currency=pl.lit(USD))
    paid = pl.when(own).then("price").otherwise("in_usd")
    return priced.select("row", "year", paid=paid, currency=pl.when(own).then(symbol).otherwise(pl.lit(USD)))


def kept_after_trim(prices: NDArray[np.float64], percent: float) -> NDArray[np.bool_]:
    """Return which prices are left after trimming `percent` at both ends, as TRIM_DEFINITION says.

    Args:
        prices: [n]; any order.
        percent: Percentage of n to trim at each end, 0 to 50.
    """
    count = math.floor(len(prices) * percent / 100 + 1e-9)
    ordered = np.sort(prices)
    not_dearer = np.searchsorted(ordered, prices, "right")  # how many cost as much or less
    not_cheaper = len(prices) - np.searchsorted(ordered, prices, "left")
    return np.asarray((not_dearer > count) & (not_cheaper > count))


def price_tables(priced: pl.DataFrame, trims: Sequence[float]) -> list[PriceTable]:
    """Return the statistics of all prices, and those after each trim.

    Args:
        priced: Prices from `priced_items`.
        trims: Percentages at each end; the cut is made once over all items, not year by year.
    """
    import polars as pl

    tables = []
    for percent in (0.0, *trims):
        left = priced.filter(pl.Series(kept_after_trim(priced["paid"].to_numpy(), percent)))
        years = left.drop_nulls("year").sort("year").partition_by("year", maintain_order=True)
        rows = [_stats("all", left)] + [_stats(str(year["year"][0]), year) for year in years]
        tables.append(PriceTable(percent, left.height, tuple(row for row in rows if row.count)))
    return tables


def log_histogram(
    paid: NDArray[np.float64], bins_per_decade: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a histogram of log10 prices: its edges, [bins + 1], and counts, [bins]."""
    logs = np.log10(paid)
    step = 1 / bins_per_decade
    first, last = math.floor(logs.min() / step), math.floor(logs.max() / step) + 1
    edges = np.arange(first, last + 1) * step
    return edges, np.histogram(logs, edges)[0]


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> Correlation | None:
    """Return the rank correlation of two columns with its 95% confidence interval.

    Interval: Fisher's z with the standard error sqrt((1 + rho^2 / 2) / (n - 3)); Bonett and Wright 2000,
    Psychometrika 65.

    Returns:
        The correlation, or None for fewer than four pairs or a constant column.
    """
    count = len(first)
    if count < 4 or first.min() == first.max() or second.min() == second.max():
        return None
    rho = float(np.corrcoef(mean_ranks(first), mean_ranks(second))[0, 1])
    if abs(rho) > 1 - 1e-12:
        rho = math.copysign(1.0, rho)
        return Correlation(rho, rho, rho, count, _words(rho, rho, rho))
    z, error = math.atanh(rho), math.sqrt((1 + rho**2 / 2) / (count - 3))
    low, high = math.tanh(z - _Z_95 * error), math.tanh(z + _Z_95 * error)
    return Correlation(rho, low, high, count, _words(rho, low, high))


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, [n]; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], np.float64)


def _words(rho: float, low: float, high: float) -> str:
    if low <= 0 <= high:
        return "no relation that so many items could show"
    size = next(
        word
        for limit, word in ((0.1, ""), (0.3, "weak"), (0.5, "moderate"), (2, "strong"))
        if abs(rho) < limit
    )
    if not size:
        return "no relation to speak of"
    return f"a {size} relation: the rarer, the {'dearer' if rho > 0 else 'cheaper'}"


def _stats(label: str, priced: pl.DataFrame) -> PriceStats:
    paid = priced["paid"].to_numpy()
    if not len(paid):
        return PriceStats(label, 0, 0, 0, None, 0, 0)
    with np.errstate(over="ignore"):  # prices near the largest number have an infinite mean
        deviation = float(paid.std(ddof=1)) if len(paid) > 1 else None
        return PriceStats(
            label,
            len(paid),
            float(paid.mean()),
            float(np.median(paid)),
            deviation,
            float(paid.min()),
            float(paid.max()),
        )
