"""What the pages know: everything a site shows, before any HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from metagan.registry.models import Site, Subject


@dataclass(frozen=True)
class GeneratorFacts:
    """What made a subject's pictures, for its about page.

    Args:
        architecture: "StyleGAN2".
        width_px: Width of a picture.
        height_px: Height of a picture.
        parameters: How many numbers the generator consists of.
        sha256: The weights file's.
        size_bytes: The weights file's.
        training: Facts the weights file states about its training; JSON-like values.
        classes: How many classes it knows; 0 when unconditional.
    """

    architecture: str
    width_px: int
    height_px: int
    parameters: int
    sha256: str
    size_bytes: int
    training: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0


@dataclass(frozen=True)
class UpscalerFacts:
    """What enlarged a subject's pictures, for its about page.

    Args:
        factor: How many times as wide and high it makes them.
        parameters: How many numbers it consists of.
        sha256: Its file's.
        size_bytes: Its file's.
        licence: As its file says.
        source: As its file says.
    """

    factor: int
    parameters: int
    sha256: str
    size_bytes: int
    licence: str
    source: str


def ai_system(architecture: str, sha256: str, upscaler: UpscalerFacts | None = None) -> str:
    """What pictures' metadata call the program that made them."""
    enlarged = f", enlarged by an upscaler, sha256 {upscaler.sha256[:16]}" if upscaler else ""
    return f"{architecture}, weights sha256 {sha256[:16]}{enlarged}, by metagan"


@dataclass(frozen=True)
class Picture:
    """One published picture.

    Args:
        seed: The seed it was drawn from.
        path: The file, relative to the site's root: "pictures/bagel/42.webp".
        card: A larger copy for link previews, relative likewise; None when the picture is large enough.
        text: A made-up line, or None.
    """

    seed: int
    path: str
    card: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class LiveModel:
    """A generator's weights file for visitors' browsers.

    Args:
        path: The file, relative to the site's root: "models/SHA256.bin.gz".
        sha256: Of its content before gzip; some hosts unpack on their way.
        content_bytes: Size of its content before gzip.
        file_sha256: Of the file.
        size_bytes: Of the file: what a visitor downloads.
        precision: The matrices' format, "fp16" or "fp32".
        off_by_one: Share of the pictures' values that are one level off the original generator's, 0 to 1.
        psnr_db: How near its pictures are before rounding, in dB; None when they are the same.
    """

    path: str
    sha256: str
    content_bytes: int
    file_sha256: str
    size_bytes: int
    precision: str
    off_by_one: float
    psnr_db: float | None


@dataclass(frozen=True)
class SubjectContent:
    """One subject with its pictures, in the order to show them; at least one.

    Args:
        subject: What the registry says.
        facts: What its weights file says.
        pictures: The prepared pictures.
        live: The generator for visitors' browsers, or None.
        why_not_live: Why there is none, in words; empty where the registry wants none.
        upscaler: What its upscaler's file says; None where pictures are as the generator draws them.
    """

    subject: Subject
    facts: GeneratorFacts
    pictures: tuple[Picture, ...]
    live: LiveModel | None = None
    why_not_live: str = ""
    upscaler: UpscalerFacts | None = None

    @property
    def width_px(self) -> int:
        """Width of a published picture."""
        return self.facts.width_px * (self.upscaler.factor if self.upscaler else 1)

    @property
    def height_px(self) -> int:
        """Height of a published picture."""
        return self.facts.height_px * (self.upscaler.factor if self.upscaler else 1)


@dataclass(frozen=True)
class SiteContent:
    """A whole site.

    Args:
        site: What holds for all of it.
        collections: The subjects; at least one.
        built: The day to print on pages and in feeds.
        version: metagan's version, with which the site was built.
        revision: Changes when anything a cached page may rely on changes; for cache busting.
    """

    site: Site
    collections: tuple[SubjectContent, ...]
    built: date
    version: str
    revision: str
