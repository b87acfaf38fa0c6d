"""metagan's own drawings as a collection."""

from __future__ import annotations

import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.collection.sources.drawn import DrawnSource
from metagan.collection.store import open_collection
from metagan.drawings.render import COLLECTIONS, draw_picture


@pytest.mark.parametrize("name", COLLECTIONS)
def test_items_have_the_pictures_and_traits_that_are_drawn_and_no_absent_ones(name):
    source = DrawnSource("mine", name, count=3, size_px=16, seed=5)
    for number in source.entries():
        picture, has = draw_picture(name, 5, number, 16)
        item = source.item(number)
        assert {trait.type.lower(): trait.value for trait in item.traits} == {
            kind.lower(): value for kind, value in has.items() if value.lower() != "none"
        }
        with Image.open(io.BytesIO(source.picture(number).data)) as image:
            assert np.array_equal(np.asarray(image), picture)


def test_a_larger_one_begins_with_the_smaller_and_goes_on(tmp_path):
    out = tmp_path / "apes"
    options = ["--from", "drawn:apes", "--size", "16", "--out", str(out), "--workers", "0"]
    assert (
        CliRunner().invoke(metagan, ["collection", "fetch", "apes", "--count", "2", *options]).exit_code == 0
    )
    first = open_collection(out).items
    assert (
        CliRunner().invoke(metagan, ["collection", "fetch", "apes", "--count", "4", *options]).exit_code == 0
    )
    collection = open_collection(out)
    assert collection.items[:2] == first
    assert [item.name for item in collection.items] == ["Ape #0", "Ape #1", "Ape #2", "Ape #3"]
    assert collection.facts.licence == "CC0-1.0"


def test_an_unknown_drawing_is_refused_before_anything_is_written(tmp_path):
    result = CliRunner().invoke(
        metagan, ["collection", "fetch", "cats", "--from", "drawn:cats", "--out", str(tmp_path / "cats")]
    )
    assert "metagan draws no such collection\n  fix: choose one of apes, hummingbirds, bagels" in str(
        result.exception
    )
    assert not (tmp_path / "cats").exists()
