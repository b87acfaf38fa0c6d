"""Evaluates a generator: measures of its pictures, next to the same measures between real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from metagan.datasets.source import PictureSource, evenly_spaced, stack
from metagan.errors import OptionError
from metagan.evaluation.inception import Inception
from metagan.evaluation.inception_weights import InceptionFile
from metagan.evaluation.quality import (
    LEAST_PICTURES,
    Quality,
    count_different,
    describe_gaps,
    halves,
)
from metagan.sampling.latents import class_of
from metagan.sampling.sampler import Sampler, Settings
from metagan.values import Label, LabelSpace, counted, printable

DEFAULT_COUNT: Final = 2000


class Reference:
    """A dataset's real pictures, as generated ones are measured against them in training and by `evaluate`.

    Args:
        pixels: Returns a real picture [3, height, width] by its index.
        total: Number of real pictures.
        count: Number of generated pictures to compare; at most as many are as there are real ones.
        device: The device to compute on.
        inception: Weights for FID and KID, from `require_inception`.
        inception_floor: Whether the floor has FID and KID too, which takes as long as measuring them.
        advance: Called with the number of further pictures processed by Inception.

    Attributes:
        count: Number of generated pictures to compare.
        floor: The measures between real pictures, by name; empty if there are too few for two sets.
        notes: What is not measured, and why.
    """

    def __init__(
        self,
        pixels: Callable[[int], NDArray[np.uint8]],
        total: int,
        count: int,
        device: torch.device,
        *,
        inception: InceptionFile | None = None,
        inception_floor: bool = False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.count = min(count, total)
        real, others = halves(pixels, total, self.count)
        names = "precision, recall, density or coverage"
        self.notes = describe_gaps(real, total, self.count, f"{names}, FID or KID" if inception else names)
        self._quality = Quality(real, device)
        measurable = min(self.count, count_different(real)) >= LEAST_PICTURES
        self._inception = Inception(inception, real, device, advance) if inception and measurable else None
        self.floor: dict[str, float] = {} if others is None else self._quality(others)
        if self._inception and others is not None and inception_floor:
            self.floor |= self._inception(others, are_real=True)

    def measure(self, made: NDArray[np.uint8]) -> dict[str, float]:
        """Measure generated pictures, [count, 3, height, width]; see Quality and Inception."""
        return self._quality(made) | (self._inception(made) if self._inception else {})


@dataclass(frozen=True)
class Evaluation:
    """A generator's measures.

    Args:
        count: Number of generated pictures (seeds 0 to count - 1), and of the real ones they were compared with.
        made: Measures by name, see Quality, with "fid" and "kid" if requested.
        floor: The same between real pictures; empty if the dataset is too small for two sets of `count`.
        notes: What is not measured, and why.
    """

    count: int
    made: dict[str, float]
    floor: dict[str, float]
    notes: tuple[str, ...] = ()


def evaluate(
    sampler: Sampler,
    pictures: PictureSource,
    settings: Settings,
    count: int | None = None,
    *,
    inception: InceptionFile | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Compare a generator's pictures with those of a dataset, or one class with that class's pictures.

    Without a class, a conditional generator draws the classes in the dataset's shares, as training does.

    Args:
        sampler: The generator. Its device computes the measures too.
        pictures: The dataset.
        settings: Drawing options. Measures are comparable only at psi 1.
        count: Number of pictures; None for DEFAULT_COUNT, or all real ones if there are fewer.
        inception: Weights for FID and KID, from `require_inception`.
        advance: Called with the number of further pictures, drawn or processed by Inception (up to three times more).

    Raises:
        OptionError: If the dataset has pictures of another shape than the generator's, too few, or not its classes.
    """
    _require_same_size(sampler, pictures)
    chosen, notes = _pictures_of_class(sampler, pictures, settings.label)
    count = min(DEFAULT_COUNT, len(chosen)) if count is None else count
    _require_enough(pictures, chosen, settings, count)
    labels = None
    if sampler.generator.c_dim and settings.label is None:
        rows = [pictures.label(index) for index in evenly_spaced(len(pictures), count)]
        labels = torch.from_numpy(np.stack(rows))

    def drawn() -> Iterator[NDArray[np.uint8]]:
        for _, picture in sampler.pictures(range(count), settings, labels):
            yield picture.transpose(2, 0, 1)
            advance(1)

    made = stack(drawn(), count)
    reference = Reference(
        lambda index: pictures.pixels(chosen[index]),
        len(chosen),
        count,
        sampler.device,
        inception=inception,
        inception_floor=True,
        advance=advance,
    )
    return Evaluation(count, reference.measure(made), reference.floor, (*notes, *reference.notes))


def _pictures_of_class(
    sampler: Sampler, pictures: PictureSource, label: Label | None
) -> tuple[range | list[int], list[str]]:
    """Return the indices of the real pictures to compare with, and notes on that choice."""
    everything, c_dim = range(len(pictures)), sampler.generator.c_dim
    if not c_dim:
        option = "--label" if isinstance(label, tuple) else f"--class {printable(str(label))}"
        ignored = [] if label is None else [f"{option} is ignored: the generator has no classes"]
        return everything, ignored
    if isinstance(label, tuple):
        raise OptionError(
            "--label: real pictures of the same numbers are too few to compare with",
            fix="leave it out, and each picture has the label of a real one",
        )
    number = None if label is None else class_of(sampler.generator, label)
    if pictures.label_count == 0 and number is not None:
        return everything, [f"the dataset has no labels: class {label} is compared with all its pictures"]
    if pictures.label_count != c_dim:
        has = f"labels of width {pictures.label_count}" if pictures.label_count else "no labels"
        way_out = f", or choose one class with --class 0 to {c_dim - 1}" if not pictures.label_count else ""
        raise OptionError(
            f"the dataset has {has}, the generator {c_dim}",
            where=pictures.path,
            fix=f"give the dataset that it was trained on{way_out}",
        )
    require_same_classes(sampler.generator.label_space, pictures, "the generator")
    if number is None:
        return everything, []
    return [index for index in everything if _class_of(pictures.label(index)) == number], []


def require_same_classes(labels: LabelSpace, pictures: PictureSource, owner: str) -> None:
    """Refuse pictures whose classes have other names, since networks know classes by their numbers.

    Args:
        labels: What the network's labels mean.
        pictures: The pictures, with as many classes.
        owner: Whose network it is, "this run".

    Raises:
        OptionError: If both have names, and a class has another one.
    """
    names = zip(labels.names, pictures.label_space.names, strict=False)
    for number, (was, now) in enumerate(names):
        if was != now:
            raise OptionError(
                f"class {number} of these pictures is {printable(now)}, {owner}'s is {printable(was)}",
                where=pictures.path,
                fix="give pictures of the same classes, in the same order",
            )


def _class_of(label: NDArray[np.float32]) -> int | None:
    """Return the class of a one-hot label; None for other labels."""
    return int(label.argmax()) if np.count_nonzero(label) == 1 and label.max() == 1 else None


def _require_same_size(sampler: Sampler, pictures: PictureSource) -> None:
    generator = sampler.generator
    if (sampler.size, generator.image_channels) != (pictures.size, 3):
        raise OptionError(
            f"its pictures are {pictures.size}, but the generator draws {sampler.size} pixels, "
            f"{counted(generator.image_channels, 'channel')}",
            where=pictures.path,
            fix=f"pack the pictures with `metagan dataset pack --resolution {sampler.size.as_option}`",
        )


def _require_enough(
    pictures: PictureSource, chosen: range | list[int], settings: Settings, count: int
) -> None:
    if not chosen:
        raise OptionError(
            f"its {counted(len(pictures), 'picture is', 'pictures are')} not of class {settings.label}",
            where=pictures.path,
            fix="choose another class, or leave --class out",
        )
    if count > len(chosen):
        of_class = f" of class {settings.label}" if len(chosen) < len(pictures) else ""
        raise OptionError(
            f"--count {count}: {pictures.path} has {counted(len(chosen), 'picture')}{of_class}",
            fix="ask for at most that many, or leave --count out",
        )
