"""Turning dials: by name, number or order, the same in every command, on any architecture, and only where they fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import metagan as api
from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import OptionError
from metagan.lab.dials import (
    Dial,
    Directions,
    DirectionsInfo,
    check_dials,
    parse_dials,
    require_same_generator,
    write_directions,
)
from metagan.lab.styles import fingerprint, styles_shape
from metagan.lab.walk import Walk, WalkOptions
from metagan.networks.loading.forms import describe
from metagan.sampling.latents import latents, one_hot
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings
from tests.lab.nets import CPU, FILES, GOLDEN, load, small

NAMES = ("Fur", "Hat: none → beanie", "dial 3")


def directions_of(generator, names=NAMES, space="w"):
    num_ws, w_dim = styles_shape(generator)
    width = w_dim if space == "w" else generator.z_dim
    last = num_ws - 1 if space == "w" else 0
    dials = [
        Dial(name=name, method="sefa", first=min(index, last), last=last, times_random=3.0)
        for index, name in enumerate(names)
    ]
    info = DirectionsInfo(
        generator=fingerprint(generator),
        architecture=generator.architecture,
        space=space,
        step=0.2,
        dials=tuple(dials),
    )
    vectors = torch.randn(len(names), width, generator=torch.Generator().manual_seed(2)) / 4
    return Directions(info, vectors)


@pytest.fixture
def files(tmp_path):
    """A generator's file, its directions' file, a registry whose subject has both, and the generator."""
    generator = small()
    weights, dials = tmp_path / "net.safetensors", tmp_path / "dials.safetensors"
    write_safetensors(weights, generator.state_dict(), replace(describe(generator), licence="CC0-1.0"))
    write_directions(dials, directions_of(generator))
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "site: {title: T, base_url: https://e.org/}\nsubjects:\n  blob:\n    title: Blob\n    licence: CC0-1.0\n"
        "    source: here\n    psi: 0.5\n    weights: net.safetensors\n"
        "    dials: {file: dials.safetensors, names: {Glow: 3, Fur: 1}}\n"
    )
    return generator, weights, dials, registry


def run(*args):
    return CliRunner().invoke(metagan, [str(arg) for arg in args], catch_exceptions=False)


def drawn(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_dials_are_written_by_name_by_number_or_in_order():
    want = {0: 1.5, 2: -2.0}
    for text in ("Fur=1.5,dial 3=-2", "fur=1.5, DIAL 3=-2", "1:1.5,3:-2", "1.5,0,-2", "Fur=1.5,3:-2"):
        assert parse_dials(text, NAMES) == want
    assert parse_dials("Hat: none → beanie=2", NAMES) == {1: 2.0}
    for values in ({"Fur": 1.5, "dial 3": -2}, {0: 1.5, 2: -2}, [1.5, 0, -2], "Fur=1.5,3:-2"):
        assert check_dials(values, NAMES) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Fur=nan", "want numbers of steps, got 'nan'"),
        ("Fur=inf", "want numbers of steps"),
        ("Fur=101", "want at most 100 steps either way, got 101"),
        ("Fur=", "want numbers of steps"),
        ("", "want numbers of steps"),
        (
            "Furr=1",
            r"there is no dial 'Furr'\n  fix: did you mean Fur\? the dials are: Fur, Hat: none → beanie, dial 3",
        ),
        ("4:1", "dial 4: there is no such dial"),
        ("0:1", "dial 0: there is no such dial"),
        ("1,2,3,4", "dial 4: there is no such dial"),
        ("Fur=1,1:2", "dial 1 is turned twice"),
    ],
)
def test_values_that_are_no_steps_and_dials_that_there_are_not_are_refused(text, message):
    with pytest.raises(OptionError, match=message):
        parse_dials(text, NAMES)


def test_an_owner_s_names_choose_and_order_dials():
    found = directions_of(small())
    some = found.arranged([("Glow", 3), ("Coat", 1)], rest=False)
    assert some.names == ("Glow", "Coat")
    assert torch.equal(some.vectors, found.vectors[[2, 0]])
    assert found.arranged([("Coat", 1)], rest=True).names == ("Coat", *NAMES[1:])
    with pytest.raises(OptionError, match="Glow is dial 4, and there are 3 dials"):
        found.arranged([("Glow", 4)], rest=True)


def test_sample_draws_styles_with_what_dials_add_after_truncation(files, tmp_path):
    generator, _, dials, registry = files
    out = tmp_path / "out"
    assert (
        run(
            "sample", "blob", "-r", registry, "--seeds", "3", "--dials", "Glow=2,Fur=-1", "--out", out
        ).exit_code
        == 0
    )
    net = api.load("blob", registry=registry)
    ws = net.styles([3])
    moved = directions_of(generator).turn(ws, {2: 2.0, 0: -1.0})
    want = np.asarray(net.draw(moved)[0]).astype(int)
    assert np.abs(drawn(out / "seed0003.png") - want).max() <= 1
    assert np.abs(want - np.asarray(net.sample([3])[0]).astype(int)).max() > 8
    same = net.sample([3], dials={"Glow": 2, "Fur": -1})[0]
    assert np.array_equal(drawn(out / "seed0003.png"), np.asarray(same))
    assert net.dials().names == ("Glow", "Fur")
    by_number = net.sample([3], dials=[-1, 0, 2], directions=dials)[0]
    assert np.array_equal(np.asarray(same), np.asarray(by_number))


def test_dials_of_nothing_leave_pictures_as_they_are(files):
    net = api.load("blob", registry=files[3])
    assert np.array_equal(np.asarray(net.sample([3], dials=[0, 0])[0]), np.asarray(net.sample([3])[0]))


def test_what_has_no_dials_or_another_generator_s_is_refused_with_the_way_out(files, tmp_path):
    _, weights, dials, _ = files
    with pytest.raises(OptionError, match=r"'net.safetensors' has no dials\n  fix: .*--directions auto"):
        run("sample", weights, "--dials", "1", "--out", tmp_path / "out")
    with pytest.raises(OptionError, match=r"dials.*another generator.*\n  fix: .*--foreign-styles"):
        require_same_generator(directions_of(small()), small(seed=4), dials)
    require_same_generator(directions_of(small()), small(seed=4), dials, foreign=True)
    with pytest.raises(OptionError, match="width 8, and this generator takes 16"):
        require_same_generator(directions_of(small()), small(w_dim=16), dials, foreign=True)
    with pytest.raises(OptionError, match="--directions: want a file"):
        run("sample", weights, "--dials", "1", "--directions", tmp_path / "no.safetensors")
    assert "give --dials too" in run("sample", weights, "--directions", "auto").stderr


def test_dials_of_latents_move_latents():
    generator = load("r3gan")
    found = directions_of(generator, ("a", "b"), space="z")
    net = api.load(GOLDEN / FILES["r3gan"])
    settings = found.turned(Settings(label=0), {0: 8.0}, 1)
    moved = dict(Sampler(generator, CPU).pictures([1], settings))[1]
    assert np.array_equal(moved, np.asarray(net.sample([1], class_index=0, dials=[8.0], directions=found)[0]))
    z = latents([1], generator.z_dim) + 8 * found.vectors[0]
    with torch.inference_mode():
        want = to_uint8(generator.synthesize(generator.map_latents(z, one_hot(0, generator.c_dim, 1))))[0]
    assert np.abs(moved.astype(int) - want).max() <= 1


def test_key_frames_of_walks_turn_dials_after_truncation(files):
    generator, _, _, _ = files
    found = directions_of(generator)
    options = WalkOptions(("5", "5,Fur=2", "9"), seconds=3, fps=1, psi=0.5, curve="w")
    walk = Walk(generator, options, directions=found)
    first, second, third = (walk.styles(frame)[0] for frame in range(3))
    assert torch.allclose(second - first, found.shift({0: 2.0}, len(first)), atol=1e-6)
    plain = Walk(generator, WalkOptions(("5", "9"), seconds=2, fps=1, psi=0.5, curve="w"))
    assert torch.equal(third, plain.styles(1)[0])
    every = Walk(generator, WalkOptions(("5", "9"), seconds=2, fps=1, dials="Fur=1"), directions=found)
    shifted = every.styles(1)[0] - Walk(generator, WalkOptions(("5", "9"), seconds=2, fps=1)).styles(1)[0]
    assert torch.allclose(shifted, found.shift({0: 1.0}, len(first)), atol=1e-6)
    with pytest.raises(OptionError, match=r"key frame '5' turns dials, and no directions are given"):
        Walk(generator, options)


def test_the_walk_command_takes_the_subject_s_dials(files, tmp_path):
    _, _, _, registry = files
    for name, keys in (("a", ["3", "4,Glow=2"]), ("b", ["3", "4"])):
        keyed = [word for key in keys for word in ("--key", key)]
        args = ["walk", "blob", "-r", registry, *keyed, "--seconds", 2, "--fps", 1, "--out", tmp_path / name]
        assert run(*args).exit_code == 0
    before, after = (drawn(tmp_path / name / "frame000001.png") for name in ("b", "a"))
    assert np.abs(before - after).max() > 8
    facts = json.loads((tmp_path / "a" / "walk.json").read_text())
    assert facts != json.loads((tmp_path / "b" / "walk.json").read_text())
