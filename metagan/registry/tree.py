"""Reads a safe subset of YAML into plain values, and remembers the line and column of each.

The subset has mappings with text keys, lists, text, decimal numbers, true and false. Tags and merge keys are
errors. Sexagesimals (1:30), octals (010) and dates are text. For YAML 1.1's booleans yes, no, on and off, the tree
remembers the spelling, so that a message can explain `title: no`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from metagan.errors import Location, Problem, RegistryError
from metagan.files import bytes_told, open_regular
from metagan.values import show

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_VALUES = 50_000

Place = tuple[str | int, ...]
Value = str | int | float | bool | list[Any] | dict[str, Any] | None

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]{0,39})(\.[0-9]*)?)([eE][-+]?[0-9]{1,9})?", re.ASCII)
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
_HALF, _HALF_FIX = "want text, got half a character (a surrogate)", "write the character itself"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Tree:
    """The values of a file, and the place of each.

    Args:
        path: The file's name in messages.
        value: Its content as plain values.
        root: Its content as PyYAML nodes.
        problems: Structural mistakes: duplicate keys, tags, keys that are not text.
    """

    path: Path
    value: Value
    root: yaml.Node
    problems: tuple[Problem, ...]

    def where(self, place: Place, *, key: bool = False) -> Location:
        """Return file, line and column of a value or its key; if it is missing, of the key above it."""
        node, mark, of_key = self.root, self.root.start_mark, self.root.start_mark
        for step in place:
            found = _child(node, step)
            if found is None:
                return _where(self.path, of_key)
            name, node = found
            of_key = name.start_mark
            mark = name.start_mark if key or not _has_text(node) else node.start_mark
        return _where(self.path, mark)

    def written(self, place: Place) -> str | None:
        """Return the spelling of an unquoted scalar in the file, or None for other values."""
        node = self.root
        for step in place:
            found = _child(node, step)
            if found is None:
                return None
            node = found[1]
        return node.value if isinstance(node, yaml.ScalarNode) and node.style is None else None


def dotted(place: Place) -> str:
    """Format a place for messages: "subjects.cat.images[3]"."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _KEY.fullmatch(step) else show(step))
    return text


def read_tree(path: Path) -> Tree:
    """Read a YAML file.

    Raises:
        RegistryError: If the file can't be opened, is too large or empty, or is not UTF-8 or YAML.
    """
    return parse_tree(path, _read_text(path))


def parse_tree(path: Path, text: str) -> Tree:
    """Read a YAML text.

    Raises:
        RegistryError: If it is empty, or not YAML.
    """
    root = _compose(path, text)
    if root is None:
        raise RegistryError.of(
            [
                Problem(
                    Location(str(path), 1, 1),
                    "the file is empty; want a registry",
                    "run `metagan init` to create one",
                )
            ]
        )
    plain = _Plain(path)
    value = plain.read(root)
    return Tree(path, value, root, tuple(plain.problems))


def _has_text(node: yaml.Node) -> bool:
    """Whether a node has text of its own; false for the empty value after "key:"."""
    return not (isinstance(node, yaml.ScalarNode) and node.style is None and not node.value)


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _where(path: Path, mark: yaml.Mark | None) -> Location:
    return Location(str(path), mark.line + 1, mark.column + 1) if mark else Location(str(path), 1, 1)


def _unreadable(where: Location, what: str, fix: str) -> RegistryError:
    return RegistryError.of([Problem(where, what, fix)])


def _read_text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
            told = bytes_told(file)
    except FileNotFoundError as error:
        fix = "run `metagan init` to create one, or name another file with --registry"
        raise _unreadable(Location(str(path)), "there is no such file", fix) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(
            Location(str(path)), f"can't be read: {reason}", "name a file that can be read"
        ) from error
    if len(data) > MAX_BYTES:
        fix = "write many seeds as ranges such as 0-9999, and put long text into separate files"
        raise _unreadable(Location(str(path), 1, 1), f"want at most {MAX_BYTES:,} bytes, got {told}", fix)
    return _decode(path, data)


def _decode(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(
            Location(str(path), 1, 1), "want UTF-8 text, got UTF-16", "save it as UTF-8 in your editor"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"want UTF-8 text, got the byte 0x{data[error.start]:02x}"
        raise _unreadable(
            Location(str(path), line, column), what, "save it as UTF-8 in your editor"
        ) from error


class _Loader(yaml.BaseLoader):
    """PyYAML's parser up to nodes, without type guessing, and with limits on depth and size."""

    depth = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose one node. Too many nodes, or too deep ones, are an error."""
        self.depth += 1
        self.values += 1
        if self.depth > MAX_DEPTH or self.values > MAX_VALUES:
            limit = f"{MAX_DEPTH} levels" if self.depth > MAX_DEPTH else f"{MAX_VALUES:,} values"
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"want at most {limit}, got more", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        return node


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = _where(path, error.problem_mark or error.context_mark)
        raise _unreadable(where, *_explain(error)) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = Location(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
        what = f"want printable text, got the control character {error.character:#x}"
        raise _unreadable(where, what, "remove it") from error
    except (ValueError, OverflowError, RecursionError) as error:
        # PyYAML turns digits of escapes and directives into numbers without looking at their size.
        what = "not YAML: an escape (\\U...) or directive (%...) has an invalid number"
        raise _unreadable(Location(str(path), 1, 1), what, "correct or remove it") from error


def _explain(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Describe a syntax error and its fix."""
    problem = str(error.problem or error.context or "it can't be read")
    if "'\\t'" in problem:
        return "want spaces, got a tab", "indent with spaces: YAML allows no tabs"
    if problem.startswith("want at most"):
        return problem, "shorten it: write many seeds as ranges such as 0-9999"
    if "but found another document" in problem:
        return "want one YAML document, got a second", "remove the line --- and everything after it"
    if "mapping values are not allowed" in problem:
        return (
            "not YAML: a colon in the wrong place",
            "put text that contains ': ' into quotes, or indent the line",
        )
    context = f" ({error.context})" if error.context and error.problem else ""
    return (
        f"not YAML: {problem}{context}",
        "check indentation, quotes and brackets of this line and the one before",
    )


@dataclass
class _Plain:
    """Converts nodes to plain values and collects mistakes."""

    path: Path
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def read(self, node: yaml.Node, place: Place = ()) -> Value:
        """Convert a node. Aliases are followed up to a limit."""
        self.values += 1
        if len(place) > MAX_DEPTH or self.values > MAX_VALUES:
            limit = f"{MAX_DEPTH} levels" if len(place) > MAX_DEPTH else f"{MAX_VALUES:,} values"
            what = f"want at most {limit} after aliases (*name) are expanded, got more"
            raise _unreadable(
                _where(self.path, node.start_mark), what, "write shared settings under `defaults:`"
            )
        if node.tag not in _PLAIN_TAGS:
            self._complain(node, place, f"tags are not allowed, got {show(node.tag)}", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return {key: self.read(value, (*place, key)) for key, value in self._pairs(node, place)}
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _pairs(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.value = _whole(key.value)
            if not isinstance(key, yaml.ScalarNode):
                self._complain(
                    key, place, "want a word as a key, got a list or mapping", "write `key: value`"
                )
            elif key.value == "<<" and key.style is None:
                fix = "write shared settings under `defaults:`"
                self._complain(key, place, "merge keys (<<) are not allowed", fix)
            elif _SURROGATE.search(key.value):
                self._complain(key, place, _HALF, _HALF_FIX)
            elif key.value in seen:
                line = seen[key.value].start_mark.line + 1
                what = f"duplicate key; the first one is on line {line}"
                self._complain(key, (*place, key.value), what, "remove or rename one of them")
            else:
                seen[key.value] = key
                yield key.value, value

    def _scalar(self, node: yaml.Node, place: Place) -> Value:
        text = _whole(str(node.value))
        if _SURROGATE.search(text):
            self._complain(node, place, _HALF, _HALF_FIX)
            return "?"
        return text if getattr(node, "style", None) is not None else _resolve(text)

    def _complain(self, node: yaml.Node, place: Place, what: str, fix: str) -> None:
        named = f"{dotted(place)}: {what}" if place else what
        self.problems.append(Problem(_where(self.path, node.start_mark), named, fix))


def _whole(text: str) -> str:
    """Join the halves of characters beyond U+FFFF, which JSON's escapes write as two: "\\ud83d\\udc12"."""
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


def _resolve(text: str) -> Value:
    """Convert unquoted text: to a number or boolean if it can be nothing else."""
    if text in _NULLS:
        return None
    if text in {text.lower(), text.capitalize(), text.upper()} and text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
