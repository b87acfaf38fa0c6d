"""Pickles from nothing: well-formed programs of the allowed instructions and names, about arbitrary values."""

from __future__ import annotations

import pickle
import struct
from random import Random

from tests.checkpoints.assembler import (
    LOAD_FROM_BYTES,
    NUMPY_DTYPE,
    NUMPY_NDARRAY,
    NUMPY_RECONSTRUCT,
    ORDERED_DICT,
    REBUILD_TENSOR,
    call,
    dict_of,
    get,
    legacy_storage,
    list_of,
    module_state,
    number,
    persistent,
    pickle_of,
    put,
    raw,
    text,
    tuple_of,
)
from tests.fuzz.byte_mutators import NUMBERS
from tests.fuzz.pickle_mutators import NAMES, WORDS

STORAGES = ("FloatStorage", "HalfStorage", "DoubleStorage", "BoolStorage", "BFloat16Storage", "LongStorage",
            "UntypedStorage")  # fmt: skip
WIDTHS = {"HalfStorage": 2, "DoubleStorage": 8, "BoolStorage": 1, "BFloat16Storage": 2, "LongStorage": 8}
DTYPES = ("f4", "f8", "f2", "i8", "b1", "u2", "O8", "V4", "S3", "M8", "c8")
MAX_DEPTH = 4


def program(chance: Random) -> bytes:
    """A whole pickle: official networks, TensorFlow's three, or any value at all."""
    kind = chance.randrange(4)
    if kind == 0:
        return pickle_of(value(chance, 0), protocol=chance.choice((2, 3, 4, 5)))
    if kind == 1:
        return pickle_of(tuple_of(*(tensorflow(chance) for _ in range(3))))
    roles = chance.sample(("G", "D", "G_ema", "augment_pipe", "training_set_kwargs"), chance.randint(1, 4))
    make = module if kind == 2 else value
    return pickle_of(dict_of(*((text(role), make(chance, 0)) for role in roles)))


def module(chance: Random, depth: int) -> bytes:
    """A persistence record with tensors, attributes and submodules."""
    names = chance.sample(WORDS, chance.randint(0, 4))
    parameters = dict_of(*((text(name), tensor(chance)) for name in names))
    inner = chance.sample(WORDS, chance.randint(0, 3)) if depth < MAX_DEPTH else []
    modules = dict_of(*((text(name), module(chance, depth + 1)) for name in inner))
    more = [(text(chance.choice(WORDS)), value(chance, MAX_DEPTH - 1)) for _ in range(chance.randint(0, 3))]
    return persistent(module_state(parameters, modules, *more), version=chance.choice((6, 6, 6, 6, 7)))


def tensorflow(chance: Random) -> bytes:
    """A TensorFlow network with variables and options."""
    variables = [tuple_of(text(chance.choice(WORDS)), array(chance)) for _ in range(chance.randint(0, 4))]
    state = dict_of(
        (text("version"), number(chance.choice((3, 4, 5, 6)))),
        (text("name"), text("Gs")),
        (text("static_kwargs"), value(chance, 2)),
        (text("components"), dict_of()),
        (text("build_func_name"), text(chance.choice(("G_main", "D_main", "")))),
        (text("variables"), list_of(*variables)),
    )
    return b"cdnnlib.tflib.network\nNetwork\n" + pickle.EMPTY_TUPLE + pickle.NEWOBJ + state + pickle.BUILD


def tensor(chance: Random) -> bytes:
    """A tensor over a storage of its own; shape, strides and counts may be lies."""
    numel = chance.choice((0, 1, 2, 6, 16, 24))
    kind = chance.choice(STORAGES)
    content = chance.randbytes(numel * WIDTHS.get(kind, 4))
    stated = numel if chance.random() < 0.9 else min(chance.choice(NUMBERS), 2**63 - 1)
    storage = raw(legacy_storage(content, stated, kind=kind))
    axes = chance.randrange(5)
    sizes = [_size(chance) for _ in range(axes)]
    strides = [_size(chance) for _ in range(axes if chance.random() < 0.95 else axes + 1)]
    return call(
        REBUILD_TENSOR,
        call(LOAD_FROM_BYTES, storage),
        number(chance.choice((0, 0, 0, 1, -1, 2**62))),
        tuple_of(*map(number, sizes)),
        tuple_of(*map(number, strides)),
        pickle.NEWFALSE,
        call(ORDERED_DICT),
    )


def _size(chance: Random) -> int:
    return chance.choice((0, 1, 1, 2, 2, 3, 4)) if chance.random() < 0.95 else chance.choice((-1, *NUMBERS))


def array(chance: Random) -> bytes:
    """A NumPy array of any data type, whose shape and bytes may not fit."""
    code = chance.choice(DTYPES)
    shape = [chance.choice((0, 1, 2, 3)) for _ in range(chance.randrange(4))]
    count = 1
    for size in shape:
        count *= size
    width = int(code[1:]) if chance.random() < 0.9 else 3
    if chance.random() < 0.05:
        shape.append(chance.choice(NUMBERS))
    dtype = call(NUMPY_DTYPE, text(code), pickle.NEWFALSE, pickle.NEWTRUE)
    order = text(chance.choice("<<<<|>=x"))
    fields = (number(3), order, pickle.NONE, pickle.NONE, pickle.NONE, number(-1), number(-1), number(0))
    dtype += tuple_of(*fields) + pickle.BUILD
    made = call(NUMPY_RECONSTRUCT, NUMPY_NDARRAY, tuple_of(number(0)), raw(b"b"))
    content = raw(chance.randbytes(count * width))
    fortran = chance.choice((pickle.NEWTRUE, pickle.NEWFALSE))
    return made + tuple_of(number(1), tuple_of(*map(number, shape)), dtype, fortran, content) + pickle.BUILD


def value(chance: Random, depth: int) -> bytes:
    """Any value; containers hold fewer and fewer."""
    kind = chance.randrange(15 if depth < MAX_DEPTH else 7)
    if kind < 7:
        return _scalar(kind, chance)
    inner = [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return list_of(*inner)
    if kind == 8:
        return tuple_of(*inner)
    if kind == 9:
        return dict_of(*((_key(chance), entry) for entry in inner))
    if kind == 10:
        return call(ORDERED_DICT, list_of(*(tuple_of(_key(chance), entry) for entry in inner)))
    if kind == 11:
        return tensor(chance)
    if kind == 12:
        return array(chance)
    if kind == 13:
        return module(chance, depth + 1)
    module_name, name = chance.choice(NAMES)
    function = f"c{module_name}\n{name}\n".encode()
    return chance.choice((call(function, *inner), function, function + tuple_of(*inner) + pickle.NEWOBJ))


def _scalar(kind: int, chance: Random) -> bytes:
    if kind == 0:
        return chance.choice((pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.EMPTY_SET))
    if kind == 1:
        return number(chance.choice(NUMBERS) * chance.choice((1, -1)))
    if kind == 2:
        return pickle.BINFLOAT + struct.pack(">d", chance.choice((0.0, 1e308, float("nan"), float("-inf"))))
    if kind == 3:
        return raw(chance.randbytes(chance.choice((0, 1, 8, 300))))
    if kind == 4:
        return number(chance.randrange(8)) + put(chance.randrange(3))
    if kind == 5:
        return get(chance.randrange(3))
    return text(chance.choice(WORDS))


def _key(chance: Random) -> bytes:
    return text(chance.choice(WORDS)) if chance.random() < 0.9 else _scalar(chance.randrange(5), chance)
