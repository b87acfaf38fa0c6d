"""Errors of storages, as a sentence with its way out."""

import errno
import os

import pytest

from metagan.errors import PublishError
from metagan.storage import storage_errors


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_to_be_full(number):
    with (
        pytest.raises(PublishError, match=r"^there: .*\n  fix: free some space there"),
        storage_errors("there", PublishError),
    ):
        raise OSError(number, os.strerror(number), "site/a.png", None, "there/.a.png.1.tmp")


def test_other_errors_of_a_folder_are_not(tmp_path):
    with (
        pytest.raises(PublishError, match=r"there: FileNotFoundError: .*\n  fix: check the address"),
        storage_errors("there", PublishError),
    ):
        (tmp_path / "a").read_bytes()
