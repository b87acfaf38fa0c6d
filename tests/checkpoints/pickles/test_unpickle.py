"""The pickle machine: what it takes, what it refuses, and in which words."""

import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.checkpoints.pickles.allowlist import PICKLE_NAMES
from metagan.checkpoints.pickles.inert import Blob, Name, Record, Text, describe
from metagan.checkpoints.pickles.machine import INSTRUCTIONS, Budget, unpickle
from metagan.checkpoints.source import Source, open_source
from metagan.errors import MalformedFileError, MetaganError, UnsafeFileError
from tests.checkpoints.assembler import (
    NUMPY_DTYPE,
    NUMPY_NDARRAY,
    NUMPY_RECONSTRUCT,
    ORDERED_DICT,
    call,
    dict_of,
    get,
    list_of,
    number,
    persistent,
    pickle_of,
    put,
    raw,
    text,
    tuple_of,
)


def load(content: bytes):
    source = Source(Path("a.pkl"), memoryview(bytearray(content)))
    return unpickle(source, PICKLE_NAMES, Budget(len(content)))


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=255),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=9) | st.integers(), inner, max_size=4)
        | st.lists(inner, max_size=7).map(tuple)
    ),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(value=plain_values, protocol=st.integers(3, 5))
def test_plain_data_read_as_pickle_reads_them(value: object, protocol: int):
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_sets_bytes_and_shared_values_read_as_pickle_reads_them(protocol: int):
    shared = ["a"]
    value = {"set": {1, "b"}, "bytes": b"\xff\x00", "one": shared, "two": shared, "empty": set()}
    found = load(pickle.dumps(value, protocol))
    assert found == value
    assert found["one"] is found["two"]


def test_long_strings_and_many_bytes_are_left_where_they_lie():
    found = load(pickle.dumps(["x" * 5_000, b"y" * 300], 4))
    assert isinstance(found[0], Text)
    assert isinstance(found[1], Blob)
    assert bytes(found[1].source.data) == b"y" * 300


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", ""),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes.__globals__"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("collections", "OrderedDict.fromkeys"),
        ("dnnlib.util", "get_obj_by_name"),
        ("dnnlib.tflib.network", "Network.__init__"),
        ("torch_utils.persistence", "persistent_class"),
        ("builtins", "getattr"),
        ("torch.nn.modules.conv", "Conv3d"),
    ],
)
def test_a_pickle_with_an_unknown_global_is_refused(module: str, name: str):
    for named in (f"c{module}\n{name}\n".encode(), text(module) + text(name) + pickle.STACK_GLOBAL):
        with pytest.raises(UnsafeFileError) as caught:
            load(pickle_of(named, protocol=4))
        assert f"{module}.{name}" in str(caught.value)
        assert "metagan never runs code" in str(caught.value)


def test_the_error_says_where_the_attack_is():
    with pytest.raises(UnsafeFileError, match=r"^a\.pkl: byte 3: this file asks to run 'os\.system'"):
        load(pickle_of(pickle.NONE, b"cos\nsystem\n"))


def test_a_refused_name_can_not_write_to_the_terminal():
    with pytest.raises(UnsafeFileError) as caught:
        load(pickle_of(text("os\x1b[2J\n"), text("\u202esystem"), pickle.STACK_GLOBAL, protocol=4))
    assert str(caught.value).isascii()
    assert "\x1b" not in str(caught.value)


def test_only_the_instructions_of_weights_files_are_known():
    never = {
        "POP", "POP_MARK", "DUP", "PERSID", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "LONG4",
        "FROZENSET", "NEXT_BUFFER", "READONLY_BUFFER", "LIST", "DICT", "INT", "LONG", "FLOAT", "STRING",
        "UNICODE", "GET", "PUT", "BINSTRING", "SHORT_BINSTRING",
    }  # fmt: skip
    codes = {name: getattr(pickle, name)[0] for name in never}
    assert not set(codes.values()) & INSTRUCTIONS.keys()
    for code in codes.values():
        with pytest.raises(UnsafeFileError, match="the pickle instruction"):
            load(pickle_of(pickle.NONE, bytes([code]), protocol=5))


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x01N.", b"\x80\x06N.", b"(lp0\n.", b"\x80\x04"])
def test_other_protocols_and_scraps_are_refused(content: bytes):
    with pytest.raises(MalformedFileError):
        load(content)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((pickle.TUPLE1,), "nothing on the stack"),
        ((pickle.NONE, pickle.MARK, pickle.TUPLE1), "nothing on the stack"),
        ((pickle.TUPLE,), "no mark"),
        ((pickle.NONE, pickle.NONE), "more than its value"),
        ((pickle.MARK, pickle.NONE), "more than its value"),
        ((get(3),), "memo index 3 was never stored"),
        ((pickle.NONE, pickle.NONE, pickle.APPEND), "want a list to append to, got None"),
        ((pickle.EMPTY_DICT, pickle.MARK, pickle.NONE, pickle.SETITEMS), "a key that has no value"),
        ((pickle.NONE, pickle.MARK, pickle.ADDITEMS), "want a set to add to"),
        ((pickle.BINUNICODE, b"\xff\xff\xff\xff"), "wants 4,294,967,295 more bytes"),
        ((pickle.BINUNICODE, b"\x01\x00\x00\x00\xff"), "not UTF-8"),
        ((pickle.BINUNICODE, b"\x03\x00\x00\x00\xed\xa0\x80"), "not UTF-8"),
        ((pickle.BINUNICODE,), "in the middle of an instruction"),
        ((b"cos",), "not a line of plain characters"),
        ((b"\xff",), "0xff is no pickle instruction"),
        ((pickle.FRAME, struct.pack("<Q", 1 << 40)), "a frame of 1,099,511,627,776 bytes"),
        ((ORDERED_DICT, pickle.NONE, pickle.REDUCE), "want a tuple of arguments"),
    ],
)
def test_damaged_pickles_are_explained(parts: tuple[bytes, ...], words: str):
    with pytest.raises(MalformedFileError) as caught:
        load(pickle_of(*parts, protocol=4))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((pickle.NONE, pickle.EMPTY_TUPLE, pickle.REDUCE), "asks to call None"),
        ((call(b"cdnnlib.util\nEasyDict\n", number(1)),), "which weights files only mention"),
        ((ORDERED_DICT, pickle.EMPTY_TUPLE, pickle.NEWOBJ), "asks to construct"),
        ((b"cdnnlib.util\nEasyDict\n", tuple_of(number(1)), pickle.NEWOBJ), "with 1 arguments"),
        ((pickle.EMPTY_DICT, pickle.EMPTY_DICT, pickle.BUILD), "asks to set the state of a dict"),
        ((ORDERED_DICT, pickle.EMPTY_DICT, pickle.BUILD), "asks to set the state of the name"),
        ((persistent(pickle.EMPTY_DICT), pickle.EMPTY_DICT, pickle.BUILD), "asks to set the state"),
        ((text("x"), pickle.BINPERSID), "something outside the file"),
        ((pickle.NONE, pickle.LONG_BINPUT, b"\x00\x00\x00\x08"), "memo index 134,217,728"),
        ((pickle.LONG1, b"\xff", bytes(255)), "bytes in a whole number, got 255"),
        ((dict_of((tuple_of(number(1)), pickle.NONE)),), "want a plain dict key, got a tuple"),
        ((dict_of((ORDERED_DICT, pickle.NONE)),), "want a plain dict key, got the name"),
        ((text("os"), raw(b"system"), pickle.STACK_GLOBAL), "a global's name is computed"),
        ((call(b"c_codecs\nencode\n", text("a"), text("rot13")),), "by latin1"),
        ((call(NUMPY_DTYPE, text("O8"), number(0), number(1)),), "the data type 'O8'"),
        ((call(NUMPY_DTYPE, text("V8"), number(0), number(1)),), "the data type 'V8'"),
        (
            (call(NUMPY_DTYPE, list_of(tuple_of(text("a"), text("O"))), number(0), number(1)),),
            "the data type a list",
        ),
        ((call(NUMPY_NDARRAY, tuple_of(number(1 << 40))),), "only mention"),
        ((call(NUMPY_RECONSTRUCT, NUMPY_NDARRAY, tuple_of(number(1 << 40)), raw(b"b")),), "other arguments"),
    ],
)
def test_instructions_that_ask_for_too_much_are_refused(parts: tuple[bytes, ...], words: str):
    with pytest.raises(UnsafeFileError) as caught:
        load(pickle_of(*parts, protocol=4))
    assert words in str(caught.value)


def array(shape: tuple[int, ...], content: bytes, code: str = "f4", order: bytes = b"<") -> bytes:
    dtype = call(NUMPY_DTYPE, text(code), number(0), number(1))
    none = pickle.NONE * 3
    dtype += pickle.MARK + number(3) + text(order.decode()) + none + number(-1) + number(-1) + number(0)
    dtype += pickle.TUPLE + pickle.BUILD
    made = call(NUMPY_RECONSTRUCT, NUMPY_NDARRAY, tuple_of(number(0)), raw(b"b"))
    state = tuple_of(number(1), tuple_of(*map(number, shape)), dtype, pickle.NEWFALSE, raw(content))
    return made + state + pickle.BUILD


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (array((3,), bytes(8)), "a NumPy array of 12 bytes in 8"),
        (array((1 << 40,), bytes(8)), "in 8"),
        (array((), bytes(8)), "a NumPy array of 4 bytes in 8"),
        (array((-1,), bytes(8)), "a few whole numbers"),
        (array((0, 1 << 40, 1 << 40), b""), "a few whole numbers"),
        (array((1,) * 9, bytes(4)), "a few whole numbers"),
        (array((2,), bytes(8), order=b">"), "little-endian"),
        (array((1,), bytes(8), code="O8"), "the data type 'O8'"),
    ],
)
def test_an_array_that_does_not_fit_its_bytes_is_refused(part: bytes, words: str):
    with pytest.raises(MetaganError, match=words):
        load(pickle_of(part))


def test_a_network_of_another_persistence_version_is_refused():
    with pytest.raises(MalformedFileError, match="version 6, got 7"):
        load(pickle_of(persistent(pickle.EMPTY_DICT, version=7)))


def test_a_class_name_that_is_no_name_is_refused():
    with pytest.raises(MalformedFileError, match="class name"):
        load(pickle_of(persistent(pickle.EMPTY_DICT, class_name="A\x1b[2J")))


def test_something_that_contains_itself_can_be_read_and_described():
    found = load(pickle_of(pickle.EMPTY_LIST, put(0), get(0), pickle.APPEND))
    assert found[0] is found
    assert describe(found) == "a list"


def test_values_are_described_without_what_they_hold():
    record = Record("Generator", Name("a", "b"), {})
    assert [describe(value) for value in (None, 3, "x", {}, [], record, Name("os", "system"))] == [
        "None", "3", "'x'", "a dict", "a list", "an object of the class 'Generator'", "the name 'os.system'",
    ]  # fmt: skip


def test_numpy_numbers_become_plain_ones_and_keep_their_value():
    import numpy as np

    values = [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True)]
    found = load(pickle.dumps(values, 4))
    assert found == [0.1, float(np.float32(0.1)), -3, True]
    assert [type(value) for value in found] == [float, float, int, bool]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_instructions_never_raise_anything_but_our_errors(body: bytes):
    try:
        load(b"\x80\x04" + body)
    except MetaganError as error:
        assert "fix:" in str(error)


_PIECES = st.sampled_from([bytes([code]) for code in sorted(INSTRUCTIONS)]) | st.sampled_from([
    text("a"), number(3), raw(b"b"), ORDERED_DICT, NUMPY_DTYPE, NUMPY_NDARRAY, NUMPY_RECONSTRUCT, put(0),
    get(0),
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", b"c_codecs\nencode\n",
    b"ctorch.storage\n_load_from_bytes\n", b"cbuiltins\nset\n", b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy.core.numeric\n_frombuffer\n", b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n",
    b"cdnnlib.util\nEasyDict\n", b"cdnnlib.tflib.network\nNetwork\n", text("f4"), text("latin1"),
    call(NUMPY_DTYPE, text("f4"), number(0), number(1)),
])  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(_PIECES, max_size=25))
def test_random_meaningful_instructions_never_raise_anything_but_our_errors(pieces: list[bytes]):
    try:
        load(pickle_of(*pieces, protocol=4))
    except MetaganError as error:
        assert "fix:" in str(error)


def test_a_map_of_a_file_is_private(tmp_path: Path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"abc")
    source = open_source(path)
    source.data[0] = 0
    assert path.read_bytes() == b"abc"
