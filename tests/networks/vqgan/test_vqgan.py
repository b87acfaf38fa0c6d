"""VQGANs: the published program's results, its files, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from metagan.cli import metagan
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError, UnsafeFileError
from metagan.networks.vqgan import VQGAN, VQGANConfig, load_vqgan, recompute
from tests.checkpoints.assembler import call, dict_of, pickle_of, text
from tests.networks.vqgan.nets import TINY, published_names, random_vqgan, write_lightning, write_yaml

GOLDEN = Path(__file__).parents[2] / "golden"
PLAIN = dataclasses.replace(TINY, gumbel=False, widths=(32, 32), attention=(), blocks=1)


def compare(path):
    vqgan, there = load_vqgan(path), np.load(path.with_suffix(".npz"))
    with torch.inference_mode():
        features = vqgan.encode(torch.from_numpy(there["x"]))
        codes = vqgan.choose(features)
        quantised = vqgan.look_up(codes)
        pictures = vqgan.decode(quantised)
    assert (codes.numpy() == there["indices"]).all()
    for got, name in ((features, "h"), (quantised, "zq"), (pictures, "y")):
        assert np.abs(got.numpy() - there[name]).max() <= 1e-4 * max(1, np.abs(there[name]).max()), name


def test_pictures_become_the_codes_and_codes_the_pictures_of_the_published_program():
    compare(GOLDEN / "vq_f2_32.ckpt")


@pytest.mark.parametrize("name", ["vq_f2_32", "gumbel_f4_32"])
def test_the_shared_vectors_are_reproduced(shared_vectors, name):
    compare(shared_vectors / "vqgan" / f"{name}.ckpt")


@pytest.mark.parametrize(
    "config",
    [TINY, PLAIN, dataclasses.replace(PLAIN, convolve=False), dataclasses.replace(PLAIN, widths=(64,))],
)
@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_file_gives_back_the_same_network_with_and_without_its_yaml(tmp_path, config, kind, beside):
    network = random_vqgan(config)
    tensors = published_names(network) | {
        "loss.discriminator.main.0.weight": torch.ones(2, 3),
        "quantize.embedding.embed_avg": torch.ones(2),
    }
    path = tmp_path / f"net.{kind}"
    if kind == "ckpt":
        write_lightning(path, tensors)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    if beside:
        write_yaml(tmp_path / "net.yaml", config)
    read = load_vqgan(path)
    assert read.config == config
    picture = torch.rand(1, 3, 8, 12) * 2 - 1
    with torch.inference_mode():
        codes = network.choose(network.encode(picture))
        assert torch.equal(read.choose(read.encode(picture)), codes)
        drawn = read.decode(read.look_up(codes))
        assert torch.equal(drawn, network.decode(network.look_up(codes)))
        assert drawn.shape == picture.shape


def test_the_nearest_code_is_the_nearest():
    network = random_vqgan(PLAIN)
    features = torch.randn(2, 5, 3, 4)
    rows = features.permute(0, 2, 3, 1).reshape(-1, 5)
    wanted = torch.cdist(rows.double(), network.codebook.double()).argmin(dim=1).view(2, 3, 4)
    assert torch.equal(network.nearest(features), wanted)


def test_recomputed_layers_give_the_same_gradients():
    network = random_vqgan(TINY)
    start = torch.randn(1, 5, 3, 3)
    found = []
    for way in (None, recompute):
        features = start.clone().requires_grad_()
        network.decode(features, way).square().sum().backward()
        found.append(features.grad)
    assert torch.allclose(*found, rtol=1e-5)
    assert found[0].abs().max() > 0


@pytest.mark.parametrize(
    "callback",
    [
        ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
        ("lightning.pytorch.callbacks.model_checkpoint", "ModelCheckpoint"),
        ("main", "ImageLogger"),
    ],
)
def test_callbacks_are_mentioned_and_never_made(tmp_path, callback):
    path = write_lightning(tmp_path / "net.ckpt", published_names(random_vqgan(PLAIN)), callback)
    assert load_vqgan(path).config == PLAIN
    name = f"c{callback[0]}\n{callback[1]}\n".encode()
    hostile = tmp_path / "hostile.pkl"
    legacy = tmp_path / "hostile.ckpt"
    content = pickle_of(dict_of((text("callbacks"), call(name, text("x")))), protocol=2)
    hostile.write_bytes(content)
    with pytest.raises(UnsafeFileError):
        load_vqgan(hostile)
    head = pickle_of(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", protocol=2) + pickle_of(b"M\xe9\x03", protocol=2)
    legacy.write_bytes(head + pickle_of(dict_of((text("little_endian"), b"\x88")), protocol=2) + content)
    with pytest.raises(UnsafeFileError, match="only mention"):
        load_vqgan(legacy)


def test_a_checkpoint_that_wants_code_is_refused(tmp_path):
    path = write_lightning(
        tmp_path / "net.ckpt", published_names(random_vqgan(PLAIN)), ("subprocess_of_mine", "Popen")
    )
    with pytest.raises(UnsafeFileError, match="subprocess_of_mine"):
        load_vqgan(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ch": 48}, "multiple of 32"),
        ({"ch": 10**9}, "less than or equal"),
        ({"ch_mult": [1] * 10_000}, "at most 10"),
        ({"num_res_blocks": 10**9}, "less than or equal"),
        ({"in_channels": 4}, "RGB"),
        ({"double_z": True}, "double_z"),
        ({"attn_type": "linear"}, "attn_type"),
        ({"ch": "a"}, "valid integer"),
    ],
)
def test_a_yaml_of_something_else_is_refused_in_words(tmp_path, change, says):
    path = write_lightning(tmp_path / "net.ckpt", published_names(random_vqgan(PLAIN)))
    write_yaml(tmp_path / "net.yaml", PLAIN, **change)
    with pytest.raises(MalformedFileError, match=says) as caught:
        load_vqgan(path)
    assert "net.yaml" in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "want a mapping"),
        ("model: [1", "no YAML"),
        ("[" * 700, "no YAML"),
        ("model: !!python/object/apply:os.system ['true']", "no YAML"),
        ("model: {target: ldm.models.autoencoder.AutoencoderKL, params: "
         "{embed_dim: 1, n_embed: 1, ddconfig: {ch: 32, ch_mult: [1], num_res_blocks: 1, attn_resolutions: [],"
         " resolution: 32, z_channels: 1}}}", "AutoencoderKL"),
        ("x: &a [1]\n" + "".join(f"x{n}: &a{n} [{'*a' if n == 0 else f'*a{n - 1}'}{', *a' * 9}]\n" for n in range(30)),
         "model"),
        ("a: " + "x" * (1 << 19), "want at most 262,144 bytes, got 524,291"),
    ],
)  # fmt: skip
def test_hostile_yamls_are_refused_and_never_run(tmp_path, content, says):
    path = write_lightning(tmp_path / "net.ckpt", published_names(random_vqgan(PLAIN)))
    (tmp_path / "net.yaml").write_text(content)
    with pytest.raises(CheckpointError, match=says):
        load_vqgan(path)


def test_a_yaml_of_another_network_is_named(tmp_path):
    path = write_lightning(tmp_path / "net.ckpt", published_names(random_vqgan(PLAIN)))
    write_yaml(tmp_path / "net.yaml", dataclasses.replace(PLAIN, codes=99))
    with pytest.raises(MalformedFileError, match="don't fit"):
        load_vqgan(path)
    write_yaml(tmp_path / "net.yaml", dataclasses.replace(PLAIN, blocks=2))
    with pytest.raises(UnknownArchitectureError, match="missing") as caught:
        load_vqgan(path)
    assert "net.yaml" in (caught.value.fix or "")


@pytest.mark.parametrize(
    "lost", ["encoder.conv_in.weight", "quantize.embedding.weight", "decoder.mid.attn_1.q.bias"]
)
def test_missing_tensors_are_named(tmp_path, lost):
    tensors = published_names(random_vqgan(PLAIN))
    del tensors[lost]
    with pytest.raises(UnknownArchitectureError, match="missing"):
        load_vqgan(write_lightning(tmp_path / "net.ckpt", tensors))


def test_numbers_that_are_none_are_refused(tmp_path):
    tensors = published_names(random_vqgan(PLAIN))
    tensors["quantize.embedding.weight"][3, 1] = float("nan")
    with pytest.raises(MalformedFileError, match="NaN"):
        load_vqgan(write_lightning(tmp_path / "net.ckpt", tensors))


def test_a_generator_is_no_vqgan_and_a_vqgan_no_generator(tmp_path):
    with pytest.raises(UnknownArchitectureError, match="no VQGAN"):
        load_vqgan(GOLDEN / "ros_train16.pt")
    result = CliRunner().invoke(
        metagan, ["sample", str(GOLDEN / "vq_f2_32.ckpt"), "--out", str(tmp_path / "a")]
    )
    assert isinstance(result.exception, UnknownArchitectureError)
    assert "metagan paint" in str(result.exception)


def test_sizes_out_of_range_are_refused():
    for change in ({"codes": 0}, {"widths": ()}, {"blocks": 99}, {"z_channels": 10**9}):
        with pytest.raises(MalformedFileError):
            VQGAN(dataclasses.replace(PLAIN, **change))
    assert VQGANConfig(**dataclasses.asdict(PLAIN)).factor == 2
