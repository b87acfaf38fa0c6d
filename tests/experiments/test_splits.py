"""Distances over several splits of the real pictures."""

import numpy as np
import pytest
from PIL import Image

import metagan
from experiments import splits
from metagan.datasets.source import PictureSource

COUNT = 8


@pytest.fixture(scope="module")
def bagels() -> metagan.Generator:
    return metagan.load("bundled:bagels", device="cpu")


def test_every_split_has_other_pictures_and_the_same_call_the_same_ones(bagels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3 * COUNT, 64, 64, 3), np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{number:02}.png")
    pictures = PictureSource(tmp_path)
    first, second = splits.measure(bagels, pictures, 2, COUNT)
    assert first != second
    assert [first] == list(splits.measure(bagels, pictures, 1, COUNT))
    assert first.made["distance"] > 5 * first.floor["distance"] > 0  # bagels aren't noise
