"""R3GAN: parity with its program, odd hyper-parameters, and refusals."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, OptionError, ShapeError, UnknownArchitectureError
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.networks.r3gan import ARCHITECTURE
from metagan.networks.r3gan.load import (
    discriminator_from_record,
    discriminator_names,
    generator_from_record,
    generator_names,
)
from metagan.networks.r3gan.network import R3GAN, Config, Discriminator, StageConfig
from tests.networks.loading.test_detect import close, label_of
from tests.networks.loading.test_mutations import outcomes

GOLDEN = Path(__file__).parents[2] / "golden"
PLAIN = Config((StageConfig(6, 8, 2), StageConfig(4, 8, 4, blocks=2)), z_dim=5)
ODD = [
    PLAIN,
    Config((StageConfig(3, 4, 1, blocks=3),), z_dim=7, image_channels=1),
    Config((StageConfig(4, 8, 8), StageConfig(4, 6, 3), StageConfig(2, 2, 2)), z_dim=4, c_dim=3, embed_dim=5),
    dataclasses.replace(PLAIN, filter_size=6, image_channels=4),
]


def make(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.copy_(torch.randn_like(tensor) * 0.3)
    return network.eval().requires_grad_(False)


def test_the_golden_pickle_gives_its_programs_pictures_and_logits():
    assert_parity(GOLDEN / "r3_cond32.pkl")


@pytest.mark.parametrize("stem", ["r3_16", "r3_cond32"])
def test_every_vector_gives_its_programs_pictures_and_logits(stem, shared_vectors):
    assert_parity(shared_vectors / "r3gan" / f"{stem}.pkl")


def assert_parity(weights: Path) -> None:
    checkpoint = read_checkpoint(weights)
    with np.load(weights.with_suffix(".npz")) as vectors, torch.inference_mode():
        arrays = dict(vectors)
        for case in json.loads(str(arrays["meta"]))["cases"]:
            generator, name = load_generator(checkpoint, case["net"]), case["name"]
            images = generator.synthesize(
                generator.map_latents(torch.from_numpy(arrays["z"]), label_of(arrays))
            )
            assert close(images, arrays[f"img_{name}"]), name
            levels = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
            difference = np.abs(levels.numpy().astype(int) - arrays[f"u8_{name}"])
            assert difference.max() <= 1
            assert (difference > 0).mean() <= 1e-3
        logits = load_discriminator(checkpoint)(torch.from_numpy(arrays["img_psi1"]), label_of(arrays))
        assert close(logits[:, 0], arrays["logits_batch"])


@pytest.mark.parametrize("config", ODD)
def test_a_generator_of_odd_shape_survives_its_own_and_its_programs_format(config):
    network = make(R3GAN(config))
    assert isinstance(network, Generator)
    label = torch.eye(config.c_dim)[:2] if config.c_dim else None
    ws = network.map_latents(torch.randn(2, config.z_dim), label)
    images = network.synthesize(ws)
    assert images.shape == (2, config.image_channels, config.resolution, config.resolution)
    header = json.loads(json.dumps(dataclasses.asdict(config)))
    state = network.state_dict()
    theirs = {foreign: state[ours] for foreign, ours in generator_names(config).items()}
    for again in (
        ARCHITECTURE.restore(header, state),
        generator_from_record(NetworkRecord("Generator", theirs)),
    ):
        assert again.config == config
        assert torch.equal(again.synthesize(ws), images)


@pytest.mark.parametrize("config", ODD)
def test_a_discriminator_of_odd_shape_survives_its_programs_format(config):
    config = dataclasses.replace(config, z_dim=0)
    network = make(Discriminator(config))
    label = torch.eye(config.c_dim)[:2] if config.c_dim else None
    images = torch.randn(2, config.image_channels, config.resolution, config.resolution)
    state = network.state_dict()
    theirs = {foreign: state[ours] for foreign, ours in discriminator_names(config).items()}
    again = discriminator_from_record(NetworkRecord("Discriminator", theirs))
    assert again.config == config
    assert torch.equal(again(images, label), network(images, label))
    with pytest.raises(ShapeError, match="pictures: want"):
        network(images[:, :, 1:, 1:], label)


def test_truncation_is_refused_because_there_is_nothing_to_truncate():
    with pytest.raises(OptionError, match=r"psi 0\.7: this checkpoint has no mean style"):
        R3GAN(PLAIN).map_latents(torch.randn(1, 5), psi=0.7)


def test_latents_labels_and_styles_of_the_wrong_size_are_refused():
    network = R3GAN(ODD[2])
    with pytest.raises(ShapeError, match="want width 4, got 5"):
        network.map_latents(torch.randn(1, 5), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"wants labels of width 3, got none"):
        network.map_latents(torch.randn(1, 4))
    with pytest.raises(ShapeError, match=r"want \[batch, 1, 9\], got \[1, 2, 9\]"):
        network.synthesize(torch.zeros(1, 2, 9))


def record(changes: dict | None = None, attributes: dict | None = None) -> Checkpoint:
    state = R3GAN(PLAIN).state_dict()
    tensors = {foreign: state[ours] for foreign, ours in generator_names(PLAIN).items()} | (changes or {})
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return Checkpoint(Path("cat.pkl"), "test", {"G_ema": NetworkRecord("Generator", kept, attributes or {})})


def test_what_does_not_fit_is_named():
    key = "Model.MainLayers.1.Layers.2.NonLinearity1.Bias"
    with pytest.raises(UnknownArchitectureError, match=rf"nearest is R3GAN \(.* missing {key}\)"):
        load_generator(record({key: None}))
    with pytest.raises(UnknownArchitectureError, match=r"not known Model\.Extra"):
        load_generator(record({"Model.Extra": torch.zeros(1)}))
    with pytest.raises(MalformedFileError, match="don't fit together"):
        load_generator(record({key: torch.zeros(3)}))
    with pytest.raises(MalformedFileError, match="img_resolution is 16, its tensors say 8"):
        load_generator(record(attributes={"img_resolution": 16}))
    stated = {"Model.MainLayers.1.Layers.1.LinearLayer2.Layer.groups": 3}
    with pytest.raises(MalformedFileError, match="states 3 groups, its tensors have 4"):
        load_generator(record(attributes=stated))
    with pytest.raises(UnknownArchitectureError, match="a generator of R3GAN, which scores none"):
        load_discriminator(Checkpoint(Path("cat.pkl"), "test", {"D": record().networks["G_ema"]}))


@pytest.mark.parametrize(
    "change",
    [
        {"stages": []},
        {"stages": [{"channels": 10**9, "hidden": 1, "groups": 1, "blocks": 1}]},
        {"stages": [{"channels": 4, "hidden": 5, "groups": 2, "blocks": 1}]},
        {"stages": [{"channels": 4, "hidden": 4, "groups": 2, "blocks": 10**9}]},
        {"c_dim": 3},
        {"z_dim": -1},
    ],
)
def test_a_header_that_does_not_hold_is_refused(change):
    configuration = dataclasses.asdict(PLAIN) | change
    with pytest.raises(MalformedFileError, match="out of bounds"):
        ARCHITECTURE.restore(configuration, R3GAN(PLAIN).state_dict())


def test_whatever_is_wrong_with_a_record_is_explained():
    attributes = {"z_dim": 5, "c_dim": 0, "Model.MainLayers.1.Layers.1.LinearLayer2.Layer.groups": 4}
    seen = [outcome for seed in range(60) for outcome in outcomes(record(attributes=attributes), seed)]
    assert len([outcome for outcome in seen if outcome != "loaded"]) > 30
    assert all(len(message) < 2000 for message in seen)
