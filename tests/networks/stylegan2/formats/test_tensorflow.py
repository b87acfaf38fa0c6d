"""TensorFlow's pickles: odd shapes, options, refusals; parity with its programs is in test_detect.py."""

import dataclasses

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.networks.ops import make_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats import tensorflow
from metagan.networks.stylegan2.formats.official import discriminator_names, to_official
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from tests.networks.stylegan2.formats.foreign import checkpoint, randomised, spell_out

STORED = {
    tensorflow._kernel: lambda tensor: tensor.permute(2, 3, 1, 0),
    tensorflow._flipped_kernel: lambda tensor: tensor.flip((2, 3)).permute(2, 3, 1, 0),
    tensorflow._matrix: lambda tensor: tensor.T,
    tensorflow._noise_image: lambda tensor: tensor[None, None],
    tensorflow._unbatched: lambda tensor: tensor[None],
    tensorflow._from_zero: lambda bias: bias - 1,
}
PLAIN = Config(MappingConfig(6, 0, 0, (7, 8)), channels=(6, 5, 4))
SQUARE = {
    "resolution_h": 16, "resolution_w": 16, "min_h": 4, "min_w": 4, "res_log2": 2, "init_res": [4, 4],
}  # fmt: skip
OPTIONS = {"latent_size": 6, "resolution": 16, "num_channels": 3, "fmap_base": 64}
ODD = [
    (PLAIN, OPTIONS),
    (PLAIN, SQUARE),
    (PLAIN, {"res_log2": 4}),
    (
        dataclasses.replace(PLAIN, kind="resnet", clamp=0.9, activation="swish"),
        {"architecture": "resnet", "conv_clamp": 0.9, "nonlinearity": "swish", "truncation_psi": 0.5},
    ),
    (
        dataclasses.replace(PLAIN, kind="orig", use_noise=False, image_channels=1),
        {"architecture": "orig", "use_noise": False, "num_channels": 1},
    ),
    (
        dataclasses.replace(
            PLAIN,
            mapping=MappingConfig(5, 3, 4, (9,), "relu", 0.02, has_mean_style=False),
            filter_shape=(8,),
        ),
        {
            "label_size": 3, "mapping_layers": 1, "mapping_lrmul": 0.02, "mapping_nonlinearity": "relu",
            "resample_kernel": [1, 2, 3, 4, 4, 3, 2, 2],
        },
    ),
]  # fmt: skip


def written(config: Config) -> tuple[StyleGAN2, dict[str, torch.Tensor]]:
    """A random network, and its tensors as TensorFlow's programs store them."""
    network = randomised(StyleGAN2(config))
    return network, spell_out(to_official(network).state, tensorflow.generator_spelling, STORED)


@pytest.mark.parametrize(("config", "options"), ODD)
def test_a_generator_of_odd_shape_comes_back(config, options):
    network, table = written(config)
    read = load_generator(checkpoint(table | {"lod": torch.zeros([])}, attributes={"static_kwargs": options}))
    assert read.config == config
    there = read.state_dict()
    for name, tensor in network.state_dict().items():
        if "taps" not in name:
            assert torch.allclose(there[name], tensor, atol=1e-6), name
    taps = make_taps(tuple(options.get("resample_kernel", (1, 3, 3, 1))))
    assert torch.equal(read.blocks[1].conv0.taps, taps)


@pytest.mark.parametrize(
    ("config", "options", "version"),
    [
        (DiscriminatorConfig(channels=(3, 5, 2)), {}, 4),
        (DiscriminatorConfig(channels=(3, 5, 2)), SQUARE, 4),
        (DiscriminatorConfig(channels=(3, 5), group_size=None, kind="skip"), {"architecture": "skip"}, 5),
        (DiscriminatorConfig(channels=(3, 5), group_size=None), {}, np.array([4, 4])),
        (
            DiscriminatorConfig(
                channels=(3, 4), kind="orig", group_size=2, std_channels=2, clamp=8.0,
                label_mapping=MappingConfig(0, 3, 4, (), lr_multiplier=0.1, has_mean_style=False),
            ),
            {"architecture": "orig", "mbstd_group_size": 2, "conv_clamp": 8, "label_size": 3},
            5,
        ),
        (
            DiscriminatorConfig(
                channels=(3, 4), group_size=None,
                label_mapping=MappingConfig(0, 3, 6, (5, 4), lr_multiplier=0.1, has_mean_style=False),
            ),
            {"mapping_layers": 2},
            5,
        ),
    ],
)  # fmt: skip
def test_a_discriminator_of_odd_shape_comes_back_bit_by_bit(config, options, version):
    network = randomised(Discriminator(config))
    ours = network.state_dict()
    state = {foreign: ours[own] for foreign, own in discriminator_names(config).items() if own}
    table = spell_out(state, tensorflow.discriminator_spelling, STORED)
    read = load_discriminator(
        checkpoint(table, "D", attributes={"static_kwargs": options, "version": version})
    )
    assert read.config == config
    assert all(torch.equal(read.state_dict()[name], tensor) for name, tensor in ours.items())
    label = torch.eye(3)[:2] if config.label_mapping else None
    images = torch.randn(2, 3, config.resolution, config.resolution)
    assert torch.equal(read(images, label), network(images, label))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 1024}, "the file contradicts itself: resolution is 1024, its tensors say 16"),
        ({"architecture": "resnet"}, "architecture is 'resnet', its tensors say skip"),
        ({"resolution": np.array([16, 16])}, "contradicts itself: resolution is array"),
        ({"resolution_h": 32}, "contradicts itself: resolution_h is 32, its tensors say 16"),
        ({"resolution_w": 8}, "resolution_w is 8, its tensors say 16"),
        ({"min_h": 4, "min_w": 2}, "contradicts itself: min_w is 2, its tensors say 4"),
        ({"init_res": [4, 2]}, r"init_res is \[4, 2\], its tensors say 4"),
        ({"res_log2": 7}, "res_log2 is 7, its tensors say 2 or 4"),
        ({"res_log2": np.array([2])}, "res_log2 is array"),
        ({"nonlinearity": "__import__('os')"}, "nonlinearity: unknown activation"),
        ({"conv_clamp": -1}, "conv_clamp: want a number above 0, got -1"),
        ({"mapping_lrmul": "0.01"}, "mapping_lrmul: want a number"),
        ({"resample_kernel": [1] * 1000}, "resample_kernel: want a list of numbers"),
        ({"resample_kernel": [1, -1]}, "resample_kernel: want a list of numbers"),
    ],
)
def test_options_that_are_no_options_are_refused(options, message):
    _, table = written(PLAIN)
    with pytest.raises(MalformedFileError, match=message):
        load_generator(checkpoint(table, attributes={"static_kwargs": options}))


def test_options_that_may_change_the_pictures_are_refused_by_name():
    _, table = written(PLAIN)
    options = {"normalize_latents": False, "spectral": 3, "mapping_func": "G_mapping"}
    with pytest.raises(
        UnknownArchitectureError, match="may change its pictures: spectral, normalize_latents=False"
    ):
        load_generator(checkpoint(table, attributes={"static_kwargs": options}))


def test_keys_that_are_missing_or_unknown_are_named_as_the_file_names_them():
    _, table = written(PLAIN)
    del table["synthesis/8x8/Conv0_up/mod_bias"]
    table["synthesis/8x8/Extra/weight"] = torch.zeros(1)
    with pytest.raises(UnknownArchitectureError) as caught:
        load_generator(checkpoint(table, attributes={"static_kwargs": {}}))
    assert "nearest is TensorFlow's StyleGAN2 (" in str(caught.value)
    assert "missing synthesis/8x8/Conv0_up/mod_bias; not known synthesis/8x8/Extra/weight" in str(
        caught.value
    )


def test_labels_from_before_ada_are_refused_in_clear_words():
    _, table = written(PLAIN)
    with pytest.raises(UnknownArchitectureError, match="conditional StyleGAN2 from before StyleGAN2-ADA"):
        load_generator(checkpoint(table | {"mapping/LabelConcat/weight": torch.zeros(3, 6)}))


def test_the_progressive_layout_is_refused_in_clear_words(shared_vectors):
    with pytest.raises(UnknownArchitectureError, match="progressive layout") as caught:
        read_checkpoint(shared_vectors / "tf" / "tf_sg2_configD16_unsupported.pkl")
    assert "fix: metagan reads StyleGAN2's configurations E and F, and StyleGAN2-ADA" in str(caught.value)


def test_sizes_that_fit_together_and_make_no_network_are_refused():
    even = dataclasses.replace(PLAIN, kernel_size=2)
    with torch.device("meta"):
        network = StyleGAN2(even)
    state = to_official(network.to_empty(device="cpu")).state
    table = spell_out(state, tensorflow.generator_spelling, STORED)
    with pytest.raises(MalformedFileError, match="its configuration is out of bounds"):
        load_generator(checkpoint(table, attributes={"static_kwargs": {}}))
    with pytest.raises(MalformedFileError, match="its configuration is out of bounds"):
        load_generator(checkpoint(state))
    config = DiscriminatorConfig(channels=(3, 5), std_channels=-1)
    ours = Discriminator(config).state_dict()
    discriminator = {foreign: ours[own] for foreign, own in discriminator_names(config).items() if own}
    with pytest.raises(MalformedFileError, match="its configuration is out of bounds"):
        load_discriminator(
            checkpoint(
                spell_out(discriminator, tensorflow.discriminator_spelling, STORED),
                "D",
                {"static_kwargs": {}},
            )
        )
