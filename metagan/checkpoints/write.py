"""Write metagan's own .safetensors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from metagan.checkpoints.model import Header
from metagan.checkpoints.safetensors_file import METADATA_KEY, header_text, parse_header


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], header: Header) -> None:
    """Write tensors and header, whole or not at all; the same content always gives the same bytes.

    Args:
        path: The file; what was there is replaced.
        tensors: By name. Each is written as it is, bit by bit; views and shared storages are written out.
        header: What `metagan inspect` will say.

    Raises:
        MalformedFileError: The header could not be read again.
        OSError: The folder isn't there, or is full.
    """
    text = header_text(header)
    parse_header(path, text)
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        save_file(whole, beside, metadata={METADATA_KEY: text})
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
