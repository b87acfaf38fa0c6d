"""The weights that come with metagan, by name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from metagan import weights
from metagan.errors import OptionError

SUFFIX = ".safetensors"
BUNDLED = "bundled:"
_UPSCALER = re.compile(r".+-x[24]")  # how upscalers' files are named


def bundled_names() -> list[str]:
    """The generators there are, sorted."""
    return [name for name in _names() if not _UPSCALER.fullmatch(name)]


def bundled_upscaler_names() -> list[str]:
    """The upscalers there are, sorted: "apes-x4"."""
    return [name for name in _names() if _UPSCALER.fullmatch(name)]


def bundled_weights(name: str) -> Path:
    """The file of a bundled generator or upscaler, `bundled:NAME` in a registry.

    Raises:
        OptionError: Nothing of that name is bundled; lists the names there are, of upscalers for a name like theirs.
    """
    if name in _names():
        return _folder() / f"{name}{SUFFIX}"
    names = bundled_upscaler_names() if _UPSCALER.fullmatch(name) else bundled_names()
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {BUNDLED}{close[0]}? " if close else ""
    there_are = ", ".join(f"{BUNDLED}{known}" for known in names) or "none in this installation"
    raise OptionError(f"no bundled weights are named {name!r}\n  fix: {hint}there are: {there_are}")


def _names() -> list[str]:
    return sorted(file.stem for file in _folder().glob(f"*{SUFFIX}") if file.is_file())


def _folder() -> Path:
    return Path(weights.__path__[0])
