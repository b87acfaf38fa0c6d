"""Generators whose learned constant isn't a square of 4x4: every format, every form, and the command line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import metagan
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan as cli
from metagan.errors import CheckpointError, MalformedFileError
from metagan.live.native import NoKernel
from metagan.networks.generator import Noise
from metagan.networks.loading.convert import convert, convert_to_official
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.networks.loading.forms import describe
from metagan.networks.stylegan2 import fast
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats import rosinality, tensorflow
from metagan.networks.stylegan2.formats.official import discriminator_names, to_official
from metagan.networks.stylegan2.native import NativeStyleGAN2, native_form
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.levels import to_uint8
from metagan.values import InvalidValueError, Size
from tests.networks.stylegan2.formats import test_rosinality, test_tensorflow
from tests.networks.stylegan2.formats.foreign import checkpoint, randomised, spell_out

GOLDEN = Path(__file__).parents[2] / "golden"
MAPPING = MappingConfig(6, 0, 0, (8, 8))
SHAPES = [(4, 2), (2, 4), (4, 6), (3, 5), (8, 16), (8, 8)]


def rectangular(constant: tuple[int, int] = (4, 2), **changes: object) -> StyleGAN2:
    """A small random generator with that constant, height and width."""
    config = Config(MAPPING, channels=(8, 6, 5, 4), constant=constant)
    return randomised(StyleGAN2(dataclasses.replace(config, **changes)))


def to_levels(images: torch.Tensor) -> torch.Tensor:
    """Images [n, ch, h, w] as bytes [n, h, w, ch]."""
    return torch.from_numpy(np.stack(to_uint8(images))).int()


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture file."""
    with Image.open(path) as image:
        return image.size


def stored(tmp_path, network: StyleGAN2):
    """The network in a file."""
    path = tmp_path / "portrait.safetensors"
    write_safetensors(path, network.state_dict(), describe(network))
    return path


def test_the_forks_pictures_and_logits_are_ours():
    file, arrays = read_checkpoint(GOLDEN / "rect_ada_4x6.pkl"), np.load(GOLDEN / "rect_ada_4x6.npz")
    generator, discriminator = load_generator(file), load_discriminator(file)
    assert (generator.config.constant, generator.size, discriminator.config.last_px) == (
        (4, 6),
        (24, 16),
        (4, 6),
    )
    for psi, name in ((1.0, "1"), (0.7, "0.7")):
        ws = generator.map_latents(torch.from_numpy(arrays["z"]), psi=psi)
        assert np.allclose(ws, arrays[f"ws_{name}"], atol=1e-5)
        assert np.allclose(generator.synthesize(ws), arrays[f"img_{name}"], atol=1e-4)
    logits = discriminator(torch.from_numpy(arrays["img_1"]))
    assert np.allclose(logits.detach(), arrays["logits"], atol=1e-4)


@pytest.mark.parametrize("constant", SHAPES)
def test_every_form_draws_the_same_pictures(constant):
    generator = rectangular(constant)
    ws = generator.map_latents(torch.randn(2, 6))
    images = generator.synthesize(ws)
    assert (
        images.shape[2:]
        == (constant[0] * 8, constant[1] * 8)
        == (generator.size.height, generator.size.width)
    )
    drawn = fast.prepare(generator, torch.float32).synthesize(ws)
    assert torch.allclose(drawn, images, atol=1e-3 * float(images.abs().max()))
    kernel = native_form(generator)
    assert isinstance(kernel, NativeStyleGAN2 | NoKernel)
    if isinstance(kernel, NativeStyleGAN2):
        assert torch.allclose(kernel.synthesize(ws), images, atol=1e-3 * float(images.abs().max()))
        assert (kernel.pictures(ws).int() - to_levels(images)).abs().max() <= 1
    trained = fast.synthesize_for_training(generator, ws, Noise("const"))
    assert torch.allclose(trained, images, atol=1e-3 * float(images.abs().max()))


@pytest.mark.parametrize("kind", ["skip", "resnet", "orig"])
def test_official_files_come_back_whatever_their_blocks(kind, tmp_path):
    generator = rectangular((4, 6), kind=kind)
    official = to_official(generator)
    assert official.arguments["init_res"] == [4, 6]
    assert "begins with 4x6 pixels; forks take that as init_res" in official.notes[0]
    assert not to_official(rectangular((4, 4))).notes
    assert official.arguments["img_resolution"] == 32
    read = load_generator(checkpoint(dict(official.state)))
    assert read.config == generator.config
    path = stored(tmp_path, generator)
    assert load_generator(read_checkpoint(path)).config == generator.config
    convert_to_official(path, tmp_path / "official.pt")
    convert(tmp_path / "official.pt", tmp_path / "again.safetensors")
    again = load_generator(read_checkpoint(tmp_path / "again.safetensors")).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in generator.state_dict().items())


def test_the_header_of_a_square_network_is_as_it_was(tmp_path):
    assert "constant" not in describe(rectangular((4, 4))).configuration
    assert describe(rectangular((4, 2))).configuration["constant"] == (4, 2)


def test_a_larger_constant_may_be_named_by_its_size():
    generator = rectangular((8, 16))
    state = {}
    for name, tensor in to_official(generator).state.items():
        stem, dot, rest = name.removeprefix("synthesis.b").partition(".")
        state[f"synthesis.b{2 * int(stem)}{dot}{rest}" if name.startswith("synthesis.") else name] = tensor
    assert load_generator(checkpoint(state)).config == generator.config


@pytest.mark.parametrize(
    "attributes",
    [
        {"img_resolution": 16},  # counts blocks
        {"img_resolution": [16, 8]},
        {"img_resolution": (8, 16)},
        {"img_resolution": 16, "synthesis.init_res": [4, 2], "init_res": [4, 2]},
    ],
)
def test_sizes_that_the_tensors_confirm_are_accepted(attributes):
    generator = rectangular(channels=(8, 6, 5))
    state = dict(to_official(generator).state)
    assert load_generator(checkpoint(state, attributes=attributes)).size == Size(8, 16)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"img_resolution": 64}, "img_resolution is 64, its tensors say 8x16"),
        ({"init_res": [2, 4]}, r"init_res is \[2, 4\], its tensors say \(4, 2\)"),
    ],
)
def test_sizes_that_the_tensors_contradict_are_refused(attributes, message):
    state = dict(to_official(rectangular(channels=(8, 6, 5))).state)
    with pytest.raises(MalformedFileError, match=message):
        load_generator(checkpoint(state, attributes=attributes))


@pytest.mark.parametrize("constant", [(4, 2), (6, 4)])
def test_other_programs_files_may_be_rectangular_too(constant):
    config = Config(MappingConfig(6, 0, 0, (7,)), channels=(3, 5, 2), constant=constant)
    network, table = test_rosinality.written(config)
    assert load_generator(checkpoint(table)).config == config
    bare = {name: tensor for name, tensor in table.items() if not name.startswith("noises.")}
    assert load_generator(checkpoint(bare)).blocks[2].conv1.noise.shape == (constant[0] * 4, constant[1] * 4)
    config = dataclasses.replace(config, mapping=MAPPING)
    network, table = test_tensorflow.written(config)
    height, width = network.size.height, network.size.width
    says = {
        "resolution_h": height,
        "resolution_w": width,
        "min_h": constant[0],
        "min_w": constant[1],
        "res_log2": 2,
    }
    for options in (says, {"resolution": 16, "init_res": list(constant)}, {"resolution": height}):
        assert load_generator(checkpoint(table, attributes={"static_kwargs": options})).config == config
    with pytest.raises(MalformedFileError, match=rf"resolution_h is {width}, its tensors say {height}"):
        load_generator(checkpoint(table, attributes={"static_kwargs": {"resolution_h": width}}))


def test_a_discriminator_needs_the_sides_that_its_tensors_dont_tell():
    config = DiscriminatorConfig(channels=(3, 5, 2), last_px=(4, 2))
    network = randomised(Discriminator(config))
    state = network.state_dict()
    official = {foreign: state[own] for foreign, own in discriminator_names(config).items() if own}
    unused = {name: torch.zeros(4, 4) for name, own in discriminator_names(config).items() if own is None}
    read = load_discriminator(checkpoint(official | unused, "D", {"b4.init_res": [4, 2]}))
    assert read.config == config
    with pytest.raises(MalformedFileError, match="takes 8 pixels of a channel, and the file doesn't say"):
        load_discriminator(checkpoint(official | unused, "D"))
    table = spell_out(official, tensorflow.discriminator_spelling, test_tensorflow.STORED)
    options = {"static_kwargs": {"min_h": 4, "min_w": 2, "mbstd_group_size": 4}}
    assert load_discriminator(checkpoint(table, "D", options)).config.last_px == (4, 2)
    spelled = spell_out(official, rosinality.discriminator_spelling(16), {})
    with pytest.raises(CheckpointError):
        load_discriminator(checkpoint(spelled, "D"))


def test_inspect_and_sample_draw_any_aspect(tmp_path):
    path = stored(tmp_path, rectangular())
    run = CliRunner().invoke(cli, ["inspect", str(path)])
    assert "resolution      16x32" in run.output
    facts = json.loads(CliRunner().invoke(cli, ["inspect", str(path), "--json"]).stdout)
    assert (facts["width"], facts["height"]) == (16, 32)
    command = [
        "sample",
        str(path),
        "--seeds",
        "0-5",
        "--out",
        str(tmp_path / "out"),
        "--sheet",
        str(tmp_path / "s.png"),
    ]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    assert size_of(tmp_path / "out" / "seed0003.png") == (16, 32)
    assert size_of(tmp_path / "s.png") == (5 * 16, 2 * 32)


def test_the_python_api_tells_the_size(tmp_path):
    portraits = metagan.load(stored(tmp_path, rectangular()))
    assert portraits.size == (16, 32)
    assert {picture.size for picture in portraits.sample([1, 2])} == {(16, 32)}
    assert metagan.sheet(portraits.sample(range(4)), columns=2).size == (32, 64)
    assert portraits.draw(portraits.styles([5])[0]).size == (16, 32)


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("512x1024", (512, 1024)), ("3 × 2", (3, 2))])
def test_sizes_are_width_by_height(text, size):
    assert Size.read(text) == size


@pytest.mark.parametrize("text", ["", "x", "12x", "0", "12x0", "1x2x3", "-4", "٤", "1e3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidValueError, match="want a side in pixels, or WIDTHxHEIGHT"):
        Size.read(text)
