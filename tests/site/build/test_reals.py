"""The originals of the game "which one exists?": where they come from, and what licences forbid."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metagan.datasets.archive import writing_dataset
from metagan.errors import OptionError, RegistryError
from metagan.registry.read import read_registry
from metagan.site.build.reals import OpenedReals, open_reals
from metagan.values import Size
from tests.collection.making import png
from tests.site.build.test_build import build, write_registry
from tests.site.build.test_collections import make_collection


@pytest.fixture(autouse=True)
def fixed_day(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")


def make_zip(folder: Path, facts: dict[str, object], count: int = 24) -> Path:
    with writing_dataset(folder / "shapes.zip") as writer:
        for number in range(count):
            writer.add(png(Image.new("RGB", (32, 32), (20 * number % 256, 90, 120))))
        writer.finish(None, facts)
    return folder / "shapes.zip"


def opened(folder: Path, extra: str) -> OpenedReals | None:
    write_registry(folder, extra=extra)
    return open_reals(read_registry(folder / "registry.yaml").subjects[0])


def test_a_built_game_has_originals_of_the_published_pictures_size_and_says_whose_they_are(tmp_path):
    make_zip(tmp_path, {"collection": "Shapes", "licence": "CC-BY-4.0", "attribution": "Shapes by Somebody"})
    write_registry(tmp_path, extra="reals: shapes.zip\n")
    build(tmp_path)
    page = (tmp_path / "build/blob/which/index.html").read_text()
    assert "12 of the 24 pictures" in page
    assert "Shapes. Licence: CC-BY-4.0; Shapes by Somebody." in page
    assert json.loads(page.partition('id="round">')[2].partition("</script>")[0])["reals"][5] == [
        10,
        "No. 10",
    ]
    with Image.open(tmp_path / "build/pictures/blob/which/10.webp") as image:
        assert image.size == (16, 16)
        assert np.abs(np.asarray(image.convert("RGB"))[8, 8].astype(int) - (200, 90, 120)).max() <= 1
        assert "xmp" not in image.info  # no machine made it
    assert "blob/which/</loc>" in (tmp_path / "build/sitemap.xml").read_text()
    assert build(tmp_path).unchanged
    make_zip(tmp_path, {"licence": "CC0-1.0"}, count=3)
    assert build(tmp_path).drawn == 0
    assert len(list((tmp_path / "build/pictures/blob/which").iterdir())) == 3
    assert len(list((tmp_path / "build/../.metagan/build/reals").iterdir())) == 1


@pytest.mark.parametrize(
    ("facts", "extra", "said"),
    [
        ({}, "", "got no licence"),
        ({"licence": "CC-BY-NC-4.0"}, "", "got licence 'CC-BY-NC-4.0' doesn't let everybody show them"),
        (
            {"licence": "CC-BY-NC-4.0"},
            "reals_licence: CC0-1.0\n",
            "CC-BY-NC-4.0",
        ),  # the zip's own word counts
        ({}, "reals_licence: all rights reserved\n", "all rights reserved"),
    ],
)
def test_pictures_that_not_everybody_may_show_are_refused_at_their_place(tmp_path, facts, extra, said):
    make_zip(tmp_path, facts)
    write_registry(tmp_path, extra=f"reals: shapes.zip\n{extra}")
    with pytest.raises(RegistryError) as caught:
        build(tmp_path)
    assert "registry.yaml:13:12: subjects.blob.reals: want pictures whose licence lets everybody" in str(
        caught.value
    )
    assert said in str(caught.value)
    assert not (tmp_path / "build").exists()


def test_a_licence_can_be_stated_for_a_zip_that_has_none(tmp_path):
    make_zip(tmp_path, {})
    found = opened(tmp_path, "reals: shapes.zip\nreals_licence: CC0-1.0\n")
    assert (found.origin, found.licence, found.total) == ("shapes", "CC0-1.0", 24)


def test_a_collection_s_items_have_their_names_pages_and_licence(tmp_path):
    make_collection(tmp_path)
    found = opened(tmp_path, "reals: shapes\n")
    assert (found.origin, found.licence, found.attribution) == ("Shapes", "CC0-1.0", "Shapes by Somebody")
    assert (found.total, found.name(7)) == (60, ("Thing 7", None))
    assert found.draw(7, Size(16, 24)).size == (16, 24)
    make_collection(tmp_path / "other", licence=None)
    with pytest.raises(OptionError, match="got no licence"):
        opened(tmp_path, "reals: other/shapes\n")


def test_drawn_originals_are_those_that_the_bundled_generators_learnt_from(tmp_path):
    found = opened(tmp_path, "reals: bundled:apes\n")
    assert (found.total, found.licence, found.name(4200)) == (10_000, "CC0-1.0", ("Ape #4200", None))
    assert found.draw(4200, Size(24, 16)).size == (24, 16)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("reals: nowhere.zip\n", ":13:12: subjects.blob.reals: want"),
        ("reals: nowhere\n", ":13:12: subjects.blob.reals: want a dataset's zip, the folder of a collection"),
        ("reals: bundled:cats\n", "want the name of a collection that metagan draws"),
        ("reals_licence: CC0-1.0\n", ":13:5: subjects.blob.reals_licence: want `reals` beside it"),
    ],
)
def test_a_wrong_reference_is_refused_with_its_place(tmp_path, extra, said):
    with pytest.raises(RegistryError) as caught:
        opened(tmp_path, extra)
    assert said in str(caught.value)


def test_a_zip_without_pictures_is_refused_at_its_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "shapes.zip", "w") as archive:
        archive.writestr("readme.txt", "no pictures")
    write_registry(tmp_path, extra="reals: shapes.zip\nreals_licence: CC0-1.0\n")
    with pytest.raises(
        RegistryError,
        match=r"registry.yaml:13:12: subjects.blob.reals: .*holds one file, which is no picture",
    ):
        build(tmp_path)
