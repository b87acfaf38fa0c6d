"""Other programs' upscalers: small networks of spandrel's own classes, where it can be imported."""

import importlib
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from metagan.cli import metagan
from metagan.errors import DeviceError, MetaganError, OptionError, UnknownArchitectureError, UnsafeFileError
from metagan.sampling import foreign_upscaler
from metagan.sampling.levels import to_signed, to_uint8
from metagan.sampling.upscale import open_upscaler, upscale_pictures

CPU = torch.device("cpu")
try:
    import spandrel
except (ImportError, RuntimeError):  # torchvision raises RuntimeError beside another torch
    spandrel = None
needs_spandrel = pytest.mark.skipif(spandrel is None, reason="spandrel can't be imported")


def real_esrgan(scale):
    """Random tensors of a small RRDBNet under Real-ESRGAN's names; for x2 it takes pictures folded into 12 channels."""
    rng = torch.Generator().manual_seed(0)
    shapes = {"conv_first": (8, 12 if scale == 2 else 3), "conv_body": (8, 8), "conv_last": (3, 8)}
    shapes |= dict.fromkeys(("conv_up1", "conv_up2", "conv_hr"), (8, 8))
    for block in (1, 2, 3):
        for number, inputs in enumerate((8, 40, 72, 104, 136), 1):
            shapes[f"body.0.rdb{block}.conv{number}"] = (8 if number == 5 else 32, inputs)
    state = {}
    for name, (outputs, inputs) in shapes.items():
        state[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=rng) / (9 * inputs) ** 0.5
        state[f"{name}.bias"] = torch.randn(outputs, generator=rng) / 10
    return state


def first_esrgan(scale):
    """The tensors of spandrel's own RRDBNet, which has the names of ESRGAN's first form."""
    module = importlib.import_module("spandrel.architectures.ESRGAN.__arch.RRDB")
    torch.manual_seed(0)
    return module.RRDBNet(num_filters=8, num_blocks=1, scale=scale).state_dict()


def write(path, state):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def picture(height=20, width=26):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@needs_spandrel
@pytest.mark.parametrize("made", [real_esrgan, first_esrgan])
@pytest.mark.parametrize("way", ["params_ema", "params", "bare", "half", "safetensors"])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_network_draws_as_spandrel_draws_it(tmp_path, made, way, scale):
    state = made(scale)
    if way == "half":
        state = {name: tensor.half() for name, tensor in state.items()}
    content = {way: state} if way.startswith("params") else state
    path = write(tmp_path / f"net.{'safetensors' if way == 'safetensors' else 'pth'}", content)
    upscaler = open_upscaler(path, CPU)
    assert (upscaler.factor, upscaler.name) == (scale, "ESRGAN")
    (drawn,) = upscale_pictures(upscaler, [picture()])
    model = spandrel.ModelLoader().load_from_state_dict(
        {name: tensor.float() for name, tensor in state.items()}
    )
    x = torch.from_numpy(picture()).permute(2, 0, 1)[None].float() / 255
    wanted = (model(x)[0].permute(1, 2, 0) * 255 + 0.5).floor().numpy()
    assert np.abs(drawn - wanted).max() <= 1
    assert drawn.std() > 1


@needs_spandrel
def test_tiles_are_bounded_by_memory_and_join(tmp_path):
    path = write(tmp_path / "net.pth", {"params_ema": real_esrgan(4)})
    assert open_upscaler(path, CPU, 64).tile_px == 64
    small, large = (open_upscaler(path, CPU, None, size).tile_px for size in (32 << 20, 2 << 30))
    assert small < large
    with pytest.raises(DeviceError, match="room"):
        open_upscaler(path, CPU, None, 1000)
    upscaler = open_upscaler(path, CPU, 16)
    (tiled,) = upscale_pictures(upscaler, [picture(40, 50)])
    whole = to_uint8(upscaler(to_signed([picture(40, 50)])))[0]
    assert np.abs(tiled.astype(int) - whole).max() <= 1


@needs_spandrel
def test_the_command_enlarges_and_removes_noise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "net.pth", {"params_ema": real_esrgan(4)})
    Image.fromarray(picture()).save(tmp_path / "a.png")
    for word in ("none", "both"):
        words = ["upscale", "a.png", "--with", "net.pth", "--out", word, "--denoise", word, "--device", "cpu"]
        result = CliRunner().invoke(metagan, words, catch_exceptions=False)
        assert "ESRGAN" in result.stderr
        with Image.open(tmp_path / word / "a.png") as enlarged:
            assert enlarged.size == (104, 80)
    assert (tmp_path / "none" / "a.png").read_bytes() != (tmp_path / "both" / "a.png").read_bytes()


@needs_spandrel
def test_networks_that_spandrel_doesnt_know_are_refused(tmp_path):
    torch.save({"params": {"some.weight": torch.ones(3, 3)}}, tmp_path / "net.pth")
    with pytest.raises(UnknownArchitectureError, match=r"some\.weight"):
        open_upscaler(tmp_path / "net.pth", CPU)


def test_files_that_want_code_are_refused_before_spandrel_sees_them(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with pytest.raises(UnsafeFileError):
        open_upscaler(path, CPU)


def test_a_missing_spandrel_is_said_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    torch.save({"params": {"some.weight": torch.ones(3, 3)}}, tmp_path / "net.pth")
    with pytest.raises(OptionError, match="spandrel") as caught:
        open_upscaler(tmp_path / "net.pth", CPU)
    assert "metagan[upscale]" in (caught.value.fix or "")


class Tripling(torch.nn.Module):
    """Three times as large, as spandrel describes networks."""

    scale, input_channels, output_channels = 3, 3, 3
    architecture = type("Architecture", (), {"name": "Tripling"})

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Upsample(scale_factor=3)

    def forward(self, x):
        assert float(x.min()) >= 0
        return self.model(x)


def test_pictures_go_through_a_network_in_tiles_and_come_back_exactly(tmp_path):
    upscaler = foreign_upscaler.ForeignUpscaler(Tripling(), tmp_path, CPU, 16)
    (drawn,) = upscale_pictures(upscaler, [picture(40, 50)])
    assert (drawn == picture(40, 50).repeat(3, axis=0).repeat(3, axis=1)).all()
    grey = Tripling()
    grey.input_channels = 1
    with pytest.raises(MetaganError, match="RGB"):
        foreign_upscaler.ForeignUpscaler(grey, tmp_path, CPU, 16)
