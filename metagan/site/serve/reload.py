"""Rebuilds a served site when its sources change, and notifies the pages open in browsers."""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from watchfiles import Change, DefaultFilter, watch

from metagan.errors import MetaganError
from metagan.files import real_path
from metagan.values import text_of

Report = Callable[[str], None]

SCRIPT = Path(__file__).with_name("reload.js")
KEEP_ALIVE_S = 15.0
DEBOUNCE_MS = 200
LOOK_EVERY_S = 1.0
CLOCK_GRAIN_S = 0.02  # times of files come from a clock that ticks as slowly as every 10 ms


@dataclass(frozen=True)
class BuiltSite:
    """The result of a build for the server.

    Args:
        folder: The site's folder.
        subpath: The path of its base URL, with slashes at both ends: "/apes/", or "/".
        watch: Files and folders it was made from; a change in any of them triggers a new build.
    """

    folder: Path
    subpath: str = "/"
    watch: tuple[Path, ...] = ()


Build = Callable[[], BuiltSite]


@dataclass(frozen=True)
class Reload:
    """The state that open pages are notified of.

    Args:
        version: Changes after each successful build, and after each start of the server.
        error: The error of the newest build, or None.
    """

    version: str
    error: str | None = None


@dataclass
class LiveSite:
    """Shares the newest site and its state between the server's threads.

    Args:
        built: The newest site.
        since: When its build began, in seconds since the epoch.
        news: The state that open pages are notified of.
    """

    built: BuiltSite
    since: float
    news: Reload = field(default_factory=lambda: Reload(secrets.token_hex(4)))
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def put(self, built: BuiltSite, since: float) -> None:
        """Publish a successful build; pages reload."""
        with self._changed:
            self.built, self.since, self.news = built, since, Reload(secrets.token_hex(4))
            self._changed.notify_all()

    def fail(self, error: str) -> None:
        """Publish a failed build; pages stay and show the error."""
        with self._changed:
            self.news = Reload(self.news.version, error)
            self._changed.notify_all()

    def follow(self, keep_alive_s: float = KEEP_ALIVE_S) -> Iterator[Reload | None]:
        """Yield the state immediately and whenever it changes; None if nothing happened for `keep_alive_s`."""
        told: Reload | None = None
        while True:
            news = self._newer_than(told, keep_alive_s)
            told = news or told
            yield news

    def _newer_than(self, told: Reload | None, timeout_s: float) -> Reload | None:
        with self._changed:
            self._changed.wait_for(lambda: self.news != told, timeout=timeout_s)
            return None if self.news == told else self.news


def first_site(build: Build) -> LiveSite:
    """Build the site that a server starts with; errors are passed to the caller."""
    since = time.time()
    return LiveSite(build(), since)


def with_script(html: bytes, source: str) -> bytes:
    """Add a script element at the end of a page's body, as a file, as the pages' security policy requires.

    Args:
        html: The page.
        source: The script's URL; letters, digits and /?_.-% only.
    """
    tag = f'<script src="{source}" defer></script>'.encode()
    at = html.lower().rfind(b"</body>")
    return html[:at] + tag + html[at:] if at >= 0 else html + tag


class SourceFilter(DefaultFilter):
    """Selects changes of a site's sources, without editors' temporary files.

    Editors replace files by renaming, which ends a watch on the file itself. So folders are watched, and their
    other content is filtered out here.
    """

    def __init__(self, sources: tuple[Path, ...]) -> None:
        places = {place for source in sources for place in (source.absolute(), real_path(source))}
        self._files = frozenset(place for place in places if not place.is_dir())
        self._folders = tuple(place for place in places if place.is_dir())
        super().__init__()

    def __call__(self, change: Change, path: str) -> bool:
        """Return whether a change of this path triggers a new build."""
        place = Path(path)
        ours = place in self._files or any(place.is_relative_to(folder) for folder in self._folders)
        return ours and super().__call__(change, path)

    def folders(self) -> frozenset[Path]:
        """Return the folders to watch, without subfolders of others."""
        inner = {path for top in self._folders for path in top.rglob("*") if path.is_dir()}
        outer = {file.parent for file in self._files if file.parent.is_dir()}
        return frozenset({*self._folders, *inner, *outer})

    def changed_since(self, since: float) -> bool:
        """Return whether a source was changed since a time in seconds since the epoch.

        One that is dated in the future (another machine's clock, an unpacked archive) is not: it would be for ever.
        """
        inner = (path for top in self._folders for path in top.rglob("*"))
        times = [time_of(path) for path in (*self._files, *inner)]
        return any(since - CLOCK_GRAIN_S < at <= time.time() for at in times if at is not None)


def time_of(path: Path) -> float | None:
    """Return when a file was changed, in seconds since the epoch; None if it isn't a file, or no longer there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime if S_ISREG(state.st_mode) else None


def rebuild_on_change(live_site: LiveSite, build: Build, stop: threading.Event, report: Report) -> None:
    """Rebuild whenever a source changes, until `stop` is set.

    Args:
        live_site: Holds the newest site, and receives new ones.
        build: Builds the site.
        stop: Event that ends the loop between two builds.
        report: Called with a line for each rebuild, or the error.
    """
    since = live_site.since
    while not stop.is_set():
        sources = live_site.built.watch
        source_filter = SourceFilter(sources)
        folders = source_filter.folders()
        if not folders:
            return
        if source_filter.changed_since(since):  # a source was edited during the build
            since = rebuild(live_site, build, report)
        if any(text_of(str(folder)) != str(folder) for folder in folders):  # watchfiles takes UTF-8 only
            stop.wait(LOOK_EVERY_S)
            continue
        changes = watch(
            *folders,
            watch_filter=source_filter,
            recursive=False,
            stop_event=stop,
            debounce=DEBOUNCE_MS,
            raise_interrupt=False,
            rust_timeout=round(1000 * LOOK_EVERY_S),
            yield_on_timeout=True,
        )
        for changed in changes:
            if changed:
                report(f"changed: {_names(changed)}")
            elif not source_filter.changed_since(since):  # nor before the watch had begun
                continue
            since = rebuild(live_site, build, report)
            if live_site.built.watch != sources or SourceFilter(sources).folders() != folders:
                break


def rebuild(live_site: LiveSite, build: Build, report: Report) -> float:
    """Build once and publish the result to `live_site`; a failure keeps the last good site.

    Returns:
        When the build began, in seconds since the epoch.
    """
    since = time.time()
    try:
        live_site.put(build(), since)
        report(f"rebuilt in {time.time() - since:.1f} s")
    except (MetaganError, OSError) as error:
        live_site.fail(str(error))
        report(f"not rebuilt, the last good site stays:\n{error}")
    except Exception:  # noqa: BLE001 - a bug in a build must not end the preview; it is shown in full
        live_site.fail(traceback.format_exc())
        report(f"not rebuilt because of a bug in metagan:\n{traceback.format_exc()}")
    return since


def _names(changed: set[tuple[Change, str]]) -> str:
    names = sorted({Path(path).name for _, path in changed})
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
