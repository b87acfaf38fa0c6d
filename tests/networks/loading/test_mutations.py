"""Records with something wrong in them: whatever it is, the answer is a network or an error that explains itself."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MetaganError
from metagan.networks.loading.detect import load_discriminator, load_generator, notes_on

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = (
    "sg2ada_cuda16.pkl", "sg2ada_gemaonly16.pkl", "tf_ada_cond16.pkl", "ros_train16.pt",
    "luc_16_attn_noconst/model_0.pt", "sg3t_cond16.pkl", "keras_dcgan32.zip",
)  # fmt: skip
ROUNDS = 15  # `make fuzz` tries many more
VALUES = (None, True, 0, -1, 2**70, 1e308, float("nan"), "lrelu", "", b"x", [], [1, 3, 3, 1], {}, {"a": 1})
VALUES += (np.zeros(3), np.float32(1), ("skip",))


def mutated(network: NetworkRecord, chance: random.Random) -> NetworkRecord:
    """The record with one to three things wrong."""
    tensors, attributes = dict(network.tensors), dict(network.attributes)
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(list(tensors))
        tensor = tensors.pop(name)
        match chance.randrange(7):
            case 0:
                pass
            case 1:
                tensors[name + chance.choice(("x", ".weight", "0"))] = tensor
            case 2:
                tensors[name] = tensor[None]
            case 3:
                tensors[name] = tensor.flatten()[: chance.randrange(5)]
            case 4:
                tensors[name] = torch.zeros([chance.randrange(4) for _ in range(chance.randrange(6))])
            case 5:
                tensors[name] = tensor.to(chance.choice((torch.int64, torch.bool, torch.float64)))
            case _:
                tensors[name] = tensor
                change_attribute(attributes, chance)
    return NetworkRecord(network.class_name, tensors, attributes)


def change_attribute(attributes: dict, chance: random.Random) -> None:
    """Another value for an attribute, or for an entry of one."""
    if not attributes:
        return
    name = chance.choice(list(attributes))
    inner = attributes[name]
    if isinstance(inner, dict) and inner and chance.random() < 0.8:
        attributes[name] = {**inner, chance.choice(list(inner)): chance.choice(VALUES)}
    else:
        attributes[name] = chance.choice(VALUES)


def run_generator(file: Checkpoint, role: str) -> None:
    """What loads draws, too."""
    generator = load_generator(file, role)
    notes_on(file, role)
    label = torch.zeros(2, generator.c_dim) if generator.c_dim else None
    ws = generator.map_latents(torch.randn(2, generator.z_dim), label)
    size = generator.size
    assert generator.synthesize(ws).shape[1:] == (generator.image_channels, size.height, size.width)


def run_discriminator(file: Checkpoint) -> None:
    """What loads judges, too."""
    discriminator = load_discriminator(file)
    config = discriminator.config
    mapping = getattr(config, "label_mapping", None)
    label = torch.zeros(2, mapping.c_dim) if mapping else None
    images = torch.randn(2, config.image_channels, config.resolution, config.resolution)
    assert discriminator(images, label).shape == (2, 1)


def outcomes(file: Checkpoint, seed: int) -> Iterator[str]:
    """What becomes of each network of a file, with something wrong in it: "loaded", or the error."""
    chance = random.Random(seed)
    for role, network in file.networks.items():
        broken = Checkpoint(file.path, file.format, {role: mutated(network, chance)})
        try:
            if role == "D":
                run_discriminator(broken)
            else:
                run_generator(broken, role)
        except MetaganError as error:
            yield str(error)
        else:
            yield "loaded"


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_wrong_with_a_record_is_explained(name):
    file = read_checkpoint(GOLDEN / name)
    seen = [outcome for seed in range(ROUNDS) for outcome in outcomes(file, seed)]
    refused = [outcome for outcome in seen if outcome != "loaded"]
    assert len(refused) > ROUNDS / 2
    assert all(len(message) < 2000 for message in refused)
