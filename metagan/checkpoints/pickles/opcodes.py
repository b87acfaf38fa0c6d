"""The pickle instructions that weights files use; all others are refused.

Protocols 2 to 5 as Python's pickletools documents them. Left out on purpose, because no genuine file uses them
and hostile ones do: text opcodes, INST, OBJ, NEWOBJ_EX, EXT, PERSID, POP, POP_MARK, DUP, LONG4, FROZENSET,
NEXT_BUFFER.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Array, Blob, Dtype, Name, Record, Table, Text, describe
from metagan.checkpoints.pickles.machine import NEVER_RUNS, TOO_MUCH, Behaviour, Machine
from metagan.checkpoints.pickles.numpy_parts import build_array, build_dtype

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
        raise machine.unsafe(f"a whole number of {length} bytes", TOO_MUCH)
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
