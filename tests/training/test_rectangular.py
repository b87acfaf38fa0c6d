"""Training on portraits and films: networks of that shape, going on, starting from each other, and upscalers."""

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.cli.train import command
from metagan.networks.loading.detect import load_generator
from metagan.training.recipe import (
    PRESETS,
    choose_batch,
    choose_gamma,
    choose_preset,
    discriminator_config,
    generator_config,
)
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.snapshot import sheet_side
from metagan.values import Size
from tests.training.toy import write_folder

QUICK = (
    "--preset",
    "tiny",
    "--batch",
    "8",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--kimg",
    "0.016",
    "--measure",
    "8",
)
PORTRAIT, FILM = Size(16, 32), Size(48, 32)


def train(*words: object):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def size_of(path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("size", "constant", "blocks"), [(PORTRAIT, (4, 2), 4), (FILM, (4, 6), 4), (Size(512, 1024), (4, 2), 9)]
)
def test_both_networks_get_the_pictures_shape(size, constant, blocks):
    config = generator_config(PRESETS["tiny"], size, 0)
    other = discriminator_config(config)
    assert (config.constant, len(config.channels), config.size) == (constant, blocks, size)
    assert (other.last_px, other.size) == (constant, size)


def test_automatic_settings_go_by_the_number_of_pixels():
    assert choose_gamma(Size(32, 128), 16, 128) == choose_gamma(64, 16, 128)
    assert choose_preset(Size(64, 32), "cpu", 1000) == choose_preset(64, "cpu", 1000)
    assert choose_batch(Size(512, 1024), 1, "cuda") == choose_batch(1024, 1, "cuda")
    assert sheet_side(Size(64, 128)) == sheet_side(Size.square(128))


def test_a_run_makes_portraits_goes_on_and_is_started_from(tmp_path):
    size = PORTRAIT
    data, out = write_folder(tmp_path / "discs", 24, size), tmp_path / "run"
    first = train(data, "--out", out, *QUICK)
    assert f"24 pictures of {size} pixels" in first.stderr
    assert load_generator(read_checkpoint(out / "latest.safetensors")).size == size
    folder = RunFolder(out)
    assert read_config(folder).discriminator.last_px == (size.coarsest.height, size.coarsest.width)
    rows = sheet_side(size)
    shown = min(rows * rows, 24)
    assert size_of(folder.sheet(0.016)) == (rows * size.width, rows * size.height)
    assert size_of(folder.reals)[0] == round(shown**0.5) * size.width
    assert f"24 pictures of {size} from" in folder.report.read_text()
    again = train(data, "--out", out, *QUICK[:-4], "--kimg", "0.024", "--measure", "8")
    assert again.exit_code == 0, again.output
    started = train(data, "--out", tmp_path / "child", *QUICK[2:], "--start", out / "state.safetensors")
    assert started.exit_code == 0, started.output
    measured = CliRunner().invoke(
        metagan,
        ["evaluate", str(out / "latest.safetensors"), str(data), "--count", "8"],
        catch_exceptions=False,
    )
    assert "distance" in measured.stdout


def test_pictures_of_the_other_shape_are_refused(tmp_path):
    data, out = write_folder(tmp_path / "portraits", 24, PORTRAIT), tmp_path / "run"
    train(data, "--out", out, *QUICK)
    films = write_folder(tmp_path / "films", 24, Size(32, 16))
    refused = CliRunner().invoke(
        metagan,
        [
            "train",
            str(films),
            "--out",
            str(tmp_path / "b"),
            *QUICK[2:],
            "--start",
            str(out / "latest.safetensors"),
        ],
    )
    message = str(refused.exception or "") + refused.output
    assert "it makes 16x32 pixels; the pictures have 32x16" in message
    assert "--resolution 16x32" in message
    wanted = CliRunner().invoke(
        metagan, ["train", str(films), "--out", str(tmp_path / "c"), *QUICK, "--resolution", "16x32"]
    )
    assert (
        "its pictures are 32x16 pixels, but 16x32 was requested"
        in str(wanted.exception or "") + wanted.output
    )


def test_an_upscaler_learns_from_rectangles(tmp_path):
    data, out = write_folder(tmp_path / "large", 6, Size(64, 128)), tmp_path / "run"
    words = (
        "--upscaler",
        "x2",
        "--batch",
        "2",
        "--kimg",
        "0.004",
        "--measure",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
    )
    result = train(data, "--out", out, *words)
    assert result.exit_code == 0, result.output
    small = write_folder(tmp_path / "small", 2, Size(32, 64))
    enlarge = [
        "upscale",
        str(small),
        "--with",
        str(out / "latest.safetensors"),
        "--out",
        str(tmp_path / "big"),
    ]
    assert CliRunner().invoke(metagan, enlarge, catch_exceptions=False).exit_code == 0
    assert size_of(tmp_path / "big" / "0000.png") == (64, 128)
    assert torch.get_num_threads() >= 1
