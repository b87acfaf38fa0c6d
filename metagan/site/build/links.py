"""Finds broken links in a rendered site.

Pages are read one at a time. Only the names of files and the links to anchors in other pages are
kept in memory, so that a site of any size can be checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from metagan.errors import Problem

LINK_ATTRIBUTES = frozenset({"href", "src", "action", "poster", "data-preload"})
PREVIEW_NAMES = frozenset({"og:image", "og:url", "twitter:image"})
NOT_FOUND = "404.html"
INDEX = "index.html"

# HTML's tags, skipping comments and the content of scripts. html.parser finds the same in well-formed pages
# (a test compares the two), but takes more than twice as long for ten thousand pages.
_TOKEN = re.compile(
    r"<!--.*?-->"
    r"|<(?P<raw>(?P<name>script|style)\b[^>]*)>.*?</(?P=name)\s*>"
    r"|<(?P<tag>[a-z](?:[^>\"']++|\"[^\"]*\"|'[^']*')*+)>",
    re.IGNORECASE | re.DOTALL,
)
_TELLING = re.compile(r"\b(?:href|src|srcset|id|name|action|poster|data-preload|property)\s*=", re.IGNORECASE)
_ANCHORS = {"a": ("id", "name")}
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""")

# The assumed host if only the path of the site's address is known.
_NOWHERE = "http://site.invalid"


@dataclass(frozen=True, slots=True)
class _Link:
    page: str
    line: int
    value: str


def check_links(root: Path | Mapping[str, bytes], base_path: str) -> list[Problem]:
    """Find every link, source and anchor inside a site whose target is missing.

    Args:
        root: The site's folder, or its files' contents by site-relative path.
        base_path: The path under which the site will be served, "/apes/". With the whole address,
        "https://user.github.io/apes/", absolute links to the site itself are checked too.

    Returns:
        One problem per missing target, naming the first page that links to it.
    """
    if isinstance(root, Path):
        return _Checker(_names_below(root), lambda name: (root / name).read_bytes(), base_path).run()
    return _Checker(root, root.__getitem__, base_path).run()


def _names_below(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        yield from ((inside / name).as_posix() for name in names)


class _Checker:
    """Checks a site's pages in one pass, and pages that anchors point into in a second."""

    def __init__(self, names: Iterable[str], read: Callable[[str], bytes], base_path: str) -> None:
        self._names = frozenset(names)
        self._read = read
        parts = urlsplit(base_path)
        self._host = f"{parts.scheme}://{parts.netloc}" if parts.netloc else _NOWHERE
        self._base = parts.path if parts.path.endswith("/") else f"{parts.path}/"
        self._anchors: dict[str, dict[str, list[_Link]]] = {}
        self._found: dict[str, list[_Link]] = {}

    def run(self) -> list[Problem]:
        for page in sorted(name for name in self._names if name.endswith(".html")):
            links, ids = self._scan(page)
            for line, value in links:
                self._check(_Link(page, line, value), ids)
        for target, anchors in self._anchors.items():
            _, ids = self._scan(target)
            for anchor in anchors.keys() - ids:
                for link in anchors[anchor]:
                    self._miss(link, f"there is no element with id {anchor!r} in {target}")
        return [_problem(what, links) for what, links in self._found.items()]

    def _scan(self, page: str) -> tuple[list[tuple[int, str]], set[str]]:
        return _scan(self._read(page).decode("utf-8", errors="replace"))

    def _check(self, link: _Link, ids: set[str]) -> None:
        value = link.value.strip()
        if value.startswith("#"):
            if unquote(value[1:]) not in ids | {"", "top"}:
                self._miss(link, f"there is no element with id {value[1:]!r} in {link.page}")
            return
        try:
            url = urlsplit(urljoin(f"{self._host}{self._base}{link.page.removesuffix(INDEX)}", value))
        except ValueError:
            self._miss(link, f"{value!r} is not an address")
            return
        if f"{url.scheme}://{url.netloc}" != self._host:
            return
        absolute = value.startswith(self._host)
        if link.page == NOT_FOUND and not absolute and not value.startswith("/"):
            self._miss(link, f"{value!r} is relative, but {NOT_FOUND} is shown at any depth")
        elif url.path.startswith(self._base):
            self._check_target(link, unquote(url.path[len(self._base) :]), unquote(url.fragment))
        elif not absolute:
            self._miss(link, f"{url.path!r} is outside the site, which stands at {self._base!r}")

    def _check_target(self, link: _Link, path: str, anchor: str) -> None:
        candidates = (f"{path}{INDEX}",) if path == "" or path.endswith("/") else (path, f"{path}/{INDEX}")
        target = next((name for name in candidates if name in self._names), None)
        if target is None:
            self._miss(link, f"the site has no {candidates[0]}")
        elif anchor and target.endswith(".html"):
            self._anchors.setdefault(target, {}).setdefault(anchor, []).append(link)

    def _miss(self, link: _Link, what: str) -> None:
        self._found.setdefault(what, []).append(link)


def _problem(what: str, links: list[_Link]) -> Problem:
    first, more = links[0], len({link.page for link in links}) - 1
    also = f" (and on {more:,} more page{'s' * (more > 1)})" if more else ""
    fix = "correct the template, or the registry if the address comes from there"
    return Problem(f"{first.page}:{first.line}", f"it links to {first.value!r}, but {what}{also}", fix)


def _scan(text: str) -> tuple[list[tuple[int, str]], set[str]]:
    """Return a page's links with their lines, and the ids that are link targets."""
    links: list[tuple[int, str]] = []
    ids: set[str] = set()
    line, counted = 1, 0
    for token in _TOKEN.finditer(text):
        inside = token["raw"] or token["tag"]
        if not inside or not _TELLING.search(inside):
            continue
        line, counted = line + text.count("\n", counted, token.start()), token.start()
        attributes = {name.lower(): unescape(a or b or c) for name, a, b, c in _ATTRIBUTE.findall(inside)}
        tag = inside.split(None, 1)[0].lower()
        links += [(line, value) for value in _targets(tag, attributes)]
        ids |= {attributes[name] for name in _ANCHORS.get(tag, ("id",)) if name in attributes}
    return links, ids


def _targets(tag: str, attributes: dict[str, str]) -> Iterator[str]:
    if tag == "meta":
        if attributes.get("property", attributes.get("name")) in PREVIEW_NAMES and "content" in attributes:
            yield attributes["content"]
        return
    yield from (attributes[name] for name in LINK_ATTRIBUTES & attributes.keys())
    yield from (part.split()[0] for part in attributes.get("srcset", "").split(",") if part.strip())
