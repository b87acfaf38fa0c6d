"""Blends: a child takes from its parents what it is asked to, and strangers are refused."""

import copy

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import OptionError
from metagan.lab.blend import (
    MAPPING,
    Between,
    BlendOptions,
    blend,
    compare,
    layers_of,
    require_related,
    shares_of,
)
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe
from metagan.sampling.sampler import Settings
from tests.lab.nets import FILES, load, picture, small


def child_of(parent, strength=0.2, seed=5):
    """A generator whose weights are a parent's, moved a little."""
    child = copy.deepcopy(parent)
    source = torch.Generator().manual_seed(seed)
    for parameter in child.parameters():
        noise = torch.randn(parameter.shape, generator=source)
        parameter.data += strength * parameter.data.square().mean().sqrt() * noise
    return child


def write(path, generator, licence="CC0-1.0"):
    header = describe(generator)
    write_safetensors(
        path, generator.state_dict(), type(header)(header.architecture, header.configuration, licence)
    )
    return str(path)


@pytest.fixture(scope="module")
def parents():
    first = small()
    return first, child_of(first)


@pytest.fixture
def files(tmp_path, parents):
    return [write(tmp_path / f"{name}.safetensors", each) for name, each in zip("ab", parents, strict=True)]


def run(*words):
    return CliRunner().invoke(metagan, ["blend", *map(str, words)])


@pytest.mark.parametrize("family", sorted(FILES))
def test_each_architecture_is_blended_layer_by_layer(family):
    first = load(family)
    second = child_of(first)
    similarity = compare(first, second)
    assert similarity.related
    assert min(similarity.cosines.values()) > 0.9
    layers = layers_of(first)
    sizes = [layer.size_px for layer in layers if layer.name != MAPPING]
    assert sizes == sorted(sizes)
    assert sizes[-1] == first.resolution
    named = [name for layer in layers for name in layer.tensors]
    assert len(set(named)) == len(named)
    assert {name for name, _ in first.named_parameters()} <= set(named)
    ends = [
        blend(first, second, dict.fromkeys((layer.name for layer in layers), share)) for share in (0.0, 1.0)
    ]
    for child, parent in zip(ends, (first, second), strict=True):
        wanted = dict(parent.named_parameters())
        assert all(torch.equal(parameter, wanted[name]) for name, parameter in child.named_parameters())
    between = picture(blend(first, second, shares_of(layers, BlendOptions(alpha=0.5))), 1).astype(float)
    assert np.abs(between - picture(first, 1)).max() > 0
    assert np.abs(between - picture(second, 1)).max() > 0


def test_halfway_weights_are_the_mean_of_both(parents):
    first, second = parents
    child = blend(first, second, shares_of(layers_of(first), BlendOptions()))
    for name, tensor in child.state_dict().items():
        a, b = first.state_dict()[name], second.state_dict()[name]
        assert torch.allclose(tensor, (a + b) / 2, atol=1e-6) or torch.equal(a, b)


def test_a_swap_takes_coarse_layers_of_one_and_fine_ones_of_the_other(parents):
    first, second = parents
    layers = layers_of(first)
    child = blend(first, second, shares_of(layers, BlendOptions(swap=16))).state_dict()
    for layer in layers:
        wanted = second if layer.size_px >= 16 else first
        assert all(torch.equal(child[name], wanted.state_dict()[name]) for name in layer.tensors), layer.name
    theirs = blend(first, second, shares_of(layers, BlendOptions(swap=16, mapping="second"))).state_dict()
    assert torch.equal(theirs["mapping.layers.0.weight"], second.state_dict()["mapping.layers.0.weight"])


def test_a_soft_edge_rises_through_one_half_at_the_edge():
    layers = layers_of(small(resolution=64))
    soft = shares_of(layers, BlendOptions(swap=16, soft=2))
    by_size = {layer.size_px: soft[layer.name] for layer in layers if layer.name != MAPPING}
    assert by_size == {4: 0.0, 8: 0.25, 16: 0.75, 32: 1.0, 64: 1.0}
    halved = shares_of(layers, BlendOptions(swap=16, soft=2, alpha=0.5))
    assert halved["blocks.2.conv0"] == 0.375


def test_single_layers_take_the_shares_that_they_are_given(parents):
    layers = layers_of(parents[0])
    shares = shares_of(layers, BlendOptions(ranges=((0, 1, 0.25), (3, 3, 1.0))))
    drawing = [shares[layer.name] for layer in layers if layer.name != MAPPING]
    assert drawing == [0.25, 0.25, 0, 1.0, *[0] * (len(drawing) - 4)]
    assert shares[MAPPING] == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (BlendOptions(alpha=1.5), "alpha 1.5"),
        (BlendOptions(swap=4), "swap 4: this generator's layers work at 4, 8, 16 pixels"),
        (BlendOptions(swap=12), "swap 12"),
        (BlendOptions(swap=8, soft=-1), "soft -1"),
        (BlendOptions(ranges=((0, 99, 1.0),)), "layers 0-99"),
        (BlendOptions(swap=8, ranges=((0, 1, 1.0),)), "leave nothing"),
    ],
)
def test_shares_that_mean_nothing_are_refused(parents, options, found):
    with pytest.raises(OptionError, match=found):
        shares_of(layers_of(parents[0]), options)


def test_strangers_are_refused_with_the_way_out_even_if_their_mapping_networks_agree(parents):
    stranger = small(seed=9)
    stranger.mapping.load_state_dict(parents[0].mapping.state_dict())
    similarity = compare(parents[0], stranger)
    assert similarity.cosines[MAPPING] == pytest.approx(1)
    with pytest.raises(OptionError, match="unrelated weights") as refusal:
        require_related(similarity)
    assert "metagan train B.zip --start A.safetensors" in str(refusal.value)
    assert "--force" in str(refusal.value)
    with pytest.raises(OptionError, match="two architectures"):
        compare(load("stylegan3"), load("stylegan2"))


def test_a_larger_relative_is_blended_where_shapes_agree(parents):
    larger = small(resolution=32)
    larger.load_state_dict(larger.state_dict() | parents[1].state_dict())
    similarity = compare(larger, parents[0])
    assert similarity.related
    assert {name.split(".")[1] for name in similarity.different} == {"3"}
    child = blend(larger, parents[0], shares_of(layers_of(larger), BlendOptions(alpha=1)))
    assert torch.equal(child.blocks[2].conv1.weight, parents[0].blocks[2].conv1.weight)
    assert torch.equal(child.blocks[3].conv1.weight, larger.blocks[3].conv1.weight)


def test_the_way_begins_with_one_parent_and_ends_with_the_other(parents):
    first, second = parents
    shares = shares_of(layers_of(first), BlendOptions(alpha=1))
    between = Between(first, second, shares, (1, 2), Settings())
    for along, parent in ((0, first), (1, second)):
        for shown, seed in zip(between.pictures(along), (1, 2), strict=True):
            assert np.abs(shown.astype(int) - picture(parent, seed)).max() <= 1
    frames = list(between.film(5, loop=True))
    assert np.array_equal(frames[1], frames[4])
    assert between.sheet(3).shape == (256, 384, 3)


def test_the_command_writes_a_child_that_draws_and_says_where_it_comes_from(tmp_path, files):
    out, sheet, film = tmp_path / "child.safetensors", tmp_path / "s.png", tmp_path / "f.webp"
    words = (
        "--swap",
        8,
        "--out",
        out,
        "--sheet",
        sheet,
        "--film",
        film,
        "--seconds",
        0.5,
        "--fps",
        8,
        "--loop",
    )
    result = run(*files, *words)
    assert result.exit_code == 0, result.output
    assert "cosine 0.9" in result.output
    header = read_checkpoint(out).header
    assert header.licence == "CC0-1.0"
    assert header.source == "Blended by metagan from a.safetensors and b.safetensors"
    assert [parent["name"] for parent in header.training["blend"]["parents"]] == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert header.training["blend"]["shares"]["blocks.1.conv0"] == 1
    assert picture(load_generator(read_checkpoint(out)), 1).shape == (16, 16, 3)
    with Image.open(film) as shown:
        assert shown.n_frames == 4
    with Image.open(sheet) as shown:
        assert b"trainedAlgorithmicMedia" in sheet.read_bytes()


def test_the_command_refuses_strangers_unless_it_is_forced(tmp_path, files):
    stranger, out = write(tmp_path / "c.safetensors", small(seed=9), "MIT"), tmp_path / "child.safetensors"
    result = run(files[0], stranger, "--out", out)
    assert isinstance(result.exception, OptionError)
    assert not out.exists()
    result = run(files[0], stranger, "--out", out, "--force", "--alpha", "0-2:0.5,3:1")
    assert result.exit_code == 0, result.output
    assert read_checkpoint(out).header.licence == "CC0-1.0 AND MIT"


@pytest.mark.parametrize("alpha", ["nan", "half", "0-2", "0-2:x", ""])
def test_the_command_refuses_an_alpha_that_is_no_share(files, alpha):
    result = run(*files, "--alpha", alpha)
    assert result.exit_code == 2
    assert "want a number from 0 to 1" in result.output


def test_the_command_refuses_options_that_would_do_nothing(tmp_path, files):
    same = tmp_path / "same.webp"
    for words, says in (
        (("--soft", "3"), "give --swap too"),
        (("--sheet", same, "--film", same), "name one file"),
    ):
        result = run(*files, *words)
        assert result.exit_code == 2
        assert says in result.output


def test_a_sheet_or_film_beyond_its_formats_limit_is_refused_before_it_is_drawn(tmp_path, files, monkeypatch):
    monkeypatch.setattr("metagan.lab.blend.Between.pictures", None)
    for option, name, least in (("--sheet", "t.webp", 17 * 2000), ("--film", "t.gif", 2000)):
        result = run(*files, option, tmp_path / name, "--seeds", "0-4999", "--steps", "5")
        assert "pixels a side, got" in str(result.exception), least
        assert name in str(result.exception)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("t.")]
