"""Renders every file of a site except the pictures, one at a time.

Nothing here imports torch, and no list grows with the number of pictures: pages are rendered lazily.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from itertools import islice, zip_longest
from pathlib import Path, PurePosixPath

from metagan.live import join_shaders, kernel_files
from metagan.site.pages.api import (
    json_bytes,
    line_files,
    oembed_json,
    subject_json,
    subjects_files,
    web_app_manifest,
)
from metagan.site.pages.collection_views import view_collection, view_traits
from metagan.site.pages.content import SiteContent
from metagan.site.pages.daily import TODAY, json_feed, latest_days, view_game
from metagan.site.pages.templates import (
    load_template,
    make_environment,
    read_static,
    render_template,
    static_files,
)
from metagan.site.pages.theme import theme_css
from metagan.site.pages.views import (
    PLAIN_SHEET,
    PictureIndex,
    PictureView,
    SubjectView,
    album_data,
    base_path,
    cover_data,
    encoder_data,
    preview_size,
    site_context,
    subjects_data,
    view_subject,
)

# --------------------------------------------------------------------------------------------
# What a site's service worker (templates/sw.js) keeps in a visitor's browser.

# On a site of many subjects only the first ones' pages are cached in advance, the others when they are visited.
KEPT_SUBJECTS = 12
LARGEST_BYTES = 300_000
# A few pictures of each are cached, so that there is some variety offline; fewer if they are large.
KEPT_PICTURES = 4
FEWEST_PICTURES = 2
KEPT_PIXELS = 1_000_000
MODEL_NAME = 16
_STATIC = frozenset({".css", ".js", ".svg", ".wasm"})
# What only browsers with a GPU use is cached when one has used it.
_GPU = "static/live/webgpu/"
_INDEX = "index.html"


class Offline:
    """Collects the files to cache, with hashes by which a browser recognises this build's files."""

    def __init__(self, content: SiteContent, albums: Sequence[tuple[SubjectView, PictureIndex]]) -> None:
        self._revision = content.revision
        self._views = [view for view, _ in albums]
        self._albums = albums[:KEPT_SUBJECTS]
        kept = self._views[:KEPT_SUBJECTS]
        pages = (
            "",
            "subjects/",
            TODAY,
            *(
                page
                for view in kept
                for page in (view.url, view.about, view.wall, *(view.breed, view.yours) * bool(view.live))
                if page
            ),
        )
        self._pages = frozenset(f"{page}{_INDEX}" for page in pages)
        self._files: list[tuple[str, str]] = []
        self._later: list[tuple[str, str]] = []

    def note(self, path: str, data: bytes) -> None:
        """Add a file of the site, if it is to be cached."""
        if path in self._pages:
            self._files.append(_hashed(path.removesuffix(_INDEX), data))
        elif path.startswith(_GPU):
            self._later.append(_hashed(f"{path}?v={self._revision}", data))
        elif (
            PurePosixPath(path).suffix in _STATIC
            and path.startswith("static/")
            and len(data) <= LARGEST_BYTES
        ):
            self._files.append(_hashed(f"{path}?v={self._revision}", data))

    def data(self) -> dict[str, object]:
        """Return the data for the service worker's script."""
        return {
            "revision": self._revision,
            "files": self._files,
            "later": self._later,
            "pictures": [shot.src for view, album in self._albums for shot in album.shots(_how_many(view))],
            "models": sorted(
                {
                    _model_name(file.path)
                    for view in self._views
                    for file in (view.live, view.dials, view.encoder)
                    if file is not None
                }
            ),
        }


def _hashed(address: str, data: bytes) -> tuple[str, str]:
    """Return an address with its content's hash, as browsers check it."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return address, f"sha256-{digest}"


def _model_name(path: str) -> str:
    """Shorten a generator's file name, which is a hash, to a prefix that identifies it."""
    return PurePosixPath(path).name[:MODEL_NAME]


def _how_many(view: SubjectView) -> int:
    """Return how many of a subject's pictures are cached in advance."""
    return max(FEWEST_PICTURES, min(KEPT_PICTURES, KEPT_PIXELS // (view.width_px * view.height_px)))


# https://www.sitemaps.org/protocol.html allows 50,000 addresses a file.
SITEMAP_LIMIT = 50_000
FEED_ENTRIES = 30
# A site may have thousands of subjects. The front page shows the first ones' cards and has the data of the first
# group; the browser fetches another group when a random choice needs it.
FRONT_CARDS = 24
GROUP_SUBJECTS = 40
LISTED_SUBJECTS = 96
THEME = "static/theme.css"
PAGES = (
    "index.html",
    "subject.html",
    "picture.html",
    "about.html",
    "collection.html",
    "wall.html",
    "breed.html",
    "yours.html",
    "which.html",
    "today.html",
    "today.xml",
    "subjects.html",
    "404.html",
    "feed.xml",
    "sitemap.xml",
    "sitemap-index.xml",
    "robots.txt",
    "sw.js",
)


def render_site(content: SiteContent, templates: Path | None) -> Iterator[tuple[str, bytes]]:
    """Make every file of a site except the pictures.

    Args:
        content: The site.
        templates: A folder whose files override metagan's own, or None.

    Yields:
        Site-relative path and bytes; each path once.

    Raises:
        TemplateError: If a template can't be compiled or rendered; with file and line.
        BuildError: If a subject's slug is reserved by the site, or a picture's path is unexpected.
    """
    writer = Writer(content, templates)
    offline = Offline(content, writer.albums)
    for path, data in _files(content, templates, writer):
        offline.note(path, data)
        yield path, data
    yield "sw.js", writer.render("sw.js", None, offline=offline.data())


def _files(content: SiteContent, templates: Path | None, writer: Writer) -> Iterator[tuple[str, bytes]]:
    yield from _static(content, templates)
    yield from writer.pages()
    for view, album in writer.albums:
        yield view.api, subject_json(content, view, album)
        yield from line_files(view, album)
        if view.has_pages:
            yield from (
                (f"{shot.url}oembed.json", oembed_json(content, view, shot)) for shot in album.shots()
            )
    for number, group in enumerate(_groups(writer.albums)[1:], 1):
        yield _group_file(number), json_bytes(subjects_data(content, group))
    yield "manifest.webmanifest", web_app_manifest(content)
    yield from subjects_files(content, [view for view, _ in writer.albums])


def _groups(
    albums: Sequence[tuple[SubjectView, PictureIndex]],
) -> list[Sequence[tuple[SubjectView, PictureIndex]]]:
    return [albums[i : i + GROUP_SUBJECTS] for i in range(0, len(albums), GROUP_SUBJECTS)]


def _group_file(number: int) -> str:
    return f"api/home/{number}.json"


@dataclass(frozen=True)
class Page:
    """The metadata in a page's head.

    Args:
        kind: The page's type for the style sheet: "home", "subject", "picture" ...
        title: Title of the browser's tab and of the link preview.
        description: One sentence for link previews.
        path: Its path on the site, "ape/42/".
        image: The link preview's picture, a site-relative path.
        image_alt: The picture's alternative text.
        image_size: Its width and height.
        root: The relative path from here to the site's root, "../../".
    """

    kind: str
    title: str
    description: str
    path: str
    image: str
    image_alt: str
    image_size: tuple[int, int]
    root: str


class Writer:
    """Renders pages from the compiled templates and the names that all pages share."""

    def __init__(self, content: SiteContent, templates: Path | None) -> None:
        pages = content.site.picture_pages
        albums = [(one, PictureIndex(one, picture_pages=pages)) for one in content.subjects]
        self.content = content
        self.albums = [(view_subject(one, album), album) for one, album in albums]
        environment = make_environment(templates)
        environment.globals.update(site_context(content, [view for view, _ in self.albums]))
        self.templates = {name: load_template(environment, name) for name in PAGES}

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file that is made from a template."""
        yield from self._front_pages()
        for view, album in self.albums:
            yield from self._subject_pages(view, album)
        yield from self._feeds()

    def _front_pages(self) -> Iterator[tuple[str, bytes]]:
        """Yield the pages that don't belong to a single subject."""
        site, (view, album) = self.content.site, self.albums[0]
        views = [view for view, _ in self.albums]
        first, *others = _groups(self.albums)
        data = album_data(self.content, first)
        known = {
            "subject": view,
            "picture": view.first,
            "next": album.shot(1),
            "subjects": views[:FRONT_CARDS],
        }
        groups = [{"url": _group_file(i), "count": len(group)} for i, group in enumerate(others, 1)]
        home = _page("home", "", view, view.first, title=site.title, says=site.description)
        yield "index.html", self.render("index.html", home, **known, album=data | {"groups": groups})
        title, says = "This Page Does Not Exist", "Nor does its picture."
        lost = _page("lost", "404.html", view, view.first, title=title, says=says)
        yield "404.html", self.render("404.html", replace(lost, root=base_path(site)), **known, album=data)
        yield from self._listings()
        yield from self._today(first)

    def _today(self, albums: Sequence[tuple[SubjectView, PictureIndex]]) -> Iterator[tuple[str, bytes]]:
        """Yield the page of the picture of the day, and feeds of the last days up to that of the build."""
        days = latest_days(self.content.built, albums)
        now = days[0]
        title = f"Picture of the day – {self.content.site.title}"
        says = "Each day another picture of something that does not exist."
        page = _page("today", TODAY, now.subject, now.picture, title=title, says=says)
        known = {"subject": now.subject, "picture": now.picture, "now": now, "days": days}
        data = album_data(self.content, albums)
        yield f"{TODAY}index.html", self.render("today.html", page, **known, album=data)
        updated = f"{now.iso}T00:00:00Z"
        yield f"{TODAY}feed.xml", self.render("today.xml", None, days=days, updated=updated)
        yield f"{TODAY}feed.json", json_bytes(json_feed(self.content.site, days))

    def _listings(self) -> Iterator[tuple[str, bytes]]:
        """Yield the paginated list of subjects."""
        pages = [self.albums[i : i + LISTED_SUBJECTS] for i in range(0, len(self.albums), LISTED_SUBJECTS)]
        count = sum(len(album) for _, album in self.albums)
        for number, listed in enumerate(pages, 1):
            shown = [view for view, _ in listed]
            which = f", page {number}" if number > 1 else ""
            title, says = (
                f"Subjects{which} – {self.content.site.title}",
                "Everything here that does not exist.",
            )
            first = shown[0].first
            listing = _page("subjects", _listing(number), shown[0], first, title=title, says=says)
            pager = {
                "number": number,
                "count": len(pages),
                "previous": _listing(number - 1) if number > 1 else None,
                "next": _listing(number + 1) if number < len(pages) else None,
            }
            yield (
                f"{_listing(number)}index.html",
                self.render(
                    "subjects.html",
                    listing,
                    subjects=shown,
                    pager=pager,
                    picture_count=count,
                    cover=[cover_data(view, album) for view, album in listed],
                ),
            )

    def _subject_pages(self, view: SubjectView, album: PictureIndex) -> Iterator[tuple[str, bytes]]:
        """Yield a subject's page, its about page, and a page for each picture."""
        known = {"subject": view, "picture": view.first, "next": album.shot(1)}
        sheet = list(album.shots(PLAIN_SHEET))
        data = album_data(self.content, [(view, album)])
        front = _page("subject", view.url, view, view.first, title=view.headline, says=_says(view))
        yield f"{view.url}index.html", self.render("subject.html", front, **known, sheet=sheet, album=data)
        title, says = f"About the {view.title} generator", f"What made the pictures of “{view.headline}”."
        about = _page("about", view.about, view, view.first, title=title, says=says)
        yield f"{view.about}index.html", self.render("about.html", about, **known)
        if album.collection:
            shown = view_collection(album.collection, album)
            title, says = f"The collection of the {view.title} generator", shown.says
            page = _page("collection", f"{view.url}collection/", view, view.first, title=title, says=says)
            yield (
                f"{page.path}index.html",
                self.render("collection.html", page, **known, collection=shown),
            )
        if view.wall:
            title, says = (
                f"{view.title} without end – {self.content.site.title}",
                f"Pictures of “{view.headline}”, made as you scroll.",
            )
            wall = _page("wall", view.wall, view, view.first, title=title, says=says)
            yield f"{view.wall}index.html", self.render("wall.html", wall, **known, sheet=sheet, album=data)
        title = f"Breed your {view.title} – {self.content.site.title}"
        says = "Nine pictures: choose one or two, get nine children, and again. The address holds the family tree."
        breed = _page("breed", view.breed, view, view.first, title=title, says=says)
        yield f"{view.breed}index.html", self.render("breed.html", breed, **known, sheet=sheet, album=data)
        yield from self._yours(view, known | {"sheet": sheet}, data)
        if view.which and album.reals:
            game = view_game(view, album, album.reals, self.content.built)
            title = f"Which {view.title} exists? – {self.content.site.title}"
            says = "One of two pictures was there before the machine, the other is its own. Which one exists?"
            page = _page("which", view.which, view, view.first, title=title, says=says)
            yield f"{view.which}index.html", self.render("which.html", page, **known, game=game)
        if view.has_pages:
            yield from self._picture_pages(view, album)

    def _yours(
        self, view: SubjectView, known: dict[str, object], data: dict[str, object]
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the page that finds visitors' pictures in the generator."""
        article = "an" if view.title[:1].upper() in "AEIOU" else "a"
        title = f"Your picture as {article} {view.title} – {self.content.site.title}"
        says = f"Choose a picture: your browser finds the {view.title} that is most like it. Nothing is uploaded."
        page = _page("yours", view.yours, view, view.first, title=title, says=says)
        yield (
            f"{view.yours}index.html",
            self.render("yours.html", page, **known, article=article, album=data, search=encoder_data(view)),
        )

    def _picture_pages(self, view: SubjectView, album: PictureIndex) -> Iterator[tuple[str, bytes]]:
        says = _says(view)
        for number in range(len(album)):
            shot = album.shot(number)
            title = f"{view.headline} – no. {shot.seed}"
            page = _page("picture", shot.url, view, shot, title=title, says=shot.text or says)
            content = self.render(
                "picture.html",
                page,
                subject=view,
                picture=shot,
                previous=album.shot(number - 1),
                next=album.shot(number + 1),
                traits=view_traits(album.collection, shot.seed),
            )
            yield f"{shot.url}index.html", content

    def _feeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield feed, sitemap and robots.txt."""
        updated = datetime.combine(self.content.built, time(), UTC).isoformat()
        entries = list(islice(self._newest(), FEED_ENTRIES))
        yield "feed.xml", self.render("feed.xml", None, entries=entries, updated=updated)
        yield from self._sitemaps()
        yield "robots.txt", self.render("robots.txt", None)

    def _newest(self) -> Iterator[tuple[SubjectView, PictureView]]:
        """Yield pictures for the feed, each subject in turn, last ones first, because new ones are added at the end."""
        columns = [
            [(view, -1 - i) for i in range(min(len(album), FEED_ENTRIES))] for view, album in self.albums
        ]
        shots = {view.slug: album for view, album in self.albums}
        for row in zip_longest(*columns):
            yield from ((view, shots[view.slug].shot(number)) for view, number in filter(None, row))

    def _sitemaps(self) -> Iterator[tuple[str, bytes]]:
        addresses = self._addresses()
        files = -(-sum(1 for _ in self._addresses()) // SITEMAP_LIMIT)
        names = ["sitemap.xml"] if files == 1 else [f"sitemap-{number}.xml" for number in range(1, files + 1)]
        if files > 1:
            yield "sitemap.xml", self.render("sitemap-index.xml", None, names=names)
        for name in names:
            yield name, self.render("sitemap.xml", None, addresses=islice(addresses, SITEMAP_LIMIT))

    def _addresses(self) -> Iterator[str]:
        yield from ("", TODAY)
        yield from (_listing(i + 1) for i in range(-(-len(self.albums) // LISTED_SUBJECTS)))
        for view, album in self.albums:
            yield from (
                view.url,
                view.about,
                *filter(None, (view.collection, view.wall, view.which)),
                *((view.breed, view.yours) if view.live else ()),
            )
            if self.content.site.picture_pages:
                yield from map(album.permalink, album.seeds)

    def render(self, name: str, page: Page | None, **known: object) -> bytes:
        """Render one page from a template and the names it may use besides the shared ones."""
        if page is not None:
            known |= {"page": page, "root": page.root}
        return render_template(self.templates[name], known)


def _listing(number: int) -> str:
    """Return the address of a page of the list of subjects, counted from 1."""
    return f"subjects/{number}/" if number > 1 else "subjects/"


def _page(kind: str, path: str, view: SubjectView, shot: PictureView, *, title: str, says: str) -> Page:
    return Page(
        kind, title, says, path, shot.card, shot.alt, preview_size(view, shot), "../" * path.count("/")
    )


def _says(view: SubjectView) -> str:
    return f"A machine made this picture: {view.title}, drawn by a {view.architecture} network from a number."


def _static(content: SiteContent, templates: Path | None) -> Iterator[tuple[str, bytes]]:
    files = static_files(templates)
    own_theme = files.pop(THEME, None)
    for path, file in files.items():
        yield path, read_static(file, content.revision)
    if any(one.live for one in content.subjects):
        yield from ((f"static/live/{name}", file.read_bytes()) for name, file in kernel_files().items())
        yield f"{_GPU}kernel.wgsl", join_shaders()
    sizes = [(one.width_px, one.height_px) for one in content.subjects]
    theme = theme_css(content.site.theme, sizes).encode()
    yield THEME, theme if own_theme is None else theme + b"\n" + own_theme.read_bytes()
