"""Makes the cards that link previews show of pictures with a page of their own, from the finished pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from metagan.errors import BuildError
from metagan.files import write_bytes
from metagan.images.card import draw_card, encode_card
from metagan.images.provenance import Provenance
from metagan.registry.models import Site, Subject
from metagan.site.build.picture_cache import PictureCache
from metagan.site.pages.theme import card_colours
from metagan.site.pages.views import without_controls

THREADS = min(4, os.cpu_count() or 1)


def make_cards(cache: PictureCache, site: Site, name: str, advance: Callable[[int], None]) -> None:
    """Make the cards that a cache lacks; its pictures are there.

    Args:
        cache: The subject's.
        site: The site.
        name: The generating system, for the cards' metadata.
        advance: Called with the number of cards just finished.

    Raises:
        BuildError: If the disk is full.
    """
    headline, colours = _headline(cache.subject), card_colours(site.theme)
    address = site.base_url.partition("://")[2].rstrip("/")

    def make(seed: int) -> None:
        with Image.open(cache.picture(seed)) as image:
            picture = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
        lines = (f"Seed {seed}, psi {cache.subject.psi:g}", without_controls(site.title), address)
        card = draw_card(picture, headline, lines, colours)
        try:
            write_bytes(cache.card(seed), encode_card(card, Provenance(name, seed, cache.subject.psi)))
        except OSError as error:
            raise BuildError(
                f"{error.strerror or error}; finished pictures are kept",
                where=cache.card(seed),
                fix="free some space or check its permissions, then build again",
            ) from error

    with ThreadPoolExecutor(THREADS, thread_name_prefix="cards") as threads:
        done: Iterable[None] = threads.map(make, cache.missing_cards())
        for _ in done:
            advance(1)


def _headline(subject: Subject) -> tuple[tuple[str, bool], ...]:
    """The parts of a subject's headline; its title has the accent's colour."""
    before, place, after = without_controls(subject.heading.text).partition("{title}")
    return (before, False), (without_controls(subject.title) if place else "", True), (after, False)
