"""The data that pages show, independent of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from metagan.registry.models import Site, Subject


@dataclass(frozen=True)
class GeneratorFacts:
    """Facts about a subject's generator, for its about page.

    Args:
        architecture: Its title, such as "StyleGAN2".
        width_px: Width of a picture in pixels.
        height_px: Height of a picture in pixels.
        parameters: Number of the generator's parameters.
        sha256: SHA-256 of the weights file.
        size_bytes: Size of the weights file.
        training: Facts about its training from the weights file; JSON-like values.
        classes: Number of classes; 0 if unconditional.
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
    """Facts about a subject's upscaler, for its about page.

    Args:
        factor: Enlargement factor of width and height.
        parameters: Number of its parameters.
        sha256: SHA-256 of its file.
        size_bytes: Size of its file.
        licence: Licence stated in its file.
        source: Source stated in its file.
    """

    factor: int
    parameters: int
    sha256: str
    size_bytes: int
    licence: str
    source: str


def ai_system(architecture: str, sha256: str, upscaler: UpscalerFacts | None = None) -> str:
    """Return the name of the generating system for the pictures' metadata."""
    enlarged = f", enlarged by an upscaler, sha256 {upscaler.sha256[:16]}" if upscaler else ""
    return f"{architecture}, weights sha256 {sha256[:16]}{enlarged}, by metagan"


@dataclass(frozen=True)
class Picture:
    """One published picture.

    Args:
        seed: The seed it was drawn from.
        path: The file, relative to the site's root: "pictures/bagel/42.webp".
        card: A larger copy for link previews, also relative; None if the picture is large enough.
        text: A generated line of text, or None.
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
        sha256: SHA-256 of its content before gzip, because some hosts decompress it in transit.
        content_bytes: Size of its content before gzip.
        file_sha256: SHA-256 of the file.
        size_bytes: Size of the file, which a visitor downloads.
        precision: Number format of the matrices, such as "fp16" or "fp32".
        off_by_one: Fraction of the pictures' values that differ by one level from the original generator's, 0 to 1.
        psnr_db: PSNR of its pictures against the original's before rounding, in dB; None if they are equal.
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
    """One subject with its pictures in display order; at least one.

    Args:
        subject: Its entry in the registry.
        facts: Facts about its weights file.
        pictures: The finished pictures.
        live: The generator for visitors' browsers, or None.
        why_not_live: The reason if there is none; empty if the registry wants none.
        upscaler: Facts about its upscaler's file; None if pictures are not upscaled.
    """

    subject: Subject
    facts: GeneratorFacts
    pictures: tuple[Picture, ...]
    live: LiveModel | None = None
    why_not_live: str = ""
    upscaler: UpscalerFacts | None = None

    @property
    def width_px(self) -> int:
        """Width of a published picture in pixels."""
        return self.facts.width_px * (self.upscaler.factor if self.upscaler else 1)

    @property
    def height_px(self) -> int:
        """Height of a published picture in pixels."""
        return self.facts.height_px * (self.upscaler.factor if self.upscaler else 1)


@dataclass(frozen=True)
class SiteContent:
    """A whole site.

    Args:
        site: Settings of the whole site.
        collections: The subjects; at least one.
        built: The day to print on pages and in feeds.
        version: The version of metagan that built the site.
        revision: A hash of everything that a cached page may depend on, for cache busting.
    """

    site: Site
    collections: tuple[SubjectContent, ...]
    built: date
    version: str
    revision: str
