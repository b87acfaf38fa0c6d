"""The structure of registry.yaml as pydantic models; fields.py has the types of their fields.

Every field declares what it accepts, its purpose (description) and an example. Messages, the JSON Schema and
docs/registry.md are generated from these.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from metagan.registry.fields import (
    BaseUrl,
    ClassIndex,
    Colour,
    Exclude,
    Flag,
    Format,
    Headline,
    Images,
    Language,
    Licence,
    Line,
    Live,
    LocalFile,
    NamedHeadline,
    Noise,
    Paragraph,
    Psi,
    Sha256,
    Slug,
    Source,
    Upscale,
    Want,
    Weights,
    WrittenFrom,
)
from metagan.registry.models import Headline as HeadlineModel
from metagan.registry.models import Theme

DEFAULT_HEADLINE = HeadlineModel()


class Entry(BaseModel):
    """Base of all mappings of the file: no unknown keys, no conversions, no empty values."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        arbitrary_types_allowed=True,
        model_title_generator=lambda model: model.__name__.removesuffix("Entry"),
        field_title_generator=lambda name, field: field.alias or name,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nothing(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("nothing", "nothing")
        return value


class ThemeEntry(Entry):
    """The site's colours."""

    accent: Colour = Field(
        default=Theme().accent,
        description="Colour of buttons and links on a light page.",
        examples=["#c2410c"],
    )
    accent_dark: Colour = Field(
        default=Theme().accent_dark,
        description="Colour of buttons and links on a dark page.",
        examples=["#fdba74"],
    )


class SiteEntry(Entry):
    """Settings of the whole site."""

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
    theme: Annotated[ThemeEntry, Want("a mapping with accent and accent_dark")] = Field(
        default=ThemeEntry(), description="The site's colours."
    )
    picture_pages: Flag = Field(
        default=True,
        description="Whether each picture has a page of its own, so that a shared link shows a preview.",
        examples=[False],
    )
    headline: Headline = Field(
        default=DEFAULT_HEADLINE.text,
        description="Headline of subjects and pictures; {title} stands for the subject's title and can be left out.",
        examples=["Diese {title} gibt es nicht"],
    )
    named_headline: NamedHeadline | None = Field(
        default=None,
        description="Headline of the picture of a visitor's name; by default the name, a colon and the headline.",
        examples=["Nur für {name}, diese {title}"],
    )
    lang: Language = Field(
        default=DEFAULT_HEADLINE.lang,
        description="Language of titles, headlines and lines of text, for browsers, search engines and screen readers.",
        examples=["de"],
    )
    dir: WrittenFrom | None = Field(
        default=None,
        description="Direction of that text; by default as the language is written.",
        examples=["rtl"],
    )


class DefaultsEntry(Entry):
    """Settings of all subjects, which each subject can override."""

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
        "supported and small enough.",
        examples=["never"],
    )


class TextEntry(Entry):
    """Generated lines of text below a subject's pictures."""

    corpus: LocalFile = Field(
        description="A UTF-8 text file with one sentence per line, from which lines are generated.",
        examples=["birds.txt"],
    )


class SubjectEntry(Entry):
    """A subject of the site: one “This X Does Not Exist”."""

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
    images: Images | None = Field(
        default=None,
        description="Pictures to publish; overrides defaults.",
        examples=[200, "0-35,42", [0, 7, 42]],
    )
    exclude: Exclude = Field(
        default=(),
        description="Seeds to leave out; if images is a count, later seeds replace them.",
        examples=["3,17-19", [3, 17]],
    )
    psi: Psi | None = Field(default=None, description="Truncation; overrides defaults.", examples=[0.8])
    class_index: ClassIndex | None = Field(
        default=None,
        alias="class",
        description="Class to draw; required for conditional generators, and only for them.",
        examples=[3],
    )
    noise: Noise | None = Field(
        default=None, description="Per-pixel noise; overrides defaults.", examples=["random"]
    )
    format: Format | None = Field(
        default=None, description="File format; overrides defaults.", examples=["jpeg"]
    )
    live: Live | None = Field(
        default=None,
        description="Pictures made in the visitor's browser; overrides defaults.",
        examples=["always"],
    )
    headline: Headline | None = Field(
        default=None,
        description="Headline of this subject, instead of the site's.",
        examples=["No {title} Looks Like This"],
    )
    named_headline: NamedHeadline | None = Field(
        default=None,
        description="Headline of the picture of a visitor's name, instead of the site's.",
        examples=["Only {name} Has This {title}"],
    )
    lang: Language | None = Field(
        default=None,
        description="Language of this subject's title, headline and lines, instead of the site's.",
        examples=["fr"],
    )
    dir: WrittenFrom | None = Field(
        default=None,
        description="Direction of that text; by default as its language is written.",
        examples=["rtl"],
    )
    text: Annotated[TextEntry, Want("a mapping with corpus")] | None = Field(
        default=None, description="Adds a generated line of text to each picture, chosen by its seed."
    )


class RegistryFile(Entry):
    """A “This X Does Not Exist” site: its settings, its subjects and their generators."""

    site: Annotated[SiteEntry, Want("a mapping with title and base_url")] = Field(
        description="Settings of the whole site."
    )
    defaults: Annotated[DefaultsEntry, Want("a mapping of settings")] = Field(
        default=DefaultsEntry(), description="Settings of all subjects, which each subject can override."
    )
    subjects: Annotated[
        dict[Slug, SubjectEntry],
        Want("subjects by their slugs", "write a slug, for example `hummingbird:`, with its keys below it"),
    ] = Field(
        min_length=1,
        description="The subjects by their slugs. A slug is the name of the subject's folder on the site.",
    )
