"""Read any weights file into a Checkpoint, without running anything it says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from metagan.checkpoints.allowlist import CONTAINER_NAMES, PICKLE_NAMES
from metagan.checkpoints.families import read_container, read_pickle
from metagan.checkpoints.flatten import Flattener
from metagan.checkpoints.keras import read_keras_folder, read_keras_hdf5, read_keras_zip, saved_models
from metagan.checkpoints.machine import Budget
from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.recognise import recognise, stranger_zip
from metagan.checkpoints.safetensors_file import read_safetensors
from metagan.checkpoints.source import Source, open_source, sha256_of, size_of
from metagan.checkpoints.tensors import require_finite
from metagan.checkpoints.torch_legacy import read_legacy
from metagan.checkpoints.torch_zip import read_zip, torch_root
from metagan.checkpoints.unpickle import unpickle
from metagan.checkpoints.zip_directory import read_directory

__all__ = ["OWN", "SAFETENSORS", "read_checkpoint", "require_finite", "sha256_of", "size_of"]

OWN: Final = "metagan safetensors"
SAFETENSORS: Final = "safetensors without metagan's header"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a weights file, or the folder of a Keras SavedModel; what it is, its content says, not its name.

    Tensors are made when they are first asked for, so a network that nobody asks for costs nothing; all of them are
    checked at once, but for the sums in a torch zip file: MalformedFileError may then come with the tensor. They are
    the file's own bytes in memory where their place allows it: don't write to the file while they are in use (to
    replace it is fine).

    Raises:
        MalformedFileError: It is truncated, damaged, or something else altogether.
        UnsafeFileError: It asks for code to be run, or for absurd amounts of memory or time.
        UnknownArchitectureError: It can be read, but holds no networks of a known program.
    """
    if path.is_dir():
        return read_keras_folder(path)
    source = open_source(path)
    container = recognise(source)
    if container == "safetensors":
        return _safetensors(source)
    if container == "hdf5":
        return read_keras_hdf5(source)
    if container == "zip":
        return _zip(source)
    flattener, budget = Flattener(source), Budget(len(source.data))
    if container == "pickle":
        return read_pickle(flattener, unpickle(source, PICKLE_NAMES, budget))
    return read_container(flattener, read_legacy(source, CONTAINER_NAMES, budget))


def _zip(source: Source) -> Checkpoint:
    members = read_directory(source)
    if saved_models(members):
        return read_keras_zip(source, members)
    root = torch_root(members)
    if root is None:
        raise stranger_zip(source, frozenset(members))
    value = read_zip(source, members, root, CONTAINER_NAMES, Budget(len(source.data)))
    return read_container(Flattener(source), value)


def _safetensors(source: Source) -> Checkpoint:
    tensors, header = read_safetensors(source)
    if not tensors:
        raise source.malformed(0, "a safetensors file without a single tensor")
    network = NetworkRecord("Generator", tensors)
    return Checkpoint(source.path, SAFETENSORS if header is None else OWN, {"G_ema": network}, header)
