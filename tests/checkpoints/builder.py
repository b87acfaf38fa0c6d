"""Writes small weights files in the official pickles' layout, with Python's own pickler and stand-in classes.

The stand-ins carry the module and class names of the official files; nothing here knows how metagan reads.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

STUB_SOURCE = "# stub: source removed"


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("only named in pickles, never called")


class EasyDict(dict):
    """Named dnnlib.util.EasyDict in pickles."""


class Network:
    """Named dnnlib.tflib.network.Network in pickles."""


class Module:
    """A torch module of an official pickle: state by name, reduced to a persistence record."""

    def __init__(self, class_name: str, version: int = 6, **attributes: Any) -> None:
        self.class_name = class_name
        self.version = version
        self.state: dict[str, Any] = {
            "training": False,
            "_parameters": OrderedDict(),
            "_buffers": OrderedDict(),
            "_non_persistent_buffers_set": set(),
            "_backward_hooks": OrderedDict(),
            "_modules": OrderedDict(),
            **attributes,
        }

    def child(self, name: str) -> Module:
        """The submodule of that name, made where there is none."""
        return self.state["_modules"].setdefault(name, Module("Layer"))

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": STUB_SOURCE,
            "class_name": self.class_name,
            "state": self.state,
        }
        return _reconstruct_persistent_obj, (meta,)


_NAMES = (
    (_reconstruct_persistent_obj, "torch_utils.persistence"),
    (EasyDict, "dnnlib.util"),
    (Network, "dnnlib.tflib.network"),
)


@contextmanager
def imitated_names() -> Iterator[None]:
    """While it lasts, Python's pickler finds the stand-ins under the official names, as it insists on."""
    made = []
    for thing, module in _NAMES:
        parts = module.split(".")
        for name in (".".join(parts[: count + 1]) for count in range(len(parts))):
            if name not in sys.modules:
                sys.modules[name] = ModuleType(name)
                made.append(name)
        thing.__module__ = module
        setattr(sys.modules[module], thing.__qualname__, thing)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def module_tree(
    tensors: Mapping[str, Tensor],
    attributes: Mapping[str, Any] | None = None,
    *,
    buffers: frozenset[str] = frozenset(),
    class_name: str = "Generator",
    version: int = 6,
) -> Module:
    """A tree of modules from dotted names.

    Args:
        tensors: By dotted name, "synthesis.b4.const".
        attributes: By dotted name, "_init_kwargs", "synthesis.b8.conv0.up".
        buffers: Names of tensors that are buffers, not parameters.
        class_name: The outermost module's class.
        version: Of the persistence records.
    """
    root = Module(class_name, version)
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        kind = "_buffers" if name in buffers else "_parameters"
        value = tensor if name in buffers else torch.nn.Parameter(tensor, requires_grad=False)
        _walk(root, path).state[kind][last] = value
    for name, value in (attributes or {}).items():
        *path, last = name.split(".")
        _walk(root, path).state[last] = value
    return root


def _walk(module: Module, path: list[str]) -> Module:
    for name in path:
        module = module.child(name)
    return module


def pickled(content: Any, protocol: int = 4) -> bytes:
    """Pickle anything that holds stand-ins."""
    stream = io.BytesIO()
    with imitated_names():
        pickle.dump(content, stream, protocol=protocol)
    return stream.getvalue()


def write_official_pickle(
    path: Path,
    tensors: Mapping[str, Tensor],
    attributes: Mapping[str, Any] | None = None,
    *,
    roles: tuple[str, ...] = ("G", "G_ema"),
    buffers: frozenset[str] = frozenset(),
    protocol: int = 4,
    **facts: Any,
) -> Path:
    """Write an official-layout network pickle with the same network in every role.

    Args:
        path: The file.
        tensors: By dotted name.
        attributes: By dotted name.
        roles: The pickle's keys that get the network.
        buffers: Names of tensors that are buffers, not parameters.
        protocol: The pickle's protocol, 2 to 5.
        facts: Further top-level entries, such as `training_set_kwargs`.
    """
    network = {role: module_tree(tensors, attributes, buffers=buffers) for role in roles}
    path.write_bytes(pickled({**network, **facts}, protocol))
    return path
