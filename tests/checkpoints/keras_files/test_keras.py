"""Keras' files: SavedModel folders, zips of one and .h5, read without Keras, and broken in many ways."""

import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, MalformedFileError, MetaganError, UnsafeFileError

GOLDEN = Path(__file__).parents[2] / "golden" / "keras_dcgan32.zip"
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "generator"


def test_a_folder_and_its_zip_hold_the_same_network(folder):
    packed, unpacked = read_checkpoint(GOLDEN).networks["G_ema"], read_checkpoint(folder).networks["G_ema"]
    assert packed.tensors.keys() == unpacked.tensors.keys()
    assert all(torch.equal(packed.tensors[name], unpacked.tensors[name]) for name in packed.tensors)
    assert packed.attributes == unpacked.attributes
    assert packed.tensors["layer_with_weights-0/kernel"].shape == (100, 256)
    assert len(packed.tensors) == 26  # neither the graph of objects nor the training's measures


def test_every_weight_of_every_format_is_tensorflows(shared_vectors):
    place = shared_vectors / "keras" / "keras_dcgan32"
    with np.load(place / "keras_dcgan32.npz") as arrays:
        for part, prefix in (("generator", "w/G/"), ("discriminator", "w/D/"), ("generator.h5", "w/G/")):
            (record,) = read_checkpoint(place / part).networks.values()
            wanted = sorted(arrays[key].tobytes() for key in arrays if key.startswith(prefix))
            assert sorted(tensor.numpy().tobytes() for tensor in record.tensors.values()) == wanted, part


def test_a_layer_whose_options_are_a_tuple_is_refused(folder):
    metadata = (folder / "keras_metadata.pb").read_bytes()
    start = metadata.index(b'"config": {', metadata.index(b'"layers": [')) + len(b'"config": ')
    options, length = json.JSONDecoder().raw_decode(metadata[start:].decode("utf-8", "replace"))
    tupled = b'{"class_name": "__tuple__", "items": [1]}'  # the fuzzer's
    assert len(tupled) <= length and isinstance(options, dict)
    changed = metadata[:start] + tupled.ljust(length) + metadata[start + length :]
    (folder / "keras_metadata.pb").write_bytes(changed)
    with pytest.raises(MalformedFileError, match="the model's list of layers is none"):
        read_checkpoint(folder)


@pytest.mark.parametrize("depth", [100, 700, 5_000])
def test_a_description_nested_without_end_is_refused(folder, depth):
    metadata = (folder / "keras_metadata.pb").read_bytes()
    at = metadata.index(b'"config": {', metadata.index(b'"layers": [')) + len(b'"config": {')
    inner = b'"deep": ' + b"[" * depth + b"]" * depth + b", "
    start = metadata.index(b'{"name"')
    _, length = json.JSONDecoder().raw_decode(metadata[start:].decode("utf-8", "replace"))
    text = metadata[start:at] + inner + metadata[at : start + length]
    node = b"\x1a\x04root\x2a" + varint(len(text)) + text
    (folder / "keras_metadata.pb").write_bytes(b"\x0a" + varint(len(node)) + node)
    with pytest.raises(MetaganError, match=r"want at most 64 levels in a model|maximum recursion depth"):
        read_checkpoint(folder)


def test_a_tensor_whose_name_is_no_name_is_refused_in_plain_characters(folder):
    index = (folder / INDEX).read_bytes()
    at = index.index(b"kernel/.ATTRIBUTES") + 2
    (folder / INDEX).write_bytes(index[:at] + b"\x08\x1b" + index[at + 2 :])  # the fuzzer's
    with pytest.raises(MalformedFileError, match="want a tensor's name, got ") as caught:
        read_checkpoint(folder)
    assert str(caught.value).replace("\n", "").isprintable()


def test_discriminators_are_told_from_generators(shared_vectors):
    assert list(read_checkpoint(shared_vectors / "keras" / "keras_dcgan32" / "discriminator").networks) == [
        "D"
    ]


def test_a_layer_of_code_is_refused_and_nothing_runs(shared_vectors):
    marker = Path("/tmp/PWNED-keras_lambda")
    marker.unlink(missing_ok=True)
    with pytest.raises(UnsafeFileError, match=r"a layer of the model is code \('Lambda'\)"):
        read_checkpoint(shared_vectors / "hostile" / "keras_lambda.h5")
    assert not marker.exists()


# Folders and zips that are none


def test_other_folders_are_refused_with_what_was_wanted(tmp_path):
    with pytest.raises(
        MalformedFileError, match=r"the folder of a Keras SavedModel with its saved_model\.pb"
    ):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("part", ["keras_metadata.pb", INDEX, DATA])
def test_a_folder_without_one_of_its_files_names_it(folder, part):
    (folder / part).unlink()
    with pytest.raises(CheckpointError, match=part.rpartition("/")[2]):
        read_checkpoint(folder)


def test_a_zip_of_several_models_asks_for_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/saved_model.pb", b"")
        archive.writestr("b/saved_model.pb", b"")
    with pytest.raises(MalformedFileError, match=r"a zip of 2 Keras models: 'a/', 'b/'"):
        read_checkpoint(tmp_path / "two.zip")


def test_a_zip_bomb_is_refused_before_it_unpacks(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("keras_metadata.pb", "saved_model.pb", INDEX):
            archive.write(folder / part, f"g/{part}")
        archive.writestr(f"g/{DATA}", bytes(50 << 20))
    with pytest.raises(UnsafeFileError, match="unpacks from"):
        read_checkpoint(tmp_path / "bomb.zip")


def test_a_packed_member_whose_content_is_wrong_is_refused(tmp_path):
    packed = bytearray(GOLDEN.read_bytes())
    packed[60_000] ^= 1
    (tmp_path / "g.zip").write_bytes(packed)
    with pytest.raises(MalformedFileError, match="is damaged"):
        read_checkpoint(tmp_path / "g.zip")


# Models that are none


def describe(folder: Path, model: object) -> None:
    """Give a SavedModel another description."""
    text = model if isinstance(model, bytes) else json.dumps(model).encode()
    node = b"\x1a\x04root" + b"\x2a" + varint(len(text)) + text
    (folder / "keras_metadata.pb").write_bytes(b"\x0a" + varint(len(node)) + node)


def varint(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([], "want a Sequential model of Keras, got None"),
        ({"class_name": "Functional"}, "want a Sequential model of Keras, got 'Functional'"),
        ({"class_name": "Sequential", "config": []}, "list of layers is none"),
        (
            {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}},
            "list of layers is none",
        ),
        (
            {"class_name": "Sequential", "config": {"layers": [{"class_name": "TFOpLambda", "config": {}}]}},
            "is code",
        ),
    ],
)
def test_descriptions_of_other_things_are_refused(folder, model, message):
    describe(folder, model)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def test_a_description_without_a_model_is_refused(folder):
    (folder / "keras_metadata.pb").write_bytes(b"\x12\x00")
    with pytest.raises(MalformedFileError, match="tells of no model"):
        read_checkpoint(folder)


def test_a_truncated_file_of_weights_is_refused(folder):
    content = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(content[:1000])
    with pytest.raises(MalformedFileError, match=r"wants \["):
        read_checkpoint(folder)
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:-1])
    with pytest.raises(MalformedFileError, match="no index of a tensor bundle"):
        read_checkpoint(folder)


# Damage at random: clean errors, or a network that somebody else refuses


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with some bytes changed, cut or doubled."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(len(changed))
        changed[at] = chance.choice((0, 0x7F, 0x80, 0xFF, changed[at] ^ (1 << chance.randrange(8))))
    if chance.random() < 0.1:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("part", [INDEX, "keras_metadata.pb"])
def test_damaged_folders_end_in_clean_errors(folder, part):
    whole, chance = (folder / part).read_bytes(), random.Random(0)
    for _ in range(120):
        (folder / part).write_bytes(damaged(whole, chance) or b"\0")
        read_or_refuse(folder)


def test_damaged_zips_end_in_clean_errors(tmp_path):
    whole, chance = GOLDEN.read_bytes(), random.Random(0)
    for _ in range(40):
        (tmp_path / "g.zip").write_bytes(damaged(whole, chance) or b"\0")
        read_or_refuse(tmp_path / "g.zip")


@pytest.mark.parametrize("name", ["keras/keras_dcgan32/generator.h5", "hostile/keras_lambda.h5"])
def test_damaged_hdf5_files_end_in_clean_errors(name, shared_vectors, tmp_path):
    whole, chance = (shared_vectors / name).read_bytes(), random.Random(0)
    for index in range(40):
        # Half of the damage where the structure is: Keras' groups come first.
        head = 6000 if index % 2 else len(whole)
        (tmp_path / "g.h5").write_bytes((damaged(whole[:head], chance) + whole[head:]) or b"\0")
        read_or_refuse(tmp_path / "g.h5")


def read_or_refuse(path: Path) -> None:
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)
