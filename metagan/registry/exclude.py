"""Writes a subject's `exclude` into registry.yaml, and changes nothing else of the file: comments and order stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from metagan.errors import RegistryError
from metagan.files import read_bytes, real_path, replacing
from metagan.registry.tree import Tree, parse_tree, read_tree
from metagan.seeds import parse_list, parse_ranges

_KEY = "exclude"


def excluded_seeds(path: Path, slug: str) -> tuple[int, ...]:
    """The seeds that a subject leaves out as its registry stands. The registry must be valid."""
    value = _plain(read_tree(path))["subjects"][slug].get(_KEY)
    if value is None:
        return ()
    ranges = parse_ranges(str(value)) if isinstance(value, (str, int)) else parse_list(value)
    return tuple(seed for one in ranges for seed in one)


def write_exclude(path: Path, slug: str, seeds: Sequence[int]) -> None:
    """Let a subject leave out exactly these seeds.

    Args:
        path: A valid registry.
        slug: The subject.
        seeds: In any order; none takes the entry away.

    Raises:
        RegistryError: The file is written in a way that can't be changed safely.
    """
    text = read_bytes(path).decode("utf-8-sig" if read_bytes(path).startswith(b"\xef\xbb\xbf") else "utf-8")
    wanted = format_seeds(seeds)
    changed = _changed(text, slug, wanted)
    if not _only_exclude_changed(path, text, changed, slug, wanted):
        what = f"subjects.{slug}.{_KEY}: can't be changed without changing more"
        raise RegistryError(what, where=path, fix=f"write `{_KEY}: {wanted}` there yourself")
    target = real_path(path)
    mode = target.stat().st_mode
    with replacing(target) as beside:
        beside.touch(mode=0o600)
        beside.write_bytes(changed.encode())
        beside.chmod(mode)


def _only_exclude_changed(path: Path, text: str, changed: str, slug: str, wanted: str) -> bool:
    try:
        before, after = (_plain(parse_tree(path, each)) for each in (text, changed))
    except RegistryError:
        return False
    before["subjects"][slug].pop(_KEY, None)
    wrote = after["subjects"][slug].pop(_KEY, "")
    return bool(before == after and str(wrote) == wanted)


def _plain(tree: Tree) -> Any:
    return tree.value


def format_seeds(seeds: Sequence[int]) -> str:
    """Seeds in ascending order as registries write them, "3, 17-19"."""
    runs: list[tuple[int, int]] = []
    for seed in sorted(set(seeds)):
        if runs and runs[-1][1] == seed - 1:
            runs[-1] = (runs[-1][0], seed)
        else:
            runs.append((seed, seed))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _changed(text: str, slug: str, exclude: str) -> str:
    subject = _value(_value(yaml.compose(text, Loader=yaml.SafeLoader), "subjects"), slug)
    line = f"{_KEY}: {exclude}"
    for key, value in subject.value:
        if key.value == _KEY:
            start, end = key.start_mark.index, _end(text, value)
            if exclude:
                return text[:start] + line + text[end:]
            first = text.rfind("\n", 0, start) + 1
            last = text.find("\n", end)
            return text[:first] + (text[last + 1 :] if last >= 0 else "")
    if not exclude:
        return text
    key, value = subject.value[-1]
    end = _end(text, value)
    last = text.find("\n", end)
    behind = len(text) if last < 0 else last
    return f"{text[:behind]}\n{' ' * key.start_mark.column}{line}{text[behind:]}"


def _value(node: Any, name: str) -> Any:
    return next(value for key, value in node.value if key.value == name)


def _end(text: str, value: yaml.Node) -> int:
    """Where a value ends; a block's own end mark is where the next token begins, but its last item's is exact."""
    if isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        last = value.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: value.end_mark.index].rstrip())
