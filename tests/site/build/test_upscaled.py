"""Subjects whose pictures are enlarged: on their pages, in files, in `sample`, and what is refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.checkpoints.write import write_safetensors
from metagan.cli.export import command as export
from metagan.cli.sample import command as sample
from metagan.drawings.render import draw_picture
from metagan.errors import OptionError, RegistryError
from metagan.export.blob import unpack
from metagan.networks.loading.forms import describe
from metagan.networks.upscaler import UpscalerConfig, load_upscaler
from metagan.registry.read import read_registry
from metagan.registry.weights_ref import bundled_names, bundled_upscaler_names, bundled_weights
from metagan.sampling.upscale import upscale_pictures
from metagan.site.build.build import BuildOptions, build_site
from metagan.site.build.preflight import preflight
from tests.live.test_pictures import PLAIN, make
from tests.networks.upscaler.test_upscaler import calm, write
from tests.site.live_site import Silent

GOLDEN = Path(__file__).parents[2] / "golden"
GENERATOR = GOLDEN / "sg2ada_cuda16.pkl"


def registry(folder: Path, *lines: str) -> Path:
    """A site of one subject, whose generator draws 16x16 pixels."""
    path, weights = folder / "registry.yaml", folder / "things.safetensors"
    generator = make(PLAIN)
    write_safetensors(weights, generator.state_dict(), describe(generator))
    text = [
        "site:",
        "  title: Things",
        "  base_url: https://example.org/things/",
        "subjects:",
        "  thing:",
        "    title: Thing",
        "    weights: things.safetensors",
        "    licence: unknown",
        "    source: nowhere",
        "    images: 2",
        "    format: png",
        *(f"    {line}" for line in lines),
    ]
    path.write_text("\n".join(text) + "\n")
    return path


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory) -> Path:
    config = UpscalerConfig(channels=4, blocks=0, fine_channels=4)
    return write(tmp_path_factory.mktemp("x4") / "x4.safetensors", calm(config), licence="CC0-1.0")


def test_originals_of_the_game_are_enlarged_by_the_same_upscaler(tmp_path, upscaler):
    path = registry(tmp_path, f"upscale: {upscaler}", "reals: bundled:apes")
    with Image.open(build(path) / "pictures/thing/which/5000.png") as image:
        enlarged = np.asarray(image)
    network = load_upscaler(upscaler)
    assert np.array_equal(enlarged, upscale_pictures(network, [draw_picture("apes", 0, 5000, 16)[0]])[0])


def build(path: Path) -> Path:
    out = path.parent / "build"
    build_site(BuildOptions(read_registry(path), out), Silent())
    return out


def opened(path: Path) -> tuple[np.ndarray, dict]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")), dict(image.info)


def test_pictures_pages_and_api_are_four_times_as_large_and_none_brings_the_raw_ones_back(tmp_path, upscaler):
    path = registry(tmp_path, f"upscale: {upscaler}")
    site = build(path)
    picture, info = opened(site / "pictures" / "thing" / "0.png")
    assert picture.shape == (64, 64, 3)
    assert "enlarged by an upscaler, sha256 " in info["XML:com.adobe.xmp"]
    about = (site / "thing" / "about" / "index.html").read_text()
    assert "64 × 64 pixels" in about
    assert "4 times as wide and high" in about
    (blob,) = (site / "models").glob("*.bin.gz")
    assert unpack(gzip.decompress(blob.read_bytes()))[0].upscaler is not None
    assert "new pictures, by a copy of it" in about
    assert json.loads((site / "api" / "thing.json").read_text())["width"] == 64

    registry(tmp_path, "upscale: none")
    site = build(path)
    raw, info = opened(site / "pictures" / "thing" / "0.png")
    assert raw.shape == (16, 16, 3)
    assert "upscaler" not in info["XML:com.adobe.xmp"]


def test_sample_draws_what_the_site_shows(tmp_path, upscaler):
    path = registry(tmp_path, f"upscale: {upscaler}")
    site = build(path)
    words = ("thing", "--registry", path, "--seeds", "1", "--device", "cpu", "--out")
    CliRunner().invoke(sample, [str(word) for word in (*words, tmp_path / "a")], catch_exceptions=False)
    drawn, _ = opened(tmp_path / "a" / "seed0001.png")
    shown, _ = opened(site / "pictures" / "thing" / "1.png")
    assert drawn.shape == (64, 64, 3)
    assert np.abs(drawn.astype(int) - shown).max() <= 1  # another batch may differ in a number's last digits
    raw = CliRunner().invoke(sample, [str(word) for word in (*words, tmp_path / "b", "--upscale", "none")])
    assert raw.exit_code == 0
    assert opened(tmp_path / "b" / "seed0001.png")[0].shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"upscale: {GENERATOR}", "subjects.thing.upscale: .*want an upscaler"),
        ("upscale: missing.safetensors", "subjects.thing.upscale: .*there is no"),
        ("upscale: bundled:things-x4", "subjects.thing.upscale: .*bundled"),
        ("upscale: https://example.org/x4.safetensors", "subjects.thing.upscale_sha256: missing"),
        ("upscale: 4", "subjects.thing.upscale: "),
    ],
)
def test_what_is_no_upscaler_is_refused_at_its_line(tmp_path, line, said):
    found = preflight(registry(tmp_path, line), None)
    (problem,) = found.problems
    assert str(problem.where).endswith(":12:14") or "upscale_sha256" in said
    with pytest.raises(RegistryError, match=said):
        raise RegistryError.of(found.problems)


def test_a_build_says_so_too(tmp_path):
    path = registry(tmp_path, f"upscale: {GENERATOR}")
    with pytest.raises(
        RegistryError, match=r"registry.yaml:12:14: subjects.thing.upscale: .*want an upscaler"
    ):
        build(path)


def test_bundled_upscalers_are_listed_apart_from_generators(tmp_path, monkeypatch):
    for name in ("apes", "apes-x4"):
        (tmp_path / f"{name}.safetensors").touch()
    monkeypatch.setattr("metagan.weights.__path__", [str(tmp_path)])
    assert bundled_names() == ["apes"]
    assert bundled_upscaler_names() == ["apes-x4"]
    assert bundled_weights("apes-x4") == tmp_path / "apes-x4.safetensors"
    with pytest.raises(OptionError, match="did you mean bundled:apes-x4"):
        bundled_weights("ape-x4")


def test_an_upscaler_comes_along_when_a_subject_is_exported(tmp_path, upscaler):
    path, out = registry(tmp_path, f"upscale: {upscaler}"), tmp_path / "thing.bin.gz"
    words = ("thing", "--registry", str(path), "--out", str(out))
    for more, expected in (((), True), (("--upscale", "none"), False)):
        result = CliRunner().invoke(export, [*words, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert (unpack(gzip.decompress(out.read_bytes()))[0].upscaler is not None) == expected
