"""The field types of registry.yaml: their validation and their JSON Schema."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import core_schema

from metagan import seeds
from metagan.registry.visible import is_visible, stray_characters
from metagan.registry.weights_ref import (
    BUNDLED,
    WeightsRef,
    bundled_names,
    existing_file,
    is_remote,
    parse_weights,
)
from metagan.registry.weights_ref import WANT as WANT_WEIGHTS
from metagan.values import (
    PSI_RANGE,
    InvalidValueError,
    NoiseMode,
    ValueProblem,
    has_controls,
    invalid_value,
    parse_numbers,
    show,
)


@dataclass(frozen=True)
class Want:
    """What a field accepts.

    Args:
        words: The text after "want", for messages and the documentation.
        fix: How to correct another value; empty for "write for example ...".
    """

    words: str
    fix: str = ""


_UNNAMED = frozenset({"Cc", "Cs", "Co", "Zs", "Zl", "Zp"})  # categories of characters that no name has
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
RESERVED_SLUGS = (
    *("404", "about", "api", "assets", "cards", "cname", "css", "favicon", "feed", "index", "js", "manifest"),
    *("models", "nojekyll", "pictures", "robots", "sitemap", "static", "subjects", "today"),
    *("aux", "con", "nul", "prn"),
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
)
"""Names that the site itself uses at its root, and names that are not allowed as folders on Windows."""

NO_UPSCALER = "none"
WANT_BASE_URL = "the site's address, https://host/path/"
WANT_SHARDS_URL = "the address at which browsers find the shards, https://host/path/"

_URL_PATH = re.compile(r"(/[A-Za-z0-9._~%-]+)*/?")
# RFC 1035, section 2.3.4; labels are of letters, digits and inner hyphens.
_URL_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)
MAX_HOST = 253
MAX_URL = 2000
MAX_CLASS_NAME = 255  # as a folder's name


def parse_base_url(text: str, want: str = WANT_BASE_URL) -> str:
    """Validate a site's address and return it with a closing slash.

    Args:
        text: The address.
        want: What it is, for messages.

    Raises:
        InvalidValueError: If it is not an http or https URL of a folder, such as "https://user.github.io/apes/".
    """
    text = text.strip(" ")
    if has_controls(text):  # urlsplit passes over line breaks and tabs
        raise invalid_value(want, show(text), "remove line breaks, tabs and control characters")
    if len(text) > MAX_URL:
        raise invalid_value(
            f"an address of at most {MAX_URL} characters", f"{len(text)}", "write a shorter one"
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise invalid_value(want, show(text), "write it as it appears in a browser's address bar") from error
    if not host.isascii():
        raise invalid_value(want, show(text), f"write the host in ASCII{_ascii_host(host)}")
    if parts.scheme not in {"https", "http"} or not host:
        raise invalid_value(want, show(text), "start it with https:// and the host name")
    _check_host(host)
    if port == 0 or parts.netloc.endswith(":"):
        raise invalid_value(
            "a port from 1 to 65535", show(text), "correct the number after the colon, or remove both"
        )
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in text or "#" in text:
        raise invalid_value(want, show(text), "remove user names, passwords, and everything from ? or #")
    if not _URL_PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise invalid_value(want, show(text), "use only letters, digits and - . _ ~ % in the path")
    _check_escapes(parts.path)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}/"


def _check_host(host: str) -> None:
    if len(host) > MAX_HOST:
        raise invalid_value(
            f"a host of at most {MAX_HOST} characters", f"one of {len(host)}", "write the host's real name"
        )
    if not _URL_HOST.fullmatch(host):
        fix = (
            "write names of letters, digits and inner hyphens, at most 63 each, with single dots between them"
        )
        raise invalid_value("a host like user.github.io", show(host), fix)
    if bad := next((label for label in host.split(".") if not _is_readable(label)), None):
        fix = "write the name in its own letters into a browser's address bar, and copy it from there"
        raise invalid_value("a host whose xn-- names stand for letters", show(bad), fix)
    if host.rpartition(".")[2].isdecimal():
        try:
            IPv4Address(host)
        except ValueError as error:
            raise invalid_value(
                "a host like user.github.io", show(host), "write four numbers from 0 to 255"
            ) from error


def _is_readable(label: str) -> bool:
    """Whether a part of a host's name, if it is written in Punycode (RFC 3492), stands for a name."""
    code = label.removeprefix("xn--")
    if code == label:
        return True
    try:
        name = code.encode().decode("punycode")
        is_whole = name.encode("punycode").decode() == code
    except UnicodeError:
        return False
    return is_whole and not name.isascii() and not any(unicodedata.category(one) in _UNNAMED for one in name)


def _check_escapes(path: str) -> None:
    """Whether what % stands for in a path is a name that a host can serve."""
    for part in path.split("/"):
        if bad := re.search(r"%(?![0-9A-Fa-f]{2}).{0,2}", part):
            raise invalid_value("two hex digits after %", show(bad[0]), "write %25 for a percent sign itself")
        try:
            name = unquote_to_bytes(part).decode()
        except UnicodeDecodeError as error:
            raise invalid_value(
                "a path in UTF-8", show(part), "write it as it appears in a browser's address bar"
            ) from error
        if name in {".", ".."} or has_controls(name) or set(name) & set("/\\:"):
            raise invalid_value(
                "names of folders in the path", show(part), "remove what can't be in a folder's name"
            )


def _ascii_host(host: str) -> str:
    try:
        return f": {host.encode('idna').decode()}"
    except UnicodeError:
        return ""


def _check_line(text: str) -> str:
    text = text.strip()
    if not text:
        raise invalid_value("a line of text", "an empty text", "write some text, or remove the key")
    if has_controls(text):
        raise invalid_value("a line of text", show(text), "remove line breaks, tabs and control characters")
    if not is_visible(text):
        got = f"{show(text)}, of which nothing can be seen"
        raise invalid_value("a line of text", got, "write something that readers see, or remove the key")
    if stray := stray_characters(text):
        place, name = stray[0]
        more = f" and {len(stray) - 1} more that can't be seen" if len(stray) > 1 else ""
        raise invalid_value("a line of text", show(text), f"remove character {place + 1}, {name}{more}")
    return text


def _check_headline(text: str) -> str:
    return _check_places(text, "a headline, with {title} where the subject's title goes")


def _check_named_headline(text: str) -> str:
    want = "a headline with {name} where a visitor's name goes, and {title} or not"
    if "{name}" not in text:
        raise invalid_value(want, show(text), "write {name} in it")
    return _check_places(text, want, "{name}")


def _check_places(text: str, want: str, *more: str) -> str:
    """A text in which braces hold nothing but what is filled in, each once."""
    places = re.findall(r"\{[^{}]*\}|[{}]", text)
    for place in places:
        if place not in {"{title}", *more}:
            raise invalid_value(want, show(text), f"remove {place}")
        if places.count(place) > 1:
            raise invalid_value(want, show(text), f"write {place} once")
    return text


def _check_slug(slug: str) -> str:
    if len(slug) > 64 or not re.fullmatch(SLUG_PATTERN, slug):
        better = "-".join(re.findall(r"[a-z0-9]+", slug.lower()))[:64].strip("-")
        fix = f"write {better}" if better else "write a name like hummingbird"
        raise invalid_value("a slug of lower-case letters, digits and single hyphens", show(slug), fix)
    if slug in RESERVED_SLUGS:
        raise invalid_value(
            "a slug that is not reserved", show(slug), f"choose another, for example {slug}-1"
        )
    return slug


@dataclass(frozen=True)
class CollectionRef:
    """Where a collection is.

    Args:
        kind: "path" of a folder or, for `reals`, of a dataset's zip; or "bundled": one of metagan's own drawings,
            which has no folder.
        location: An absolute path, or the drawings' name.
        text: The reference as the registry states it, for messages.
    """

    kind: Literal["path", "bundled"]
    location: str
    text: str


@dataclass(frozen=True)
class DialsRef:
    """Which dials a subject has.

    Args:
        file: Its directions file; None to find directions when they are needed.
        names: Names of dials, each with the dial's number in the file, from 1, in the order of display.
        rest: Whether the file's other dials follow, under their own names.
    """

    file: WeightsRef | None
    names: tuple[tuple[str, int], ...] = ()
    rest: bool = True


@dataclass(frozen=True)
class FromText:
    """Marks a field that is written as text, read by a function of the text and the registry's folder."""

    read: Callable[[str, Path], Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Text of at least one character, then the function; what was read before stays as it is."""

        def convert(value: Any, check: Callable[[Any], str], info: Any) -> Any:
            read = isinstance(value, WeightsRef | CollectionRef | Path)
            return value if read else self.read(check(value), _folder(info))

        text = core_schema.str_schema(min_length=1)
        return core_schema.with_info_wrap_validator_function(convert, text)


@dataclass(frozen=True)
class FromValue:
    """Marks a field that is read by a function of its value, of any type, and the registry's folder."""

    read: Callable[[object, Path], Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Only the function."""
        return core_schema.with_info_plain_validator_function(
            lambda value, info: self.read(value, _folder(info))
        )


def _read_upscale(text: str, folder: Path) -> WeightsRef | None:
    return None if text.strip() == NO_UPSCALER else parse_weights(text, folder)


COLLECTION_MARKER = "collection.json"
"""The file that makes a folder a collection."""

_WANT_COLLECTION = "the folder of a collection, or bundled:name"
_WANT_REALS = "a dataset's zip, the folder of a collection, or bundled:name"
_WANT_RUN = "the folder or address of a run of shards"
_WANT_TRAITS = "the file of a trait classifier, or bundled:name"
_WANT_ENCODER = "an encoder's file, or bundled:name"


def _read_collection(text: str, folder: Path) -> CollectionRef:
    return _collection(
        text.strip(),
        folder,
        _WANT_COLLECTION,
        "write the folder that `metagan collection fetch --out` wrote",
    )


def _collection(text: str, folder: Path, want: str, fix: str) -> CollectionRef:
    if text.startswith(BUNDLED):
        name = text.removeprefix(BUNDLED)
        if name not in bundled_names():
            choices = ", ".join(f"{BUNDLED}{known}" for known in bundled_names())
            raise invalid_value(
                "the name of a collection that metagan draws", show(name), f"choose one of {choices}"
            )
        return CollectionRef("bundled", name, text)
    try:
        marker = existing_file(f"{text}/{COLLECTION_MARKER}", folder)
    except InvalidValueError as error:
        got = f"{show(text)}, and there is no {COLLECTION_MARKER} in it"
        raise invalid_value(want, got, fix) from error
    return CollectionRef("path", str(marker.parent), text)


def _read_reals(text: str, folder: Path) -> CollectionRef:
    text = text.strip()
    if not text.lower().endswith(".zip"):
        return _collection(
            text,
            folder,
            _WANT_REALS,
            "write the zip that `metagan dataset pack` made, or a collection's folder",
        )
    return CollectionRef("path", str(existing_file(text, folder)), text)


def _read_run(text: str, folder: Path) -> str:
    text = text.strip()
    if "://" in text:
        return text
    path = (folder / text).absolute()
    if not path.is_dir():
        raise invalid_value(
            _WANT_RUN, show(text), "write the folder or address that `metagan sample --shards` had as --out"
        )
    return str(path)


def _read_traits(text: str, folder: Path) -> WeightsRef:
    if is_remote(text):
        raise invalid_value(_WANT_TRAITS, show(text), "download the file and write its path")
    return parse_weights(text, folder)


def _read_encoder(text: str, folder: Path) -> WeightsRef:
    if is_remote(text):
        raise invalid_value(_WANT_ENCODER, show(text), "download the file and write its path")
    return parse_weights(text, folder)


AUTO_DIALS = "auto"
MOST_DIAL_NAME = 40
MOST_DIALS = 1000
_WANT_DIALS = "a directions file, bundled:name, auto, or a mapping with file and names"
_WANT_DIALS_FILE = "a directions file, bundled:name or auto"
_WANT_DIAL_NAMES = "the dials' names in order, or names with the dials' numbers"
_DIALS_FIX = "write the file that `metagan directions --out` wrote, or auto"


def read_dials(value: object, folder: Path) -> DialsRef:
    """Read a subject's dials from what the registry says of them.

    Raises:
        InvalidValueError: If it is something else, or names a file that does not exist.
    """
    if isinstance(value, DialsRef):
        return value
    if isinstance(value, str):
        return DialsRef(_read_dials_file(value, folder))
    if not isinstance(value, dict) or not value:
        raise invalid_value(_WANT_DIALS, show(value), _DIALS_FIX)
    complaints = [
        ValueProblem("file and names only", show(key), "remove this key", (key,))
        for key in value
        if key not in {"file", "names"}
    ]
    file, names, rest = None, [], True
    if "file" not in value:
        complaints.append(ValueProblem("a mapping with file", show(value), "add `file: auto`, or a file"))
    else:
        try:
            file = _read_dials_file(value["file"], folder)
        except InvalidValueError as error:
            complaints += [replace(each, at=("file",)) for each in error.complaints]
    try:
        names = list(_read_dial_names(value["names"])) if "names" in value else []
        rest = not isinstance(value.get("names"), dict)
    except InvalidValueError as error:
        complaints += [replace(each, at=("names", *each.at)) for each in error.complaints]
    if complaints:
        raise InvalidValueError(complaints)
    return DialsRef(file, tuple(names), rest)


def _read_dials_file(text: object, folder: Path) -> WeightsRef | None:
    if not isinstance(text, str):
        raise invalid_value(_WANT_DIALS_FILE, show(text), _DIALS_FIX)
    if text.strip() == AUTO_DIALS:
        return None
    if is_remote(text):
        raise invalid_value(_WANT_DIALS_FILE, show(text), "download the file and write its path")
    return parse_weights(text, folder)


def _read_dial_names(value: object) -> list[tuple[str, int]]:
    """Read a list of names, which are those of the file's first dials, or a mapping of names to the dials' numbers."""
    if not isinstance(value, list | dict) or not value:
        raise invalid_value(_WANT_DIAL_NAMES, show(value), "write for example `names: [Fur, Background]`")
    numbers = list(value.values()) if isinstance(value, dict) else list(range(1, len(value) + 1))
    found: list[tuple[str, int]] = []
    complaints = []
    for index, (name, number) in enumerate(zip(value, numbers, strict=True)):
        at: tuple[int | str, ...] = (name,) if isinstance(value, dict) else (index,)
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_DIALS:
            want = f"a dial's number from 1 to {MOST_DIALS}"
            complaints.append(ValueProblem(want, show(number), "write its place in the file", at))
        try:
            found.append((_check_dial_name(name), number))
        except InvalidValueError as error:
            complaints += [replace(each, at=at) for each in error.complaints]
            continue
        if [known.casefold() for known, _ in found].count(found[-1][0].casefold()) > 1:
            complaints.append(ValueProblem("different names", f"{show(name)} twice", "change one", at))
    if complaints:
        raise InvalidValueError(complaints)
    return found


def _check_dial_name(name: object) -> str:
    if not isinstance(name, str):
        raise invalid_value("a dial's name", show(name), "put a name that YAML reads otherwise into quotes")
    if len(name) > MOST_DIAL_NAME:
        raise invalid_value(f"a name of at most {MOST_DIAL_NAME} characters", f"{len(name)}", "shorten it")
    if set(name) & set(",="):  # `--dials NAME=2,NAME2=-1`
        raise invalid_value("a name without , and =", show(name), "remove them")
    return _check_line(name)


def _folder(info: Any) -> Path:
    """Return the registry's folder from pydantic's ValidationInfo, whose type can't be checked at run time."""
    folder = (info.context or {}).get("folder")
    return folder if isinstance(folder, Path) else Path.cwd()


def _read_images(value: object) -> int | tuple[range, ...]:
    if isinstance(value, tuple):  # read before
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value <= seeds.MAX_SEEDS:
            return value
        fix = "write the number of pictures, or a list of seeds"
        raise invalid_value(f"a count from 1 to {seeds.MAX_SEEDS:,}", show(value), fix)
    if isinstance(value, str) and value.strip().isdecimal():
        number = value.strip()
        fix = f"write {number} without quotes for that many pictures, or [{number}] for that seed"
        raise invalid_value("a count or seeds", f"the text {show(value)}, which could mean either", fix)
    if value == []:
        raise invalid_value("at least one seed", "an empty list", "write the number of pictures, or seeds")
    return _read_seeds(value, "images: 200, images: 0-35,42 or images: [0, 7, 42]")


def _read_exclude(value: object) -> tuple[range, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        return seeds.parse_list([value])
    return _read_seeds(value, "exclude: 3,17-19 or exclude: [3, 17]")


def _read_seeds(value: object, example: str) -> tuple[range, ...]:
    if isinstance(value, str):
        return seeds.parse_ranges(value)
    if isinstance(value, list):
        return seeds.parse_list(value)
    raise invalid_value("seeds", show(value), f"write {example}")


def _read_class(value: object) -> int | str:
    want = "a class's number or name"
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise invalid_value(want, show(value), "put a name that YAML reads as something else into quotes")
    if isinstance(value, int):
        if value < 0:
            raise invalid_value(
                "a class's number from 0 on, or its name", show(value), "write for example `class: 3`"
            )
        return value
    if len(value) > MAX_CLASS_NAME:
        raise invalid_value(
            f"a name of at most {MAX_CLASS_NAME} characters", f"{len(value)}", "write the class's number"
        )
    return _check_line(value)


def _read_label(value: object) -> tuple[float, ...]:
    want, fix = "the label's numbers", "write for example `label: 0.2,0.7`"
    try:
        if isinstance(value, str):
            return parse_numbers(value)
        many: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
        if many and all(type(number) in {int, float} and math.isfinite(number) for number in many):
            return tuple(map(float, many))
    except (ValueError, OverflowError):
        pass
    raise invalid_value(want, show(value), fix)


_URL_SCHEMA = {"type": "string", "format": "uri", "pattern": "^https?://"}
_SEED_SCHEMA = {"type": "integer", "minimum": 0, "maximum": seeds.MAX_SEED}
_RANGE_SCHEMA = {
    "type": "string",
    "pattern": r"^\s*[0-9]+(\s*-\s*[0-9]+)?(\s*,\s*[0-9]+(\s*-\s*[0-9]+)?)*\s*$",
}
_LIST_SCHEMA = {"type": "array", "items": {"anyOf": [_SEED_SCHEMA, _RANGE_SCHEMA]}}
_IMAGES_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": seeds.MAX_SEEDS},
        {**_LIST_SCHEMA, "minItems": 1},
        {**_RANGE_SCHEMA, "not": {"pattern": r"^\s*[0-9]+\s*$"}},
    ]
}
_CLASS_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "minLength": 1, "maxLength": MAX_CLASS_NAME},
    ]
}
_NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_LABEL_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "minItems": 1},
        {"type": "string", "pattern": rf"^{_NUMBER}(,{_NUMBER})*$"},
    ]
}
_DIALS_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "file": {"type": "string", "minLength": 1},
                "names": {
                    "anyOf": [
                        {
                            "type": "array",
                            "items": {"type": "string", "pattern": "^[^,=]{1,40}$"},
                            "minItems": 1,
                            "uniqueItems": True,
                        },
                        {
                            "type": "object",
                            "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MOST_DIALS},
                            "propertyNames": {"pattern": "^[^,=]{1,40}$"},
                            "minProperties": 1,
                        },
                    ]
                },
            },
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}
_EXCLUDE_SCHEMA = {"anyOf": [_SEED_SCHEMA, _LIST_SCHEMA, _RANGE_SCHEMA]}

Line = Annotated[
    str, Want("a line of text"), StringConstraints(min_length=1, max_length=200), AfterValidator(_check_line)
]
Paragraph = Annotated[
    str, Want("a line of text"), StringConstraints(min_length=1, max_length=1000), AfterValidator(_check_line)
]
Headline = Annotated[Line, Want("a headline, with {title} or without"), AfterValidator(_check_headline)]
NamedHeadline = Annotated[
    Line, Want("a headline with {name}, and {title} or not"), AfterValidator(_check_named_headline)
]
Language = Annotated[
    str,
    Want("a language's code", "write a BCP 47 tag, for example de or pt-BR"),
    StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35),
]
Direction = Literal["ltr", "rtl"]
WrittenFrom = Annotated[Direction, Want("ltr or rtl")]
Flag = Annotated[bool, Want("true or false")]
Colour = Annotated[
    str,
    Want("a colour of six hex digits", 'put it into quotes, because # starts a comment: "#c2410c"'),
    StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$"),
    AfterValidator(str.lower),
]
ShardsUrl = Annotated[
    str,
    Want(WANT_SHARDS_URL),
    AfterValidator(partial(parse_base_url, want=WANT_SHARDS_URL)),
    WithJsonSchema(_URL_SCHEMA),
]
Run = Annotated[str, Want(_WANT_RUN), FromText(_read_run)]
Layout = Annotated[Literal["shards", "files"], Want("shards or files")]
BaseUrl = Annotated[str, Want(WANT_BASE_URL), AfterValidator(parse_base_url), WithJsonSchema(_URL_SCHEMA)]
Slug = Annotated[
    str,
    AfterValidator(_check_slug),
    WithJsonSchema({"type": "string", "pattern": SLUG_PATTERN, "maxLength": 64}),
]
Weights = Annotated[WeightsRef, Want(WANT_WEIGHTS), FromText(parse_weights)]
Upscale = Annotated[WeightsRef | None, Want(f"an upscaler: {WANT_WEIGHTS}; or none"), FromText(_read_upscale)]
CollectionFolder = Annotated[CollectionRef, Want(_WANT_COLLECTION), FromText(_read_collection)]
Reals = Annotated[CollectionRef, Want(_WANT_REALS), FromText(_read_reals)]
RealsLicence = Annotated[Line, Want("the licence of those pictures, an SPDX name or words")]
Traits = Annotated[WeightsRef, Want(_WANT_TRAITS), FromText(_read_traits)]
Encoder = Annotated[WeightsRef, Want(_WANT_ENCODER), FromText(_read_encoder)]
Dials = Annotated[
    DialsRef, Want(_WANT_DIALS, _DIALS_FIX), FromValue(read_dials), WithJsonSchema(_DIALS_SCHEMA)
]
Sha256 = Annotated[
    str,
    Want("64 hex digits", "paste the publisher's SHA-256, or run `metagan inspect` on the file to print it"),
    StringConstraints(pattern=r"^[0-9a-fA-F]{64}$"),
]
Licence = Annotated[Line, Want("the weights' licence, an SPDX name or words")]
Source = Annotated[Line, Want("where the weights come from, a URL or words")]
Images = Annotated[
    int | tuple[range, ...],
    Want("a count, seeds like 0-35,42, or a list of seeds"),
    BeforeValidator(_read_images),
    WithJsonSchema(_IMAGES_SCHEMA),
]
Exclude = Annotated[
    tuple[range, ...],
    Want("seeds like 3,17-19, or a list of seeds"),
    BeforeValidator(_read_exclude),
    WithJsonSchema(_EXCLUDE_SCHEMA),
]
Psi = Annotated[
    float,
    Want(f"a number from {PSI_RANGE[0]} to {PSI_RANGE[1]}"),
    Field(ge=PSI_RANGE[0], le=PSI_RANGE[1]),
]
ClassIndex = Annotated[
    int | str,
    Want("a class's number or name"),
    BeforeValidator(_read_class),
    WithJsonSchema(_CLASS_SCHEMA),
]
LabelNumbers = Annotated[
    tuple[float, ...],
    Want("the label's numbers, such as 0.2,0.7 or [0.2, 0.7]"),
    BeforeValidator(_read_label),
    WithJsonSchema(_LABEL_SCHEMA),
]
Noise = Annotated[NoiseMode, Want("const, random or none")]
Live = Annotated[Literal["auto", "always", "never"], Want("auto, always or never")]
Format = Annotated[Literal["webp", "png", "jpeg", "avif"], Want("webp, png, jpeg or avif")]
LocalFile = Annotated[Path, Want("a file's path"), FromText(existing_file)]
