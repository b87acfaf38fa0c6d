"""Files that hold one network bare, or state dicts under names of their authors' choice."""

import pickle
from pathlib import Path

import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.cli.inspect import summarize
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import load_discriminator, load_generator, notes_on
from metagan.networks.stylegan2.formats.official import to_official
from metagan.networks.stylegan2.formats.rosinality import basicsr_spelling
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from tests.checkpoints.builder import module_tree, pickled
from tests.checkpoints.test_recognise import tensorflow_network
from tests.networks.stylegan2.formats.foreign import randomised, spell_out
from tests.networks.stylegan2.formats.test_rosinality import STORED
from tests.networks.stylegan2.formats.test_rosinality import written as written_by_rosinality
from tests.networks.stylegan2.formats.test_tensorflow import PLAIN
from tests.networks.stylegan2.formats.test_tensorflow import written as written_by_tensorflow

GOLDEN = Path(__file__).parents[2] / "golden"
NETWORK = randomised(StyleGAN2(Config(MappingConfig(6, 0, 0, (7,)), channels=(3, 5))))
AVERAGE = dict(to_official(NETWORK).state)
RAW = {name: tensor + 1 for name, tensor in AVERAGE.items()}
WEIGHT = "synthesis.b4.conv1.weight"
D = {
    name: tensor.clone()
    for name, tensor in read_checkpoint(GOLDEN / "sg2ada_cuda16.pkl").networks["D"].tensors.items()
}


def prefixed(prefix: str, table: dict) -> dict:
    return {prefix + name: tensor for name, tensor in table.items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def is_average(generator: StyleGAN2) -> bool:
    return torch.equal(generator.blocks[0].conv1.weight, AVERAGE[WEIGHT])


# Every reading of a single network, and what the note calls it.
ALONE = [
    (AVERAGE, None),
    ({"G_ema": AVERAGE}, "G_ema"),
    ({"params_ema": AVERAGE}, "params_ema"),
    ({"state_dict": AVERAGE, "epoch": 3}, "state_dict"),
    ({"state": AVERAGE}, "state"),
    ({"generator": AVERAGE}, "generator"),
    ({"anything": AVERAGE}, "anything"),
    ({"g_ema": AVERAGE, "step": 1}, "g_ema"),
    (prefixed("module.", AVERAGE), None),
    (prefixed("_orig_mod.", AVERAGE), None),
    (prefixed("module._orig_mod.", AVERAGE), None),
    (prefixed("generator.", AVERAGE), "generator"),
    (prefixed("decoder.", AVERAGE), "decoder"),
    (prefixed("module.generator.", AVERAGE), "generator"),
    ({"state_dict": prefixed("decoder.", AVERAGE)}, "state_dict.decoder"),
    ({"state_dict": prefixed("decoder.", AVERAGE) | {"encoder.w": torch.ones(2)}}, "state_dict.decoder"),
    ({"model": {"G": AVERAGE, "D": D}}, "model.G"),
    ({"G": AVERAGE, "D": D, "optimizer": {"state": {"w": torch.ones(2)}}}, "G"),
    ({"a": AVERAGE, "b": D}, "a"),
]


@pytest.mark.parametrize(("content", "name"), ALONE, ids=range(len(ALONE)))
def test_the_only_generator_is_taken_and_named(tmp_path, content, name):
    checkpoint = read_checkpoint(saved(tmp_path / "net.pt", content))
    assert is_average(load_generator(checkpoint))
    named = [note for note in notes_on(checkpoint) if "taken from the network" in note]
    assert named == ([f"the generator was taken from the network that the file calls {name}"] if name else [])
    if name:
        assert is_average(load_generator(checkpoint, name))


SEVERAL = [
    ({"G": RAW, "D": D, "G_ema": AVERAGE}, "G_ema", "G"),
    ({"params": RAW, "params_ema": AVERAGE}, "params_ema", "params"),
    (
        {"state_dict": prefixed("generator.", RAW) | prefixed("generator_ema.", AVERAGE)},
        "state_dict.generator_ema",
        "state_dict.generator",
    ),
    (prefixed("G.", RAW) | prefixed("D.", D) | prefixed("G_ema.", AVERAGE), "G_ema", "G"),
    ({"first": RAW, "my_ema": AVERAGE}, "my_ema", "first"),
]


@pytest.mark.parametrize(("content", "average", "raw"), SEVERAL, ids=range(len(SEVERAL)))
def test_of_several_generators_the_average_is_taken_and_the_others_are_named(tmp_path, content, average, raw):
    path = saved(tmp_path / "net.pt", content)
    checkpoint = read_checkpoint(path)
    assert is_average(load_generator(checkpoint))
    note = f"{average}, the average, was taken; --network chooses another: {raw}"
    assert notes_on(checkpoint)[0] == note
    assert note in summarize(path)["notes"]
    assert not is_average(load_generator(checkpoint, raw))
    assert note not in notes_on(checkpoint, raw)
    convert(path, tmp_path / "raw.safetensors", role=raw)
    assert not is_average(load_generator(read_checkpoint(tmp_path / "raw.safetensors")))


def test_generators_of_which_none_is_an_average_have_to_be_chosen(tmp_path):
    checkpoint = read_checkpoint(saved(tmp_path / "net.pt", {"one": AVERAGE, "two": RAW}))
    with pytest.raises(
        UnknownArchitectureError, match="several generators: one, two\n  fix: choose one with --net"
    ):
        load_generator(checkpoint)
    assert is_average(load_generator(checkpoint, "one"))
    with pytest.raises(
        UnknownArchitectureError, match="it holds one, two, but no three\n  fix: choose one of"
    ):
        load_generator(checkpoint, "three")


def test_the_discriminator_beside_state_dicts_is_found(tmp_path):
    checkpoint = read_checkpoint(saved(tmp_path / "net.pt", {"G": RAW, "D": D, "G_ema": AVERAGE}))
    assert torch.equal(load_discriminator(checkpoint).epilogue.out.weight, D["b4.out.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_half_and_double_precision_are_read(tmp_path, dtype):
    table = {name: tensor.to(dtype) for name, tensor in AVERAGE.items()}
    weight = load_generator(read_checkpoint(saved(tmp_path / "net.pt", {"g": table}))).blocks[0].conv1.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, table[WEIGHT].float())


def test_doubles_beyond_single_precision_are_refused(tmp_path):
    table = {name: tensor.double() for name, tensor in AVERAGE.items()}
    table[WEIGHT][0] = 1e300
    with pytest.raises(MalformedFileError, match="beyond single precision"):
        load_generator(read_checkpoint(saved(tmp_path / "net.pt", table)))


def test_one_pickled_module_is_the_generator(tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled(module_tree(AVERAGE)))
    assert is_average(load_generator(read_checkpoint(path)))
    path.write_bytes(pickled(module_tree(D, class_name="Discriminator")))
    with pytest.raises(UnknownArchitectureError, match="holds D, but no G_ema"):
        load_generator(read_checkpoint(path))


def stored_by_basicsr() -> dict[str, torch.Tensor]:
    stored = spell_out(to_official(NETWORK).state, basicsr_spelling, STORED)
    del stored["latent_avg"]
    return {
        name: tensor[None, :, None, None] if name in ("to_rgb1.bias", "to_rgbs.0.bias") else tensor
        for name, tensor in stored.items()
    }


def test_basicsrs_names_give_rosinalitys_network(tmp_path):
    _, table = written_by_rosinality(NETWORK.config)
    named = {
        "style.1.weight": "style_mlp.1.weight", "input.input": "constant_input.weight",
        "conv1.conv.weight": "style_conv1.modulated_conv.weight", "conv1.noise.weight": "style_conv1.weight",
        "conv1.activate.bias": "style_conv1.activate.bias", "noises.noise_2": "noises.noise2",
        "convs.0.conv.modulation.bias": "style_convs.0.modulated_conv.modulation.bias",
        "convs.1.noise.weight": "style_convs.1.weight", "to_rgbs.0.bias": "to_rgbs.0.bias",
        "to_rgb1.conv.weight": "to_rgb1.modulated_conv.weight",
    }  # fmt: skip
    stored = stored_by_basicsr()
    assert set(named.values()) <= stored.keys()
    assert not [name for name in stored if "kernel" in name]
    for ours, theirs in named.items():
        assert torch.equal(stored[theirs].flatten(), table[ours].flatten()), theirs
    checkpoint = read_checkpoint(saved(tmp_path / "net.pth", {"params_ema": stored}))
    read = load_generator(checkpoint).state_dict()
    ours = {name: tensor for name, tensor in NETWORK.state_dict().items() if name != "mapping.mean_style"}
    assert all(torch.equal(read[name], tensor) for name, tensor in ours.items())
    assert any("no mean style" in note for note in notes_on(checkpoint))


def test_a_dict_that_holds_itself_ends(tmp_path):
    top: dict = {"a": 1}
    top["self"] = top
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(top))
    with pytest.raises(UnknownArchitectureError, match="got a dict of 'a', 'self'"):
        read_checkpoint(tmp_path / "net.pkl")


def test_a_tensorflow_network_alone_is_the_generator(tmp_path):
    original, table = written_by_tensorflow(PLAIN)
    network = tensorflow_network(4, *((name, tensor.numpy()) for name, tensor in table.items()))
    network.name, network.static_kwargs = "Gs", {}
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled(network))
    checkpoint = read_checkpoint(path)
    read = load_generator(checkpoint)
    ws = torch.randn(2, read.num_ws, read.w_dim)
    assert torch.allclose(read.synthesize(ws), original.synthesize(ws), atol=1e-4)
    assert notes_on(checkpoint)[0].endswith("the network that the file calls Gs")
    network.build_func_name = "D_stylegan2"
    path.write_bytes(pickled(network))
    assert list(read_checkpoint(path).networks) == ["D"]


def test_prefixes_without_end_are_no_reason_to_recurse(tmp_path):
    checkpoint = read_checkpoint(saved(tmp_path / "net.pt", prefixed("G." * 8, {"weight": torch.ones(1)})))
    with pytest.raises(UnknownArchitectureError, match="no known architecture"):
        load_generator(checkpoint)
    with pytest.raises(MalformedFileError, match="want a tensor's name"):
        read_checkpoint(saved(tmp_path / "long.pt", prefixed("G." * 100, {"weight": torch.ones(1)})))
