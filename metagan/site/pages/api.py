"""The site's JSON: an API for other programs, and generated lines of text for its own pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from metagan.images.provenance import SOURCE_TYPE
from metagan.site.pages.content import CollectionContent, LiveModel, PictureTraits, SiteContent
from metagan.site.pages.theme import LIGHT_PAGE
from metagan.site.pages.views import (
    FILES_A_FOLDER,
    LINES_CHUNK,
    PictureIndex,
    PictureView,
    SubjectView,
    base_path,
    preview_size,
    seed_ranges,
)

SUBJECTS_PART = 100  # subjects in one file of the list
NAME_RULE = (
    "Normalise to NFC, lower case, NFC again; make every run of white space one space, none at the ends; "
    "take SHA-256 of the UTF-8 bytes; read its first six bytes as a big-endian number; "
    "the remainder by the count of pictures is the place in 'pictures'."
)
LIVE_NAME_RULE = (
    "Normalise and hash likewise; the first four bytes as a big-endian number are the seed, "
    "drawn with the subject's psi."
)


SHARDS_RULE = (
    "'shards' lists the first and last seed of each shard, which name its files in ten digits: 0000000000-0000000999. "
    "The .bin beside the list has a row of 'row' bytes for each seed, little-endian: the picture's offset in the .zip, "
    "uint64; its length, uint32; its SHA-256. The zip is at 'zips', relative to the list; ask for the picture's bytes "
    "with the header Range."
)


def subjects_files(content: SiteContent, subjects: Sequence[SubjectView]) -> Iterator[tuple[str, bytes]]:
    """Yield the list of subjects, api/subjects.json, in parts of bounded size: each names the next one, or null."""
    base = content.site.base_url
    parts = [subjects[start : start + SUBJECTS_PART] for start in range(0, len(subjects), SUBJECTS_PART)]
    for number, part in enumerate(parts):
        following = base + _subjects_file(number + 1) if number + 1 < len(parts) else None
        head = _site(content) | {"count": len(subjects), "next": following}
        listing = [_summary(base, view) | {"api": base + view.api} for view in part]
        yield _subjects_file(number), json_bytes(head | {"subjects": listing})


def _subjects_file(number: int) -> str:
    return f"api/subjects/{number}.json" if number else "api/subjects.json"


def subject_json(content: SiteContent, view: SubjectView, album: PictureIndex) -> bytes:
    """Return api/SLUG.json, a subject with all its pictures, seeds and addresses."""
    base = content.site.base_url
    rules = {"names": NAME_RULE} | ({"live_names": LIVE_NAME_RULE} if view.live else {})
    if album.shards:
        rules |= {"names": NAME_RULE.replace("'pictures'", "'seeds'")}
        return json_bytes(_site(content) | _summary(base, view) | rules | _of_shards(base, album))
    head = _text(_site(content) | _summary(base, view) | rules).removesuffix("}")
    predicted = album.collection.predicted if album.collection else {}
    rows = ",\n".join(
        _text(_picture(base, shot) | _traits(album.collection, predicted.get(shot.seed)))
        for shot in album.shots()
    )
    return f'{head},"pictures":[\n{rows}\n]}}\n'.encode()


def _of_shards(base: str, album: PictureIndex) -> dict[str, object]:
    """Describe pictures that are too many to list: their seeds, and how a picture is found by its seed."""
    known: dict[str, object] = {
        "seeds": seed_ranges(album.seeds),
        "page": f"{base}{album.slug}/?seed={{seed}}",
    }
    if album.shards is None or album.shards.manifest is None:
        image = f"{base}pictures/{album.slug}/{{seed // {FILES_A_FOLDER}}}/{{seed}}.{album.extension}"
        return known | {"image": image}
    return known | {"shards": base + album.shards.manifest, "shards_rule": SHARDS_RULE}


def line_files(view: SubjectView, album: PictureIndex) -> Iterator[tuple[str, bytes]]:
    """Yield the generated lines in small files, api/SLUG/lines/0.json, so that a page fetches only a few."""
    if album.has_lines:
        lines = (shot.text for shot in album.shots())
        chunks = iter(lambda: list(islice(lines, LINES_CHUNK)), [])
        for number, chunk in enumerate(chunks):
            yield f"api/{view.slug}/lines/{number}.json", json_bytes(chunk)


def _site(content: SiteContent) -> dict[str, object]:
    return {
        "site": {"title": content.site.title, "url": content.site.base_url},
        "built": content.built.isoformat(),
        "generator": f"metagan {content.version}",
        "digitalSourceType": SOURCE_TYPE,
    }


def _summary(base: str, view: SubjectView) -> dict[str, object]:
    return {
        "slug": view.slug,
        "title": view.title,
        "url": base + view.url,
        "about": base + view.about,
        "count": view.count,
        "width": view.width_px,
        "height": view.height_px,
        "psi": view.psi,
        "class": view.class_index,
        "class_name": view.class_name or None,
        "label": view.label,
        "architecture": view.architecture,
        "weights_sha256": view.sha256,
        "licence": view.licence,
        "source": view.source,
        "live": _live(base, view.live) if view.live else None,
        "collection": base + view.collection if view.collection else None,
    }


def _live(base: str, model: LiveModel) -> dict[str, object]:
    """Describe the generator for browsers: its address, size and difference from the original."""
    return {
        "weights": base + model.path,
        "sha256": model.sha256,
        "size": model.content_bytes,
        "file_sha256": model.file_sha256,
        "file_size": model.size_bytes,
        "precision": model.precision,
        "off_by_one": model.off_by_one,
        "psnr_db": model.psnr_db,
    }


def _picture(base: str, shot: PictureView) -> dict[str, object]:
    known: dict[str, object] = {"seed": shot.seed, "image": base + shot.src, "page": base + shot.url}
    return known | {"text": shot.text} if shot.text else known


def _traits(collection: CollectionContent | None, found: PictureTraits | None) -> dict[str, object]:
    """Describe a picture's predicted traits, and how rare they are among the collection's items."""
    if collection is None or found is None:
        return {}
    traits = {trait.type: trait.value for trait in found.traits if trait.value is not None}
    rarity = {"score": found.score, "items_as_rare": found.as_rare, "items": collection.items}
    return {"traits": traits, "rarity": rarity}


def oembed_json(content: SiteContent, view: SubjectView, shot: PictureView) -> bytes:
    """Return a picture's oEmbed answer (https://oembed.com, section 2.3.4.1), with which chats and blogs embed it."""
    base, (width_px, height_px) = content.site.base_url, preview_size(view, shot)
    author = {"author_name": content.site.author} if content.site.author else {}
    known: dict[str, object] = {
        "version": "1.0",
        "type": "photo",
        "title": f"{view.headline} – no. {shot.seed}",
        "url": base + shot.card,
        "width": width_px,
        "height": height_px,
        "web_page": base + shot.url,
        "provider_name": content.site.title,
        "provider_url": base,
    }
    return json_bytes(known | author)


def web_app_manifest(content: SiteContent) -> bytes:
    """Return the manifest with which browsers install the site as an app (https://www.w3.org/TR/appmanifest/)."""
    site = content.site
    drawn = {"src": "static/favicon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
    made = [
        {"src": path, "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
        for side, path in content.icons
        for purpose in (("any", "maskable") if side == max(content.icons)[0] else ("any",))
    ]
    manifest: dict[str, object] = {
        "name": site.title,
        "id": base_path(site),
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": LIGHT_PAGE,
        "theme_color": LIGHT_PAGE,
        "lang": site.heading.lang,
        "dir": site.heading.dir,
        "icons": [*made, drawn],
    }
    return json_bytes(manifest | ({"description": site.description} if site.description else {}))


def json_bytes(value: object) -> bytes:
    """Serialise a value as a JSON file for browsers."""
    return f"{_text(value)}\n".encode()


def _text(value: object) -> str:
    """Serialise as JSON that a browser can't interpret as HTML tags, whatever the content type."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
