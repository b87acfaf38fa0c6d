"""Mutators of JSON: the headers of .safetensors, options beside a file, and Keras' descriptions of layers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.fuzz.byte_mutators import NUMBERS, mutate_bytes
from tests.fuzz.cases import Case
from tests.fuzz.pickle_mutators import WORDS

DTYPES = ("F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "C64")
CLASSES = ("Dense", "Conv2D", "Conv2DTranspose", "Reshape", "Flatten", "LeakyReLU", "BatchNormalization", "Lambda",
           "Activation", "Dropout", "InputLayer", "UpSampling2D", "Sequential", "Functional")  # fmt: skip
LARGEST = 100_000


def mutate_json(text: bytes, chance: Random) -> bytes:
    """The same JSON with one to three changes; seldom no JSON any more."""
    try:
        value = json.loads(text)
    except ValueError:
        value = {}
    if chance.random() < 0.05:
        return mutate_bytes(Case("", "x", {"x": text}), "x", b"", chance).content
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = change(value, chance)
    made = json.dumps(value).encode()
    if chance.random() < 0.04:
        depth = chance.choice((40, 400, 700, 5000))
        made = made.replace(b": null", b": " + b"[" * depth + b"]" * depth, 1)
    return made


def change(value: Any, chance: Random) -> Any:
    """The value with one change somewhere inside."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return leaf(value, chance)
    container, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif kind == 1:
        container[chance.choice(WORDS)] = container[key]
    elif kind == 2 and isinstance(container, dict):
        container[chance.choice(WORDS)] = container.pop(key)
    elif kind == 3:
        other, name = chance.choice(places)
        container[key] = copy.deepcopy(other[name]) if len(json.dumps(value)) < LARGEST else None
    else:
        container[key] = leaf(container[key], chance)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, entry in entries:
        yield value, key
        yield from _places(entry)


def leaf(old: Any, chance: Random) -> Any:
    """Another value, half of the time of the same kind."""
    if chance.random() < 0.5:
        if isinstance(old, bool):
            return not old
        if isinstance(old, int | float):
            return chance.choice((old + 1, old - 1, old * 2, -old, chance.choice(NUMBERS), 1e308, old // 2))
        if isinstance(old, str):
            return chance.choice((*WORDS, *DTYPES, *CLASSES, old + "x", old[:-1]))
    return chance.choice((
        None, True, 0, 1, -1, 1.5, 2**70, float("nan"), "", "x", chance.choice(CLASSES), [], {}, [1, 2, 3, 4], [[]],
        [2**20, 2**20], {"a": {"b": []}}, {"class_name": "__tuple__", "items": [1, 1]},
    ))  # fmt: skip


def mutate_safetensors(content: bytes, chance: Random) -> bytes:
    """The header's JSON, or metagan's own JSON in it, changed; its length stated rightly, mostly."""
    length = int.from_bytes(content[:8], "little")
    text, numbers = content[8 : 8 + length], content[8 + length :]
    try:
        header = json.loads(text)
        own = header["__metadata__"]["metagan"]
    except (ValueError, KeyError, TypeError):
        return _safetensors(mutate_json(text, chance), numbers, chance)
    if chance.random() < 0.85:
        header["__metadata__"]["metagan"] = mutate_json(str(own).encode(), chance).decode("utf-8", "replace")
        return _safetensors(json.dumps(header).encode(), numbers, chance)
    return _safetensors(mutate_json(text, chance), numbers, chance)


def _safetensors(text: bytes, numbers: bytes, chance: Random) -> bytes:
    length = len(text) if chance.random() < 0.95 else len(text) + chance.choice((-1, 1, 8, 2**40))
    return length.to_bytes(8, "little") + text + numbers
