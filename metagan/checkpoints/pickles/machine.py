"""Turns an untrusted pickle into inert records, without importing, resolving or calling anything it names.

From top to bottom: the state (stack, memo, byte cursor, budget), NumPy's objects, the instructions, and the loop.

It is not a subclass of pickle.Unpickler, which looks up attributes (`__setstate__`, `append`), hashes any key
from the file, and lets the file choose the size of its memo.
"""

from __future__ import annotations

import math
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Array, Blob, Dtype, Name, Record, Table, Text, describe
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError, UnsafeFileError

MAX_OPCODES: Final = 1_000_000
MAX_TEXT_BYTES: Final = 16 << 20
MAX_ODD_KEYS: Final = 5_000
MAX_MARKS: Final = 1_000

NEVER_RUNS: Final = (
    "metagan never runs code from weights files; get the file from its publisher,"
    " or ask there for a .safetensors"
)
TOO_MUCH: Final = "no trained network needs that; get the file from its publisher"

# Modules whose names in a weights file indicate an attack. Only the message differs: all others are refused too.
ATTACKS: Final = frozenset({
    "__builtin__", "bdb", "builtins", "cProfile", "code", "commands", "copyreg", "ctypes", "functools",
    "importlib", "io", "marshal", "nt", "operator", "os", "pathlib", "pdb", "pickle", "pip", "platform",
    "posix", "pty", "runpy", "shutil", "socket", "subprocess", "sys", "tempfile", "timeit", "types",
    "webbrowser",
})  # fmt: skip

# Modules of programs whose pickles name their own classes: what such a file is, and what the user can do.
_ITS_GENERATOR: Final = (
    "open it once with its own program and pickle {'G_ema': G_ema} alone, without the discriminator; metagan reads that"
    " where its generator is a StyleGAN2 or 3"
)
PROGRAMS: Final = {
    "pg_modules": (
        "a pickle of Projected GAN or StyleGAN-XL together with its discriminator",
        _ITS_GENERATOR,
    ),
    "timm": (
        "a pickle with an image classifier in it, such as StyleGAN-XL's discriminator has",
        _ITS_GENERATOR,
    ),
}

Keys = (str, int, float, bool, type(None), bytes)


def explain_name(module: str, name: str) -> tuple[str, str]:
    """Explain why a global is refused, and how to fix it."""
    full = quote(f"{module}.{name}")
    if module.partition(".")[0] in PROGRAMS:
        what, remedy = PROGRAMS[module.partition(".")[0]]
        return f"this is {what} ({full}), and metagan doesn't make other programs' classes", remedy
    if (module, name) == ("tfutil", "Network"):
        return "this is a Progressive GAN of 2017", "metagan knows StyleGAN2 and later; get such a generator"
    if module.partition(".")[0] in ATTACKS:
        return f"this file asks to run {full}", NEVER_RUNS
    whole_model = (
        "a whole pickled model would run its class: load it with its own program, save its state_dict()"
    )
    return f"this file asks for {full}, which no known weights file needs", f"{NEVER_RUNS}; {whole_model}"


class Budget:
    """The limits of reading one file, including its nested pickles.

    A thousand-layer network needs about 200,000 opcodes, a typical one 30,000. Keys other than strings have a low
    limit: the file chooses their hashes, and a dict of colliding keys takes quadratic time.
    """

    def __init__(self, size_bytes: int) -> None:
        self.opcodes = MAX_OPCODES
        self.text_bytes = MAX_TEXT_BYTES
        self.odd_keys = MAX_ODD_KEYS
        self.encoded_bytes = size_bytes


@dataclass(frozen=True)
class Behaviour:
    """What an allowed global may do.

    Args:
        call: The result of REDUCE for a tuple of arguments; None if it must not be called.
        new: The result of NEWOBJ, always without arguments; None if it must not be instantiated.
        key: Whether it may be a key in a dict.
    """

    call: Callable[[Machine, tuple[Any, ...]], object] | None = None
    new: Callable[[Name], object] | None = None
    key: bool = False


Allowed = Mapping[tuple[str, str], Behaviour]


class Machine:
    """The state of reading one pickle.

    Args:
        source: The bytes.
        start: The offset at which the pickle begins.
        allowed: The globals it may name.
        budget: The remaining budget of this file.
        load_storage: Resolves a persistent id; None in files that have none.
    """

    def __init__(
        self,
        source: Source,
        start: int,
        allowed: Allowed,
        budget: Budget,
        load_storage: Callable[[Machine, object], object] | None = None,
    ) -> None:
        self.source = source
        self.position = start
        self.opcode_at = start
        self.allowed = allowed
        self.budget = budget
        self.load_storage = load_storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.opcodes_run = 0

    def malformed(self, found: str) -> MalformedFileError:
        """Make the error for an invalid opcode or operand."""
        return self.source.malformed(self.opcode_at, found)

    def unsafe(self, found: str, remedy: str = NEVER_RUNS) -> UnsafeFileError:
        """Make the error for an opcode that requests code, or too many resources."""
        return self.source.unsafe(self.opcode_at, found, remedy)

    def spend(self, count: int) -> None:
        """Charge instructions, or the entries of a value that one instruction copies, to the budget.

        Raises:
            UnsafeFileError: If the file's budget is used up.
        """
        self.budget.opcodes -= count
        if self.budget.opcodes < 0:
            raise self.unsafe(f"want at most {MAX_OPCODES:,} pickle instructions, got more", TOO_MUCH)

    def advance(self, count: int) -> int:
        """Advance by `count` bytes, which must exist, and return where they begin."""
        start, left = self.position, len(self.source.data) - self.position
        if not 0 <= count <= left:
            raise self.malformed(
                f"the pickle wants {count:,} more bytes, the file has {left:,}: truncated or damaged"
            )
        self.position += count
        return start

    def take(self, count: int) -> Source:
        """Read the next bytes without copying."""
        return self.source.part(self.advance(count), count)

    def line(self) -> str:
        """Read the next line of plain characters, an operand of GLOBAL."""
        stretch = bytes(self.source.data[self.position : self.position + 256])
        length = stretch.find(b"\n")
        if length < 0 or not stretch[:length].isascii():
            raise self.malformed("a global's name is not a line of plain characters")
        self.position += length + 1
        return stretch[:length].decode("ascii")

    def text(self, length: int) -> str:
        """Read the next string; lone surrogates, which pickle accepts but which can't be printed, are refused."""
        start = self.advance(length)
        self.budget.text_bytes -= length
        if self.budget.text_bytes < 0:
            raise self.unsafe(f"want at most {MAX_TEXT_BYTES:,} bytes of text, got more", TOO_MUCH)
        try:
            return str(self.source.data[start : start + length], "utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed("a string that is not UTF-8") from error

    def pop(self) -> Any:
        """Pop the top of the stack, but not below the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.malformed("an instruction finds nothing on the stack")
        return self.stack.pop()

    def top(self) -> Any:
        """Return the top of the stack without popping it."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.malformed("an instruction finds nothing on the stack")
        return self.stack[-1]

    def mark(self) -> None:
        """Push a mark: remember the height of the stack."""
        if len(self.marks) >= MAX_MARKS:
            raise self.unsafe(f"want at most {MAX_MARKS:,} open marks, got more", TOO_MUCH)
        self.marks.append(len(self.stack))

    def pop_to_mark(self) -> list[Any]:
        """Pop all values above the last mark."""
        if not self.marks:
            raise self.malformed("an instruction finds no mark on the stack")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def remember(self, index: int) -> None:
        """Store the top of the stack in the memo, whose indices must be consecutive."""
        if index > self.opcodes_run:
            raise self.unsafe(f"memo index {index:,} after {self.opcodes_run:,} instructions", TOO_MUCH)
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Push a value of the memo on the stack."""
        if index not in self.memo:
            raise self.malformed(f"memo index {index:,} was never stored")
        self.stack.append(self.memo[index])

    def name(self, module: str, name: str) -> Name:
        """Return a global from the allow-list, or raise an error that says what it would have done."""
        if (module, name) in self.allowed:
            return Name(module, name)
        raise self.unsafe(*explain_name(module, name))

    def key(self, key: object) -> Any:
        """Check a dict key or set member, which must be a scalar so that hashing it is cheap."""
        is_key = isinstance(key, Name) and self.allowed[key.module, key.name].key
        if type(key) not in Keys and not is_key:
            raise self.unsafe(f"want a plain dict key, got {describe(key)}", TOO_MUCH)
        if type(key) is not str:
            self.budget.odd_keys -= 1
            if self.budget.odd_keys < 0:
                raise self.unsafe(
                    f"want at most {MAX_ODD_KEYS:,} keys that are no strings, got more", TOO_MUCH
                )
        return key


# --------------------------------------------------------------------------------------------
# NumPy data types, arrays and scalars in pickles, checked before any data is read.

MAX_DIMENSIONS: Final = 8
MAX_COUNT: Final = 1 << 48

# NumPy's codes of plain numeric types, and struct's; all others (objects, records, strings) are refused.
LAYOUTS: Final[Mapping[str, str]] = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


def make_dtype(machine: Machine, arguments: tuple[Any, ...]) -> Dtype:
    """`numpy.dtype("f4", align, copy)`, its byte order still to come.

    Raises:
        UnsafeFileError: If it is not a plain numeric type, such as Python objects.
    """
    code = arguments[0] if arguments else None
    if len(arguments) != 3 or type(code) is not str or code not in LAYOUTS:
        raise machine.unsafe(f"want a NumPy array of plain numbers, got the data type {describe(code)}")
    return Dtype(code, complete=code[1:] == "1")


def build_dtype(machine: Machine, dtype: Dtype, state: object) -> None:
    """A data type's state: `(3, "<", None, None, None, -1, -1, 0)`."""
    plain = (
        isinstance(state, tuple) and len(state) == 8 and state[0] == 3 and state[2:5] == (None, None, None)
    )
    if not plain or not isinstance(state, tuple) or state[1] not in ("<", "|"):
        raise machine.malformed("want a NumPy data type of little-endian plain numbers")
    dtype.complete = True


def make_array(machine: Machine, arguments: tuple[Any, ...]) -> Array:
    """`numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")`: an array whose state is to come."""
    if len(arguments) != 3 or arguments[0] != Name("numpy", "ndarray") or arguments[1] != (0,):
        raise machine.unsafe("want NumPy's way to make an empty array, got other arguments", TOO_MUCH)
    return Array()


def build_array(machine: Machine, array: Array, state: object) -> None:
    """An array's state: `(1, shape, dtype, fortran, bytes)`.

    Raises:
        UnsafeFileError: If the shape doesn't fit the bytes, or the elements are not plain numbers.
    """
    if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1 or array.dtype is not None:
        raise machine.malformed("want a NumPy array's state of five parts")
    _fill(machine, array, shape=state[1], dtype=state[2], fortran=bool(state[3]), content=state[4])


def array_from_buffer(machine: Machine, arguments: tuple[Any, ...]) -> Array:
    """`numpy.core.numeric._frombuffer(bytes, dtype, shape, order)`, as protocol 5 has it."""
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise machine.malformed("want a NumPy buffer of four parts")
    content, dtype, shape, order = arguments
    array = Array()
    _fill(machine, array, shape=shape, dtype=dtype, fortran=order == "F", content=content)
    return array


def _fill(
    machine: Machine, array: Array, *, shape: object, dtype: object, fortran: bool, content: object
) -> None:
    if not isinstance(dtype, Dtype) or not dtype.complete:
        raise machine.malformed(f"want a complete NumPy data type, got {describe(dtype)}")
    source = content_of(machine, content)
    sizes = shape_of(shape)
    if sizes is None:
        raise machine.unsafe("want a NumPy shape of a few whole numbers", TOO_MUCH)
    wanted = math.prod(sizes) * struct.calcsize("<" + LAYOUTS[dtype.code])
    if wanted != len(source.data):
        raise machine.unsafe(f"a NumPy array of {wanted:,} bytes in {len(source.data):,}", TOO_MUCH)
    array.dtype, array.shape, array.data, array.fortran = dtype, sizes, source, fortran


def make_scalar(machine: Machine, arguments: tuple[Any, ...]) -> bool | int | float:
    """`numpy.core.multiarray.scalar(dtype, bytes)` as a Python number."""
    if len(arguments) != 2 or not isinstance(arguments[0], Dtype) or not arguments[0].complete:
        raise machine.unsafe("want a NumPy scalar of a plain number")
    layout, source = "<" + LAYOUTS[arguments[0].code], content_of(machine, arguments[1])
    if len(source.data) != struct.calcsize(layout):
        raise machine.malformed(f"a NumPy scalar {arguments[0].code} of {len(source.data)} bytes")
    number: bool | int | float = struct.unpack(layout, source.data)[0]
    return number


def encode(machine: Machine, arguments: tuple[Any, ...]) -> bytes | Blob:
    """`_codecs.encode(text, "latin1")`: how protocol 2 writes bytes.

    Raises:
        UnsafeFileError: If the codec is another one, or one text is encoded repeatedly.
    """
    if (
        len(arguments) != 2
        or arguments[1] not in ("latin1", "latin-1")
        or not isinstance(arguments[0], str | Text)
    ):
        raise machine.unsafe("want text to be turned into bytes by latin1, got other arguments")
    text = arguments[0]
    if isinstance(text, Text):
        machine.budget.encoded_bytes -= len(text.source.data)
        text = _decode(machine, text)
    else:
        machine.budget.encoded_bytes -= len(text)
    if machine.budget.encoded_bytes < 0:
        raise machine.unsafe("the same bytes over and over", TOO_MUCH)
    try:
        content = bytearray(text, "latin-1")
    except UnicodeEncodeError as error:
        raise machine.malformed("bytes written as text that is no latin1") from error
    return (
        bytes(content)
        if len(content) <= 255
        else Blob(Source(machine.source.path, memoryview(content), None))
    )


def _decode(machine: Machine, text: Text) -> str:
    try:
        decoded = str(text.source.data, "utf-8")
    except UnicodeDecodeError as error:
        raise machine.malformed("a string that is not UTF-8") from error
    text.source.forget()
    return decoded


def content_of(machine: Machine, content: object) -> Source:
    """Return bytes from any of their representations in a pickle."""
    if isinstance(content, Blob):
        return content.source
    if isinstance(content, bytes):
        return Source(machine.source.path, memoryview(bytearray(content)), None)
    raise machine.unsafe(f"want bytes, got {describe(content)}", TOO_MUCH)


def whole_numbers(value: object) -> tuple[int, ...] | None:
    """Return a short tuple of non-negative integers, or None if the value is something else."""
    if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
        return None
    return value if all(type(entry) is int and 0 <= entry < MAX_COUNT for entry in value) else None


def shape_of(value: object) -> tuple[int, ...] | None:
    """Return a shape whose product, without zeros, fits torch's index type, or None if it is something else."""
    sizes = whole_numbers(value)
    return sizes if sizes is not None and math.prod(filter(None, sizes)) < MAX_COUNT else None


# --------------------------------------------------------------------------------------------
# The pickle instructions that weights files use; all others are refused.
#
# Protocols 2 to 5 as Python's pickletools documents them. Left out on purpose, because no genuine file uses them
# and hostile ones do: text opcodes, INST, OBJ, NEWOBJ_EX, EXT, PERSID, POP, POP_MARK, DUP, LONG4, FROZENSET,
# NEXT_BUFFER.

# The effect of an instruction on the machine, given its operand if it has one.
Operation = Callable[..., None]

MAX_STRING_BYTES: Final = (
    4096  # longer strings are not names but embedded source code, or bytes of protocol 2
)
MAX_SHORT_BYTES: Final = 255  # longer bytes are referenced in place
MAX_LONG_BYTES: Final = 32

# Operands.
NO, U1, U2, U4, U8 = (struct.Struct(layout) for layout in ("", "<B", "<H", "<I", "<Q"))
I4, F8 = struct.Struct("<i"), struct.Struct(">d")


def _constant(value: object) -> Operation:
    def push(machine: Machine) -> None:
        machine.stack.append(value)

    return push


def _push(machine: Machine, number: int | float) -> None:
    machine.stack.append(number)


def _long(machine: Machine, length: int) -> None:
    if length > MAX_LONG_BYTES:
        raise machine.unsafe(
            f"want at most {MAX_LONG_BYTES} bytes in a whole number, got {length:,}", TOO_MUCH
        )
    machine.stack.append(int.from_bytes(machine.take(length).data, "little", signed=True))


def _string(machine: Machine, length: int) -> None:
    short = length <= MAX_STRING_BYTES
    machine.stack.append(machine.text(length) if short else Text(machine.take(length)))


def _bytes(machine: Machine, length: int) -> None:
    part = machine.take(length)
    machine.stack.append(bytes(part.data) if length <= MAX_SHORT_BYTES else Blob(part))


def _frame(machine: Machine, length: int) -> None:
    left = len(machine.source.data) - machine.position
    if length > left:
        raise machine.malformed(
            f"a frame of {length:,} bytes where the file has {left:,}: truncated or damaged"
        )


def _empty_list(machine: Machine) -> None:
    machine.stack.append([])


def _empty_dict(machine: Machine) -> None:
    machine.stack.append({})


def _empty_set(machine: Machine) -> None:
    machine.stack.append(set())


def _tuple(machine: Machine) -> None:
    machine.stack.append(tuple(machine.pop_to_mark()))


def _tuple_of(count: int) -> Operation:
    def push(machine: Machine) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(values)))

    return push


def _list_on_top(machine: Machine) -> list[Any]:
    target = machine.top()
    if type(target) is not list:
        raise machine.malformed(f"want a list to append to, got {describe(target)}")
    return target


def _append(machine: Machine) -> None:
    value = machine.pop()
    _list_on_top(machine).append(value)


def _appends(machine: Machine) -> None:
    values = machine.pop_to_mark()
    _list_on_top(machine).extend(values)


def _set_on_top(machine: Machine) -> set[Any]:
    target = machine.top()
    if type(target) is not set:
        raise machine.malformed(f"want a set to add to, got {describe(target)}")
    return target


def _additems(machine: Machine) -> None:
    values = machine.pop_to_mark()
    _set_on_top(machine).update([machine.key(value) for value in values])


def _dict_on_top(machine: Machine) -> dict[Any, Any]:
    target = machine.top()
    if not isinstance(target, dict):
        raise machine.malformed(f"want a dict to fill, got {describe(target)}")
    return target


def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _dict_on_top(machine)[machine.key(key)] = value


def _setitems(machine: Machine) -> None:
    values = machine.pop_to_mark()
    if len(values) % 2:
        raise machine.malformed("a dict is filled with a key that has no value")
    target = _dict_on_top(machine)
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[machine.key(key)] = value


def _memoize(machine: Machine) -> None:
    machine.remember(len(machine.memo))


def _global(machine: Machine) -> None:
    module = machine.line()
    machine.stack.append(machine.name(module, machine.line()))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise machine.unsafe(f"a global's name is computed: {describe(module)}, {describe(name)}", NEVER_RUNS)
    machine.stack.append(machine.name(module, name))


def _behaviour(machine: Machine, function: object) -> Behaviour:
    if not isinstance(function, Name):
        raise machine.unsafe(f"this file asks to call {describe(function)}")
    return machine.allowed[function.module, function.name]


def _arguments(machine: Machine) -> tuple[Any, ...]:
    arguments = machine.pop()
    if type(arguments) is not tuple:
        raise machine.malformed(f"want a tuple of arguments, got {describe(arguments)}")
    return arguments


def _reduce(machine: Machine) -> None:
    arguments, function = _arguments(machine), machine.pop()
    call = _behaviour(machine, function).call
    if call is None:
        raise machine.unsafe(f"this file asks to call {describe(function)}, which weights files only mention")
    machine.stack.append(call(machine, arguments))


def _newobj(machine: Machine) -> None:
    arguments, cls = _arguments(machine), machine.pop()
    new = _behaviour(machine, cls).new
    if new is None or arguments:
        raise machine.unsafe(f"this file asks to construct {describe(cls)} with {len(arguments)} arguments")
    machine.stack.append(new(cls))


def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.top()
    if isinstance(target, Dtype):
        build_dtype(machine, target, state)
    elif isinstance(target, Array):
        build_array(machine, target, state)
    elif isinstance(target, Record) and target.state is None and isinstance(state, dict):
        target.state = state
    elif not (isinstance(target, Table) and isinstance(state, dict)):  # a state dict's `_metadata`: dropped
        raise machine.unsafe(f"this file asks to set the state of {describe(target)} to {describe(state)}")


def _binpersid(machine: Machine) -> None:
    identifier = machine.pop()
    if machine.load_storage is None:
        raise machine.unsafe(f"a reference to something outside the file: {describe(identifier)}")
    machine.stack.append(machine.load_storage(machine, identifier))


INSTRUCTIONS: Final[Mapping[int, tuple[struct.Struct, Operation]]] = {
    0x95: (U8, _frame),
    ord("("): (NO, Machine.mark),
    ord("N"): (NO, _constant(None)),
    0x88: (NO, _constant(True)),
    0x89: (NO, _constant(False)),
    ord("K"): (U1, _push),
    ord("M"): (U2, _push),
    ord("J"): (I4, _push),
    ord("G"): (F8, _push),
    0x8A: (U1, _long),
    0x8C: (U1, _string),
    ord("X"): (U4, _string),
    0x8D: (U8, _string),
    ord("C"): (U1, _bytes),
    ord("B"): (U4, _bytes),
    0x8E: (U8, _bytes),
    0x96: (U8, _bytes),  # BYTEARRAY8
    ord("]"): (NO, _empty_list),
    ord("}"): (NO, _empty_dict),
    0x8F: (NO, _empty_set),
    ord(")"): (NO, _constant(())),
    0x85: (NO, _tuple_of(1)),
    0x86: (NO, _tuple_of(2)),
    0x87: (NO, _tuple_of(3)),
    ord("t"): (NO, _tuple),
    ord("a"): (NO, _append),
    ord("e"): (NO, _appends),
    ord("s"): (NO, _setitem),
    ord("u"): (NO, _setitems),
    0x90: (NO, _additems),
    ord("q"): (U1, Machine.remember),
    ord("r"): (U4, Machine.remember),
    0x94: (NO, _memoize),
    ord("h"): (U1, Machine.recall),
    ord("j"): (U4, Machine.recall),
    ord("c"): (NO, _global),
    0x93: (NO, _stack_global),
    ord("R"): (NO, _reduce),
    0x81: (NO, _newobj),
    ord("b"): (NO, _build),
    ord("Q"): (NO, _binpersid),
}


# --------------------------------------------------------------------------------------------
# The loop: reads one instruction after the other.

PROTO: Final = 0x80
STOP: Final = ord(".")
PROTOCOLS: Final = range(2, 6)
NAMES: Final = {known.code: known.name for known in pickletools.opcodes}


def unpickle(source: Source, allowed: Allowed, budget: Budget) -> Any:
    """Read a file that consists of one pickle.

    Returns:
        Scalars, lists, dicts, tuples, sets and what inert.py defines. They may contain themselves and each
        other recursively: walk them with a budget, and never print, compare or copy them whole.

    Raises:
        UnsafeFileError: If it names a global that isn't allowed, or exceeds the budget.
        MalformedFileError: If it is damaged, or followed by more data.
    """
    machine = Machine(source, 0, allowed, budget)
    value = run(machine)
    left = len(source.data) - machine.position
    if left:
        raise source.malformed(machine.position, f"{left:,} bytes follow the end of the pickle; want none")
    return value


def run(machine: Machine) -> Any:
    """Read one pickle, leaving `machine.position` after its STOP.

    Raises:
        UnsafeFileError, MalformedFileError: On the same conditions as in `unpickle`.
    """
    _read_protocol(machine)
    data, end = machine.source.data, len(machine.source.data)
    while True:
        machine.opcode_at = machine.position
        if machine.position >= end:
            raise machine.malformed("the pickle has no end: truncated")
        code = data[machine.position]
        machine.position += 1
        if code == STOP:
            return _finish(machine)
        instruction = INSTRUCTIONS.get(code)
        if instruction is None:
            raise _unknown(machine, code)
        machine.opcodes_run += 1
        machine.budget.opcodes -= 1
        if machine.budget.opcodes < 0:
            machine.spend(0)
        operand, operation = instruction
        start = machine.position
        machine.position += operand.size
        if machine.position > end:
            raise machine.malformed("the pickle ends in the middle of an instruction: truncated or damaged")
        operation(machine, *operand.unpack_from(data, start))


def _read_protocol(machine: Machine) -> None:
    head = bytes(machine.source.data[machine.position : machine.position + 2])
    if len(head) < 2 or head[0] != PROTO:
        raise machine.malformed(f"want a pickle of protocol 2 to 5, got the bytes {head.hex(' ') or 'none'}")
    if head[1] not in PROTOCOLS:
        raise machine.malformed(f"want a pickle of protocol 2 to 5, got protocol {head[1]}")
    machine.position += 2


def _finish(machine: Machine) -> Any:
    value = machine.pop()
    if machine.stack or machine.marks:
        raise machine.malformed(f"the pickle ends with more than its value, {describe(value)}")
    return value


def _unknown(machine: Machine, code: int) -> Exception:
    known = NAMES.get(chr(code))
    if known is None:
        return machine.malformed(f"0x{code:02x} is no pickle instruction: damaged, or no pickle")
    return machine.unsafe(f"the pickle instruction {known}, which no genuine weights file needs")
