"""Networks filled with tensors that a file brought, every key and every shape accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metagan.checkpoints.pickles.plain import printable
from metagan.errors import MalformedFileError, UnknownArchitectureError

M = TypeVar("M", bound=nn.Module)
SHOWN_KEYS = 4
SHOWN_CHARACTERS = 100  # of one key


@dataclass(frozen=True)
class Fit:
    """How well a record's keys fit an architecture.

    Args:
        expected: Every key that the architecture wants.
        missing: Those of them that aren't there, in the architecture's order.
        unexpected: Keys that the architecture doesn't know, in the file's order.
    """

    expected: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def matched(self) -> int:
        """How many of the expected keys are there."""
        return self.expected - len(self.missing)

    def __str__(self) -> str:
        parts = [f"{self.matched} of {self.expected} keys"]
        for word, keys in (("missing", self.missing), ("not known", self.unexpected)):
            if keys:
                parts.append(f"{word} {shortened(keys)}")
        return "; ".join(parts)


def shortened(keys: tuple[str, ...]) -> str:
    """The first few of these keys, and how many more there are."""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(printable(key[:SHOWN_CHARACTERS]) for key in keys[:SHOWN_KEYS]) + more


def fit(there: Mapping[str, object], wanted: Mapping[str, object]) -> Fit:
    """Compare the keys that are there with the wanted ones."""
    return Fit(
        expected=len(wanted),
        missing=tuple(key for key in wanted if key not in there),
        unexpected=tuple(key for key in there if key not in wanted),
    )


def require_fit(there: Mapping[str, object], wanted: Mapping[str, object], title: str) -> None:
    """Refuse tensors of which one is missing or unknown.

    Raises:
        UnknownArchitectureError: Names the architecture with the matched, missing and unknown keys.
    """
    result = fit(there, wanted)
    if result.missing or result.unexpected:
        msg = f"no known architecture; nearest is {title} ({result})"
        raise UnknownArchitectureError(msg)


def assemble(make: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """Build a network around tensors by our own names, without initialising it first.

    Args:
        make: Builds the network; called with the meta device as default, so that nothing is allocated.
        tensors: All of its parameters and buffers; half precision is widened to float32.

    Returns:
        The network, in evaluation mode, its parameters not asking for gradients.

    Raises:
        UnknownArchitectureError: Keys are missing or unknown.
        MalformedFileError: Tensors have other shapes than their neighbours imply, or hold no floats.
    """
    _require_numbers(tensors)
    with shapes_only():
        network = make()
    wanted = network.state_dict()
    require_fit(tensors, wanted, type(network).__name__)
    wrong = tuple(
        f"{name} is {list(tensors[name].shape)}, want {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if tensors[name].shape != tensor.shape
    )
    if wrong:
        msg = (
            f"tensors don't fit together ({len(wanted) - len(wrong)} of {len(wanted)} do): {shortened(wrong)}"
        )
        raise MalformedFileError(msg)
    network.load_state_dict({name: _as_float(name, tensor) for name, tensor in tensors.items()}, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """While it lasts, new tensors are on the meta device: shapes without memory, and without chance's numbers."""
    with torch.device("meta"), _ShapeRules():
        yield


def _shape_of(value: object) -> torch.Size:
    return value.shape if isinstance(value, Tensor) else torch.Size()


def _drawn(*size: Any, **_: object) -> Tensor:
    return torch.empty(*size)


def _elementwise(left: object, right: object) -> Tensor | None:
    shapes = {_shape_of(left), _shape_of(right)} - {torch.Size()}
    return torch.empty(next(iter(shapes), torch.Size())) if len(shapes) < 2 else None


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return torch.empty(len(left), len(right))


def _square(side: int) -> Tensor:
    return torch.empty(side, side)


def _filled(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


# What constructors do with tensors. torch knows the shapes, too, but takes a second of processor time to load sympy
# and its own rules when the first of these is asked for.
_SHAPES: dict[object, Callable[..., Tensor | None]] = {
    torch.randn: _drawn, torch.rand: _drawn, torch.outer: _outer, torch.eye: _square, torch.Tensor.uniform_: _filled,
    **dict.fromkeys((torch.Tensor.div, torch.Tensor.sub, torch.Tensor.mul, torch.Tensor.add), _elementwise),
}  # fmt: skip


class _ShapeRules(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        rule, kwargs = _SHAPES.get(func), kwargs or {}
        made = rule(*args, **kwargs) if rule else None
        return func(*args, **kwargs) if made is None else made


def _require_numbers(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors without a number in them, before their sizes are divided by."""
    empty = tuple(f"{name} is {list(tensor.shape)}" for name, tensor in tensors.items() if not tensor.numel())
    if empty:
        msg = f"tensors without a number in them: {shortened(empty)}"
        raise MalformedFileError(msg)


def _as_float(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        msg = f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, want floating-point numbers"
        raise MalformedFileError(msg)
    return tensor.float()
