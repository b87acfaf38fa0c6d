"""Apes: traits by lot, and pictures of them."""

from collections import Counter

import numpy as np
import pytest

from metagan.drawings.apes import TRAITS, draw, draw_traits, portray

PLAIN = {
    "Background": "Sky",
    "Fur": "Brown",
    "Eyes": "Calm",
    "Mouth": "Neutral",
    "Hat": "None",
    "Clothes": "None",
    "Earring": "None",
    "Extras": "None",
}


@pytest.fixture(scope="module")
def drawn_lots():
    rng = np.random.default_rng(3)
    return [draw_traits(rng) for _ in range(8000)]


@pytest.fixture(scope="module")
def plain():
    return portray(PLAIN, 64)


def test_there_are_eight_traits_with_rare_and_common_values():
    assert len(TRAITS) >= 8
    for values in TRAITS.values():
        weights = [weight for weight, _ in values.values()]
        assert len(weights) >= 8
        assert max(weights) >= 5 * min(weights)


@pytest.mark.parametrize("trait", TRAITS)
def test_each_value_comes_as_often_as_its_weight_says(drawn_lots, trait):
    counts = Counter(lot[trait] for lot in drawn_lots)
    total = sum(weight for weight, _ in TRAITS[trait].values())
    for value, (weight, _) in TRAITS[trait].items():
        expected = len(drawn_lots) * weight / total
        assert abs(counts[value] - expected) < 5 * np.sqrt(expected), value
    assert set(counts) <= set(TRAITS[trait])


def test_nearly_every_ape_is_one_of_its_kind(drawn_lots):
    assert len({tuple(lot.values()) for lot in drawn_lots}) > 0.99 * len(drawn_lots)


@pytest.mark.parametrize(("trait", "value"), [(t, v) for t, values in TRAITS.items() for v in values])
def test_every_value_of_every_trait_can_be_seen(plain, trait, value):
    other = portray(PLAIN | {trait: value}, 64)
    assert other.shape == (64, 64, 3)
    assert other.dtype == np.uint8
    changed = (np.abs(plain.astype(int) - other).max(2) > 24).sum()
    assert changed >= 8 if PLAIN[trait] != value else changed == 0


def test_an_ape_is_drawn_from_its_generator_alone():
    one, other = (draw(np.random.default_rng(8), 32) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1] == other[1]


@pytest.mark.parametrize("resolution", [16, 64, 512])
def test_every_resolution_shows_the_same_ape(resolution):
    small = portray(PLAIN, 16).astype(float)
    factor = resolution // 16
    picture = portray(PLAIN, resolution).astype(float)
    reduced = picture.reshape(16, factor, 16, factor, 3).mean((1, 3))
    assert np.abs(reduced - small).mean() < 3
