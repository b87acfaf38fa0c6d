"""Reads and writes the state file: everything needed to resume a run, in one safetensors file with a checksum.

The state before the newest one is kept beside it (state.previous.safetensors), for the case that the newest is damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from metagan.checkpoints.safetensors import TRAINING_STATE_KEY
from metagan.errors import MalformedFileError, TrainingError
from metagan.files import replacing, utf8_path

SHA256_KEY: Final = "sha256"
VERSION: Final = 2
VERSION_WITHOUT_SHA256: Final = 1
_FIX: Final = "put back a copy of it, or choose another --out, with --start and this run's latest.safetensors"


@dataclass(frozen=True)
class State:
    """A run's state.

    Args:
        tensors: What the trainer's `tensors` returned.
        facts: What its `facts` returned, and the run's own.
        note: Why it isn't the newest state, for people; empty if it is.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    note: str = ""


def previous_state(path: Path) -> Path:
    """Where the state before the newest one is kept: state.previous.safetensors."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def has_state(path: Path) -> bool:
    """Whether a state was written under this path, the newest or the one before it."""
    return path.exists() or previous_state(path).exists()


def write_state(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, keep: bool = True
) -> None:
    """Write a state file atomically, flushed to the disk first.

    Args:
        path: The file.
        tensors: By name.
        facts: JSON-like values.
        keep: Whether an existing file becomes the previous state; otherwise it is replaced. Keep no damaged one.

    Raises:
        TrainingError: If it can't be written; the states that are there stay.
    """
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps({"version": VERSION, **facts}, allow_nan=False)
    try:
        with replacing(path) as beside:
            save_file(whole, beside, metadata={TRAINING_STATE_KEY: text, SHA256_KEY: _sha256(whole, text)})
            beside.chmod(0o644)  # the library makes files private; the run folder's others aren't
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            if keep and path.exists():
                path.replace(previous_state(path))
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the state can't be written ({error}); the previous one is untouched",
            fix="free some space and go on",
            where=path,
        ) from error


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a state file's tensors and facts.

    Raises:
        MalformedFileError: If it is damaged, or not a state file of a known version.
    """
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        text = metadata.get(TRAINING_STATE_KEY, "null")
        facts = json.loads(text)
    except (SafetensorError, OSError, ValueError) as error:
        raise _malformed(path, f"damaged or incomplete ({error})") from error
    version = facts.get("version") if isinstance(facts, dict) else None
    if version not in (VERSION, VERSION_WITHOUT_SHA256):
        raise _malformed(path, f"no training state of version {VERSION}")
    if version != VERSION_WITHOUT_SHA256 and metadata.get(SHA256_KEY) != _sha256(tensors, text):
        raise _malformed(path, "damaged: its content doesn't match its checksum")
    return tensors, facts


def read_last_state(path: Path) -> State:
    """Read a run's newest state that is whole: the one before it if the newest is damaged or missing.

    Raises:
        MalformedFileError: If neither is whole.
    """
    previous = previous_state(path)
    try:
        return State(*read_state(path))
    except MalformedFileError as error:
        if not previous.exists():
            raise
        found = error.what if path.exists() else "missing"
        try:
            tensors, facts = read_state(previous)
        except MalformedFileError as other:
            what = f"{found}; and the state before it, {previous.name}: {other.what}"
            raise _malformed(path, what) from other
    return State(tensors, facts, f"{path}: {found}; using the state before it, {previous.name}")


def is_state(path: Path) -> bool:
    """Whether a file is a run's state, by its header; a damaged one beside its previous state is one too."""
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            return TRAINING_STATE_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return path.suffix == ".safetensors" and previous_state(path).exists()


def _sha256(tensors: Mapping[str, Tensor], text: str) -> str:
    """Hash facts, and names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(found, where=path, fix=_FIX)
