"""Dials: what they move is seen, no two move the same, and a step of each is the same change."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.errors import MalformedFileError, OptionError
from metagan.lab.dials import METADATA_KEY, read_directions, write_directions
from metagan.lab.directions import (
    TIMES_RANDOM,
    DirectionFinder,
    DirectionsOptions,
    find_directions,
    style_weights,
)
from metagan.networks.loading.detect import load_generator
from metagan.registry.weights_ref import bundled_weights
from tests.lab.nets import FILES, load, small

FEW = DirectionsOptions(candidates=3, pictures=3, count=4)


def lopsided():
    """A generator that hears one direction of its styles much louder than all others."""
    network = small(w_dim=64)
    loud = torch.randn(64, generator=torch.Generator().manual_seed(1))
    loud /= loud.norm()
    for name, parameter in network.named_parameters():
        if name.endswith("affine.weight"):
            parameter.data += 1.5 * torch.outer((parameter.data @ loud).sign(), loud)
    return network, loud


@pytest.mark.parametrize("family", sorted(FILES))
def test_each_architecture_has_directions_or_says_that_none_is_worth_it(family, monkeypatch):
    generator = load(family)
    options = dataclasses.replace(FEW, label=0 if generator.c_dim else None)
    finder = DirectionFinder(generator, options)
    measured, least, in_z = [], TIMES_RANDOM, family in ("r3gan", "dcgan")
    if in_z:  # no direction of these two small generators stands out; without the limit the strongest is kept
        with pytest.raises(OptionError, match="no direction does twice as much"):
            finder.find(measured.append)
        assert measured
        least = 0.0
        monkeypatch.setattr("metagan.lab.directions.TIMES_RANDOM", least)
    found = finder.find(measured.append)
    assert found.info.space == ("z" if in_z else "w")
    assert found.info.dials
    assert all(dial.times_random >= least for dial in found.info.dials)
    moved = found.turn(finder.base, {0: 2.0})
    assert not torch.equal(moved, finder.base)


@pytest.mark.parametrize("family", ["stylegan2", "stylegan3", "lucidrains"])
def test_every_layer_s_style_weights_are_found(family):
    generator = load(family)
    with torch.inference_mode():
        found = style_weights(generator)
    layers = {layer for layer, _ in found}
    with torch.inference_mode():
        z = torch.zeros(1, generator.z_dim)
        label = torch.zeros(1, generator.c_dim) if generator.c_dim else None
        num_ws = generator.map_latents(z, label).shape[1]
    assert layers >= set(range(num_ws - 1))
    assert all(weight.ndim == 2 for _, weight in found)


def test_sefa_finds_the_direction_that_layers_hear_loudest():
    network, loud = lopsided()
    found = find_directions(network, dataclasses.replace(FEW, methods=("sefa",), ranges=((0, 5),)))
    vector = found.vectors[0] / found.vectors[0].norm()
    assert abs(float(vector @ loud)) > 0.7  # of 64 dimensions: by chance it would be about 0.1


def test_copies_of_a_stronger_direction_are_dropped_and_the_strongest_comes_first():
    network, _ = lopsided()
    found = find_directions(network, dataclasses.replace(FEW, ranges=((0, 5), (0, 5))))
    effects = [dial.times_random for dial in found.info.dials]
    assert effects == sorted(effects, reverse=True)
    unit = found.vectors / found.vectors.norm(dim=1, keepdim=True)
    alike = (unit @ unit.t()).abs() - torch.eye(len(unit))
    assert float(alike.max()) < 0.95  # each range's first is the other's


@pytest.fixture(scope="module")
def bagels():
    generator = load_generator(read_checkpoint(bundled_weights("bagels")))
    finder = DirectionFinder(generator, dataclasses.replace(FEW, ranges=((5, 9),)))
    return generator, finder, finder.find()


def test_a_step_of_each_dial_is_the_same_visible_change(bagels):
    generator, finder, found = bagels
    changes = []
    with torch.inference_mode():
        before = generator.synthesize(finder.base).clamp(-1, 1)
        for number in range(len(found.vectors)):
            for step in (1, -1):
                after = generator.synthesize(found.turn(finder.base, {number: step})).clamp(-1, 1)
                changes.append(float((after - before).square().mean(dim=(1, 2, 3)).sqrt().mean()))
    both = np.reshape(changes, (-1, 2)).mean(axis=1)
    assert len(both) > 1
    assert both.max() < 1.6 * both.min()


def test_dials_move_their_own_layers_only(bagels):
    _, _, found = bagels
    styles = torch.zeros(2, 10, 256)
    moved = found.turn(styles, {0: 1.5})
    assert torch.equal(moved[:, 5], 1.5 * found.vectors[0].expand(2, -1))
    assert not moved[:, :5].any()
    assert not styles.any()
    with pytest.raises(OptionError, match=f"there are dials 1 to {len(found.vectors)}"):
        found.turn(styles, {99: 1.0})


def test_files_come_back_and_bad_ones_are_refused(tmp_path):
    network, _ = lopsided()
    found = find_directions(network, FEW)
    path = tmp_path / "d.safetensors"
    write_directions(path, found)
    read = read_directions(path)
    assert read.info == found.info
    assert torch.equal(read.vectors, found.vectors)
    text = found.info.model_dump_json()
    few = json.dumps(json.loads(text) | {"dials": []})
    for tensors, metadata in (
        ({"directions": found.vectors * float("nan")}, {METADATA_KEY: text}),
        ({"directions": found.vectors}, {METADATA_KEY: few}),
        ({"directions": found.vectors}, {METADATA_KEY: "[]"}),
        ({"directions": found.vectors}, {}),
        ({"other": found.vectors}, {METADATA_KEY: text}),
    ):
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(MalformedFileError, match=r"d\.safetensors: .*\n  fix"):
            read_directions(path)


def test_layers_and_methods_that_are_not_there_are_refused():
    with pytest.raises(OptionError, match="layers 4-6: this generator has layers 0 to 5"):
        DirectionFinder(small(), dataclasses.replace(FEW, ranges=((4, 6),)))
    with pytest.raises(OptionError, match=r"dcgan.*no styles\n  fix: use --method pca"):
        DirectionFinder(load("dcgan"), dataclasses.replace(FEW, methods=("sefa",)))


def test_the_command_writes_a_file_and_a_sheet(tmp_path):
    out, sheet = tmp_path / "d.safetensors", tmp_path / "d.png"
    args = ["directions", "bundled:bagels", "--out", str(out), "--sheet", str(sheet), "--count", "2"]
    args += ["--candidates", "2", "--pictures", "2", "--layers", "5-9", "--lpips", "none"]
    result = CliRunner().invoke(metagan, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    dials = read_directions(out).info.dials
    assert result.stdout.startswith("dial 1: layers 5 to 9, ")
    with Image.open(sheet) as image:
        assert image.size == (7 * 64, len(dials) * 4 * 64 + (len(dials) - 1) * 4)


def test_more_wanted_traits_than_dials_are_refused():
    words = ["directions", "x", "--out", "y.safetensors", "--count", "1", "--trait", "A=b", "--trait", "C=d"]
    result = CliRunner().invoke(metagan, words)
    assert result.exit_code == 2
    assert "give a larger one" in result.output
