"""Storages that fsspec reaches, s3://, gs://, az://, sftp:// and more: the packages they need, and their errors."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from metagan.errors import MetaganError
from metagan.files import is_full, require_regular, sweep_killed, write_bytes

T = TypeVar("T")

_PACKAGES: Final = {
    "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "hf": "huggingface_hub",
    "oci": "ocifs", "s3": "s3fs", "s3a": "s3fs", "sftp": "paramiko", "ssh": "paramiko", "webdav": "webdav4",
}  # fmt: skip
_WITH_BUCKETS: Final = {"abfs", "abfss", "az", "gcs", "gs", "s3", "s3a"}


def protocol_of(address: str) -> str:
    """Return an address's protocol, such as "s3", or "" for a path."""
    return address.partition("://")[0].rpartition("::")[2] if "://" in address else ""


_BUSY: Final = {
    errno.EBUSY,
    errno.ETIMEDOUT,
    getattr(errno, "EREMOTEIO", errno.EBUSY),
}  # s3fs: 503 and 409, 500
_OF_THE_NETWORK: Final = {"ConnectionError", "ClientConnectionError", "HTTPClientError", "TimeoutError"}
_NO_CREDENTIALS: Final = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}
_MOST_WAIT_S: Final = 20.0


def is_transient(error: BaseException) -> bool:
    """Whether a storage may well do next time what it has just refused.

    That is so where it is too busy (S3's SLOW_DOWN), fails by itself (any status from 500 on), or can't be reached.
    """
    if isinstance(error, (FileNotFoundError, FileExistsError, PermissionError)):
        return False
    if isinstance(error, OSError) and error.errno in _BUSY:
        return True
    response = getattr(error.__cause__, "response", None)  # of botocore, which s3fs translates
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
        return bool(status >= 500 or status == 429)
    return any(kind.__name__ in _OF_THE_NETWORK for kind in type(error).__mro__)


def without_secrets(address: str) -> str:
    """An address without the user name and password that it may have: s3://…@host/bucket."""
    return re.sub(r"://[^/@]*@", "://…@", address)


@contextmanager
def storage_errors(address: str, kind: type[MetaganError]) -> Iterator[None]:
    """Turn all errors of storage packages, which have no common class, into errors of one kind.

    Args:
        address: The folder or address, for messages.
        kind: The class of the errors.

    Raises:
        MetaganError: Of that class, if the block raises another exception than a MetaganError.
    """
    secret = re.match(r"[^/]*://([^/@]*)@", address)
    address = without_secrets(address)
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
        if type(error).__name__ in _NO_CREDENTIALS:
            raise kind(
                "no credentials were found",
                where=address,
                fix="set them as the storage's own tools want them, such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY",
            ) from error
        if isinstance(error, OSError) and error.strerror and not protocol_of(address):
            raise kind(
                error.strerror,
                where=error.filename or address,
                fix="check that file or folder and its permissions",
            ) from error
        said = " ".join(str(error).split()) or "no reason given"
        if secret and secret[1]:
            said = said.replace(secret[1], "…")
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
        patience_s: How long to try again while the storage is busy or can't be reached, with growing pauses between.

    Raises:
        MetaganError: Of that class, if the address can't be used.
    """

    def __init__(self, place: str, kind: type[MetaganError], *, patience_s: float = 0.0) -> None:
        self._place, self._kind, self._patience_s = place.rstrip("/") or place, kind, patience_s
        with storage_errors(place, kind):
            filesystem, root = fsspec.core.url_to_fs(place)
        self._files: Any = filesystem
        self._root = str(root).rstrip("/")
        self._is_local = isinstance(filesystem, LocalFileSystem)
        if not self._is_local:
            logging.getLogger("asyncio").addFilter(_is_news)
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Stop waiting: what another thread waits for fails at once."""
        self._given_up.set()

    def address(self, name: str) -> str:
        """A file's address."""
        return f"{without_secrets(self._place)}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Write a file, all of it or nothing; folders in its name are made.

        Raises:
            MetaganError: If it can't be written.
        """
        if self._is_local:
            write_bytes(Path(self._root, name), data)  # whose errors name the file
            return
        self._patiently(lambda: self._files.pipe_file(f"{self._root}/{name}", data))

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name; return whether there was none.

        Of several writers, one wins, and nobody sees a part of a file: a folder gets it by a hard link, S3, Google's
        and Azure's storages by a conditional request. On other storages fsspec looks first, and then writes.

        Raises:
            MetaganError: If it can't be written.
        """
        if self._is_local:
            return _link(Path(self._root, name), data)

        def put() -> bool:
            try:
                self._files.pipe_file(f"{self._root}/{name}", data, mode="create")
            except FileExistsError:
                return False
            return True

        return self._patiently(put)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one of that name.

        Raises:
            MetaganError: If it can't be removed.
        """

        def rm() -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{name}")

        self._patiently(rm)

    def read(self, name: str) -> bytes | None:
        """A file's content, or None if there is no such file.

        Raises:
            MetaganError: If it can't be read.
        """
        return self.read_range(name, None, None)

    def read_range(self, name: str, start: int | None, stop: int | None) -> bytes | None:
        """A file's bytes from `start` until before `stop`, or None if there is no such file.

        Raises:
            MetaganError: If it can't be read.
        """

        def get() -> bytes | None:
            self._files.invalidate_cache(
                f"{self._root}/{name}"
            )  # another program may have written it meanwhile
            try:
                if self._is_local:
                    require_regular(Path(self._root, name))
                content: bytes = self._files.cat_file(f"{self._root}/{name}", start=start, end=stop)
            except FileNotFoundError:
                return None
            return content

        return self._patiently(get)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The size of each file in a folder of it, by name; empty if there is no such folder.

        Raises:
            MetaganError: If it can't be listed: there is no such bucket, or it isn't yours.
        """
        path = f"{self._root}/{folder}".rstrip("/")

        def look() -> dict[str, int]:
            try:
                found = self._files.ls(path, detail=True, refresh=True)
            except FileNotFoundError:
                return {}
            return {
                str(each["name"]).rpartition("/")[2]: int(each["size"] or 0)
                for each in found
                if each["type"] == "file"
            }

        return self._patiently(look)

    def folders(self) -> list[str]:
        """The names of the folders in it, sorted.

        Raises:
            MetaganError: If it can't be listed.
        """

        def look() -> list[str]:
            try:
                found = self._files.ls(self._root, detail=True, refresh=True)
            except FileNotFoundError:
                return []
            names = [str(each["name"]) for each in found if each["type"] == "directory"]
            return sorted(name.rstrip("/").rpartition("/")[2] for name in names)

        return self._patiently(look)

    def require_bucket(self) -> None:
        """Refuse a bucket that isn't there, which otherwise looks like an empty folder.

        Raises:
            MetaganError: If there is none of that name, or it can't be listed.
        """
        bucket = self._root.partition("/")[0]
        if self._is_local or not bucket or protocol_of(self._place) not in _WITH_BUCKETS:
            return

        def look() -> None:
            try:
                self._files.ls(bucket, detail=False, refresh=True)
            except FileNotFoundError:
                raise self._kind(
                    f"there is no bucket {bucket}",
                    where=without_secrets(self._place),
                    fix="create it first, or correct the address",
                ) from None

        self._patiently(look)

    def _patiently(self, step: Callable[[], T]) -> T:
        with storage_errors(self._place, self._kind):
            again = Retrying(
                retry=retry_if_exception(is_transient),
                wait=wait_random_exponential(multiplier=0.2, max=_MOST_WAIT_S),
                stop=stop_after_delay(self._patience_s) | stop_when_event_set(self._given_up),
                sleep=sleep_using_event(self._given_up),
                reraise=True,
            )
            return again(step)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether asyncio's message is news: a failed request's error is raised, or it is tried again."""
    return "exception was never retrieved" not in record.getMessage()


def _link(path: Path, data: bytes) -> bool:
    """Give data a name that no other file has, by a hard link; return whether none had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return False
    sweep_killed(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(data)
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            error.filename = error.filename or str(path)  # a full disk's error names none
            raise
        beside.replace(path)  # a file system without hard links
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
    return True
