"""Encoders and the search without gradients: a generator's own pictures are found, and files are read as written."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import MalformedFileError, MetaganError, OptionError
from metagan.lab.axes import find_axes
from metagan.lab.encoder import (
    EncoderOptions,
    EncoderTrainer,
    open_encoder,
    read_encoder,
    shrink,
    write_encoder,
)
from metagan.lab.fit import Aim, fit, nearest
from metagan.lab.styles import fingerprint
from metagan.networks.generator import Noise
from metagan.networks.loading.forms import describe
from metagan.sampling.latents import latents
from tests.lab.nets import load, small

FEW = EncoderOptions(axes=4, ranges=2, pictures=64, epochs=2, measured=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A generator's file, and an encoder of it that the command trained."""
    folder = tmp_path_factory.mktemp("encoder")
    generator = small()
    write_safetensors(folder / "net.safetensors", generator.state_dict(), describe(generator))
    words = ["encoder", folder / "net.safetensors", "--out", folder / "e.safetensors", "--pictures", 64]
    words += ["--epochs", 2, "--measured", 2, "--axes", 4, "--ranges", 2]
    result = CliRunner().invoke(metagan, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return generator, folder, result.output


def test_a_search_finds_what_the_generator_drew_though_it_starts_elsewhere():
    generator = small(w_dim=8)
    axes = find_axes(generator, 8)

    @torch.inference_mode()
    def draw(ws):
        return generator.synthesize(ws, Noise("none"))

    hidden = axes.styles(
        torch.randn(1, 2, 8, generator=torch.Generator().manual_seed(4)) / 2, generator.num_ws
    )
    aim = Aim(draw, axes, generator.num_ws, draw(hidden)[0].clamp(-1, 1))
    with torch.inference_mode():
        start = nearest(aim, axes.code(generator.map_latents(latents(range(8), 8), None)[:, 0]))
        before = aim.psnr_db(aim.apart(start[:, None])[0])
        aim.drawings = 0
        found = fit(aim, start, 2)
    assert found.code.shape == (2, 8)
    assert found.psnr_db > before + 6
    assert found.drawings == aim.drawings < 200
    with torch.inference_mode():
        many = axes.code(generator.map_latents(latents(range(40), 8), None)[:, 0])
        assert fit(aim, many, 2, tried=8).distance <= fit(aim, many, 2).distance
    assert float(aim.apart(found.code[None])[0].square().sum()) == pytest.approx(found.distance, rel=1e-4)


def test_the_command_trains_measures_and_writes_an_encoder(trained):
    generator, folder, said = trained
    encoder = open_encoder(folder / "e.safetensors", generator)
    info = encoder.info
    assert (info.axes, info.ranges, info.width, info.height) == (4, 2, 16, 16)
    assert info.generator == fingerprint(generator)
    assert len(info.distances) == 2
    assert info.distances[0] <= info.distances[1]
    assert info.fit_db >= info.start_db
    assert f"encoder and search: {info.fit_db:.1f} dB" in said
    assert encoder.network(torch.zeros(3, 3, 16, 16)).shape == (3, 4)


def test_the_same_seed_trains_the_same_encoder():
    one, other = (EncoderTrainer(small(), FEW).train().state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_file_has_what_was_written_as_halves(trained):
    _, folder, _ = trained
    encoder = read_encoder(folder / "e.safetensors")
    write_encoder(folder / "again.safetensors", encoder)
    assert (folder / "again.safetensors").read_bytes() == (folder / "e.safetensors").read_bytes()
    assert torch.equal(encoder.numbers(), encoder.numbers().half().float())


@pytest.mark.parametrize("damage", ["none", "cut", "directions", "shape"])
def test_what_is_no_encoder_s_file_is_refused(trained, tmp_path, damage):
    _, folder, _ = trained
    path = tmp_path / "e.safetensors"
    whole = (folder / "e.safetensors").read_bytes()
    if damage != "none":
        path.write_bytes(
            {
                "cut": whole[:-9],
                "directions": whole.replace(b"metagan-encoder", b"metagan-another"),
                "shape": whole.replace(b'\\"axes\\":4', b'\\"axes\\":5'),
            }[damage]
        )
    with pytest.raises(MalformedFileError, match="metagan encoder"):
        read_encoder(path)


def test_another_generator_s_encoder_is_refused(trained):
    _, folder, _ = trained
    with pytest.raises(OptionError, match="another generator"):
        open_encoder(folder / "e.safetensors", small(4))
    open_encoder(folder / "e.safetensors", small(), noise="const")
    with pytest.raises(OptionError, match="trained with noise const, and the subject has none"):
        open_encoder(folder / "e.safetensors", small(), noise="none")


def test_a_conditional_generator_s_encoder_is_of_a_class(tmp_path):
    generator = small(c_dim=3)
    trainer = EncoderTrainer(generator, replace(FEW, label=2, measured=1, pictures=8))
    info = trainer.measure(trainer.train())
    assert info.label == 2
    assert not torch.allclose(trainer.axes.centre, find_axes(generator, 4, 1).centre)


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("dcgan", FEW, "has no styles"),
        ("small", replace(FEW, axes=9), "9 axes and 2 ranges"),
        ("small", replace(FEW, ranges=99), "at most 8 axes and 6 ranges"),
        ("small", replace(FEW, noise="random"), "--noise const"),
    ],
)
def test_what_can_t_be_encoded_is_refused_with_the_way_out(family, options, said):
    with pytest.raises(MetaganError, match=said):
        EncoderTrainer(small() if family == "small" else load(family), options)


def test_large_pictures_are_seen_as_means_of_blocks():
    picture = torch.arange(4.0).repeat_interleave(2)[None, None, None].expand(1, 3, 2, 8)
    assert torch.equal(shrink(picture, (1, 4))[0, 0, 0], torch.arange(4.0))
