"""What is in a weights file, for people and for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint, sha256_of, size_of
from metagan.errors import CheckpointError
from metagan.networks.detect import describe, describe_training, load_generator, notes_on, title_of


def summarize(path: Path) -> dict[str, Any]:
    """Everything that `metagan inspect` says of a file, as JSON-like values.

    A file that can be read but not sampled is described all the same; "problem" then says why.

    Raises:
        CheckpointError: The file can't be read at all.
    """
    checkpoint = read_checkpoint(path)
    summary: dict[str, Any] = {
        "file": str(path),
        "format": checkpoint.format,
        "size_bytes": size_of(path),
        "sha256": sha256_of(path),
    }
    summary |= _generator_facts(checkpoint)
    if checkpoint.header:
        summary |= {"licence": checkpoint.header.licence, "source": checkpoint.header.source}
    summary["networks"] = {role: _network_facts(record) for role, record in checkpoint.networks.items()}
    summary["training"] = describe_training(checkpoint)
    return summary


def _generator_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        generator = load_generator(checkpoint)
    except CheckpointError as error:
        return {"architecture": None, "problem": str(error)}
    return {
        "architecture": title_of(generator),
        "resolution": generator.resolution,
        "image_channels": generator.image_channels,
        "z_dim": generator.z_dim,
        "w_dim": getattr(generator, "w_dim", None),
        "c_dim": generator.c_dim,
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "configuration": dict(describe(generator).configuration),
        "notes": list(notes_on(checkpoint)),
    }


def _network_facts(record: NetworkRecord) -> dict[str, Any]:
    return {
        "class": record.class_name,
        "tensors": len(record.tensors),
        "numbers": sum(tensor.numel() for tensor in record.tensors.values()),
    }
