"""The Keras DCGAN: parity, the layouts that are about, odd stacks, and refusals."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, MetaganError, OptionError, ShapeError, UnknownArchitectureError
from metagan.networks.dcgan import ARCHITECTURE
from metagan.networks.dcgan.network import DCGAN, Config, LayerConfig
from metagan.networks.generator import Generator
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import load_discriminator, load_generator
from tests.networks.loading.test_detect import close
from tests.networks.loading.test_mutations import VALUES

GOLDEN = Path(__file__).parents[2] / "golden" / "keras_dcgan32.zip"
LRELU = LayerConfig("leaky_relu", slope=0.2)
NORM = LayerConfig("norm", bias=True)


def conv_transpose(outputs: int, kernel_size: int = 4, stride: int = 2, **options) -> LayerConfig:
    return LayerConfig("conv_transpose", outputs, kernel_size, stride, **options)


LARGE = Config(  # the 128x128 layout of the hobby projects, with fewer filters
    (100,),
    (
        LayerConfig("dense", 4 * 4 * 6, bias=True), NORM, LRELU, LayerConfig("reshape", shape=(4, 4, 6)),
        *[layer for outputs in (6, 6, 5, 5, 4) for layer in (conv_transpose(outputs, bias=True), NORM, LRELU)],
        LayerConfig("conv", 3, 4, bias=True, activation="tanh"),
    ),
)  # fmt: skip
ODD = Config(
    (7,),
    (
        LayerConfig("dense", 3 * 3 * 2, activation="relu"),
        LayerConfig("reshape", shape=(3, 3, 2)),
        LayerConfig("norm", scale=False, epsilon=0.1),
        conv_transpose(4, kernel_size=2, stride=3),
        LayerConfig("conv", 1, 5, 2, bias=True),
        LayerConfig("activation", activation="sigmoid"),
    ),
)


PORTRAIT = Config(
    (5,),
    (
        LayerConfig("dense", 4 * 2 * 6, bias=True),
        LayerConfig("reshape", shape=(4, 2, 6)),
        LayerConfig("upsample", stride=2),
        LayerConfig("conv", 3, 3, bias=True, activation="tanh"),
    ),
)


def make(config: Config) -> DCGAN:
    torch.manual_seed(0)
    network = DCGAN(config)
    for tensor in network.state_dict().values():
        tensor.copy_(torch.rand_like(tensor) - 0.3 * (tensor.ndim > 1))
    return network.eval().requires_grad_(False)


def test_the_golden_model_gives_keras_pictures():
    generator = load_generator(read_checkpoint(GOLDEN))
    assert isinstance(generator, Generator)
    with np.load(GOLDEN.with_suffix(".npz")) as arrays:
        images = generator.synthesize(generator.map_latents(torch.from_numpy(arrays["z"])))
        assert close(images.permute(0, 2, 3, 1), arrays["img"])


@pytest.mark.parametrize("part", ["generator", "generator.h5", "generator.zip"])
def test_every_form_of_the_model_gives_keras_pictures_and_features(part, shared_vectors):
    place = shared_vectors / "keras" / "keras_dcgan32"
    generator = load_generator(read_checkpoint(place / part))
    with np.load(place / "keras_dcgan32.npz") as arrays, torch.inference_mode():
        images = generator.synthesize(generator.map_latents(torch.from_numpy(arrays["z"])))
        assert close(images.permute(0, 2, 3, 1), arrays["img"])
        levels = (images * 127.5 + 127.5).clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
        assert np.abs(levels - arrays["u8"]).max() <= 1
        x = torch.from_numpy(arrays["z"][:1])
        for index, layer in enumerate(generator.layers):
            x = layer(x)
            name = next((key for key in arrays if key.startswith(f"act/{index:02}_")), None)
            if name:
                assert close(x.permute(0, 2, 3, 1) if x.ndim == 4 else x, arrays[name]), name


def test_the_discriminator_gives_keras_verdicts(shared_vectors):
    place = shared_vectors / "keras" / "keras_dcgan32"
    discriminator = load_discriminator(read_checkpoint(place / "discriminator"))
    with np.load(place / "keras_dcgan32.npz") as arrays:
        assert close(discriminator(torch.from_numpy(arrays["img"]).permute(0, 3, 1, 2)), arrays["prob"])
    with pytest.raises(ShapeError, match=r"want \[n, 3, 32, 32\]"):
        discriminator(torch.zeros(1, 3, 16, 16))
    with pytest.raises(UnknownArchitectureError, match="holds D, but no G_ema"):
        load_generator(read_checkpoint(place / "discriminator"))


@pytest.mark.parametrize(("config", "size"), [(LARGE, (128, 128)), (ODD, (5, 5)), (PORTRAIT, (4, 8))])
def test_a_stack_survives_its_own_and_keras_format(config, size):
    network = make(config)
    assert (network.size, network.z_dim) == (size, config.inputs[0])
    ws = network.map_latents(torch.randn(2, network.z_dim))
    images = network.synthesize(ws)
    assert images.shape[2:] == size[::-1]
    header = json.loads(json.dumps(dataclasses.asdict(config)))
    restored = ARCHITECTURE.restore(header, network.state_dict())
    assert restored.config == config
    assert torch.equal(restored.synthesize(ws), images)
    again = load_generator(Checkpoint(Path("g.h5"), "test", {"G_ema": keras_record(network)}))
    assert again.config == config
    assert torch.allclose(again.synthesize(ws), images, atol=1e-6)


def test_conversion_to_metagans_own_format_is_bit_exact(tmp_path):
    convert(GOLDEN, tmp_path / "own.safetensors")
    theirs, own = (
        load_generator(read_checkpoint(GOLDEN)),
        load_generator(read_checkpoint(tmp_path / "own.safetensors")),
    )
    assert own.config == theirs.config
    ws = theirs.map_latents(torch.randn(2, 100))
    assert torch.equal(own.synthesize(ws), theirs.synthesize(ws))


KERAS_CLASSES = {
    "dense": "Dense", "conv": "Conv2D", "conv_transpose": "Conv2DTranspose", "norm": "BatchNormalization",
    "reshape": "Reshape", "leaky_relu": "LeakyReLU", "activation": "Activation",
    "upsample": "UpSampling2D",
}  # fmt: skip


def keras_record(network: DCGAN) -> NetworkRecord:
    """A network as Keras would have saved it to .h5."""
    layers, tensors = [], {}
    for index, layer in enumerate(network.layers):
        config = layer.config
        options = {"name": f"layer_{index}", "use_bias": config.bias, "activation": config.activation}
        options |= {
            "units": config.outputs,
            "filters": config.outputs,
            "kernel_size": [config.kernel_size] * 2,
        }
        options |= {"strides": [config.stride] * 2, "padding": "same", "alpha": config.slope}
        options |= {"size": [config.stride] * 2, "interpolation": "nearest", "data_format": "channels_last"}
        options |= {"epsilon": config.epsilon, "scale": config.scale, "center": config.bias}
        options |= {"target_shape": list(config.shape), "batch_input_shape": [None, network.z_dim]}
        layers.append({"class_name": KERAS_CLASSES[config.kind], "config": options})
        norm = config.kind == "norm"
        for name, tensor in layer.state_dict().items():
            theirs = {"weight": "gamma" if norm else "kernel", "bias": "beta" if norm else "bias"}
            theirs |= {"mean": "moving_mean", "variance": "moving_variance"}
            order = {2: (1, 0), 4: (2, 3, 1, 0)}.get(tensor.ndim)
            tensors[f"layer_{index}/{theirs[name]}"] = tensor.permute(order) if order else tensor
    return NetworkRecord("Sequential", tensors, {"layers": layers})


def test_truncation_is_refused_because_there_is_nothing_to_truncate():
    network = make(ODD)
    with pytest.raises(OptionError, match=r"psi 0\.7: this checkpoint has no mean style"):
        network.map_latents(torch.randn(1, 7), psi=0.7)
    with pytest.raises(ShapeError, match="want width 7, got 5"):
        network.map_latents(torch.randn(1, 5))
    with pytest.raises(ShapeError, match=r"want \[batch, 1, 7\], got \[1, 2, 7\]"):
        network.synthesize(torch.zeros(1, 2, 7))


# What is refused


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, {"units": 10**9}, "layer 0 .dense. can't take"),
        (0, {"units": "many"}, r"layer 0 \(Dense\): units: want a whole number"),
        (0, {"activation": "__import__"}, "activation: want one of linear, relu, tanh, sigmoid"),
        (1, {"target_shape": [3, 3]}, "target_shape: want height, width and channels"),
        (3, {"padding": "valid"}, "padding: want 'same', got 'valid'"),
        (3, {"data_format": "channels_first"}, "data_format: want 'channels_last'"),
        (3, {"strides": [2, 3]}, "strides: want one number twice"),
        (3, {"strides": [60, 60]}, "don't fit|of \\d+ keys|square|larger|can't take"),
        (3, {"kernel_size": [5, 5]}, "tensors don't fit together"),
        (4, {"use_bias": False}, "not known layer_4/bias"),
    ],
)
def test_layers_that_are_not_understood_are_refused(index, change, message):
    record = keras_record(make(ODD))
    record.attributes["layers"][index]["config"].update(change)
    if change == {"strides": [60, 60]}:
        record.attributes["layers"][index]["config"]["kernel_size"] = [2000, 2000]
    with pytest.raises((MalformedFileError, UnknownArchitectureError), match=message):
        load_generator(Checkpoint(Path("g.h5"), "test", {"G_ema": record}))


def test_only_repeated_pixels_are_known_of_enlargements():
    record = keras_record(make(PORTRAIT))
    record.attributes["layers"][2]["config"]["interpolation"] = "bilinear"
    with pytest.raises(MalformedFileError, match="interpolation: want 'nearest', got 'bilinear'"):
        load_generator(Checkpoint(Path("g.h5"), "test", {"G_ema": record}))


def test_unknown_layers_are_all_named():
    record = keras_record(make(ODD))
    for index in (2, 5):
        record.attributes["layers"][index]["class_name"] = f"Strange{index}"
    with pytest.raises(
        UnknownArchitectureError, match="doesn't know: 'Strange2', 'Strange5'; it knows Dense"
    ):
        load_generator(Checkpoint(Path("g.h5"), "test", {"G_ema": record}))


@pytest.mark.parametrize(
    "change",
    [
        {"layers": []},
        {"inputs": []},
        {"inputs": [4, 4, 4]},
        {"layers": [{"kind": "dense", "outputs": 10**9}]},
        {"layers": [*map(dataclasses.asdict, ODD.layers), {"kind": "leaky_relu", "slope": 1e308}]},
        {"layers": [*map(dataclasses.asdict, ODD.layers), {"kind": "leaky_relu", "slope": -1.0}]},
        {"inputs": [-7]},
        {"layers": [*map(dataclasses.asdict, ODD.layers), {"kind": "norm", "outputs": -1, "bias": True}]},
    ],
)
def test_a_header_that_does_not_hold_is_refused(change):
    with pytest.raises(MalformedFileError):
        ARCHITECTURE.restore(dataclasses.asdict(ODD) | change, make(ODD).state_dict())


def test_whatever_is_wrong_with_an_option_is_explained():
    chance, refused = random.Random(0), 0
    for _ in range(150):
        record = keras_record(make(ODD))
        options = chance.choice(record.attributes["layers"])["config"]
        options[chance.choice(list(options))] = chance.choice(
            (*VALUES[:-3], [None, 5], [None, 2**40], [2, 2], 1e-9)
        )
        try:
            generator = load_generator(Checkpoint(Path("g.h5"), "test", {"G_ema": record}))
            generator.synthesize(generator.map_latents(torch.zeros(1, generator.z_dim)))
        except MetaganError as error:
            refused += 1
            assert len(str(error)) < 2000
    assert refused > 20
