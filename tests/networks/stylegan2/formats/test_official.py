"""Back to the official layout: every key of the official files, bit by bit."""

import dataclasses
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.cli.convert import command
from metagan.errors import CheckpointError
from metagan.networks.loading import convert as convert_module
from metagan.networks.loading.convert import convert, convert_to_official
from metagan.networks.loading.detect import load_generator, notes_on
from metagan.networks.loading.forms import to_official
from metagan.networks.stylegan2.formats.official import generator_names
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from tests.networks.loading.test_detect import OFFICIAL
from tests.networks.stylegan2.formats.foreign import randomised

GOLDEN = Path(__file__).parents[3] / "golden"


def assert_round_trip(pickle: Path, folder: Path) -> None:
    """Official pickle to .safetensors to official state dict: the same keys, the same bits."""
    convert(pickle, folder / "own.safetensors")
    convert_to_official(folder / "own.safetensors", folder / "official.pt")
    before = read_checkpoint(pickle).networks["G_ema"].tensors
    after = torch.load(folder / "official.pt", weights_only=True)
    assert type(after) is dict
    assert after.keys() == before.keys()
    names = generator_names(load_generator(read_checkpoint(pickle)).config)
    for name, tensor in before.items():
        assert after[name].shape == tensor.shape, name
        assert names[name] is None or torch.equal(after[name], tensor), name


@pytest.mark.parametrize("stem", ["sg2ada_gemaonly16", "sg2ada_cuda16"])
def test_golden_pickles_come_back_bit_by_bit_unused_filters_and_all(stem, tmp_path):
    assert_round_trip(GOLDEN / f"{stem}.pkl", tmp_path)
    before = read_checkpoint(GOLDEN / f"{stem}.pkl").networks["G_ema"].tensors
    after = torch.load(tmp_path / "official.pt", weights_only=True)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("stem", [stem for stem in OFFICIAL if stem.startswith("sg2")])
def test_every_official_vector_comes_back_bit_by_bit(stem, shared_vectors, tmp_path):
    assert_round_trip(shared_vectors / f"{stem}.pkl", tmp_path)


def test_other_programs_files_become_official_ones_that_give_the_same_pictures(shared_vectors, tmp_path):
    source = shared_vectors / "rosinality" / "ros_train16.pt"
    arguments = convert_to_official(source, tmp_path / "a.pt").arguments
    assert (arguments["img_resolution"], arguments["mapping_kwargs"]) == (16, {"num_layers": 8})
    before, after = (load_generator(read_checkpoint(path)) for path in (source, tmp_path / "a.pt"))
    ws = before.map_latents(torch.randn(2, 16), psi=0.7)
    assert torch.equal(before.synthesize(ws), after.synthesize(ws))
    assert "doesn't say how its layers are activated" in notes_on(read_checkpoint(tmp_path / "a.pt"))[0]


def test_the_same_generator_gives_the_same_bytes(tmp_path):
    for name in ("a.pt", "b.pt"):
        convert_to_official(GOLDEN / "sg2ada_cuda16.pkl", tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize(
    ("channels", "base_and_max"),
    [((512, 512, 256), (4096, 512)), ((6, 5, 4), None), ((12, 12, 12), (192, 12)), ((8,), (32, 8))],
)
def test_channels_are_put_in_the_official_arguments_where_some_give_them(channels, base_and_max):
    with torch.device("meta"):
        network = StyleGAN2(Config(MappingConfig(4, 0, 0, (4,)), channels=channels))
    said = to_official(network.to_empty(device="cpu")).arguments["synthesis_kwargs"]
    assert (said.get("channel_base"), said.get("channel_max")) == (base_and_max or (None, None))


def test_arguments_say_what_is_unusual_and_nothing_else():
    mapping = MappingConfig(5, 3, 4, (9, 7), "relu", 0.02, has_mean_style=False)
    config = Config(mapping, (4, 4), kind="resnet", clamp=256.0, use_noise=False, filter_shape=(8,))
    said = to_official(randomised(StyleGAN2(config))).arguments
    assert said["mapping_kwargs"] == {
        "num_layers": 2, "embed_features": 4, "layer_features": 9, "activation": "relu", "lr_multiplier": 0.02,
        "w_avg_beta": None,
    }  # fmt: skip
    assert said["synthesis_kwargs"] == {
        "channel_base": 32, "channel_max": 4, "architecture": "resnet", "use_noise": False, "conv_clamp": 256.0,
        "resample_filter": [1] * 8,
    }  # fmt: skip
    plain = to_official(randomised(StyleGAN2(Config(MappingConfig(4, 0, 0, (4, 4)), (4, 4))))).arguments
    assert plain["mapping_kwargs"] == {"num_layers": 2}
    assert plain["synthesis_kwargs"] == {"channel_base": 32, "channel_max": 4}


def test_a_state_dict_that_reads_back_different_never_takes_its_place(tmp_path, monkeypatch):
    official = convert_module.to_official

    def garbled(generator, layout):
        right = official(generator)
        nan = {name: tensor * torch.nan for name, tensor in right.state.items()}  # never equal to itself
        return dataclasses.replace(right, state=nan)

    monkeypatch.setattr(convert_module, "to_official", garbled)
    with pytest.raises(CheckpointError, match="read back different in "):
        convert_to_official(GOLDEN / "sg2ada_cuda16.pkl", tmp_path / "x.pt")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_arguments_of_the_official_class(tmp_path):
    target = tmp_path / "official.pt"
    result = CliRunner().invoke(command, [str(GOLDEN / "sg2ada_cuda16.pkl"), str(target)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].startswith("Generator(z_dim=")
    assert target.is_file()


@pytest.mark.parametrize("extra", [["--half"], ["--licence", "MIT"], ["--source", "here"]])
def test_what_a_state_dict_has_no_place_for_is_refused(extra, tmp_path):
    result = CliRunner().invoke(command, [str(GOLDEN / "sg2ada_cuda16.pkl"), str(tmp_path / "x.pt"), *extra])
    assert result.exit_code == 2
    assert f"{extra[0]}: an official state dict contains only tensors" in result.stderr
