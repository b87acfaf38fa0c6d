"""metagan's own .safetensors: what is written is read again, bit by bit."""

import json
import struct
from pathlib import Path

import pytest
import torch

from metagan.checkpoints.model import Header, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.errors import CheckpointError, MalformedFileError
from metagan.fetch.weights_file import sha256_of
from metagan.networks.loading.assemble import require_finite

HEADER = Header(
    "stylegan2", {"z_dim": 4, "layers": [1, None, 2.5]}, "CC0-1.0", "https://a.example", {"kimg": 5}
)


def tensors() -> dict[str, torch.Tensor]:
    whole = torch.randn(4, 6)
    return {
        "b.weight": torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "a.half": torch.randn(3).half(),
        "a.row": whole[1],
        "a.column": whole[:, 1],
        "a.scalar": torch.tensor(1.5),
        "a.long": torch.arange(3),
        "a.brain": torch.randn(3, dtype=torch.bfloat16),
        "a.odd": torch.tensor([float("nan"), float("inf"), -0.0]),
        "a.empty": torch.empty(0, 2),
        "a.parameter": torch.nn.Parameter(torch.ones(2)),
    }


def test_what_is_written_is_read_bit_by_bit(tmp_path: Path):
    wanted = tensors()
    write_safetensors(tmp_path / "a.safetensors", wanted, HEADER)
    checkpoint = read_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.header == HEADER
    assert checkpoint.format == "metagan safetensors"
    found = checkpoint.networks["G_ema"].tensors
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert found[name].contiguous().view(-1).view(torch.uint8).equal(
            tensor.detach().contiguous().view(-1).view(torch.uint8)
        )  # fmt: skip


def test_the_same_content_gives_the_same_bytes(tmp_path: Path):
    wanted = tensors()
    backwards = dict(reversed(wanted.items()))
    swapped = Header(
        "stylegan2", {"layers": [1, None, 2.5], "z_dim": 4}, HEADER.licence, HEADER.source, HEADER.training
    )
    write_safetensors(tmp_path / "a", wanted, HEADER)
    write_safetensors(tmp_path / "b", backwards, swapped)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    write_safetensors(path, {"a": torch.ones(1)}, HEADER)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]
    assert read_checkpoint(path).networks["G_ema"].tensors["a"].item() == 1


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_safetensors(path, {"a": torch.ones(1)}, Header("stylegan2", {"a": float("nan")}))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_in_use_can_be_replaced(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": torch.ones(5_000)}, HEADER)
    before = read_checkpoint(path).networks["G_ema"].tensors["a"]
    write_safetensors(path, {"a": torch.zeros(5_000)}, HEADER)
    assert before.sum() == 5_000


def by_hand(directory: object, content: bytes = b"") -> bytes:
    text = directory if isinstance(directory, bytes) else json.dumps(directory).encode()
    return struct.pack("<Q", len(text)) + text + content


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
GOOD = {
    "version": 1, "architecture": "a", "configuration": {}, "licence": "", "source": "", "training": {},
}  # fmt: skip
NESTED = json.loads("[" * 20 + "]" * 20)


def with_header(text: str) -> bytes:
    return by_hand({"__metadata__": {"metagan": text}, "a": ENTRY}, bytes(4))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (by_hand({"a": ENTRY}), "damaged safetensors"),
        (by_hand({"a": ENTRY}, bytes(8)), "damaged safetensors"),
        (by_hand({"a": ENTRY | {"shape": [1 << 40]}}, bytes(4)), "damaged safetensors"),
        (by_hand({"a": ENTRY | {"data_offsets": [0, 1 << 60]}}, bytes(4)), "damaged safetensors"),
        (by_hand({"a": ENTRY, "b": ENTRY}, bytes(4)), "damaged safetensors"),
        (by_hand(b'{"a": '), "damaged safetensors"),
        (by_hand(b"{" + b" " * (17 << 20)), "want at most 16,777,216 bytes in a directory"),
        (by_hand({}), "without a single tensor"),
        (
            by_hand({"../a": ENTRY, "\x1b": ENTRY | {"data_offsets": [4, 8]}}, bytes(8)),
            "want a tensor's name",
        ),
        (with_header("no json"), "no JSON"),
        (with_header("[" * 100_000), "no JSON"),
        (with_header("1" * 10_000), "no JSON"),
        (with_header("[]"), "a JSON object of version 1"),
        (with_header(json.dumps(GOOD | {"version": 2})), "a JSON object of version 1"),
        (with_header(json.dumps(GOOD | {"licence": 1})), "licence is no str"),
        (with_header(json.dumps(GOOD | {"odd": 1, "licence": 1})), "licence is no str; unknown key 'odd'"),
        (with_header(json.dumps(GOOD | {"training": {"a": float("nan")}})), "no JSON"),
        (with_header(json.dumps(GOOD)[:-1] + ', "source": "\\ud800"}'), "no JSON"),
        (with_header(json.dumps(GOOD | {"training": {"a": NESTED}})), "want at most \\d+ levels, got \\d+"),
        (with_header(json.dumps(GOOD | {"source": "x" * (8 << 20)})), "want at most"),
    ],
)
def test_a_damaged_file_is_explained(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(MalformedFileError, match=words):
        read_checkpoint(path)


def test_a_header_can_not_write_to_the_terminal(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(with_header(json.dumps(GOOD | {"licence": "\x1b[2J"})))
    header = read_checkpoint(path).header
    assert header is not None
    assert header.licence == "\\x1b[2J"


def test_an_error_of_the_library_can_not_write_to_the_terminal(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(by_hand({"\x1b[2J": ENTRY | {"data_offsets": [2, 1]}}, bytes(4)))
    with pytest.raises(MalformedFileError) as caught:
        read_checkpoint(path)
    assert "\x1b" not in str(caught.value)


def test_a_safetensors_file_of_another_program_has_no_header(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(by_hand({"a": ENTRY}, bytes(4)))
    checkpoint = read_checkpoint(path)
    assert checkpoint.header is None
    assert checkpoint.format == "safetensors without metagan's header"


def test_weights_that_are_no_numbers_are_named():
    record = NetworkRecord(
        "G", {"a": torch.ones(2), "b": torch.tensor([1, float("nan")]), "c": torch.tensor(-torch.inf)}
    )
    with pytest.raises(MalformedFileError, match=r"x\.pkl: NaN or infinity in 'b', 'c'"):
        require_finite(record, Path("x.pkl"))
    require_finite(NetworkRecord("G", {"a": torch.ones(2), "n": torch.arange(3)}), Path("x.pkl"))


def test_the_hash_is_that_of_the_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="can't be written"):
        write_safetensors(tmp_path / "file" / "a.safetensors", {"a": torch.ones(1)}, HEADER)


def test_a_name_that_could_not_be_read_again_is_not_written(tmp_path: Path):
    with pytest.raises(MalformedFileError, match="want a tensor's name"):
        write_safetensors(tmp_path / "a.safetensors", {"a b": torch.ones(1)}, HEADER)
    assert not list(tmp_path.iterdir())


def test_a_file_to_hash_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match="No such file"):
        sha256_of(tmp_path / "none")


def test_a_written_file_can_be_read_by_others(tmp_path):
    path = tmp_path / "shared.safetensors"
    write_safetensors(path, {"x": torch.zeros(1)}, Header("stylegan2", {}))
    assert path.stat().st_mode & 0o777 == 0o644
