"""The state of the pickle machine: a stack, a memo, a byte cursor and a budget. opcodes.py has the instructions.

It is not a subclass of pickle.Unpickler, which looks up attributes (`__setstate__`, `append`), hashes any key
from the file, and lets the file choose the size of its memo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Name, describe
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
    """

    call: Callable[[Machine, tuple[Any, ...]], object] | None = None
    new: Callable[[Name], object] | None = None


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
            raise self.unsafe(f"more than {MAX_OPCODES:,} pickle instructions", TOO_MUCH)

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
            raise self.unsafe(f"more than {MAX_TEXT_BYTES:,} bytes of text", TOO_MUCH)
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
            raise self.unsafe(f"more than {MAX_MARKS:,} open marks", TOO_MUCH)
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
        if type(key) not in Keys:
            raise self.unsafe(f"want a plain dict key, got {describe(key)}", TOO_MUCH)
        if type(key) is not str:
            self.budget.odd_keys -= 1
            if self.budget.odd_keys < 0:
                raise self.unsafe(f"more than {MAX_ODD_KEYS:,} keys that are no strings", TOO_MUCH)
        return key
