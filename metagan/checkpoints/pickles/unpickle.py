"""Turns an untrusted pickle into inert records, without importing, resolving or calling anything it names."""

from __future__ import annotations

import pickletools
from typing import Any, Final

from metagan.checkpoints.pickles.inert import describe
from metagan.checkpoints.pickles.machine import Allowed, Budget, Machine
from metagan.checkpoints.pickles.opcodes import INSTRUCTIONS
from metagan.checkpoints.source import Source

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
