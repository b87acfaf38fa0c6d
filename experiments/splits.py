"""How much a generator's distance and its floor depend on which real pictures they are measured on.

    python experiments/splits.py bundled:planets planets.zip --splits 8

Each split draws two sets of real pictures at random: the generator's pictures, other ones each time, and the second set
are compared with the first, as `metagan evaluate` does for one split.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import metagan
from metagan.datasets.source import PictureSource
from metagan.evaluation.quality import Quality


class Split(NamedTuple):
    """Measures of generated pictures and of other real ones, by name."""

    made: dict[str, float]
    floor: dict[str, float]


def measure(
    generator: metagan.Generator, pictures: PictureSource, splits: int, count: int
) -> Iterator[Split]:
    """Measure `splits` splits of `count` pictures each; the dataset has at least twice as many."""
    source = np.random.default_rng(0)
    for split in range(splits):
        chosen = source.permutation(len(pictures))[: 2 * count]
        real, others = (_pixels(pictures, part) for part in np.split(chosen, 2))
        quality = Quality(real)
        drawn = generator.iter_sample(range(split * count, (split + 1) * count), psi=1)
        made = np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in drawn])
        yield Split(quality(made), quality(others))


def _pixels(pictures: PictureSource, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([pictures.pixels(int(index)) for index in indices])


def main() -> None:
    """Parse, measure, print each split and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", help="as in `metagan evaluate`")
    parser.add_argument("dataset")
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument(
        "--count", type=int, default=2000, help="generated pictures, and real ones in each set"
    )
    options = parser.parse_args()
    generator, pictures = metagan.load(options.weights), PictureSource(options.dataset)
    distances = []
    for split in measure(generator, pictures, options.splits, options.count):
        distances.append((split.made["distance"], split.floor["distance"]))
        sys.stdout.write("distance {:.2f}, floor {:.2f}\n".format(*distances[-1]))
        sys.stdout.flush()
    (made, floor), (made_spread, floor_spread) = np.mean(distances, axis=0), np.std(distances, axis=0)
    means = f"mean distance {made:.1f} (deviation {made_spread:.1f}), floor {floor:.1f} ({floor_spread:.1f})"
    sys.stdout.write(f"{means}: {made / floor:.2f} times\n")


if __name__ == "__main__":
    main()
