"""Storages that fsspec reaches, s3://, gs://, az://, sftp:// and more: the packages they need, and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from metagan.errors import MetaganError
from metagan.files import is_full

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
