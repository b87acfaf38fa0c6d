"""Evaluates a generator: measures of its pictures, next to the same measures between real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.evaluation.inception import Inception
from metagan.evaluation.inception_weights import InceptionFile
from metagan.evaluation.quality import FLOOR, halves, quality_and_floor
from metagan.sampling.sampler import Sampler, Settings


@dataclass(frozen=True)
class Evaluation:
    """A generator's measures.

    Args:
        count: Number of generated pictures (seeds 0 to count - 1), and of the real ones they were compared with.
        made: Measures by name, see Quality, with "fid" and "kid" if requested.
        floor: The same between real pictures; empty if the dataset is too small for two sets of `count`.
    """

    count: int
    made: dict[str, float]
    floor: dict[str, float]


def evaluate(
    sampler: Sampler,
    pictures: PictureSource,
    settings: Settings,
    count: int,
    *,
    inception: InceptionFile | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Compare a generator's pictures with those of a dataset.

    Args:
        sampler: The generator. Its device computes the measures too.
        pictures: The dataset.
        settings: Drawing options. Measures are comparable only at psi 1.
        count: Number of pictures; at most those of the dataset.
        inception: Weights for FID and KID, from `require_inception`.
        advance: Called with the number of further pictures, drawn or processed by Inception (up to three times more).

    Raises:
        OptionError: If the dataset has pictures of another shape than the generator's, or too few.
    """
    _require_match(sampler, pictures, count)
    made = _drawn(sampler, settings, count, advance)
    quality, floor = quality_and_floor(pictures.pixels, len(pictures), count, sampler.device)
    measures = quality(made)
    floor = {name.removeprefix(FLOOR): value for name, value in floor.items()}
    if inception is not None:
        real, others = halves(pictures.pixels, len(pictures), count)
        distances = Inception(inception, real, sampler.device, advance)
        measures |= distances(made)
        floor |= {} if others is None else distances(others, are_real=True)
    return Evaluation(count, measures, floor)


def _drawn(
    sampler: Sampler, settings: Settings, count: int, advance: Callable[[int], None]
) -> NDArray[np.uint8]:
    rows = []
    for _, picture in sampler.pictures(range(count), settings):
        rows.append(picture.transpose(2, 0, 1))
        advance(1)
    return np.stack(rows)


def _require_match(sampler: Sampler, pictures: PictureSource, count: int) -> None:
    generator = sampler.generator
    if (sampler.size, generator.image_channels) != (pictures.size, 3):
        raise OptionError(
            f"its pictures are {pictures.size}, but the generator draws {sampler.size} pixels, "
            f"{generator.image_channels} channels",
            where=pictures.path,
            fix=f"pack the pictures with `metagan dataset pack --resolution {sampler.size.as_option}`",
        )
    if count > len(pictures):
        raise OptionError(
            f"--count {count}: {pictures.path} has {len(pictures)} pictures", fix="ask for at most that many"
        )
