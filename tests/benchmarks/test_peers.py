"""The comparison with other programs, on a stand-in checkout of rosinality's interface."""

import sys
from pathlib import Path

import pytest

from benchmarks.peers import imported, load_here, sample_here

GOLDEN = Path(__file__).parents[1] / "golden" / "ros_train16.pt"

# A module of the interface that the comparison uses: it draws what metagan draws of the same file, times `gain`.
STAND_IN = f"""
import torch
from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_generator

PATH = {str(GOLDEN)!r}

class Generator(torch.nn.Module):
    def __init__(self, size, style_dim, n_mlp, channel_multiplier):
        super().__init__()
        self.inner = load_generator(read_checkpoint(__import__("pathlib").Path(PATH)))
        self.saved = torch.load(PATH)

    def state_dict(self):
        return self.saved["g_ema"]

    def load_state_dict(self, state):
        assert state.keys() == self.saved["g_ema"].keys()

    def mean_latent(self, n_latent):
        return torch.zeros(1, 16)

    def forward(self, styles, randomize_noise):
        assert not randomize_noise
        return self.inner.synthesize(self.inner.map_latents(styles[0])) * GAIN, None
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    def make(gain):
        (tmp_path / "model.py").write_text(STAND_IN.replace("GAIN", str(gain)))
        monkeypatch.delitem(sys.modules, "model", raising=False)
        monkeypatch.setattr("benchmarks.peers.tame", lambda *_: None)  # the stand-in's weights are trained
        monkeypatch.setattr("benchmarks.peers.TURNS", 1)
        monkeypatch.setattr("benchmarks.peers.Program.z_dim", 16)
        return tmp_path

    yield make
    sys.modules.pop("model", None)


def test_both_programs_draw_the_same_pictures_in_turns(checkout):
    case = sample_here(str(checkout(1)), ((16, 16384, 2, 1),))["cases"][
        "16x16, channel base 16384, batch 2, 1 thread"
    ]
    assert case["fp32_most_levels"] <= 1
    assert case["fp32_ratio"] > 0
    assert case["bf16_psnr_db"] > 30


def test_other_pictures_end_the_comparison(checkout):
    with pytest.raises(SystemExit, match="not the same networks"):
        sample_here(str(checkout(0.5)), ((16, 16384, 2, 1),))


def test_loading_is_compared_on_the_programs_own_file(checkout):
    told = load_here(str(checkout(1)), (16, 16384))
    assert told["program"] == "rosinality/stylegan2-pytorch"
    assert told["metagan_s"] > 0
    assert told["ratio"] > 0


def test_a_folder_without_a_known_program_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="want a checkout of"), imported(tmp_path):
        pass
