"""What a file is, by its content; and plain words for the files that people have instead of weights."""

from __future__ import annotations

from typing import Final, Literal

from metagan.checkpoints.hdf5 import MAGIC as HDF5_MAGIC
from metagan.checkpoints.source import Source
from metagan.checkpoints.torch_legacy import MAGIC_PICKLE
from metagan.errors import CheckpointError, MalformedFileError

Container = Literal["pickle", "torch legacy", "zip", "safetensors", "hdf5"]

_AGAIN: Final = "download the file itself"
_OTHER_FORMAT: Final = (
    "metagan reads network pickles (.pkl), torch files (.pt, .pth), Keras models (.h5, SavedModel folders)"
    " and .safetensors"
)

# First bytes, what they mean, what to do.
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
    """Which container the bytes are; the file's name doesn't matter.

    Raises:
        MalformedFileError: Something else altogether; the message says what.
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
    return MalformedFileError(f"{source.path}: this is {found}\n  fix: {fix}")


def stranger_zip(source: Source, names: frozenset[str]) -> CheckpointError:
    """The error for a zip that is no torch file.

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
