"""Weights that are a folder: a Keras SavedModel, wherever a weights file may stand."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from metagan.cli.convert import command as convert
from metagan.cli.inspect import command as inspect
from metagan.cli.sample import command as sample
from metagan.errors import HashMismatchError
from metagan.fetch.locate import locate_weights
from metagan.registry.weights_ref import parse_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "keras_dcgan32.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "generator"


def test_inspect_names_the_folders_size_and_hash(folder):
    result = CliRunner().invoke(inspect, [str(folder), "--json"], catch_exceptions=False)
    summary = json.loads(result.stdout)
    assert summary["architecture"] == "DCGAN"
    assert summary["resolution"] == 32
    assert summary["size_bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    command = "sha256sum keras_metadata.pb saved_model.pb variables/*"
    listed = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=True).stdout
    assert summary["sha256"] == hashlib.sha256(listed).hexdigest()


def test_sample_and_convert_take_a_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["generator", "--seeds", "0,1", "--out", "pictures", "--device", "cpu"]
    CliRunner().invoke(sample, arguments, catch_exceptions=False)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["seed0000.png", "seed0001.png"]
    CliRunner().invoke(convert, ["generator", "own.safetensors"], catch_exceptions=False)
    arguments[0] = "own.safetensors"
    arguments[4] = "again"
    CliRunner().invoke(sample, arguments, catch_exceptions=False)
    first, again = (tmp_path / name / "seed0001.png" for name in ("pictures", "again"))
    assert len(first.read_bytes()) > 500
    assert again.is_file()


def test_the_registry_takes_a_folder_and_checks_its_hash(folder, tmp_path):
    ref = parse_weights("generator", tmp_path)
    assert locate_weights(ref) == folder
    with pytest.raises(HashMismatchError, match="want the file with SHA-256 0000"):
        locate_weights(parse_weights("generator", tmp_path, "0" * 64))
