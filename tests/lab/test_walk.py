"""Films: their frames are what options say, come one by one, and go on where they were left."""

import dataclasses
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.errors import MetaganError, OptionError
from metagan.images.provenance import SOURCE_TYPE
from metagan.lab.film import require_film_size
from metagan.lab.project import ProjectOptions, project
from metagan.lab.styles import write_styles
from metagan.lab.walk import Walk, WalkOptions, draw_walk, read_key, slerp, spline_bends, write_walk
from metagan.networks.upscaler.network import Upscaler, UpscalerConfig
from metagan.sampling.sampler import Sampler, Settings
from metagan.values import Size
from tests.lab.nets import CPU, FILES, GOLDEN, load, picture, small, target
from tests.lab.test_dials import directions_of

NET = str(GOLDEN / "ros_train16.pt")
SHORT = WalkOptions(("1", "5", "9"), seconds=1, fps=8)


def frames_of(generator, options):
    return list(draw_walk(Walk(generator, options), Sampler(generator, CPU, 4)))


@pytest.mark.parametrize("family", sorted(FILES))
def test_a_film_of_each_architecture_passes_its_key_frames(family):
    generator = load(family)
    options = dataclasses.replace(SHORT, fps=5, label=0 if generator.c_dim else None)
    frames = frames_of(generator, options)
    assert len(frames) == 5
    side = generator.resolution
    for index, seed in ((0, 1), (2, 5), (4, 9)):
        shown = frames[index][:: len(frames[index]) // side, :: len(frames[index]) // side]
        wanted = picture(generator, seed)
        if wanted.shape[2] == 3:
            assert np.abs(shown.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("curve", ["z", "w", "w+"])
def test_loops_meet_their_beginning_without_showing_it_twice(curve):
    generator = small()
    walk = Walk(generator, dataclasses.replace(SHORT, loop=True, curve=curve, seconds=3))
    (first,), (last,), (before,) = walk.styles(0), walk.styles(23), walk.styles(22)
    step = float((last - before).norm())
    assert 0 < float((first - last).norm()) < 2 * step
    assert torch.allclose(walk.styles(8)[0], read_key(generator, "5", None).ws, atol=1e-5)


def test_splines_are_smooth_and_lines_have_corners():
    generator = small()

    def jerk(curve):
        walk = Walk(generator, WalkOptions(("1", "5", "9", "12"), seconds=6, fps=50, curve=curve))
        rows = torch.stack([walk.styles(frame)[0] for frame in range(300)])
        return float((rows[2:] - 2 * rows[1:-1] + rows[:-2]).norm(dim=(1, 2)).max())

    assert jerk("w+") < 0.2 * jerk("w")


def test_splines_bend_evenly_on_a_circle_and_not_at_all_on_a_line():
    angles = torch.arange(6.0) * math.pi / 3
    circle = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    bends = spline_bends(circle, loop=True)
    assert torch.allclose(bends, -bends.norm(dim=1).mean() * circle, atol=1e-5)
    line = 2 * torch.arange(6.0)[:, None] + 1
    assert torch.allclose(spline_bends(line, loop=False), torch.zeros(6, 1), atol=1e-6)


def test_great_circles_keep_latents_as_long_as_latents_are():
    torch.manual_seed(0)
    a, b = torch.randn(2, 512)
    for u in (0.25, 0.5, 0.9):
        assert float(slerp(a, b, u).norm()) == pytest.approx(512**0.5, rel=0.05)
    assert torch.allclose(slerp(a, b, 0.0), a, atol=1e-5)
    assert torch.allclose(slerp(a, b, 1.0), b, atol=1e-5)
    assert torch.allclose(slerp(a, a, 0.5), a)
    assert bool(torch.isfinite(slerp(a, -a, 0.5)).all())


def test_circles_close_and_every_point_is_unit_normal():
    generator = small()
    walk = Walk(generator, WalkOptions((), seconds=1, fps=60, circle=3, loop=True))
    rows = torch.stack([walk.styles(frame)[0] for frame in range(60)])
    steps = (rows - rows.roll(1, 0)).norm(dim=(1, 2))
    assert float(steps[0]) < 3 * float(steps[1:].mean())


@pytest.mark.parametrize("space", ["w", "z"])
def test_a_circle_turns_dials(space):
    generator = small()
    directions = directions_of(generator, space=space)
    options = WalkOptions((), seconds=1, fps=6, circle=3, loop=True)
    plain = Walk(generator, options).styles(2)[0]
    turned = Walk(generator, dataclasses.replace(options, dials="Fur=2"), directions=directions).styles(2)[0]
    if space == "w":
        assert torch.allclose(turned - plain, directions.shift({0: 2}, len(plain)), atol=1e-5)
    else:
        assert not torch.allclose(turned, plain, atol=1e-2)


def test_easing_rests_at_key_frames():
    generator = small()
    speeds = {}
    for easing in ("linear", "smooth", "sine"):
        walk = Walk(generator, WalkOptions(("1", "5"), seconds=1, fps=21, curve="w", easing=easing))
        rows = torch.stack([walk.styles(frame)[0] for frame in range(21)])
        steps = (rows[1:] - rows[:-1]).norm(dim=(1, 2))
        speeds[easing] = float(steps[0] / steps[10])
    assert speeds["linear"] == pytest.approx(1, abs=1e-3)
    assert speeds["smooth"] < 0.2
    assert speeds["sine"] < 0.2


def test_a_grid_deals_its_key_frames_out():
    generator = small()
    options = WalkOptions(("1", "2", "3", "4"), seconds=1, fps=2, grid=(2, 1))
    frame = frames_of(generator, options)[0]
    assert frame.shape[1] == 2 * frame.shape[0]
    factor = len(frame) // 16
    for column, seed in ((0, 1), (1, 3)):
        tile = frame[::factor, ::factor][:, 16 * column : 16 * column + 16]
        assert np.abs(tile.astype(int) - picture(generator, seed)).max() <= 1
    with pytest.raises(OptionError, match=r"want a multiple of 3 key frames, got 4\n  fix: give 6 seeds"):
        Walk(generator, dataclasses.replace(options, grid=(3, 1)))


def test_truncation_sweeps_from_one_psi_to_another():
    generator = small()
    walk = Walk(generator, WalkOptions(("7",), seconds=1, fps=5, psi=0.0, psi_to=1.0))
    mean, whole = generator.mapping.mean_style, read_key(generator, "7", None).ws
    assert torch.allclose(walk.styles(0)[0], mean.expand_as(whole), atol=1e-6)
    assert torch.allclose(walk.styles(4)[0], whole, atol=1e-6)
    assert torch.allclose(walk.styles(2)[0], (mean + whole) / 2, atol=1e-6)
    with pytest.raises(OptionError, match="no mean style"):
        Walk(load("dcgan"), WalkOptions(("1", "2"), psi=0.7))


def test_mixtures_and_held_layers_take_styles_by_layer():
    generator = small()
    one, other = (read_key(generator, seed, None).ws for seed in ("5", "9"))
    assert torch.equal(read_key(generator, "5/9@2", None).ws, torch.cat([one[:2], other[2:]]))
    assert torch.allclose(read_key(generator, "5+9", None).ws, (one + other) / 2)
    walk = Walk(generator, dataclasses.replace(SHORT, hold="9", hold_from=4))
    for frame in range(8):
        assert torch.equal(walk.styles(frame)[0][4:], other[4:])
    for wrong in ("x", "5/9@6", "5/9", "4294967296", "5@2"):
        with pytest.raises(OptionError, match="fix: "):
            read_key(generator, wrong, None)
    with pytest.raises(OptionError, match="has layers 0 to 5"):
        Walk(generator, dataclasses.replace(SHORT, hold="9", hold_from=6))


def test_projected_styles_are_key_frames_and_have_no_great_circles(tmp_path):
    generator = small()
    found = project(generator, [target(generator, 5)], ProjectOptions(steps=2, start="mean"))[0].styles
    path = tmp_path / "my+photo.safetensors"
    write_styles(path, found)
    walk = Walk(generator, dataclasses.replace(SHORT, keys=(str(path), "1")))
    assert torch.equal(walk.styles(0)[0], found.ws)
    with pytest.raises(OptionError, match=r"--curve z: a key frame has no latents.*\n  fix"):
        Walk(generator, dataclasses.replace(SHORT, keys=(str(path), "1"), curve="z"))


def test_an_interrupted_film_goes_on_after_its_last_frame(tmp_path):
    generator = small()
    walk, sampler = Walk(generator, SHORT), Sampler(generator, CPU, 2)
    write_walk(walk, sampler, tmp_path / "whole", "x")
    drawn = 0

    def stop(amount):
        nonlocal drawn
        drawn += amount
        if drawn == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_walk(
            walk, sampler, tmp_path / "film.webp", "x", frames_folder=tmp_path / "frames", advance=stop
        )
    assert len(list((tmp_path / "frames").glob("*.png"))) == 3
    assert not (tmp_path / "film.webp").exists()
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "frames").glob("*.png")}
    write_walk(walk, sampler, tmp_path / "film.webp", "x", frames_folder=tmp_path / "frames")
    for number in range(8):
        name = f"frame{number:06d}.png"
        assert (tmp_path / "frames" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert all((tmp_path / "frames" / name).stat().st_mtime_ns == time for name, time in times.items())
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames == 8


def test_frames_of_another_film_are_left_alone(tmp_path):
    generator = small()
    sampler = Sampler(generator, CPU, 2)
    write_walk(Walk(generator, SHORT), sampler, tmp_path / "frames", "x")
    before = {path: path.read_bytes() for path in (tmp_path / "frames").iterdir()}
    other = Walk(generator, dataclasses.replace(SHORT, keys=("1", "6")))
    with pytest.raises(OptionError, match="frames of another film"):
        write_walk(other, sampler, tmp_path / "frames", "x")
    assert before == {path: path.read_bytes() for path in (tmp_path / "frames").iterdir()}


def test_a_film_of_other_held_styles_noise_or_upscaler_is_another(tmp_path):
    generator = small()
    held = tmp_path / "held.safetensors"
    options = dataclasses.replace(SHORT, hold=str(held), hold_from=1)
    found = [project(generator, [target(generator, seed)], ProjectOptions(steps=1))[0] for seed in (1, 2)]
    torch.manual_seed(0)
    upscalers = [Upscaler(UpscalerConfig(factor=2, channels=4, blocks=1)) for _ in range(2)]
    tasks = set()
    for one in found:
        write_styles(held, one.styles)
        tasks.add(Walk(generator, options).task(Sampler(generator, CPU, 2)))
    for upscaler in upscalers:
        tasks.add(Walk(generator, options).task(Sampler(generator, CPU, 2, upscaler=upscaler)))
    tasks.add(Walk(generator, dataclasses.replace(options, noise="none")).task(Sampler(generator, CPU, 2)))
    assert len(tasks) == 5


def test_a_film_has_the_noise_that_it_is_told():
    generator = small()
    frames = [frames_of(generator, dataclasses.replace(SHORT, noise=noise))[0] for noise in ("none", "const")]
    assert not np.array_equal(*frames)
    wanted = next(Sampler(generator, CPU, 1).pictures([1], Settings(noise="none")))[1]
    assert np.array_equal(frames[0][:: len(frames[0]) // 16, :: len(frames[0]) // 16], wanted)


def test_memory_does_not_grow_with_the_length(tmp_path):
    generator = small()

    def peak(seconds):
        walk = Walk(generator, dataclasses.replace(SHORT, seconds=seconds, fps=20))
        sampler = Sampler(generator, CPU, 4)
        tracemalloc.start()
        write_walk(walk, sampler, tmp_path / f"{seconds}", "x")
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(1)
    assert peak(4) < 1.2 * peak(2)


def test_the_command_films(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["walk", NET, "--seeds", "1,5", "--seconds", "1", "--fps", "6", "--loop", "--out", "film.gif"]
    result = CliRunner().invoke(metagan, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout == "film.gif: 6 frames\n"
    with Image.open("film.gif") as film:
        assert film.n_frames == 6
    assert SOURCE_TYPE.encode() in Path("film.gif").read_bytes()
    for wrong, said in (
        (["--out", "film.avi"], "want a name that ends in"),
        (["--out", "x.gif", "--grid", "3"], "want COLUMNSxROWS"),
        (["--out", "x.gif", "--seconds", "1e308"], "ask for fewer seconds"),
        (["--out", "x.gif", "--seeds", "4"], "wants two key frames or more"),
        (["--out", "x.gif", "--key", "nowhere.safetensors", "--key", "1"], "no such file"),
        (["--out", "x.gif", "--key", f"1,{'Long name=1,' * 30}Fur=1", "--key", "1"], "has no dials"),
        (["--out", "x.gif", "--circle", "5", "--key", "3"], "leave --key and --curve out"),
        (["--out", "x", "--frames", "y"], "leave one of them out"),
    ):
        refused = CliRunner().invoke(metagan, ["walk", NET, *wrong])
        told = refused.output + (
            str(refused.exception) if isinstance(refused.exception, MetaganError) else ""
        )
        assert refused.exit_code != 0
        assert said in told


def test_a_film_beyond_its_formats_limit_is_refused_before_it_is_drawn(tmp_path):
    require_film_size(tmp_path / "a.webp", Size(16_383, 600))
    require_film_size(tmp_path / "frames", Size(90_000, 600))
    for name, side in (("a.webp", 16_384), ("a.gif", 65_536), ("a.mp4", 16_385)):
        with pytest.raises(OptionError, match=rf"a\.\w+: \w+ holds at most .* a side, got {side:,}x600"):
            require_film_size(tmp_path / name, Size(side, 600))
