"""Dials on a subject's page: pictures are those of `metagan sample --dials`, and the address has their values."""

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import metagan
from metagan.checkpoints.write import write_safetensors
from metagan.lab.dials import Dial, Directions, DirectionsInfo, write_directions
from metagan.lab.styles import fingerprint, styles_shape
from metagan.networks.loading.forms import describe
from tests.lab.nets import small
from tests.site.conftest import Witness, axe_in_light_and_dark, wait_until
from tests.site.live_site import build, pixels, press, serving, wait_for_mark

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory):
    """A site with a subject whose owner names two of three dials, and the folder it was built in."""
    folder = tmp_path_factory.mktemp("dials")
    generator = small(resolution=32, w_dim=16)
    num_ws, w_dim = styles_shape(generator)
    write_safetensors(folder / "blob.safetensors", generator.state_dict(), describe(generator))
    dials = [
        Dial(name=f"dial {number + 1}", method="pca", first=number, last=num_ws - 1, times_random=3)
        for number in range(3)
    ]
    vectors = torch.randn(3, w_dim, generator=torch.Generator().manual_seed(1)) / 5
    info = DirectionsInfo(
        generator=fingerprint(generator), architecture="stylegan2", space="w", step=0.2, dials=dials
    )
    write_directions(folder / "dials.safetensors", Directions(info, vectors))
    registry = """\
        site: {title: Not Here, base_url: https://someone.example/my/apes/}
        subjects:
          blob: {title: Blob, weights: blob.safetensors, licence: CC0-1.0, source: me, images: 4, psi: 0.8,
                 dials: {file: dials.safetensors, names: [Glow <b>, "Größe"]}}
        """
    build(folder, registry)
    with serving(folder / "build") as server:
        yield server, folder


def test_a_picture_is_that_of_sample_with_the_same_dials(witness: Witness, turning):
    server, folder = turning
    page = witness.page
    page.goto(f"{server.url}blob/?seed=7&psi=0.8&dials=1:2,3:-1.5")
    wait_for_mark(page, "first-live-picture")
    blob = metagan.load("blob", registry=folder / "registry.yaml")
    want = np.asarray(blob.sample([7], dials={"Glow <b>": 2, "dial 3": -1.5})[0]).astype(int)
    difference = np.abs(pixels(page)[:, :, :3].astype(int) - want)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001
    assert np.abs(want - np.asarray(blob.sample([7])[0])).max() > 8
    assert page.locator("[data-turn] label").all_text_contents() == ["Glow <b>", "Größe", "dial 3"]
    assert page.locator("[data-turn] output").all_text_contents() == ["+2", "0", "−1.5"]


def address_is(page: Page, query: str) -> None:
    wait_until(page, "query => location.search === query", arg=query)


def settled(page: Page) -> np.ndarray:
    """What the stage shows once nothing is being drawn any more: a dial's picture may come after the next one's."""
    before, now = None, pixels(page)
    while before is None or not np.array_equal(before, now):
        page.wait_for_timeout(500)
        before, now = now, pixels(page)
    return now


# The same on every run: by chance, a shuffled dial would stand at 0 now and then, and an address has no zeros.
NO_CHANCE = "let last = 7; Math.random = () => (last = last * 16807 % 2147483647) / 2147483647;"


def test_dials_are_turned_by_keys_double_clicks_and_buttons_and_the_address_follows(
    witness: Witness, turning
):
    page = witness.page
    page.add_init_script(NO_CHANCE)
    page.goto(f"{turning[0].url}blob/?seed=7&psi=0.8&dials=1:2")
    wait_for_mark(page, "first-live-picture")
    first = page.get_by_label("Glow <b>")
    first.focus()
    page.keyboard.press("ArrowRight")
    address_is(page, "?seed=7&psi=0.8&dials=1:2.1")
    page.keyboard.press("0")
    address_is(page, "?seed=7&psi=0.8")
    page.keyboard.press("r")
    wait_until(page, "/dials=1:-?\\d/.test(location.search)")
    page.get_by_role("button", name="Reset").click()
    address_is(page, "?seed=7&psi=0.8")
    page.get_by_label("Größe").dblclick()
    page.get_by_role("button", name="Shuffle").click()
    wait_until(page, "location.search.split(',').length === 3")
    turned = page.url.partition("dials=")[2]
    press(page, "ArrowRight")  # the next picture keeps them
    wait_until(
        page, "dials => location.search.endsWith(dials) && !location.search.includes('seed=7&')", arg=turned
    )
    shown = settled(page)
    page.reload()
    wait_for_mark(page, "first-live-picture")
    assert np.array_equal(settled(page), shown)


@pytest.mark.parametrize("wrong", ["", "1", "9:1", "1:nan", "1:1e3", "1:101", "0:2", "<b>:1"])
def test_dials_that_are_none_are_passed_over(page: Page, turning, wrong: str):
    page.goto(f"{turning[0].url}blob/")
    read = page.evaluate(
        """async ([script, query]) => {
          const { readPick, writePick } = await import(script);
          const live = { psi: 0.8, dials: { names: ["a", "b"] } };
          return writePick(readPick(new URLSearchParams(query), { live, psi: 0.8 }));
        }""",
        [f"{turning[0].url}static/address.js", f"seed=7&psi=0.8&dials={wrong}"],
    )
    assert read == "?seed=7&psi=0.8"


def test_axe_finds_nothing_in_light_and_dark_and_the_page_fits_a_phone(browser: Browser, turning):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{turning[0].url}blob/?seed=7&psi=0.8&dials=1:2")
    wait_for_mark(page, "first-live-picture")
    expect(page.locator("[data-turn]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert axe_in_light_and_dark(page, "[data-stage]") == []
    context.close()


def test_without_javascript_there_are_no_dials_but_a_picture(plain: Page, turning):
    plain.goto(f"{turning[0].url}blob/")
    expect(plain.locator("[data-turn]")).to_be_hidden()
    expect(plain.locator("[data-frame] img")).to_be_visible()
