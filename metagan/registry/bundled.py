"""The weights that come with metagan, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from metagan import weights
from metagan.errors import OptionError

SUFFIX = ".safetensors"
BUNDLED = "bundled:"


def bundled_names() -> list[str]:
    """The generators there are, sorted."""
    return _names(_folder())


def bundled_weights(name: str) -> Path:
    """The file of a bundled generator, `bundled:NAME` in a registry.

    Raises:
        OptionError: No weights of that name are bundled; lists the names there are.
    """
    return _file(_folder(), name, "weights")


def bundled_upscaler_names() -> list[str]:
    """The upscalers there are, sorted."""
    return _names(_folder() / "upscalers")


def bundled_upscaler(name: str) -> Path:
    """The file of a bundled upscaler, `bundled:NAME` in a registry's `upscale`.

    Raises:
        OptionError: No upscaler of that name is bundled; lists the names there are.
    """
    return _file(_folder() / "upscalers", name, "upscaler")


def _names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob(f"*{SUFFIX}") if file.is_file())


def _file(folder: Path, name: str, kind: str) -> Path:
    names = _names(folder)
    if name in names:
        return folder / f"{name}{SUFFIX}"
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {BUNDLED}{close[0]}? " if close else ""
    there_are = ", ".join(f"{BUNDLED}{known}" for known in names) or "none in this installation"
    named = "weights are" if kind == "weights" else "upscaler is"
    raise OptionError(f"no bundled {named} named {name!r}\n  fix: {hint}there are: {there_are}")


def _folder() -> Path:
    return Path(weights.__path__[0])
