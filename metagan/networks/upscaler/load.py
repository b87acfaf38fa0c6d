"""Upscalers in metagan's own safetensors format: a header that says so, and tensors by the network's own names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from metagan.checkpoints.model import Checkpoint, Header
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.tensors import require_finite
from metagan.errors import CheckpointError, UnknownArchitectureError
from metagan.networks.loading.architecture import restore_config
from metagan.networks.loading.assemble import assemble
from metagan.networks.upscaler.network import Upscaler, UpscalerConfig

ARCHITECTURE_NAME: Final = "upscaler"
TITLE: Final = "metagan upscaler"
ROLE: Final = "G_ema"  # of the only network in metagan's own files


def is_upscaler(checkpoint: Checkpoint) -> bool:
    """Whether a file says that it holds an upscaler."""
    return checkpoint.header is not None and checkpoint.header.architecture == ARCHITECTURE_NAME


def load_upscaler(path: Path) -> Upscaler:
    """Read an upscaler, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file can't be read, holds something else (a generator, say), or is damaged.
    """
    return upscaler_of(read_checkpoint(path))


def upscaler_of(checkpoint: Checkpoint) -> Upscaler:
    """The upscaler that a file holds.

    Raises:
        UnknownArchitectureError: It holds something else.
        MalformedFileError: Its configuration makes no upscaler, or its tensors are not that upscaler's.
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
    """A header for metagan's own format; licence, source and facts of the training are the caller's."""
    return Header(architecture=ARCHITECTURE_NAME, configuration=dataclasses.asdict(upscaler.config))
