"""StyleGAN3 as a module: odd hyper-parameters, its own file format, independence of the batch."""

import dataclasses
import json

import pytest
import torch

from metagan.errors import MalformedFileError, ShapeError
from metagan.networks.generator import Generator
from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan3 import ARCHITECTURE
from metagan.networks.stylegan3.network import Config, StyleGAN3
from tests.networks.stylegan3.geometry import design

MAPPING = MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 8))
CONDITIONAL = MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,))
SMALL = {"channel_base": 64, "channel_max": 6, "margin": 4}
PLAIN = design(MAPPING, 16, layers=5, **SMALL)
ODD = [
    PLAIN,
    design(MAPPING, 16, layers=4, kernel=1, radial=True, **SMALL),
    design(CONDITIONAL, 32, layers=6, critical=1, image_channels=4, clamp=None, **SMALL),
    design(MAPPING, 16, layers=3, kernel=5, taps=4, image_channels=1, clamp=0.7, **SMALL),
]


def make(config: Config) -> StyleGAN3:
    torch.manual_seed(0)
    network = StyleGAN3(config).eval().requires_grad_(False)
    for name, tensor in network.state_dict().items():
        if name.endswith(("mean_style", "bias", "magnitude")) or "taps" in name:
            tensor.copy_(torch.rand_like(tensor) + 0.1)
        if "taps" in name:
            tensor.div_(tensor.sum())
    return network


def draw(network: StyleGAN3, batch: int = 2, **options) -> torch.Tensor:
    z = torch.randn(4, network.z_dim, generator=torch.Generator().manual_seed(1))[:batch]
    label = torch.eye(network.c_dim)[:1].expand(batch, -1) if network.c_dim else None
    with torch.inference_mode():
        return network.synthesize(network.map_latents(z, label, **options))


@pytest.mark.parametrize("config", ODD)
def test_a_generator_of_odd_shape_survives_its_own_file_format(config):
    network = make(config)
    assert isinstance(network, Generator)
    images = draw(network)
    size = config.layers[-1].out_size
    assert images.shape == (2, config.layers[-1].out_channels, size, size)
    header = json.loads(json.dumps(dataclasses.asdict(config)))
    restored = ARCHITECTURE.restore(header, network.state_dict())
    assert restored.config == config
    assert torch.equal(draw(restored), images)


def test_a_picture_does_not_depend_on_the_others_of_its_batch():
    network = make(PLAIN)
    assert torch.allclose(draw(network, batch=3)[:2], draw(network, batch=2), atol=1e-5)


def test_psi_zero_gives_the_mean_picture():
    zero = draw(make(PLAIN), psi=0.0)
    assert torch.allclose(zero[0], zero[1], atol=1e-5)


def test_pictures_can_be_differentiated_by_their_styles():
    network = make(PLAIN)
    ws = network.map_latents(torch.randn(1, 6)).clone().requires_grad_()
    network.synthesize(ws).square().mean().backward()
    assert ws.grad is not None
    assert ws.grad.abs().sum() > 0


def test_styles_of_the_wrong_size_are_refused():
    with pytest.raises(ShapeError, match=r"want \[batch, 7, 8\], got \[1, 6, 8\]"):
        make(PLAIN).synthesize(torch.zeros(1, 6, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "0 layers, want 1 to 64"),
        ({"layers": [dataclasses.asdict(layer) for layer in PLAIN.layers[1:]]}, "don't fit|of \\d+ keys"),
        ({"layers": [dataclasses.asdict(PLAIN.layers[0]) | {"up": 10**9}]}, "layer 0 is"),
        (
            {"layers": [dataclasses.asdict(PLAIN.layers[0]) | {"in_size": 17}]},
            "layer 0 takes 6 channels of 17",
        ),
        ({"layers": [dataclasses.asdict(PLAIN.layers[0]) | {"out_size": 5}]}, "samples, but states 5"),
        ({"input": dataclasses.asdict(PLAIN.input) | {"size": 10**6}}, "the input is"),
        ({"mapping": dataclasses.asdict(MAPPING) | {"widths": [10**9]}}, "out of bounds"),
        ({"mapping": dataclasses.asdict(MAPPING) | {"lr_multiplier": 0.0}}, "out of bounds"),
        ({"output_scale": 0.0}, "scaled by 0.0"),
        ({"input": dataclasses.asdict(PLAIN.input) | {"bandwidth": -1.0}}, "the input is"),
        ({"layers": [dataclasses.asdict(PLAIN.layers[0]) | {"clamp": 1e308}]}, "layer 0 is"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_header_that_does_not_hold_is_refused(change, message):
    configuration = dataclasses.asdict(PLAIN) | change
    with pytest.raises(Exception, match=message) as caught:
        ARCHITECTURE.restore(configuration, make(PLAIN).state_dict())
    assert caught.type.__module__ == MalformedFileError.__module__
