"""Mutators of archives and of Keras' files: zip directories, TensorBundles, HDF5's headers."""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from random import Random

from tests.fuzz.byte_mutators import NUMBERS, mutate_bytes
from tests.fuzz.cases import Case
from tests.fuzz.json_mutators import mutate_json
from tests.fuzz.pickle_mutators import WORDS, mutate_pickle

SIGNATURES = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x06\x06|\x06\x07)")
HDF5_BLOCKS = re.compile(rb"TREE|HEAP|SNOD|GCOL|\x89HDF")
MODEL = b'{"class_name": "Sequential"'


def mutate_zip_fields(content: bytes, chance: Random) -> bytes:
    """A number in the zip's directory, its end records or a local header."""
    places = [match.start() for match in SIGNATURES.finditer(content)]
    if not places:
        return content
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.choice(places) + 4 + 2 * chance.randrange(26)
        content = _with_number(content, at, chance.choice((2, 4, 8)), chance)
    return content


def _with_number(content: bytes, at: int, width: int, chance: Random) -> bytes:
    old = int.from_bytes(content[at : at + width], "little")
    value = chance.choice(
        (chance.choice(NUMBERS), old + 1, old - 1, old ^ 1, old * 2, chance.randrange(len(content)))
    )
    return content[:at] + (value % (1 << 8 * width)).to_bytes(width, "little") + content[at + width :]


@lru_cache(maxsize=64)
def _members(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # noqa: BLE001  an archive that earlier mutations broke
        return {}


def mutate_zip_members(content: bytes, chance: Random) -> bytes:
    """A member changed, renamed, dropped or doubled; the archive itself made anew, and sound."""
    members = dict(_members(content))
    if not members:
        return mutate_zip_fields(content, chance)
    name = next((name for name in members if name.endswith("data.pkl")), "")
    if not name or chance.random() < 0.3:
        name = chance.choice(list(members))
    kind = chance.randrange(8)
    doubled = []
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name.rpartition("/")[0] + "/" + chance.choice(WORDS)] = members.pop(name)
    elif kind == 2:
        doubled = [(name, members[name])]
    else:
        members[name] = mutate_member(name, members[name], chance)
    return _packed([*members.items(), *doubled], chance)


def mutate_member(name: str, content: bytes, chance: Random) -> bytes:
    """A member by what it is; also a file of a SavedModel's folder."""
    if name.endswith("data.pkl"):
        return mutate_pickle(content, chance)
    if name.endswith("keras_metadata.pb") and chance.random() < 0.8:
        return mutate_metadata(content, chance)
    return mutate_bytes(Case("", "x", {"x": content}), "x", b"", chance).content


def _packed(members: list[tuple[str, bytes]], chance: Random) -> bytes:
    stream = io.BytesIO()
    deflated = chance.random() < 0.1
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if deflated else 0) as archive,
    ):
        warnings.simplefilter("ignore")  # of two members of one name
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name or "x"), content)
    return stream.getvalue()


def mutate_metadata(content: bytes, chance: Random) -> bytes:
    """The layers' JSON in a SavedModel's metadata changed, in a message around it that is sound."""
    start = content.find(b'{"name"')
    text = _json_at(content, start)
    if not text:
        return mutate_bytes(Case("", "x", {"x": content}), "x", b"", chance).content
    changed = mutate_json(text, chance)
    node = b"\x1a\x04root" + b"\x2a" + _varint(len(changed)) + changed
    return b"\x0a" + _varint(len(node)) + node


def _json_at(content: bytes, start: int) -> bytes:
    if start < 0:
        return b""
    try:
        text = content[start:].decode("utf-8", "replace")
        _, length = json.JSONDecoder().raw_decode(text)
        return text[:length].encode()
    except ValueError:
        return b""


def _varint(number: int) -> bytes:
    raw = b""
    while number >= 0x80:
        raw += bytes([number & 0x7F | 0x80])
        number >>= 7
    return raw + bytes([number])


def mutate_hdf5(content: bytes, chance: Random) -> bytes:
    """A number in one of HDF5's blocks, an address for another one, or the layers' JSON."""
    if chance.random() < 0.25:
        return _mutate_model_text(content, chance)
    blocks = _blocks(content)
    for _ in range(chance.choice((1, 1, 2))):
        at = (
            chance.choice(blocks)
            + chance.choice((0, 2, 4, 6, 8, 16, 24, 32, 40, 48, 56, 64))
            + chance.choice((0, 0, 1))
        )
        if chance.random() < 0.4:
            target = chance.choice(blocks) + chance.choice((0, 0, 8, 16))
            content = content[:at] + target.to_bytes(8, "little") + content[at + 8 :]
        else:
            content = _with_number(content, at, chance.choice((1, 2, 4, 8)), chance)
    return content


@lru_cache(maxsize=16)
def _blocks(content: bytes) -> tuple[int, ...]:
    """Where headers begin: named blocks, and objects, which begin with a version and a count."""
    named = [match.start() for match in HDF5_BLOCKS.finditer(content)]
    return (*named, *_object_headers(content)) or (0,)


def _object_headers(content: bytes) -> Iterator[int]:
    for at in range(0, len(content) - 16, 8):
        version, zero, messages, references, size = struct.unpack_from("<BBHII", content, at)
        if (version, zero) == (1, 0) and 0 < messages < 64 and references < 8 and 16 <= size < 4096:
            yield at


def _mutate_model_text(content: bytes, chance: Random) -> bytes:
    """The layers' JSON changed, in the same number of bytes."""
    start = content.find(MODEL)
    text = _json_at(content, start)
    changed = mutate_json(text, chance).replace(b": ", b":").replace(b", ", b",")
    return (
        content[:start] + changed[: len(text)].ljust(len(text)) + content[start + len(text) :]
        if text
        else content
    )
