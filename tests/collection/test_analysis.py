"""Every score, table and trim of a report, fixed by an example that is computed by hand."""

from __future__ import annotations

import json
from math import log2, sqrt
from pathlib import Path

import numpy as np
import pytest

from metagan.collection.model import Item, Trait
from metagan.collection.prices import (
    currencies,
    kept_after_trim,
    log_histogram,
    mean_ranks,
    price_tables,
    priced_items,
    spearman,
)
from metagan.collection.rarity import score_items
from metagan.collection.table import Table, open_table
from metagan.collection.traits import never_met, number_traits, traits_per_item, type_counts, value_counts
from metagan.errors import CollectionError
from tests.collection.making import FIVE, traits, write

GOLDEN = Path(__file__).parents[1] / "golden/openrarity.json"


@pytest.fixture
def five(tmp_path: Path) -> Table:
    return open_table(write(tmp_path / "five", FIVE))


def test_rarity_scores_where_a_missing_trait_counts(five: Table) -> None:
    # Hat: Crown 1 of 5, Cap 3, none 1. Eyes: Blue 4 of 5, Red 1.
    scores = score_items(five)
    assert scores["rarity"].to_list() == pytest.approx(
        [5 + 5 / 4, 5 / 3 + 5 / 4, 5 / 3 + 5, 5 + 5 / 4, 5 / 3 + 5 / 4]
    )
    assert scores["rarity_rank"].to_list() == [2, 4, 1, 2, 4]


def test_rarity_scores_where_it_does_not(five: Table) -> None:
    scores = score_items(five, missing=False)
    assert scores["rarity"].to_list() == pytest.approx([6.25, 35 / 12, 20 / 3, 1.25, 35 / 12])
    assert scores["rarity_rank"].to_list() == [2, 3, 1, 5, 3]


def test_information_content_where_a_missing_trait_counts(five: Table) -> None:
    # One trait: D alone, 1 of 5. Two: the others, 4 of 5.
    rare, three, four = log2(5), log2(5 / 3), log2(5 / 4)
    bits = [
        rare + four + four,
        three + four + four,
        three + rare + four,
        rare + four + rare,
        three + four + four,
    ]
    entropy = sum(bits) / 5
    scores = score_items(five)
    assert scores["information"].to_list() == pytest.approx([bit / entropy for bit in bits])
    assert scores["information_rank"].to_list() == [3, 4, 2, 1, 4]
    assert scores["unique_traits"].to_list() == [1, 0, 1, 1, 0]


def test_openrarity_gives_the_same_scores_and_ranks(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    items = [Item(id=str(number), traits=traits(**one)) for number, one in enumerate(golden["traits"])]
    scores = score_items(open_table(write(tmp_path / "golden", items)))
    assert scores["information"].to_list() == pytest.approx(golden["scores"], rel=1e-8)
    assert scores["unique_traits"].to_list() == golden["unique"]
    assert scores["openrarity_rank"].to_list() == golden["ranks"]


def test_numbers_are_no_part_of_rarity(tmp_path: Path) -> None:
    level = [Trait(type="Level", value=str(n), number=n) for n in range(3)]
    items = [Item(id=str(n), traits=(*traits(Hat="Cap"), level[n])) for n in range(3)]
    table = open_table(write(tmp_path / "numbers", items))
    assert score_items(table)["rarity"].to_list() == [1, 1, 1]
    assert [(one.type, one.items, one.least, one.median, one.most) for one in number_traits(table)] == [
        ("Level", 3, 0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("percent", "left"),
    [(1, [1, 2, 2, 4, 100]), (20, [2, 2, 4]), (39, [2, 2, 4]), (40, [2, 2])],
    ids=["less than one item", "one at each end", "still one", "a tie at the cut stays whole"],
)
def test_trimming_by_hand(percent: float, left: list[float]) -> None:
    prices = np.array([100.0, 2, 1, 4, 2])
    assert sorted(prices[kept_after_trim(prices, percent)].tolist()) == left


def test_price_tables_side_by_side(five: Table) -> None:
    untrimmed, trimmed = price_tables(priced_items(five, "ETH"), [20])
    every = untrimmed.rows[0]
    assert (every.label, every.count, every.mean, every.median) == ("all", 5, 109 / 5, 2)
    assert every.deviation == pytest.approx(sqrt(sum((p - 21.8) ** 2 for p in (1, 2, 2, 4, 100)) / 4))
    assert [(row.label, row.count, row.mean, row.median, row.deviation) for row in untrimmed.rows[1:]] == [
        ("2019", 2, 1.5, 1.5, pytest.approx(sqrt(0.5))),
        ("2020", 2, 3, 3, pytest.approx(sqrt(2))),
        ("2021", 1, 100, 100, None),
    ]
    # Cut over all items, then by year: 2019 loses its cheapest, 2021 its only one.
    assert trimmed.left == 3
    assert [(row.label, row.count, row.mean) for row in trimmed.rows] == [
        ("all", 3, pytest.approx(8 / 3)),
        ("2019", 1, 2),
        ("2020", 2, 3),
    ]


def test_prices_of_nothing_are_in_no_table(tmp_path: Path) -> None:
    items = [Item(id="0", price=0, symbol="ETH"), Item(id="1", price=3, symbol="ETH"), Item(id="2")]
    assert priced_items(open_table(write(tmp_path / "free", items)), "ETH")["paid"].to_list() == [3]


def test_currencies_stay_apart_until_all_are_in_usd(tmp_path: Path) -> None:
    items = [
        Item(id="0", price=1, symbol="ETH"),
        Item(id="1", price=3, symbol="SOL"),
        Item(id="2", price=2, symbol="ETH"),
    ]
    assert currencies(open_table(write(tmp_path / "two", items))) == ["ETH", "SOL"]
    in_usd = [item.model_copy(update={"price_usd": 5.0}) for item in items]
    table = open_table(write(tmp_path / "usd", in_usd))
    assert currencies(table) == ["USD"]
    assert priced_items(table, "USD")["paid"].to_list() == [5, 5, 5]


USD_ALONE = [Item(id=str(n), price=price, symbol="USD") for n, price in enumerate((3, 5, 0))]
HALF_KNOWN = [
    *(Item(id=f"e{n}", price=1 + n, symbol="ETH") for n in range(2)),
    *(Item(id=f"u{n}", price_usd=10 + n) for n in range(3)),
]


def test_a_price_whose_symbol_is_usd_is_one_in_usd(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "usd", USD_ALONE))
    assert currencies(table) == ["USD"]
    assert priced_items(table, "USD")["paid"].to_list() == [3, 5]
    converted = Item(id="e", price=1, symbol="ETH", price_usd=400)
    table = open_table(write(tmp_path / "both", [*USD_ALONE, converted]))
    assert currencies(table) == ["USD"]
    assert priced_items(table, "USD")["paid"].to_list() == [3, 5, 400]


def test_prices_that_are_not_known_in_usd_are_not_lost_among_those_that_are(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "half", HALF_KNOWN))
    assert currencies(table) == ["USD", "ETH"]
    assert priced_items(table, "ETH")["paid"].to_list() == [1, 2]
    assert priced_items(table, "USD")["paid"].to_list() == [10, 11, 12]


def test_log_histogram_by_hand() -> None:
    edges, counts = log_histogram(np.array([1.0, 2, 2, 4, 100]), bins_per_decade=2)
    assert edges.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert counts.tolist() == [3, 1, 0, 0, 1]


def test_rank_correlation_by_hand() -> None:
    assert mean_ranks(np.array([5.0, 1, 5, 9])).tolist() == [2.5, 1, 2.5, 4]
    # Ranks 1 to 5 against 2, 1, 4, 3, 5: 1 - 6 (1 + 1 + 1 + 1 + 0) / (5 (25 - 1)) = 0.8.
    found = spearman(np.array([1.0, 2, 3, 4, 5]), np.array([20.0, 10, 40, 30, 50]))
    assert found is not None
    assert found.rho == pytest.approx(0.8)
    error = sqrt((1 + 0.32) / 2)
    assert found.high == pytest.approx(np.tanh(np.arctanh(0.8) + 1.959964 * error))
    assert found.words == "no relation that so many items could show"


def test_a_correlation_is_said_in_words() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=20_000)
    noise = rng.normal(size=20_000)
    words = [spearman(first, first * share + noise) for share in (0.05, 0.2, 1, -3)]
    assert [one.words for one in words if one] == [
        "no relation to speak of",
        "a weak relation: the rarer, the dearer",
        "a strong relation: the rarer, the dearer",
        "a strong relation: the rarer, the cheaper",
    ]
    assert spearman(np.ones(9), np.arange(9.0)) is None


def test_trait_tables_by_hand(five: Table) -> None:
    assert [(v.type, v.value, v.count, v.share) for v in value_counts(five)] == [
        ("Eyes", "Blue", 4, 0.8),
        ("Hat", "Cap", 3, 0.6),
        ("Eyes", "Red", 1, 0.2),
        ("Hat", "Crown", 1, 0.2),
    ]
    assert [(t.type, t.values, t.items) for t in type_counts(five)] == [("Eyes", 2, 5), ("Hat", 2, 4)]
    assert traits_per_item(five) == [(1, 1), (2, 4)]
    assert [(p.first.value, p.second.value, p.expected) for p in never_met(five, least_expected=0)] == [
        ("Red", "Crown", pytest.approx(0.2))
    ]
    assert never_met(five) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"id": 1, "price": {"a": 2}}\n', "not lines of JSON"), ("", "no items")],
    ids=["another type", "nothing"],
)
def test_a_damaged_table_says_the_way_out(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "five", FIVE)
    (path / "items.jsonl").write_text(text)
    with pytest.raises(CollectionError, match=words):
        open_table(path)
