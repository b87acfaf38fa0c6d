"""rosinality's checkpoints: parity with its program, and what is made up where its files are silent."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.cli.convert import command
from metagan.errors import MalformedFileError, OptionError, UnknownArchitectureError
from metagan.networks.generator import Noise
from metagan.networks.loading.convert import convert, convert_to_official
from metagan.networks.loading.detect import load_discriminator, load_generator, notes_on
from metagan.networks.loading.forms import describe
from metagan.networks.ops import usual_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats import rosinality
from metagan.networks.stylegan2.formats.official import discriminator_names, to_official
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from tests.networks.loading.test_detect import close
from tests.networks.stylegan2.formats.foreign import checkpoint, randomised, spell_out

GOLDEN = Path(__file__).parents[3] / "golden"
VECTORS = ("ros_conv32_legacy", "ros_train16")


def test_the_golden_checkpoint_gives_its_programs_pictures_and_logits():
    assert_parity(GOLDEN / "ros_train16.pt")


@pytest.mark.parametrize("stem", VECTORS)
def test_every_vector_gives_its_programs_pictures_and_logits(stem, shared_vectors):
    assert_parity(shared_vectors / "rosinality" / f"{stem}.pt")


def assert_parity(weights: Path) -> None:
    file = read_checkpoint(weights)
    with np.load(weights.with_suffix(".npz")) as vectors, torch.inference_mode():
        arrays = dict(vectors)
        for case in json.loads(str(arrays["meta"]))["cases"]:
            assert_case(file, case, arrays)
        discriminator, images = load_discriminator(file), torch.from_numpy(arrays["img_psi1"])
        assert close(discriminator(images), arrays["logits_batch"])
        single = [discriminator(images[i : i + 1]) for i in range(len(images))]
        assert close(torch.cat(single), arrays["logits_single"])


def assert_case(file: Checkpoint, case: dict, arrays: dict[str, np.ndarray]) -> None:
    name = case["name"]
    generator = load_generator(file, {"g_ema": "G_ema", "g": "G"}[case["net"]])
    mean = torch.from_numpy(arrays["truncation_latent"])
    if "latent_avg" not in file.networks["G_ema"].tensors:
        generator.mapping.mean_style.copy_(mean)
    ws = torch.from_numpy(arrays[f"ws_{name}"])
    if name not in ("wsmix", "stylemix3"):
        # Its program ignores truncation from 1 on.
        ours = generator.map_latents(torch.from_numpy(arrays["z"]), psi=min(1.0, case["truncation"]))
        assert close(ours, arrays[f"ws_{name}"]), name
        ws = ours
    images = generator.synthesize(ws, Noise("none" if case["noise"] == "zero" else "const"))
    assert close(images, arrays[f"img_{name}"]), name
    levels = ((images.clamp(-1, 1) + 1) / 2 * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
    difference = np.abs(levels.numpy().astype(int) - arrays[f"u8_{name}"])
    assert difference.max() <= 1, name
    assert (difference > 0).mean() <= 1e-3, name


# Odd shapes, written here as rosinality's program does

STORED = {
    rosinality._unbatched: lambda tensor: tensor[None],
    rosinality._scalar: lambda tensor: tensor[None],
    rosinality._noise_image: lambda tensor: tensor[None, None],
    rosinality._without_gain: lambda taps: taps * 4,
}
ODD = [
    Config(MappingConfig(6, 0, 0, (7,)), channels=(3, 5, 2)),
    Config(MappingConfig(8, 0, 0, (8, 9, 10), has_mean_style=False), channels=(4, 4)),
    Config(MappingConfig(3, 0, 0, (4, 4)), channels=(6,), kind="orig"),  # skip or not, one block is the same
]


def written(config: Config) -> tuple[StyleGAN2, dict[str, torch.Tensor]]:
    """A random network, and its tensors as rosinality's program stores them."""
    network = randomised(StyleGAN2(config))
    table = spell_out(to_official(network).state, rosinality.generator_spelling, STORED)
    shaped = {
        name: tensor[None, :, None, None] if name.startswith("to_rgb") and name.endswith(".bias") else tensor
        for name, tensor in table.items()
        if not name.endswith("modulation.bias")
    }
    return network, table | shaped


@pytest.mark.parametrize("config", ODD)
def test_a_generator_of_odd_shape_comes_back_bit_by_bit(config):
    network, table = written(config)
    read = load_generator(checkpoint(table))
    mapping = dataclasses.replace(config.mapping, has_mean_style=True)
    assert read.config == dataclasses.replace(config, mapping=mapping)
    there = read.state_dict()
    assert all(torch.equal(there[name], tensor) for name, tensor in network.state_dict().items())


def test_a_discriminator_of_odd_shape_comes_back_bit_by_bit():
    config = DiscriminatorConfig(channels=(3, 5, 2))
    network = randomised(Discriminator(config))
    ours = network.state_dict()
    names = discriminator_names(config)
    state = {official: ours[own] if own else usual_taps((4, 4)) for official, own in names.items()}
    table = spell_out(state, rosinality.discriminator_spelling(16), STORED)
    read = load_discriminator(checkpoint(table, "D"))
    assert read.config == config
    assert all(torch.equal(read.state_dict()[name], tensor) for name, tensor in ours.items())


def test_a_file_without_a_mean_style_gets_always_the_same_one_and_says_so(tmp_path):
    config = dataclasses.replace(ODD[0], mapping=MappingConfig(6, 0, 0, (7,), has_mean_style=False))
    _, table = written(config)
    file = checkpoint(table)
    first, second = load_generator(file), load_generator(file)
    assert torch.equal(first.mapping.mean_style, second.mapping.mean_style)
    z = torch.from_numpy(np.random.RandomState(1).randn(20_000, 6)).float()
    assert torch.allclose(first.mapping.mean_style, first.mapping(z).mean(dim=0), atol=0.05)
    assert "the file stores no mean style" in notes_on(file)[0]
    assert notes_on(checkpoint(table | {"latent_avg": torch.zeros(7)})) == ()


@pytest.mark.parametrize("config", ODD)
def test_a_file_without_noise_images_gets_always_the_same_ones_and_says_so(config):
    network, table = written(config)
    assert rosinality.NOISE_NOTE not in notes_on(checkpoint(table))
    early = checkpoint({name: tensor for name, tensor in table.items() if not name.startswith("noises.")})
    assert rosinality.NOISE_NOTE in notes_on(early)
    first, second = load_generator(early), load_generator(early)
    ws = torch.randn(2, first.num_ws, first.w_dim)
    assert torch.equal(first.synthesize(ws), second.synthesize(ws))
    silent = Noise("none")  # everything but the noise images is the file's
    assert torch.equal(first.synthesize(ws, silent), network.synthesize(ws, silent))
    noise = torch.cat([tensor.flatten() for name, tensor in first.named_buffers() if name.endswith(".noise")])
    assert not torch.equal(noise[:16], noise[16:32])
    assert abs(noise.mean()) < 4 / len(noise) ** 0.5
    assert abs(noise.std() - 1) < 4 / len(noise) ** 0.5


def test_a_noise_image_missing_among_others_is_named():
    _, table = written(ODD[0])
    del table["noises.noise_1"]
    with pytest.raises(UnknownArchitectureError, match=r"missing noises\.noise_1\)"):
        load_generator(checkpoint(table))


def test_conversion_keeps_the_note(shared_vectors, tmp_path):
    source = shared_vectors / "rosinality" / "ros_train16.pt"
    header = convert(source, tmp_path / "own.safetensors")
    assert "stores no mean style" in header.training["notes"][0]
    again = convert(tmp_path / "own.safetensors", tmp_path / "again.safetensors")
    assert again == header


def test_keys_that_are_missing_or_unknown_are_named_as_the_file_names_them():
    _, table = written(ODD[0])
    del table["convs.2.conv.blur.kernel"]
    table["convs.9.conv.weight"] = torch.zeros(1)
    with pytest.raises(UnknownArchitectureError) as caught:
        load_generator(checkpoint(table))
    assert "nearest is rosinality's StyleGAN2 (" in str(caught.value)
    assert "missing convs.2.conv.blur.kernel" in str(caught.value)
    assert "not known convs.9.conv.weight" in str(caught.value)


def test_a_tensor_with_other_axes_is_named():
    _, table = written(ODD[0])
    table["conv1.noise.weight"] = torch.zeros(2)
    with pytest.raises(MalformedFileError, match=r"conv1\.noise\.weight is \[2\], which isn't"):
        load_generator(checkpoint(table))


def test_a_wavelet_network_is_refused_by_its_name():
    _, table = written(ODD[0])
    with pytest.raises(UnknownArchitectureError, match="a SWAGAN"):
        load_generator(checkpoint(table | {"to_rgbs.0.iwt.ll": torch.zeros(2, 2)}))


def test_half_a_file_is_explained_by_the_nearest_family():
    _, table = written(ODD[0])
    rest = {name: tensor for name, tensor in table.items() if name.startswith("convs.")}
    with pytest.raises(UnknownArchitectureError, match="nearest is rosinality's StyleGAN2 "):
        load_generator(Checkpoint(checkpoint(table).path, "test", {"G_ema": NetworkRecord("", rest)}))


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    before = torch.load(GOLDEN / "ros_train16.pt", weights_only=False)["g_ema"]
    convert(GOLDEN / "ros_train16.pt", tmp_path / "own.safetensors")
    written = convert_to_official(tmp_path / "own.safetensors", tmp_path / "back.pt", layout="rosinality")
    file = torch.load(tmp_path / "back.pt", weights_only=True)
    assert file.keys() == {"g_ema", "latent_avg"}
    assert file["g_ema"].keys() == before.keys()
    for name, tensor in before.items():
        assert file["g_ema"][name].shape == tensor.shape, name
        assert torch.equal(file["g_ema"][name], tensor), name
    assert {name: written.arguments[name] for name in ("size", "style_dim", "n_mlp")} == {
        "size": 16, "style_dim": 16, "n_mlp": 8,
    }  # fmt: skip
    assert "set the class's table to {4: " in written.notes[0]


@pytest.mark.parametrize(
    ("channels", "factor"),
    [((512, 512, 512, 512, 512), 2), ((512,) * 4 + (256,), 1), ((512,) * 4 + (768,), 3)],
)
def test_the_arguments_of_the_programs_class_give_the_channels(channels, factor):
    mapping = MappingConfig(z_dim=4, c_dim=0, embed_dim=0, widths=(4, 4), lr_multiplier=0.02)
    arguments, notes = rosinality._arguments(Config(mapping, channels, clamp=256.0))
    assert arguments == {"size": 64, "style_dim": 4, "n_mlp": 2, "channel_multiplier": factor, "lr_mlp": 0.02}
    assert notes == ("the program doesn't clamp layers at 256, which can change pictures slightly",)


@pytest.mark.parametrize("constant", [(4, 4), (4, 6)])
@pytest.mark.parametrize("has_mean_style", [True, False])
def test_a_generator_goes_there_and_back(tmp_path, constant, has_mean_style):
    mapping = MappingConfig(z_dim=5, c_dim=0, embed_dim=0, widths=(5, 5), has_mean_style=has_mean_style)
    network = randomised(StyleGAN2(Config(mapping, (6, 4, 3), constant=constant)))
    write_safetensors(tmp_path / "a.safetensors", network.state_dict(), describe(network))
    written = convert_to_official(tmp_path / "a.safetensors", tmp_path / "a.pt", layout="rosinality")
    assert bool(written.beside) is has_mean_style
    again = load_generator(read_checkpoint(tmp_path / "a.pt")).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"kind": "resnet"}, "no resnet blocks"), ({"image_channels": 4}, "no pictures of 4 channels"),
     ({"use_noise": False}, "no layers without noise"), ({"activation": "relu"}, "no other activation"),
     ({"kernel_size": 1}, "no kernels of 1 pixels"), ({"filter_shape": (8,)}, "no filters of other sizes"),
     ({"z_dim": 4}, "no latents and styles of different widths"), ({"c_dim": 2, "embed_dim": 5}, "no labels")],
)  # fmt: skip
def test_what_the_program_has_not_is_refused(changes, said):
    shape = {"z_dim": 5, "c_dim": 0, "embed_dim": 0, "widths": (5, 5)}
    mapping = MappingConfig(**shape | {name: changes[name] for name in changes.keys() & shape.keys()})
    others = {name: value for name, value in changes.items() if name not in shape}
    with pytest.raises(
        OptionError, match=f"rosinality's generator has {said}.*\n  fix: write the official layout"
    ):
        rosinality.to_rosinality(StyleGAN2(Config(mapping, (6, 4), **others)))


def test_the_command_says_how_the_file_is_loaded(tmp_path):
    def run(*words: object):
        return CliRunner().invoke(command, [str(word) for word in words])

    result = run(GOLDEN / "ros_train16.pt", tmp_path / "a.pt", "--layout", "rosinality")
    first, second, third = result.stdout.splitlines()
    assert first.endswith("a.pt: rosinality state dict, 0.1 MB") or "rosinality state dict" in first
    assert second == "Generator(size=16, style_dim=16, n_mlp=8)"
    assert third == ".load_state_dict(torch.load('a.pt')['g_ema'])"
    assert "note: no channel_multiplier" in result.stderr
    pickle = run(GOLDEN / "ros_train16.pt", tmp_path / "a.pkl")
    assert pickle.exit_code == 2
    assert "contain its source code" in pickle.stderr and "write a.pt" in pickle.stderr
    assert run(GOLDEN / "ros_train16.pt", tmp_path / "a.safetensors", "--layout", "rosinality").exit_code == 2
    assert not (tmp_path / "a.pkl").exists()
