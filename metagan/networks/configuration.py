"""Configurations out of the JSON headers of metagan's own files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from metagan.errors import MalformedFileError

C = TypeVar("C")
SHOWN_PROBLEMS = 4


def restore_config(kind: type[C], configuration: Mapping[str, Any], title: str) -> C:
    """A configuration dataclass from JSON values, of the right types and without an entry too many.

    Args:
        kind: The frozen dataclass, others nested in it or not.
        configuration: What the header says.
        title: The architecture's, for messages.

    Raises:
        MalformedFileError: Entries are missing, unknown or of another type.
    """
    try:
        config = TypeAdapter(kind).validate_python(dict(configuration))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:SHOWN_PROBLEMS]
        )
        msg = f"the header's configuration is no {title}'s: {problems}"
        raise MalformedFileError(msg) from error
    unknown = sorted(_unknown(configuration, dataclasses.asdict(config)))  # type: ignore[call-overload]
    if unknown:
        entries = ", ".join(unknown[:SHOWN_PROBLEMS])
        msg = f"the header's configuration has entries that {title} doesn't: {entries}"
        raise MalformedFileError(msg)
    return config


def _unknown(there: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    for key, value in there.items():
        if key not in known:
            yield str(key)
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping):
            yield from _unknown(value, known[key])
