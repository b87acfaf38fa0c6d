"""A check that draws fall as their stated probabilities say."""

from collections import Counter
from collections.abc import Iterable, Mapping


def check_shares(drawn: Iterable[str], chances: Mapping[str, float]) -> None:
    """Every value occurs, nothing else does, and each within four standard deviations of its probability."""
    counts = Counter(drawn)
    total = sum(counts.values())
    assert abs(sum(chances.values()) - 1) < 1e-9
    assert set(counts) == set(chances)
    for value, chance in chances.items():
        deviation = (chance * (1 - chance) / total) ** 0.5
        assert abs(counts[value] / total - chance) < 4 * deviation, value
