"""A weights file on this machine: which files it consists of, its size and its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

from metagan.errors import CheckpointError
from metagan.files import sha256_of_file
from metagan.registry.weights_ref import SAVED_MODEL_MARKER

# A Keras SavedModel is a folder; of all that may lie in it, metagan looks at these, in this order.
SAVED_MODEL_FILES = (
    "keras_metadata.pb",
    SAVED_MODEL_MARKER,
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
)


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that weights consist of: the one file, or those of a Keras SavedModel's folder."""
    if not path.is_dir():
        return (path,)
    return tuple(path / part for part in SAVED_MODEL_FILES if (path / part).is_file())


def size_of(path: Path) -> int:
    """The bytes of a weights file, or of a SavedModel's files."""
    return sum(file.stat().st_size for file in files_of(path))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a weights file as 64 lower-case hex digits.

    Of a SavedModel's folder it is that of the list that `sha256sum keras_metadata.pb saved_model.pb variables/*`
    prints there.

    Raises:
        CheckpointError: It isn't there, or can't be read.
    """
    try:
        if not path.is_dir():
            return sha256_of_file(path)
        lines = [f"{sha256_of_file(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | ValueError) -> CheckpointError:
    """The error for a weights file that isn't there or can't be read."""
    found = error.strerror if isinstance(error, OSError) else error
    return CheckpointError(found, where=path, fix="look at the file's name and rights")
