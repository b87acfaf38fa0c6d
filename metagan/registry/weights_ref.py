"""References to weights: a path, https://, hf:// or bundled:."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from metagan import weights
from metagan.errors import OptionError
from metagan.values import has_controls, invalid_value, show

WeightsKind = Literal["path", "https", "hf", "bundled"]


@dataclass(frozen=True)
class WeightsRef:
    """Where weights come from.

    Args:
        kind: How to interpret `location`.
        location: An absolute path, an https URL, "owner/repo/file" of the Hugging Face hub, or a name.
        sha256: The file's SHA-256 in lower-case hex; never None for https and hf in a registry that was read.
        text: The reference as the registry states it, for messages and pages.
    """

    kind: WeightsKind
    location: str
    sha256: str | None
    text: str

    def hashed(self, sha256: str | None) -> WeightsRef:
        """The same with a file's SHA-256, in any case."""
        return replace(self, sha256=sha256.lower() if sha256 else None)


# --------------------------------------------------------------------------------------------
# The weights that come with metagan, by name.

SUFFIX = ".safetensors"
BUNDLED = "bundled:"
_UPSCALER = re.compile(r".+-x[24]")  # how upscalers' files are named
_CLASSIFIER = re.compile(r".+-traits")  # likewise of classifiers
_DIALS = re.compile(r".+-dials")  # and of directions
_ENCODER = re.compile(r".+-encoder")  # and of encoders


def bundled_names() -> list[str]:
    """The generators there are, sorted."""
    return [name for name in _names() if _kind_of(name) is None]


def bundled_upscaler_names() -> list[str]:
    """The upscalers there are, sorted: "apes-x4"."""
    return [name for name in _names() if _kind_of(name) is _UPSCALER]


def bundled_companions() -> list[str]:
    """The classifiers, directions and encoders there are, sorted: "apes-dials", "apes-encoder", "apes-traits"."""
    return [name for name in _names() if _kind_of(name) in {_CLASSIFIER, _DIALS, _ENCODER}]


def bundled_weights(name: str) -> Path:
    """The file of a bundled generator, upscaler, classifier, directions or encoder, `bundled:NAME` in a registry.

    Raises:
        OptionError: Nothing of that name is bundled; lists the names there are of the same kind.
    """
    if name in _names():
        return _folder() / f"{name}{SUFFIX}"
    names = [known for known in _names() if _kind_of(known) is _kind_of(name)]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {BUNDLED}{close[0]}? " if close else ""
    there_are = ", ".join(f"{BUNDLED}{known}" for known in names) or "none in this installation"
    raise OptionError(f"there are no bundled weights named {name!r}", fix=f"{hint}there are: {there_are}")


def _kind_of(name: str) -> re.Pattern[str] | None:
    """How files of its kind are named; None for a generator's."""
    return next((kind for kind in (_UPSCALER, _CLASSIFIER, _DIALS, _ENCODER) if kind.fullmatch(name)), None)


def _names() -> list[str]:
    return sorted(file.stem for file in _folder().glob(f"*{SUFFIX}") if file.is_file())


def _folder() -> Path:
    return Path(weights.__path__[0])


# --------------------------------------------------------------------------------------------
# References.

SAVED_MODEL_MARKER = "saved_model.pb"
"""The file that makes a folder a Keras SavedModel."""

WANT = "a file's path, https://..., hf://owner/repo/file or bundled:name"
MAX_CHARACTERS = 2000
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HF = re.compile(rf"{_NAME}/{_NAME}(@{_NAME})?(/{_NAME})+")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def parse_weights(text: str, folder: Path, sha256: str | None = None) -> WeightsRef:
    """Parse a reference to weights.

    Args:
        text: The reference.
        folder: The folder that relative paths start from: the registry's.
        sha256: The file's SHA-256 in hex, if the registry has it.

    Raises:
        InvalidValueError: If it is not a reference, or names a local file that does not exist.
    """
    text = text.strip()
    if not text or len(text) > MAX_CHARACTERS or has_controls(text):
        raise invalid_value(WANT, show(text), "write the path or address of the weights file")
    digest = sha256.lower() if sha256 else None
    if text.startswith(BUNDLED):
        return WeightsRef("bundled", _bundled_name(text.removeprefix(BUNDLED)), digest, text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return WeightsRef("path", str(_existing_weights(text, folder)), digest, text)
    if scheme[1].lower() == "hf":
        return WeightsRef("hf", _hf_location(text[len(scheme[0]) :]), digest, text)
    return WeightsRef("https", _checked_url(text, scheme[1].lower()), digest, text)


def is_remote(text: str) -> bool:
    """Whether weights of this reference are downloaded, and therefore need a SHA-256."""
    return _SCHEME.match(text.strip()) is not None


def existing_file(text: str, folder: Path) -> Path:
    """Return the absolute path of a local file, which may start with ~ or be relative to the folder.

    Raises:
        InvalidValueError: If there is no such file. The fix suggests a similar name in its folder.
    """
    try:
        path = Path(os.path.normpath(folder.absolute() / Path(text).expanduser()))
        if path.is_file():
            return path
        if path.exists() and not path.is_dir():  # a device or a pipe, which may never end
            raise invalid_value(
                "a regular file", f"{show(text)}, which is {_kind(path)}", "name a file on a disk"
            )
        got = f"the folder {show(text)}" if path.is_dir() else f"{show(text)}, and there is no {path}"
        raise invalid_value("a file", got, _nearest_file(path))
    except (OSError, RuntimeError) as error:
        raise invalid_value("a file's path", f"{show(text)} ({error})", "write the path of a file") from error


def _kind(path: Path) -> str:
    """What a path is that is neither a regular file nor a folder, in words."""
    if path.is_fifo():
        return "a pipe"
    if path.is_socket():
        return "a socket"
    return "a device"


def _existing_weights(text: str, folder: Path) -> Path:
    """As existing_file, for weights, which may also be the folder of a Keras SavedModel."""
    with suppress(OSError, RuntimeError, ValueError):
        path = Path(os.path.normpath(folder.absolute() / Path(text).expanduser()))
        if (path / SAVED_MODEL_MARKER).is_file():
            return path
    return existing_file(text, folder)


def _nearest_file(path: Path) -> str:
    if path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
        if close := get_close_matches(path.name, names, n=1):
            return f"did you mean {close[0]}?"
        return f"put the file into {path.parent}, or correct the path"
    return f"correct the path: the folder {path.parent} does not exist either"


def _bundled_name(name: str) -> str:
    try:
        bundled_weights(name)
    except OptionError as error:
        raise invalid_value(
            "the name of bundled weights", show(name), error.fix or "correct the name"
        ) from error
    return name


def _hf_location(location: str) -> str:
    if _HF.fullmatch(location) is None:
        raise invalid_value(
            "hf://owner/repo/file",
            show(f"hf://{location}"),
            "write owner, repository and file, and a revision after the repository: hf://owner/repo@revision/file",
        )
    return location


def _checked_url(text: str, scheme: str) -> str:
    if scheme not in {"https", "http"}:
        raise invalid_value(
            WANT, show(text), f"{scheme}:// is not supported: download the file and write its path"
        )
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or _URL_CHARACTERS.fullmatch(text) is None:
        raise invalid_value("a URL", show(text), "copy it from a browser's address bar: https://host/file")
    if parts.username is not None or parts.password is not None:
        raise invalid_value(
            "a URL without a password", "one with a password", "remove everything before the @"
        )
    if scheme == "http" and host not in LOOPBACK:
        raise invalid_value(
            "https://", show(text), "use https: with http, anyone on the network could change the file"
        )
    return text
