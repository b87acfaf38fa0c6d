"""Flattens a tree of inert module records to one NetworkRecord: tensors and attributes by dotted name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.pickles.inert import Array, Record, TensorView, describe
from metagan.checkpoints.pickles.plain import Plain
from metagan.checkpoints.source import Source, quote
from metagan.checkpoints.tensors import LazyTensors, TensorMaker
from metagan.errors import MalformedFileError

# Internal attributes of torch's modules.
BOOKKEEPING: Final = frozenset({
    "training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_hooks",
    "_backward_pre_hooks", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_is_full_backward_hook", "_is_full_hook",
    "_backend", "_version",
})  # fmt: skip
MAX_NAME: Final = 512
PART: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
FLAT_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}([./][A-Za-z0-9_-]{1,64}){0,15}")


class Flattener:
    """Builds the network records of one file.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tensors = TensorMaker(source)
        self.plain = Plain(source)

    def modules(self, record: Record) -> NetworkRecord:
        """Flatten a tree of torch modules.

        Raises:
            MalformedFileError: If a module is incomplete, or a name is invalid.
            UnsafeFileError: If modules contain themselves, or tensors exceed their storage.
        """
        tensors: dict[str, Callable[[], Tensor]] = {}
        attributes: dict[str, Any] = {}
        for prefix, state in self._states(record, "", 0):
            own = self._named(state, "_parameters", prefix) + self._named(state, "_buffers", prefix)
            for name, view in own:
                if not isinstance(view, TensorView) or name in tensors:
                    raise self.malformed(name, f"want one tensor of that name, got {describe(view)}")
                tensors[name] = self.tensors.view(name, view)
            for key, value in state.items():
                if key not in BOOKKEEPING:
                    attributes[self._join(prefix, key)] = self.plain.value(value, f"{prefix}{key}")
        return self.network(record.class_name, tensors, attributes)

    def state_dict(self, class_name: str, state: dict[Any, Any]) -> NetworkRecord:
        """Read a flat dict of tensors; NumPy arrays count as tensors.

        Raises:
            MalformedFileError: If it holds other values, or a name is invalid.
            UnsafeFileError: If tensors exceed their storage.
        """
        tensors = {self.flat(key): self._tensor(str(key), value) for key, value in state.items()}
        return self.network(class_name, tensors, {})

    def malformed(self, where: str, found: str) -> MalformedFileError:
        """Make the error for a network with an invalid structure."""
        return MalformedFileError(
            f"{quote(where)}: {found}", where=self.source.path, fix="download the file again"
        )

    def _states(self, record: Record, prefix: str, depth: int) -> Iterator[tuple[str, dict[Any, Any]]]:
        self.plain.spend(prefix, depth)
        if record.state is None:
            raise self.malformed(prefix, f"{describe(record)} without its state")
        yield prefix, record.state
        for name, child in self._named(record.state, "_modules", prefix):
            if not isinstance(child, Record):
                raise self.malformed(name, f"want a module, got {describe(child)}")
            yield from self._states(child, f"{name}.", depth + 1)

    def _named(self, state: dict[Any, Any], part: str, prefix: str) -> list[tuple[str, Any]]:
        table = state.get(part)
        if not isinstance(table, dict):
            raise self.malformed(f"{prefix}{part}", f"want a dict, got {describe(table)}")
        self.plain.spend(prefix, 0, len(table))
        return [(self._join(prefix, key), value) for key, value in table.items() if value is not None]

    def _join(self, prefix: str, key: object) -> str:
        if not isinstance(key, str) or not PART.fullmatch(key):
            raise self.malformed(prefix, f"want a name of letters, digits and _, got {describe(key)}")
        if len(prefix) + len(key) > MAX_NAME:
            raise self.malformed(prefix, f"a name of more than {MAX_NAME} characters")
        return prefix + key

    def flat(self, key: object) -> str:
        """Check a tensor's name in a flat dict, and return it.

        Raises:
            MalformedFileError: If the name is invalid: a path, an unusual character, or too long.
        """
        if not isinstance(key, str) or not FLAT_NAME.fullmatch(key):
            raise self.malformed("state", f"want a tensor's name, got {describe(key)}")
        return key

    def _tensor(self, name: str, value: object) -> Callable[[], Tensor]:
        if isinstance(value, TensorView):
            return self.tensors.view(name, value)
        if isinstance(value, Array):
            return self.tensors.array(name, value)
        raise self.malformed(name, f"want a tensor, got {describe(value)}")

    def network(
        self, class_name: str, makers: Mapping[str, Callable[[], Tensor]], attributes: dict[str, Any]
    ) -> NetworkRecord:
        """Build a network record whose tensors are made on first access.

        Raises:
            MalformedFileError: If there are no tensors.
        """
        if not makers:
            raise self.malformed(class_name, "a network without a single tensor")
        return NetworkRecord(class_name, LazyTensors(makers), attributes)
