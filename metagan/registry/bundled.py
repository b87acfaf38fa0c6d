"""The weights that come with metagan, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from metagan import weights
from metagan.errors import OptionError

SUFFIX = ".safetensors"


def bundled_names() -> list[str]:
    """The names there are, sorted."""
    return sorted(file.stem for file in _folder().glob(f"*{SUFFIX}") if file.is_file())


def bundled_weights(name: str) -> Path:
    """The file of bundled weights, `bundled:NAME` in a registry.

    Raises:
        OptionError: No weights of that name are bundled; lists the names there are.
    """
    names = bundled_names()
    if name in names:
        return _folder() / f"{name}{SUFFIX}"
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean bundled:{close[0]}? " if close else ""
    there_are = ", ".join(f"bundled:{known}" for known in names) or "none in this installation"
    raise OptionError(f"no bundled weights are named {name!r}\n  fix: {hint}there are: {there_are}")


def _folder() -> Path:
    return Path(weights.__path__[0])
