"""Detects by content which program wrote a checkpoint, and extracts its networks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.pickles.allowlist import NAMESPACE, PERSISTENT, TENSORFLOW_NETWORK
from metagan.checkpoints.pickles.flatten import MAX_JSON_NUMBERS, Flattener, jsonable
from metagan.checkpoints.pickles.inert import Array, Record, TensorView, describe
from metagan.errors import CheckpointError, UnknownArchitectureError
from metagan.values import printable

OFFICIAL: Final = "official network pickle (stylegan2-ada-pytorch, stylegan3)"
R3GAN: Final = "R3GAN network pickle"
TENSORFLOW: Final = "TensorFlow network pickle (stylegan2, stylegan2-ada)"
ROSINALITY: Final = "rosinality stylegan2-pytorch checkpoint"
LUCIDRAINS: Final = "lucidrains stylegan2_pytorch checkpoint"
STATE_DICT: Final = "bare state dict (torch)"

THE_GENERATOR: Final = "get the generator's network pickle, or the checkpoint that its training program wrote"
NOT_SO_OLD: Final = (
    "metagan reads StyleGAN2's configurations E and F, and StyleGAN2-ADA; look for one of those, such as "
    "stylegan2-*-config-f.pkl"
)

ROLES: Final = ("G", "D", "G_ema")
MAX_SIDE_CAR_BYTES: Final = 1 << 16
MAX_TABLES: Final = 64
MAX_DEPTH: Final = 3  # of dicts around a state dict, and of prefixes in it

# What people call the networks in their files, in lower case; and the modules that wrap one, which name nothing.
AVERAGES: Final = frozenset({
    "g_ema", "gs", "params_ema", "generator_ema", "netg_ema", "model_ema", "ema_model", "ema",
})  # fmt: skip
GENERATORS: Final = frozenset({
    "g", "params", "generator", "netg", "decoder", "model", "model_state_dict", "state_dict", "state",
})  # fmt: skip
DISCRIMINATORS: Final = frozenset({"d", "discriminator", "netd"})
WRAPPERS: Final = frozenset({"module", "_orig_mod"})  # DataParallel's, and torch.compile's
PREFIXES: Final = AVERAGES | GENERATORS | DISCRIMINATORS | WRAPPERS | {"encoder"}


def read_pickle(flattener: Flattener, top: object) -> Checkpoint:
    """Extract the networks from the object of a bare pickle.

    Raises:
        UnknownArchitectureError: If the pickle holds no networks of a known program.
        CheckpointError: If Flattener refuses the content.
    """
    if isinstance(top, tuple) and len(top) == 3 and all(_is_tensorflow(entry) for entry in top):
        return _tensorflow(flattener, dict(zip(ROLES, top, strict=True)))
    if isinstance(top, dict):
        records = {role: top[role] for role in ROLES if top.get(role) is not None}
        if records and all(isinstance(record, Record) for record in records.values()):
            return _official(flattener, top, records)
        if tables := _tables(top):
            return _state_dicts(flattener, top, tables)
    if isinstance(top, Record) and _is_tensorflow(top):
        return _one_tensorflow(flattener, top)
    if isinstance(top, Record) and _is_module(top):
        role = "D" if "discriminator" in top.class_name.lower() else "G_ema"
        return _official(flattener, {}, {role: top})
    found = describe(top) if not isinstance(top, dict) else f"a dict of {_key_list(top)}"
    raise _unknown(flattener, f"want a dict with 'G_ema', or three TensorFlow networks, got {found}")


def read_container(flattener: Flattener, top: object) -> Checkpoint:
    """Extract the networks from the object of a torch container.

    Raises:
        UnknownArchitectureError: If the file holds no networks of a known program.
        CheckpointError: If Flattener refuses the content.
    """
    if isinstance(top, dict) and _is_state_dict(top.get("g_ema")) and not _is_official(top["g_ema"]):
        return _rosinality(flattener, top)
    if isinstance(top, dict) and _is_state_dict(top.get("GAN")) and "version" in top:
        return _lucidrains(flattener, top)
    if isinstance(top, dict) and (tables := _tables(top)):
        return _state_dicts(flattener, top, tables)
    found = describe(top) if not isinstance(top, dict) else f"a dict of {_key_list(top)}"
    raise _unknown(flattener, f"want the state dict of a generator, got {found}")


def _official(flattener: Flattener, top: dict[Any, Any], records: dict[str, Record]) -> Checkpoint:
    origins = {record.origin == PERSISTENT for record in records.values()}
    networks = {role: flattener.modules(record) for role, record in records.items()}
    aside = {*ROLES, "augment_pipe", "G_opt_state", "D_opt_state"}
    facts = {key: value for key, value in top.items() if key not in aside}
    augment = top.get("augment_pipe")
    if isinstance(augment, Record) and augment.state is not None:
        facts["augment_pipe"] = augment.state.get("_init_kwargs")
    return _checkpoint(flattener, OFFICIAL if origins == {True} else R3GAN, networks, facts)


def _is_tensorflow(entry: object) -> bool:
    return isinstance(entry, Record) and entry.origin == TENSORFLOW_NETWORK


def _is_module(record: Record) -> bool:
    state = record.state or {}
    return isinstance(state.get("_modules"), dict) and isinstance(state.get("_parameters"), dict)


def _one_tensorflow(flattener: Flattener, record: Record) -> Checkpoint:
    """A network that was pickled alone."""
    state = record.state or {}
    function, name = state.get("build_func_name"), state.get("name")
    role = "D" if isinstance(function, str) and function.startswith("D_") else "G_ema"
    checkpoint = _tensorflow(flattener, {role: record})
    return (
        dataclasses.replace(checkpoint, names={role: _shown(name)}) if isinstance(name, str) else checkpoint
    )


def _tensorflow(flattener: Flattener, records: Mapping[str, Record]) -> Checkpoint:
    networks = {}
    for role, record in records.items():
        walk = _TensorFlowWalk(flattener)
        walk.visit(record, "", 0)
        name = walk.attributes["build_func_name"]
        title = name if isinstance(name, str) and name else record.class_name
        networks[role] = flattener.network(title, walk.tensors, walk.attributes)
    return _checkpoint(flattener, TENSORFLOW, networks, {})


class _TensorFlowWalk:
    """Collects one TensorFlow network with its components, "mapping" and "synthesis", under prefixed names."""

    def __init__(self, flattener: Flattener) -> None:
        self.flattener = flattener
        self.tensors: dict[str, Callable[[], Tensor]] = {}
        self.attributes: dict[str, Any] = {}

    def visit(self, record: Record, prefix: str, depth: int) -> None:
        self.flattener.plain.spend(prefix, depth)
        state = record.state or {}
        variables = _variables(self.flattener, state)
        _refuse_old_tensorflow(self.flattener, state, variables)
        for name, value in variables:
            key = self.flattener.flat(prefix + name)
            self.tensors[key] = _variable(self.flattener, key, value)
        for key in ("version", "name", "static_kwargs", "build_func_name"):
            value = self.flattener.plain.value(state.get(key), prefix + key)
            self.attributes[prefix.replace("/", ".") + key] = value
        components = state.get("components")
        for name, component in components.items() if isinstance(components, dict) else ():
            if not _is_tensorflow(component):
                found = f"want a TensorFlow network, got {describe(component)}"
                raise self.flattener.malformed(prefix, found)
            self.visit(component, self.flattener.flat(f"{prefix}{name}") + "/", depth + 1)


def _refuse_old_tensorflow(
    flattener: Flattener, state: dict[Any, Any], variables: list[tuple[str, object]]
) -> None:
    version = state.get("version")
    if type(version) is not int or version < 4:
        found = f"a TensorFlow network of version {describe(version)}: StyleGAN1 or ProGAN"
        raise _unknown(flattener, found, NOT_SO_OLD)
    if any("_lod" in name for name, _ in variables):
        found = "a TensorFlow StyleGAN2 of the progressive layout (configurations A to D)"
        raise _unknown(flattener, found, NOT_SO_OLD)


def _variables(flattener: Flattener, state: dict[Any, Any]) -> list[tuple[str, object]]:
    variables = state.get("variables")
    if not isinstance(variables, list):
        raise flattener.malformed("variables", f"want a list, got {describe(variables)}")
    flattener.plain.spend("variables", 0, len(variables))
    pairs = [entry for entry in variables if isinstance(entry, tuple) and len(entry) == 2]
    if len(pairs) != len(variables) or any(type(name) is not str for name, _ in pairs):
        raise flattener.malformed("variables", "want pairs of a name and a value")
    return pairs


def _variable(flattener: Flattener, name: str, value: object) -> Callable[[], Tensor]:
    if isinstance(value, float):
        return partial(torch.tensor, value, dtype=torch.float32)
    if isinstance(value, int) and abs(value) < 1 << 63:
        return partial(torch.tensor, value, dtype=torch.int64)
    if not isinstance(value, Array):
        raise flattener.malformed(name, f"want an array, got {describe(value)}")
    return flattener.tensors.array(name, value)


def _rosinality(flattener: Flattener, top: dict[Any, Any]) -> Checkpoint:
    tables = {role: top.get(key) for role, key in zip(ROLES, ("g", "d", "g_ema"), strict=True)}
    networks = {}
    for role, table in tables.items():
        if isinstance(table, dict):
            average = {"latent_avg": top["latent_avg"]} if role == "G_ema" and "latent_avg" in top else {}
            networks[role] = flattener.state_dict(
                "Discriminator" if role == "D" else "Generator", _unwrapped(table) | average
            )
    aside = {"g", "d", "g_ema", "g_optim", "d_optim", "latent_avg"}
    facts = {key: value for key, value in top.items() if key not in aside}
    arguments = top.get("args")
    if isinstance(arguments, Record) and arguments.origin == NAMESPACE:
        facts["args"] = arguments.state
    return _checkpoint(flattener, ROSINALITY, networks, facts)


def _lucidrains(flattener: Flattener, top: dict[Any, Any]) -> Checkpoint:
    table = top["GAN"]
    prefixes = {"G": ("S.", "G."), "D": ("D.",), "G_ema": ("SE.", "GE.")}
    networks = {}
    for role, starts in prefixes.items():
        part = {key: value for key, value in table.items() if isinstance(key, str) and key.startswith(starts)}
        if part:
            networks[role] = flattener.state_dict("Discriminator" if role == "D" else "Generator", part)
    facts = {"version": top["version"]}
    beside = flattener.source.path.parent / ".config.json"
    if beside.is_file():
        facts["config"] = options = _side_car(beside)
        networks = {
            role: dataclasses.replace(network, attributes={"config": options})
            for role, network in networks.items()
        }
    return _checkpoint(flattener, LUCIDRAINS, networks, facts)


def _side_car(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return json.loads(file.read(MAX_SIDE_CAR_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"want lucidrains' options as JSON: {error}", where=path, fix="download it again"
        ) from error


def _tables(top: dict[Any, Any]) -> dict[str, dict[Any, Any]]:
    """All state dicts in these dicts, each under the names that lead to it, "state_dict.G_ema"; "" for the top's own.

    Optimisers' states are left out, and what is nested deeper or wider than anybody's networks are.
    """
    found: dict[str, dict[Any, Any]] = {}
    seen: set[int] = set()

    def visit(value: dict[Any, Any], name: str, depth: int) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if _is_state_dict(value):
            found.update(_split(value, name))
        elif depth < MAX_DEPTH and len(value) <= MAX_TABLES:
            for key, entry in value.items():
                if isinstance(key, str) and isinstance(entry, dict) and not _is_optimizer(key):
                    visit(entry, _joined(name, key), depth + 1)

    visit(top, "", 0)
    return found


def _is_optimizer(key: str) -> bool:
    return "optim" in key.lower() or key.lower().startswith("opt")


def _split(table: dict[Any, Any], name: str, depth: int = 0) -> dict[str, dict[Any, Any]]:
    """A state dict by the prefixes of its keys, "generator.", "D.", where every key has a known one."""
    parts: dict[str, dict[Any, Any]] = {}
    for key, value in table.items():
        prefix, dot, rest = key.partition(".") if isinstance(key, str) else ("", "", "")
        if not dot or not rest or prefix.lower() not in PREFIXES or depth == MAX_DEPTH:
            return {name: table}
        parts.setdefault(prefix, {})[rest] = value
    return {
        path: inner
        for prefix, part in parts.items()
        for path, inner in _split(part, _joined(name, prefix), depth + 1).items()
    }


def _unwrapped(table: dict[Any, Any]) -> dict[Any, Any]:
    """A network's state dict without the prefixes that all of its keys share."""
    parts = _split(table, "")
    return next(iter(parts.values())) if len(parts) == 1 else table


def _joined(name: str, part: str) -> str:
    if part.lower() in WRAPPERS:
        return name
    return f"{name}.{part}" if name else part


def _state_dicts(flattener: Flattener, top: dict[Any, Any], tables: dict[str, dict[Any, Any]]) -> Checkpoint:
    """Networks under names that somebody chose, by the roles that these names suggest."""
    names: dict[str, str] = {}
    for name in tables:
        role = _role(name)
        names[name if role is None or role in names else role] = name
    if len(names) == 1 and "D" not in names:
        names = {"G_ema": next(iter(tables))}
    networks = {}
    for role, name in names.items():
        table, mean = tables[name], top.get("latent_avg")
        if role != "D" and "input.input" in table and isinstance(mean, TensorView):
            table = table | {"latent_avg": mean}
        networks[_shown(role)] = flattener.state_dict("", table)
    shown = {_shown(role): _shown(name) for role, name in names.items() if name}
    return dataclasses.replace(_checkpoint(flattener, STATE_DICT, networks, {}), names=shown)


def _role(name: str) -> str | None:
    """The role that a name such as "state_dict.G_ema" suggests; None for a name that says nothing."""
    words = set(name.lower().split("."))
    if words & DISCRIMINATORS:
        return "D"
    if words & AVERAGES:
        return "G_ema"
    return "G" if words & GENERATORS and "encoder" not in words else None


def _shown(name: str) -> str:
    return printable(name[:100])


def _is_official(table: dict[Any, Any]) -> bool:
    return any(isinstance(key, str) and key.endswith("synthesis.b4.const") for key in table)


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(entry, TensorView) for entry in value.values())
    )


def _checkpoint(
    flattener: Flattener, form: str, networks: Mapping[str, NetworkRecord], facts: Mapping[Any, Any]
) -> Checkpoint:
    told = {printable(str(key)): _fact(flattener, str(key), value) for key, value in facts.items()}
    return Checkpoint(flattener.source.path, form, networks, None, told)


def _fact(flattener: Flattener, name: str, value: object) -> Any:
    if isinstance(value, TensorView) and value.storage.numel <= MAX_JSON_NUMBERS:
        return jsonable(flattener.tensors.view(name, value)().tolist())
    return jsonable(flattener.plain.value(value, name))


def _key_list(top: dict[Any, Any]) -> str:
    keys = [describe(key) for key in islice(top, 8)]
    return ", ".join(keys) + (f" and {len(top) - 8} more" if len(top) > 8 else "") if keys else "nothing"


def _unknown(flattener: Flattener, found: str, fix: str = THE_GENERATOR) -> UnknownArchitectureError:
    return UnknownArchitectureError(found, where=flattener.source.path, fix=fix)
