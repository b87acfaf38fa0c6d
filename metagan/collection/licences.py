"""Which licences let a collection's pictures be shown on somebody's site."""

from __future__ import annotations

import re
from typing import Final

# Licences that let anybody publish the pictures, also smaller ones and for money. Creative Commons' NC and ND are not
# among them: whether a site is commercial, and whether a thumbnail is an adaptation, can't be seen from here.
_OPEN: Final = re.compile(
    r"cc0([ -]1\.0)?|cc[ -]by([ -]sa)?([ -][1-4]\.[0-9])?([ -][a-z]{2,3})?|pddl([ -]1\.0)?|public domain"
    r"|(mit|isc|0bsd|unlicense|wtfpl|zlib)|apache[ -]2\.0|bsd[ -][123][ -]clause|ofl[ -]1\.1",
    re.IGNORECASE,
)


def lets_show(licence: str | None) -> bool:
    """Return whether a licence, as SPDX or its authors write it, lets anybody show the pictures."""
    return licence is not None and _OPEN.fullmatch(licence.strip()) is not None
