"""What is exported is the generator, and what can't be is refused with every reason."""

import dataclasses
import gzip
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from metagan.cli.export import command
from metagan.errors import ExportError
from metagan.export.blob import METADATA_KEY, SMALL, compress, pack, unpack
from metagan.export.fold import fold
from metagan.export.web import compare, make_web_weights
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2

PLAIN = Config(MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 80)), channels=(60, 5, 4))
LABELLED = dataclasses.replace(PLAIN, mapping=MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,)))


def make(config: Config, scale: float = 0.3) -> StyleGAN2:
    torch.manual_seed(0)
    network = StyleGAN2(config).eval().requires_grad_(requires_grad=False)
    for name, tensor in network.state_dict().items():
        if name.endswith(("noise_strength", "mean_style")):
            tensor.copy_(torch.rand_like(tensor))
        if "to_rgb.weight" in name:
            tensor.mul_(scale)
    return network


@pytest.mark.parametrize(
    "config", [PLAIN, LABELLED, dataclasses.replace(PLAIN, clamp=0.5, image_channels=1, use_noise=False)]
)
@pytest.mark.parametrize("noise", ["const", "none"])
def test_pictures_from_the_written_content_are_the_generator_s(config, noise):
    weights = make_web_weights(make(config), "fp32", noise)
    assert weights.likeness.worst <= 1
    assert weights.likeness.off_by_one <= 0.001
    assert weights.likeness.psnr_db > 100
    assert gzip.decompress(weights.compressed) == weights.content


def test_half_precision_halves_large_matrices_and_leaves_the_rest():
    generator = make(PLAIN)
    fp16, fp32 = (make_web_weights(generator, precision) for precision in ("fp16", "fp32"))
    assert len(fp16.content) < 0.7 * len(fp32.content)
    assert fp16.likeness.off_by_one <= 0.05
    assert 60 < fp16.likeness.psnr_db < fp32.likeness.psnr_db
    tensors, exact = unpack(fp16.content)[1], fold(generator)[1]
    assert torch.equal(tensors["4.conv1.weight"], exact["4.conv1.weight"].half().float())
    assert torch.equal(tensors["4.conv1.bias"], exact["4.conv1.bias"])


@pytest.mark.parametrize("widths", [(80,), (80, 80, 72)])
def test_the_weights_of_a_file_in_half_precision_are_not_rounded_again(widths):
    mapping = MappingConfig(z_dim=60, c_dim=0, embed_dim=0, widths=widths)
    generator = make(dataclasses.replace(PLAIN, mapping=mapping))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(parameter.half().float())
    assert make_web_weights(generator, "fp16").likeness.psnr_db > 100
    for name, tensor in fold(generator)[1].items():
        if tensor.numel() > SMALL:
            step = 2**-25  # half of what lies between the smallest numbers
            assert torch.allclose(tensor, tensor.half().float(), rtol=0, atol=step), name


def test_the_same_generator_gives_the_same_bytes_and_says_what_it_is():
    first, second = (make_web_weights(make(LABELLED)) for _ in range(2))
    assert first.compressed == second.compressed
    length = int.from_bytes(first.content[:8], "little")
    header = json.loads(json.loads(first.content[8 : 8 + length])["__metadata__"][METADATA_KEY])
    assert (header["version"], header["architecture"], header["width"]) == (2, "stylegan2", 16)
    assert (header["c_dim"], header["channels"], header["widths"]) == (3, [60, 5, 4], [9])


@pytest.mark.parametrize(
    "name", ["mapping.0.weight", "mean", "8.conv0.noise", "16.rgb.style.weight", "constant"]
)
def test_a_content_that_gives_other_pictures_is_noticed(name):
    generator = make(PLAIN)
    config, tensors = fold(generator)
    tensors[name] = tensors[name] * 1.5 + 0.1
    assert compare(generator, pack(config, tensors, "fp32"), "const").worst > 1


def test_everything_that_the_kernel_does_not_know_is_listed_at_once():
    odd = dataclasses.replace(PLAIN, kind="resnet", activation="swish", kernel_size=5, image_channels=2)
    with pytest.raises(ExportError) as caught:
        make_web_weights(make(odd), noise="random")
    message = str(caught.value)
    for part in (
        "'resnet', want 'skip'",
        "'swish', want 'lrelu'",
        "kernel_size is 5, want 3",
        "2 channels",
        "'random'",
    ):
        assert part in message
    assert message.endswith("fix: show prepared pictures instead")


def test_another_resampling_filter_is_refused():
    generator = make(PLAIN)
    generator.state_dict()["blocks.1.image_taps"].mul_(1.1)
    with pytest.raises(ExportError, match=r"filter is not \[1, 3, 3, 1\]"):
        fold(generator)
    with pytest.raises(ExportError, match=r"filter is not \[1, 3, 3, 1\]"):
        fold(make(dataclasses.replace(PLAIN, filter_shape=(8,))))


def test_weights_too_large_for_half_precision_are_refused_with_the_way_out():
    generator = make(PLAIN)
    generator.state_dict()["blocks.0.conv1.weight"].mul_(1e5)
    with pytest.raises(
        ExportError, match=r"4\.conv1\.weight contains .*\n  fix: export with --precision fp32"
    ):
        make_web_weights(generator)
    assert make_web_weights(generator, "fp32").likeness.worst <= 1


def test_a_generator_that_half_precision_would_change_is_not_exported():
    generator = make(PLAIN, scale=3000.0)
    with pytest.raises(ExportError, match=r"fp16 weights don't draw .* want at most 5\.0%.*\n  fix: .*fp32"):
        make_web_weights(generator)


def test_the_command_writes_the_file_and_tells_its_hash(tmp_path):
    out = tmp_path / "apes.bin.gz"
    result = CliRunner().invoke(
        command, ["bundled:apes", "--out", str(out), "--json"], catch_exceptions=False
    )
    facts = json.loads(result.output)
    assert facts["size_bytes"] == out.stat().st_size
    assert facts["off_by_one"] <= 0.05
    config, tensors = unpack(gzip.decompress(out.read_bytes()))
    assert config.width >= 32
    assert all(np.isfinite(tensor.numpy()).all() for tensor in tensors.values())
    again = CliRunner().invoke(command, ["bundled:apes", "--out", str(out)], catch_exceptions=False)
    assert facts["sha256"] in again.output


def test_compressed_bytes_carry_no_date():
    assert compress(b"abc")[4:8] == bytes(4)


WIDE = dataclasses.replace(PLAIN, channels=(60, 60, 60))


def header_of(content: bytes) -> dict:
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA_KEY])


def test_bytes_for_convolutions_halve_them_once_more_and_say_how_near_they_come():
    generator = make(WIDE)
    int8, fp16 = (make_web_weights(generator, precision) for precision in ("int8", "fp16"))
    assert len(int8.content) < 0.65 * len(fp16.content)
    assert 40 <= int8.likeness.psnr_db < fp16.likeness.psnr_db
    header = header_of(int8.content)
    assert header["precision"] == "int8"
    assert header["psnr_db"] == round(int8.likeness.psnr_db, 1)
    assert compare(generator, int8.content, "const") == int8.likeness


def test_bytes_are_each_channel_s_nearest():
    tensors, exact = unpack(make_web_weights(make(WIDE), "int8").content)[1], fold(make(WIDE))[1]
    assert tensors.keys() == exact.keys()
    name = "8.conv0.weight"
    step = exact[name].abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    off = (tensors[name] - exact[name]).abs() / step
    assert off.max() <= 0.5001
    assert off.max() > 0.4
    assert torch.equal(tensors["8.conv0.bias"], exact["8.conv0.bias"])


def test_bytes_that_come_not_near_enough_are_refused():
    generator = make(WIDE)
    weight = generator.state_dict()["blocks.2.conv1.weight"]
    weight[:, 0, 0, 0] = 400  # one large weight a channel leaves the others no steps
    with pytest.raises(ExportError, match=r"int8 .* dB from them; want at least 40 dB\n  fix: .*fp16"):
        make_web_weights(generator, "int8")


def test_a_channel_of_zeros_stays_zeros():
    generator = make(WIDE)
    generator.state_dict()["blocks.1.conv0.weight"][3] = 0
    tensors = unpack(make_web_weights(generator, "int8").content)[1]
    assert not tensors["8.conv0.weight"][3].any()
