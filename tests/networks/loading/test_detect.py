"""Real files to networks: parity with the published programs, and refusals that explain themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint, Header, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.generator import Noise
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8

GOLDEN = Path(__file__).parents[2] / "golden"
OFFICIAL = sorted(
    f"{folder}/{name}"
    for folder, names in {
        "sg2ada": "cifar32 cifar32_t113 cond16 cuda16 gemaonly16 orig16 perturbed32 resnet32 skip32 skip32_modern",
        "sg2in3": "cond16_resnet orig32_modern skip32",
        "tf": "ada_cond16 sg2_skip32",
    }.items()
    for name in (f"{folder}_{stem}" for stem in names.split())
)


def close(ours: torch.Tensor, theirs: np.ndarray) -> bool:
    """The tolerance that the vectors' README states: 1e-4 of the largest value, or of one."""
    return bool(np.abs(ours.numpy() - theirs).max() <= 1e-4 * max(1.0, np.abs(theirs).max()))


def assert_parity(weights: Path) -> None:
    checkpoint = read_checkpoint(weights)
    with np.load(weights.with_suffix(".npz")) as vectors, torch.inference_mode():
        arrays = dict(vectors)
        checked = [assert_case(checkpoint, case, arrays) for case in json.loads(str(arrays["meta"]))["cases"]]
        assert sum(checked) >= 3
        if "D" in checkpoint.networks:
            assert_logits(checkpoint, arrays)


def assert_case(checkpoint: Checkpoint, case: dict, arrays: dict[str, np.ndarray]) -> bool:
    name = case["name"]
    if f"img_{name}" not in arrays or case["net"] not in checkpoint.networks:
        return False
    generator = load_generator(checkpoint, case["net"])
    ws = torch.from_numpy(arrays[f"ws_{name}"]).float()
    if name != "wsmix":
        z, label = torch.from_numpy(arrays["z"]), label_of(arrays)
        ours = generator.map_latents(z, label, psi=case["psi"], cutoff=case["cutoff"])
        assert close(ours, arrays[f"ws_{name}"]), name
        ws = ours
    images = generator.synthesize(ws, Noise(case["noise_mode"]))
    assert close(images, arrays[f"img_{name}"]), name
    levels = np.abs(np.stack(to_uint8(images)).astype(int) - arrays[f"u8_{name}"])
    assert levels.max() <= 1, name
    assert (levels > 0).mean() <= 1e-3, name
    return True


def assert_logits(checkpoint: Checkpoint, arrays: dict[str, np.ndarray]) -> None:
    discriminator, label = load_discriminator(checkpoint), label_of(arrays)
    images = torch.from_numpy(arrays["img_psi1"])
    assert close(discriminator(images, label), arrays["logits_batch"])
    single = [
        discriminator(images[i : i + 1], None if label is None else label[i : i + 1])
        for i in range(len(images))
    ]
    assert close(torch.cat(single), arrays["logits_single"])
    if "logits_batch_wsmix" in arrays:
        mixed = discriminator(torch.from_numpy(arrays["img_wsmix"]), label)
        assert close(mixed, arrays["logits_batch_wsmix"])


def label_of(arrays: dict[str, np.ndarray]) -> torch.Tensor | None:
    return torch.from_numpy(arrays["c"]).float() if "c" in arrays and arrays["c"].size else None


@pytest.mark.parametrize("stem", ["sg2ada_gemaonly16", "sg2ada_cuda16", "tf_ada_cond16"])
def test_golden_pickles_give_the_official_pictures(stem):
    assert_parity(GOLDEN / f"{stem}.pkl")


@pytest.mark.parametrize("stem", OFFICIAL)
def test_every_official_vector_gives_the_official_pictures(stem, shared_vectors):
    assert_parity(shared_vectors / f"{stem}.pkl")


def test_intermediate_features_are_the_official_ones(shared_vectors):
    generator = load_generator(read_checkpoint(shared_vectors / "sg2ada" / "sg2ada_skip32.pkl"))
    with np.load(shared_vectors / "sg2ada" / "sg2ada_skip32.npz") as arrays, torch.inference_mode():
        ws = torch.from_numpy(arrays["ws_psi1"][:1]).float()
        x, image = generator.constant[None], None
        for index, block in enumerate(generator.blocks):
            start = max(0, 2 * index - 1)
            x, image = block(x, image, ws[:, start : start + 3 - (index == 0)], Noise("const"))
            assert close(x, arrays[f"act_b{4 * 2**index}_x"])
            assert close(image, arrays[f"act_b{4 * 2**index}_img"])


def test_a_real_trained_pickle_gives_the_official_pictures(shared_vectors):
    weights = shared_vectors.parent / "weights" / "apes32.pkl"
    generator = load_generator(read_checkpoint(weights))
    with np.load(weights.with_suffix(".npz")) as arrays, torch.inference_mode():
        ws = generator.map_latents(latents(arrays["seeds"].tolist(), generator.z_dim), psi=0.8)
        levels = np.abs(np.stack(to_uint8(generator.synthesize(ws))).astype(int) - arrays["images"])
    assert levels.max() <= 1
    assert (levels > 0).mean() <= 1e-3


# What is refused


def record(**changes: torch.Tensor | None) -> NetworkRecord:
    """The golden generator's record, with tensors replaced or (None) removed."""
    original = read_checkpoint(GOLDEN / "sg2ada_gemaonly16.pkl").networks["G_ema"]
    tensors = {**original.tensors, **{name.replace("__", "."): value for name, value in changes.items()}}
    kept = {name: value for name, value in tensors.items() if value is not None}
    return NetworkRecord(original.class_name, kept, original.attributes)


def load(network: NetworkRecord, header: Header | None = None) -> None:
    load_generator(Checkpoint(Path("cat.pkl"), "test", {"G_ema": network}, header))


def test_a_missing_key_names_the_nearest_architecture_with_its_count():
    with pytest.raises(UnknownArchitectureError) as caught:
        load(record(synthesis__b4__const=None, synthesis__b8__conv0__bias=None))
    assert str(caught.value).startswith("cat.pkl: no known architecture; nearest is StyleGAN2 (")
    assert "missing synthesis.b4.const, synthesis.b8.conv0.bias" in str(caught.value)


def test_an_unknown_key_is_never_ignored():
    with pytest.raises(UnknownArchitectureError, match=r"not known synthesis\.b8\.conv9\.weight"):
        load(record(synthesis__b8__conv9__weight=torch.zeros(1)))


def test_a_tensor_of_another_shape_is_named_with_the_shape_it_should_have():
    with pytest.raises(MalformedFileError, match=r"blocks\.1\.conv0\.bias is \[999\], want \[\d+\]"):
        load(record(synthesis__b8__conv0__bias=torch.zeros(999)))


def test_integers_are_no_weights():
    with pytest.raises(MalformedFileError, match=r"holds int64, want floating-point"):
        load(record(synthesis__b4__conv1__noise_strength=torch.zeros([], dtype=torch.int64)))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("z_dim", 10**9, "the file contradicts itself: z_dim is 1000000000, its tensors say"),
        ("mapping.num_layers", 10**9, "contradicts itself"),
        ("img_resolution", 2**20, "contradicts itself"),
        ("synthesis.b8.conv0.activation", "__import__('os')", "disagree about activation"),
        ("mapping.fc0.bias_gain", "0.01", "bias_gain"),
        ("synthesis.b8.conv0.conv_clamp", -1, "conv_clamp"),
    ],
)
def test_metadata_that_the_tensors_do_not_bear_out_is_refused(attribute, value, message):
    original = record()
    changed = NetworkRecord("Generator", original.tensors, {**original.attributes, attribute: value})
    with pytest.raises(MalformedFileError, match=message):
        load(changed)


def test_discriminators_and_generators_in_each_others_place_are_called_by_their_name(shared_vectors):
    checkpoint = read_checkpoint(shared_vectors / "hostile" / "cfg_discriminator_as_generator.pkl")
    message = "this is a discriminator of StyleGAN2, which makes no pictures; want a generator"
    with pytest.raises(UnknownArchitectureError, match=message):
        load_generator(checkpoint)
    message = "this is a generator of StyleGAN2, which scores none; want a discriminator"
    with pytest.raises(UnknownArchitectureError, match=message):
        load_discriminator(Checkpoint(Path("cat.pkl"), "test", {"D": record()}))


def test_networks_like_none_that_is_known_name_the_nearest_and_their_first_keys():
    strange = NetworkRecord("", {f"synthesis.L{i}.affine.weight": torch.zeros(2, 2) for i in range(9)})
    with pytest.raises(UnknownArchitectureError) as caught:
        load(strange)
    assert "cat.pkl: no known architecture; nearest is StyleGAN2 (0 of " in str(caught.value)
    assert "not known synthesis.L0.affine.weight, synthesis.L1.affine.weight" in str(caught.value)
    assert "and 5 more)" in str(caught.value)
    assert str(caught.value).endswith("another one that metagan reads (docs/formats.md)")


def test_a_header_of_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(MalformedFileError, match=r"unknown architecture 'stylegan9'; .* knows stylegan2"):
        load(record(), Header("stylegan9", {}))


def test_a_file_without_the_network_asked_for_says_what_it_holds():
    with pytest.raises(UnknownArchitectureError, match="test: it holds G_ema, but no D\n  fix: get the file"):
        load_discriminator(Checkpoint(Path("cat.pkl"), "test", {"G_ema": record()}))


def test_a_file_with_the_other_generator_says_how_to_take_that():
    words = "it holds G, but no G_ema\n  fix: `metagan convert IN OUT.safetensors --network G`"
    with pytest.raises(UnknownArchitectureError, match=words):
        load_generator(Checkpoint(Path("cat.pkl"), "test", {"G": record()}), "G_ema")


def test_a_discriminator_that_compares_true_pictures_is_refused():
    network = read_checkpoint(GOLDEN / "sg2ada_cuda16.pkl").networks["D"]
    attributes = {**network.attributes, "b4.mbstd.group_size": True}  # the fuzzer's
    broken = NetworkRecord("Discriminator", network.tensors, attributes)
    with pytest.raises(MalformedFileError, match="group_size: want a number of pictures or None, got True"):
        load_discriminator(Checkpoint(Path("cat.pkl"), "test", {"D": broken}))
