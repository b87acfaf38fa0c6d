"""Errors of storages, as a sentence with its way out."""

import errno
import logging
import os
from pathlib import Path

import pytest

from metagan.errors import OptionError, PublishError
from metagan.storage import Storage, storage_errors


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_to_be_full(number):
    with (
        pytest.raises(PublishError, match=r"^there: .*\n  fix: free some space there"),
        storage_errors("there", PublishError),
    ):
        raise OSError(number, os.strerror(number), "site/a.png", None, "there/.a.png.1.tmp")


def test_other_errors_of_a_folder_are_not(tmp_path):
    with (
        pytest.raises(PublishError, match=r"/a: No such file or directory\n  fix: check that file"),
        storage_errors("there", PublishError),
    ):
        (tmp_path / "a").read_bytes()


def test_a_full_disk_names_the_file_and_leaves_no_part_of_it(tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        Storage(str(tmp_path), OptionError).create("a.zip", b"data")
    assert caught.value.filename == str(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_tried_again_leaves_no_traceback_of_the_library(monkeypatch):
    asyncios = logging.getLogger("asyncio")
    monkeypatch.setattr(asyncios, "filters", [])
    left = "Task exception was never retrieved\nfuture: <Task finished name='Task-53' coro=<ClientRequest.write_bytes()"
    record, other = (
        asyncios.makeRecord("asyncio", logging.ERROR, "", 0, text, (), None) for text in (left, "slow")
    )
    assert asyncios.filter(record)
    Storage("memory://pictures", OptionError)
    assert not asyncios.filter(record)
    assert asyncios.filter(other)
