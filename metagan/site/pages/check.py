"""Finds errors in page templates without building a site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import jinja2.defaults
from jinja2 import meta, nodes

from metagan.collection.traits import TraitAccuracy, TypeCount, ValueCount
from metagan.errors import Location, Problem, TemplateError
from metagan.registry.models import Site, Subject, Theme
from metagan.registry.weights_ref import WeightsRef
from metagan.site.pages.content import (
    CollectionContent,
    GeneratorFacts,
    LiveModel,
    Picture,
    PictureTraits,
    PredictedTrait,
    RankedItem,
    RealPicture,
    RealsContent,
    Relative,
    SalesContent,
    ShownItem,
    SiteContent,
    SubjectContent,
    TraitTable,
)
from metagan.site.pages.render import PAGES, Page, Writer
from metagan.site.pages.templates import (
    RENDER_FAILURES,
    STATIC,
    default_templates_dir,
    make_environment,
    static_files,
    template_problem,
)

SUFFIXES = frozenset({".html", ".xml", ".txt"})


@dataclass(frozen=True)
class _Source:
    """A parsed template file of the user.

    Args:
        name: Its name in other templates, "about.html".
        file: Its path.
        tree: Its syntax tree.
    """

    name: str
    file: Path
    tree: nodes.Template


def check_templates(templates: Path) -> list[Problem]:
    """Find every syntax error, unknown name and unused file in a folder of templates.

    Args:
        templates: The user's folder; other templates come from metagan's own.

    Returns:
        The problems with file and line; none if a site can be rendered.
    """
    if not templates.is_dir():
        return [
            Problem(
                templates, "there is no such folder", "name a folder of templates, or leave the option out"
            )
        ]
    environment = make_environment(templates)
    problems: list[Problem] = []
    own = list(_parse_all(environment, templates, problems))
    try:
        static_files(templates)
    except TemplateError as error:
        problems += error.problems
    if not problems:
        default = list(_parse_all(environment, default_templates_dir(), problems))
        problems += [*_unknown_names(own, default), *_unused(own, default)]
    return problems or _failures(templates)


def _parse_all(environment: jinja2.Environment, folder: Path, problems: list[Problem]) -> Iterator[_Source]:
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.suffix in SUFFIXES and file.is_file() and not name.startswith(f"{STATIC}/"):
            try:
                text = file.read_text(encoding="utf-8")
                yield _Source(name, file, environment.parse(text, name, str(file)))
            except jinja2.TemplateSyntaxError as error:
                problems.append(template_problem(error, str(file)))
            except UnicodeDecodeError as error:
                problems.append(Problem(file, f"not UTF-8: {error}", "save the file as UTF-8"))


def _unknown_names(own: Sequence[_Source], default: Sequence[_Source]) -> Iterator[Problem]:
    """Yield names that no page provides and no template sets; an included template sees its includer's names."""
    provided = _provided_names()
    known = provided.union(*(_set_names(source.tree) for source in (*own, *default)))
    fix = f"use one of {', '.join(sorted(provided))}"
    for source in own:
        free = meta.find_undeclared_variables(source.tree) - known
        for node in source.tree.find_all(nodes.Name):
            if node.ctx == "load" and node.name in free:
                what = f"unknown name {node.name!r}{_did_you_mean(node.name, known)}"
                yield Problem(Location(str(source.file), node.lineno), what, fix)


def _set_names(tree: nodes.Template) -> set[str]:
    """Return the names that a template sets itself: variables, loops, macros, imports."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)}
    names |= {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    return names


def _unused(own: Sequence[_Source], default: Sequence[_Source]) -> Iterator[Problem]:
    """Yield files that override nothing and that no template uses, most often because of a misspelt name."""
    names = {source.name for source in default}
    mentioned = {name for source in own for name in meta.find_referenced_templates(source.tree)}
    for source in own:
        if source.name not in names | mentioned:
            what = f"no page uses this template{_did_you_mean(source.name, names)}"
            yield Problem(source.file, what, "give it the name of the template that it should replace")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _provided_names() -> set[str]:
    trial = _Trial(_sample_content(picture_pages=True), None)
    trial.run()
    return trial.names


def _failures(templates: Path) -> list[Problem]:
    """Return the errors of rendering a small site, with and without all optional content."""
    found: dict[Problem, None] = {}
    for picture_pages in (True, False):
        trial = _Trial(_sample_content(picture_pages=picture_pages), templates)
        trial.run()
        found |= dict.fromkeys(trial.problems)
    return list(found)


class _Trial(Writer):
    """Renders every page to collect errors and the names that pages are given."""

    def __init__(self, content: SiteContent, templates: Path | None) -> None:
        super().__init__(content, templates)
        self.problems: list[Problem] = []
        self.names = self.templates[PAGES[0]].globals.keys() - jinja2.defaults.DEFAULT_NAMESPACE.keys()

    def run(self) -> None:
        for _ in self.pages():
            pass
        self.render("sitemap-index.xml", None, names=["sitemap-1.xml"])

    def render(self, name: str, page: Page | None, **known: object) -> bytes:
        if page is not None:
            known |= {"page": page, "root": page.root}
        self.names |= known.keys()
        try:
            self.templates[name].render(known)
        except RENDER_FAILURES as error:
            self.problems.append(template_problem(error, name))
        return b""


def _sample_content(*, picture_pages: bool) -> SiteContent:
    full = _sample_collection("one", licence="CC0-1.0")
    bare = _sample_collection("two", licence="unknown")
    full = replace(full, collection=sample_collection(full.subject.seeds), reals=sample_reals("one"))
    full = replace(
        full, live=LiveModel("models/x.bin.gz", "0" * 64, 2, "0" * 64, 1, "fp16", 0.0, 70.0, "0" * 6)
    )
    bare = replace(
        bare,
        subject=bare.subject.model_copy(update={"class_index": None}),
        facts=replace(bare.facts, training={}),
        pictures=(Picture(7, "pictures/two/7.webp"),),
        why_not_live="It can't.",
    )
    author = "Somebody" if picture_pages else ""
    site = Site.model_construct(
        title="Title",
        base_url="https://example.org/",
        description="Description",
        author=author,
        theme=Theme(),
        picture_pages=picture_pages,
    )
    collections = (full, bare) if picture_pages else (full,)
    return SiteContent(site, collections, date(2026, 1, 1), "0", "0")


def sample_reals(slug: str, count: int = 1) -> RealsContent:
    """Return originals of a subject, for the game."""
    pictures = tuple(
        RealPicture(number, f"Thing {number}", "https://example.org/") for number in range(count)
    )
    return RealsContent(
        "Things", "CC-BY-4.0", "Things by Somebody", count, f"pictures/{slug}/which", pictures
    )


def sample_collection(seeds: Sequence[int]) -> CollectionContent:
    """Return a collection with all optional content."""
    item = ShownItem("Item", "pictures/one/collection/0.webp", (96, 96), "https://example.org/item")
    traits = (PredictedTrait("Hat", "Crown", 0.5), PredictedTrait("Eyes", None, 0.5))
    return CollectionContent(
        name="Things",
        items=10,
        pictures=10,
        licence="CC-BY-4.0",
        attribution="Things by Somebody",
        page="https://example.org/things",
        pictures_shown=True,
        trait_types=1,
        trait_values=2,
        traits=(TraitTable(TypeCount("Hat", 2, 5, 0.5), (ValueCount("Hat", "Crown", 5, 0.5),)),),
        scores=((0.0, 1.0), (10,)),
        rarest=(RankedItem(item, 12.0, 1),),
        sales=SalesContent("sales", "ETH", 3, 1.0, 1.0, 2.0, (0.0, 1.0), (3,)),
        accuracies=(TraitAccuracy("Hat", 2, 0.9, 0.5, True),),
        predicted={seed: PictureTraits(traits, 4.0, 3, (Relative(item, 1),)) for seed in seeds[:1]},
    )


def _sample_collection(slug: str, licence: str) -> SubjectContent:
    weights = WeightsRef("hf", "owner/repo/file", "0" * 64, "hf://owner/repo/file")
    source = "https://example.org/source"
    subject = Subject(
        title="Thing",
        weights=weights,
        licence=licence,
        source=source,
        images=(range(1, 3),),
    ).model_copy(update={"class_index": 3})
    subject = subject.named(slug)
    facts = GeneratorFacts("StyleGAN2", 256, 192, 1, "0" * 64, 1, {"kimg": 1})
    pictures = tuple(Picture(seed, f"pictures/{slug}/{seed}.webp", text="A line.") for seed in subject.seeds)
    return SubjectContent(subject, facts, pictures)
