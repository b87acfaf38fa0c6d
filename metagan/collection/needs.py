"""Imports the libraries of the extra `metagan[collection]` where they are used."""

from __future__ import annotations

import importlib
from typing import Any, Final

from metagan.errors import CollectionError

_PACKAGES: Final = {
    "dicebear": "dicebear-core",
    "dicebear_styles": "dicebear-styles",
    "imagehash": "ImageHash",
    "polars": "polars",
    "resvg_py": "resvg-py",
    "tenacity": "tenacity",
}


def need(module: str) -> Any:
    """Import a module of the extra.

    Raises:
        CollectionError: If it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise CollectionError(
            f"this needs {_PACKAGES.get(module, module)}, which is not installed",
            fix="pip install 'metagan[collection]'",
        ) from error
