"""The order of training pictures."""

import hashlib

import numpy as np
import pytest
import torch

from metagan.training.data_loader import DataLoader, as_uint8, fingerprint
from tests.training.toy import Discs, disc


def test_an_epoch_has_every_picture_once():
    data_loader = DataLoader(Discs(10), 0, mirror=False)
    for epoch in range(3):
        assert sorted(data_loader.places(10 * epoch, 10)) == list(range(10))


def test_epochs_differ_and_seeds_differ():
    data_loader, other = DataLoader(Discs(32), 0, mirror=False), DataLoader(Discs(32), 1, mirror=False)
    assert list(data_loader.places(0, 32)) != list(data_loader.places(32, 32))
    assert list(data_loader.places(0, 32)) != list(other.places(0, 32))


def test_a_mirrored_epoch_has_every_picture_both_ways():
    pictures = Discs(6)
    data_loader = DataLoader(pictures, 0, mirror=True)
    seen = {batch.tobytes() for batch in as_uint8(data_loader.batch(0, 12).images).numpy()}
    assert seen == {
        p.tobytes() for i in range(6) for p in (pictures.pixels(i), pictures.pixels(i)[:, :, ::-1].copy())
    }


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_a_place_has_the_same_picture_however_it_is_read(cache_bytes):
    data_loader = DataLoader(Discs(10, classes=2), 3, mirror=True, cache_bytes=cache_bytes)
    ahead = DataLoader(Discs(10, classes=2), 3, mirror=True)
    for position in (0, 4, 8, 30, 8):
        one, other = data_loader.batch(position, 4), ahead.batch(position, 4, stride=4)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_pictures_come_within_minus_1_and_1_and_go_back_to_the_same_bytes():
    pictures = Discs(4)
    images = DataLoader(pictures, 0, mirror=False).batch(0, 4).images
    assert images.min() >= -1
    assert images.max() <= 1
    assert {p.tobytes() for p in as_uint8(images).numpy()} == {pictures.pixels(i).tobytes() for i in range(4)}


def test_labels_go_with_their_pictures():
    pictures = Discs(9, classes=3)
    data_loader = DataLoader(pictures, 0, mirror=True)
    labels = data_loader.batch(0, 18).labels.numpy()
    for place, label in zip(data_loader.places(0, 18), labels, strict=True):
        np.testing.assert_array_equal(label, pictures.label(int(place) % 9))


def test_random_labels_are_those_of_real_pictures():
    data_loader = DataLoader(Discs(4, classes=2), 0, mirror=False)
    labels = data_loader.random_labels(200, torch.Generator().manual_seed(0))
    assert labels.sum(dim=0).tolist() == pytest.approx([100, 100], abs=30)
    assert DataLoader(Discs(4), 0, mirror=False).random_labels(3, torch.Generator()) is None


def test_other_pictures_have_another_fingerprint():
    assert fingerprint(Discs(9)) == fingerprint(Discs(9))
    assert len({fingerprint(Discs(9)), fingerprint(Discs(8)), fingerprint(Discs(9, classes=2))}) == 3


def test_any_of_a_few_pictures_and_any_label_counts_for_the_fingerprint():
    pictures, known = Discs(40, classes=2), fingerprint(Discs(40, classes=2))
    pictures.pixels = lambda index: disc(99 if index == 13 else index, 16)
    assert fingerprint(pictures) != known
    pictures = Discs(40, classes=2)
    pictures.label = lambda index: np.eye(2, dtype=np.float32)[int(index == 7)]
    assert fingerprint(pictures) != known


def test_a_fingerprint_of_an_earlier_version_is_still_known():
    digest = hashlib.sha256(b"3 16 0" + b"".join(Discs(3).pixels(index).tobytes() for index in range(3)))
    known = digest.hexdigest()[:16]
    assert fingerprint(Discs(3), like=known) == known
    assert fingerprint(Discs(3), like=fingerprint(Discs(3))) != known
