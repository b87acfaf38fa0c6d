"""Turns pydantic's errors into problems: the place, what was expected, what was found, and a fix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from metagan.errors import Problem
from metagan.registry.fields import Want
from metagan.registry.models import RegistryFile
from metagan.registry.tree import Place, Tree, dotted
from metagan.values import InvalidValueError, show

KEY_LOC = "[key]"

_OTHER_NAMES = {
    "network": "weights",
    "model": "weights",
    "checkpoint": "weights",
    "file": "weights",
    "hash": "sha256",
    "checksum": "sha256",
    "trunc": "psi",
    "truncation": "psi",
    "seeds": "images",
    "count": "images",
    "pictures": "images",
    "skip": "exclude",
    "noise_mode": "noise",
    "url": "base_url",
    "name": "title",
    "origin": "source",
}


def problems_of(error: ValidationError, tree: Tree) -> Iterator[Problem]:
    """Return one problem per mistake. A misspelt key is not reported as missing as well."""
    found = error.errors(include_url=False)
    meant = {
        (*place[:-1], key)
        for place in (_place(entry["loc"]) for entry in found if entry["type"] == "extra_forbidden")
        if (key := _meant_key(place))
    }
    for entry in found:
        place = _place(entry["loc"])
        if entry["type"] == "missing":
            if place not in meant:
                yield _missing(place, tree)
        elif entry["type"] == "extra_forbidden":
            yield _unknown_key(place, tree)
        elif isinstance(invalid_value := entry.get("ctx", {}).get("error"), InvalidValueError):
            for complaint in invalid_value.complaints:
                at = (*place, *complaint.at)
                where = tree.where(at, key=KEY_LOC in entry["loc"])
                yield Problem(where, f"{dotted(at)}: {complaint}", complaint.fix)
        else:
            yield _unfit(entry["type"], place, entry["input"], entry.get("ctx", {}), tree)


def known_keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys that a mapping of the file may have, as they are spelt there."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def want_of(field: FieldInfo) -> Want:
    """Return what a field accepts."""
    return _find_want((field.annotation, *field.metadata)) or Want("something else")


def example_of(key: str, field: FieldInfo) -> str:
    """Return an example line of YAML for a field; only the key for a mapping."""
    if not field.examples:
        return f"{key}:"
    example = field.examples[0]
    plain = isinstance(example, str) and not example.startswith("#")
    return f"{key}: {example if plain else json.dumps(example)}"


def _find_want(parts: Sequence[Any]) -> Want | None:
    for part in reversed(parts):  # the outermost annotation takes precedence
        if isinstance(part, Want):
            return part
        if inner := _find_want(get_args(part)):
            return inner
    return None


def _place(loc: Sequence[str | int]) -> Place:
    return tuple(step for step in loc if step != KEY_LOC)


def _model_at(place: Place) -> type[BaseModel]:
    """Find the model of the mapping at a place in the file."""
    model: type[BaseModel] = RegistryFile
    for step in place:
        field = known_keys(model).get(str(step))
        inner = _inner_model(field.annotation) if field else None
        model = inner or model
    return model


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _inner_model(part))), None)


def _field_at(place: Place) -> FieldInfo | None:
    return known_keys(_model_at(place[:-1])).get(str(place[-1])) if place else None


def _meant_key(place: Place) -> str | None:
    """Find the known key that a misspelt one probably means."""
    known = known_keys(_model_at(place[:-1]))
    key = str(place[-1]).lower().replace("-", "_")
    if (other := _OTHER_NAMES.get(key)) in known:
        return other
    close = get_close_matches(key, known, n=1)
    return close[0] if close else None


def _unknown_key(place: Place, tree: Tree) -> Problem:
    meant = _meant_key(place)
    known = ", ".join(known_keys(_model_at(place[:-1])))
    fix = f"did you mean {meant}?" if meant else f"remove it; the allowed keys are: {known}"
    return Problem(tree.where(place, key=True), f"{dotted(place)}: unknown key", fix)


def _missing(place: Place, tree: Tree) -> Problem:
    field, key = _field_at(place), str(place[-1])
    want = want_of(field).words if field else "a value"
    fix = f"add `{example_of(key, field) if field else key}`"
    if key == "licence":
        fix += ", or `licence: unknown` if none is stated"
    return Problem(tree.where(place), f"{dotted(place)}: missing; want {want}", fix)


def _unfit(kind: str, place: Place, value: object, limits: Mapping[str, Any], tree: Tree) -> Problem:
    field = _field_at(place)
    is_slug = field is None or (len(place) == 2 and place[0] == "subjects")
    want = Want("a mapping") if is_slug or field is None else want_of(field)
    words, got = want.words, _got(value, tree.written(place))
    if kind == "string_too_long":
        words, got = f"at most {limits['max_length']:,} characters", f"{len(str(value)):,}"
    if kind == "too_long":
        words, got = f"at most {limits['max_length']:,} of them", f"{limits['actual_length']:,}"
    if kind == "too_short":
        words = f"{words}, at least one"
    what = f"{dotted(place) or 'the file'}: want {words}, got {got}"
    return Problem(tree.where(place), what, want.fix or _fix(kind, place, value, tree))


def _got(value: object, written: str | None) -> str:
    if isinstance(value, bool) and written and written.lower() not in {"true", "false"}:
        return f"`{written}`, which YAML reads as {str(value).lower()}"
    if isinstance(value, dict) and not value:
        return "an empty mapping"
    return show(value)


def _fix(kind: str, place: Place, value: object, tree: Tree) -> str:
    field, written = _field_at(place), tree.written(place)
    key = str(place[-1]) if place else "site"
    if kind == "string_type" and written and isinstance(value, bool | int | float):
        return f'put it into quotes to make it text: {key}: "{written}"'
    if kind == "string_too_long":
        return "shorten it"
    if kind in {"model_type", "dict_type", "too_short"} or field is None:
        keys = known_keys(_model_at(place)).items()
        inside = ", ".join(key for key, inner in keys if inner.is_required())
        return f"write its keys below it, indented: {inside or 'see docs/registry.md'}"
    close = get_close_matches(str(value).lower(), want_of(field).words.replace(",", " ").split(), n=1)
    if kind == "literal_error" and close:
        return f"did you mean {close[0]}?"
    return f"write for example `{example_of(key, field)}`"
