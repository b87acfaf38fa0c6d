"""`metagan upscale` and `metagan train --upscaler` as a user meets them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from metagan.cli.train import command as train_command
from metagan.cli.upscale import command as upscale_command
from metagan.datasets.source import PictureSource
from metagan.errors import DatasetError, MetaganError, OptionError, TrainingError
from metagan.networks.upscaler import Upscaler, UpscalerConfig, load_upscaler
from tests.networks.upscaler.test_upscaler import write
from tests.training.toy import write_folder

GOLDEN = Path(__file__).parents[1] / "golden"
QUICK = ("--upscaler", "x4", "--threads", "1", "--device", "cpu", "--kimg", "0.016", "--batch", "4")


def upscale(*words: object):
    return CliRunner().invoke(upscale_command, [str(word) for word in words])


def train(*words: object):
    return CliRunner().invoke(train_command, [str(word) for word in words])


@pytest.fixture(scope="module")
def doubling(tmp_path_factory) -> Path:
    """An upscaler that repeats pixels: results are known."""
    return write(tmp_path_factory.mktemp("up") / "x2.safetensors", Upscaler(UpscalerConfig(factor=2)))


def save(path: Path, picture: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_a_folder_keeps_its_names_its_shapes_and_its_folders(tmp_path, doubling):
    wide, tall = noise(6, 9, 3), noise(8, 5, 3)
    save(tmp_path / "in" / "wide.png", wide)
    save(tmp_path / "in" / "sub" / "tall.bmp", tall)
    result = upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{tmp_path / 'out'}: 2 pictures, 2 times the width and height\n"
    assert np.array_equal(read(tmp_path / "out" / "wide.png"), wide.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(read(tmp_path / "out" / "sub" / "tall.png"), tall.repeat(2, 0).repeat(2, 1))


def test_one_picture_will_do_and_what_it_says_of_itself_stays(tmp_path, doubling):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>made by a machine</x:xmpmeta>")
    save(tmp_path / "one.png", noise(4, 4, 3), pnginfo=info)
    upscale(tmp_path / "one.png", "--with", doubling, "--out", tmp_path / "out")
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert image.info["XML:com.adobe.xmp"] == "<x:xmpmeta>made by a machine</x:xmpmeta>"


def test_a_noise_level_wants_something_that_removes_noise(tmp_path, doubling):
    save(tmp_path / "one.png", noise(4, 4, 3))
    result = upscale(
        tmp_path / "one.png", "--with", doubling, "--out", tmp_path / "out", "--noise-level", "9"
    )
    assert result.exit_code == 2
    assert "give --denoise too" in result.stderr


def test_transparency_and_rotation_are_kept(tmp_path, doubling):
    rgba = np.dstack([noise(6, 6, 3), np.full((6, 6), 200, np.uint8)])
    save(tmp_path / "in" / "clear.png", rgba)
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    save(tmp_path / "in" / "turned.jpg", noise(4, 10, 3), exif=exif)
    upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out")
    clear = read(tmp_path / "out" / "clear.png")
    assert clear.shape == (12, 12, 4)
    assert (clear[..., 3] == 200).all()
    assert read(tmp_path / "out" / "turned.png").shape == (20, 8, 3)


def test_a_dataset_is_a_dataset_again_with_its_labels(tmp_path, doubling):
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for index in range(2):
            path = save(tmp_path / f"{index}.jpg", noise(8, 8, 3))
            file.write(path, f"a/{index}.jpg")
        file.writestr("dataset.json", json.dumps({"labels": [["a/0.jpg", 1], ["a/1.jpg", 0]]}))
    upscale(archive, "--with", doubling, "--out", tmp_path / "out")
    source = PictureSource(tmp_path / "out")
    assert (len(source), source.resolution, source.label_count) == (2, 16, 2)
    assert source.label(0).tolist() == [0, 1]


def test_labels_of_other_pictures_are_not_replaced(tmp_path, doubling):
    save(tmp_path / "in" / "a.png", noise(4, 4, 3))
    (tmp_path / "in" / "dataset.json").write_text('{"labels": [["a.png", 1]]}')
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "dataset.json"
    mine.write_text('{"labels": [["mine.png", 7]]}')
    refused = upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out")
    assert "labels of other pictures" in str(refused.exception)
    assert upscale(tmp_path / "in" / "a.png", "--with", doubling, "--out", tmp_path / "out").exit_code == 0
    assert mine.read_text() == '{"labels": [["mine.png", 7]]}'  # those of one picture's folder aren't copied
    mine.unlink()
    for _ in range(2):
        assert upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out").exit_code == 0


def test_pictures_of_one_name_are_all_kept(tmp_path, doubling):
    for name in ("a.png", "a.bmp", "a.png.png", "\u00e9.png", "e\u0301.png"):
        save(tmp_path / "in" / name, noise(4, 4, 3))
    result = upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out")
    assert "5 pictures" in result.stdout
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert {"a.bmp.png", "a.png.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_what_cant_be_read_is_left_out_and_named(tmp_path, doubling):
    save(tmp_path / "in" / "good.png", noise(4, 4, 3))
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n no")
    result = upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "left out: bad.png: " in result.stderr
    (tmp_path / "in" / "good.png").unlink()
    result = upscale(tmp_path / "in", "--with", doubling, "--out", tmp_path / "out2")
    assert isinstance(result.exception, DatasetError)
    assert not (tmp_path / "out2").exists()


def test_a_zips_names_never_lead_out_of_the_folder(tmp_path, doubling):
    path = save(tmp_path / "x.png", noise(4, 4, 3))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("../escaped.png", path.read_bytes())  # hidden, by its name
        file.writestr(f"{tmp_path}/absolute.png", path.read_bytes())
        file.write(path, "fine.png")
    result = upscale(tmp_path / "evil.zip", "--with", doubling, "--out", tmp_path / "deep" / "out")
    assert "its name leads out of the folder" in result.stderr
    assert not (tmp_path / "deep" / "escaped.png").exists()
    assert not (tmp_path / "absolute.png").exists()
    assert (tmp_path / "deep" / "out" / "fine.png").exists()


def test_results_among_the_pictures_are_refused(tmp_path, doubling):
    folder = save(tmp_path / "in" / "a.png", noise(4, 4, 3)).parent
    before = (folder / "a.png").read_bytes()
    for out in (folder, folder / "large"):
        result = upscale(folder, "--with", doubling, "--out", out)
        assert isinstance(result.exception, OptionError)
        assert "which is read, and the next run would take it in" in str(result.exception)
    assert (folder / "a.png").read_bytes() == before


def test_weights_that_are_no_upscaler_are_refused(tmp_path):
    picture = save(tmp_path / "a.png", noise(4, 4, 3))
    for weights, said in (
        (GOLDEN / "sg2ada_gemaonly16.pkl", "want an upscaler"),
        ("bundled:nothing-x4", "no bundled weights named 'nothing-x4'"),
        (tmp_path / "missing.safetensors", "missing.safetensors"),
    ):
        result = upscale(picture, "--with", weights, "--out", tmp_path / "out")
        assert isinstance(result.exception, MetaganError), result.exception
        assert said in str(result.exception)


# -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("discs") / "in", count=6, resolution=64)


def test_a_run_is_trained_goes_on_and_is_used(originals, tmp_path):
    out = tmp_path / "run"
    generator = GOLDEN / "sg2ada_cuda16.pkl"
    result = train(originals, "--out", out, *QUICK, "--generator", generator, "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{out}/latest.safetensors: 0.016 kimg; look at {out}/report.html\n"
    result = train(originals, "--out", out, "--upscaler", "x4", "--kimg", "0.024", "--device", "cpu")
    assert result.exit_code == 0, result.exception
    upscaler = load_upscaler(out / "latest.safetensors")
    assert upscaler.config.factor == 4
    result = upscale(originals, "--with", out / "latest.safetensors", "--out", tmp_path / "large")
    assert result.exit_code == 0, result.exception
    assert read(tmp_path / "large" / "0000.png").shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("--gamma", "3"), OptionError, "--gamma: of no use with --upscaler"),
        (("--generator", GOLDEN / "r3_cond32.pkl"), OptionError, "originals of 64 want 16x16, RGB"),
        (("--resolution", "32"), DatasetError, "64x64"),
    ],
)
def test_what_doesnt_go_together_is_refused_before_the_first_step(originals, tmp_path, words, error, said):
    result = train(originals, "--out", tmp_path / "run", *QUICK, *words)
    assert isinstance(result.exception, error), result.exception
    assert said in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_another_recipe_is_refused_when_a_run_goes_on(originals, tmp_path):
    train(originals, "--out", tmp_path / "run", *QUICK)
    result = train(
        originals, "--out", tmp_path / "run", "--upscaler", "x2", "--batch", "3", "--device", "cpu"
    )
    assert isinstance(result.exception, TrainingError)
    assert "batch: this run has 4, asked for 3; factor: this run has 4, asked for 2" in str(result.exception)


def test_small_pictures_are_refused_as_originals(tmp_path):
    folder = write_folder(tmp_path / "small", count=4, resolution=16)
    result = train(folder, "--out", tmp_path / "run", *QUICK)
    assert "16x16 pixels; --upscaler learns from large originals" in str(result.exception)


def test_a_generator_alone_has_no_generator_option(originals, tmp_path):
    result = train(originals, "--out", tmp_path / "run", "--generator", GOLDEN / "sg2ada_cuda16.pkl")
    assert result.exit_code == 2
    assert "belongs to --upscaler" in result.output
