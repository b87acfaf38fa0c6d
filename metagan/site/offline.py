"""What a site's service worker (templates/sw.js) keeps in a visitor's browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from metagan.site.content import SiteContent
from metagan.site.pages import Album, SubjectView

# Of a site of many subjects only the first ones' pages are kept beforehand, the others when they are looked at.
KEPT_SUBJECTS = 12
LARGEST_BYTES = 300_000
# Of each of those a few pictures, so that without a network there is one, and another; fewer where they are large.
KEPT_PICTURES = 4
FEWEST_PICTURES = 2
KEPT_PIXELS = 1_000_000
_STATIC = frozenset({".css", ".js", ".svg", ".wasm"})
_INDEX = "index.html"


class Offline:
    """Collects the files to keep, with the hashes by which a browser knows that they are of this build."""

    def __init__(self, content: SiteContent, albums: Sequence[tuple[SubjectView, Album]]) -> None:
        self._revision = content.revision
        self._views = [view for view, _ in albums]
        self._albums = albums[:KEPT_SUBJECTS]
        kept = self._views[:KEPT_SUBJECTS]
        pages = (
            "",
            "subjects/",
            *(page for view in kept for page in (view.url, view.about, view.wall) if page),
        )
        self._pages = frozenset(f"{page}{_INDEX}" for page in pages)
        self._files: list[tuple[str, str]] = []

    def note(self, path: str, data: bytes) -> None:
        """Take a file of the site into account, if it is one to keep."""
        if path in self._pages:
            self._add(path.removesuffix(_INDEX), data)
        elif (
            PurePosixPath(path).suffix in _STATIC
            and path.startswith("static/")
            and len(data) <= LARGEST_BYTES
        ):
            self._add(f"{path}?v={self._revision}", data)

    def _add(self, address: str, data: bytes) -> None:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self._files.append((address, f"sha256-{digest}"))

    def data(self) -> dict[str, object]:
        """What the service worker's script is told."""
        return {
            "revision": self._revision,
            "files": self._files,
            "pictures": [shot.src for view, album in self._albums for shot in album.shots(_how_many(view))],
            "models": sorted({view.live.path for view in self._views if view.live}),
        }


def _how_many(view: SubjectView) -> int:
    """How many of a subject's pictures are kept before anybody has looked at them."""
    return max(FEWEST_PICTURES, min(KEPT_PICTURES, KEPT_PIXELS // (view.width_px * view.height_px)))
