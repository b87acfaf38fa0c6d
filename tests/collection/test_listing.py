"""Listings in every layout, their provenance, and the refusal of copies."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.collection.listing import (
    Candidate,
    ListingReport,
    NearestItems,
    Terms,
    provenance_hash,
    title_of,
    write_listing,
)
from metagan.collection.model import Item
from metagan.collection.sources.folder import FolderSource
from metagan.collection.sources.made import fetch_made
from metagan.collection.store import open_collection
from metagan.errors import CollectionError, OptionError
from tests.collection.making import EPS, png, with_pictures

TERMS = Terms(
    "Ape #{number}", "=cmd", "apes (metagan)", 0.7, "CC0-1.0", "made for a test", "https://example.org/"
)


def pictures(count: int, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [
        Candidate(
            100 + n, rng.integers(0, 256, (8, 8, 3), np.uint8), (("Hat", f"Hat {n % 2}"), ("Fur", "Brown"))
        )
        for n in range(count)
    ]


def listed(out: Path, layout: Any, count: int = 3, **options: Any) -> ListingReport:
    return write_listing(out, pictures(count + 2), count, layout, TERMS, **options)


def test_opensea_layout_is_a_manifest_and_its_files(tmp_path: Path) -> None:
    listed(tmp_path / "out", "opensea")
    rows = list(csv.reader((tmp_path / "out/metadata.csv").read_text().splitlines()))
    assert rows[0] == ["tokenID", "name", "description", "file_name", "attributes[Fur]", "attributes[Hat]"]
    assert rows[2] == ["1", "Ape #1", "'=cmd", "1.png", "Brown", "Hat 1"]
    assert sorted(file.name for file in (tmp_path / "out/media").iterdir()) == ["0.png", "1.png", "2.png"]


def test_metaplex_layout(tmp_path: Path) -> None:
    listed(tmp_path / "out", "metaplex")
    said = json.loads((tmp_path / "out/assets/0.json").read_text())
    assert said["image"] == "0.png"
    assert said["attributes"] == [
        {"trait_type": "Hat", "value": "Hat 0"},
        {"trait_type": "Fur", "value": "Brown"},
    ]
    assert (said["seed"], said["licence"], said["external_url"]) == (100, "CC0-1.0", "https://example.org/")
    assert said["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert json.loads((tmp_path / "out/assets/collection.json").read_text())["name"] == "Ape"


@pytest.mark.parametrize(("layout", "first"), [("hashlips", "1"), ("metaplex", "0")])
def test_what_is_listed_can_be_fetched_as_a_collection(tmp_path: Path, layout: str, first: str) -> None:
    listed(tmp_path / "out", layout)
    items = fetch_made(FolderSource("apes", tmp_path / "out"), tmp_path / "apes").collection.items
    assert items[0].id == first
    assert len(items) == 3
    assert all(len(item.traits) == 2 and item.file for item in items)


def test_thirdweb_layout_is_one_list(tmp_path: Path) -> None:
    listed(tmp_path / "out", "thirdweb")
    assert [one["image"] for one in json.loads((tmp_path / "out/metadata.json").read_text())] == [
        "0.png",
        "1.png",
        "2.png",
    ]


def test_the_provenance_hash_is_over_all_pictures_in_order(tmp_path: Path) -> None:
    report = listed(tmp_path / "out", "opensea")
    digests = [hashlib.sha256((tmp_path / f"out/media/{n}.png").read_bytes()).hexdigest() for n in range(3)]
    assert (
        report.provenance == hashlib.sha256("".join(digests).encode()).hexdigest() == provenance_hash(digests)
    )
    assert provenance_hash(digests[::-1]) != report.provenance
    manifest = json.loads((tmp_path / "out/listing.json").read_text())
    assert manifest["provenance_hash"] == report.provenance
    assert [token["seed"] for token in manifest["tokens"]] == [100, 101, 102]


def test_every_picture_says_that_a_machine_made_it(tmp_path: Path) -> None:
    listed(tmp_path / "out", "opensea")
    with Image.open(tmp_path / "out/media/0.png") as image:
        assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]  # type: ignore[attr-defined]


def training(path: Path, images: list[Image.Image]) -> NearestItems:
    items = [Item(id=f"item{n}") for n in range(len(images))]
    files = {item.id: png(image) for item, image in zip(items, images, strict=True)}
    return NearestItems(open_collection(with_pictures(path, items, files)))


def test_copies_of_the_training_collection_are_refused_and_the_pair_is_shown(tmp_path: Path) -> None:
    second, third = (Image.fromarray(candidate.picture) for candidate in pictures(3)[1:])
    again = third.resize((64, 64), Image.Resampling.NEAREST).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    report = listed(tmp_path / "out", "opensea", training=training(tmp_path / "apes", [second, again]))
    assert [(refused.seed, refused.item) for refused in report.refused] == [(101, "item0"), (102, "item1")]
    assert [token.seed for token in report.tokens] == [100, 103, 104]
    with Image.open(tmp_path / "out/refused/seed101.png") as pair:
        assert pair.size == (16, 8)
        assert np.array_equal(np.asarray(pair)[:, :8], np.asarray(pair)[:, 8:])
    manifest = json.loads((tmp_path / "out/listing.json").read_text())
    assert [one["nearest"] for one in manifest["refused"]] == ["item0", "item1"]


def test_a_generator_that_only_copies_lists_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    copies = training(tmp_path / "apes", [Image.fromarray(candidate.picture) for candidate in pictures(5)])
    with pytest.raises(CollectionError, match="0 of 3 pictures left, 5 were near duplicates"):
        listed(tmp_path / "out", "opensea", training=copies)
    assert [path.name for path in tmp_path.iterdir()] == ["apes"]


@pytest.mark.parametrize(
    "name", ["Ape", "Ape {0}", "Ape {colour}", "Ape {", "Ape {number.real.nothing}", "Ape {seed[0]}"]
)
def test_names_that_are_no_pattern(tmp_path: Path, name: str) -> None:
    terms = Terms(name, "", "apes", 1, "CC0-1.0")
    with pytest.raises(OptionError, match="--name"):
        write_listing(tmp_path / "out", pictures(3), 2, "opensea", terms)


@pytest.mark.parametrize("kind", ["the shell's folder", "a link to an empty folder"])
def test_a_folder_that_cannot_be_replaced_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    empty, out = tmp_path / "empty", Path()
    empty.mkdir()
    monkeypatch.chdir(empty)
    if "link" in kind:
        out = tmp_path / "link"
        out.symlink_to(empty)
    with pytest.raises(CollectionError, match="0 of 2 pictures left, 2 were near duplicates"):
        copies = training(tmp_path / "apes", [Image.fromarray(one.picture) for one in pictures(2)])
        write_listing(out, pictures(2), 2, "opensea", TERMS, training=copies)
    assert not any(empty.iterdir())
    write_listing(out, pictures(2), 2, "opensea", TERMS)
    assert sorted(entry.name for entry in empty.iterdir()) == ["listing.json", "media", "metadata.csv"]
    assert Path.cwd() == empty


def test_a_first_seed_that_leaves_too_few_is_refused_before_drawing(tmp_path: Path) -> None:
    options = ["--first-seed", str((1 << 32) - 1), "--count", "5", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(metagan, ["collection", "listing", "bundled:bagels", *options])
    assert result.exit_code == 2
    assert "--count 5 needs a --first-seed of at most 4294967291, got 4294967295" in result.output


def test_a_picture_that_pillow_gives_to_another_program_is_refused(tmp_path: Path) -> None:
    path = with_pictures(tmp_path / "apes", [Item(id="1")], {"1": png(Image.new("RGB", (8, 8)))})
    (path / "images/1.png").write_bytes(EPS)
    with pytest.raises(CollectionError, match="cannot identify"):
        NearestItems(open_collection(path))


def test_numbers_as_texts_stay_as_they_are_in_a_manifest(tmp_path: Path) -> None:
    traits = (("Boost", "+5"), ("Loss", "-0.5%"), ("Odd", "-5+cmd"))
    one = Candidate(1, np.zeros((8, 8, 3), np.uint8), traits)
    write_listing(tmp_path / "out", [one], 1, "opensea", TERMS)
    (row,) = csv.DictReader((tmp_path / "out/metadata.csv").read_text().splitlines())
    assert [row[f"attributes[{kind}]"] for kind, _ in traits] == ["+5", "-0.5%", "'-5+cmd"]


def test_a_folder_with_other_files_and_a_drop_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(CollectionError, match="not an empty folder"):
        write_listing(tmp_path, pictures(3), 2, "opensea", TERMS)
    with pytest.raises(OptionError, match="at most 15,000"):
        write_listing(tmp_path / "out", pictures(3), 15_001, "opensea", TERMS)


def test_the_command_lists_a_bundled_generators_pictures(tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--count", "2", "--licence", "CC0-1.0", "--first-seed", "7"]
    result = CliRunner().invoke(metagan, ["collection", "listing", "bundled:bagels", *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    assert "2 pictures for opensea, licence CC0-1.0" in result.stdout
    assert [token["seed"] for token in json.loads((tmp_path / "out/listing.json").read_text())["tokens"]] == [
        7,
        8,
    ]


@pytest.mark.parametrize(
    ("weights", "title"),
    [
        ("bagels.safetensors", "bagels"),
        ("my-great_apes.v2.pkl", "my great apes v2"),
        ("runs/bagels/best.safetensors", "bagels"),
        ("runs/old_bagels/snapshots/000012_800.safetensors", "old bagels"),
        ("stylegan/network-snapshot-025000.pkl", "stylegan"),
        ("/Downloads/G_ema.pt", "Picture"),
    ],
)
def test_a_listing_of_a_weights_file_has_a_title_that_says_something(weights, title):
    assert title_of(Path("/home/runs") / weights) == title
