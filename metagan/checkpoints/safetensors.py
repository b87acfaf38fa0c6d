"""Reads metagan's own .safetensors: memory-mapped tensors, and a JSON header under the key "metagan"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from torch import Tensor

from metagan.checkpoints.model import Header
from metagan.checkpoints.pickles.flatten import MAX_TENSORS, jsonable
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError
from metagan.files import utf8_path
from metagan.values import LabelSpace, json_text

METADATA_KEY: Final = "metagan"
TRAINING_STATE_KEY: Final = "metagan_training_state"
HEADER_VERSION: Final = 1
MAX_DIRECTORY_BYTES: Final = 16 << 20
MAX_HEADER_BYTES: Final = 8 << 20
MAX_HEADER_DEPTH: Final = 16
NAME: Final = re.compile(r"[A-Za-z0-9_./:-]{1,512}")

_TYPES: Final[Mapping[str, type]] = {
    "architecture": str, "configuration": dict, "licence": str, "source": str, "training": dict,
}  # fmt: skip


def read_safetensors(source: Source) -> tuple[dict[str, Tensor], Header | None]:
    """Return a safetensors file's tensors, and metagan's header if it has one.

    Raises:
        MalformedFileError: If the file is damaged, or its header is invalid, or it is a training run's state.
    """
    length = int.from_bytes(source.data[:8], "little")
    if length > MAX_DIRECTORY_BYTES:
        raise source.malformed(
            0, f"want at most {MAX_DIRECTORY_BYTES:,} bytes in a directory, got {length:,}"
        )
    try:
        with utf8_path(source.path) as readable, safe_open(readable, framework="pt") as file:
            metadata = file.metadata() or {}
            if TRAINING_STATE_KEY in metadata:
                raise MalformedFileError(
                    "the state of a training run, which only `metagan train` takes, as --start",
                    where=source.path,
                    fix="use the weights beside it, latest.safetensors or best.safetensors",
                )
            names = [check_name(source.path, name) for name in file.keys()]  # noqa: SIM118  it is no dict
            if len(names) > MAX_TENSORS:
                raise source.malformed(0, f"want at most {MAX_TENSORS:,} tensors, got {len(names):,}")
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise source.malformed(0, f"a damaged safetensors file: {quote(str(error))}") from error
    text = metadata.get(METADATA_KEY)
    return tensors, None if text is None else parse_header(source.path, text)


def check_name(path: Path, name: str) -> str:
    """Check a tensor's name, and return it.

    Raises:
        MalformedFileError: If the name is invalid.
    """
    if not NAME.fullmatch(name):
        raise MalformedFileError(
            f"want a tensor's name, got {quote(name)}",
            where=path,
            fix="names consist of letters, digits and . / : _ -",
        )
    return name


def parse_header(path: Path, text: str) -> Header:
    """Parse metagan's JSON header.

    Raises:
        MalformedFileError: If it is not a JSON object with the right keys and types.
    """
    if len(text) > MAX_HEADER_BYTES:
        raise _malformed(path, f"want at most {MAX_HEADER_BYTES:,} characters, got {len(text):,}")
    try:
        header = json.loads(text)
        json.dumps(header, allow_nan=False, ensure_ascii=False).encode()  # no unprintable characters
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"no JSON ({error})") from error
    if not isinstance(header, dict) or header.get("version") != HEADER_VERSION:
        raise _malformed(path, f"want a JSON object of version {HEADER_VERSION}")
    wrong = [
        f"{key} is no {kind.__name__}"
        for key, kind in _TYPES.items()
        if not isinstance(header.get(key), kind)
    ]
    labels = _parse_labels(header.get("labels", {}))
    if labels is None:
        wrong.append("labels aren't names and ranges of numbers")
    unknown = sorted(header.keys() - _TYPES.keys() - {"version", "labels"})
    if labels is None or wrong or unknown:
        raise _malformed(path, "; ".join(wrong + [f"unknown key {key!a}" for key in unknown[:5]]))
    if depth_of(header) > MAX_HEADER_DEPTH:
        raise _malformed(path, f"want at most {MAX_HEADER_DEPTH} levels, got {depth_of(header)}")
    return Header(**{key: jsonable(header[key]) for key in _TYPES}, labels=labels)


def _parse_labels(value: Any) -> LabelSpace | None:
    """Return the meaning of labels that a header states; None if it is invalid."""
    if not isinstance(value, dict) or value.keys() - {"names", "ranges"}:
        return None
    names, ranges = value.get("names", []), value.get("ranges", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return None
    if not (isinstance(ranges, list) and all(map(_is_range, ranges))):
        return None
    if names and ranges and len(names) != len(ranges):
        return None
    return LabelSpace(tuple(names), tuple((float(least), float(most)) for least, most in ranges))


def _is_range(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) == 2):
        return False
    return all(type(end) in (int, float) and abs(end) < 1e30 for end in value) and value[0] <= value[1]


def header_text(header: Header) -> str:
    """Serialise a header for `parse_header`; the same header always gives the same text.

    Raises:
        ValueError, TypeError: If it holds values that JSON can't represent.
    """
    content: dict[str, Any] = {"version": HEADER_VERSION}
    content |= {key: getattr(header, key) for key in _TYPES}
    if header.labels != LabelSpace():
        content["labels"] = {"names": header.labels.names, "ranges": header.labels.ranges}
    plain = json.loads(json_text(content, default=_as_dict))  # stray bytes of file names as \\xe9
    return json.dumps(plain, sort_keys=True, allow_nan=False)


def _as_dict(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


def depth_of(value: object) -> int:
    """Return how deep lists and dicts nest, level by level, without recursion."""
    depth, level = 0, [value]
    while level := [entry for outer in level for entry in _entries(outer)]:
        depth += 1
    return depth


def _entries(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(
        f"metagan's header in it: {found}",
        where=path,
        fix="convert the original weights again with `metagan convert`, or upgrade metagan",
    )
