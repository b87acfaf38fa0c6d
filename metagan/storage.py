"""Storages that fsspec reaches, s3://, gs://, az://, sftp:// and more: the packages they need, and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from metagan.errors import MetaganError
from metagan.files import is_full, write_bytes

_PACKAGES: Final = {
    "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "hf": "huggingface_hub",
    "oci": "ocifs", "s3": "s3fs", "s3a": "s3fs", "sftp": "paramiko", "ssh": "paramiko", "webdav": "webdav4",
}  # fmt: skip


def protocol_of(address: str) -> str:
    """Return an address's protocol, such as "s3", or "" for a path."""
    return address.partition("://")[0].rpartition("::")[2] if "://" in address else ""


@contextmanager
def storage_errors(address: str, kind: type[MetaganError]) -> Iterator[None]:
    """Turn all errors of storage packages, which have no common class, into errors of one kind.

    Args:
        address: The folder or address, for messages.
        kind: The class of the errors.

    Raises:
        MetaganError: Of that class, if the block raises another exception than a MetaganError.
    """
    try:
        yield
    except MetaganError:
        raise
    except ImportError as error:
        protocol = protocol_of(address)
        package = _PACKAGES.get(protocol)
        raise kind(
            f"{protocol}:// needs another package",
            where=address,
            fix=f"pip install {package}" if package else str(error),
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and is_full(error):
            raise kind(
                str(error.strerror), where=address, fix="free some space there, then run the command again"
            ) from error
        said = " ".join(str(error).split()) or "no reason given"
        raise kind(
            f"{type(error).__name__}: {said:.500}",
            where=address,
            fix="check the address, your permissions there, and the network",
        ) from error


class Storage:
    """A folder on this machine, or a place on a storage that fsspec reaches, with files by name.

    Args:
        place: The folder, or an address such as s3://bucket/painted.
        kind: The class of its errors.

    Raises:
        MetaganError: Of that class, if the address can't be used.
    """

    def __init__(self, place: str, kind: type[MetaganError]) -> None:
        self._place, self._kind = place.rstrip("/") or place, kind
        with storage_errors(place, kind):
            filesystem, root = fsspec.core.url_to_fs(place)
        self._files: Any = filesystem
        self._root = str(root).rstrip("/")
        self._is_local = isinstance(filesystem, LocalFileSystem)

    def address(self, name: str) -> str:
        """A file's address."""
        return f"{self._place}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Write a file, all of it or nothing; folders in its name are made.

        Raises:
            MetaganError: If it can't be written.
        """
        if self._is_local:
            write_bytes(Path(self._root, name), data)  # whose errors name the file
            return
        with storage_errors(self._place, self._kind):
            self._files.pipe_file(f"{self._root}/{name}", data)

    def read(self, name: str) -> bytes | None:
        """A file's content, or None if there is no such file.

        Raises:
            MetaganError: If it can't be read.
        """
        with storage_errors(self._place, self._kind):
            try:
                content: bytes = self._files.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
            return content
