"""The Python API: docs/python.md runs as it stands, and what it promises holds."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import metagan
from metagan.cli import metagan as command
from metagan.errors import OptionError
from tests.training.toy import write_folder

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def apes():
    return metagan.load("bundled:apes", device="cpu", batch=4)


def test_the_guide_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "discs.zip", count=8)
    Path("registry.yaml").write_text(
        "site:\n  title: Apes\n  base_url: https://someone.example/\n"
        "subjects:\n  ape:\n    title: Ape\n    weights: bundled:apes\n    licence: CC0-1.0\n"
        "    source: drawn\n    live: never\n"
    )
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL):
        exec(block, names)
    assert names["between"].size == (64, 64)
    assert names["report"].pictures == 4
    assert names["redrawn"].size == names["moved"].size == (64, 64)
    assert "its own" in names["found"][0].verdict.words
    with Image.open("dials.png") as dials:
        assert dials.width == 7 * 64
    assert sorted(score.seed for score in names["best"]) == list(range(32))
    assert names["child"].resolution == 16
    with Image.open("walk.webp") as film:
        assert film.n_frames == 4
    assert Path("seed0015.png").is_file()
    with Image.open("large.png") as large:
        assert large.size == (256, 256)
        assert "apes" in large.info["XML:com.adobe.xmp"]
    assert "did you mean bundled:apes?" in capsys.readouterr().out


def test_names_are_sorted_documented_and_there():
    assert metagan.__all__ == sorted(metagan.__all__)
    assert dir(metagan) == metagan.__all__
    for name in metagan.__all__:
        assert getattr(metagan, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'draw'"):
        metagan.draw  # noqa: B018


def test_importing_it_imports_no_torch():
    program = "import sys, metagan; dir(metagan); print('torch' in sys.modules, 'PIL' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True
    )
    assert said.stdout == "False False\n"


def test_pictures_are_those_of_the_command(apes, tmp_path):
    arguments = [
        "sample",
        "bundled:apes",
        "--seeds",
        "5,6",
        "--psi",
        "0.8",
        "--device",
        "cpu",
        "--out",
        str(tmp_path),
    ]
    assert CliRunner().invoke(command, [*arguments, "--batch", "4"]).exit_code == 0
    files = sorted(tmp_path.iterdir())
    for file, picture in zip(files, apes.sample([5, 6], psi=0.8), strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(picture))
        assert picture.info["seed"] == int(re.search(r"\d+", file.name)[0])


def test_styles_draw_what_seeds_do(apes):
    (picture,) = apes.sample([3], psi=0.7)
    ws = apes.styles([3], psi=0.7)
    difference = np.abs(np.asarray(apes.draw(ws[0]), int) - np.asarray(picture, int))
    assert difference.max() <= 1
    assert len(apes.draw(ws.expand(2, -1, -1))) == 2
    with pytest.raises(metagan.MetaganError, match=r"want \[num_ws, w_dim\]"):
        apes.draw(torch.zeros(3))


def test_styles_are_drawn_as_their_subject_wants_it():
    apes = metagan.load("bundled:apes", upscale="bundled:apes-x4")
    ape = metagan.load("ape", registry=ROOT / "registry.yaml")  # its noise is "none"
    for generator, noise in ((apes, "none"), (apes, "random"), (ape, None)):
        (picture,) = generator.sample([3], noise=noise)
        drawn = generator.draw(generator.styles([3])[0], noise=noise, seed=3)
        assert drawn.size == picture.size == (256, 256)
        assert np.abs(np.asarray(drawn, int) - np.asarray(picture, int)).max() <= 1


def test_a_saved_picture_carries_its_provenance(apes, tmp_path):
    (picture,) = apes.sample([9], psi=0.5)
    for ending in ("png", "webp", "jpg", "jpeg"):
        metagan.save(picture, tmp_path / f"a.{ending}")
        assert b"trainedAlgorithmicMedia" in (tmp_path / f"a.{ending}").read_bytes()
    with pytest.raises(metagan.MetaganError, match=r"want a name that ends in \.png.*\n  fix: give it"):
        metagan.save(picture, tmp_path / "a.txt")
    with pytest.raises(metagan.MetaganError, match="has no seed"):
        metagan.save(Image.new("RGB", (4, 4)), tmp_path / "a.png")


def test_a_sheet_takes_pictures_of_one_size(apes):
    assert metagan.sheet(apes.sample(range(6)), columns=3).size == (192, 128)
    for wrong in ([], [Image.new("RGB", (4, 4)), Image.new("RGB", (5, 4))]):
        with pytest.raises(metagan.MetaganError, match="one size and mode"):
            metagan.sheet(wrong)


def test_a_conditional_file_wants_its_class():
    red = metagan.load(GOLDEN / "sg2ada_cuda16.pkl", device="cpu")
    assert (red.c_dim, red.resolution) == (2, 16)
    with pytest.raises(metagan.MetaganError, match="class"):
        red.sample([0])
    assert red.sample([0], class_index=1)[0].size == (16, 16)


def test_a_run_that_is_there_does_not_go_on_with_other_options(tmp_path):
    discs = write_folder(tmp_path / "discs", count=8)

    def train(kimg, **changed):
        quick = {"kimg": kimg, "batch": 8, "preset": "tiny", "measured_pictures": 0, "device": "cpu"}
        return metagan.train(discs, tmp_path / "run", **quick, **changed, on_progress=lambda *_: None)

    train(0.008)
    assert train(0.016).kimg == 0.016
    with pytest.raises(
        metagan.MetaganError, match=r"(?s)seed: this run has 0, asked for 1\n  mirror: .*\n  fix: leave these"
    ):
        train(0.024, mirror=True, seed=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": "57"}, "seeds: want whole numbers"),
        ({"seeds": 5}, "seeds: want whole numbers"),
        ({"seeds": [-1]}, "seeds: want a whole number from 0 to 4294967295, got -1"),
        ({"seeds": [2**32]}, "got 4294967296"),
        ({"seeds": [1.5]}, "got 1.5"),
        ({"psi": float("nan")}, "psi: want a number from -2 to 2, got nan"),
        ({"psi": 1000}, "got 1000"),
        ({"psi": "1"}, "got '1'"),
        ({"class_index": 1.5}, "class_index: want a whole number from 0"),
        ({"noise": "loud"}, "noise: want const, random, none, got 'loud'"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused(apes, options, said):
    with pytest.raises(OptionError, match=re.escape(said)):
        apes.sample(**({"seeds": [0]} | options))
    if "noise" not in options:
        with pytest.raises(OptionError, match=re.escape(said)):
            apes.styles(**({"seeds": [0]} | options))


def test_numpys_numbers_are_numbers(apes):
    (one,) = apes.sample(np.arange(3, 4), psi=np.float32(0.5))
    (other,) = apes.sample([3], psi=0.5)
    assert np.array_equal(np.asarray(one), np.asarray(other))
    assert apes.sample([]) == []
    with pytest.raises(OptionError, match="at least one"):
        apes.styles([])


def test_other_values_are_refused_too(apes, tmp_path):
    (picture,) = apes.sample([0])
    foreign = picture.copy()
    foreign.info = {"seed": 1}
    cases = [
        (lambda: metagan.load("bundled:apes", batch=-1), "batch: want a whole number from 1"),
        (lambda: metagan.sheet([picture], 0), "columns: want a whole number from 1"),
        (lambda: metagan.save(foreign, tmp_path / "a.png"), "has no seed"),
        (lambda: metagan.build(base_url="javascript:alert(1)"), "base_url: want the site's address"),
        (lambda: metagan.build(images=0), "images: want a whole number from 1"),
        (lambda: apes.draw(apes.styles([0]), seed=-1, noise="random"), "got -1"),
        (lambda: apes.draw(apes.styles([0]), noise="loud"), "got 'loud'"),
        (lambda: apes.draw(apes.styles([0]) * float("nan")), "styles: want numbers, got nan"),
        (lambda: metagan.evaluate("bundled:apes", tmp_path, count=0), "count: want a whole number from 1"),
        (
            lambda: metagan.evaluate("bundled:apes", tmp_path, count=float("nan")),
            "count: want a whole number",
        ),
    ]
    for call, said in cases:
        with pytest.raises(OptionError, match=re.escape(said)):
            call()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kimg": float("nan")}, "kimg: want a number above 0, got nan"),
        ({"kimg": 0}, "kimg: want a number above 0, got 0"),
        ({"batch": 0}, "batch: want a whole number above 0, got 0"),
        ({"learning_rate": float("inf")}, "learning_rate: want a number above 0, got inf"),
        ({"gamma": -1}, "gamma: want a number above 0, got -1"),
        ({"snapshot_kimg": float("nan")}, "snapshot_kimg: want a number above 0, got nan"),
        ({"keep_snapshots": 0}, "keep_snapshots: want a whole number from 1, got 0"),
        ({"seed": -1}, "seed: want a whole number from 0 to 4,294,967,295, got -1"),
        ({"preset": "x"}, "preset: want auto, tiny"),
        ({"measured_pictures": -1}, "measured_pictures: want a whole number from 0"),
        ({"threads": 0}, "threads: want a whole number from 1"),
        ({"join": "mean"}, "join: it says how two discriminators are combined"),
        ({"dual": "other.zip", "join": "or"}, "join: want one of and, mean, got 'or'"),
    ],
)
def test_values_that_cannot_be_trained_with_are_refused(tmp_path, options, said):
    with pytest.raises(OptionError, match=re.escape(said)):
        metagan.train(tmp_path / "set.zip", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_second_discriminator_is_trained_as_by_the_command(tmp_path):
    quick = {"batch": 8, "measured_pictures": 0, "preset": "tiny", "device": "cpu", "threads": 1}
    discs, others = (
        write_folder(tmp_path / "discs.zip", count=8),
        write_folder(tmp_path / "others.zip", count=8),
    )
    metagan.train(discs, tmp_path / "run", dual=others, join="mean", kimg=0.008, **quick)
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "join: mean" in config
    assert "others.zip" in config


def test_pictures_are_enlarged_with_their_transparency_and_their_facts():
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 12, 4), dtype=np.uint8), "RGBA")
    small.info["title"] = "noise"
    plain, alpha = metagan.upscale([small.convert("RGB"), small], "bundled:apes-x4", device="cpu")
    assert plain.size == alpha.size == (48, 80)
    assert (plain.mode, alpha.mode, alpha.info["title"]) == ("RGB", "RGBA", "noise")
    with pytest.raises(OptionError, match="denoise: want one of none, before"):
        metagan.upscale([small], "bundled:apes-x4", denoise="often")


def test_a_file_of_several_networks_is_opened_by_name_and_says_what_it_left_open():
    file = GOLDEN / "sg2ada_cuda16.pkl"
    average, trained = metagan.load(file, device="cpu"), metagan.load(file, device="cpu", network="G")
    one, other = (generator.sample([0], class_index=1)[0] for generator in (average, trained))
    assert not np.array_equal(np.asarray(one), np.asarray(other))
    with pytest.raises(metagan.MetaganError, match="G_ema"):
        metagan.load(file, device="cpu", network="nothing")
    notes = metagan.load(GOLDEN / "ros_train16.pt", device="cpu").notes
    assert any("stores no mean style" in note for note in notes)


def test_both_parents_of_a_blend_are_held_against_their_hashes(tmp_path):
    file = GOLDEN / "ros_train16.pt"
    good, wrong = hashlib.sha256(file.read_bytes()).hexdigest(), "0" * 64
    for hashes in ({"sha256": wrong}, {"sha256": good, "second_sha256": wrong}):
        with pytest.raises(metagan.MetaganError, match="SHA-256"):
            metagan.blend(file, file, tmp_path / "child.safetensors", **hashes)
    assert metagan.blend(file, file, tmp_path / "child.safetensors", sha256=good, second_sha256=good)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: metagan.load(5), "what: want text or a path, got 5"),
        (lambda: metagan.load("a\0b"), "what: want text or a path, got 'a\\x00b'"),
        (lambda: metagan.load("bundled:apes", offline="no"), "offline: want True or False, got 'no'"),
        (lambda: metagan.sheet("picture.png"), "pictures: want several, in a list, got 'picture.png'"),
        (lambda: metagan.sheet(["picture.png"]), "pictures[0]: want a picture of Pillow, got 'picture.png'"),
        (lambda: metagan.upscale([1], "bundled:apes-x4"), "pictures[0]: want a picture of Pillow, got 1"),
        (lambda: metagan.build(images=1.5), "images: want a whole number or None, got 1.5"),
        (lambda: metagan.train("a.zip", "run", kimg="20"), "kimg: want a number, got '20'"),
        (lambda: metagan.train("a.zip", "run", on_progress=1), "on_progress: want a function or None, got 1"),
        (lambda: metagan.evaluate("bundled:apes", None), "data: want text or a path, got None"),
        (lambda: metagan.project("a.png", 3), "generator: want a Generator, text or a path, got 3"),
        (
            lambda: metagan.project("a.png", "bundled:apes", space="v"),
            "space: want one of auto, z, w, w+, got 'v'",
        ),
        (
            lambda: metagan.walk("bundled:apes", "a.gif", grid=(0, 1)),
            "grid: want a whole number from 1 to 64, got 0",
        ),
        (
            lambda: metagan.walk("bundled:apes", "a.gif", grid=3),
            "grid: want 2 of them: (a whole number, a whole",
        ),
        (
            lambda: metagan.walk("bundled:apes", "a.gif", psi_to=9),
            "psi_to: want a number from -2 to 2, got 9",
        ),
        (
            lambda: metagan.blend("a", "b", "c.safetensors", layers={1: 0.5}),
            "layers: want shares by first and last",
        ),
        (
            lambda: metagan.blend("a", "b", "c.safetensors", soft=float("nan")),
            "soft: want a number from 0 to 16",
        ),
        (
            lambda: metagan.rank("bundled:apes", [torch.tensor(1.5)]),
            "seeds[0]: want a whole number, got tensor(1.5000)",
        ),
        (lambda: metagan.load("\ud800"), "what: want text or a path, got"),
        (lambda: metagan.build(subjects=[1.5]), "subjects[0]: want text, got 1.5"),
        (lambda: metagan.build(subjects=np.zeros((2, 2))), "subjects[0]: want text, got array"),
        (
            lambda: metagan.directions("bundled:apes", layers=[[1]]),
            "layers[0]: want 2 of them: (a whole number",
        ),
        (lambda: metagan.directions("bundled:apes", seed=2**32), "seed: want a whole number from 0 to"),
        (lambda: metagan.train("a.zip", "run", seed=2**32), "seed: want a whole number from 0 to"),
        (lambda: metagan.train("a.zip", "run", preset=np.zeros(2)), "preset: want auto, tiny"),
        (lambda: metagan.paint({1: 2}, "painted", vqgan="a.ckpt"), "prompts[0]: want text, got 1"),
        (lambda: metagan.parse_seeds(5), "want seeds and ranges like 0-35,42, got 5"),
        (lambda: metagan.parse_seeds("x"), "want seeds and ranges like 0-35,42, got 'x'"),
    ],
)
def test_arguments_of_other_types_are_refused_by_name(call, said):
    with pytest.raises(metagan.MetaganError, match=re.escape(said)):
        call()


def test_what_the_file_system_refuses_is_an_error_of_metagan(apes, tmp_path):
    (picture,) = apes.sample([0])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(metagan.MetaganError, match="a file is there, where a folder has to be") as refused:
        metagan.save(picture, tmp_path / "file" / "a.png")
    assert refused.value.where == str(tmp_path / "file")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for call in (
        lambda: metagan.build(GOLDEN / "registry.yaml", out=loop),
        lambda: apes.dials(Path("/proc/self/mem")),
    ):
        with pytest.raises(metagan.MetaganError):
            call()


def test_styles_of_numpy_are_drawn_and_what_is_none_is_refused(apes):
    ws = apes.styles([3])
    assert np.array_equal(np.asarray(apes.draw(ws.numpy())[0]), np.asarray(apes.draw(ws)[0]))
    with pytest.raises(metagan.MetaganError, match=r"want \[num_ws, w_dim\].* got 'x'"):
        apes.draw("x")
    with pytest.raises(metagan.MetaganError, match="noise: want const"):
        apes.draw(ws, noise=np.zeros(2))
