"""The generator and discriminator as modules: shapes, truncation, noise, and odd hyper-parameters."""

import dataclasses

import pytest
import torch

from metagan.errors import MalformedFileError, OptionError, ShapeError, UnknownArchitectureError
from metagan.networks.generator import Generator, Noise
from metagan.networks.stylegan2 import ARCHITECTURE
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2

PLAIN = Config(MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 8)), channels=(6, 5, 4))
CONDITIONAL = MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,))
ODD = [
    PLAIN,
    dataclasses.replace(PLAIN, kind="resnet", clamp=0.9),
    dataclasses.replace(PLAIN, kind="orig", activation="swish", use_noise=False),
    dataclasses.replace(PLAIN, mapping=CONDITIONAL, image_channels=4, kernel_size=1),
    dataclasses.replace(PLAIN, channels=(3,), image_channels=1, kernel_size=5),
    dataclasses.replace(PLAIN, filter_shape=(8,), channels=(2, 9, 1, 4)),
]


def make(config: Config) -> StyleGAN2:
    torch.manual_seed(0)
    network = StyleGAN2(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith(("noise_strength", "mean_style", "bias")) or "taps" in name:
            tensor.copy_(torch.rand_like(tensor))
    return network


def draw(network: StyleGAN2, batch: int = 2, **options) -> torch.Tensor:
    z = torch.randn(batch, network.z_dim, generator=torch.Generator().manual_seed(1))
    label = torch.eye(network.c_dim)[:1].expand(batch, -1) if network.c_dim else None
    with torch.inference_mode():
        return network.synthesize(network.map_latents(z, label, **options))


@pytest.mark.parametrize("config", ODD)
def test_a_generator_of_odd_shape_survives_its_own_file_format(config):
    network = make(config)
    assert isinstance(network, Generator)
    images = draw(network)
    assert images.shape == (2, config.image_channels, config.resolution, config.resolution)
    restored = ARCHITECTURE.restore(dataclasses.asdict(config), network.state_dict())
    assert restored.config == config
    assert torch.equal(draw(restored), images)


def test_psi_one_leaves_styles_alone_and_psi_zero_gives_the_mean_picture():
    network = make(PLAIN)
    assert network.mapping.mean_style is not None
    zero = draw(network, psi=0.0)
    assert torch.allclose(zero[0], zero[1], atol=1e-4)
    mean = network.mapping.mean_style.expand(1, network.num_ws, -1)
    assert torch.allclose(network.synthesize(mean)[0], zero[0], atol=1e-4)
    assert torch.equal(draw(network, psi=1.0), draw(network))
    assert torch.equal(draw(network, psi=0.5, cutoff=0), draw(network))


def test_truncation_without_a_mean_style_is_refused():
    network = make(
        dataclasses.replace(PLAIN, mapping=dataclasses.replace(PLAIN.mapping, has_mean_style=False))
    )
    draw(network)
    with pytest.raises(OptionError, match=r"psi 0\.5: this checkpoint has no mean style"):
        draw(network, psi=0.5)


def test_random_noise_belongs_to_the_seed_and_not_to_the_batch():
    network = make(PLAIN)
    ws = network.map_latents(torch.randn(3, 6))
    together = network.synthesize(ws, Noise("random", (5, 6, 7)))
    alone = network.synthesize(ws[1:2], Noise("random", (6,)))
    assert torch.allclose(together[1:2], alone, atol=1e-4)
    assert not torch.allclose(together, network.synthesize(ws, Noise("random", (8, 9, 10))), atol=1e-2)
    with pytest.raises(ShapeError, match="a seed for each of 3 pictures, got 1"):
        network.synthesize(ws, Noise("random", (1,)))


def test_latents_labels_and_styles_of_the_wrong_size_are_refused():
    network = make(dataclasses.replace(PLAIN, mapping=CONDITIONAL))
    with pytest.raises(ShapeError, match="want width 6, got 5"):
        network.map_latents(torch.randn(1, 5), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"wants labels of width 3, got none"):
        network.map_latents(torch.randn(1, 6))
    with pytest.raises(ShapeError, match=r"want \[batch, 6, 9\], got \[1, 5, 9\]"):
        network.synthesize(torch.zeros(1, 5, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": (6, 5, 10**9)}, "out of bounds"),
        ({"channels": (4,) * 40}, "out of bounds"),
        ({"activation": "__import__"}, "out of bounds"),
        ({"clamp": 0.0}, "out of bounds"),
        ({"clamp": 1e308}, "out of bounds"),
        ({"mapping": dataclasses.asdict(PLAIN.mapping) | {"lr_multiplier": 0.0}}, "out of bounds"),
        ({"kind": "sideways"}, "kind: Input should be 'skip', 'resnet' or 'orig'"),
        ({"image_channels": "many"}, "image_channels"),
        ({"surprise": 1}, "surprise"),
        ({"image_channels": 5}, "don't fit together"),
    ],
)
def test_a_header_that_the_tensors_do_not_bear_out_is_refused(change, message):
    configuration = dataclasses.asdict(PLAIN) | change
    with pytest.raises(MalformedFileError, match=message):
        ARCHITECTURE.restore(configuration, make(PLAIN).state_dict())


def test_missing_and_unknown_tensors_are_named():
    tensors = make(PLAIN).state_dict()
    tensors["extra"] = tensors.pop("constant")
    with pytest.raises(UnknownArchitectureError, match=r"of \d+ keys; missing constant; not known extra"):
        ARCHITECTURE.restore(dataclasses.asdict(PLAIN), tensors)


@pytest.mark.parametrize("kind", ["resnet", "skip", "orig"])
def test_a_discriminator_tells_a_logit_a_picture_and_refuses_other_sizes(kind):
    label_mapping = MappingConfig(z_dim=0, c_dim=3, embed_dim=4, widths=(4, 6), has_mean_style=False)
    config = DiscriminatorConfig(channels=(4, 5, 6), kind=kind, label_mapping=label_mapping)
    network = Discriminator(config)
    assert network(torch.randn(4, 3, 16, 16), torch.eye(3)[[0, 1, 2, 0]]).shape == (4, 1)
    with pytest.raises(ShapeError, match=r"want \[n, 3, 16, 16\], got \[4, 3, 8, 8\]"):
        network(torch.randn(4, 3, 8, 8), torch.zeros(4, 3))
