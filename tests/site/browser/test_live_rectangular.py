"""Portraits and landscapes on the built site: the same pictures as the sampler's, in frames of their own shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe
from metagan.networks.stylegan2.network import Config, MappingConfig
from metagan.sampling.sampler import Sampler, Settings
from tests.live.test_pictures import make
from tests.site.conftest import Witness, wait_for_picture, wait_until
from tests.site.live_site import build, pixels, press, wait_for_mark

pytestmark = pytest.mark.browser

SIZES = {"portrait": (16, 32), "film": (48, 32)}  # width and height
CONSTANTS = {"portrait": (4, 2), "film": (4, 6)}
SUBJECT = """
  {name}:
    title: {name}
    weights: {path}
    licence: CC0-1.0
    source: made up
    images: 3
    psi: 0.8
"""
FRAME = """() => {
  const { clientWidth, clientHeight } = document.querySelector("[data-frame] .mat > *");
  return [clientWidth, clientHeight, document.documentElement.scrollWidth - innerWidth];
}"""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built site of both."""
    folder = tmp_path_factory.mktemp("shapes")
    registry = "site:\n  title: Shapes\n  base_url: https://someone.example/\nsubjects:\n"
    for name, constant in CONSTANTS.items():
        network = make(Config(MappingConfig(16, 0, 0, (16,)), channels=(8, 8, 8, 8), constant=constant))
        write_safetensors(folder / f"{name}.safetensors", network.state_dict(), describe(network))
        registry += SUBJECT.format(name=name, path=folder / f"{name}.safetensors")
    build(folder, registry)
    return folder


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_pictures_and_cards_have_the_generators_shape(shapes, name, size):
    pictures = shapes / "build" / "pictures" / name
    assert size_of(pictures / "0.webp") == size
    assert size_of(pictures / "0.card.jpg") == (1200, 630)
    page = (shapes / "build" / name / "index.html").read_text()
    assert f'width="{size[0]}" height="{size[1]}"' in page


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_picture_made_here_is_the_samplers_in_a_frame_of_its_shape(
    shapes, serve: Callable[[Path], str], witness: Witness, name, size
):
    page = witness.page
    page.goto(f"{serve(shapes / 'build')}/{name}/")
    wait_for_picture(page)
    wait_for_mark(page, "live-ready")
    press(page)
    got, seed = pixels(page), int(page.text_content('[data-text="seed"]'))
    generator = load_generator(read_checkpoint(shapes / f"{name}.safetensors"))
    want = dict(Sampler(generator, torch.device("cpu")).pictures([seed], Settings(psi=0.8)))[seed]
    assert got.shape == (size[1], size[0], 4)
    difference = np.abs(got[:, :, :3].astype(int) - want)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.05
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        shown_width, shown_height, overflow = page.evaluate(FRAME)
        assert shown_width * size[1] / size[0] == pytest.approx(shown_height, abs=2)
        assert overflow <= 0


def test_a_loop_of_portraits_is_a_portrait(shapes, serve: Callable[[Path], str], page: Page, tmp_path):
    page.goto(f"{serve(shapes / 'build')}/portrait/")
    wait_for_mark(page, "live-ready")
    page.evaluate("document.querySelector('#pair').scrollIntoView()")
    wait_until(page, "document.querySelector('[data-result]').height === 32")
    with page.expect_download() as download:
        page.click("[data-loop]")
    download.value.save_as(tmp_path / "loop.webp")
    width, height = size_of(tmp_path / "loop.webp")
    assert height == 2 * width
