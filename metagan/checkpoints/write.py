"""Write metagan's own .safetensors."""

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
    """Write tensors and header, whole or not at all; the same content always gives the same bytes.

    Args:
        path: The file; what was there is replaced.
        tensors: By name. Each is written as it is, bit by bit; views and shared storages are written out.
        header: What `metagan inspect` will say.
        check: Given the written file before it takes its place; where it raises, what was there stays.

    Raises:
        CheckpointError: The folder can't be made or written to, or the disk is full.
        MalformedFileError: A name or the header could not be read again.
        ValueError, TypeError: The header holds what JSON can't.
    """
    text = header_text(header)
    parse_header(path, text)
    whole = {check_name(path, name): _own_copy(tensor) for name, tensor in tensors.items()}
    try:
        with replacing(path) as beside:
            _save(whole, beside, text)
            beside.chmod(0o644)  # the library lets nobody else read it, and weights are made to be shared
            if check is not None:
                check(beside)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"can't be written: {error}", where=path, fix="look at its folder, and at the space there"
        ) from error


def _own_copy(tensor: Tensor) -> Tensor:
    """The tensor in memory of its own; the library refuses those that share theirs."""
    return tensor.detach().cpu().contiguous().clone()


def _save(tensors: dict[str, Tensor], path: Path, text: str) -> None:
    save_file(tensors, path, metadata={METADATA_KEY: text})
    with path.open("rb") as file:
        os.fsync(file.fileno())
