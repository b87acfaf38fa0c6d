"""CUDA graphs on the CPU: every tensor operation of a call is recorded, and repeated on the same memory.

As with CUDA graphs, Python is not run again: what a part reads must be at the address that it was recorded with, and
numbers that Python took out of tensors are baked in.
"""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    """Records operations, and what undoes their effects on memory and on generators of random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = []
        self._overwritten, self._generators = [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert "_local_scalar_dense" not in str(func), "a recorded part must not read a tensor's value"
        for index, argument in enumerate(func._schema.arguments):
            given = args[index] if index < len(args) else kwargs.get(argument.name)
            if argument.alias_info is not None and argument.alias_info.is_write:
                tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor)]
                self._overwritten += [(tensor, tensor.clone()) for tensor in tensors]
            if isinstance(given, torch.Generator):
                self._generators.setdefault(given, given.get_state())
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    @torch.no_grad()
    def undo(self) -> None:
        for tensor, before in reversed(self._overwritten):
            tensor.copy_(before)
        for generator, state in self._generators.items():
            generator.set_state(state)


class CpuGraph:
    """What was recorded of a call.

    Attributes:
        replays: How many times it was replayed.
    """

    def __init__(self, part: Callable[[], None]) -> None:
        self.replays = 0
        with _Recorder() as recorder:
            part()
        recorder.undo()  # CUDA graphs do nothing either while they are captured
        self._operations = recorder.operations

    @torch.no_grad()
    def replay(self) -> None:
        """Repeat the operations, each into the memory that its result had."""
        self.replays += 1
        for func, args, kwargs, results in self._operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class CpuGraphs:
    """A GraphRunner's `capture`, which keeps the graphs.

    Attributes:
        graphs: All that were captured.
    """

    def __init__(self) -> None:
        self.graphs: list[CpuGraph] = []

    def __call__(self, part: Callable[[], None]) -> CpuGraph:
        self.graphs.append(CpuGraph(part))
        return self.graphs[-1]

    @property
    def replays(self) -> int:
        """How many times any of them was replayed."""
        return sum(graph.replays for graph in self.graphs)
