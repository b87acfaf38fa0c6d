"""The shared reference vectors: every genuine file gives the tensors that its own program's reader gives."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.assemble import require_finite
from tests.checkpoints.reading_child import assert_bounded, read_in_child

OFFICIAL = (
    "sg2ada/sg2ada_cifar32", "sg2ada/sg2ada_cifar32_t113", "sg2ada/sg2ada_cond16", "sg2ada/sg2ada_cuda16",
    "sg2ada/sg2ada_gemaonly16", "sg2ada/sg2ada_orig16", "sg2ada/sg2ada_perturbed32", "sg2ada/sg2ada_resnet32",
    "sg2ada/sg2ada_skip32", "sg2ada/sg2ada_skip32_modern", "sg3/sg3r_32", "sg3/sg3r_64_modern", "sg3/sg3t_32",
    "sg3/sg3t_cond16", "sg2in3/sg2in3_cond16_resnet", "sg2in3/sg2in3_orig32_modern", "sg2in3/sg2in3_skip32",
)  # fmt: skip
R3GAN = ("r3gan/r3_16", "r3gan/r3_cond32")
TENSORFLOW = ("tf/tf_ada_cond16", "tf/tf_sg2_skip32")
LUCIDRAINS = ("luc_16_attn2", "luc_16_attn_noconst", "luc_32")


class Stub:
    """Takes any state; what the independent reader below makes of every class."""

    def __init__(self, meta: dict[str, Any] | None = None) -> None:
        self.__dict__.update(meta["state"] if meta else {})


class StubDict(dict):
    """EasyDict, for the independent reader."""


class IndependentReader(pickle.Unpickler):
    """Python's own unpickler with stand-ins for classes; only for files of our own making."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return lambda content: torch.load(io.BytesIO(content), weights_only=False, map_location="cpu")
        if name == "EasyDict":
            return StubDict
        known = module in (
            "collections",
            "builtins",
            "__builtin__",
            "_codecs",
            "torch._utils",
            "torch",
            "numpy",
        )
        if known or module.startswith("numpy."):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        return Stub


def independent_tensors(module: Stub, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for part in ("_parameters", "_buffers"):
        for name, tensor in getattr(module, part).items():
            if tensor is not None:
                yield prefix + name, tensor
    for name, child in module._modules.items():
        if child is not None:
            yield from independent_tensors(child, f"{prefix}{name}.")


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert torch.equal(found[name], tensor), name
        assert found[name].stride() == tensor.stride(), name


@pytest.mark.parametrize("name", OFFICIAL + R3GAN)
def test_a_pickle_gives_what_its_own_program_would_see(shared_vectors: Path, name: str):
    path = shared_vectors / f"{name}.pkl"
    checkpoint = read_checkpoint(path)
    with path.open("rb") as file:
        wanted = IndependentReader(file).load()
    assert checkpoint.networks.keys() == wanted.keys() & {"G", "D", "G_ema"}
    for role, record in checkpoint.networks.items():
        assert_same(dict(record.tensors), dict(independent_tensors(wanted[role])))
        require_finite(record, path)
        assert not [name for name in record.attributes if "_hooks" in name or name.endswith("training")]
    if name in OFFICIAL:
        assert_same_arguments(checkpoint.networks["G_ema"], wanted["G_ema"])


def assert_same_arguments(record: NetworkRecord, wanted: Stub) -> None:
    assert record.class_name == "Generator"
    assert record.attributes["_init_kwargs"] == wanted._init_kwargs
    assert type(record.attributes["_init_kwargs"]) is dict
    assert record.attributes["num_ws"] == wanted.num_ws


def test_official_names_shapes_and_attributes_are_those_of_the_formats_description(shared_vectors: Path):
    record = read_checkpoint(shared_vectors / "sg2ada/sg2ada_skip32.pkl").networks["G_ema"]
    shapes = {name: tuple(tensor.shape) for name, tensor in record.tensors.items()}
    assert shapes["synthesis.b4.const"][1:] == (4, 4)
    assert shapes["synthesis.b8.conv0.weight"][2:] == (3, 3)
    assert shapes["synthesis.b8.conv0.noise_const"] == (8, 8)
    assert shapes["synthesis.b8.conv0.noise_strength"] == ()
    assert shapes["synthesis.b32.torgb.weight"][0] == 3
    assert shapes["synthesis.b8.resample_filter"] == (4, 4)
    assert shapes["mapping.w_avg"] == shapes["mapping.fc1.bias"]
    assert record.attributes["synthesis.b8.conv0.up"] == 2
    assert record.attributes["synthesis.b8.conv0.activation"] == "lrelu"
    assert type(record.attributes["mapping.fc0.weight_gain"]) is float


def test_a_stylegan3_layers_arrays_are_attributes(shared_vectors: Path):
    record = read_checkpoint(shared_vectors / "sg3/sg3t_32.pkl").networks["G_ema"]
    sizes = [value for name, value in record.attributes.items() if name.endswith(".out_size")]
    assert len(sizes) > 10
    assert all(isinstance(size, np.ndarray) and size.shape == (2,) for size in sizes)
    assert record.attributes["synthesis.layer_names"][0].startswith("L0_")


@pytest.mark.parametrize("name", TENSORFLOW)
def test_a_tensorflow_pickle_gives_its_variables_bit_by_bit(shared_vectors: Path, name: str):
    path = shared_vectors / f"{name}.pkl"
    checkpoint = read_checkpoint(path)
    with path.open("rb") as file:
        wanted = IndependentReader(file, encoding="latin1").load()
    for role, network in zip(("G", "D", "G_ema"), wanted, strict=True):
        parts = {"": network} | {f"{key}/": part for key, part in network.components.items()}
        variables = {f"{at}{key}": value for at, part in parts.items() for key, value in part.variables}
        record = checkpoint.networks[role]
        assert list(record.tensors) == list(variables)
        assert all(np.array_equal(record.tensors[key].numpy(), value) for key, value in variables.items())
        assert record.attributes["static_kwargs"] == network.static_kwargs


def test_the_progressive_tensorflow_layout_is_refused_by_its_name(shared_vectors: Path):
    with pytest.raises(UnknownArchitectureError, match="progressive layout"):
        read_checkpoint(shared_vectors / "tf/tf_sg2_configD16_unsupported.pkl")


@pytest.mark.parametrize("name", ["ros_conv32_legacy", "ros_train16"])
def test_a_rosinality_file_gives_its_state_dicts(shared_vectors: Path, name: str):
    path = shared_vectors / f"rosinality/{name}.pt"
    checkpoint = read_checkpoint(path)
    wanted = torch.load(path, weights_only=False, map_location="cpu")
    # The golden file lacks "g".
    there = [(role, key) for role, key in (("G", "g"), ("D", "d")) if key in wanted]
    for role, key in there:
        assert_same(dict(checkpoint.networks[role].tensors), dict(wanted[key]))
    average = {"latent_avg": wanted["latent_avg"]} if "latent_avg" in wanted else {}
    assert_same(dict(checkpoint.networks["G_ema"].tensors), dict(wanted["g_ema"]) | average)
    assert ("args" in checkpoint.facts) == ("args" in wanted)


@pytest.mark.parametrize("name", LUCIDRAINS)
def test_a_lucidrains_file_gives_the_averaged_generator(shared_vectors: Path, name: str):
    path = shared_vectors / f"lucidrains/{name}/model_0.pt"
    checkpoint = read_checkpoint(path)
    wanted = torch.load(path, weights_only=True)["GAN"]
    averaged = {key: tensor for key, tensor in wanted.items() if key.startswith(("SE.", "GE."))}
    assert_same(dict(checkpoint.networks["G_ema"].tensors), averaged)
    whole = any(key.startswith("D.") for key in wanted)  # the golden file has the average alone
    assert checkpoint.networks.keys() == ({"G", "D", "G_ema"} if whole else {"G_ema"})
    assert "image_size" in checkpoint.facts["config"]


def test_every_genuine_format_has_a_name_of_its_own(shared_vectors: Path):
    names = (
        "sg2ada/sg2ada_skip32.pkl", "r3gan/r3_16.pkl", "tf/tf_sg2_skip32.pkl", "rosinality/ros_train16.pt",
        "lucidrains/luc_32/model_0.pt",
    )  # fmt: skip
    assert len({read_checkpoint(shared_vectors / name).format for name in names}) == len(names)


def test_nan_weights_are_refused_when_asked(shared_vectors: Path):
    path = shared_vectors / "hostile/cfg_nan_weights.pkl"
    with pytest.raises(MalformedFileError, match="NaN or infinity in"):
        require_finite(read_checkpoint(path).networks["G_ema"], path)


@pytest.mark.parametrize("name", ["generator.h5", "generator.zip", "generator"])
def test_keras_files_are_called_by_their_name(shared_vectors: Path, name: str):
    checkpoint = read_checkpoint(shared_vectors / "keras/keras_dcgan32" / name)
    assert "Keras" in checkpoint.format
    assert list(checkpoint.networks) == ["G_ema"]


FUZZED = (
    "sg2ada/sg2ada_gemaonly16.pkl", "sg2ada/sg2ada_perturbed32.pkl", "rosinality/ros_conv32_legacy.pt",
    "lucidrains/luc_32/model_0.pt", "tf/tf_sg2_skip32.pkl", "r3gan/r3_cond32.pkl",
)  # fmt: skip


def test_damaged_copies_of_genuine_files_never_raise_anything_but_our_errors(
    shared_vectors: Path, tmp_path: Path
):
    chance = np.random.default_rng(7)
    for number, name in enumerate(FUZZED):
        original = (shared_vectors / name).read_bytes()
        for attempt in range(16):
            damaged = bytearray(original)
            reach = len(original) if attempt % 2 else 6_000
            for offset in chance.integers(0, reach, size=1 + attempt % 5):
                damaged[offset] = int(chance.integers(0, 256))
            end = None if attempt % 3 else int(chance.integers(1, len(original)))
            (tmp_path / f"{number}-{attempt}").write_bytes(damaged[:end])
    report = read_in_child(tmp_path)
    assert_bounded(report)
    assert sum(told["error"] is not None for told in report.values()) > 40
