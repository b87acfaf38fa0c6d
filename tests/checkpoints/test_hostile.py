"""Hostile files: the shared corpus and bombs made here, read in a child process under limits."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints.assembler import (
    LOAD_FROM_BYTES,
    NUMPY_DTYPE,
    NUMPY_NDARRAY,
    NUMPY_RECONSTRUCT,
    ORDERED_DICT,
    PERSISTENT,
    REBUILD_TENSOR,
    call,
    dict_of,
    floats,
    get,
    legacy_storage,
    list_of,
    module_state,
    network,
    number,
    persistent,
    pickle_of,
    put,
    raw,
    tensor,
    text,
    tuple_of,
)
from tests.checkpoints.reading_child import assert_bounded, read_in_child

# Sound files with absurd descriptions, which the networks refuse; and hostile text where nobody looks.
READABLE = frozenset({
    "cfg_activation_expr.pkl", "cfg_discriminator_as_generator.pkl", "cfg_mapping_layers_huge.pkl",
    "cfg_missing_tensor.pkl", "cfg_nan_weights.pkl", "cfg_resolution_huge.pkl", "cfg_sg3_layer_names.pkl",
    "cfg_shape_mismatch.pkl", "genuine_evil_source.pkl", "tf_evil_source.pkl", "zip_slip.pt",
})  # fmt: skip


def test_every_hostile_file_ends_in_a_clear_error_and_nothing_runs(shared_vectors: Path):
    folder = shared_vectors / "hostile"
    manifest = {entry["file"]: entry for entry in json.loads((folder / "MANIFEST.json").read_text())["files"]}
    report = read_in_child(folder)
    assert report.keys() == manifest.keys()
    assert_bounded(report)
    assert {name for name, told in report.items() if told["error"] is None} == READABLE & manifest.keys()
    assert all(name in told["message"] for name, told in report.items() if told["error"])
    markers = [Path(entry["marker"]) for entry in manifest.values() if entry["marker"]]
    assert len(markers) > 40
    assert not [marker for marker in markers if marker.exists()]


def wrapped(payload: bytes) -> dict[str, bytes]:
    """A pickle as the object of every container that holds one."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", payload)
        file.writestr("archive/version", b"3\n")
    legacy = b"".join((
        pickle_of(number(0x1950A86A20F9469CFC6C), protocol=2),
        pickle_of(number(1001), protocol=2),
        pickle_of(dict_of((text("little_endian"), pickle.NEWTRUE)), protocol=2),
        payload,
        pickle_of(list_of(), protocol=2),
    ))  # fmt: skip
    nested = pickle_of(dict_of((text("G_ema"), call(LOAD_FROM_BYTES, raw(legacy)))))
    bare = pickle_of(dict_of((text("G_ema"), call(LOAD_FROM_BYTES, raw(payload)))))
    return {"zip": archive.getvalue(), "legacy": legacy, "nested": nested, "bare": bare}


def test_what_hostile_pickles_ask_for_is_refused_in_every_container(shared_vectors: Path, tmp_path: Path):
    folder = shared_vectors / "hostile"
    entries = json.loads((folder / "MANIFEST.json").read_text())["files"]
    payloads = [entry for entry in entries if entry["cls"] == "exec" and entry["file"].endswith(".pkl")]
    for entry in payloads:
        content = (folder / entry["file"]).read_bytes()
        for name, container in wrapped(content).items() if len(content) < 10_000 else ():
            (tmp_path / f"{entry['file']}.{name}").write_bytes(container)
    report = read_in_child(tmp_path)
    assert len(report) > 150
    assert_bounded(report)
    assert {told["error"] for told in report.values()} <= {"UnsafeFileError", "MalformedFileError"}
    assert not [entry["marker"] for entry in payloads if entry["marker"] and Path(entry["marker"]).exists()]


ONE = legacy_storage(floats(1.0), 1)


def colliding_keys() -> bytes:
    """Whole numbers with one hash: 2^61 - 1 is Python's modulus."""
    keys = (
        pickle.LONG1 + b"\x0a" + (index * (2**61 - 1)).to_bytes(10, "little") for index in range(1, 60_000)
    )
    return pickle_of(dict_of(*((key, pickle.NONE) for key in keys)))


def shared_pairs() -> bytes:
    """One list of pairs, made into an ordered dict over and over."""
    pair = tuple_of(text("a"), pickle.NONE) + put(0) + get(0) * 200_000
    again = (ORDERED_DICT + put(3) + pickle.EMPTY_TUPLE + pickle.REDUCE) + (
        get(3) + get(2) + pickle.TUPLE1 + pickle.REDUCE
    ) * 150_000
    return pickle_of(list_of(list_of(pair) + put(2), again))


def shared_set() -> bytes:
    """One list, made into a set over and over."""
    members = list_of(text("a") + put(0) + get(0) * 200_000) + put(1)
    return pickle_of(
        list_of(
            members, b"cbuiltins\nset\n" + put(2), (get(2) + get(1) + pickle.TUPLE1 + pickle.REDUCE) * 150_000
        )
    )


def laughing_attributes() -> bytes:
    """Thirty lists, each holding the one before ten times, as an attribute of a sound network."""
    levels = list_of(text("ha")) + put(1_000 - 999)
    for level in range(2, 32):
        levels = list_of(levels, get(level - 1) * 9) + put(level)
    return network(tensor(ONE, 0, (1,), (1,)), (text("joke"), levels))


def laughing_modules() -> bytes:
    """Thirty modules, each holding the one before ten times under other names."""
    module = persistent(module_state(dict_of((text("w"), tensor(ONE, 0, (1,), (1,)))))) + put(0)
    for level in range(1, 31):
        children = [(text("m0"), module)] + [(text(f"m{child}"), get(level - 1)) for child in range(1, 10)]
        module = persistent(module_state(pickle.EMPTY_DICT, dict_of(*children))) + put(level)
    return pickle_of(dict_of((text("G_ema"), module)))


def wide_shared_modules() -> bytes:
    """One module of many Nones, as a child under thousands of names."""
    nones = dict_of(*((text(f"p{index}"), pickle.NONE) for index in range(50_000)))
    leaf = persistent(module_state(nones)) + put(0)
    children = [(text("c"), leaf)] + [(text(f"c{index}"), get(0)) for index in range(50_000)]
    return pickle_of(
        dict_of((text("G_ema"), persistent(module_state(pickle.EMPTY_DICT, dict_of(*children)))))
    )


def long_names() -> bytes:
    """Names as long as they may be, nested as deep as they may be."""
    leaf = persistent(module_state(pickle.EMPTY_DICT, pickle.EMPTY_DICT, *(
        (text(f"{index:0128d}"), pickle.NONE) for index in range(5_000)
    )))  # fmt: skip
    for _ in range(30):
        leaf = persistent(module_state(pickle.EMPTY_DICT, dict_of((text("n" * 128), leaf))))
    return pickle_of(dict_of((text("G_ema"), leaf)))


def deep_modules() -> bytes:
    """Modules in modules, far deeper than Python's stack; without marks, whose number is limited."""

    def entry(key: str, value: bytes) -> bytes:
        return text(key) + value + pickle.SETITEM

    before = (
        PERSISTENT
        + pickle.EMPTY_DICT
        + entry("type", text("class"))
        + entry("version", number(6))
        + entry("module_src", text(""))
        + entry("class_name", text("Layer"))
        + text("state")
        + pickle.EMPTY_DICT
        + entry("_parameters", pickle.EMPTY_DICT)
        + entry("_buffers", pickle.EMPTY_DICT)
        + text("_modules")
        + pickle.EMPTY_DICT
        + text("m")
    )
    after = pickle.SETITEM * 3 + pickle.TUPLE1 + pickle.REDUCE
    depth = 20_000
    return pickle_of(
        pickle.EMPTY_DICT, text("G_ema"), before * depth, pickle.NONE, after * depth, pickle.SETITEM
    )


def deep_tuples() -> bytes:
    return pickle_of(pickle.NONE, pickle.TUPLE1 * 300_000)


def many_copies_of_one_storage(shift: int = 0) -> bytes:
    """One large unaligned storage, loaded anew for each of a thousand tensors of one number."""
    storage = legacy_storage(bytes(20_000_000), 5_000_000)
    one = call(LOAD_FROM_BYTES, raw(storage) + put(0))
    more = call(LOAD_FROM_BYTES, get(0))

    def view(loaded: bytes) -> bytes:
        rest = (number(0), tuple_of(number(1)), tuple_of(number(1)), pickle.NEWFALSE, call(ORDERED_DICT))
        return call(REBUILD_TENSOR, loaded, *rest)

    parameters = [(text("a" * (1 + shift)), view(one))]
    parameters += [(text(f"a{index}"), view(more)) for index in range(1_000)]
    return pickle_of(dict_of((text("G_ema"), persistent(module_state(dict_of(*parameters))))))


def many_shifted_copies_of_one_storage() -> bytes:
    """The same two bytes on: one of the two is not aligned."""
    return many_copies_of_one_storage(2)


def many_views_of_one_storage() -> bytes:
    """A storage that thousands of tensors show whole."""
    storage = call(LOAD_FROM_BYTES, raw(legacy_storage(bytes(400_000), 100_000))) + put(0)
    rest = (number(0), tuple_of(number(100_000)), tuple_of(number(1)), pickle.NEWFALSE, call(ORDERED_DICT))
    views = [call(REBUILD_TENSOR, loaded, *rest) for loaded in [storage] + [get(0)] * 9_000]
    parameters = dict_of(*((text(f"w{index}"), view) for index, view in enumerate(views)))
    return pickle_of(dict_of((text("G_ema"), persistent(module_state(parameters)))))


def texts_encoded_again_and_again() -> bytes:
    """A megabyte of text, turned into bytes a hundred thousand times."""
    encode = b"c_codecs\nencode\n" + put(0) + text("x" * 1_000_000) + put(1) + text("latin1") + put(2)
    again = get(0) + get(1) + get(2) + pickle.TUPLE2 + pickle.REDUCE
    return pickle_of(pickle.EMPTY_LIST, pickle.MARK, encode, again * 100_000, pickle.APPENDS)


def many_empty_sets() -> bytes:
    return pickle_of(pickle.EMPTY_LIST, pickle.MARK, pickle.EMPTY_SET * 1_100_000, pickle.APPENDS, protocol=4)


def many_marks() -> bytes:
    return pickle_of(pickle.MARK * 3_000_000)


def wide_text() -> bytes:
    """Strings of one-byte characters but for one, which makes Python store four bytes for each."""
    return pickle_of(list_of(*(text("x" * 4_000 + "\U0001f600") for _ in range(5_000))))


def numpy_views() -> bytes:
    """One array of four megabytes, as a thousand attributes."""
    dtype = call(NUMPY_DTYPE, text("u1"), number(0), number(1))
    array = call(NUMPY_RECONSTRUCT, NUMPY_NDARRAY, tuple_of(number(0)), raw(b"b"))
    state = tuple_of(number(1), tuple_of(number(4_000_000)), dtype, pickle.NEWFALSE, raw(bytes(4_000_000)))
    built = array + state + pickle.BUILD + put(0)
    attributes = [(text("a"), built)] + [(text(f"a{index}"), get(0)) for index in range(1_000)]
    return network(tensor(ONE, 0, (1,), (1,)), *attributes)


def safetensors_header_of_nothing_but_brackets() -> bytes:
    header = b'{"a":' + b"[" * 4_000_000
    return len(header).to_bytes(8, "little") + header


BOMBS: tuple[Callable[[], bytes], ...] = (
    colliding_keys, shared_pairs, shared_set, laughing_attributes, laughing_modules, wide_shared_modules,
    long_names, deep_modules, deep_tuples, many_copies_of_one_storage, many_shifted_copies_of_one_storage,
    many_views_of_one_storage, texts_encoded_again_and_again, many_empty_sets, many_marks, wide_text,
    numpy_views, safetensors_header_of_nothing_but_brackets,
)  # fmt: skip


@pytest.fixture(scope="module")
def bomb_report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What came of every bomb, and of a pipe."""
    folder = tmp_path_factory.mktemp("bombs")
    for bomb in BOMBS:
        (folder / f"{bomb.__name__}.pkl").write_bytes(bomb())
    os.mkfifo(folder / "pipe.pkl")
    return read_in_child(folder)


def test_bombs_end_in_a_clear_error_in_bounded_time_and_memory(bomb_report: dict[str, dict]):
    assert len(bomb_report) == len(BOMBS) + 1
    assert_bounded(bomb_report)
    assert not [name for name, told in bomb_report.items() if told["error"] is None]


def test_the_message_for_a_bomb_is_short(bomb_report: dict[str, dict]):
    assert max(len(told["message"]) for told in bomb_report.values()) < 1_000


def test_a_pipe_is_refused_without_waiting_for_it(bomb_report: dict[str, dict]):
    assert "not a regular file" in bomb_report["pipe.pkl"]["message"]
