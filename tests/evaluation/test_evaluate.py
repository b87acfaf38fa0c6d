"""Generators measured beside other real pictures, by function and by command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.cli.evaluate import command
from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.evaluation.evaluate import Reference, evaluate
from metagan.evaluation.quality import LEAST_PICTURES, halves
from metagan.networks.loading.detect import load_generator
from metagan.sampling.sampler import Sampler, Settings
from metagan.training.networks import new_networks
from metagan.training.recipe import PRESETS, discriminator_config, generator_config
from metagan.training.snapshot import draw, spread_labels, write_generator
from metagan.values import LabelSpace, Size
from tests.training.toy import write_folder

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
    result = run(weights, data, "--count", 24, "--class", 1, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.exception
    assert "--class 1 is ignored: the generator has no classes" in result.stderr
    measured = json.loads(result.stdout)
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
    sampler.pictures = lambda seeds, _settings, _labels: (
        (seed, real[seed].transpose(1, 2, 0)) for seed in seeds
    )
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


CPU = torch.device("cpu")


def refer(arrays: list[np.ndarray], count: int = 1000) -> tuple[Reference, dict[str, float]]:
    reference = Reference(lambda index: arrays[index], len(arrays), count, CPU)
    return reference, reference.measure(np.stack([noise(1000 + n) for n in range(reference.count)]))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 32, 32), dtype=np.uint8)


def flat(level: int) -> np.ndarray:
    return np.full((3, 32, 32), level, np.uint8)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ([noise(0)], "and there is 1"),
        ([noise(0), noise(1), noise(2)], "and there are 3"),
        ([noise(0)] * 8, "all 8 real pictures are the same"),
        ([flat(0)] * 40, "all 40 real pictures are the same"),
        ([noise(0)] * 8 + [noise(1)], "2 of the 9 real pictures differ"),
    ],
)
def test_few_pictures_or_all_the_same_have_a_distance_alone_and_it_says_why(arrays, why):
    reference, made = refer(arrays)
    assert set(made) == {"distance", "swd_32", "swd_16"}
    assert 0 < made["distance"] < 1e6
    assert reference.count == len(arrays)
    assert why in reference.notes[0]
    assert "no floor" in reference.notes[1]


def test_pictures_of_one_colour_each_have_every_measure():
    reference, made = refer([flat(level) for level in range(0, 240, 6)])
    assert {"precision", "recall", "density", "coverage"} <= made.keys()
    assert 0 < made["distance"] < 1e6
    assert reference.notes == [
        "no floor: it takes 80 real pictures, two sets of 40, and there are 40; a count of 20 leaves enough"
    ]


def test_the_fewest_pictures_with_every_measure_are_as_many_as_it_says():
    for count, known in ((LEAST_PICTURES - 1, False), (LEAST_PICTURES, True)):
        reference, made = refer([noise(seed) for seed in range(2 * LEAST_PICTURES)], count)
        assert ("coverage" in made, "coverage" in reference.floor) == (known, known)
        assert bool(reference.notes) is not known


def test_eight_pictures_are_measured_as_they_are(weights, tmp_path):
    few = write_folder(tmp_path / "few", count=8)
    for words in ((), ("--count", 8)):
        result = run(weights, few, *words, "--device", "cpu")
        assert result.exit_code == 0, result.exception
        assert "coverage" in result.stdout
        assert "no floor: it takes 16 real pictures, two sets of 8, and there are 8" in result.stderr
    measured = json.loads(run(weights, few, "--json", "--device", "cpu").stdout)
    assert (measured["count"], measured["floor"], len(measured["notes"])) == (8, {}, 1)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Forty-eight pictures, of which every third is of class 1."""
    folder = write_folder(tmp_path / "classes", count=48)
    labels = [[f"{index:04d}.png", int(index % 3 == 0)] for index in range(48)]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


@pytest.fixture
def conditional(tmp_path: Path) -> Path:
    shape = generator_config(TINY, 16, 2)
    networks = new_networks(shape, discriminator_config(shape), 0)
    write_generator(tmp_path / "c.safetensors", networks.average, {}, licence="", source="", half=False)
    return tmp_path / "c.safetensors"


def test_a_class_is_compared_with_its_own_pictures(classes, conditional, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for index in range(0, 48, 3):
        (alone / f"{index:04d}.png").write_bytes((classes / f"{index:04d}.png").read_bytes())
    shared = ("--class", 1, "--json", "--device", "cpu")
    whole, part = (json.loads(run(conditional, data, *shared).stdout) for data in (classes, alone))
    assert whole["count"] == 16
    assert whole["made"] == part["made"]
    assert part["notes"][0] == "the dataset has no labels: class 1 is compared with all its pictures"
    result = run(conditional, classes, "--class", 1, "--count", 17, "--device", "cpu")
    assert "has 16 pictures of class 1" in str(result.exception)


def test_without_a_class_the_datasets_shares_are_drawn_as_training_does(classes, conditional):
    pictures = PictureSource(classes)
    generator = load_generator(read_checkpoint(conditional))
    for count in (8, 24):
        trained = Reference(pictures.pixels, 48, count, CPU).measure(
            draw(generator, range(count), spread_labels(pictures, count), CPU)
        )
        measured = json.loads(
            run(conditional, classes, "--count", count, "--json", "--device", "cpu").stdout
        )["made"]
        assert measured == pytest.approx(trained, rel=0.01)


def test_classes_of_other_names_are_refused(classes, tmp_path):
    shape = generator_config(TINY, 16, 2)
    generator = new_networks(shape, discriminator_config(shape), 0).average
    generator.label_space = LabelSpace(("red", "blue"))
    write_generator(tmp_path / "c.safetensors", generator, {}, licence="", source="", half=False)
    listed = json.loads((classes / "dataset.json").read_text())
    (classes / "dataset.json").write_text(json.dumps(listed | {"label_names": ["blue", "red"]}))
    for words in ((), ("--class", "red")):
        result = run(tmp_path / "c.safetensors", classes, "--count", 8, *words, "--device", "cpu")
        assert "class 0 of these pictures is blue, the generator's is red" in str(result.exception)
    (classes / "dataset.json").write_text(json.dumps(listed | {"label_names": ["red", "blue"]}))
    assert run(tmp_path / "c.safetensors", classes, "--count", 8, "--device", "cpu").exit_code == 0


def test_classes_that_a_dataset_does_not_have_are_refused(data, classes, conditional, tmp_path):
    result = run(conditional, data, "--device", "cpu")
    assert "the dataset has no labels, the generator 2" in str(result.exception)
    (classes / "dataset.json").write_text(json.dumps({"labels": [[f"{n:04d}.png", 1] for n in range(48)]}))
    result = run(conditional, classes, "--class", 0, "--device", "cpu")
    assert "its 48 pictures are not of class 0" in str(result.exception)
