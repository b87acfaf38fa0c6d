"""StyleGAN3's pickles: parity with the published program, its own file format, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import load_discriminator, load_generator
from tests.networks.loading.test_detect import assert_logits, close, label_of

REMOVED = object()
GOLDEN = Path(__file__).parents[2] / "golden" / "sg3t_cond16.pkl"
VECTORS = ("sg3t_32", "sg3r_32", "sg3r_64_modern", "sg3t_cond16")


def assert_parity(weights: Path) -> None:
    with np.load(weights.with_suffix(".npz")) as vectors, torch.inference_mode():
        arrays = dict(vectors)
    cases = json.loads(str(arrays["meta"]))["cases"]
    assert len(cases) >= 4
    with torch.inference_mode():
        for case in cases:
            # Read anew: a case that moves the picture writes into the generator's own tensors.
            assert_case(read_checkpoint(weights), case, arrays)
        assert_logits(read_checkpoint(weights), arrays)


def assert_case(checkpoint: Checkpoint, case: dict, arrays: dict[str, np.ndarray]) -> None:
    name = case["name"]
    generator = load_generator(checkpoint, case["net"])
    ws = torch.from_numpy(arrays[f"ws_{name}"]).float()
    if name != "wsmix":
        z, label = torch.from_numpy(arrays["z"]), label_of(arrays)
        ws = generator.map_latents(z, label, psi=case["psi"], cutoff=case["cutoff"])
        assert close(ws, arrays[f"ws_{name}"]), name
    if case["transform"]:
        generator.input.transform.copy_(torch.from_numpy(arrays[f"transform_{name}"]))
    images = generator.synthesize(ws)
    assert close(images, arrays[f"img_{name}"]), name
    levels = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    difference = np.abs(levels.numpy().astype(int) - arrays[f"u8_{name}"])
    assert difference.max() <= 1, name
    assert (difference > 0).mean() <= 1e-3, name


def test_the_golden_pickle_gives_the_official_pictures():
    assert_parity(GOLDEN)


@pytest.mark.parametrize("stem", VECTORS)
def test_every_vector_gives_the_official_pictures(stem, shared_vectors):
    assert_parity(shared_vectors / "sg3" / f"{stem}.pkl")


def test_intermediate_features_are_the_official_ones(shared_vectors):
    weights = shared_vectors / "sg3" / "sg3t_32.pkl"
    generator = load_generator(read_checkpoint(weights))
    names = ["input", *read_checkpoint(weights).networks["G_ema"].attributes["synthesis.layer_names"]]
    with np.load(weights.with_suffix(".npz")) as arrays, torch.inference_mode():
        ws = torch.from_numpy(arrays["ws_psi1"][:1]).float().unbind(dim=1)
        x = generator.input(ws[0])
        for index, name in enumerate(names):
            x = generator.layers[index - 1](x, ws[index]) if index else x
            start = (x.shape[2] - 8) // 2
            assert close(x[:, :, start : start + 8, start : start + 8], arrays[f"act_{name}_crop"]), name
            stats = torch.stack([x.mean(), x.std(), x[0, 0, 0, 0], x[0, -1, -1, -1]]).double()
            assert torch.allclose(stats, torch.from_numpy(arrays[f"act_{name}_stats"]), atol=1e-3), name


def test_conversion_to_metagans_own_format_is_bit_exact(tmp_path):
    convert(GOLDEN, tmp_path / "own.safetensors")
    theirs, own = (
        load_generator(read_checkpoint(GOLDEN)),
        load_generator(read_checkpoint(tmp_path / "own.safetensors")),
    )
    assert own.config == theirs.config
    ws = theirs.map_latents(torch.randn(2, theirs.z_dim), torch.eye(3)[:2])
    assert torch.equal(own.synthesize(ws), theirs.synthesize(ws))


# What is refused


def load(attributes: dict | None = None, tensors: dict | None = None) -> None:
    original = read_checkpoint(GOLDEN).networks["G_ema"]
    kept = {k: v for k, v in {**original.tensors, **(tensors or {})}.items() if v is not None}
    stated = {k: v for k, v in {**original.attributes, **(attributes or {})}.items() if v is not REMOVED}
    load_generator(Checkpoint(Path("cat.pkl"), "test", {"G_ema": NetworkRecord("Generator", kept, stated)}))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("img_resolution", 32, "img_resolution is 32, its tensors say 16"),
        ("synthesis.L2_28_12.is_torgb", True, "is_torgb is True"),
        (
            "synthesis.L2_28_12.up_factor",
            10**9,
            "up_factor: want a whole number from 1 to 16, got 1000000000",
        ),
        ("synthesis.L2_28_12.up_factor", 4, r"layer 2 gives \d+ samples, but states 28"),
        ("synthesis.L2_28_12.padding", [9, 8, 9], "padding: want four pads"),
        ("synthesis.L2_28_12.in_size", [28, 30], "in_size: want one width and height"),
        ("synthesis.L2_28_12.out_size", [10**9] * 2, "out_size: want one width and height"),
        ("synthesis.input.bandwidth", 16.0, "the input is"),
        ("synthesis.input.sampling_rate", "16", "sampling_rate: want a number above 0"),
        ("synthesis.layer_names", ["__class__", "forward"], "the file lists layers '__class__', 'forward'"),
        ("synthesis.layer_names", [np.zeros(2)] * 5, "the file lists layers"),
        ("synthesis.L2_28_12.in_size", [np.zeros(2)] * 2, "in_size: want one width and height"),
        ("synthesis.L2_28_12.in_size", [28, np.full(2, 28)], "in_size: want one width and height"),
        ("synthesis.L2_28_12.down_factor", REMOVED, "take the network pickle, not its state dict"),
    ],
)
def test_metadata_that_the_tensors_do_not_bear_out_is_refused(attribute, value, message):
    with pytest.raises(MalformedFileError, match=message):
        load({attribute: value})


def test_keys_and_shapes_that_do_not_fit_are_named():
    with pytest.raises(
        UnknownArchitectureError, match=r"nearest is StyleGAN3 \(.* missing synthesis.L3_28_12.bias\)"
    ):
        load(tensors={"synthesis.L3_28_12.bias": None})
    with pytest.raises(UnknownArchitectureError, match=r"not known synthesis\.extra"):
        load(tensors={"synthesis.extra": torch.zeros(1)})
    with pytest.raises(MalformedFileError, match=r"layers\.3\.bias is"):
        load(tensors={"synthesis.L3_28_12.bias": torch.zeros(1)})
    with pytest.raises(MalformedFileError, match=r"want L0, L1, \.\.\. once each"):
        load(tensors={"synthesis.L9_28_12.bias": torch.zeros(1)})


def test_relatives_that_have_more_to_them_are_called_by_their_name():
    with pytest.raises(UnknownArchitectureError, match="class-conditional StyleGAN-XL"):
        load(tensors={"mapping.embed_proj.weight": torch.zeros(1)})
    record = NetworkRecord("Generator", {"synthesis.init.init.1.weight_orig": torch.zeros(1)})
    with pytest.raises(UnknownArchitectureError, match="a FastGAN of Projected GAN"):
        load_generator(Checkpoint(Path("cat.pkl"), "test", {"G_ema": record}))


def test_layer_names_that_are_no_layers_are_refused(shared_vectors):
    with pytest.raises(
        MalformedFileError, match=r"the file lists layers '__class__', 'forward', '\.\./\.\./x'"
    ):
        load_generator(read_checkpoint(shared_vectors / "hostile" / "cfg_sg3_layer_names.pkl"))


def test_a_generator_in_a_discriminators_place_is_called_so():
    record = read_checkpoint(GOLDEN).networks["G_ema"]
    with pytest.raises(UnknownArchitectureError, match="a generator of StyleGAN3, which scores none"):
        load_discriminator(Checkpoint(Path("cat.pkl"), "test", {"D": record}))
