"""What `metagan project` and `metagan sample --styles` take and refuse."""

import json
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from metagan.cli import metagan
from metagan.errors import DatasetError, MalformedFileError, MetaganError, OptionError
from metagan.images.provenance import SOURCE_TYPE, Provenance
from metagan.lab.film import FilmOptions, film_format, find_ffmpeg, write_film
from metagan.lab.perceptual import PerceptualDistance, find_weights, load_perceptual
from metagan.lab.project import ProjectOptions, project
from metagan.lab.styles import (
    METADATA_KEY,
    StylesInfo,
    fingerprint,
    read_styles,
    require_same_generator,
    stored_noise,
    styles_shape,
)
from metagan.lab.targets import Target, list_pictures, read_target
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.values import Size
from tests.lab.nets import GOLDEN, load, small, target

NET = str(GOLDEN / "ros_train16.pt")


def save(path: Path, size: tuple[int, int], colour: str = "red") -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_a_wide_picture_is_padded_or_cropped(tmp_path):
    path = save(tmp_path / "wide.png", (40, 20))
    padded = read_target(path, 16, 3)
    assert padded.mask[0].sum(dim=1).tolist() == [0] * 4 + [16] * 8 + [0] * 4
    cropped = read_target(path, 16, 3, mode="crop")
    assert bool((cropped.mask == 1).all())
    assert cropped.pixels[:, 8, 8].tolist() == [1, -1, -1]


def test_a_device_is_no_regular_file():
    with pytest.raises(DatasetError, match="it is no regular file"):
        list_pictures((Path("/dev/zero"),))
    with pytest.raises(MalformedFileError, match="it is no regular file"):
        read_styles(Path("/dev/zero"))


def test_pictures_are_fitted_to_a_portrait(tmp_path):
    path = save(tmp_path / "wide.png", (40, 20))
    padded = read_target(path, Size(16, 32), 3)
    assert padded.mask.shape == (1, 32, 16)
    assert padded.mask[0].sum(dim=1).tolist() == [0] * 12 + [16] * 8 + [0] * 12
    cropped = read_target(path, Size(16, 32), 3, mode="crop")
    assert bool((cropped.mask == 1).all())
    assert cropped.pixels.shape == (3, 32, 16)


def test_a_portrait_is_found_in_the_generator_that_drew_it():
    torch.manual_seed(0)
    config = Config(MappingConfig(8, 0, 0, (8,)), channels=(8, 8, 8), constant=(4, 2))
    generator = StyleGAN2(config).eval()
    pixels = generator.synthesize(generator.map_latents(torch.randn(1, 8)))[0].detach().clamp(-1, 1)
    target = Target("portrait", pixels, torch.ones(1, 16, 8))
    found = project(generator, [target], ProjectOptions(steps=4, start="nearest"))[0]
    assert found.picture.shape == found.target.shape == (16, 8, 3)
    assert found.styles.info.resolution == 16


def test_a_box_is_cut_out_in_the_pictures_own_pixels(tmp_path):
    image = Image.new("RGB", (100, 60), "black")
    image.paste("white", (30, 10, 50, 30))
    image.save(tmp_path / "x.jpg", quality=100, subsampling=0)
    found = read_target(tmp_path / "x.jpg", 8, 3, box=(30, 10, 50, 30))
    assert float(found.pixels.min()) > 0.9
    for wrong in ((0, 0, 101, 60), (5, 5, 5, 9), (9, 0, 5, 9)):
        with pytest.raises(OptionError, match=r"--box .* is 100x60 pixels\n  fix"):
            read_target(tmp_path / "x.jpg", 8, 3, box=wrong)


def test_pictures_get_the_generators_channels(tmp_path):
    path = save(tmp_path / "x.png", (8, 8), "lime")
    assert read_target(path, 8, 1).pixels.mean() == pytest.approx(0.587 * 2 - 1, abs=1e-3)
    alpha = read_target(path, 8, 4).pixels
    assert alpha.shape[0] == 4
    assert bool((alpha[3] == 1).all())


def test_a_photo_bomb_and_what_is_no_picture_are_refused(tmp_path):
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    (tmp_path / "text.png").write_text("hello")
    for name, said in (("bomb.png", ".*pixels"), ("text.png", "not a picture")):
        with pytest.raises(DatasetError, match=rf"{name}: {said}"):
            read_target(tmp_path / name, 16, 3)


def test_two_pictures_of_one_title_are_refused(tmp_path):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "a.jpg", (8, 8))
    with pytest.raises(DatasetError, match="both would be written as a"):
        list_pictures((tmp_path,))
    with pytest.raises(DatasetError, match="there is no such file"):
        list_pictures((tmp_path / "none.png",))


def test_styles_files_that_arent_are_refused(tmp_path):
    generator = small()
    info = StylesInfo(generator=fingerprint(generator), architecture="stylegan2", resolution=16, space="w+")
    good = {METADATA_KEY: info.model_dump_json()}
    ws = torch.zeros(6, 8)
    cases = {
        "nan": ({"ws": ws * float("nan")}, good, "aren't finite"),
        "half": ({"ws": ws.half()}, good, "want 2 axes of float32"),
        "more": ({"ws": ws, "code": ws + 1}, good, "holds 'code'"),
        "none": ({"z": ws[0]}, good, "holds no tensor ws"),
        "plain": ({"ws": ws}, {}, "not of styles"),
        "json": ({"ws": ws}, {METADATA_KEY: "{"}, "can't be read"),
        "extra": (
            {"ws": ws},
            {METADATA_KEY: json.dumps(json.loads(info.model_dump_json()) | {"x": 1})},
            "can't be read",
        ),
    }
    for name, (tensors, metadata, said) in cases.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(MalformedFileError, match=said):
            read_styles(path)
    (tmp_path / "pickle").write_bytes(b"\x80\x04cos\nsystem\n")
    for missing in ("pickle", "nowhere"):
        with pytest.raises(MalformedFileError, match=r"no safetensors file|no such file"):
            read_styles(tmp_path / missing)


def test_styles_of_another_generator_are_refused_unless_asked_for(tmp_path):
    found = project(small(), [target(small(), 1)], ProjectOptions(steps=1))[0].styles
    where = tmp_path / "x.safetensors"
    require_same_generator(found, small(), where)
    with pytest.raises(OptionError, match=r"styles of another generator.*\n  fix: .*--foreign-styles"):
        require_same_generator(found, small(seed=4), where)
    require_same_generator(found, small(seed=4), where, foreign=True)
    with pytest.raises(OptionError, match=r"styles of shape \[6, 8\], and this generator takes \[8, 8\]"):
        require_same_generator(found, small(resolution=32), where, foreign=True)


def test_noise_and_styles_that_a_generator_cannot_draw_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("photo.png"), (30, 20))
    generator = load("stylegan2")
    info = StylesInfo(generator=fingerprint(generator), architecture="stylegan2", resolution=16, space="w+")
    ws, own = torch.zeros(styles_shape(generator)), stored_noise(generator)
    noise = [torch.zeros_like(image) for image in own]
    cases = {
        "fewer": (ws, noise[:-1], "noise images of"),
        "more": (ws, [*noise, noise[-1].clone()], "noise images of"),
        "sizes": (ws, [torch.zeros(3, 5), *noise[1:]], "noise images of 3x5"),
        "far": (ws + 3e38, [], "numbers that aren't finite"),
    }
    for name, (styles, images, said) in cases.items():
        tensors = {"ws": styles} | {f"noise.{index}": image for index, image in enumerate(images)}
        save_file(tensors, f"{name}.safetensors", metadata={METADATA_KEY: info.model_dump_json()})
        quick = ["--steps", "1", "--lpips", "none", "--verdict", "0", "--film", "none"]
        commands = [["project", "photo.png", NET, "--start", f"{name}.safetensors", *quick]]
        if images:
            commands.append(["sample", NET, "--styles", f"{name}.safetensors", "--sheet", "x.png"])
        for command in commands:
            error = CliRunner().invoke(metagan, command).exception
            assert isinstance(error, OptionError), (name, command[0], error)
            assert said in str(error)


def test_the_command_projects_and_sample_draws_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    save(Path("photo.png"), (30, 20))
    args = [
        "project",
        "photo.png",
        NET,
        "--out",
        "out",
        "--steps",
        "5",
        "--start",
        "mean",
        "--lpips",
        "none",
        "--verdict",
        "1",
    ]
    result = CliRunner().invoke(metagan, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "out/photo.safetensors: " in result.output
    assert "photo: " in result.output
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "photo.png",
        "photo.safetensors",
        "photo.webp",
    ]
    with Image.open("out/photo.webp") as film:
        assert film.size == (512, 256)
        assert film.n_frames >= 6  # five steps and the end, whose frames are all the same
    drawn = CliRunner().invoke(
        metagan,
        ["sample", NET, "--styles", "out/photo.safetensors", "--out", "drawn"],
        catch_exceptions=False,
    )
    assert drawn.exit_code == 0
    beside, alone = np.asarray(Image.open("out/photo.png")), np.asarray(Image.open("drawn/photo.png"))
    assert np.array_equal(beside[::16, 256::16], alone)
    assert SOURCE_TYPE.encode() in Path("drawn/photo.png").read_bytes()
    assert b"metagan:seed" not in Path("drawn/photo.png").read_bytes()


def test_the_command_refuses_before_it_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("photo.png"), (30, 20))
    cases = [
        (["photo.png", NET, "--box", "1,2,3"], "want LEFT,TOP,RIGHT,BOTTOM"),
        (["photo.png", str(GOLDEN / "keras_dcgan32.zip"), "--space", "w"], "no mapping network"),
        (["photo.png", NET, "--start", "nowhere.safetensors"], "there is no such file"),
        (["none.png", NET], "there is no such file"),
    ]
    for args, said in cases:
        result = CliRunner().invoke(metagan, ["project", *args, "--lpips", "none"])
        told = result.output + (str(result.exception) if isinstance(result.exception, MetaganError) else "")
        assert result.exit_code != 0
        assert said in told
        assert not Path("projected").exists()


# --------------------------------------------------------------------------------------------
# LPIPS


def random_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"slice1.0": (4, 3, 11), "slice2.5": (5, 4, 5), "slice3.9": (6, 5, 3), "slice4.11": (5, 6, 3),
              "slice5.13": (4, 5, 3)}  # fmt: skip
    tensors = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)}
    for index, (name, (out, into, k)) in enumerate(shapes.items()):
        tensors |= {
            f"net.{name}.weight": torch.randn(out, into, k, k) / k,
            f"net.{name}.bias": torch.randn(out),
        }
        tensors[f"lin{index}.model.1.weight"] = torch.rand(1, out, 1, 1)
    return tensors


def test_the_perceptual_distance_is_none_of_itself_and_grows_with_change():
    network = PerceptualDistance(random_weights(), "alex")
    torch.manual_seed(1)
    a = torch.rand(2, 3, 64, 64) * 2 - 1
    change = torch.randn_like(a)
    near, far = network(a, a + 0.05 * change), network(a, a + 0.5 * change)
    assert float(network(a, a).max()) == 0
    assert bool((near > 0).all())
    assert bool((near < far).all())


def test_pictures_of_any_size_have_a_perceptual_distance():
    network = PerceptualDistance(random_weights(), "alex")
    for side in (4, 16, 300):
        a = torch.rand(1, 3, side, side)
        assert float(network(a, 1 - a)) > 0


def test_missing_perceptual_weights_are_said():
    tensors = random_weights()
    del tensors["net.slice2.5.bias"]
    with pytest.raises(OptionError, match=r"1 tensor is missing, the first is net\.slice2\.5\.bias"):
        PerceptualDistance(tensors, "alex")


@pytest.mark.skipif(find_weights("alex") is None, reason="the package stlpips-pytorch isn't installed")
def test_the_packages_weights_give_the_packages_distances():
    # By the package's own program (0.0.2), which this test doesn't need: of these two pictures, one a noisy other.
    source = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 64, 64, generator=source) * 2 - 1
    b = a + 0.3 * torch.randn(2, 3, 64, 64, generator=source)
    wanted = {"alex": [0.005605502054, 0.005930176936], "vgg": [0.012761600316, 0.012451840565]}
    for backbone, values in wanted.items():
        network = load_perceptual(backbone)
        assert network is not None
        assert network(a, b).tolist() == pytest.approx(values, rel=1e-4)


# --------------------------------------------------------------------------------------------
# Films


def frames(count: int, side: int = 32):
    for index in range(count):
        frame = np.zeros((side, side, 3), np.uint8)
        frame[:, : index + 1] = 255
        yield frame


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_animated_pictures_hold_every_frame_and_say_where_they_are_from(tmp_path, ending):
    path = tmp_path / f"film{ending}"
    write_film(path, frames(9), 9, FilmOptions(20, Provenance("apes (metagan)", 5, 0.7)))
    with Image.open(path) as film:
        assert film.n_frames == 9
        for index in range(9):
            film.seek(index)
            shown = np.asarray(film.convert("RGB"))
            assert (shown[0, :, 0] > 128).sum() == index + 1
        assert film.info["duration"] == 50
    assert SOURCE_TYPE.encode() in path.read_bytes()


@pytest.mark.parametrize("fps", [0.01, 24, 30, 60, 240])
def test_a_gif_lasts_as_long_as_its_frames(tmp_path, fps):
    path, count = tmp_path / "film.gif", max(2, min(31, round(fps)))
    write_film(path, frames(count), count, FilmOptions(fps, Provenance("apes (metagan)", 5, 0.7)))
    lasts_ms = 0
    with Image.open(path) as film:
        for index in range(film.n_frames):
            film.seek(index)
            lasts_ms += film.info["duration"]
            assert film.info["duration"] >= 20
        shown = np.asarray(film.convert("RGB"))
    assert lasts_ms == pytest.approx(1000 * count / fps, abs=20)
    assert (shown[0, :, 0] > 128).sum() == count  # the last one


def test_a_film_is_not_mixed_with_the_frames_of_another(tmp_path):
    options = FilmOptions(20, Provenance("apes (metagan)", 5, 0.7))
    write_film(tmp_path, frames(3), 3, options)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match="holds frames of another film"):
        write_film(tmp_path, frames(2, side=16), 2, options)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_films_by_ffmpeg_hold_every_frame_and_say_where_they_are_from(tmp_path, ending):
    path = tmp_path / f"film{ending}"
    write_film(path, frames(9), 9, FilmOptions(20, Provenance("apes (metagan)", 5, 0.7), threads=1))
    raw = subprocess.run(
        [find_ffmpeg(), "-loglevel", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    shown = np.frombuffer(raw, np.uint8).reshape(9, 32, 32, 3)
    assert [int((frame[0, :, 0] > 128).sum()) for frame in shown] == list(range(1, 10))
    assert SOURCE_TYPE.encode() in path.read_bytes()


def test_a_film_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "film.webp"
    path.write_bytes(b"before")

    def broken():
        yield from frames(2)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        write_film(path, broken(), 5, FilmOptions(20, Provenance("x", None, None)))
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.webp"]


def test_other_endings_are_refused():
    with pytest.raises(OptionError, match=r"film\.avi: want a name that ends in \.mp4"):
        film_format(Path("film.avi"))


def test_no_ffmpeg_is_said(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"no ffmpeg on this machine\n  fix: .*metagan\[film\]"):
        film_format(Path("film.mp4"))
