"""A small site from drawn pictures: content, files, and a folder as a host would serve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from PIL import Image

from metagan.registry.models import Headline, Site, Subject, Theme
from metagan.registry.weights_ref import WeightsRef
from metagan.site.pages.check import sample_reals
from metagan.site.pages.content import GeneratorFacts, LiveModel, Picture, SiteContent, SubjectContent
from metagan.site.pages.render import render_site

EVIL = "<script>alert(1)</script>"
BASE_URL = "https://apes.example/sub/path/"
PLAIN = Theme()
USUAL = Headline()
LINES = ("It was never there, and still it waits.", "The third one left before the second came.")


@dataclass(frozen=True)
class Sort:
    """What to make a collection from."""

    slug: str = "ape"
    title: str = "Ape"
    seeds: Sequence[int] = tuple(range(12))
    width_px: int = 32
    height_px: int = 32
    lines: bool = False
    licence: str = "CC0-1.0"
    source: str = "Drawn for the tests"
    headline: Headline = USUAL
    live: bool = False  # says that there is a generator for browsers, which isn't
    reals: int = 0  # originals for the game "which one exists?"


def make_collection(sort: Sort = Sort()) -> SubjectContent:
    weights = WeightsRef("bundled", "demo", None, "bundled:demo")
    subject = Subject(
        title=sort.title,
        weights=weights,
        licence=sort.licence,
        source=sort.source,
        images=tuple(range(seed, seed + 1) for seed in sort.seeds),
        psi=0.8,
        format="png",
    ).named(sort.slug, sort.headline)
    facts = GeneratorFacts(
        "StyleGAN2",
        sort.width_px,
        sort.height_px,
        1_234_567,
        "ab" * 32,
        4_500_000,
        {"kimg": 71, "data": {"size": 10_000}},
    )
    pictures = tuple(
        Picture(seed, f"pictures/{sort.slug}/{seed}.png", text=LINES[seed % 2] if sort.lines else None)
        for seed in sort.seeds
    )
    model = LiveModel(
        f"models/{'cd' * 32}.bin.gz",
        "ef" * 32,
        5_000_000,
        "cd" * 32,
        4_500_000,
        "fp16",
        0.0004,
        60.0,
        "ab12cd",
    )
    reals = sample_reals(sort.slug, sort.reals) if sort.reals else None
    return SubjectContent(subject, facts, pictures, model if sort.live else None, reals=reals)


def make_content(
    *sorts: Sort,
    base_url: str = BASE_URL,
    picture_pages: bool = True,
    title: str = "Not Here",
    theme: Theme = PLAIN,
    headline: Headline = USUAL,
) -> SiteContent:
    site = Site(
        title=title,
        base_url=base_url,
        description="Things that are not.",
        author="The Testers",
        theme=theme,
        picture_pages=picture_pages,
        headline=headline.text,
        named_headline=headline.named,
        lang=headline.lang,
        dir=headline.dir,
    )
    collections = tuple(map(make_collection, sorts or (Sort(),)))
    return SiteContent(site, collections, date(2026, 11, 22), "0.1.0", "rev1")


def draw_picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture that differs from seed to seed."""
    image = Image.new("RGB", size, (40 + 37 * seed % 200, 90, 200 - 31 * seed % 180))
    image.paste(
        (230, 200, 60 + 11 * seed % 150), (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
    )
    return image


def write_site(content: SiteContent, folder: Path, templates: Path | None = None) -> Path:
    """The whole site in a folder, pictures included."""
    for path, data in render_site(content, templates):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for one in content.subjects:
        size = (one.facts.width_px, one.facts.height_px)
        for picture in one.pictures:
            file = folder / picture.path
            file.parent.mkdir(parents=True, exist_ok=True)
            draw_picture(picture.seed, size).save(file)
        for real in one.reals.pictures if one.reals else ():
            file = folder / one.reals.folder / f"{real.number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            draw_picture(1000 + real.number, size).save(file)
    return folder
