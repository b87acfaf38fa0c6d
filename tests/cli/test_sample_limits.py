"""`metagan sample` and the limits of formats, which are known before anything is drawn."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from metagan.cli.sample import command
from metagan.images.encode import MOST_SIDE_PX

WEIGHTS = Path(__file__).parents[1] / "golden" / "ros_train16.pt"


def sample(*options: object) -> Result:
    return CliRunner().invoke(command, [str(WEIGHTS), *map(str, options)])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_sheet_beyond_its_formats_limit_is_refused_before_the_first_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("metagan.sampling.sampler.Sampler.pictures", None)
    result = sample("--seeds", "0-999999", "--sheet", tmp_path / "t.webp", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert (
        "1,000,000 pictures of 16x16 on one sheet: WebP holds at most 16,383 pixels a side, got 19,600x"
        in str(result.exception)
    )
    assert "fix: name a .png file, or add --thumbnail auto (13 pixels a picture)" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_sheet_beyond_the_memory_is_refused_before_the_first_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("metagan.sampling.memory.free_memory", lambda: 1000)
    result = sample("--seeds", "0-3", "--sheet", tmp_path / "t.png")
    assert "which takes 0.0 GiB of memory" in str(result.exception)


def test_pictures_are_made_smaller_for_a_sheet_only_when_told(tmp_path, monkeypatch):
    assert sample("--seeds", "0-3", "--sheet", tmp_path / "own.png").exit_code == 0
    assert size_of(tmp_path / "own.png") == (48, 32)
    assert sample("--seeds", "0-3", "--sheet", tmp_path / "small.png", "--thumbnail", "8").exit_code == 0
    assert sample("--seeds", "0-3", "--grid", tmp_path / "former.png", "--tile", "8").exit_code == 0
    assert (tmp_path / "former.png").read_bytes() == (tmp_path / "small.png").read_bytes()
    assert size_of(tmp_path / "small.png") == (24, 16)
    monkeypatch.setitem(MOST_SIDE_PX, "webp", 30)
    assert "at most 30 pixels" in str(sample("--seeds", "0-3", "--sheet", tmp_path / "t.webp").exception)
    assert sample("--seeds", "0-3", "--sheet", tmp_path / "t.webp", "--thumbnail", "auto").exit_code == 0
    assert size_of(tmp_path / "t.webp") == (30, 20)


def test_single_pictures_beyond_their_formats_limit_are_refused_before_the_first(tmp_path, monkeypatch):
    monkeypatch.setitem(MOST_SIDE_PX, "webp", 15)
    result = sample("--seeds", "0-3", "--format", "webp", "--out", tmp_path)
    assert "--format webp: WebP holds at most 15 pixels a side, got 16x16" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tile", ["0", "-3", "x", "99999999"])
def test_a_tile_that_is_no_size_is_refused(tmp_path, tile):
    result = sample("--seeds", "0", "--sheet", tmp_path / "t.png", "--thumbnail", tile)
    assert result.exit_code == 2
    assert "want auto or a number of pixels from 1 to 65,536" in " ".join(result.stderr.split())
    assert sample("--seeds", "0", "--thumbnail", "8").exit_code == 2, "without a sheet it says nothing"
