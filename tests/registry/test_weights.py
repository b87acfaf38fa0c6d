"""The generators that come with metagan: small, licensed, measured, and of many pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.collection.traits import read_accuracies
from metagan.drawings.render import draw_picture
from metagan.evaluation.fidelity import psnr, ssim
from metagan.networks.loading.detect import load_generator
from metagan.networks.trait_classifier import load_classifier
from metagan.networks.upscaler import MOST_PARAMETERS, load_upscaler
from metagan.registry.weights_ref import bundled_names, bundled_upscaler_names, bundled_weights
from metagan.sampling.sampler import Sampler, Settings
from metagan.sampling.upscale import enlarge, upscale_pictures

RECORDED = json.loads((Path(__file__).parents[2] / "benchmarks" / "weights.json").read_text())


def test_every_collection_has_its_generator():
    assert (
        bundled_names()
        == [
            "apes",
            "bagels",
            "clay",
            "critters",
            "cutouts",
            "hummingbirds",
            "planets",
            "sprouts",
            "voxel-art",
        ]
        == sorted(RECORDED)
    )


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_header_says_how_the_weights_came_about_and_what_they_are_worth(name):
    header = read_checkpoint(bundled_weights(name)).header
    training = header.training
    measured = training["evaluation"]
    assert header.licence == "CC0-1.0"
    assert (
        f"metagan dataset render {name}" in header.source
        or f"DiceBear's style {name} (CC0 1.0)" in header.source
    )
    assert measured["kimg"] == training["kimg"]
    assert training["recipe"]["batch"] > 0
    assert {**measured, "size_bytes": bundled_weights(name).stat().st_size} == RECORDED[name]
    assert measured["floor"]["distance"] < measured["made"]["distance"] < measured["at_20_kimg"]["distance"]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_weights_are_small_and_no_two_pictures_look_the_same(name):
    path = bundled_weights(name)
    assert path.stat().st_size <= 6_000_000
    generator = load_generator(read_checkpoint(path))
    assert generator.resolution >= 64
    drawn = Sampler(generator, torch.device("cpu")).pictures(range(64), Settings(psi=0.8, noise="none"))
    pictures = torch.from_numpy(np.stack([picture for _, picture in drawn])).float().flatten(1)
    apart = torch.cdist(pictures, pictures, p=1) / pictures.shape[1]
    apart.fill_diagonal_(255)
    # The nearest two of 64 real planets are 2.94 apart; clay's creatures are small, on pale grounds.
    least = {"planets": 2.9, "clay": 3}.get(name, 4)
    assert apart.min() > least, "levels, the mean over all values"


def test_the_apes_classifier_is_small_licensed_and_tells_apes_that_it_has_not_seen():
    path = bundled_weights("apes-traits")
    classifier, training = load_classifier(path)
    header = read_checkpoint(path).header
    assert header.licence == "CC0-1.0"
    assert "metagan dataset render apes" in header.source
    assert path.stat().st_size <= 1_000_000
    drawn = [draw_picture("apes", 1, number, 64) for number in range(60)]  # it learnt from seed 0
    told = classifier.tell_values(torch.from_numpy(np.stack([picture for picture, _ in drawn])))
    for one in read_accuracies(training, path):
        right = [
            has[one.type] == values.get(one.type, "None")
            for (_, has), values in zip(drawn, told, strict=True)
        ]
        assert one.kept
        assert np.mean(right) > max(0.9, one.majority), one


def test_bundled_upscalers_are_small_licensed_and_nearer_to_an_unseen_original_than_lanczos():
    assert bundled_upscaler_names() == [
        "apes-x4",
        "bagels-x4",
        "clay-x4",
        "critters-x4",
        "cutouts-x4",
        "hummingbirds-x4",
        "planets-x4",
        "sprouts-x4",
        "voxel-art-x4",
    ]
    path = bundled_weights("apes-x4")
    header = read_checkpoint(path).header
    upscaler = load_upscaler(path)
    assert header.licence == "CC0-1.0"
    assert "metagan dataset render apes" in header.source
    assert path.stat().st_size <= 300_000
    assert sum(parameter.numel() for parameter in upscaler.parameters()) <= MOST_PARAMETERS
    original, _ = draw_picture("apes", 1, 0, 256)  # upscalers learn from seed 0
    small = np.asarray(Image.fromarray(original).resize((64, 64), Image.Resampling.LANCZOS))
    ours, lanczos = upscale_pictures(upscaler, [small])[0], enlarge(small, 4, "lanczos")
    assert psnr(ours, original) > psnr(lanczos, original) + 2
    assert ssim(ours, original) > ssim(lanczos, original)
