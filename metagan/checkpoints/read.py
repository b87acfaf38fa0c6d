"""Reads any weights file into a Checkpoint, without running code from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from metagan.checkpoints.families import read_container, read_pickle
from metagan.checkpoints.keras_files.hdf5 import MAGIC as HDF5_MAGIC
from metagan.checkpoints.keras_files.model import (
    read_keras_folder,
    read_keras_hdf5,
    read_keras_zip,
    saved_models,
)
from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.pickles.allowlist import CONTAINER_NAMES, PICKLE_NAMES
from metagan.checkpoints.pickles.flatten import Flattener
from metagan.checkpoints.pickles.machine import Budget, unpickle
from metagan.checkpoints.safetensors import read_safetensors
from metagan.checkpoints.source import Source, open_source
from metagan.checkpoints.torch_files import MAGIC_PICKLE, read_legacy, read_zip, torch_root
from metagan.checkpoints.zip_directory import read_directory
from metagan.errors import CheckpointError, MalformedFileError
from metagan.fetch.weights_file import sha256_of, size_of

# --------------------------------------------------------------------------------------------
# Detects a file's format by its content, and names files that are often mistaken for weights.

Container = Literal["pickle", "torch legacy", "zip", "safetensors", "hdf5"]

_AGAIN: Final = "download the file itself"
_OTHER_FORMAT: Final = (
    "metagan reads network pickles (.pkl), torch files (.pt, .pth), Keras models (.h5, SavedModel folders)"
    " and .safetensors"
)

# First bytes, what the file is, and what to do.
_STRANGERS: Final = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file it stands for",
        "run `git lfs pull`, or download it",
    ),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", _AGAIN),
    (b"\xff\xd8\xff", "a JPEG picture", _AGAIN),
    (b"GIF8", "a GIF picture", _AGAIN),
    (b"RIFF", "a RIFF file (WebP, AVI or WAV)", _AGAIN),
    (b"\x93NUMPY", "a NumPy array (.npy), such as latents, not weights", _OTHER_FORMAT),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"%PDF", "a PDF document", _AGAIN),
    (b"\x7fELF", "a program", _AGAIN),
    (b"MZ", "a Windows program", _AGAIN),
)
_TAR_MAGIC_AT: Final = 257


def recognise(source: Source) -> Container:
    """Detect the container format from the content; the file's name doesn't matter.

    Raises:
        MalformedFileError: If it is no known container; the message says what the file is.
    """
    head = bytes(source.data[:512])
    if head.startswith(MAGIC_PICKLE):
        return "torch legacy"
    if len(head) > 1 and head[0] == 0x80 and head[1] <= 5:
        return "pickle"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(HDF5_MAGIC):
        return "hdf5"
    if _is_safetensors(source, head):
        return "safetensors"
    raise _stranger(source, head)


def _is_safetensors(source: Source, head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and head[8:9] == b"{" and 2 <= length <= len(source.data) - 8


def _stranger(source: Source, head: bytes) -> CheckpointError:
    for magic, found, fix in _STRANGERS:
        if head.startswith(magic):
            return _error(source, found, fix)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script")):
        fix = "open the link in a browser; it may want a login or a confirmation, then download the file"
        return _error(source, "a web page, saved in place of the file", fix)
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" or head.startswith(b"sys_info\0"):
        fix = "a torch file older than 0.1.10 has to be saved again with a later torch; else unpack it"
        return _error(source, "a tar archive, as torch wrote before 0.1.10", fix)
    if start[:1] in (b"{", b"["):
        return _error(source, "a JSON text: perhaps a configuration, or a server's error message", _AGAIN)
    return _error(
        source, f"no weights file that metagan knows (it begins with {head[:8].hex(' ')})", _OTHER_FORMAT
    )


def _error(source: Source, found: str, fix: str) -> CheckpointError:
    return MalformedFileError(f"this is {found}", where=source.path, fix=fix)


def stranger_zip(source: Source, names: frozenset[str]) -> CheckpointError:
    """Make the error for a zip that is not a torch file.

    Args:
        source: The file.
        names: The members' names.
    """
    ends = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in names):
        return _error(source, "a NumPy archive (.npz), such as projected latents, not weights", _OTHER_FORMAT)
    if any(name.endswith((".pkl", ".pt", ".pth", ".safetensors")) for name in ends):
        return _error(source, "a zip archive that holds weights files", "unpack it, and name the file inside")
    return _error(source, "a zip archive, and no torch file", _OTHER_FORMAT)


__all__ = ["OWN", "SAFETENSORS", "read_checkpoint", "sha256_of", "size_of"]

OWN: Final = "metagan safetensors"
SAFETENSORS: Final = "safetensors without metagan's header"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a weights file, or the folder of a Keras SavedModel. The format is detected by content, not by name.

    Tensors are made on first access, so unused networks cost nothing. All of them are checked immediately, except for
    the checksums in a torch zip file: accessing a tensor may then raise MalformedFileError. Aligned tensors are views
    of the mapped file: don't write to the file while they are in use (replacing it is fine).

    Raises:
        MalformedFileError: If it is truncated, damaged, or not a weights file.
        UnsafeFileError: If it requests code execution, or excessive memory or time.
        UnknownArchitectureError: If it can be read, but holds no networks of a known program.
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
