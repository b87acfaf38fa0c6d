"""What a site shows by the day: the picture of the day, and a day's round of the game "which one exists?".

A static host can't choose by the date, so visitors' browsers do (templates/static/days.js), by the rules below; pages
without JavaScript and feeds have what these rules give for the day of the build. Days are UTC's, so that they are the
same for everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from metagan.registry.models import Site
from metagan.site.pages.content import RealPicture, RealsContent
from metagan.site.pages.views import PictureIndex, PictureView, SubjectView, seed_ranges

PAIRS: Final = 10
FEED_DAYS: Final = 30
TODAY: Final = "today/"
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class DayView:
    """A day's picture as pages and feeds show it."""

    day: date
    subject: SubjectView
    picture: PictureView

    @property
    def iso(self) -> str:
        """The day as addresses have it: "2026-11-29"."""
        return self.day.isoformat()

    @property
    def url(self) -> str:
        """Its address on the site."""
        return f"{TODAY}?day={self.iso}"

    @property
    def said(self) -> str:
        """The day in words: "29 November 2026"."""
        return f"{self.day.day} {self.day:%B %Y}"


def picture_of_day(day: date, albums: Sequence[tuple[SubjectView, PictureIndex]]) -> DayView:
    """Return a day's picture.

    Subjects take turns, by the days since 1970-01-01. Of the subject's pictures it is the one whose place is the
    remainder of the first six bytes of the SHA-256 of the date, "2026-11-29", big-endian.
    """
    view, album = albums[(day - _EPOCH).days % len(albums)]
    return DayView(day, view, album.shot(_place(day, len(album))))


def latest_places(built: date, count: int) -> list[int]:
    """Return the places of the last days' pictures among a subject's `count`, as far as these days are its own."""
    days = (built - timedelta(days=ago) for ago in range(FEED_DAYS))
    return [_place(day, count) for day in days]


def _place(day: date, count: int) -> int:
    return _number(_digest(day.isoformat()), 0) % count


def latest_days(built: date, albums: Sequence[tuple[SubjectView, PictureIndex]]) -> list[DayView]:
    """Return the pictures of the last days up to that of the build, the newest first."""
    return [picture_of_day(built - timedelta(days=ago), albums) for ago in range(FEED_DAYS)]


def json_feed(site: Site, days: Sequence[DayView]) -> dict[str, object]:
    """Return days' pictures as a JSON Feed (https://www.jsonfeed.org/version/1.1/)."""
    base = site.base_url
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": f"{site.title}: picture of the day",
        "home_page_url": base + TODAY,
        "feed_url": f"{base}{TODAY}feed.json",
        "language": site.heading.lang,
        "authors": [{"name": site.author or site.title}],
        "items": [
            {
                "id": base + one.url,
                "url": base + one.url,
                "title": f"{one.subject.headline} – no. {one.picture.seed}",
                "content_text": one.picture.text or one.picture.alt,
                "image": base + one.picture.card,
                "date_published": f"{one.iso}T00:00:00Z",
            }
            for one in days
        ],
    }


@dataclass(frozen=True)
class Pair:
    """A pair of a day's round: the places of its two pictures, and which side the original is on."""

    real: int
    made: int
    real_is_left: bool


def round_of_day(day: date, slug: str, reals: int, made: int) -> list[Pair]:
    """Return a day's pairs, none of whose pictures comes twice.

    Pair i takes the SHA-256 of "SLUG/DAY/i": its first six bytes give the original's place among `reals`, the next six
    the made picture's among `made`, as remainders; a place that the round has had gives way to the next one that it
    hasn't. The original stands on the left if byte 12 is even.
    """
    pairs: list[Pair] = []
    had: tuple[set[int], set[int]] = (set(), set())
    for number in range(min(PAIRS, reals, made)):
        digest = _digest(f"{slug}/{day.isoformat()}/{number}")
        real = _free(_number(digest, 0) % reals, reals, had[0])
        other = _free(_number(digest, 6) % made, made, had[1])
        pairs.append(Pair(real, other, digest[12] % 2 == 0))
    return pairs


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _number(digest: bytes, start: int) -> int:
    return int.from_bytes(digest[start : start + 6])


def _free(place: int, count: int, had: set[int]) -> int:
    while place in had:
        place = (place + 1) % count
    had.add(place)
    return place


@dataclass(frozen=True)
class GameView:
    """The game's page: a pair to look at without JavaScript, and what a browser needs to play.

    Args:
        reals: The originals.
        pairs: How many pairs a day has.
        real: The original of the build's first pair.
        real_src: Its file.
        made: The pair's made picture.
        real_is_left: Which side the original stands on.
        data: For static/which.js.
    """

    reals: RealsContent
    pairs: int
    real: RealPicture
    real_src: str
    made: PictureView
    real_is_left: bool
    data: dict[str, object]


def view_game(view: SubjectView, album: PictureIndex, reals: RealsContent, built: date) -> GameView:
    """Return the game of a subject."""
    pairs = round_of_day(built, view.slug, len(reals.pictures), len(album.pictures))
    first = pairs[0]
    real = reals.pictures[first.real]
    data = {
        "slug": view.slug,
        "title": view.title,
        "width": view.width_px,
        "height": view.height_px,
        "extension": album.extension,
        "pages": view.has_pages,
        "pairs": PAIRS,
        "seeds": seed_ranges([picture.seed for picture in album.pictures]),  # of shards those that are files
        "folder": reals.folder,
        "reals": [[one.number, one.name, *([one.page] if one.page else [])] for one in reals.pictures],
    }
    src = f"{reals.folder}/{real.number}.{album.extension}"
    return GameView(reals, len(pairs), real, src, album.file(first.made), first.real_is_left, data)
