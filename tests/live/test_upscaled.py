"""An upscaler in the browser: its pictures against the sampler's, and its part of the weights file."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from metagan.errors import ExportError
from metagan.export.blob import METADATA_KEY, pack, unpack
from metagan.export.fold import fold, fold_upscaler
from metagan.export.replay import replay_upscaler
from metagan.export.web import make_web_weights
from metagan.networks.upscaler import UpscalerConfig
from metagan.sampling.sampler import Sampler, Settings
from tests.live.test_pictures import PLAIN, likeness, make
from tests.networks.upscaler.test_upscaler import calm

SHAPES = {
    "four times": UpscalerConfig(factor=4, channels=16, blocks=2, fine_channels=8),
    "odd channels": UpscalerConfig(factor=4, channels=13, blocks=1, fine_channels=5),
    "twice": UpscalerConfig(factor=2, channels=9, blocks=3),
    "no blocks": UpscalerConfig(factor=4, channels=4, blocks=0, fine_channels=3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_written_computes_what_the_upscaler_does(name):
    upscaler = calm(SHAPES[name])
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    with torch.inference_mode():
        want = upscaler(pictures.clamp(-1, 1))
        got = replay_upscaler(upscaler.config, fold_upscaler(upscaler), pictures)
    assert torch.allclose(got, want, atol=1e-5)
    assert (want - torch.nn.functional.interpolate(pictures, size=want.shape[-1])).abs().mean() > 0.05


def test_a_file_without_an_upscaler_says_nothing_of_one_and_one_with_it_gives_it_back():
    config, tensors = fold(make(PLAIN))
    plain = pack(config, tensors, "fp32")
    assert "upscaler" not in json.loads(header_of(plain)[METADATA_KEY])
    assert unpack(plain)[0] == config
    upscaler = calm(SHAPES["odd channels"])
    whole = dataclasses.replace(config, upscaler=upscaler.config)
    again, read = unpack(pack(whole, tensors | fold_upscaler(upscaler), "fp32"))
    assert again == whole
    assert all(torch.equal(read[name], tensor) for name, tensor in fold_upscaler(upscaler).items())


def header_of(content: bytes) -> dict:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def test_pictures_that_are_not_rgb_are_refused():
    grey = make(dataclasses.replace(PLAIN, image_channels=1))
    with pytest.raises(ExportError, match="upscalers enlarge RGB pictures"):
        make_web_weights(grey, upscaler=calm(SHAPES["twice"]))
    odd = make(dataclasses.replace(PLAIN, constant=(3, 5), channels=(4, 4)))
    with pytest.raises(ExportError, match="whose sides are multiples of 4, not 10x6"):
        make_web_weights(odd, upscaler=calm(SHAPES["twice"]))


@pytest.mark.browser
@pytest.mark.parametrize("name", SHAPES)
def test_the_browser_s_pictures_are_the_sampler_s_within_one_level(live, name):
    shape = PLAIN if name == "four times" else dataclasses.replace(PLAIN, constant=(4, 6))
    generator, upscaler = make(shape), calm(SHAPES[name])
    config = live.load(generator, "fp32", upscaler=upscaler)
    assert config.likeness.worst <= 1
    sampler = Sampler(generator, torch.device("cpu"), batch=3, upscaler=upscaler)
    wanted = dict(sampler.pictures([0, 1, 4294967295], Settings(psi=0.7)))
    assert wanted[0].shape == (*generator.size.times(upscaler.config.factor)[::-1], 3)
    worst, off = likeness(live, wanted, psi=0.7)
    assert worst <= 1
    assert off <= 0.002


@pytest.mark.browser
def test_a_picture_doesn_t_depend_on_those_before_it(live):
    live.load(make(PLAIN), upscaler=calm(SHAPES["four times"]))
    first = live.draw(64, seed=5, psi=0.7)
    live.draw(64, seed=6, psi=1)
    assert np.array_equal(live.draw(64, seed=5, psi=0.7), first)
