"""A subject's finished pictures in the work folder. Nothing here imports torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metagan.images.card import CARD_VERSION
from metagan.images.encode import ENCODER_VERSION, EXTENSIONS
from metagan.registry.models import Site, Subject
from metagan.seeds import SeedRanges
from metagan.site.build.build_dir import BuildDir, digest_of
from metagan.site.pages.content import GeneratorFacts, UpscalerFacts

if TYPE_CHECKING:
    from metagan.site.build.sharded import ShardedRun

PICTURE_VERSION = 2  # increase it when the same weights, seed and settings would give other pixels
UPSCALING_VERSION = 1  # likewise for the upscaler's results


@dataclass(frozen=True)
class PictureCache:
    """The cache of one subject's finished pictures.

    A picture stays valid as long as everything it depends on is the same: weights, psi, class, noise, format,
    precision, and the versions of the code that draws and encodes it. The folder's name is a hash of all this.

    Args:
        subject: The subject.
        weights: Its weights file.
        sha256: That file's SHA-256.
        folder: Folder of the finished pictures.
        cards: Folder of the cards that link previews show; None where pictures have no pages of their own.
        upscaler: Facts about the upscaler's file, or None.
        upscaler_weights: The upscaler's file, or None.
        run: The run of shards that has the pictures, or None. The subject's seeds then are those of the few that
            become files in any layout.
        seeds: All seeds that are published from the run.
    """

    subject: Subject
    weights: Path
    sha256: str
    folder: Path
    cards: Path | None
    upscaler: UpscalerFacts | None = None
    upscaler_weights: Path | None = None
    run: ShardedRun | None = None
    seeds: SeedRanges | None = None

    @property
    def count(self) -> int:
        """How many pictures are published."""
        return len(self.subject.seeds if self.seeds is None else self.seeds)

    def picture(self, seed: int) -> Path:
        """Return the path of a seed's picture."""
        return self.folder / f"{seed}.{EXTENSIONS[self.subject.format]}"

    def card(self, seed: int) -> Path:
        """Return the path of its card for link previews.

        Raises:
            AssertionError: If the site's pictures have no pages.
        """
        if self.cards is None:
            raise AssertionError("without pages there are no cards")
        return self.cards / f"{seed}.card.jpg"

    def files(self, seed: int) -> list[Path]:
        """Return all files of a seed."""
        return [self.picture(seed), self.card(seed)] if self.cards else [self.picture(seed)]

    def missing(self) -> list[int]:
        """Return the seeds still to be drawn, in the site's order."""
        there = _finished(self.folder)
        return [seed for seed in self.subject.seeds if self.picture(seed).name not in there]

    def missing_cards(self) -> list[int]:
        """Return the seeds whose cards are still to be made."""
        if self.cards is None:
            return []
        there = _finished(self.cards)
        return [seed for seed in self.subject.seeds if self.card(seed).name not in there]


def _finished(folder: Path) -> set[str]:
    """Names of a folder's finished files."""
    # A power failure can leave an empty file, if it was renamed before its content was on the disk.
    entries = os.scandir(folder) if folder.is_dir() else ()
    return {entry.name for entry in entries if entry.stat().st_size}


def picture_cache_for(
    build_dir: BuildDir,
    subject: Subject,
    weights: Path,
    facts: GeneratorFacts,
    *,
    site: Site,
    precision: str,
    upscaler: UpscalerFacts | None = None,
    upscaler_weights: Path | None = None,
    run: ShardedRun | None = None,
    seeds: SeedRanges | None = None,
) -> PictureCache:
    """Return the cache for a subject's current settings in the registry."""
    settings: tuple[object, ...] = (
        subject.psi,
        subject.label_choice,
        subject.noise,
        subject.format,
        precision,
    )
    if upscaler:
        settings += (upscaler.sha256, UPSCALING_VERSION)
    if run:
        settings += (run.name,)
    folder = build_dir.pictures(digest_of(facts.sha256, *settings, PICTURE_VERSION, ENCODER_VERSION))
    cards = cards_folder(subject, site, folder, build_dir) if site.picture_pages else None
    return PictureCache(subject, weights, facts.sha256, folder, cards, upscaler, upscaler_weights, run, seeds)


def cards_folder(subject: Subject, site: Site, pictures: Path, build_dir: BuildDir) -> Path:
    """Return the folder of a subject's cards, named by a hash of what they depend on.

    Args:
        subject: The subject.
        site: The site, whose title, address and colours cards have.
        pictures: The folder of the finished pictures, which is named likewise.
        build_dir: Has the cards.
    """
    words = (subject.heading, subject.title, subject.psi, site.title, site.base_url, site.theme.accent)
    return build_dir.cards(digest_of(pictures.name, *words, CARD_VERSION))


def chunks_with_gaps(wanted: Sequence[int], missing: set[int], size: int) -> list[tuple[int, ...]]:
    """Return the batches of wanted seeds in which a picture is missing.

    Batches are formed from all wanted seeds, not from the missing ones: a resumed build then draws each picture in
    the same batch as an uninterrupted one, and gets the same bytes.
    """
    cut = [tuple(wanted[start : start + size]) for start in range(0, len(wanted), size)]
    return [chunk for chunk in cut if not missing.isdisjoint(chunk)]
