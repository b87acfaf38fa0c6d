"""Turns seeds into latents and labels, by the convention of the official generators."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import OptionError
from metagan.networks.generator import Generator
from metagan.values import Label, counted, printable, show

_SHOWN = 10


def latents(seeds: Sequence[int], z_dim: int) -> Float[Tensor, "batch z_dim"]:
    """Draw unit-normal latents, one row per seed: `numpy.random.RandomState(seed).randn(1, z_dim)`, as float32.

    Args:
        seeds: 0 to 2**32 - 1.
        z_dim: Width of the generator's latents.
    """
    rows = [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.array(rows).reshape(len(rows), z_dim)).float()


def labels(generator: Generator, label: Label | None, batch: int) -> Float[Tensor, "batch c_dim"] | None:
    """Return the labels of a batch, all the same, or None for an unconditional generator.

    Args:
        generator: Any generator.
        label: A class by its number or name, or the numbers of the label.
        batch: How many.

    Raises:
        OptionError: If the generator is conditional and nothing is chosen, or it has no such class or numbers.
    """
    if generator.c_dim == 0:
        return None
    if isinstance(label, tuple):
        if len(label) != generator.c_dim or not all(map(math.isfinite, label)):
            raise _no_label(generator, f"got {','.join(f'{number:g}' for number in label)}")
        return torch.tensor(label).float().repeat(batch, 1)
    return one_hot(class_of(generator, label), generator.c_dim, batch)


def one_hot(index: int, c_dim: int, batch: int) -> Float[Tensor, "batch c_dim"] | None:
    """Return the labels of a batch of one class by its number, or None for an unconditional generator."""
    if c_dim == 0:
        return None
    label = torch.zeros(batch, c_dim)
    label[:, index] = 1
    return label


def class_of(generator: Generator, label: int | str | None) -> int:
    """Return the number of a class of a conditional generator.

    Args:
        generator: A conditional generator.
        label: The class's number, also as text, or its name, which comes first.

    Raises:
        OptionError: If it is None, or there is no such class.
    """
    space = generator.label_space
    if label is None or space.is_numbers:
        got = "none was chosen" if label is None else f"got class {show(label)}"
        raise _no_label(generator, got, _as_numbers(str(label), generator.c_dim))
    number = space.number_of(label, generator.c_dim)
    if number is None:
        raise _no_label(generator, f"got {label if isinstance(label, int) else show(label)}")
    return number


def chosen_label(generator: Generator, label: Label | None) -> Label | None:
    """A label in one form however it was asked for: a class by its number, numbers as they are.

    Returns:
        The label; None for an unconditional generator.

    Raises:
        OptionError: As `labels`.
    """
    if generator.c_dim == 0:
        return None
    if isinstance(label, tuple):
        labels(generator, label, 1)
        return label
    return class_of(generator, label)


def _as_numbers(text: str, count: int) -> str | None:
    """The text of a class, if it is as many numbers as a label has."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    return text.replace(" ", "") if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def describe_labels(generator: Generator) -> str:
    """Describe what labels a conditional generator has: "3 classes (ape, bird, cat)"."""
    names = generator.label_space.names
    shown = (
        f" ({', '.join(map(printable, names[:_SHOWN]))}{', ...' if len(names) > _SHOWN else ''})"
        if names
        else ""
    )
    if generator.label_space.is_numbers:
        return f"labels of {counted(generator.c_dim, 'number')}{shown}"
    return f"{counted(generator.c_dim, 'class', 'classes')}{shown}"


def _no_label(generator: Generator, got: str, meant: str | None = None) -> OptionError:
    space = generator.label_space
    if space.is_numbers:
        example = meant or ",".join(f"{number:.3g}" for number in space.middle)
        ranges = ", ".join(f"{least:.3g} to {most:.3g}" for least, most in space.ranges)
        fix = f"give --label {example}; the training data had {ranges}"
    else:
        fix = f"choose one with --class 0 to {generator.c_dim - 1}" + (" or its name" if space.names else "")
    return OptionError(f"this generator has {describe_labels(generator)}, {got}", fix=fix)
