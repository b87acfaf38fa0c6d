"""Pickles by hand, instruction by instruction: what no honest pickler would write."""

from __future__ import annotations

import pickle
import struct

PERSISTENT = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
ORDERED_DICT = b"ccollections\nOrderedDict\n"
REBUILD_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
LOAD_FROM_BYTES = b"ctorch.storage\n_load_from_bytes\n"
NUMPY_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NUMPY_NDARRAY = b"cnumpy\nndarray\n"
NUMPY_DTYPE = b"cnumpy\ndtype\n"


def pickle_of(*parts: bytes, protocol: int = 3) -> bytes:
    """The instructions between PROTO and STOP."""
    return pickle.PROTO + bytes([protocol]) + b"".join(parts) + pickle.STOP


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def raw(value: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return pickle.BININT1 + bytes([value])
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return pickle.LONG1 + bytes([len(content)]) + content


def put(index: int) -> bytes:
    return pickle.LONG_BINPUT + struct.pack("<I", index)


def get(index: int) -> bytes:
    return pickle.LONG_BINGET + struct.pack("<I", index)


def tuple_of(*parts: bytes) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def list_of(*parts: bytes) -> bytes:
    return pickle.EMPTY_LIST + pickle.MARK + b"".join(parts) + pickle.APPENDS


def dict_of(*pairs: tuple[bytes, bytes]) -> bytes:
    return pickle.EMPTY_DICT + pickle.MARK + b"".join(key + value for key, value in pairs) + pickle.SETITEMS


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + pickle.REDUCE


def persistent(state: bytes, class_name: str = "Generator", version: int = 6) -> bytes:
    return call(
        PERSISTENT,
        dict_of(
            (text("type"), text("class")),
            (text("version"), number(version)),
            (text("module_src"), text("# stub")),
            (text("class_name"), text(class_name)),
            (text("state"), state),
        ),
    )


def module_state(
    parameters: bytes = pickle.EMPTY_DICT, modules: bytes = pickle.EMPTY_DICT, *more: tuple[bytes, bytes]
) -> bytes:
    return dict_of(
        (text("_parameters"), parameters),
        (text("_buffers"), pickle.EMPTY_DICT),
        (text("_modules"), modules),
        *more,
    )


def legacy_storage(
    content: bytes, numel: int, *, kind: str = "FloatStorage", facts: bytes | None = None
) -> bytes:
    """A torch file of the old layout that holds one storage, as official pickles nest them."""
    identifier = tuple_of(
        text("storage"),
        f"ctorch\n{kind}\n".encode(),
        text("0"),
        text("cpu"),
        number(numel),
        pickle.NONE,
    )
    return b"".join((
        pickle_of(number(0x1950A86A20F9469CFC6C), protocol=2),
        pickle_of(number(1001), protocol=2),
        pickle_of(facts or dict_of((text("little_endian"), pickle.NEWTRUE)), protocol=2),
        pickle_of(identifier, pickle.BINPERSID, protocol=2),
        pickle_of(list_of(text("0")), protocol=2),
        struct.pack("<q", numel),
        content,
    ))  # fmt: skip


def tensor(storage: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A tensor over a nested storage."""
    return call(
        REBUILD_TENSOR,
        call(LOAD_FROM_BYTES, raw(storage)),
        number(offset),
        tuple_of(*map(number, size)),
        tuple_of(*map(number, stride)),
        pickle.NEWFALSE,
        call(ORDERED_DICT),
    )


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def network(parameter: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A whole file: a generator of one parameter, "weight"."""
    state = module_state(dict_of((text("weight"), parameter)), pickle.EMPTY_DICT, *more)
    return pickle_of(dict_of((text("G_ema"), persistent(state))))
