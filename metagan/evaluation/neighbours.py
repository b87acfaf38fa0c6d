"""Precision, recall, density and coverage by nearest neighbours in a feature space.

References:
    [1] Kynkäänniemi et al. 2019, Improved Precision and Recall Metric, arXiv:1904.06991 (precision, recall; k = 3).
    [2] Naeem et al. 2020, Reliable Fidelity and Diversity Metrics, arXiv:2002.09797 (density, coverage; k = 5).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

PRECISION_K = 3
COVERAGE_K = 5


def radii(points: Float[Tensor, "n features"], k: int) -> Float[Tensor, " n"]:
    """Each point's distance to its k-th nearest other point."""
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(0)
    return distances.kthvalue(min(k + 1, len(points)), dim=1).values


def compare(real: Float[Tensor, "n features"], made: Float[Tensor, "m features"]) -> dict[str, float]:
    """How well two sets of points cover each other, each measure near 1 for two samples of the same thing.

    Returns:
        "precision", the share of made points within the real ones' neighbourhoods ([1] equation 1); "recall", the
        same the other way round; "density", how many real neighbourhoods a made point lies in, by k; "coverage",
        the share of real neighbourhoods that have a made point ([2] equations 3 and 4).
    """
    between = torch.cdist(real, made)
    near_real = between <= radii(real, PRECISION_K)[:, None]
    near_made = between <= radii(made, PRECISION_K)[None, :]
    wider = between <= radii(real, COVERAGE_K)[:, None]
    return {
        "precision": float(near_real.any(dim=0).float().mean()),
        "recall": float(near_made.any(dim=1).float().mean()),
        "density": float(wider.float().sum(dim=0).mean()) / COVERAGE_K,
        "coverage": float(wider.any(dim=1).float().mean()),
    }
