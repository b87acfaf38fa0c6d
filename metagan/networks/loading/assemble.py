"""Reads sizes from a record's tensors, and builds networks around them, checking every key and shape.

Metadata are only used if the tensors' shapes confirm them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.source import quote
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.mapping import MappingConfig
from metagan.networks.ops import ACTIVATIONS
from metagan.values import printable

# --------------------------------------------------------------------------------------------
# Sizes, and mapping networks, which all official records have in common

NameTable = dict[str, str | None]
M = TypeVar("M", bound=nn.Module)
MAX_MAPPING_LAYERS = 64
MAX_SIZE = 2**20
MAX_NUMBER = 1e6


class Shapes:
    """Reads sizes from a record. Missing tensors read as a size no network has, and are then reported as missing."""

    def __init__(self, record: NetworkRecord) -> None:
        self.tensors = record.tensors
        self.attributes = record.attributes

    def size(self, name: str, axis: int, default: int = 1) -> int:
        """Return the size of one axis of a tensor."""
        tensor = self.tensors.get(name)
        return default if tensor is None or tensor.ndim <= axis else int(tensor.shape[axis])

    def shape(self, names: Iterable[str], default: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the first of these tensors that exists."""
        return next((tuple(self.tensors[name].shape) for name in names if name in self.tensors), default)

    def block_resolutions(self, prefix: str) -> list[int]:
        """Return the resolutions of blocks "b4", "b8" ... under a prefix."""
        pattern = re.compile(re.escape(prefix) + r"b(\d{1,6})\.")
        return sorted({int(match[1]) for name in self.tensors if (match := pattern.match(name))})

    def layers(self, stem: str) -> int:
        """Return the number of layers stem0, stem1, ..."""
        count = 0
        while f"{stem}{count}.weight" in self.tensors:
            count += 1
        return count

    def stated(self, attribute: str, layers: Iterable[str], default: object) -> Any:
        """Return the value that these layers state for an attribute; the default if they state none.

        Raises:
            MalformedFileError: If they state different values.
        """
        found = {
            repr(value): value
            for layer in layers
            for value in [self.attributes.get(f"{layer}.{attribute}", default)]
        }
        if len(found) > 1:
            msg = f"layers disagree about {attribute}: {', '.join(sorted(found))}; metagan wants one for all of them"
            raise MalformedFileError(msg)
        return next(iter(found.values()), default)


def stated_activation(shapes: Shapes, layers: Iterable[str]) -> str:
    """Return the activation that all these layers state."""
    name = shapes.stated("activation", layers, "lrelu")
    if isinstance(name, str) and name in ACTIVATIONS:
        return name
    msg = f"unknown activation {name!r:.60}; want one of {', '.join(ACTIVATIONS)}"
    raise MalformedFileError(msg)


def stated_clamp(shapes: Shapes, layers: Iterable[str]) -> float | None:
    """Return the clamp of outputs that all these layers state."""
    clamp = shapes.stated("conv_clamp", layers, None)
    return None if clamp is None else positive("conv_clamp", clamp)


def positive(name: str, value: object) -> float:
    """Check that a number in a file is positive, and return it.

    Raises:
        MalformedFileError: If it is not a positive number.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MAX_NUMBER:
        return float(value)
    raise MalformedFileError(f"want a number above 0, got {value!r:.60}", where=name)


def require_stated(shapes: Shapes, facts: Iterable[tuple[str, object]]) -> None:
    """Refuse a file whose attributes, if present, contradict its tensors.

    Raises:
        MalformedFileError: If any attribute does. The message names all of them.
    """
    wrong = [
        f"{name} is {shapes.attributes[name]!r:.40}, its tensors say {value}"
        for name, value in facts
        if name in shapes.attributes and not agrees(shapes.attributes[name], value)
    ]
    if wrong:
        msg = f"the file contradicts itself: {'; '.join(wrong)}"
        raise MalformedFileError(msg)


@dataclass(frozen=True)
class OneOf:
    """Values of which a file may state any, because programs differ in what they mean by a name.

    Args:
        values: The values; tuples for lists.
        shown: What the tensors say, for messages.
    """

    values: tuple[object, ...]
    shown: str

    def __str__(self) -> str:
        return self.shown


def agrees(stated: object, value: object) -> bool:
    """Return whether a value from the file, of any type, is this one, or one of these."""
    values = value.values if isinstance(value, OneOf) else (value,)
    return any(is_same(stated, each) for each in values)


def is_same(stated: object, value: object) -> bool:
    """Return whether a value from the file, of any type, equals this one, or is a list of these; arrays never do."""
    if isinstance(stated, list | tuple) and isinstance(value, tuple) and len(stated) == len(value):
        return all(map(is_same, stated, value))
    return isinstance(stated, bool | int | float | str) and stated == value


def dense_names(foreign: str, ours: str) -> NameTable:
    """Map the names of a dense layer's or convolution's weight and bias."""
    return {f"{foreign}.weight": f"{ours}.weight", f"{foreign}.bias": f"{ours}.bias"}


def mapping_names(layers: int, *, conditional: bool, has_mean_style: bool) -> NameTable:
    """Map the name of every tensor of an official mapping network to ours."""
    names: NameTable = {}
    if has_mean_style:
        names["mapping.w_avg"] = "mapping.mean_style"
    if conditional:
        names |= dense_names("mapping.embed", "mapping.embed")
    for index in range(layers):
        names |= dense_names(f"mapping.fc{index}", f"mapping.layers.{index}")
    return names


def mapping_config(shapes: Shapes, z_dim: int | None = None) -> MappingConfig:
    """Infer the mapping network's configuration from its tensors; z_dim is 0 in a discriminator.

    Raises:
        MalformedFileError: If its layers disagree, or state invalid values.
    """
    layers = shapes.layers("mapping.fc")
    c_dim, embed_dim = shapes.size("mapping.embed.weight", 1, 0), shapes.size("mapping.embed.weight", 0, 0)
    width_in = shapes.size("mapping.fc0.weight", 1)
    names = [f"mapping.fc{index}" for index in range(layers)]
    wanted = layers if z_dim == 0 else max(layers, 1)
    return MappingConfig(
        z_dim=width_in - embed_dim if z_dim is None else z_dim,
        c_dim=c_dim,
        embed_dim=embed_dim,
        widths=tuple(shapes.size(f"mapping.fc{index}.weight", 0) for index in range(wanted)),
        activation=stated_activation(shapes, names),
        lr_multiplier=positive("bias_gain", shapes.stated("bias_gain", names, 0.01)),
        has_mean_style="mapping.w_avg" in shapes.tensors,
    )


def is_sane(mapping: MappingConfig) -> bool:
    """Return whether a mapping network of this configuration can be built quickly."""
    return (
        len(mapping.widths) <= MAX_MAPPING_LAYERS
        and are_sizes(mapping.z_dim + mapping.embed_dim, *mapping.widths)
        and all(0 <= size < MAX_SIZE for size in (mapping.c_dim, mapping.embed_dim, mapping.z_dim))
        and (mapping.c_dim > 0) == (mapping.embed_dim > 0)
        and mapping.activation in ACTIVATIONS
        and are_positive(mapping.lr_multiplier)
    )


def are_positive(*numbers: float | None) -> bool:
    """Return whether all numbers that are not None are positive and in range."""
    return all(0 < number < MAX_NUMBER for number in numbers if number is not None)


def are_sizes(*sizes: int) -> bool:
    """Return whether all of these are valid sizes of a tensor's axes."""
    return all(0 < size < MAX_SIZE for size in sizes)


def fill(record: NetworkRecord, names: NameTable, title: str, make: Callable[[], M]) -> M:
    """Build a network from a record's tensors, checking each of its keys.

    Args:
        record: The network as described in its file.
        names: Every key of such a network, with our name for it.
        title: The format's title, for messages.
        make: Builds the network, as in `assemble`.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown.
        MalformedFileError: If shapes don't fit together.
    """
    require_fit(record.tensors, names, title)
    return assemble(make, rename(record.tensors, names))


def rename(tensors: Mapping[str, Tensor], names: NameTable) -> dict[str, Tensor]:
    """Return the tensors under our names, without the dropped ones."""
    return {
        ours: tensors[foreign] for foreign, ours in names.items() if ours is not None and foreign in tensors
    }


# --------------------------------------------------------------------------------------------
# Building
SHOWN_KEYS = 4
SHOWN_CHARACTERS = 100  # of one key


@dataclass(frozen=True)
class KeyMatch:
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


def match_keys(there: Mapping[str, object], wanted: Mapping[str, object]) -> KeyMatch:
    """Compare existing keys with the expected ones."""
    return KeyMatch(
        expected=len(wanted),
        missing=tuple(key for key in wanted if key not in there),
        unexpected=tuple(key for key in there if key not in wanted),
    )


def require_fit(there: Mapping[str, object], wanted: Mapping[str, object], title: str) -> None:
    """Refuse tensors if any is missing or unknown.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown. The message counts and names them.
    """
    result = match_keys(there, wanted)
    if result.missing or result.unexpected:
        msg = f"no known architecture; nearest is {title} ({result})"
        raise UnknownArchitectureError(msg)


def require_finite(record: NetworkRecord, path: Path) -> None:
    """Refuse a network with weights that are NaN or infinite.

    Raises:
        MalformedFileError: If a tensor has NaN or infinity. The message names all such tensors.
    """
    wrong = [name for name, tensor in record.tensors.items() if not _is_finite(tensor)]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise MalformedFileError(
            f"NaN or infinity in {', '.join(map(quote, wrong[:5]))}{more}; want finite numbers",
            where=path,
            fix="the training went wrong; take an earlier snapshot",
        )


def _is_finite(tensor: Tensor) -> bool:
    """Return whether all values are finite. A finite sum implies that, and takes a tenth of the time."""
    if tensor.element_size() == 1 and tensor.is_floating_point():  # PyTorch doesn't add all of these up
        tensor = tensor.float()
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


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
