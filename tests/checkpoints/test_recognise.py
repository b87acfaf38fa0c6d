"""Files that are no weights: each is told by its content, whatever its name."""

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from tests.checkpoints.builder import Network, module_tree, pickled


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return stream.getvalue()


def numpy_saved() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b"<html><head><title>Google Drive - Quota exceeded</title>", "a web page"),
        (b'{"error": "not found"}', "a JSON text"),
        (b"\x89PNG\r\n\x1a\n....", "a PNG picture"),
        (b"\xff\xd8\xff\xe0....", "a JPEG picture"),
        (b"\x1f\x8b\x08....", "gzip"),
        (b"Rar!\x1a\x07", "RAR"),
        (tarred(), "a tar archive"),
        (numpy_saved(), r"a NumPy array \(\.npy\)"),
        (zipped(w_dot_npy=b"x"), r"a NumPy archive \(\.npz\)"),
        (zipped(a__net_dot_pkl=b"x", readme=b"x"), "holds weights files"),
        (zipped(readme=b"x"), "a zip archive, and no torch file"),
        (b"hello world", "no weights file that metagan knows"),
        (b"\x01", "no weights file that metagan knows"),
    ],
)
def test_a_stranger_is_called_by_its_name(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "net.pkl"
    path.write_bytes(content)
    with pytest.raises(MalformedFileError, match=words) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "fix: " in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(MalformedFileError, match="this folder has none"):
        read_checkpoint(tmp_path)


def test_a_keras_folder_without_its_files_names_them(tmp_path: Path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(
        MalformedFileError, match=r"a SavedModel's folder without keras_metadata\.pb, variables/"
    ):
        read_checkpoint(tmp_path)


def test_an_impossible_path_is_refused():
    with pytest.raises(CheckpointError, match="null"):
        read_checkpoint(Path("a\0b"))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"none\.pkl: No such file"):
        read_checkpoint(tmp_path / "none.pkl")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "got a dict of nothing"),
        ({"a": 1, "b": 2}, "got a dict of 'a', 'b'"),
        ([1], "got a list"),
        ({"G_ema": {"w": 1}}, "got a dict of 'G_ema'"),
    ],
)
def test_a_pickle_without_networks_says_what_it_has(tmp_path: Path, content: object, words: str):
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled(content))
    with pytest.raises(UnknownArchitectureError, match=words):
        read_checkpoint(path)


def tensorflow_network(version: int, *variables: tuple[str, object]) -> Network:
    network = Network()
    network.version, network.name, network.static_kwargs = version, "G", {"resolution": 8}
    network.components, network.build_module_src, network.build_func_name = {}, "# stub", "G_main"
    network.variables = list(variables)
    return network


def test_a_tensorflow_pickle_gives_its_variables(tmp_path: Path):
    network = tensorflow_network(
        4,
        ("dlatent_avg", np.arange(3, dtype=np.float32)),
        ("fortran", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))),
        ("lod", np.float32(0.5)),
    )
    network.components = {"mapping": tensorflow_network(4, ("Dense0/weight", np.ones((2, 2), np.float32)))}
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled((network, network, network)))
    record = read_checkpoint(path).networks["G_ema"]
    assert record.tensors["dlatent_avg"].tolist() == [0, 1, 2]
    assert record.tensors["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert record.tensors["mapping/Dense0/weight"].shape == (2, 2)
    assert record.tensors["lod"].item() == 0.5
    assert record.attributes["static_kwargs"] == {"resolution": 8}
    assert record.attributes["mapping.build_func_name"] == "G_main"


def test_a_tensorflow_networks_name_that_is_no_text_is_left_out(tmp_path: Path):
    network = tensorflow_network(4, ("dlatent_avg", np.zeros(3, np.float32)))
    network.build_func_name = np.zeros(2)
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled((network, network, network)))
    assert read_checkpoint(path).networks["G_ema"].class_name.endswith("Network")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (tensorflow_network(3, ("a", np.zeros(1, np.float32))), "StyleGAN1 or ProGAN"),
        (tensorflow_network(4, ("ToRGB_lod0/weight", np.zeros(1, np.float32))), "progressive layout"),
    ],
)
def test_older_tensorflow_networks_are_called_by_their_name(tmp_path: Path, network: Network, words: str):
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled((network, network, network)))
    with pytest.raises(UnknownArchitectureError, match=words):
        read_checkpoint(path)


@pytest.mark.parametrize("side_car", ['{"image_size": 8}', "[" * 70_000, "no json", None])
def test_lucidrains_options_are_read_from_beside(tmp_path: Path, side_car: str | None):
    path = tmp_path / "model_0.pt"
    torch.save({"GAN": {"SE.a": torch.ones(1), "GE.b": torch.ones(1)}, "version": "1.8"}, path)
    if side_car is not None:
        (tmp_path / ".config.json").write_text(side_car)
    if side_car in (None, '{"image_size": 8}'):
        facts = read_checkpoint(path).facts
        assert facts == {"version": "1.8"} | ({"config": json.loads(side_car)} if side_car else {})
    else:
        with pytest.raises(CheckpointError, match=r"\.config\.json: want lucidrains' options"):
            read_checkpoint(path)


def test_facts_are_json(tmp_path: Path):
    path = tmp_path / "net.pkl"
    facts = {
        "cur_nimg": np.int64(5),
        "tuple": (1, 2),
        "array": np.eye(2),
        "numbers": [float("nan"), np.array([np.inf]), np.zeros((0, 3)), np.zeros(9_999)],
        "bytes": b"abc",
        "pl_mean": torch.ones(2),
        "set": {"b", "a"},
        3: None,
    }
    path.write_bytes(pickled({"G_ema": module_tree({"a": torch.ones(1)}), **facts}))
    found = read_checkpoint(path).facts
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "cur_nimg": 5, "tuple": [1, 2], "array": [[1, 0], [0, 1]],
        "numbers": ["nan", ["inf"], [], "array of float64, [9999]"], "bytes": "3 bytes", "pl_mean": [1, 1],
        "set": ["a", "b"], "3": None,
    }  # fmt: skip


def test_facts_and_attributes_tell_what_objects_are(tmp_path: Path):
    path = tmp_path / "net.pkl"
    layer = module_tree({"b": torch.ones(1)}, class_name="Layer")
    network = module_tree({"a": torch.ones(1)}, {"spare": [layer, torch.ones(1)]})
    path.write_bytes(pickled({"G_ema": network, "extra": layer}))
    checkpoint = read_checkpoint(path)
    assert checkpoint.networks["G_ema"].attributes["spare"] == ["an object of the class 'Layer'", "a tensor"]
    assert checkpoint.facts["extra"] == "an object of the class 'Layer'"


def test_facts_can_not_write_to_the_terminal(tmp_path: Path):
    path = tmp_path / "net.pkl"
    facts = {"\x1b[2J": ["\x1b[0m\u202e", "bärig\n"]}
    path.write_bytes(pickled({"G_ema": module_tree({"a": torch.ones(1)}), **facts}))
    assert read_checkpoint(path).facts == {"\\x1b[2J": ["\\x1b[0m\\u202e", "bärig\n"]}


def test_the_name_of_a_file_does_not_matter(tmp_path: Path):
    path = tmp_path / "picture.png"
    path.write_bytes(pickle.dumps(1))
    with pytest.raises(UnknownArchitectureError, match="got 1"):
        read_checkpoint(path)
