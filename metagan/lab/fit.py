"""Fits styles to a picture without gradients, in some hundred drawings, as visitors' browsers do.

The distance of two pictures is a sum of squares, so the search is Levenberg and Marquardt's (Nocedal and Wright,
Numerical Optimization, 2nd edition, section 10.3): in each round one drawing an axis gives the derivatives by
differences, and the damped normal equations give the next place. The first rounds have one style for all layers, the
others one a range.

templates/static/live/fit.js is the same for browsers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metagan.lab.axes import Axes

SCALES: Final = 3
STEP: Final = 0.05  # of a difference, in deviations along an axis
PRIOR: Final = 1e-4  # keeps coordinates small where the picture doesn't ask for more
MOST: Final = 5.0  # deviations along an axis
DAMPINGS: Final = (0.1, 1.0, 10.0)  # tried in each round, times the last one that was best
FIRST_DAMPING: Final = 0.01
LEAST_DAMPING, MOST_DAMPING = 1e-5, 1e3
STUCK: Final = 30.0  # the damping grows by this factor where none of them leads to a better place
TRIES: Final = 2
SHARED_ROUNDS: Final = 3
"""Rounds with one style for all layers."""
RANGES_ROUNDS: Final = 5
"""Rounds with a style for each range of layers."""


@dataclass(frozen=True)
class Fit:
    """Styles that draw a picture nearly.

    Args:
        code: Their coordinates on the axes, [ranges, axes].
        distance: Mean square of the difference to the picture, whose values are within [-1, 1], added up at three
            scales.
        psnr_db: Peak signal-to-noise ratio between the two.
        drawings: Number of pictures that were drawn.
    """

    code: Tensor
    distance: float
    psnr_db: float
    drawings: int


class Aim:
    """A picture that styles are fitted to.

    Args:
        draw: Draws pictures of styles [n, num_ws, w_dim], within [-1, 1] nearly.
        axes: The axes of the styles.
        num_ws: Number of a picture's styles.
        target: The picture, within [-1, 1].
        mask: 1 where the picture counts and 0 in its padding; None where all of it counts.
    """

    def __init__(
        self,
        draw: Callable[[Tensor], Tensor],
        axes: Axes,
        num_ws: int,
        target: Float[Tensor, "ch h w"],
        mask: Float[Tensor, "1 h w"] | None = None,
    ) -> None:
        self._draw = draw
        self._axes = axes
        self._num_ws = num_ws
        self._mask = torch.ones(1, *target.shape[1:]) if mask is None else mask
        self._wanted = _pyramid(target[None] * self._mask)[0]
        self._values = target.numel()
        self.drawings = 0

    def apart(self, code: Float[Tensor, "n ranges axes"]) -> Float[Tensor, "n values"]:
        """Return the differences of pictures to the target at all scales: distances are their sums of squares."""
        self.drawings += len(code)
        drawn = self._draw(self._axes.styles(code, self._num_ws))
        return _pyramid(drawn.clamp(-1, 1) * self._mask) - self._wanted

    def psnr_db(self, apart: Float[Tensor, " values"]) -> float:
        """Return the peak signal-to-noise ratio of a picture that is so far off, at most 99."""
        return min(99.0, 10 * math.log10(4 / max(float(apart[: self._values].square().sum()), 1e-9)))


def fit(aim: Aim, starts: Float[Tensor, "n axes"], ranges: int, tried: int = 1) -> Fit:
    """Search for styles from the best of some starts.

    Args:
        aim: The picture.
        starts: Coordinates on the axes, of one style for all layers.
        ranges: Number of ranges of layers that get a style each.
        tried: Number of the nearest starts from which the first rounds begin; the others go on from the best place that
            these led to.
    """
    first = aim.apart(starts[:, None])
    found = []
    for index in _costs(first, starts).argsort()[:tried].tolist():
        code, apart = _rounds(aim, starts[index][None], first[index], SHARED_ROUNDS)
        found.append((float(_costs(apart[None], code.flatten()[None])[0]), code, apart))
    _, code, apart = min(found, key=lambda each: each[0])
    code, apart = _rounds(aim, code.expand(ranges, -1), apart, RANGES_ROUNDS)
    return Fit(code.contiguous(), float(apart.square().sum()), aim.psnr_db(apart), aim.drawings)


def _rounds(aim: Aim, code: Tensor, apart: Tensor, count: int) -> tuple[Tensor, Tensor]:
    damping = FIRST_DAMPING
    for _ in range(count):
        code, apart, damping = _round(aim, code, apart, damping)
    return code, apart


def _round(aim: Aim, code: Tensor, apart: Tensor, damping: float) -> tuple[Tensor, Tensor, float]:
    """Take the best of three steps, if it is one; with the damping of the next."""
    x = code.flatten()
    steps = STEP * torch.eye(len(x))
    slopes = (aim.apart((x + steps).view(-1, *code.shape)) - apart) / STEP
    curvature, slope = slopes @ slopes.t(), slopes @ apart + PRIOR * x
    mean = float(curvature.diagonal().mean())
    now = _costs(apart[None], x[None])[0]
    for _ in range(TRIES):
        dampings = [PRIOR + damping * factor * mean for factor in DAMPINGS]
        places = torch.stack(
            [x - torch.linalg.solve(curvature + each * torch.eye(len(x)), slope) for each in dampings]
        ).clamp(-MOST, MOST)
        found = aim.apart(places.view(-1, *code.shape))
        costs = _costs(found, places)
        best = int(costs.argmin())
        if costs[best] < now:
            damping = min(max(damping * DAMPINGS[best], LEAST_DAMPING), MOST_DAMPING)
            return places[best].view_as(code), found[best], damping
        damping = min(damping * STUCK, MOST_DAMPING)
    return code, apart, damping


def _costs(apart: Tensor, code: Tensor) -> Tensor:
    return apart.square().sum(dim=1) + PRIOR * code.square().sum(dim=1)


def _pyramid(images: Float[Tensor, "n ch h w"]) -> Float[Tensor, "n values"]:
    """Return pictures at up to three scales, so that sums of squares are added means."""
    scales = [images]
    while len(scales) < SCALES and all(side % 2 == 0 for side in scales[-1].shape[2:]):
        scales.append(F.avg_pool2d(scales[-1], 2))
    return torch.cat([image.flatten(1) / math.sqrt(image[0].numel()) for image in scales], dim=1)


def nearest(aim: Aim, codes: Float[Tensor, "n axes"], count: int = 1) -> Float[Tensor, "count axes"]:
    """Return the coordinates, of some, whose pictures are most like the target."""
    return codes[_costs(aim.apart(codes[:, None]), codes).argsort()[:count]]
