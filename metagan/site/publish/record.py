"""The record that a publish leaves beside the site: the files there that metagan may replace and remove."""

from __future__ import annotations

import json
from collections.abc import Mapping

RECORD = ".metagan-published.json"
_VERSION = 1


def encode_record(files: Mapping[str, str | None]) -> bytes:
    """Return the record of published files.

    Args:
        files: Hash by path; None if sending may have been interrupted.
    """
    content = {"version": _VERSION, "files": dict(sorted(files.items()))}
    return json.dumps(content, indent=0).encode()


def decode_record(content: bytes | str) -> dict[str, str | None]:
    """Validate a record, which others may have changed: its files may be removed.

    Raises:
        ValueError: If it is none, or names paths outside the site.
    """
    try:
        record = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    files = record.get("files") if isinstance(record, dict) else None
    if not isinstance(files, dict) or record.get("version") != _VERSION:
        raise ValueError(f"want a mapping with version {_VERSION} and files")
    for path in files:
        if any(part in {"", ".", ".."} or "\\" in part for part in path.split("/")):
            raise ValueError(f"{path!r} lies outside the site")
    return files
