"""A mean style for checkpoints that store none: always the same latents, mapped and averaged.

Karras et al. 2019, arXiv:1812.04948, section 2.2 of the appendix: truncation pulls styles toward their mean. Other
programs draw new latents each time they start, so that pictures differ a little from run to run; metagan draws the
same ones, so that they don't.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import MalformedFileError

SAMPLES = 4096
NOTE = f"the file stores no mean style; truncation pulls toward the mean of {SAMPLES:,} fixed latents"


def mean_style(
    mapping: Callable[[Float[Tensor, "batch z_dim"]], Float[Tensor, "batch w_dim"]], z_dim: int
) -> Float[Tensor, " w_dim"]:
    """The mean of the styles of `numpy.random.RandomState(0).randn(4096, z_dim)`.

    Args:
        mapping: Unit-normal latents to styles.
        z_dim: Width of the latents.

    Raises:
        MalformedFileError: Weights so large that it isn't finite.
    """
    z = torch.from_numpy(np.random.RandomState(0).randn(SAMPLES, z_dim)).float()
    with torch.no_grad():
        mean = mapping(z).mean(dim=0)
    if not torch.isfinite(mean).all():
        msg = "its mapping network has weights so large that styles are no numbers"
        raise MalformedFileError(f"{msg}\n  fix: the training went wrong; take an earlier snapshot")
    return mean
