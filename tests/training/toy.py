"""A toy collection: discs of one colour on another, drawn by numpy."""

from pathlib import Path

import numpy as np
from PIL import Image

from metagan.training.options import Options

OPTIONS = Options(  # everything that a step can do takes part
    data="discs",
    preset="tiny",
    batch=8,
    learning_rate=0.0025,
    path_weight=2.0,
    style_mixing=0.9,
    precision="fp32",
)


class Discs:
    """`count` pictures of discs; satisfies metagan.training.data_loader.Pictures."""

    def __init__(self, count: int = 64, resolution: int = 16, classes: int = 0) -> None:
        self.resolution, self.label_count = resolution, classes
        self._pictures = [disc(index, resolution) for index in range(count)]

    def __len__(self) -> int:
        return len(self._pictures)

    def pixels(self, index: int) -> np.ndarray:
        return self._pictures[index]

    def label(self, index: int) -> np.ndarray:
        return np.eye(max(self.label_count, 1), dtype=np.float32)[index % max(self.label_count, 1)][
            : self.label_count
        ]


def disc(index: int, side: int) -> np.ndarray:
    source = np.random.default_rng(index)
    back, front = source.integers(0, 256, (2, 3, 1, 1))
    y, x = np.mgrid[0:side, 0:side] / side
    cx, cy, radius = source.uniform(0.4, 0.6), source.uniform(0.4, 0.6), source.uniform(0.2, 0.35)
    inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return np.where(inside, front, back).astype(np.uint8)


def write_folder(folder: Path, count: int = 32, resolution: int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(disc(index, resolution).transpose(1, 2, 0)).save(folder / f"{index:04d}.png")
    return folder
