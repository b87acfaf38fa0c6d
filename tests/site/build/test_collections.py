"""A subject's collection on the site: its page, the pictures' traits, what licences forbid, and hostile names."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.collection.model import Item, Sale
from metagan.collection.rarity import TraitRanking
from metagan.collection.store import write_lines
from metagan.collection.table import item_lines, open_table, table_of
from metagan.errors import RegistryError
from metagan.networks.trait_classifier import describe_classifier
from metagan.networks.trait_classifier.network import Head, TraitClassifier, TraitClassifierConfig
from metagan.registry.fields import CollectionRef
from metagan.site.build.build_dir import BuildDir
from metagan.site.build.collections import bundled_source, lets_show, open_collection_of
from metagan.site.pages.check import sample_collection
from metagan.site.pages.collection_views import rarity_words
from tests.collection.making import FIVE, png, traits, with_pictures, write
from tests.site.build.test_build import build, digest, write_registry

EVIL = "<script>alert(1)</script>"
KEYS = "collection: shapes\ntraits: traits.safetensors\n"


@pytest.fixture(autouse=True)
def fixed_day(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")


def make_collection(folder: Path, licence: str | None = "CC0-1.0") -> Path:
    """Sixty items of two trait types, the first with hostile texts; twelve sales."""
    rng = np.random.default_rng(0)
    items, files = [], {}
    for number in range(60):
        ground, shape = rng.choice(["Red", "Green"]), rng.choice(["Disc", "Square", "Star"])
        has = {"Ground": str(ground)} | ({"Shape": str(shape)} if number % 3 else {})
        page = {0: "https://example.org/0", 1: "javascript:alert(1)"}.get(number)
        items.append(Item(id=str(number), name=f"Thing {number}", traits=traits(**has), page=page))
        files[str(number)] = png(Image.new("RGB", (130, 100), (40 + 3 * number, 90, 120)))
    items[0] = items[0].model_copy(update={"name": EVIL, "traits": traits(Ground=f"{EVIL}\x01")})
    path = with_pictures(folder / "shapes", items, files)
    facts = json.loads((path / "collection.json").read_text())
    facts |= {"title": "Shapes", "attribution": "Shapes by Somebody"}
    facts["licence"] = licence
    (path / "collection.json").write_text(json.dumps(facts))
    sales = [Sale(id=str(n), price=p, symbol="ETH", at=n) for n, p in enumerate([1, 2, 2, 3, 10, 0] * 2)]
    write_lines(path / "sales.jsonl", sales)
    return path


def make_classifier(folder: Path, types: tuple[str, str] = ("Ground", "Shape")) -> Path:
    """One that says something of any picture: its weights are random."""
    heads = (Head(types[0], ("Green", "Red")), Head(types[1], ("Disc", "Square", "Star", "none")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = TraitClassifier(TraitClassifierConfig(16, heads, channels=8))
    told = [{"type": kind, "values": 2, "accuracy": 0.9, "majority": 0.5, "kept": True} for kind in types]
    header = dataclasses.replace(describe_classifier(classifier), training={"told": told})
    path = folder / "traits.safetensors"
    write_safetensors(path, classifier.state_dict(), header)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    write_registry(folder, images=6, extra=KEYS)
    make_collection(folder)
    make_classifier(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        build(folder)
    return folder


def read(folder: Path, name: str) -> str:
    return (folder / "build" / name).read_text()


def test_the_collection_s_page_has_its_totals_sales_rarest_items_and_traits(built):
    page = read(built, "blob/collection/index.html")
    for words in ("<dt>Items</dt><dd>60</dd>", "<dt>Sales</dt><dd>10</dd>", "<dt>Highest</dt><dd>10 ETH</dd>",
                  "<dt>Mean</dt><dd>3.6 ETH</dd>", "<dt>Median</dt><dd>2 ETH</dd>", "CC0-1.0; Shapes by Somebody",
                  "<title>1.78 to 3.16: 6</title>", "<td>55.00 %</td>",
                  "rank 1, score 63", "rank 2, score 7"):  # fmt: skip
        assert words in page, words
    assert page.count('src="../../pictures/blob/collection/') == 12
    assert "<script>alert" not in page
    assert "javascript:" not in page
    assert 'href="https://example.org/0"' in page
    for name in ("blob/index.html", "blob/about/index.html", "blob/3/index.html"):
        assert "blob/collection/" in read(built, name), name
    assert "blob/collection/</loc>" in read(built, "sitemap.xml")


def test_every_picture_has_its_traits_its_rarity_and_its_relatives_as_computed_from_the_collection(built):
    ranking = TraitRanking(open_table(built / "shapes"), ["Ground", "Shape"])
    told = json.loads(read(built, "api/blob.json"))
    assert told["collection"].endswith("/blob/collection/")
    for picture in told["pictures"]:
        page = read(built, f"blob/{picture['seed']}/index.html")
        score = ranking.score(picture["traits"])
        assert picture["rarity"] == {"score": score, "items_as_rare": ranking.as_rare(score), "items": 60}
        for kind, value in picture["traits"].items():
            assert f"<dt>{kind}</dt><dd>{value} <span" in page
        for row, common in ranking.nearest(picture["traits"], 3):
            shown = f'src="../../pictures/blob/collection/{row}.webp"'
            assert f"{common} of 2 traits" in page.partition(shown)[2][:300]


def test_items_pictures_are_made_small_and_stay_when_nothing_changed(built):
    small = built / "build/pictures/blob/collection/2.webp"
    with Image.open(small) as image:
        assert image.size == (96, 74)
    assert 'collection/2.webp" width="96" height="74"' in read(built, "blob/collection/index.html")
    whole = digest(built / "build")
    assert build(built).unchanged
    (built / "build/blob/collection/index.html").unlink()
    assert build(built).drawn == 0
    assert digest(built / "build") == whole


def test_a_change_of_the_collection_or_of_the_classifier_builds_anew_but_draws_nothing(tmp_path):
    write_registry(tmp_path, images=3, extra=KEYS)
    make_collection(tmp_path)
    make_classifier(tmp_path)
    assert build(tmp_path).drawn == 3
    items = tmp_path / "shapes/items.jsonl"
    items.write_text(items.read_text().replace('Thing 2"', 'Another thing"'))
    outcome = build(tmp_path)
    assert (outcome.unchanged, outcome.drawn) == (False, 0)
    assert "Another thing" in read(tmp_path, "blob/collection/index.html")
    assert len(list((tmp_path / ".metagan/build/collections").iterdir())) == 1
    write_registry(tmp_path, images=3)
    build(tmp_path)
    assert not (tmp_path / "build/blob/collection").exists()
    assert not list((tmp_path / ".metagan/build/traits").iterdir())
    assert "Its traits" not in read(tmp_path, "blob/1/index.html")


@pytest.mark.parametrize("licence", [None, "unknown", "All rights reserved", "CC-BY-NC-4.0"])
def test_a_licence_that_does_not_let_pictures_be_shown_keeps_them_off_the_site(tmp_path, licence):
    write_registry(tmp_path, images=2, extra=KEYS)
    make_collection(tmp_path, licence)
    make_classifier(tmp_path)
    build(tmp_path)
    page = read(tmp_path, "blob/collection/index.html")
    assert "originals are not shown here" in page
    assert "Thing 2" in page
    assert "Its traits" in read(tmp_path, "blob/1/index.html")
    assert "relatives" not in read(tmp_path, "blob/1/index.html")
    assert not (tmp_path / "build/pictures/blob/collection").exists()


@pytest.mark.parametrize(
    ("licence", "lets"),
    [("CC0-1.0", True), ("CC BY 4.0", True), ("cc-by-sa-3.0", True), ("MIT", True), ("public domain", True),
     ("CC-BY-ND-4.0", False), ("CC-BY-NC-SA-4.0", False), ("", False), ("MIT, but not for pictures", False)],
)  # fmt: skip
def test_which_licences_let_pictures_be_shown(licence, lets):
    assert lets_show(licence) is lets


def test_a_collection_without_traits_sales_or_pictures_has_a_page_too(tmp_path):
    write_registry(tmp_path, images=2, extra="collection: bare")
    write(tmp_path / "bare", [Item(id="a"), Item(id="b")], licence=None)
    build(tmp_path)
    page = read(tmp_path, "blob/collection/index.html")
    assert "<dt>Items</dt><dd>2</dd>" in page
    assert "<h2" not in page
    assert "Its traits" not in read(tmp_path, "blob/1/index.html")


def test_what_is_wrong_with_collections_is_said_with_its_place_by_build_and_check(tmp_path):
    registry = write_registry(tmp_path, images=2, extra=KEYS)
    with pytest.raises(
        RegistryError, match=r"registry.yaml:\d+:\d+: subjects.blob.collection: want the folder"
    ):
        build(tmp_path)
    make_collection(tmp_path)
    make_classifier(tmp_path, ("Hat", "Fur"))
    with pytest.raises(RegistryError, match=r"predicts Hat, Fur; the collection has Ground, Shape"):
        build(tmp_path)
    assert not (tmp_path / "build").exists()
    shutil.copyfile(tmp_path / "blob.pkl", tmp_path / "traits.safetensors")
    result = CliRunner().invoke(metagan, ["check", "--registry", str(registry)])
    assert result.exit_code == 1
    assert "subjects.blob.traits: " in str(result.exception)
    lines = (tmp_path / "shapes/items.jsonl").read_text()
    (tmp_path / "shapes/items.jsonl").write_text(lines[:-20])
    result = CliRunner().invoke(metagan, ["check", "--registry", str(registry)])
    assert "subjects.blob.collection: " in str(result.exception)
    registry.write_text(registry.read_text().replace("    collection: shapes\n", ""))
    result = CliRunner().invoke(metagan, ["check", "--registry", str(registry)])
    assert "want `collection` beside it" in str(result.exception)


def test_rarity_is_ranked_over_the_predicted_types_only_as_computed_by_hand(tmp_path):
    ranking = TraitRanking(open_table(write(tmp_path / "five", FIVE)), ["hat"])
    # Hats: Crown 1, Cap 3, none 1, of five items.
    assert [ranking.score(has) for has in ({"Hat": "Crown"}, {"Hat": "CAP"}, {}, {"Hat": "Halo"})] == [
        5, pytest.approx(5 / 3), 5, 5
    ]  # fmt: skip
    assert [ranking.as_rare(score) for score in (5, 5 / 3, 6)] == [2, 5, 0]
    assert ranking.nearest({"Hat": "Cap"}, 2) == [(1, 1), (2, 1)]
    assert ranking.nearest({}, 2) == []


def test_how_rare_a_picture_is_in_words():
    content = dataclasses.replace(sample_collection([1]), name="apes", items=10_000)
    said = [rarity_words(content, as_rare) for as_rare in (0, 2, 2500, 6000)]
    assert said == [
        "none of the 10,000 apes is as rare",
        "1 in 5,000 apes is as rare",
        "1 in 4 apes is as rare",
        "60% of the apes are as rare",
    ]
    assert (
        rarity_words(dataclasses.replace(content, name="Bored"), 2) == "1 in 5,000 items of Bored is as rare"
    )


def test_without_picture_pages_the_collection_has_its_page_and_the_api_has_traits(tmp_path):
    path = write_registry(tmp_path, images=2, extra=KEYS)
    path.write_text(path.read_text().replace("  title: Blobs\n", "  title: Blobs\n  picture_pages: false\n"))
    make_collection(tmp_path)
    make_classifier(tmp_path)
    build(tmp_path)
    assert "blob/?seed=" in read(tmp_path, "blob/collection/index.html")
    assert "traits" in json.loads(read(tmp_path, "api/blob.json"))["pictures"][0]
    assert len(list((tmp_path / "build/pictures/blob/collection").iterdir())) == 12, "the rarest ones only"


@pytest.mark.parametrize(("name", "title"), [("bagels", "Bagel #2"), ("cutouts", "cutouts #2")])
def test_a_bundled_collection_is_drawn_once_and_then_remembered(tmp_path, monkeypatch, name, title):
    monkeypatch.setattr("metagan.site.build.collections.BUNDLED_COUNT", 5)
    subject = SimpleNamespace(collection=CollectionRef("bundled", name, f"bundled:{name}"), traits=None)
    first = open_collection_of(subject, BuildDir(tmp_path / "build"))
    (remembered,) = tmp_path.rglob("0.jsonl")
    drawn_at = remembered.stat().st_mtime_ns
    again = open_collection_of(subject, BuildDir(tmp_path / "build"))
    assert remembered.stat().st_mtime_ns == drawn_at
    assert first.table.items.equals(again.table.items)
    assert (first.table.items["name"][2], len(first.table.items)) == (title, 5)
    assert first.table.facts.licence == "CC0-1.0"
    with Image.open(io.BytesIO(first.picture(2))) as picture:
        assert picture.size == (96, 96)
    assert open_collection_of(subject).table.items.equals(
        first.table.items
    )  # without a place to remember them


def test_the_planets_items_come_with_metagan_and_are_those_that_dicebear_draws(tmp_path):
    subject = SimpleNamespace(collection=CollectionRef("bundled", "planets", "bundled:planets"), traits=None)
    opened = open_collection_of(subject, BuildDir(tmp_path / "build"))
    assert not list(tmp_path.rglob("0.jsonl")), "nothing was drawn"
    items, source = opened.table.items, bundled_source("planets", 64)
    assert items["id"].to_list() == list(map(str, source.entries()))
    for entry in (0, 1, 2, 4711, 9999):
        drawn = table_of(tmp_path, opened.table.facts, item_lines([source.make(entry).item])).items
        assert items.drop("row")[entry].equals(drawn.drop("row"))
    assert open_collection_of(subject).table.items.equals(items[:500])
