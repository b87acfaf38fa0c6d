"""Reads and writes the state file: everything needed to resume a run, in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from metagan.errors import MalformedFileError, TrainingError
from metagan.files import replacing

FACTS_KEY = "metagan_training_state"
VERSION = 1


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a state file atomically, flushed to the disk first.

    Args:
        path: The file; an existing one is replaced.
        tensors: By name.
        facts: JSON-like values.

    Raises:
        TrainingError: If it can't be written; the previous state is kept.
    """
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps({"version": VERSION, **facts}, allow_nan=False)
    try:
        with replacing(path) as beside:
            save_file(whole, beside, metadata={FACTS_KEY: text})
            with beside.open("rb") as file:
                os.fsync(file.fileno())
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the state can't be written ({error}); the previous one is untouched",
            fix="free some space and go on",
            where=path,
        ) from error


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a state file's tensors and facts.

    Raises:
        MalformedFileError: If it is damaged, or not a state file of this version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        facts = json.loads(metadata.get(FACTS_KEY, "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise _malformed(path, str(error)) from error
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise _malformed(path, f"no training state of version {VERSION}")
    return tensors, facts


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(
        found, where=path, fix="start a new run in another folder; its snapshots are still good for sampling"
    )
