"""Collections that art engines wrote, and plain folders."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metagan.collection.model import Item
from metagan.collection.sources.folder import FolderSource
from metagan.collection.sources.made import FetchReport, fetch_made
from metagan.errors import CollectionError


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(out, "PNG")
    return out.getvalue()


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return folder


def fetched(tmp_path: Path, source: Path) -> FetchReport:
    return fetch_made(FolderSource("art", source), tmp_path / "out")


def traits(item: Item) -> dict[str, str]:
    return {trait.type: trait.value for trait in item.traits}


def hat(value: object, **more: object) -> dict[str, Any]:
    return {"attributes": [{"trait_type": "Hat", "value": value}], **more}


def test_hashlips_layout(tmp_path: Path) -> None:
    items = {
        f"json/{n}.json": hat(f"Hat {n}", name=f"Ape #{n}", image=f"ipfs://x/{n}.png", edition=n)
        for n in (1, 2, 10)
    }
    pictures = {f"images/{n}.png": png() for n in (1, 2, 10)}
    source = write(tmp_path / "hashlips", items | pictures | {"json/_metadata.json": list(items.values())})
    report = fetched(tmp_path, source)
    assert [(item.id, item.name, traits(item)) for item in report.collection.items] == [
        ("1", "Ape #1", {"Hat": "Hat 1"}),
        ("2", "Ape #2", {"Hat": "Hat 2"}),
        ("10", "Ape #10", {"Hat": "Hat 10"}),
    ]
    assert not report.missing
    assert not report.notes


def test_metaplex_layout_with_its_own_metadata_of_the_whole(tmp_path: Path) -> None:
    files = {
        "assets/0.png": png(),
        "assets/0.json": hat("Crown", name="Zero", image="0.png", properties={"files": []}),
    }
    whole = {
        "assets/collection.json": {"name": "Zeros", "description": "All of them", "image": "collection.png"}
    }
    report = fetched(tmp_path, write(tmp_path / "art", files | whole | {"assets/collection.png": png()}))
    assert [item.id for item in report.collection.items] == ["0"]
    assert report.collection.facts.title == "Zeros"
    assert report.collection.facts.description == "All of them"


def test_one_list_of_metadata_beside_the_pictures(tmp_path: Path) -> None:
    listed = [hat("Crown", edition=7, image="seven.png"), hat("Cap", edition=8, image="ipfs://cid/8.png")]
    report = fetched(
        tmp_path, write(tmp_path / "art", {"_metadata.json": listed, "seven.png": png(), "8.png": png()})
    )
    assert [(item.id, traits(item)["Hat"]) for item in report.collection.items] == [
        ("7", "Crown"),
        ("8", "Cap"),
    ]


def test_a_list_whose_ids_lead_elsewhere(tmp_path: Path) -> None:
    listed = [hat("Crown", edition="../../7", image="seven.png"), hat("Cap", edition=""), hat("Bow", id="/8")]
    report = fetched(tmp_path, write(tmp_path / "art", {"_metadata.json": listed, "seven.png": png()}))
    assert {item.id for item in report.collection.items} == {"../../7", "item", "/8"}
    [picture] = [item.file for item in report.collection.items if item.file]
    assert (tmp_path / "out" / picture).parent == tmp_path / "out/images"


def test_pictures_alone_and_files_that_are_none(tmp_path: Path) -> None:
    source = write(
        tmp_path / "art",
        {"b.png": png(), "a.png": b"<!DOCTYPE html><html>", "notes.txt": b"hello", ".x.png": png()},
    )
    report = fetched(tmp_path, source)
    assert [item.id for item in report.collection.items] == ["a", "b"]
    assert report.missing == [("a", "a web page, not a picture")]


def test_attributes_of_every_kind(tmp_path: Path) -> None:
    attributes = [
        {"trait_type": "Hat", "value": "Crown"},
        {"trait_type": "Hat", "value": "Crown"},
        {"trait_type": "Hat", "value": "Halo"},
        {"trait_type": "Level", "value": 5},
        {"trait_type": "Boost", "display_type": "boost_number", "value": "10"},
        {"trait_type": "Born", "display_type": "date", "value": 1546360800},
        {"trait_type": "Rare", "value": True},
        {"trait_type": "None", "value": None},
        {"trait_type": "Empty", "value": ""},
        {"value": "loose"},
        {"trait_type": "Odd", "value": {"a": 1}},
        {"trait_type": "Long\n\u202eline", "value": "a\x00b"},
        "bare",
    ]
    report = fetched(
        tmp_path, write(tmp_path / "art", {"1.json": {"attributes": attributes}, "1.png": png()})
    )
    (item,) = report.collection.items
    assert [(trait.type, trait.value, trait.number) for trait in item.traits] == [
        ("Hat", "Crown", None),
        ("Hat", "Halo", None),
        ("Level", "5", 5),
        ("Boost", "10", 10),
        ("Born", "1546360800", 1546360800),
        ("Rare", "true", None),
        ("Property", "loose", None),
        ("Long line", "a b", None),
        ("Property", "bare", None),
    ]
    assert report.notes == [("1", "trait 'Odd': value of type dict left out")]


def test_attributes_as_a_mapping(tmp_path: Path) -> None:
    properties = {"Hat": {"name": "Hat", "value": "Crown"}, "Eyes": "Blue"}
    report = fetched(
        tmp_path,
        write(tmp_path / "art", {"1.json": {"image": "1.png", "properties": properties}, "1.png": png()}),
    )
    assert traits(report.collection.items[0]) == {"Hat": "Crown", "Eyes": "Blue"}


def test_what_is_wrong_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    files = {
        "json/1.json": hat("Crown"),
        "json/2.json": b"{ no json",
        "json/3.json": hat("Cap", image="3.png"),
        "images/1.png": png(),
        "images/2.png": png(),
        "images/4.png": png(),
    }
    report = fetched(tmp_path, write(tmp_path / "art", files))
    assert [item.id for item in report.collection.items] == ["1", "2", "3", "4"]
    assert report.missing == [("3", "no picture: 3.png is not among the files")]
    assert [item_id for item_id, _ in report.notes] == ["2", "4"]


def test_names_that_lead_out_of_a_zip_stay_inside_the_collection(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        archive.writestr("../../evil.png", png())
        archive.writestr("/etc/evil2.png", png())
        archive.writestr("../../evil.json", json.dumps(hat("=cmd|' /C calc'!A0", image="../../evil.png")))
    report = fetched(tmp_path, tmp_path / "art.zip")
    pictures = [report.collection.picture(item) for item in report.collection.items]
    assert len(pictures) == 2
    assert all(
        picture and picture.resolve().parent == (tmp_path / "out/images").resolve() for picture in pictures
    )
    assert not list(tmp_path.parent.glob("evil*"))


def test_two_items_of_one_id_are_both_kept(tmp_path: Path) -> None:
    files = {"a/1.json": hat("Crown"), "b/1.json": hat("Cap"), "a/1.png": png(), "b/1.png": png("blue")}
    report = fetched(tmp_path, write(tmp_path / "art", files))
    assert [(item.id, traits(item)["Hat"]) for item in report.collection.items] == [
        ("1", "Crown"),
        ("1-2", "Cap"),
    ]
    assert "a second item of id 1" in report.notes[0][1]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    with pytest.raises(CollectionError, match="no picture and no metadata"):
        fetched(tmp_path, tmp_path / "art")
    assert not (tmp_path / "out").exists()


def test_a_thousand_traits_of_one_item_are_kept(tmp_path: Path) -> None:
    many = {"attributes": [{"trait_type": f"T{n}", "value": "x"} for n in range(3000)]}
    report = fetched(tmp_path, write(tmp_path / "art", {"1.json": many, "1.png": png()}))
    assert len(report.collection.items[0].traits) == 3000


def test_numbers_of_very_many_digits_are_no_numbers(tmp_path: Path) -> None:
    listed = [hat("Crown", edition="9" * 5000, date=10**400), hat("Cap", edition="8")]
    report = fetched(tmp_path, write(tmp_path / "art", {"_metadata.json": listed}))
    assert [(item.id[:2], item.year) for item in report.collection.items] == [("8", None), ("99", None)]


def test_a_damaged_member_of_a_zip_costs_only_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "art.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.png", png())
        archive.writestr("2.png", png("blue"))
    data = bytearray((tmp_path / "art.zip").read_bytes())
    start = data.index(b"1.png") + len("1.png")
    data[start + 4 : start + 40] = b"\xff" * 36
    (tmp_path / "art.zip").write_bytes(data)
    report = fetched(tmp_path, tmp_path / "art.zip")
    assert "damaged in the zip" in dict(report.missing)["1"]
    assert [item.id for item in report.collection.items if item.file] == ["2"]
