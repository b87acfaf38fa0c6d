"""Turns a site's content into the names that each page's template may use.

Every path here is relative to the site's root; templates write `{{ root }}` before it, which leads from
a page to the root ("../../"), or is the root's absolute path on pages that are served at any address (404).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from markupsafe import Markup

from metagan.errors import BuildError
from metagan.images.card import CARD_SIZE
from metagan.images.provenance import SOURCE_TYPE, xmp_pattern
from metagan.registry.fields import RESERVED_SLUGS
from metagan.registry.models import Headline, Site
from metagan.seeds import SeedRanges
from metagan.site.pages.content import (
    LiveDials,
    LiveEncoder,
    LiveModel,
    Picture,
    SiteContent,
    SubjectContent,
    UpscalerFacts,
    ai_system,
)
from metagan.site.pages.theme import ratio_class
from metagan.values import LabelSpace

ALT = "{title} no. {seed}: a machine-made picture of something that does not exist"

# Below this width a picture is shown with hard-edged pixels instead of a blur.
CRISP_BELOW_PX = 128
# The longest word, in letters, that fits beside the picture at the headline's full size.
LONG_WORD = 9
# Number of generated lines per file for browsers.
LINES_CHUNK = 200
# Number of pictures on the contact sheet without JavaScript.
PLAIN_SHEET = 48
# Where all pictures of a run of shards are files, this many seeds share a folder.
FILES_A_FOLDER = 1000

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class PictureView:
    """A picture as pages show it.

    Args:
        seed: The seed it was drawn from.
        number: Its index in the collection, from 0.
        src: Its file.
        card: The file for link previews.
        url: Its permalink.
        alt: Its alternative text.
        text: A generated line of text, or None.
        file_name: The name to download it under.
    """

    seed: int
    number: int
    src: str
    card: str
    url: str
    alt: str
    text: str | None
    file_name: str


@dataclass(frozen=True)
class SubjectView:
    """A subject as pages show it.

    Args:
        slug: Its folder's name.
        title: Its title in the singular.
        headline: "This Ape Does Not Exist".
        heading: The headline split into text before the title, the title, and text after it; the title may be empty.
        lang: The language of headline, title and lines.
        dir: Their text direction.
        long: Whether its title has a word too long for the headline's full size.
        url: Its page.
        about: The page about its generator.
        api: Its JSON.
        count: How many pictures it has.
        has_pages: Whether each picture has a page of its own.
        psi: Truncation.
        class_index: The number of the class of a conditional generator, or None.
        class_name: That class's name, or its number; empty without one.
        label: The numbers of the label, if they aren't a class; or None.
        label_text: The same for readers; empty without them.
        noise: The noise mode's name.
        licence: The licence of the weights.
        licence_known: Whether it is known.
        source: Where the weights come from, as text or a URL.
        source_url: The source if it is a web address, or None.
        weights: The weights' name if it may be shown, or None.
        architecture: "StyleGAN2".
        parameters: Number of the generator's parameters.
        sha256: SHA-256 of the weights file.
        size_bytes: Size of the weights file.
        training: Facts about the training from the weights file, as rows of label and value.
        width_px: Width of a picture.
        height_px: Height of a picture.
        crisp: Whether pixels are shown with hard edges.
        ratio: The CSS class of its aspect ratio.
        first: The picture to show without JavaScript.
        classes: Number of the generator's classes; 0 if unconditional, or if its labels are numbers of their own.
        label_names: Names of the classes, or of the label's numbers; empty if they have no names.
        label_ranges: Least and greatest value of each of the label's numbers in the training data; empty for classes.
        live: The generator for visitors' browsers, or None.
        why_not_live: The reason if the page has no live generator; empty if the registry wants none.
        wall: The page of endless pictures, if there is a generator for browsers.
        breed: The page on which pictures are bred; without a generator for browsers it says so.
        upscaler: Facts about the upscaler, or None.
        collection: The page about the collection that the generator was trained on, or None.
        which: The game "which one exists?", or None.
        dials: The dials of the generator in browsers, or None.
        yours: The page that finds visitors' pictures in the generator; without one for browsers it says so.
        encoder: The encoder of the generator in browsers, or None.
    """

    slug: str
    title: str
    headline: str
    heading: tuple[str, str, str]
    lang: str
    dir: str
    long: bool
    url: str
    about: str
    api: str
    count: int
    has_pages: bool
    psi: float
    class_index: int | None
    class_name: str
    label: tuple[float, ...] | None
    label_text: str
    noise: str
    licence: str
    licence_known: bool
    source: str
    source_url: str | None
    weights: str | None
    architecture: str
    parameters: int
    sha256: str
    size_bytes: int
    training: tuple[tuple[str, str], ...]
    width_px: int
    height_px: int
    crisp: bool
    ratio: str
    first: PictureView
    classes: int
    label_names: tuple[str, ...]
    label_ranges: tuple[tuple[float, float], ...]
    live: LiveModel | None
    why_not_live: str
    wall: str | None
    breed: str
    upscaler: UpscalerFacts | None
    collection: str | None
    which: str | None
    dials: LiveDials | None
    yours: str
    encoder: LiveEncoder | None


class PictureIndex:
    """A subject's pictures, created on access, so that they are never all in memory."""

    def __init__(self, content: SubjectContent, *, picture_pages: bool) -> None:
        subject = content.subject
        if subject.slug in RESERVED_SLUGS:
            taken = ", ".join(sorted(RESERVED_SLUGS))
            raise BuildError(
                f"subjects.{subject.slug}: the site itself uses a folder of this name",
                fix=f"choose another slug than {taken}",
            )
        self.pictures: Sequence[Picture] = content.pictures  # those that are files of their own
        self.shards = content.shards
        self.seeds: Sequence[int] = (
            [picture.seed for picture in content.pictures] if content.shards is None else content.shards.seeds
        )
        self.slug = subject.slug
        self.title = without_controls(subject.title)
        self.collection = content.collection
        self.reals = content.reals
        self.extension = self.pictures[0].path.rpartition(".")[2]
        self.has_lines = any(picture.text for picture in self.pictures)
        self.has_pages = picture_pages and content.shards is None
        self._files = {picture.seed: picture for picture in content.pictures} if content.shards else {}

    def __len__(self) -> int:
        return len(self.seeds)

    def shot(self, number: int) -> PictureView:
        """Return the picture at an index, which wraps around.

        Raises:
            BuildError: If its file is not at the path that the browser will request.
        """
        number %= len(self)
        if self.shards is None:
            return self._shot(self.pictures[number], number)
        return self._shot(self._files[self.seeds[number]], number)

    def file(self, place: int) -> PictureView:
        """Return one of the pictures that are files of their own, by its place among them."""
        picture = self.pictures[place]
        return self._shot(picture, place if self.shards is None else self.seeds.index(picture.seed))

    def _shot(self, picture: Picture, number: int) -> PictureView:
        if picture.path != f"pictures/{self.slug}/{picture.seed}.{self.extension}":
            raise BuildError(f"want pictures/{self.slug}/{picture.seed}.{self.extension}", where=picture.path)
        return PictureView(
            seed=picture.seed,
            number=number,
            src=picture.path,
            card=picture.card or picture.path,
            url=self.permalink(picture.seed),
            alt=ALT.format(title=self.title, seed=picture.seed),
            text=without_controls(picture.text) if picture.text else None,
            file_name=f"{self.slug}-{picture.seed}.{self.extension}",
        )

    def shots(self, limit: int | None = None) -> Iterator[PictureView]:
        """Yield the pictures in order."""
        return map(self.shot, range(min(len(self), limit or len(self))))

    def permalink(self, seed: int) -> str:
        """Return the address of one picture: its own page, or its subject's page with the seed."""
        return f"{self.slug}/{seed}/" if self.has_pages else f"{self.slug}/?seed={seed}"


def preview_size(view: SubjectView, shot: PictureView) -> tuple[int, int]:
    """Return width and height of a picture's file for link previews."""
    return (view.width_px, view.height_px) if shot.card == shot.src else (CARD_SIZE.width, CARD_SIZE.height)


def view_subject(content: SubjectContent, album: PictureIndex) -> SubjectView:
    """Return a subject as pages show it."""
    subject, facts = content.subject, content.facts
    before, place, after = without_controls(subject.heading.text).partition("{title}")
    heading = (before, album.title if place else "", after)
    names = tuple(map(without_controls, facts.label_names))
    chosen = subject.class_index
    index = None if chosen is None else LabelSpace(tuple(facts.label_names)).number_of(chosen, facts.classes)
    return SubjectView(
        slug=subject.slug,
        title=album.title,
        headline="".join(heading),
        heading=heading,
        lang=subject.heading.lang,
        dir=subject.heading.dir,
        long=max(map(len, "".join(heading).split()), default=0) > LONG_WORD,
        url=f"{subject.slug}/",
        about=f"{subject.slug}/about/",
        api=f"api/{subject.slug}.json",
        count=len(album),
        has_pages=album.has_pages,
        psi=subject.psi,
        class_index=index,
        class_name="" if index is None else names[index] if names else str(index),
        label=subject.label,
        label_text=_label_text(subject.label or (), names),
        noise=subject.noise,
        licence=without_controls(subject.licence),
        licence_known=subject.licence.strip().lower() != "unknown",
        source=without_controls(subject.source),
        source_url=web_address(subject.source),
        weights=without_controls(subject.weights.text) if subject.weights.kind != "path" else None,
        architecture=without_controls(facts.architecture),
        parameters=facts.parameters,
        sha256=facts.sha256,
        size_bytes=facts.size_bytes,
        training=tuple(training_rows(facts.training)),
        width_px=content.width_px,
        height_px=content.height_px,
        crisp=max(content.width_px, content.height_px) < CRISP_BELOW_PX,
        ratio=ratio_class(content.width_px, content.height_px),
        first=album.shot(0),
        classes=facts.classes,
        label_names=names,
        label_ranges=tuple((least, most) for least, most in facts.label_ranges),
        live=content.live,
        why_not_live=without_controls(content.why_not_live),
        wall=f"{subject.slug}/wall/" if content.live else None,
        breed=f"{subject.slug}/breed/",
        upscaler=content.upscaler,
        collection=f"{subject.slug}/collection/" if content.collection else None,
        which=f"{subject.slug}/which/" if content.reals else None,
        dials=content.dials if content.live else None,
        yours=f"{subject.slug}/yours/",
        encoder=content.encoder if content.live else None,
    )


def _label_text(numbers: Sequence[float], names: Sequence[str]) -> str:
    shown = [f"{number:g}" for number in numbers]
    if len(names) == len(shown):
        shown = [f"{name} {number}" for name, number in zip(names, shown, strict=True)]
    return ", ".join(shown)


def site_context(content: SiteContent, subjects: Sequence[SubjectView]) -> dict[str, object]:
    """Return the names that every template may use."""
    site = content.site
    return {
        "site": {
            "title": without_controls(site.title),
            "description": without_controls(site.description),
            "author": without_controls(site.author),
            "base_url": site.base_url,
            "base_path": base_path(site),
            "picture_pages": site.picture_pages,
            "lang": site.heading.lang,
            "dir": site.heading.dir,
        },
        # Attributes for the English text of metagan's own templates on a page in another language.
        "english": "" if _is_english(site.heading) else Markup(' lang="en" dir="ltr"'),
        "subjects": subjects,
        "subject_count": len(subjects),
        "built": content.built.isoformat(),
        "version": content.version,
        "revision": content.revision,
        "digital_source_type": SOURCE_TYPE,
        "touch_icon": next((path for _, path in content.icons), None),
        "picture_sources": " blob:"
        if any(one.shards and one.shards.manifest for one in content.subjects)
        else "",
        "shard_hosts": "".join(
            f" {origin}"
            for origin in sorted({one.shards.origin for one in content.subjects if one.shards})
            if origin
        ),
    }


def album_data(content: SiteContent, albums: Sequence[tuple[SubjectView, PictureIndex]]) -> dict[str, object]:
    """Return the data with which the browser shows any picture of the albums, for static/app.js."""
    return {
        "pages": content.site.picture_pages,
        "alt": ALT,
        "chunk": LINES_CHUNK,
        "base": content.site.base_url,
        "site": without_controls(content.site.title),
        "xmp": xmp_pattern("{maker}"),
        "headline": asdict(content.site.heading),
        "subjects": subjects_data(content, albums),
    }


def _is_english(headline: Headline) -> bool:
    return headline.lang.lower().partition("-")[0] == "en" and headline.dir == "ltr"


def subjects_data(
    content: SiteContent, albums: Sequence[tuple[SubjectView, PictureIndex]]
) -> list[dict[str, object]]:
    """Return the part of `album_data` that describes each subject."""
    return [
        {
            "slug": view.slug,
            "title": view.title,
            "long": view.long,
            "seeds": seed_ranges(album.seeds),
            **_shards_data(album),
            "extension": album.extension,
            "width": view.width_px,
            "height": view.height_px,
            "ratio": view.ratio,
            "crisp": view.crisp,
            "psi": view.psi,
            "architecture": view.architecture,
            "lines": album.has_lines,
            "maker": escape(ai_system(view.architecture, view.sha256, view.upscaler)),
            "live": _live_data(view),
            "unfit": bool(view.why_not_live),
            "headline": _different(content.headlines[view.slug], content.site.heading),
        }
        for view, album in albums
    ]


def _shards_data(album: PictureIndex) -> dict[str, object]:
    """Return the data with which the browser finds pictures of shards: those that are files, and the others."""
    if album.shards is None:
        return {}
    single = seed_ranges([picture.seed for picture in album.pictures])
    if album.shards.manifest is None:
        return {"single": single, "folder": FILES_A_FOLDER}
    return {"single": single, "shards": album.shards.manifest}


def cover_data(view: SubjectView, album: PictureIndex) -> dict[str, str]:
    """Return the data with which a subject's tile shows other pictures, for static/cover.js."""
    seeds = seed_ranges([picture.seed for picture in album.pictures])
    return {"slug": view.slug, "extension": album.extension, "seeds": seeds}


def _different(headline: Headline, usual: Headline) -> dict[str, str]:
    """Return the texts of a subject that differ from the site's."""
    return {key: value for key, value in asdict(headline).items() if value != getattr(usual, key)}


def _live_data(view: SubjectView) -> dict[str, object] | None:
    """Return the data with which the browser generates pictures itself."""
    if view.live is None:
        return None
    return {
        "url": view.live.path,
        "sha256": view.live.sha256,
        "size": view.live.size_bytes,
        "large": view.live.is_large,
        "mark": view.live.mark,
        "psi": view.psi,
        "class": view.class_index,
        "classes": view.classes,
        **_label_data(view),
        **({} if view.dials is None else {"dials": _dials_data(view.dials)}),
    }


def _dials_data(dials: LiveDials) -> dict[str, object]:
    """Return the data with which the browser turns dials."""
    return {
        "url": dials.path,
        "sha256": dials.sha256,
        "names": [without_controls(name) for name in dials.names],
        "layers": dials.layers,
    }


def encoder_data(view: SubjectView) -> dict[str, object] | None:
    """Return the data with which the browser finds a visitor's picture, or None without an encoder."""
    if view.encoder is None:
        return None
    return {"url": view.encoder.path, **asdict(view.encoder)}


def _label_data(view: SubjectView) -> dict[str, object]:
    """Return the names of labels, and what their numbers may be, as far as there are any."""
    known: dict[str, object] = {}
    if view.label_names:
        known["names"] = view.label_names
    if view.label_ranges:
        known |= {"label": view.label, "ranges": view.label_ranges}
    return known


def base_path(site: Site) -> str:
    """Return the path of the site's address, "/apes/"; "/" for a site at a domain's root."""
    return urlsplit(site.base_url).path or "/"


def seed_ranges(seeds: Sequence[int]) -> str:
    """Format seeds in order as on the command line, "0-35,42"."""
    if isinstance(seeds, SeedRanges):
        return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in seeds.ranges)
    ends = [i + 1 for i, (a, b) in enumerate(pairwise(seeds)) if b != a + 1]
    runs = [(seeds[i], seeds[j - 1]) for i, j in pairwise([0, *ends, len(seeds)])]
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in runs)


def training_rows(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield a generator's training facts as rows of label and value; nested facts are flattened.

    Official pickles keep the arguments of Python calls: class names are left out, and paths, which may reveal
    details of somebody's machine, are reduced to their last part.
    """
    for key, value in facts.items():
        label = f"{prefix}{without_controls(str(key)).removesuffix('_kwargs').replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from training_rows(value, f"{label}: ")
        elif key == "path":
            yield label, PureWindowsPath(_shown(value)).name
        elif key != "class_name" and value is not None:
            yield label, _shown(value)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return ", ".join(map(_shown, value))
        case _:
            return without_controls(str(value))


def without_controls(text: str) -> str:
    """Remove the control characters that XML doesn't allow."""
    return _CONTROLS.sub("", text)


def web_address(text: str) -> str | None:
    """Return a text if it is a web address that pages may link to."""
    address = text.strip()
    if not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
    except ValueError:  # a host in brackets that is no IPv6 address, a letter that stands for "/"
        return None
    return address if parts.scheme in {"http", "https"} and parts.netloc else None
