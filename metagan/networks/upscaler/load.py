"""Reads upscalers in metagan's own safetensors format."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from metagan.checkpoints.model import Checkpoint, Header
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, UnknownArchitectureError
from metagan.networks.loading.architecture import restore_config
from metagan.networks.loading.assemble import assemble, require_finite
from metagan.networks.upscaler.network import Upscaler, UpscalerConfig

ARCHITECTURE_NAME: Final = "upscaler"
TITLE: Final = "metagan upscaler"
ROLE: Final = "G_ema"  # of the only network in metagan's own files


def is_upscaler(checkpoint: Checkpoint) -> bool:
    """Return whether a file's header says that it holds an upscaler."""
    return checkpoint.header is not None and checkpoint.header.architecture == ARCHITECTURE_NAME


def load_upscaler(path: Path) -> Upscaler:
    """Read an upscaler, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: If the file can't be read, holds something else (such as a generator), or is damaged.
    """
    return upscaler_of(read_checkpoint(path))


def upscaler_of(checkpoint: Checkpoint) -> Upscaler:
    """Build the upscaler of a file.

    Raises:
        UnknownArchitectureError: If it holds something else.
        MalformedFileError: If its configuration is invalid, or its tensors don't fit it.
    """
    header = checkpoint.header
    if header is None or not is_upscaler(checkpoint):
        holds = f"a {header.architecture} generator" if header else checkpoint.format
        raise UnknownArchitectureError(
            f"want an upscaler, found {holds}",
            where=checkpoint.path,
            fix="give a file that `metagan train PICTURES --upscaler x4` wrote",
        )
    record = checkpoint.networks[ROLE]
    try:
        config = restore_config(UpscalerConfig, header.configuration, TITLE)
        upscaler = assemble(lambda: Upscaler(config), record.tensors)
    except CheckpointError as error:
        raise error.at(checkpoint.path) from error
    require_finite(record, checkpoint.path)
    return upscaler


def describe_upscaler(upscaler: Upscaler) -> Header:
    """Return a header for metagan's own format; callers add licence, source and training facts."""
    return Header(architecture=ARCHITECTURE_NAME, configuration=dataclasses.asdict(upscaler.config))
