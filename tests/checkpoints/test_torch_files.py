"""torch's containers and the tensors in them: made by torch, and by hand where torch wouldn't."""

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, MetaganError, UnsafeFileError
from tests.checkpoints.assembler import (
    REBUILD_TENSOR,
    call,
    dict_of,
    floats,
    legacy_storage,
    list_of,
    module_state,
    network,
    number,
    persistent,
    pickle_of,
    tensor,
    text,
    tuple_of,
)

DTYPES = (
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def read(tmp_path: Path, content: bytes) -> Checkpoint:
    path = tmp_path / "file"
    path.write_bytes(content)
    return read_checkpoint(path)


def saved(content: object, *, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def states() -> dict[str, torch.Tensor]:
    whole = torch.randn(7, 5)
    return OrderedDict(
        {f"all.{str(dtype).removeprefix('torch.')}": (torch.rand(3, 5) * 9).to(dtype) for dtype in DTYPES}
        | {
            "row": whole[2],
            "column": whole[:, 3],
            "transposed": whole.T,
            "channels_last": torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last),
            "scalar": torch.tensor(2.5),
            "empty": torch.empty(0, 3),
        }
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_gives_its_tensors_bit_by_bit(tmp_path: Path, legacy: bool):
    wanted = states()
    found = read(tmp_path, saved(wanted, legacy=legacy)).networks["G_ema"].tensors
    assert list(found) == list(wanted)
    for name, tensor_ in wanted.items():
        assert found[name].dtype == tensor_.dtype
        assert found[name].shape == tensor_.shape
        assert torch.equal(found[name], tensor_)
        if tensor_.numel():
            assert found[name].stride() == tensor_.stride()


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_that_share_a_storage_still_share_it(tmp_path: Path, legacy: bool):
    whole = torch.randn(6)
    found = read(tmp_path, saved({"a": whole, "b": whole[2:]}, legacy=legacy)).networks["G_ema"].tensors
    assert found["b"].data_ptr() == found["a"].data_ptr() + 8


def test_a_state_dict_of_a_module_with_metadata_is_read(tmp_path: Path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    found = read(tmp_path, saved(module.state_dict())).networks["G_ema"].tensors
    assert found.keys() == module.state_dict().keys()


def test_a_state_dict_one_level_down_is_found(tmp_path: Path):
    found = read(tmp_path, saved({"state_dict": {"a": torch.ones(2)}, "epoch": 3}))
    assert found.format == "bare state dict (torch)"
    assert found.networks["G_ema"].tensors.keys() == {"a"}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_pickled_module_is_refused_with_the_way_out(tmp_path: Path, legacy: bool):
    with pytest.raises(UnsafeFileError, match=r"state_dict\(\)|no tensor data"):
        read(tmp_path, saved(torch.nn.Linear(2, 3), legacy=legacy))


def test_numbers_of_an_unaligned_storage_are_right(tmp_path: Path):
    for shift in range(8):
        storage = legacy_storage(floats(1.5, -2.5), 2)
        content = network(tensor(storage, 0, (2,), (1,)), (text("a" * (1 + shift)), number(1)))
        content = content.replace(text("# stub"), text("#" * (1 + shift)))
        assert read(tmp_path, content).networks["G_ema"].tensors["weight"].tolist() == [1.5, -2.5]


def test_a_bool_that_is_neither_0_nor_1_becomes_true(tmp_path: Path):
    content = network(tensor(legacy_storage(b"\x00\x07\x01", 3, kind="BoolStorage"), 0, (3,), (1,)))
    found = read(tmp_path, content).networks["G_ema"].tensors["weight"]
    assert found.view(torch.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a.b", "a b", "", "a\n", "n" * 129])
def test_a_parameter_whose_name_is_no_name_is_refused(tmp_path: Path, name: str):
    state = module_state(dict_of((text(name), tensor(THREE, 0, (1,), (1,)))))
    with pytest.raises(MalformedFileError, match="want a name of letters, digits and _"):
        read(tmp_path, pickle_of(dict_of((text("G_ema"), persistent(state)))))


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a..b", "a b", "", "a\n", ".a", "a." * 40])
def test_a_state_dict_with_a_name_that_is_no_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(MalformedFileError, match="want a tensor's name"):
        read(tmp_path, saved({name: torch.ones(1)}))


THREE = legacy_storage(floats(1, 2, 3), 3)


@pytest.mark.parametrize(
    ("offset", "size", "stride", "words"),
    [
        (0, (4,), (1,), "reads 4 of 3 stored numbers"),
        (2, (2,), (1,), "reads 4 of 3 stored numbers"),
        (0, (2, 2), (2, 1), "reads 4 of 3 stored numbers"),
        (0, (1 << 40,), (0,), "repeats 1 stored numbers"),
        (0, (2, 2), (1, 1), "repeats 3 stored numbers to 4"),
        (1 << 40, (1,), (1,), "reads"),
        (0, (1 << 50,), (1,), "not plain counts"),
        (0, (1 << 30, 1 << 30), (1, 1), "not plain counts"),
        (0, (1,) * 9, (1,) * 9, "not plain counts"),
        (0, (1, 2), (1,), "not plain counts"),
        (0, (-1,), (1,), "not plain counts"),
        (0, (2,), (-1,), "not plain counts"),
        (-1, (1,), (1,), "not plain counts"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...], words: str
):
    with pytest.raises(UnsafeFileError, match=words):
        read(tmp_path, network(tensor(THREE, offset, size, stride)))


def test_a_dimension_of_one_may_have_any_stride(tmp_path: Path):
    found = (
        read(tmp_path, network(tensor(THREE, 0, (1, 3), (1 << 40, 1)))).networks["G_ema"].tensors["weight"]
    )
    assert found.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        (legacy_storage(floats(1), 1)[:-1], "truncated"),
        (legacy_storage(floats(1), 1) + b"x", "1 bytes follow the last storage"),
        (legacy_storage(floats(1), 1 << 40), "truncated"),
        (legacy_storage(floats(1), 1)[:-12] + struct.pack("<q", 2) + floats(1), "has 2 numbers, want 1"),
        (
            legacy_storage(floats(1), 1, facts=dict_of((text("little_endian"), pickle.NEWFALSE))),
            "little-endian",
        ),
        (legacy_storage(floats(1), 1).replace(list_of(text("0")), list_of(text("1"))), "not those"),
        (legacy_storage(floats(1), 1).replace(text("cpu"), number(1)), "want tensor data by number"),
        (
            legacy_storage(floats(1), 1).replace(text("0") + text("cpu"), text("../0") + text("cpu")),
            "by number",
        ),
        (legacy_storage(floats(1), 1).replace(b"ctorch\nFloatStorage\n", b"ctorch\nload\n"), "torch.load"),
        (legacy_storage(floats(1), 1).replace(text("storage"), text("module!")), "no tensor data"),
        (saved({"a": torch.ones(1)}), "no torch file of the old layout"),
        (pickle_of(number(1)), "no torch file of the old layout"),
    ],
)
def test_a_damaged_nested_storage_is_refused(tmp_path: Path, storage: bytes, words: str):
    with pytest.raises(MetaganError, match=words):
        read(tmp_path, network(tensor(storage, 0, (1,), (1,))))


def rezipped(content: bytes, change: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The zip again, with members replaced, added, or (None) left out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", compression) as new:
        members = {name: old.read(name) for name in old.namelist()} | change
        for name, member in members.items():
            if member is not None:
                new.writestr(name, member)
    return stream.getvalue()


ZIP = saved({"a": torch.ones(4)})


def test_a_zip_written_by_another_program_is_read(tmp_path: Path):
    found = read(tmp_path, rezipped(ZIP, {})).networks["G_ema"].tensors["a"]
    assert found.tolist() == [1, 1, 1, 1]


def test_members_that_torch_does_not_know_are_left_alone(tmp_path: Path):
    read(tmp_path, rezipped(ZIP, {"../../evil": b"x", "/tmp/evil": b"x", "archive/evil.py": b"x"}))
    assert not (tmp_path.parent.parent / "evil").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (rezipped(ZIP, {}, zipfile.ZIP_DEFLATED), "is packed"),
        (rezipped(ZIP, {"archive/data/0": None}), "no member 'archive/data/0'"),
        (rezipped(ZIP, {"archive/data/0": bytes(12)}), "wants 16 bytes, its member has 12"),
        (rezipped(ZIP, {"archive/byteorder": b"big"}), "little-endian"),
        (rezipped(ZIP, {"other/data.pkl": b"x"}), "holds weights files"),
        (rezipped(ZIP, {"archive/data.pkl": pickle_of(pickle.NONE) + b"x"}), "bytes follow the end"),
        (rezipped(ZIP, {"archive/data.pkl": pickle_of(b"cos\nsystem\n")}), "asks to run 'os.system'"),
        (ZIP[:-1], "without its directory|doesn't end"),
        (ZIP + b"x", "doesn't end where the file ends"),
        (ZIP[:-40], "without its directory"),
        (b"PK\x03\x04", "without its directory"),
    ],
)
def test_a_damaged_or_odd_zip_is_refused(tmp_path: Path, content: bytes, words: str):
    with pytest.raises(MetaganError, match=words):
        read(tmp_path, content)


def test_every_flipped_byte_of_a_zips_numbers_is_noticed(tmp_path: Path):
    start = ZIP.index(floats(1, 1, 1, 1))
    for offset in range(start, start + 16):
        damaged = bytearray(ZIP)
        damaged[offset] ^= 0x10
        with pytest.raises(MalformedFileError, match="its CRC-32 is wrong"):
            dict(read(tmp_path, bytes(damaged)).networks["G_ema"].tensors)


def test_two_members_of_one_name_are_refused(tmp_path: Path):
    stream = io.BytesIO(rezipped(ZIP, {}))
    with zipfile.ZipFile(stream, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(MalformedFileError, match="two members"):
        read(tmp_path, stream.getvalue())


def local_header(name: bytes, content: bytes, extra: bytes = b"") -> bytes:
    numbers = (20, 0, 0, 0, 0, zlib.crc32(content), len(content), len(content), len(name), len(extra))
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", *numbers) + name + extra


def directory_entry(name: bytes, content: bytes, at: int) -> bytes:
    numbers = (
        20,
        20,
        0,
        0,
        0,
        0,
        zlib.crc32(content),
        len(content),
        len(content),
        len(name),
        0,
        0,
        0,
        0,
        0,
        at,
    )
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *numbers) + name


def overlapping_zip(members: int) -> bytes:
    """Storages that hold all the storages after them: to check every CRC would take quadratic time."""
    content, headers, views = bytes(4096), [], []
    for key in range(members):
        name = f"archive/data/{key}".encode()
        header = local_header(name, content, bytes(-(30 + len(name)) % 4))
        headers.append((name, content, len(header) + len(content)))
        numel = len(content) // 4
        identifier = tuple_of(
            text("storage"), b"ctorch\nFloatStorage\n", text(str(key)), text("cpu"), number(numel)
        )
        one = tuple_of(number(1))
        view = call(REBUILD_TENSOR, identifier + pickle.BINPERSID, number(0), one, one)
        views.append((text(f"w{key}"), view))
        content = header + content
    name, body = b"archive/data.pkl", pickle_of(dict_of(*views), protocol=2)
    archive = content + local_header(name, body) + body
    directory = b"".join(directory_entry(key, held, len(content) - size) for key, held, size in headers)
    directory += directory_entry(name, body, len(content))
    count = members + 1
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(archive), 0)
    return archive + directory + end


def test_members_that_share_their_bytes_are_refused(tmp_path: Path):
    with pytest.raises(UnsafeFileError, match="share their bytes"):
        read(tmp_path, overlapping_zip(60))
