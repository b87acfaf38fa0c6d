"""Puts a finished folder in another's place, in one step where the system can."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS


def swap_in(new: Path, place: Path) -> None:
    """Make `new` appear at `place`; what was there is removed afterwards.

    On Linux and macOS there is no moment at which `place` is missing or half old, half new. Elsewhere, and on file
    systems that can't exchange, two renames follow each other; `recover` mends an interruption between them.
    """
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        new.rename(place)
        return
    if _exchange(new, place):
        shutil.rmtree(new)
        return
    old = _old_name(new)
    shutil.rmtree(old, ignore_errors=True)
    place.rename(old)
    new.rename(place)
    shutil.rmtree(old)


def recover(new: Path, place: Path) -> None:
    """Put the former folder back where an interruption of `swap_in` left none; `new` as it was given there."""
    old = _old_name(new)
    if old.exists() and not place.exists():
        old.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _old_name(new: Path) -> Path:
    return new.with_name(f"{new.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names atomically; False where that can't be done."""
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        status = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
        return bool(status == 0)
    if hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(os.fsencode(one), os.fsencode(other), _EXCHANGE) == 0)
    return False
