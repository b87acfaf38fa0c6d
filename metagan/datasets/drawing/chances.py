"""Draws of named traits by stated probability."""

from collections.abc import Mapping

import numpy as np


def choose(rng: np.random.Generator, chances: Mapping[str, float]) -> str:
    """Draw one name; the probabilities sum to 1."""
    names = list(chances)
    return names[int(rng.choice(len(names), p=np.array(list(chances.values()))))]
