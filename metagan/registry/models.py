"""registry.yaml: what it may say, and what the rest of metagan works with.

Each key is declared once, as a field that states what it wants (fields.py), what it is for (description) and how it
looks (examples): messages, the JSON Schema and docs/registry.md are made from these. Models are frozen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from pydantic_core import PydanticCustomError

from metagan.registry.fields import (
    BaseUrl,
    ClassIndex,
    CollectionFolder,
    Colour,
    Dials,
    Direction,
    Encoder,
    Exclude,
    Flag,
    Format,
    Images,
    LabelNumbers,
    Language,
    Layout,
    Licence,
    Line,
    Live,
    LocalFile,
    NamedHeadline,
    Noise,
    Paragraph,
    Psi,
    Reals,
    RealsLicence,
    Run,
    Sha256,
    ShardsUrl,
    Slug,
    Source,
    Traits,
    Upscale,
    Want,
    Weights,
    WrittenFrom,
)
from metagan.registry.fields import (
    Headline as HeadlineText,
)
from metagan.seeds import choose_seeds
from metagan.values import Label


class Entry(BaseModel):
    """Base of all mappings of the file: no unknown keys, no conversions, no empty values."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        arbitrary_types_allowed=True,
        field_title_generator=lambda name, field: field.alias or name,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nothing(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("nothing", "nothing")
        return value


class Theme(Entry):
    """The site's colours."""

    accent: Colour = Field(
        default="#b4380d",
        description="Colour of buttons and links on a light page.",
        examples=["#c2410c"],
    )
    accent_dark: Colour = Field(
        default="#ff9d6b",
        description="Colour of buttons and links on a dark page.",
        examples=["#fdba74"],
    )


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


class Wording(Entry):
    """How subjects are announced, and in which language: settings of the site, and of a subject instead."""

    headline: HeadlineText = Field(
        default=Headline.text,
        description="Headline of subjects and pictures; {title} stands for the subject's title and can be left out.",
        examples=["Diese {title} gibt es nicht"],
    )
    named_headline: NamedHeadline | None = Field(
        default=None,
        description="Headline of the picture of a visitor's name; by default the name, a colon and the headline.",
        examples=["Nur für {name}, diese {title}"],
    )
    lang: Language = Field(
        default=Headline.lang,
        description="Language of titles, headlines and lines of text, for browsers, search engines and screen readers.",
        examples=["de"],
    )
    dir: WrittenFrom | None = Field(
        default=None,
        description="Direction of that text; by default as the language is written.",
        examples=["rtl"],
    )


def heading_of(*wordings: Wording) -> Headline:
    """A headline by the site's wording and then a subject's; what isn't said follows from what is."""
    known = Headline()
    for wording in wordings:
        said = wording.model_fields_set
        if "headline" in said and wording.headline != known.text:
            known = replace(known, text=wording.headline, named=f"{{name}}: {wording.headline}")
        if wording.named_headline is not None:
            known = replace(known, named=wording.named_headline)
        if "lang" in said and wording.lang != known.lang:
            known = replace(known, lang=wording.lang, dir=direction_of(wording.lang))
        if wording.dir is not None:
            known = replace(known, dir=wording.dir)
    return known


# Languages written from right to left, and the scripts that a tag can name instead (ISO 639, ISO 15924).
RIGHT_TO_LEFT_LANGUAGES = re.compile("ar|arc|ckb|dv|fa|he|iw|ji|ks|nqo|ps|sd|syr|ug|ur|yi")
RIGHT_TO_LEFT_SCRIPTS = re.compile("adlm|arab|hebr|mand|nkoo|rohg|samr|syrc|thaa")


def direction_of(lang: str) -> Direction:
    """The direction in which a language is written, unless its tag names a script."""
    first, *others = lang.lower().split("-")
    script = next((part for part in others if len(part) == 4 and part.isalpha()), None)
    turned = RIGHT_TO_LEFT_SCRIPTS.fullmatch(script) if script else RIGHT_TO_LEFT_LANGUAGES.fullmatch(first)
    return "rtl" if turned else "ltr"


class Names(Entry):
    """What the site is called, where it stands, and how it looks."""

    title: Line = Field(description="The site's name.", examples=["These Birds Do Not Exist"])
    base_url: BaseUrl = Field(
        description="Address of the published site, for shared links, feeds and the sitemap.",
        examples=["https://user.github.io/birds/"],
    )
    description: Paragraph = Field(
        default="",
        description="One sentence for feeds and link previews.",
        examples=["Birds that a small network dreamt up."],
    )
    author: Line = Field(default="", description="Who publishes the site.", examples=["Ada Lovelace"])
    theme: Annotated[Theme, Want("a mapping with accent and accent_dark")] = Field(
        default=Theme(), description="The site's colours."
    )
    picture_pages: Flag = Field(
        default=True,
        description="Whether each picture has a page of its own, so that a shared link shows a preview.",
        examples=[False],
    )


class Site(Wording, Names):
    """Settings of the whole site."""

    @property
    def heading(self) -> Headline:
        """The subjects' headline, and the pages' language."""
        return heading_of(self)


class Drawing(Entry):
    """Which pictures to publish, and how: settings of a subject, whose defaults are those in `defaults`."""

    images: Images = Field(
        default=100,
        description="Pictures to publish; a count N means the N seeds from 0 on.",
        examples=[200, "0-35,42", [0, 7, 42]],
    )
    psi: Psi = Field(
        default=0.7,
        description="Truncation: 1 for full variety, lower values for safer pictures, 0 for the mean picture.",
        examples=[0.8],
    )
    noise: Noise = Field(
        default="const",
        description="Per-pixel noise: const is stored in the file, random is drawn from each seed, none is off.",
        examples=["random"],
    )
    format: Format = Field(
        default="webp",
        description="File format of the published pictures.",
        examples=["jpeg"],
    )
    live: Live = Field(
        default="auto",
        description="Whether the generator runs in visitors' browsers; auto includes it if it is "
        "supported and at most 60 MB.",
        examples=["never"],
    )


class Defaults(Drawing):
    """Settings of all subjects, which each subject can override."""


class Text(Entry):
    """Generated lines of text below a subject's pictures."""

    corpus: LocalFile = Field(
        description="A UTF-8 text file with one sentence per line, from which lines are generated.",
        examples=["birds.txt"],
    )


class Shards(Entry):
    """Pictures that `metagan sample --shards` drew, to publish instead of drawing them."""

    run: Run = Field(
        description="The run's folder or address, or the one above it, in which the subject's run is found.",
        examples=["s3://bucket/apes"],
    )
    url: ShardsUrl | None = Field(
        default=None,
        description="The public address of the same folder. By default it follows from run; the shards in a folder of "
        "this machine are copied into the site.",
        examples=["https://pictures.example.org/apes/"],
    )
    layout: Layout = Field(
        default="shards",
        description="shards: browsers fetch single pictures out of them by HTTP ranges. files: each picture becomes a "
        "file of the site, in folders of at most 1,000.",
        examples=["files"],
    )


class Generator(Entry):
    """What a subject's pictures are drawn by."""

    title: Line = Field(description="What the pictures show, in the singular.", examples=["Hummingbird"])
    weights: Weights = Field(
        description="The generator's weights file; a relative path starts at the registry's folder.",
        examples=[
            "weights/birds.pkl",
            "https://example.org/birds.pkl",
            "hf://owner/repo/birds.pkl",
            "bundled:apes",
        ],
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="The weights file's SHA-256; required for https:// and hf://.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    upscale: Upscale | None = Field(
        default=None,
        description="The weights of an upscaler that enlarges each picture; none publishes pictures as they are drawn.",
        examples=["bundled:apes-x4", "weights/birds-x4.safetensors", "none"],
    )
    upscale_sha256: Sha256 | None = Field(
        default=None,
        description="The upscaler's SHA-256; required for https:// and hf://.",
        examples=["60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"],
    )
    licence: Licence = Field(
        description="Licence of the weights, shown on the subject's page; unknown if none was stated.",
        examples=["CC0-1.0"],
    )
    source: Source = Field(
        description="Origin of the weights, shown on the subject's page.",
        examples=["https://example.org/birds"],
    )


class Subject(Wording, Drawing, Generator):
    """A subject of the site: one “This X Does Not Exist”."""

    exclude: Exclude = Field(
        default=(),
        description="Seeds to leave out; if images is a count, later seeds replace them.",
        examples=["3,17-19", [3, 17]],
    )
    class_index: ClassIndex | None = Field(
        default=None,
        alias="class",
        description="Class to draw, by its number or name; conditional generators need it, and only they.",
        examples=[3, "red"],
    )
    label: LabelNumbers | None = Field(
        default=None,
        description="Numbers of the label, instead of class, for generators whose labels are numbers.",
        examples=["0.2,0.7", [0.2, 0.7]],
    )
    text: Annotated[Text, Want("a mapping with corpus")] | None = Field(
        default=None, description="Adds a generated line of text to each picture, chosen by its seed."
    )
    shards: Annotated[Shards, Want("a mapping with run")] | None = Field(
        default=None,
        description="A run of shards whose pictures are published, all but the excluded ones (which stay in shards "
        "that are published whole); `images` is then ignored, and psi, class, noise, format and upscaler are "
        "the run's.",
    )
    collection: CollectionFolder | None = Field(
        default=None,
        description="The collection that the generator was trained on; adds a page about it: traits, rarity, sales.",
        examples=["../collections/apes", "bundled:apes"],
    )
    traits: Traits | None = Field(
        default=None,
        description="A classifier of the collection's traits; adds traits, rarity and relatives to pictures' pages.",
        examples=["traits.safetensors", "bundled:apes-traits"],
    )
    dials: Dials | None = Field(
        default=None,
        description="Dials that change pictures: a file of `metagan directions`, or auto to find them; or a mapping "
        "with file, and names that visitors see: a list in the file's order, or each with its dial's number.",
        examples=["bundled:apes-dials", "auto", {"file": "dials.safetensors", "names": ["Fur", "Hat"]}],
    )
    encoder: Encoder | None = Field(
        default=None,
        description="An encoder of `metagan encoder`, whose answer is where the search for a visitor's picture begins.",
        examples=["encoder.safetensors", "bundled:apes-encoder"],
    )
    reals: Reals | None = Field(
        default=None,
        description="Pictures that the generator was trained on; adds a game (which of two pictures exists?), "
        "if their licence lets everybody show them.",
        examples=["../data/birds.zip", "../collections/apes", "bundled:apes"],
    )
    reals_licence: RealsLicence | None = Field(
        default=None,
        description="The licence of those pictures, where the zip or collection doesn't state it.",
        examples=["CC0-1.0"],
    )

    _slug: str = PrivateAttr(default="")
    _heading: Headline = PrivateAttr(default=Headline())

    @property
    def slug(self) -> str:
        """Its folder on the site: lower-case letters, digits and hyphens."""
        return self._slug

    @property
    def seeds(self) -> tuple[int, ...]:
        """The pictures to publish, in order, without duplicates, the excluded ones left out."""
        return _seeds(self.images, self.exclude)

    @property
    def label_choice(self) -> Label | None:
        """What a conditional generator is asked for."""
        return self.class_index if self.label is None else self.label

    @property
    def heading(self) -> Headline:
        """How pages announce it, and in which language."""
        return self._heading

    def named(self, slug: str, heading: Headline | None = None) -> Subject:
        """The same subject under a slug, announced so."""
        named = self.model_copy()
        named._slug, named._heading = slug, heading or self._heading
        return named

    def completed(self, slug: str, site: Site, defaults: Defaults, most: int | None = None) -> Subject:
        """The subject as the rest of metagan sees it: under its slug, with the registry's defaults, files with hashes.

        Args:
            slug: Its key in the file.
            site: For the wording that the subject doesn't have itself.
            defaults: For every setting of Drawing that the subject doesn't have itself.
            most: Publish so many pictures, whatever the file says; of a list of seeds its first.
        """
        own = self.model_fields_set
        found: dict[str, Any] = {
            name: value for name, value in defaults if name in Drawing.model_fields and name not in own
        }
        found["weights"] = self.weights.hashed(self.sha256)
        found["upscale"] = self.upscale.hashed(self.upscale_sha256) if self.upscale else None
        if most is not None:
            images = found.get("images", self.images)
            chosen = choose_seeds(most if isinstance(images, int) else images, self.exclude)[:most]
            found["images"] = tuple(range(seed, seed + 1) for seed in chosen)
        return self.model_copy(update=found).named(slug, heading_of(site, self))

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        yield from (("slug", self.slug), ("heading", self.heading))
        yield from super().__repr_args__()


@lru_cache(maxsize=64)
def _seeds(images: int | tuple[range, ...], exclude: tuple[range, ...]) -> tuple[int, ...]:
    return choose_seeds(images, exclude)


class RegistryFile(Entry):
    """A “This X Does Not Exist” site: its settings, its subjects and their generators."""

    site: Annotated[Site, Want("a mapping with title and base_url")] = Field(
        description="Settings of the whole site."
    )
    defaults: Annotated[Defaults, Want("a mapping of settings")] = Field(
        default=Defaults(), description="Settings of all subjects, which each subject can override."
    )
    subjects: Annotated[
        dict[Slug, Subject],
        Want("subjects by their slugs", "write a slug, for example `hummingbird:`, with its keys below it"),
    ] = Field(
        min_length=1,
        description="The subjects by their slugs. A slug is the name of the subject's folder on the site.",
    )


@dataclass(frozen=True)
class Registry:
    """A registry file that was read.

    Args:
        path: The file.
        site: Settings of the whole site.
        subjects: In the file's order, completed; at least one.
    """

    path: Path
    site: Site
    subjects: tuple[Subject, ...]
