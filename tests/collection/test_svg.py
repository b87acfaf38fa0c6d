"""SVG from strangers: drawn, or refused where it leads outside of itself."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest
from PIL import Image

from metagan.collection import svg as drawing
from metagan.collection.pictures import NoPictureError, check_picture

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="20" height="10">'


def svg(inside: str, head: str = HEAD) -> bytes:
    return f"{head}{inside}</svg>".encode()


def test_an_svg_is_drawn_with_its_longer_side_as_asked() -> None:
    picture = check_picture(svg('<rect width="20" height="10" fill="red"/>'), 64)
    image = Image.open(io.BytesIO(picture.data)).convert("RGB")
    assert picture.suffix == ".png"
    assert image.size == (64, 32)
    assert image.getpixel((30, 15)) == (255, 0, 0)


def test_embedded_pictures_and_references_inside_are_drawn() -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), "blue").save(out, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
    inside = f'<defs><linearGradient id="g"/></defs><image xlink:href="{uri}" width="20" height="10"/><use href="#g"/>'
    image = Image.open(io.BytesIO(check_picture(svg(inside)).data)).convert("RGB")
    assert image.getpixel((200, 100)) == (0, 0, 255)


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
OUTSIDE = {
    "a file": '<image href="/etc/hostname.png" width="9" height="9"/>',
    "a file's URL": '<image xlink:href="file:///etc/passwd" width="9" height="9"/>',
    "a relative file": '<image href="../secret.png" width="9" height="9"/>',
    "a host": '<image href="https://example.org/x.png" width="9" height="9"/>',
    "a host in use": '<use href="https://example.org/x.svg#a"/>',
    "an SVG within": '<image href="data:image/svg+xml;base64,PHN2Zy8+" width="9" height="9"/>',
    "a host in a filter": '<filter id="f"><feImage href="//example.org/x.png"/></filter>',
    "a style's import": "<style>@import 'https://example.org/x.css';</style>",
    "a style's URL": "<style>rect { fill: url(https://example.org/x) }</style>",
    "an attribute's URL": '<rect style="fill:url( /etc/passwd )"/>',
}


@pytest.mark.parametrize("inside", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_an_svg_that_asks_for_anything_outside_is_refused(inside: str) -> None:
    with pytest.raises(NoPictureError, match="asks for a file or another host"):
        check_picture(svg(inside))


ABSURD = {
    "a billion laughs": f'<!DOCTYPE svg [<!ENTITY a0 "ha">{LAUGHS}]>{HEAD}&a9;</svg>',
    "an entity of a file": f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>{HEAD}<text>&x;</text></svg>',
    "endless depth": HEAD + "<g>" * 5000 + "</g>" * 5000 + "</svg>",
    "no size": '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>',
    "a line": '<svg xmlns="http://www.w3.org/2000/svg" width="1000000" height="1"/>',
    "damaged": HEAD + "<rect",
    "another document": '<html><body><svg xmlns="http://www.w3.org/2000/svg"/></body></html>',
}


@pytest.mark.parametrize("text", ABSURD.values(), ids=ABSURD.keys())
def test_absurd_documents_are_refused(text: str) -> None:
    with pytest.raises(NoPictureError):
        check_picture(text.encode())


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "hex", "cp037"])
def test_encodings_that_are_none_for_an_svg_are_refused(encoding: str) -> None:
    with pytest.raises(NoPictureError, match="a damaged SVG"):
        check_picture(f'<?xml version="1.0" encoding="{encoding}"?>{HEAD}</svg>'.encode())


def nested(element: str, attribute: str, levels: int = 40) -> str:
    shape = f'<rect width="64" height="64" {attribute}="url(#m%d)"/>'
    inside = "".join(
        f'<{element} id="m{level}" width="1" height="1">{(shape % (level + 1)) * 2}</{element}>'
        for level in range(levels)
    )
    return inside + shape % 0


COSTLY = {
    "masks within masks": nested("mask", "mask"),
    "patterns within patterns": nested("pattern", "fill"),
    "endless noise": '<filter id="f"><feTurbulence baseFrequency="1" numOctaves="1000000000"/></filter>'
    '<rect width="20" height="10" filter="url(#f)"/>',
}


@pytest.mark.parametrize("inside", COSTLY.values(), ids=COSTLY.keys())
def test_documents_that_would_take_all_time_or_memory_are_given_up(
    inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_MAX_SECONDS", 2)
    monkeypatch.setattr(drawing, "_MAX_MEMORY", 256 << 20)
    with pytest.raises(NoPictureError, match=r"more than 2 seconds|can't be drawn"):
        check_picture(svg(inside), 32)


@pytest.mark.parametrize(
    "inside",
    [
        '<filter id="f"><feGaussianBlur stdDeviation="2"/></filter><rect width="9" height="9" filter="url(#f)"/>',
        '<rect width="9" height="9" filter="blur(2)"/>',
        "<style>rect { fill: red }</style><rect width='9' height='9'/>",
        '<g opacity="0.5"><rect width="9" height="9"/></g>',
        '<rect width="9" height="9" style="fill:red;opacity:.5"/>',
        '<path d="M0 0H9" stroke="red" stroke-dasharray="1"/>',
        '<rect width="9" height="9"/>' * 1001,
        f'<path d="{"M0 0H9" * 50_000}" stroke="red"/>',
    ],
    ids=[
        *("a filter", "a filter's function", "a style sheet", "a layer", "a style with a layer", "dashes"),
        *("many elements", "a long path"),
    ],
)
def test_what_may_take_long_is_drawn_apart_and_as_before(
    inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = drawing.render_svg(svg(inside).decode(), 32, 16)
    monkeypatch.setattr(drawing, "render_svg", None)
    assert check_picture(svg(inside), 32).data == expected


def test_a_few_plain_shapes_are_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_render_apart", None)
    shapes = '<g fill-opacity="0.5"><rect width="9" height="9" stroke="red" stroke-opacity=".5"/></g>' * 300
    assert check_picture(svg(shapes), 32).suffix == ".png"


def test_an_absurd_size_is_drawn_at_the_size_asked_for() -> None:
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="1000000" height="1000000">'
    assert Image.open(io.BytesIO(check_picture(svg("", head), 32).data)).size == (32, 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Too many requests</body></html>", "a web page"),
        (b'{"error": "rate"}', "JSON"),
        (b"\x00\x00\x00\x18ftypmp42", "a film"),
        (b"\x89PNG\r\n\x1a\n but no more", "damaged|not a picture"),
        (b"hello", "not a picture"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(NoPictureError, match=reason):
        check_picture(data)


def test_a_picture_beyond_a_hundred_megapixels_is_refused_before_it_is_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (11_000, 10_000)).save(out, "PNG")
    with pytest.raises(NoPictureError, match=r"want at most 100 megapixels, got 110 \(11,000x10,000\)"):
        check_picture(out.getvalue())
    larger = out.getvalue()[:16] + struct.pack(">II", 60_000, 60_000) + out.getvalue()[24:29]
    larger += struct.pack(">I", zlib.crc32(larger[12:])) + out.getvalue()[33:]
    with pytest.raises(NoPictureError, match="want at most 100 megapixels, got more than"):
        check_picture(larger)
