"""An upscaler: its shape, what it begins as, its files, and what is refused."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import (
    MOST_PARAMETERS,
    Upscaler,
    UpscalerConfig,
    describe_upscaler,
    load_upscaler,
)

GOLDEN = Path(__file__).parents[2] / "golden"
ODD = UpscalerConfig(factor=4, channels=7, blocks=2, fine_channels=5)


def scrambled(config: UpscalerConfig) -> Upscaler:
    """An upscaler whose every number is random, so that no mistake hides behind a zero."""
    rng = torch.Generator().manual_seed(1)
    upscaler = Upscaler(config)
    with torch.no_grad():
        for parameter in upscaler.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
    return upscaler.eval()


def calm(config: UpscalerConfig) -> Upscaler:
    """Random weights, every one of them at work, and results that are mostly within the range."""
    upscaler = scrambled(config)
    with torch.no_grad():
        for name, parameter in upscaler.named_parameters():
            if name.endswith("weight") and parameter.ndim == 4:
                parameter.mul_(1.5 / parameter[0].numel() ** 0.5)
        upscaler.last.weight.mul_(0.5)
    return upscaler


def write(path: Path, upscaler: Upscaler, **changes) -> Path:
    header = dataclasses.replace(describe_upscaler(upscaler), **changes)
    write_safetensors(path, dict(upscaler.state_dict()), header)
    return path


@pytest.mark.parametrize("factor", [2, 4])
def test_an_upscaler_is_within_its_budget_and_begins_as_the_nearest_neighbour_enlargement(factor):
    upscaler = Upscaler(UpscalerConfig(factor=factor))
    assert sum(parameter.numel() for parameter in upscaler.parameters()) <= MOST_PARAMETERS
    pictures = torch.rand(2, 3, 9, 14) * 2 - 1
    enlarged = F.interpolate(pictures, scale_factor=factor, mode="nearest")
    assert torch.equal(upscaler(pictures), enlarged)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_pixel_reaches_as_far_as_is_said_and_no_further(factor):
    config = dataclasses.replace(ODD, factor=factor)
    upscaler = scrambled(config)
    before = torch.zeros(1, 3, 40, 40)
    after = before.clone()
    after[..., 20, 20] = 1
    changed = (upscaler(after) - upscaler(before)).abs().sum(dim=1)[0] > 0
    rows = changed.any(dim=1).nonzero().flatten() // factor
    reach = upscaler.reach
    assert (rows.min().item(), rows.max().item()) == (20 - reach, 20 + reach)


@pytest.mark.parametrize("config", [ODD, UpscalerConfig(factor=2, channels=6, blocks=0)])
def test_a_file_gives_back_the_same_upscaler(tmp_path, config):
    upscaler = scrambled(config)
    path = write(tmp_path / "up.safetensors", upscaler, licence="CC0-1.0")
    read = load_upscaler(path)
    pictures = torch.rand(1, 3, 8, 8)
    assert read.config == config
    assert torch.equal(read(pictures), upscaler(pictures))


def test_a_generators_file_is_no_upscaler(tmp_path):
    with pytest.raises(
        UnknownArchitectureError, match=r"(?s)want an upscaler, found .*fix: give a file that"
    ):
        load_upscaler(GOLDEN / "sg2ada_gemaonly16.pkl")


def test_an_upscalers_file_is_no_generator_and_says_what_it_is_for(tmp_path):
    path = write(tmp_path / "up.safetensors", scrambled(ODD))
    with pytest.raises(CheckpointError, match=r"(?s)an upscaler, no generator.*metagan upscale"):
        load_generator(read_checkpoint(path))


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"factor": 3}, "factor: want 2 or 4, got 3"),
        ({"channels": 0}, "channels: want 1 to 512, got 0"),
        ({"blocks": 100_000}, "blocks: want 0 to 32, got 100000"),
        ({"factor": "four"}, "factor"),
        ({"colour": 1}, "has entries that metagan upscaler doesn't: colour"),
        ({"channels": 8}, "tensors don't fit together"),
        ({"blocks": 3}, "missing"),
    ],
)
def test_a_header_that_doesnt_fit_is_refused(tmp_path, configuration, said):
    upscaler = scrambled(ODD)
    whole = dict(describe_upscaler(upscaler).configuration) | configuration
    path = write(tmp_path / "up.safetensors", upscaler, configuration=whole)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_upscaler(path)
    assert str(caught.value).startswith(str(path))


def test_numbers_that_are_none_are_refused(tmp_path):
    upscaler = scrambled(ODD)
    with torch.no_grad():
        upscaler.last.bias[0] = float("nan")
    with pytest.raises(MalformedFileError):
        load_upscaler(write(tmp_path / "up.safetensors", upscaler))
