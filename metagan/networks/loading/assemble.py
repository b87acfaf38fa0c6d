"""Builds networks around a file's tensors, checking every key and shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.values import printable

M = TypeVar("M", bound=nn.Module)
SHOWN_KEYS = 4
SHOWN_CHARACTERS = 100  # of one key


@dataclass(frozen=True)
class Fit:
    """How well a record's keys match an architecture.

    Args:
        expected: Every key of the architecture.
        missing: Those that the record lacks, in the architecture's order.
        unexpected: Keys that the architecture doesn't have, in the file's order.
    """

    expected: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def matched(self) -> int:
        """Number of expected keys that the record has."""
        return self.expected - len(self.missing)

    def __str__(self) -> str:
        parts = [f"{self.matched} of {self.expected} keys"]
        for word, keys in (("missing", self.missing), ("not known", self.unexpected)):
            if keys:
                parts.append(f"{word} {shortened(keys)}")
        return "; ".join(parts)


def shortened(keys: tuple[str, ...]) -> str:
    """Format the first few keys, and the number of further ones."""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(printable(key[:SHOWN_CHARACTERS]) for key in keys[:SHOWN_KEYS]) + more


def fit(there: Mapping[str, object], wanted: Mapping[str, object]) -> Fit:
    """Compare existing keys with the expected ones."""
    return Fit(
        expected=len(wanted),
        missing=tuple(key for key in wanted if key not in there),
        unexpected=tuple(key for key in there if key not in wanted),
    )


def require_fit(there: Mapping[str, object], wanted: Mapping[str, object], title: str) -> None:
    """Refuse tensors if any is missing or unknown.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown. The message counts and names them.
    """
    result = fit(there, wanted)
    if result.missing or result.unexpected:
        msg = f"no known architecture; nearest is {title} ({result})"
        raise UnknownArchitectureError(msg)


def assemble(make: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """Build a network around tensors under our names, without initialising it first.

    Args:
        make: Builds the network; called with the meta device as default, so that nothing is allocated.
        tensors: All of its parameters and buffers; half precision is converted to float32.

    Returns:
        The network, in evaluation mode, with parameters that don't require gradients.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown.
        MalformedFileError: If tensors' shapes don't fit each other, or tensors are not floats.
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
    """Create new tensors on the meta device: shapes without memory or random initialisation."""
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


# The operations that constructors use. torch's meta device supports them too, but its first use takes a second of CPU
# time to load sympy and its rules.
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
    """Refuse empty tensors, before dividing by their sizes."""
    empty = tuple(f"{name} is {list(tensor.shape)}" for name, tensor in tensors.items() if not tensor.numel())
    if empty:
        msg = f"tensors without a number in them: {shortened(empty)}"
        raise MalformedFileError(msg)


def _as_float(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        msg = f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, want floating-point numbers"
        raise MalformedFileError(msg)
    single = tensor.float()
    if tensor.dtype == torch.float64 and torch.isinf(single).any() and not torch.isinf(tensor).any():
        raise MalformedFileError(f"{name} holds numbers beyond single precision")
    return single
