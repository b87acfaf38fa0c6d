"""A validated registry: frozen, with all defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metagan.values import NoiseMode

ImageFormat = Literal["webp", "png", "jpeg", "avif"]
LiveMode = Literal["auto", "always", "never"]
Direction = Literal["ltr", "rtl"]
WeightsKind = Literal["path", "https", "hf", "bundled"]


@dataclass(frozen=True)
class WeightsRef:
    """Where a subject's generator comes from.

    Args:
        kind: How to interpret `location`.
        location: An absolute path, an https URL, "owner/repo/file" of the Hugging Face hub, or a name.
        sha256: The file's SHA-256 in lower-case hex; never None for https and hf.
        text: The reference as the registry states it, for messages and pages.
    """

    kind: WeightsKind
    location: str
    sha256: str | None
    text: str


@dataclass(frozen=True)
class Theme:
    """The site's colours, as CSS hex colours ("#c2410c").

    Args:
        accent: Buttons and links on a light page.
        accent_dark: The same on a dark page.
    """

    accent: str = "#b4380d"
    accent_dark: str = "#ff9d6b"


@dataclass(frozen=True)
class Headline:
    """How pages announce a subject.

    Args:
        text: The headline, with {title} where the subject's title goes, or without.
        named: The headline of a visitor's own picture, with {name}, and {title} or not.
        lang: The language of headline, title and lines, a BCP 47 tag such as "de" or "pt-BR".
        dir: The direction in which it is written.
    """

    text: str = "This {title} Does Not Exist"
    named: str = "{name}’s {title} Does Not Exist"
    lang: str = "en"
    dir: Direction = "ltr"


@dataclass(frozen=True)
class Site:
    """Settings of the whole site.

    Args:
        title: The site's name.
        base_url: Address of the published site, "https://user.github.io/apes/", with a closing slash.
        description: One sentence for feeds and previews.
        author: Who publishes it; empty if nobody is named.
        theme: Colours.
        picture_pages: Whether each picture has a page of its own.
        headline: The subjects' headline, and the pages' language.
    """

    title: str
    base_url: str
    description: str
    author: str
    theme: Theme
    picture_pages: bool
    headline: Headline = Headline()


@dataclass(frozen=True)
class Text:
    """Generated lines of text below a subject's pictures.

    Args:
        corpus: Absolute path of a UTF-8 text file with one sentence per line.
    """

    corpus: Path


@dataclass(frozen=True)
class Subject:
    """A subject of the site: one “This X Does Not Exist”.

    Args:
        slug: Its folder on the site: lower-case letters, digits and hyphens.
        title: What the pictures show, in the singular, "Hummingbird".
        weights: The generator's file.
        licence: An SPDX name or words; "unknown" when the registry says so explicitly.
        source: Where the weights come from, a URL or words.
        seeds: The pictures to publish, in order, without duplicates, the excluded ones left out.
        psi: Truncation: 1 leaves styles as they are, 0 gives the mean picture.
        class_index: The class of a conditional generator, or None.
        noise: Per-pixel noise mode.
        format: File format of the published pictures.
        text: Generated lines, or None.
        live: Whether the site contains the generator for visitors' browsers.
        headline: How pages announce it, and in which language.
        upscale: The upscaler's file, or None where pictures are published as the generator draws them.
    """

    slug: str
    title: str
    weights: WeightsRef
    licence: str
    source: str
    seeds: tuple[int, ...]
    psi: float
    class_index: int | None
    noise: NoiseMode
    format: ImageFormat
    text: Text | None
    live: LiveMode = "auto"
    headline: Headline = Headline()
    upscale: WeightsRef | None = None


@dataclass(frozen=True)
class Registry:
    """A whole registry file.

    Args:
        path: The file it was read from.
        site: Settings of the whole site.
        subjects: In the file's order; at least one.
    """

    path: Path
    site: Site
    subjects: tuple[Subject, ...]
