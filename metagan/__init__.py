"""Trained StyleGANs, made into published “This X Does Not Exist” sites.

    apes = metagan.load("bundled:apes")
    metagan.sheet(apes.sample(range(64), psi=0.8))

Names are imported on first use, so that `import metagan` is quick. docs/python.md describes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metagan.api import (
        Generator,
        blend,
        build,
        directions,
        evaluate,
        load,
        paint,
        project,
        rank,
        save,
        sheet,
        train,
        upscale,
        walk,
    )
    from metagan.errors import MetaganError
    from metagan.seeds import parse_seeds

__version__ = "0.2.0"
__all__ = [
    "Generator",
    "MetaganError",
    "__version__",
    "blend",
    "build",
    "directions",
    "evaluate",
    "load",
    "paint",
    "parse_seeds",
    "project",
    "rank",
    "save",
    "sheet",
    "train",
    "upscale",
    "walk",
]

_ELSEWHERE = {"MetaganError": "metagan.errors", "parse_seeds": "metagan.seeds"}


def __getattr__(name: str) -> object:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'metagan' has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE.get(name, "metagan.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
