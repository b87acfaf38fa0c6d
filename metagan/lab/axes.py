"""Axes of a generator's styles: what a projected picture is written in.

The axes are nearly the first principal components of w. They are computed from the styles of fixed seeds by arithmetic
that every program can repeat: subspace iteration (Golub and Van Loan, Matrix Computations, 4th edition, section 8.2.4)
with Gram-Schmidt, in double precision and without eigenvectors, whose signs and order programs may choose differently.
So a few dozen small numbers name a style, and no file is needed to read them.

templates/static/live/axes.js is the same for browsers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.networks.generator import Generator
from metagan.sampling.latents import labels, latents
from metagan.values import Label

SAMPLES: Final = 256
"""The axes are computed from the styles of seeds 0 to 255."""
ROUNDS: Final = 2
UNITS: Final = 24
"""A projected picture's numbers are in so many parts of a style's deviation along an axis, -127 to 127."""
MOST_UNITS: Final = 127
MOST_AXES: Final = 128


@dataclass(frozen=True)
class Projected:
    """A picture as a generator draws it nearly, in whole numbers: the founder of a lineage that is no seed's.

    Args:
        numbers: For each range of layers, from the coarsest, a number for each axis. Of `n` layers and `r` ranges,
            range `i` has the layers from `n * i // r` on, before `n * (i + 1) // r`.
    """

    numbers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Axes:
    """The axes of a generator's styles.

    Args:
        centre: The mean of the styles, [w_dim].
        vectors: The axes, perpendicular to each other and each as long as the styles' deviation along it, [n, w_dim].
    """

    centre: Float[Tensor, " w_dim"]
    vectors: Float[Tensor, "n w_dim"]

    def styles(
        self, code: Float[Tensor, "batch ranges n"], num_ws: int
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Return the styles of coordinates on the axes, those of a range for all of its layers."""
        w = self.centre + code @ self.vectors
        return w.repeat_interleave(torch.tensor(range_lengths(num_ws, code.shape[1])), dim=1)

    def code(self, w: Float[Tensor, "*batch w_dim"]) -> Float[Tensor, "*batch n"]:
        """Return the coordinates on the axes, the inverse of `styles` as far as there is one."""
        return (w - self.centre) @ self.vectors.t() / self.vectors.square().sum(dim=1)

    def projected_styles(self, projected: Projected, num_ws: int) -> Float[Tensor, "num_ws w_dim"]:
        """Return a projected picture's styles."""
        code = torch.tensor(projected.numbers, dtype=torch.float64) / UNITS
        return Axes(self.centre.double(), self.vectors.double()).styles(code[None], num_ws)[0].float()


def range_lengths(num_ws: int, ranges: int) -> list[int]:
    """Return how many layers each range has."""
    ends = [num_ws * index // ranges for index in range(ranges + 1)]
    return [after - first for first, after in pairwise(ends)]


def to_numbers(code: Float[Tensor, "ranges n"]) -> Projected:
    """Round coordinates to a projected picture's numbers."""
    rounded = (code * UNITS).round().clamp(-MOST_UNITS, MOST_UNITS).int()
    return Projected(tuple(tuple(row) for row in rounded.tolist()))


@torch.inference_mode()
def find_axes(generator: Generator, count: int, label: Label | None = None) -> Axes:
    """Compute the axes of a generator's styles.

    Args:
        generator: A generator with a mapping network.
        count: Number of axes, at most 128 and the width of its styles.
        label: What a conditional generator is asked for.
    """
    device = next(generator.parameters()).device
    z = latents(range(SAMPLES), generator.z_dim).to(device)
    rows = labels(generator, label, SAMPLES)
    w = generator.map_latents(z, None if rows is None else rows.to(device))[:, 0].double().cpu()
    centre = w.mean(dim=0)
    apart = w - centre
    axes = _perpendicular(apart[:count])
    for _ in range(ROUNDS):
        axes = _perpendicular((axes @ apart.t()) @ apart)
    deviations = (axes @ apart.t()).square().mean(dim=1).sqrt()
    return Axes(centre.float().to(device), (axes * deviations[:, None]).float().to(device))


def _perpendicular(rows: Tensor) -> Tensor:
    """Make rows perpendicular to all before them, twice for precision, and one long."""
    done: list[Tensor] = []
    for given in rows:
        row = given
        for _ in range(2):
            for other in done:
                row = row - (row @ other) * other
        done.append(row / row.norm())
    return torch.stack(done)
