"""lucidrains' checkpoints: parity with its program, odd shapes, and refusals."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, OptionError, ShapeError, UnknownArchitectureError
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.convert import convert, convert_to_official
from metagan.networks.loading.detect import load_discriminator, load_generator, notes_on
from metagan.networks.lucidrains import ARCHITECTURE
from metagan.networks.lucidrains.discriminator import DiscriminatorConfig, LucidrainsDiscriminator
from metagan.networks.lucidrains.load import discriminator_names, generator_names
from metagan.networks.lucidrains.network import Config, LucidrainsStyleGAN2
from metagan.sampling.sampler import Sampler, Settings
from tests.networks.loading.test_detect import close
from tests.networks.stylegan2.formats.foreign import checkpoint, randomised

GOLDEN = Path(__file__).parents[2] / "golden"
VECTORS = ("luc_16_attn2", "luc_16_attn_noconst", "luc_32")


class Given(Noise):
    """The noise images of a vector."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__("const")
        self.images = images

    def image(self, stored: torch.Tensor, batch: int, *, uniform: bool = False) -> torch.Tensor:
        assert uniform
        assert len(self.images) == batch
        return self.images.permute(0, 3, 1, 2)


def test_the_golden_checkpoint_gives_its_programs_pictures():
    assert_parity(GOLDEN / "luc_16_attn_noconst")


@pytest.mark.parametrize("stem", VECTORS)
def test_every_vector_gives_its_programs_pictures_and_logits(stem, shared_vectors):
    assert_parity(shared_vectors / "lucidrains" / stem)


def assert_parity(folder: Path) -> None:
    file = read_checkpoint(folder / "model_0.pt")
    with np.load(folder / f"{folder.name}.npz") as vectors, torch.inference_mode():
        arrays = dict(vectors)
        for case in json.loads(str(arrays["meta"]))["cases"]:
            assert_case(file, case, arrays)
        if "D" in file.networks:
            assert_logits(file, arrays)


def assert_logits(file: Checkpoint, arrays: dict[str, np.ndarray]) -> None:
    discriminator, images = load_discriminator(file), torch.from_numpy(arrays["img_psi1"]) * 2 - 1
    assert close(-discriminator(images)[:, 0], arrays["logits_batch"])  # its sign is the other way round
    single = [-discriminator(images[i : i + 1])[:, 0] for i in range(len(images))]
    assert close(torch.cat(single), arrays["logits_single"])


def assert_case(file: Checkpoint, case: dict, arrays: dict[str, np.ndarray]) -> None:
    name = case["name"]
    generator = load_generator(file, "G" if name == "rawG" else "G_ema")
    generator.mean_style.copy_(torch.from_numpy(arrays["av"])[0])
    ws = torch.from_numpy(arrays[f"ws_{name}"])
    if name not in ("wsmix", "stylemix"):
        ours = generator.map_latents(torch.from_numpy(arrays["z"]), psi=case["psi"])
        assert close(ours, arrays[f"ws_{name}"]), name
        ws = ours
    images = (generator.synthesize(ws, Given(torch.from_numpy(arrays["input_noise"]))) + 1) / 2
    assert close(images, arrays[f"img_{name}"]), name
    levels = (images.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
    difference = np.abs(levels.numpy().astype(int) - arrays[f"u8_{name}"])
    assert difference.max() <= 1, name
    assert (difference > 0).mean() <= 1e-3, name


# Odd shapes, written here as lucidrains' program does

PLAIN = Config(z_dim=5, depth=2, channels=(6, 4, 3))
ODD = [
    PLAIN,
    dataclasses.replace(PLAIN, channels=(7, 2), image_channels=4, lr_multiplier=0.02, depth=1),
    dataclasses.replace(PLAIN, attention=(0, 2), channels=(3, 5, 4, 2), heads=2),
    dataclasses.replace(PLAIN, has_constant=False, attention=(1,), heads=1),
]


def options_of(config: Config) -> dict[str, object]:
    return {
        "image_size": config.resolution,
        "network_capacity": 16,
        "lr_mlp": config.lr_multiplier,
        "transparent": config.image_channels == 4,
        "attn_layers": [config.blocks - index for index in config.attention],
        "no_const": not config.has_constant,
    }


def written(config: Config, mapping: str = "SE.", synthesis: str = "GE.") -> tuple[LucidrainsStyleGAN2, dict]:
    """A random network, and its tensors as lucidrains' program stores them."""
    network = randomised(LucidrainsStyleGAN2(config))
    ours = network.state_dict()
    return network, {
        foreign: ours[own] for foreign, own in generator_names(config, mapping, synthesis).items()
    }


@pytest.mark.parametrize("config", ODD)
def test_a_generator_of_odd_shape_comes_back_bit_by_bit_from_both_formats(config):
    network, table = written(config)
    read = load_generator(checkpoint(table, attributes={"config": options_of(config)}))
    assert isinstance(read, Generator)
    assert read.config == config
    there = read.state_dict()
    assert all(
        torch.equal(there[own], table[foreign])
        for foreign, own in generator_names(config, "SE.", "GE.").items()
    )
    restored = ARCHITECTURE.restore(dataclasses.asdict(config), network.state_dict())
    ws = restored.map_latents(torch.randn(2, 5), psi=0.7, cutoff=1)
    assert torch.equal(restored.synthesize(ws), network.synthesize(ws))
    assert restored.synthesize(ws).shape == (2, config.image_channels, config.resolution, config.resolution)


@pytest.mark.parametrize(
    "config",
    [
        DiscriminatorConfig(channels=(2, 3, 4)),
        DiscriminatorConfig(
            channels=(2, 3, 4), image_channels=4, attention=(0, 1), heads=2, quantized=((1, 5),)
        ),
    ],
)
def test_a_discriminator_of_odd_shape_comes_back_bit_by_bit(config):
    network = randomised(LucidrainsDiscriminator(config))
    ours = network.state_dict()
    table = {
        foreign: ours[own] if own else torch.zeros(5) for foreign, own in discriminator_names(config).items()
    }
    read = load_discriminator(checkpoint(table, "D"))
    assert read.config == config
    images = torch.randn(3, config.image_channels, 8, 8)
    assert torch.equal(read(images), network(images))
    with pytest.raises(ShapeError, match=r"pictures: want \[n, "):
        read(torch.randn(3, 1, 8, 8))


def test_quantisation_takes_the_nearest_entry():
    quantize = LucidrainsDiscriminator(DiscriminatorConfig((2, 3), quantized=((0, 7),))).blocks[0].quantize
    x = torch.randn(2, 2, 3, 3)
    nearest = torch.cdist(x.permute(0, 2, 3, 1).reshape(-1, 2), quantize.entries.t()).argmin(dim=1)
    assert torch.equal(quantize(x).permute(0, 2, 3, 1).reshape(-1, 2), quantize.entries.t()[nearest])


def test_noise_is_the_same_image_each_time_or_belongs_to_the_seed():
    _, table = written(PLAIN)
    first, second = (load_generator(checkpoint(table)) for _ in range(2))
    assert torch.equal(first.noise, second.noise)
    assert 0 <= first.noise.min() < 0.1 < 0.9 < first.noise.max() < 1
    ws = first.map_latents(torch.randn(3, 5))
    assert torch.equal(first.synthesize(ws), first.synthesize(ws, Noise("const")))
    together = first.synthesize(ws, Noise("random", (5, 6, 7)))
    alone = first.synthesize(ws[1:2], Noise("random", (6,)))
    assert torch.allclose(together[1:2], alone, atol=1e-4)
    assert not torch.allclose(together, first.synthesize(ws, Noise("random", (8, 9, 10))), atol=1e-2)
    none = first.synthesize(ws, Noise("none"))
    first.noise.fill_(0.5)
    assert torch.equal(first.synthesize(ws), none)


def test_random_noise_is_uniform():
    drawn = Noise("random", (1,)).image(torch.zeros(64, 64), 1, uniform=True)
    assert drawn.shape == (1, 1, 64, 64)
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1


def test_it_is_sampled_like_any_other_generator():
    generator = load_generator(checkpoint(written(PLAIN)[1]))
    pictures = list(Sampler(generator, torch.device("cpu"), batch=2).pictures([3, 4, 5], Settings(psi=0.7)))
    assert [seed for seed, _ in pictures] == [3, 4, 5]
    assert pictures[0][1].shape == (8, 8, 3)


def test_a_mapping_network_that_overflows_is_refused():
    tensors = written(PLAIN)[1]
    huge = {
        name: t * 1e30 if ".net." in name and name.endswith("weight") else t for name, t in tensors.items()
    }
    with pytest.raises(MalformedFileError, match="weights so large that styles are no numbers"):
        load_generator(checkpoint(huge))


def test_psi_zero_gives_the_mean_picture_and_wrong_widths_are_refused():
    generator = load_generator(checkpoint(written(PLAIN)[1]))
    mean = generator.map_latents(torch.randn(2, 5), psi=0.0)
    assert torch.allclose(mean, generator.mean_style.expand(2, 2, -1), atol=1e-5)
    with pytest.raises(ShapeError, match="latents: want width 5, got 6"):
        generator.map_latents(torch.randn(2, 6))
    with pytest.raises(ShapeError, match=r"styles: want \[batch, 2, 5\]"):
        generator.synthesize(torch.randn(2, 3, 5))


def test_without_its_side_car_the_usual_learning_rate_is_taken_and_said(shared_vectors, tmp_path):
    folder = shared_vectors / "lucidrains" / "luc_32"
    shutil.copy(folder / "model_0.pt", tmp_path / "model_0.pt")
    alone, whole = read_checkpoint(tmp_path / "model_0.pt"), read_checkpoint(folder / "model_0.pt")
    assert load_generator(alone).config == load_generator(whole).config
    assert notes_on(alone)[0].startswith("no .config.json beside the file, so lr_mlp was taken for 0.1")
    assert all("lr_mlp" not in note for note in notes_on(whole))
    header = convert(tmp_path / "model_0.pt", tmp_path / "own.safetensors")
    assert header.architecture == "lucidrains"
    assert header.training["notes"] == list(notes_on(alone))
    there = load_generator(read_checkpoint(tmp_path / "own.safetensors")).state_dict()
    assert all(
        torch.equal(there[name], tensor) for name, tensor in load_generator(alone).state_dict().items()
    )


def test_an_official_state_dict_of_it_is_refused_with_the_way_out(shared_vectors, tmp_path):
    with pytest.raises(
        OptionError, match=r"writes official state dicts of StyleGAN2 only\n  fix: convert to \.safetensors"
    ):
        convert_to_official(shared_vectors / "lucidrains" / "luc_32" / "model_0.pt", tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "want an object with lucidrains' options"),
        ({"image_size": 512}, "isn't this checkpoint's: image_size is 512, the tensors say 8"),
        ({"no_const": True}, "no_const is True, the tensors say False"),
        ({"attn_layers": [1]}, r"attn_layers is \[1\], the tensors say \[\]"),
        ({"attn_layers": "1"}, "attn_layers is '1'"),
        ({"lr_mlp": "0.1"}, "lr_mlp: want a number above 0"),
        ({"lr_mlp": float("nan")}, "lr_mlp: want a number above 0"),
        ({"\u202e": 1}, r"may change pictures: \\u202e"),
        ({"spectral": 1}, "options that metagan doesn't know, and that may change pictures: spectral"),
    ],
)
def test_a_side_car_that_is_not_the_checkpoints_is_refused(options, message):
    _, table = written(PLAIN)
    with pytest.raises(MalformedFileError, match=message):
        load_generator(checkpoint(table, attributes={"config": options}))


def test_keys_that_are_missing_or_unknown_are_named():
    _, table = written(ODD[2], "S.", "G.")
    del table["G.attns.2.1.fn.norm.g"]
    table["G.blocks.7.conv1.weight"] = torch.zeros(1)
    with pytest.raises(UnknownArchitectureError) as caught:
        load_generator(checkpoint(table))
    assert "nearest is lucidrains' StyleGAN2 (" in str(caught.value)
    assert "missing G.attns.2.1.fn.norm.g; not known G.blocks.7.conv1.weight" in str(caught.value)


def test_half_a_network_of_it_is_explained_by_its_family():
    _, table = written(PLAIN)
    rest = {name: tensor for name, tensor in table.items() if "to_style" not in name}
    with pytest.raises(UnknownArchitectureError, match="nearest is lucidrains' StyleGAN2 "):
        load_generator(checkpoint(rest))
    _, part = written(PLAIN)
    discriminator = {f"D.{name}": tensor for name, tensor in part.items()}
    with pytest.raises(UnknownArchitectureError, match="no known architecture; nearest is "):
        load_discriminator(checkpoint(discriminator, "D"))


@pytest.mark.parametrize(
    "change",
    [{"depth": 10**9}, {"channels": (1,)}, {"attention": (7,)}, {"heads": 0}, {"lr_multiplier": 0.0}],
)
def test_a_header_out_of_bounds_is_refused_before_anything_is_built(change):
    with pytest.raises(MalformedFileError, match="out of bounds"):
        ARCHITECTURE.restore(dataclasses.asdict(dataclasses.replace(PLAIN, **change)), {})
