"""A toy collection: discs of one colour on another, drawn by numpy."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from metagan.training.options import Recipe, TrainOptions
from metagan.values import Size

AUTOMATIC = TrainOptions(data=Path("discs"), preset="tiny")


def change(options: TrainOptions, **asked: object) -> TrainOptions:
    """The options with these asked for as well, the recipe's among them; None leaves a choice open."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    left = {name for name, value in asked.items() if name in names and value is None}
    recipe = {name: value for name, value in asked.items() if name in names - left}
    others = {name: value for name, value in asked.items() if name not in names}
    return dataclasses.replace(
        options,
        recipe=dataclasses.replace(options.recipe, **recipe),
        auto=frozenset((options.auto - recipe.keys()) | left),
        given=frozenset((options.given | asked.keys()) - left),
        **others,
    )


OPTIONS = change(  # everything that a step can do takes part
    AUTOMATIC, batch=8, learning_rate=0.0025, path_weight=2.0, style_mixing=0.9, precision="fp32"
)


class Discs:
    """`count` pictures of discs; satisfies metagan.training.data_loader.Pictures."""

    def __init__(self, count: int = 64, resolution: Size | int = 16, classes: int = 0) -> None:
        self.size, self.label_count = Size.of(resolution), classes
        self._pictures = [disc(index, resolution) for index in range(count)]

    def __len__(self) -> int:
        return len(self._pictures)

    def pixels(self, index: int) -> np.ndarray:
        return self._pictures[index]

    def label(self, index: int) -> np.ndarray:
        return np.eye(max(self.label_count, 1), dtype=np.float32)[index % max(self.label_count, 1)][
            : self.label_count
        ]


def disc(index: int, size: Size | int) -> np.ndarray:
    source = np.random.default_rng(index)
    back, front = source.integers(0, 256, (2, 3, 1, 1))
    width, height = Size.of(size)
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    cx, cy, radius = source.uniform(0.4, 0.6), source.uniform(0.4, 0.6), source.uniform(0.2, 0.35)
    inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return np.where(inside, front, back).astype(np.uint8)


def write_folder(folder: Path, count: int = 32, resolution: Size | int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(disc(index, resolution).transpose(1, 2, 0)).save(folder / f"{index:04d}.png")
    return folder
