"""Writes metagan's own .safetensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from metagan.checkpoints.model import Header
from metagan.checkpoints.safetensors import METADATA_KEY, check_name, header_text, parse_header
from metagan.errors import CheckpointError
from metagan.files import replacing


def write_safetensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: Header,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write tensors and header atomically; the same content always gives the same bytes.

    Args:
        path: The file; an existing one is replaced.
        tensors: By name. Each is written bit by bit; views and shared storages are copied out.
        header: The metadata that `metagan inspect` shows.
        check: Called with the written file before it takes its place. If it raises, an existing file is kept.

    Raises:
        CheckpointError: If the folder can't be created or written to, or the disk is full.
        MalformedFileError: If a tensor's name or the header is invalid.
        ValueError, TypeError: If the header holds values that JSON can't represent.
    """
    text = header_text(header)
    parse_header(path, text)
    whole = {check_name(path, name): _own_copy(tensor) for name, tensor in tensors.items()}
    try:
        with replacing(path) as beside:
            _save(whole, beside, text)
            beside.chmod(0o644)  # the library makes files private, but weights are meant to be shared
            if check is not None:
                check(beside)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"can't be written: {error}", where=path, fix="look at its folder, and at the space there"
        ) from error


def _own_copy(tensor: Tensor) -> Tensor:
    """Copy a tensor to its own memory if it is shared; the library refuses shared memory."""
    return tensor.detach().cpu().contiguous().clone()


def _save(tensors: dict[str, Tensor], path: Path, text: str) -> None:
    save_file(tensors, path, metadata={METADATA_KEY: text})
    with path.open("rb") as file:
        os.fsync(file.fileno())
