"""Collections drawn into dataset zips."""

import json
import zipfile

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.cli.dataset import COLLECTIONS as OFFERED
from metagan.datasets.source import PictureSource
from metagan.drawings.render import COLLECTIONS, draw_picture, render
from metagan.errors import DatasetError, OptionError

# The ERC-721 metadata extension (EIP-721), with the attributes that marketplaces add.
SCHEMA = {
    "type": "object",
    "required": ["name", "description", "image", "attributes"],
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "image": {"type": "string"},
        "attributes": {
            "type": "array",
            "minItems": 8,
            "items": {
                "type": "object",
                "required": ["trait_type", "value"],
                "additionalProperties": False,
                "properties": {"trait_type": {"type": "string"}, "value": {"type": "string"}},
            },
        },
    },
}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(tmp_path):
    bytes_of = {}
    for workers in (0, 2):
        path = tmp_path / f"{workers}.zip"
        render("apes", path, count=12, resolution=32, seed=5, workers=workers)
        bytes_of[workers] = path.read_bytes()
    assert bytes_of[0] == bytes_of[2]


def test_a_larger_collection_begins_with_the_smaller_one(tmp_path):
    render("apes", tmp_path / "a.zip", count=3, resolution=16, seed=1)
    render("apes", tmp_path / "b.zip", count=5, resolution=16, seed=1)
    small, large = PictureSource(tmp_path / "a.zip"), PictureSource(tmp_path / "b.zip")
    assert (len(small), len(large)) == (3, 5)
    assert all(np.array_equal(small.pixels(i), large.pixels(i)) for i in range(3))


def test_traits_are_the_same_at_every_resolution_and_differ_by_seed():
    assert draw_picture("apes", 1, 4, 16)[1] == draw_picture("apes", 1, 4, 64)[1]
    assert draw_picture("apes", 1, 4, 16)[1] != draw_picture("apes", 2, 4, 16)[1]


def test_each_picture_has_its_metadata_beside_it(tmp_path):
    report = render("apes", tmp_path / "a.zip", count=4, resolution=16, seed=9)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        for index in range(4):
            document = json.loads(archive.read(f"00000/img{index:08d}.json"))
            jsonschema.validate(document, SCHEMA)
            assert document["image"] == f"00000/img{index:08d}.png"
            traits = {a["trait_type"]: a["value"] for a in document["attributes"]}
            assert traits == draw_picture("apes", 9, index, 16)[1]
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    assert all(sum(values.values()) == 4 for values in report.traits.values())


def test_a_trait_can_be_the_label(tmp_path):
    render("apes", tmp_path / "a.zip", count=10, resolution=16, label="Fur")
    source = PictureSource(tmp_path / "a.zip")
    furs = [draw_picture("apes", 0, index, 16)[1]["Fur"] for index in range(10)]
    assert source.label_names == tuple(sorted(set(furs)))
    assert [source.label_names[int(source.label(i).argmax())] for i in range(10)] == furs
    with pytest.raises(
        OptionError, match=r"--label Wings: apes do not have this trait\n  fix: choose one of Background, Fur"
    ):
        render("apes", tmp_path / "b.zip", count=1, resolution=16, label="Wings")
    assert not (tmp_path / "b.zip").exists()


def test_an_interrupted_rendering_leaves_the_old_file_and_nothing_else(tmp_path):
    out = tmp_path / "a.zip"
    out.write_text("the old one")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render("apes", out, count=3, resolution=16, advance=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert out.read_text() == "the old one"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"a\.zip: can't be written"):
        render("apes", tmp_path / "file" / "a.zip", count=1, resolution=16)


def test_the_command_offers_every_collection_and_reports_how_rare_traits_are(tmp_path):
    assert set(OFFERED) == set(COLLECTIONS)
    out = tmp_path / "a.zip"
    options = ["--count", "5", "--resolution", "16", "--out", str(out), "--workers", "0"]
    result = CliRunner().invoke(metagan, ["dataset", "render", "apes", *options])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: 5 pictures of 16x16")
    assert "  Fur: " in result.stdout
    assert len(PictureSource(out, 16)) == 5


def test_a_resolution_that_is_no_power_of_two_is_a_wrong_usage(tmp_path):
    options = ["--resolution", "100", "--out", str(tmp_path / "a.zip")]
    result = CliRunner().invoke(metagan, ["dataset", "render", "apes", *options])
    assert result.exit_code == 2
    assert "nearest are 64 and 128" in result.stderr


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_collection_draws_square_pictures_that_differ_with_named_traits(collection):
    pytest.importorskip(COLLECTIONS[collection].module)
    drawn = [draw_picture(collection, 2, index, 32) for index in (0, 1, 0)]
    for picture, traits in drawn:
        assert picture.shape == (32, 32, 3)
        assert picture.dtype == np.uint8
        assert traits
        assert all(isinstance(text, str) and text for pair in traits.items() for text in pair)
    assert np.array_equal(drawn[0][0], drawn[2][0])
    assert not np.array_equal(drawn[0][0], drawn[1][0])
    assert list(drawn[0][1]) == list(drawn[1][1]), (
        "every picture has the same traits, so that they can be counted"
    )
