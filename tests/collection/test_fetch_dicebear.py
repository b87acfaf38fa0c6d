"""Collections drawn by DiceBear, and what a kill leaves of one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from metagan.collection.sources.dicebear import DicebearSource, style_names
from metagan.collection.sources.made import fetch_made
from metagan.collection.store import open_collection
from metagan.errors import CollectionError
from tests.collection.making import contents


def small(count: int = 12, **changes: object) -> DicebearSource:
    return DicebearSource("icons", "icons", count, 16, **changes)  # type: ignore[arg-type]


def test_a_collection_holds_pictures_traits_and_the_styles_licence(tmp_path: Path) -> None:
    report = fetch_made(small(), tmp_path / "icons")
    collection = open_collection(tmp_path / "icons")
    assert len(collection.items) == 12 == collection.facts.count
    assert not report.missing
    assert collection.facts.licence == "MIT"
    assert "Bootstrap" in (collection.facts.attribution or "")
    first = collection.items[0]
    picture = collection.picture(first)
    assert picture is not None
    with Image.open(picture) as image:
        assert image.size == (16, 16)
    assert hashlib.sha256(picture.read_bytes()).hexdigest() == first.sha256
    assert {trait.type for trait in first.traits} == {"Background colour", "Icon", "Icon colour"}


def test_every_line_is_json_that_says_only_what_is_known(tmp_path: Path) -> None:
    fetch_made(small(3), tmp_path / "icons")
    lines = (tmp_path / "icons/items.jsonl").read_text("utf-8").splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [["file", "id", "name", "sha256", "traits"]] * 3


def test_the_larger_collection_begins_with_the_smaller_one(tmp_path: Path) -> None:
    few = fetch_made(small(4), tmp_path / "few").collection.items
    many = fetch_made(small(9), tmp_path / "many").collection.items
    assert many[:4] == few
    assert fetch_made(small(4, seed=1), tmp_path / "other").collection.items != few


def test_a_larger_count_goes_on_with_what_is_there(tmp_path: Path) -> None:
    fetch_made(small(4), tmp_path / "icons")
    first = tmp_path / "icons/images/0.png"
    before = first.stat().st_mtime_ns
    assert len(fetch_made(small(6), tmp_path / "icons").collection.items) == 6
    assert first.stat().st_mtime_ns == before


def test_a_larger_count_that_was_stopped_refuses_no_smaller_one_than_is_there(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    fetch_made(small(4), tmp_path / "icons")
    with pytest.raises(KeyboardInterrupt):
        fetch_made(small(9), tmp_path / "icons", advance=stop)
    with pytest.raises(CollectionError, match="holds 4 items already, and 3 are asked for"):
        fetch_made(small(3), tmp_path / "icons")
    assert len(fetch_made(small(4), tmp_path / "icons").collection.items) == 4


def test_processes_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    fetch_made(small(40), tmp_path / "one")
    fetch_made(small(40), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("changes", "option"), [({"seed": 1}, "--seed"), ({"size_px": 32}, "--size")], ids=["seed", "size"]
)
def test_another_seed_or_size_is_refused(tmp_path: Path, changes: dict[str, int], option: str) -> None:
    fetch_made(small(2), tmp_path / "icons")
    size = {"size_px": 16} | changes
    with pytest.raises(CollectionError, match=option):
        fetch_made(DicebearSource("icons", "icons", 2, **size), tmp_path / "icons")


def test_fewer_items_than_there_are_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    fetch_made(small(4), tmp_path / "icons")
    before = contents(tmp_path / "icons")
    with pytest.raises(CollectionError, match="subset"):
        fetch_made(small(2), tmp_path / "icons")
    assert contents(tmp_path / "icons") == before


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CollectionError, match="holds other files"):
        fetch_made(small(2), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_an_unknown_style_names_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="did you mean planets"):
        fetch_made(DicebearSource("x", "planet", 2), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_all_styles_that_are_installed_are_known() -> None:
    assert {"planets", "pixel-art", "lorelei"} <= set(style_names())


def test_kills_at_random_moments_leave_the_bytes_of_an_undisturbed_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    began = time.monotonic()
    fetch_made(small(60), tmp_path / "undisturbed")
    lasts_s = time.monotonic() - began
    rng = random.Random(0)
    for _ in range(12):
        child = os.fork()
        if child == 0:
            try:
                fetch_made(small(60), tmp_path / "killed")
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0, lasts_s / 3))  # the moment of the kill, not a wait for anything
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    fetch_made(small(60), tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_an_interrupted_collection_says_how_it_goes_on(tmp_path: Path) -> None:
    fetch_made(small(2), tmp_path / "icons")
    facts = tmp_path / "icons/collection.json"
    facts.write_text(facts.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(CollectionError, match="it goes on"):
        open_collection(tmp_path / "icons")
