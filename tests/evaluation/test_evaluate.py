"""Generators measured beside other real pictures, by function and by command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from metagan.cli.evaluate import command
from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.evaluation.evaluate import evaluate
from metagan.evaluation.quality import halves, quality_and_floor
from metagan.sampling.sampler import Sampler, Settings
from metagan.training.networks import new_networks
from metagan.training.recipe import PRESETS, discriminator_config, generator_config
from metagan.training.snapshot import write_generator
from metagan.values import Size
from tests.training.toy import disc, write_folder

TINY = PRESETS["tiny"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "discs", count=48)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    shape = generator_config(TINY, 16, 0)
    networks = new_networks(shape, discriminator_config(shape), 0)
    path = tmp_path / "new.safetensors"
    write_generator(path, networks.average, {}, licence="CC0-1.0", source="", half=False)
    return path


def run(*words: object):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)


def test_halves_are_disjoint_and_spread_over_the_collection():
    real, others = halves(lambda index: np.full((3, 2, 2), index, np.uint8), 100, 10)
    numbers = [set(half[:, 0, 0, 0].tolist()) for half in (real, others)]
    assert not numbers[0] & numbers[1]
    assert min(*numbers[0]) == 0
    assert max(*numbers[1]) == 99


def test_a_collection_too_small_for_two_halves_has_no_floor():
    _, floor = quality_and_floor(lambda index: disc(index, 32), 20, 16)
    assert floor == {}


def test_a_subject_is_measured_in_its_own_class(data, tmp_path):
    golden = Path(__file__).parents[1] / "golden" / "sg2ada_cuda16.pkl"
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "site: {title: Blobs, base_url: https://example.org/}\nsubjects: {blob: {title: Blob, weights: "
        f"{golden}, licence: CC0-1.0, source: x, class: 1}}}}\n"
    )
    shared = (data, "--count", 16, "--json", "--device", "cpu")
    own = run("blob", *shared, "--registry", registry)
    assert own.exit_code == 0, own.exception
    assert own.output == run(golden, *shared, "--class", 1).output
    assert own.output != run(golden, *shared, "--class", 0).output


def test_an_untrained_generator_stands_far_above_the_floor(data, weights):
    result = run(weights, data, "--count", 24, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.exception
    measured = json.loads(result.output)
    assert measured["count"] == 24
    assert measured["made"]["distance"] > 3 * measured["floor"]["distance"]
    assert measured["made"].keys() == measured["floor"].keys()


def test_the_table_shows_every_measure_beside_its_floor(data, weights):
    result = run(weights, data, "--count", 24, "--device", "cpu")
    head, *rows = result.output.splitlines()
    assert head.split() == ["made", "floor"]
    assert {"distance", "precision", "recall", "density", "coverage"} <= {row.split()[0] for row in rows}
    assert all(len(row.split()) == 3 for row in rows)


def test_the_real_pictures_themselves_are_at_the_floor(data):
    class Reals:
        size, image_channels, z_dim, c_dim = Size.square(16), 3, 4, 0

        def to(self, _device):
            return self

    sampler = Sampler.__new__(Sampler)
    sampler.generator, sampler.device = Reals(), torch.device("cpu")
    sampler.upscaler = None
    pictures = PictureSource(data)
    real, _ = halves(pictures.pixels, len(pictures), 24)
    sampler.pictures = lambda seeds, _settings: ((seed, real[seed].transpose(1, 2, 0)) for seed in seeds)
    result = evaluate(sampler, pictures, Settings(), 24)
    assert result.made["distance"] == 0
    assert result.made["recall"] == result.made["precision"] == 1


def test_pictures_of_another_size_are_refused(weights, tmp_path):
    other = write_folder(tmp_path / "large", count=40, resolution=32)
    result = run(weights, other, "--count", 16, "--device", "cpu")
    assert isinstance(result.exception, OptionError)
    assert "metagan dataset pack --resolution 16" in str(result.exception)


def test_more_pictures_than_there_are_is_refused(data, weights):
    result = run(weights, data, "--count", 49, "--device", "cpu")
    assert isinstance(result.exception, OptionError)
    assert "has 48 pictures" in str(result.exception)
