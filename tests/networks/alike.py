"""Whether two forms of a network draw the same pictures."""

import numpy as np
import torch

from metagan.networks.generator import Generator
from metagan.sampling.levels import to_uint8


def styles(network: Generator, batch: int) -> torch.Tensor:
    return torch.randn(batch, network.num_ws, network.w_dim, generator=torch.Generator().manual_seed(1))


def assert_alike(got: torch.Tensor, wanted: torch.Tensor) -> None:
    """Within rounding, and within a level in at most a thousandth of the values (of few values: in three)."""
    torch.testing.assert_close(got, wanted, rtol=0, atol=2e-5 * max(1.0, float(wanted.abs().max())))
    mine, theirs = (np.stack(to_uint8(each)).astype(int) for each in (got, wanted))
    assert np.abs(mine - theirs).max() <= 1
    assert np.count_nonzero(mine != theirs) <= max(3, mine.size / 1000)
