"""Turns seeds into latents and labels, by the convention of the official generators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import OptionError


def latents(seeds: Sequence[int], z_dim: int) -> Float[Tensor, "batch z_dim"]:
    """Draw unit-normal latents, one row per seed: `numpy.random.RandomState(seed).randn(1, z_dim)`, as float32.

    Args:
        seeds: 0 to 2**32 - 1.
        z_dim: Width of the generator's latents.
    """
    rows = [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.array(rows).reshape(len(rows), z_dim)).float()


def labels(class_index: int | None, c_dim: int, batch: int) -> Float[Tensor, "batch c_dim"] | None:
    """Return one-hot labels for a batch of one class, or None for an unconditional generator.

    Raises:
        OptionError: If the generator is conditional and no class is chosen, or the class is out of range.
    """
    if c_dim == 0:
        return None
    if class_index is None or not 0 <= class_index < c_dim:
        got = "none was chosen" if class_index is None else f"got {class_index}"
        raise OptionError(
            f"this generator has {c_dim} classes, {got}", fix=f"choose one with --class 0 to {c_dim - 1}"
        )
    label = torch.zeros(batch, c_dim)
    label[:, class_index] = 1
    return label
