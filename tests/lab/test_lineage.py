"""Lineages: codes that are read as they were written or refused, and pictures that are bred as the code says."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import metagan as api
from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import OptionError
from metagan.lab.axes import UNITS, Projected, find_axes, to_numbers
from metagan.lab.lineage import (
    MOST_INDIVIDUALS,
    MOST_LETTERS,
    Lineage,
    Step,
    lineage_styles,
    mark_of,
    read_lineage,
    write_lineage,
)
from metagan.lab.styles import mean_style
from metagan.networks.loading.forms import describe
from metagan.sampling.latents import latents, one_hot
from tests.lab.nets import FILES, load, small

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "lineages.json").read_text())


def vector(known) -> Lineage:
    """What a line of the vectors says."""
    steps = [
        Step(tuple(one["parents"]), one["taken"] and tuple(one["taken"]), tuple(one["mutated"]),
             one["strength"], one["seed"])
        for one in known["steps"]
    ]  # fmt: skip
    label = tuple(known["label"]) if isinstance(known["label"], list) else known["label"]
    founders = tuple(
        one if isinstance(one, int) else Projected(tuple(map(tuple, one["projected"])))
        for one in known["founders"]
    )
    return Lineage(
        known["layers"], known["mark"], known["psi"], label, founders, tuple(steps), known["brood"]
    )


@pytest.fixture
def blob(tmp_path):
    """A generator, and a registry whose subject it is."""
    generator = small()
    write_safetensors(
        tmp_path / "net.safetensors", generator.state_dict(), replace(describe(generator), licence="CC0-1.0")
    )
    (tmp_path / "registry.yaml").write_text(
        "site: {title: T, base_url: https://e.org/}\nsubjects:\n  blob:\n    title: Blob\n    licence: CC0-1.0\n"
        "    source: here\n    psi: 0.5\n    weights: net.safetensors\n"
    )
    return generator, tmp_path


def run(folder, *args):
    line = ["sample", "blob", "--registry", str(folder / "registry.yaml"), *map(str, args)]
    return CliRunner().invoke(metagan, line, catch_exceptions=False)


def family(generator, *steps, founders=(3, 4), label=None, is_brood=False):
    return Lineage(generator.num_ws, mark_of(generator), 700, label, founders, steps, is_brood)


@pytest.mark.parametrize("known", VECTORS["good"], ids=lambda known: known["code"][:20])
def test_a_code_says_what_was_written_and_is_written_alike(known):
    assert read_lineage(known["code"]) == vector(known)
    assert write_lineage(vector(known)) == known["code"]


@pytest.mark.parametrize(
    "code", [code for codes in VECTORS["bad"].values() for code in codes], ids=lambda code: code[-16:] or "no"
)
def test_a_code_that_is_none_is_refused_with_the_way_out(code):
    with pytest.raises(OptionError, match="lineage") as refused:
        read_lineage(code)
    assert re.search("copy the page's address|open its address on the site", str(refused.value))


def test_no_code_that_is_cut_off_or_has_another_letter_is_read():
    code = VECTORS["good"][2]["code"]
    for length in range(len(code)):
        with pytest.raises(OptionError):
            read_lineage(code[:length])
    for place, letter in enumerate(code):
        with pytest.raises(OptionError):
            read_lineage(code[:place] + ("A" if letter != "A" else "_") + code[place + 1 :])


def test_a_code_is_read_from_its_address():
    code = VECTORS["good"][2]["code"]
    for address in (f"https://e.org/ape/breed/?lineage={code}", f" ?dials=1:2&lineage={code}&a=b#top\n"):
        assert read_lineage(address) == read_lineage(code)


def test_the_largest_family_fits_its_bound_and_no_larger_one_is_read():
    steps = (Step((0,), None, (0, 9), 64, 1),)
    steps += tuple(Step((one - 1, one - 2), (0, 9), (0, 9), 64, one) for one in range(2, MOST_INDIVIDUALS))
    largest = Lineage(10, "abcdef", 1000, (0.5,) * 31, (7,), steps)
    assert read_lineage(write_lineage(largest)) == largest
    assert len(write_lineage(largest)) == MOST_LETTERS
    assert len(write_lineage(replace(largest, label=3))) == 1768
    more = replace(largest, label=None, steps=(*steps, steps[0]))
    with pytest.raises(OptionError, match="more than 120 individuals"):
        read_lineage(write_lineage(more))


def test_a_bred_picture_is_that_of_the_chain_by_hand(blob):
    generator, folder = blob
    last = generator.num_ws - 1
    bred = family(
        generator,
        Step((0, 1), (1, 2), (0, last), 16, 5),
        Step((2,), None, (2, last), 97, 6),
        Step((3, 0), (0, 0), (0, 1), 128, 7),
    )
    opened = api.load(folder / "net.safetensors")
    three, four, five, six, seven = opened.styles([3, 4, 5, 6, 7], psi=0.7).numpy()
    child = three.copy()
    child[1:3] = four[1:3]
    child = child + np.float32(16 / 128) * (five - child)
    grandchild = child.copy()
    grandchild[2:] += np.float32(97 / 128) * (six[2:] - grandchild[2:])
    backcross = np.concatenate([three[:1], grandchild[1:]])
    backcross[:2] += seven[:2] - backcross[:2]
    (styles,) = lineage_styles(bred, generator)
    assert np.abs(styles.numpy() - backcross).max() < 1e-6
    (picture,) = opened.sample(lineage=write_lineage(bred))
    want = np.asarray(opened.draw(torch.from_numpy(backcross))).astype(int)
    assert np.abs(np.asarray(picture).astype(int) - want).max() <= 1
    assert np.abs(np.asarray(opened.sample([3], psi=0.7)[0]).astype(int) - want).max() > 8


@pytest.mark.parametrize("architecture", FILES)
def test_a_founder_is_its_seed_s_picture_whatever_the_architecture(architecture):
    generator = load(architecture)
    label = 1 if generator.c_dim else None
    psi = 0.7 if mean_style(generator) is not None else 1
    founder = replace(family(generator, founders=(3,), label=label), psi=int(1000 * psi))
    (found,) = lineage_styles(founder, generator)
    rows = one_hot(1, generator.c_dim, 1)
    with torch.inference_mode():
        want = generator.map_latents(latents([3], generator.z_dim), rows, psi=psi)[0]
    assert torch.equal(found, want)


def test_the_command_draws_one_or_a_brood_s_nine_and_python_the_same(blob):
    generator, folder = blob
    brood = family(generator, Step((0, 1), (0, 0), (0, 3), 16, 2**32 - 3), is_brood=True)
    address = f"https://e.org/blob/breed/?lineage={write_lineage(brood)}"
    answer = run(folder, "--lineage", address, "--out", folder / "out", "--sheet", folder / "sheet.png")
    assert answer.exit_code == 0, answer.output
    pictures = api.load("blob", registry=folder / "registry.yaml").sample(lineage=address)
    assert len(pictures) == 9
    codes = [picture.info["lineage"] for picture in pictures]
    assert [read_lineage(code).steps[-1].seed for code in codes] == [
        *range(2**32 - 3, 2**32),
        *range(6),
    ]
    for code, picture in zip(codes, pictures, strict=True):
        one = run(folder, "--lineage", code, "--out", folder / "one")
        assert "1 picture\n" in one.output
        file = folder / "one" / f"lineage-{read_lineage(code).checksum}.png"
        for found in (file, folder / "out" / file.name):
            with Image.open(found) as image:
                assert np.array_equal(np.asarray(image), np.asarray(picture))
                assert f'metagan:psi="0.7" metagan:lineage="{code}"' in image.info["XML:com.adobe.xmp"]
    api.save(pictures[0], folder / "saved.png")
    with Image.open(folder / "saved.png") as image:
        assert f'metagan:lineage="{codes[0]}"' in image.info["XML:com.adobe.xmp"]


def test_a_lineage_of_another_generator_is_refused_unless_foreign_styles_are_wanted(blob):
    generator, folder = blob
    for other, words in (
        (replace(family(generator, founders=(3,)), num_ws=18), "18 layers and no label, and this one has 6"),
        (replace(family(generator, founders=(3,)), label=1), "layers and a label"),
        (replace(family(generator, founders=(3,)), mark="000000"), "another generator, whose hash begins"),
    ):
        answer = CliRunner().invoke(
            metagan,
            [
                "sample",
                str(folder / "net.safetensors"),
                "--lineage",
                write_lineage(other),
                "--out",
                str(folder),
            ],
        )
        assert answer.exit_code != 0
        assert words in str(answer.exception)
    answer = run(folder, "--lineage", write_lineage(other), "--foreign-styles", "--out", folder / "out")
    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("more", [["--seeds", "1"], ["--psi", "0"], ["--class", "0"], ["--label", "1,2"]])
def test_a_lineage_leaves_no_room_for_seeds_psi_and_class(blob, more):
    answer = run(blob[1], "--lineage", "AAAA", *more)
    assert answer.exit_code == 2
    assert "--lineage has its own seeds, psi and class; leave" in answer.output
    opened = api.load(blob[1] / "net.safetensors")
    with pytest.raises(OptionError, match="a lineage has its own seeds"):
        opened.sample([1], lineage="AAAA")
    with pytest.raises(OptionError, match="want whole numbers, got none"):
        opened.sample()
    with pytest.raises(OptionError, match="lineage: want a code, got 7"):
        opened.sample(lineage=7)


def test_random_noise_has_no_seed_to_come_from(blob):
    code = write_lineage(family(blob[0], founders=(3,)))
    with pytest.raises(OptionError, match=r"random noise.*\n  fix: add --noise const"):
        api.load(blob[1] / "net.safetensors").sample(lineage=code, noise="random")


def test_axes_are_perpendicular_and_hold_most_of_the_styles():
    generator = small(w_dim=16)
    axes = find_axes(generator, 6)
    products = axes.vectors @ axes.vectors.t()
    assert (products - products.diag().diag()).abs().max() < 1e-5 * products.max()
    w = generator.map_latents(latents(range(500), 8), None)[:, 0].detach()
    code = axes.code(w)
    assert 0.7 < code.std() < 1.3
    drawn = axes.styles(code[:, None], generator.num_ws)[:, 0]
    assert (drawn - w).square().sum() < 0.35 * (w - axes.centre).square().sum()
    assert torch.allclose(axes.code(drawn), code, atol=1e-4)


def test_a_projected_founder_has_a_style_for_each_range_and_breeds_like_others(blob):
    generator, folder = blob
    numbers = Projected(((24, -12, 0), (0, 48, -127)))
    axes = find_axes(generator, 3)
    coarse = axes.centre + axes.vectors[0] - axes.vectors[1] / 2
    fine = axes.centre + 2 * axes.vectors[1] - axes.vectors[2] * (127 / UNITS)
    half = generator.num_ws // 2
    want = torch.stack([coarse] * half + [fine] * (generator.num_ws - half))
    assert to_numbers(axes.code(torch.stack([coarse, fine]))) == numbers
    lineage = family(generator, founders=(numbers,))
    (styles,) = lineage_styles(lineage, generator)
    assert torch.allclose(styles, want, atol=1e-5)
    child = family(generator, Step((0, 1), (half, half), (0, 0), 0, 5), founders=(numbers, 4))
    (bred,) = lineage_styles(read_lineage(write_lineage(child)), generator)
    four = torch.from_numpy(api.load(folder / "net.safetensors").styles([4], psi=0.7).numpy())[0]
    assert torch.equal(bred[:half], styles[:half])
    assert torch.equal(bred[half], four[half])
    code = write_lineage(lineage)
    result = run(folder, "--lineage", code, "--out", folder / "out")
    assert result.exit_code == 0, result.output
    assert len(list((folder / "out").iterdir())) == 1
    assert len(api.load(folder / "net.safetensors").sample(lineage=code)) == 1


def test_a_projected_founder_of_more_axes_than_there_are_is_refused(blob):
    generator, _ = blob
    code = write_lineage(family(generator, founders=(Projected(((1,) * 9,)),)))
    with pytest.raises(OptionError, match="on 9 axes, and this generator's styles have 8"):
        lineage_styles(read_lineage(code), generator)
