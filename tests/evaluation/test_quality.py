"""The offline measures against cases whose answers are known."""

import numpy as np
import pytest
import torch

from metagan.evaluation import features, pyramid
from metagan.evaluation.features import FeatureSpace, raw_features
from metagan.evaluation.pyramid import Descriptors, _expand, describe, laplacian_pyramid, sliced_wasserstein
from metagan.evaluation.quality import Quality, compare, radii
from tests.training.toy import disc


def discs(start: int, count: int, side: int = 32) -> np.ndarray:
    return np.stack([disc(index, side) for index in range(start, start + count)])


def test_two_halves_of_a_collection_are_nearer_than_anything_spoilt():
    real, other = discs(0, 200), discs(1000, 200)
    quality = Quality(real)
    same = quality(other)
    noisy = np.clip(other + np.random.default_rng(0).normal(0, 20, other.shape), 0, 255).astype(np.uint8)
    dark = (other * 0.6).astype(np.uint8)
    collapsed = np.repeat(other[:1], 200, axis=0)
    for spoilt in (noisy, dark, collapsed):
        assert quality(spoilt)["distance"] > 2 * same["distance"]
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.6
    assert quality(collapsed)["recall"] < 0.1
    assert quality(collapsed)["coverage"] < 0.1


def test_the_same_pictures_are_at_distance_0():
    real = discs(0, 50)
    measured = Quality(real)(real)
    assert measured["distance"] == 0
    assert measured["precision"] == measured["recall"] == measured["coverage"] == 1


def test_measures_do_not_depend_on_when_they_are_taken():
    quality, made = Quality(discs(0, 40)), discs(500, 40)
    assert quality(made) == quality(made)


def test_a_pyramid_gives_its_picture_back():
    images = torch.rand(2, 3, 64, 64)
    levels = laplacian_pyramid(images)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    rebuilt = levels[-1]
    for level in reversed(levels[:-1]):
        rebuilt = level + _expand(rebuilt)
    assert torch.allclose(rebuilt, images, atol=1e-5)


def test_large_pictures_are_measured_a_few_at_a_time_with_the_same_results(monkeypatch):
    real, made, many = discs(0, 20, side=64), discs(50, 20, side=64), []
    at_once = Quality(real)(made)
    pyramid_of = pyramid.laplacian_pyramid

    def counted(images: torch.Tensor) -> list[torch.Tensor]:
        many.append(len(images))
        return pyramid_of(images)

    monkeypatch.setattr(pyramid, "laplacian_pyramid", counted)
    monkeypatch.setattr(features, "CHUNK_PIXELS", 3 * 64 * 64)
    assert Quality(real)(made) == pytest.approx(at_once, rel=1e-5)
    assert set(many) == {3, 2}
    monkeypatch.undo()
    monkeypatch.setattr(pyramid, "laplacian_pyramid", counted)
    many.clear()
    describe(np.zeros((3, 3, 1024, 1024), np.uint8))
    assert many == [1, 1, 1]


def test_small_pictures_are_a_pyramid_of_one_level():
    assert [level.size_px for level in describe(discs(0, 3, side=8))] == [8]


def test_shifted_patches_are_as_far_apart_as_their_shift_projects():
    patches = torch.randn(5000, 3, 49)
    deviation = patches.std(dim=(0, 2))
    shifted = patches + deviation[:, None]  # every number one deviation further
    distance = sliced_wasserstein(Descriptors(16, patches.flatten(1)), Descriptors(16, shifted.flatten(1)))
    # A unit direction d moves by |sum(d)|, whose mean for random directions of 147 numbers is sqrt(2 / pi).
    assert distance / 1000 == pytest.approx((2 / np.pi) ** 0.5, rel=0.15)


def test_radii_reach_the_kth_other_point():
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(points, 1).tolist() == [1, 1, 2, 4]
    assert radii(points, 2).tolist() == [3, 2, 3, 6]


def test_precision_and_recall_tell_what_is_missing():
    source = torch.Generator().manual_seed(0)
    left, right = (torch.randn(200, 2, generator=source) + offset for offset in (-20, 20))
    both, half = torch.cat([left, right]), torch.randn(200, 2, generator=source) - 20
    lost = compare(both, half)  # half of the real modes are not made
    assert lost["precision"] > 0.9
    assert lost["recall"] == pytest.approx(0.5, abs=0.05)
    assert lost["coverage"] < 0.55
    odd = compare(half, both)  # half of what is made isn't real
    assert odd["precision"] == pytest.approx(0.5, abs=0.05)
    assert odd["recall"] > 0.9


def test_density_counts_neighbourhoods():
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    assert compare(real, torch.tensor([[2.5]]))["density"] == pytest.approx(6 / 5)
    assert compare(real, torch.tensor([[100.0]]))["density"] == 0


def test_features_tell_colour_and_direction():
    flat = np.full((2, 3, 16, 16), 100, np.uint8)
    flat[1, 0] = 200
    stripes = np.full((2, 3, 16, 16), 0, np.uint8)
    stripes[0, :, ::2], stripes[1, :, :, ::2] = 255, 255
    colours, edges = raw_features(flat)[:, :192], raw_features(stripes)[:, 192:]
    assert not torch.allclose(colours[0], colours[1])
    assert not torch.allclose(edges[0], edges[1])
    assert torch.allclose(raw_features(flat)[:, 192:], torch.zeros(2, 512), atol=1e-3)


def test_a_feature_space_keeps_at_most_64_components():
    space = FeatureSpace.of(discs(0, 100))
    placed = space.place(discs(0, 100))
    assert placed.shape == (100, 64)
    assert torch.allclose(placed.mean(dim=0), torch.zeros(64), atol=1e-4)
