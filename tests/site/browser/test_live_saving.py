"""What a visitor takes along from a live page: pictures, loops, and what the files say of themselves."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from metagan.images.provenance import SOURCE_TYPE
from tests.site.conftest import Witness, wait_for_picture, wait_until
from tests.site.live_site import HOLD_WORKERS, LET_GO, live_picture, pixels, wait_for_mark

pytestmark = pytest.mark.browser


def downloaded(page: Page, name: str) -> tuple[str, Image.Image]:
    """What a click gives: the file's name, and the picture."""
    with page.expect_download() as download:
        page.get_by_text(name, exact=True).click()
    return download.value.suggested_filename, Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))


def assert_says_so(packet: str, seed: str, psi: str) -> None:
    """XMP as the prepared pictures have it."""
    assert SOURCE_TYPE in packet
    assert f'metagan:seed="{seed}" metagan:psi="{psi}"' in packet
    assert re.search(r"<Iptc4xmpExt:AISystemUsed>StyleGAN2, weights sha256 [0-9a-f]{16}, by metagan<", packet)


def test_a_live_picture_s_file_is_its_pixels_and_says_what_made_it(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/?seed=123456&psi=0.65")
    live_picture(page)
    shown = pixels(page)
    name, image = downloaded(page, "Download")
    assert name == "ape-123456-psi-0.65.png"
    assert image.size == (64, 64)
    assert np.array_equal(np.asarray(image.convert("RGBA")), shown)
    assert_says_so(image.info["XML:com.adobe.xmp"], "123456", "0.65")


def test_files_are_of_what_is_shown_while_the_next_picture_is_on_its_way(witness: Witness, server):
    page = witness.page
    page.add_init_script(HOLD_WORKERS)
    page.goto(f"{server.url}ape/?seed=123456&psi=0.65")
    live_picture(page)
    page.wait_for_load_state("networkidle")
    shown = pixels(page)
    page.evaluate("window.held = []")
    page.locator("#psi").fill("1.1")
    expect(page.locator("[data-stage]")).to_have_attribute("aria-busy", "true")
    for button, end in (("Download", ""), ("Download 4×", "-4x"), ("Square card", "-square")):
        name, image = downloaded(page, button)
        assert name == f"ape-123456-psi-0.65{end}.png"
        assert_says_so(image.info["XML:com.adobe.xmp"], "123456", "0.65")
    assert np.array_equal(pixels(page), shown)
    page.evaluate(LET_GO)
    expect(page.locator('[data-text="psi"]')).to_have_text("1.1")
    name, _ = downloaded(page, "Download")
    assert name == "ape-123456-psi-1.1.png"


def test_a_file_that_can_t_be_made_is_said_to_be_none(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/?seed=123456&psi=0.65")
    live_picture(page)
    page.locator("#pair").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('[data-two]').width === 64")
    page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (answer) => answer(null); }")
    for button in ("Download", "Download 4×", "Square card"):
        page.evaluate("document.querySelector('[data-status]').textContent = ''")
        page.get_by_text(button, exact=True).click()
        expect(page.locator("[data-status]")).to_have_text("The file could not be made; try again.")
    page.evaluate(
        "() => { HTMLCanvasElement.prototype.toBlob = () => { throw new RangeError('no room'); }; }"
    )
    page.evaluate("document.querySelector('[data-status]').textContent = ''")
    page.get_by_role("button", name="Save loop").click()
    expect(page.locator("[data-status]")).to_have_text("The file could not be made; try again.")


def test_four_times_as_large_it_keeps_its_hard_edges(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/?seed=123456&psi=0.65")
    live_picture(page)
    name, image = downloaded(page, "Download 4×")
    assert name == "ape-123456-psi-0.65-4x.png"
    assert np.array_equal(np.asarray(image.convert("RGBA")), pixels(page).repeat(4, 0).repeat(4, 1))
    assert_says_so(image.info["XML:com.adobe.xmp"], "123456", "0.65")


def test_a_prepared_picture_enlarged_says_the_same_as_its_file(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}shy/?seed=2")
    wait_for_picture(page)
    name, prepared = downloaded(page, "Download")
    assert name == "shy-2.webp"
    name, large = downloaded(page, "Download 4×")
    assert name == "shy-2-4x.png"
    assert large.info["XML:com.adobe.xmp"] == prepared.info["xmp"].decode()
    assert np.array_equal(
        np.asarray(large.convert("RGB")), np.asarray(prepared.convert("RGB")).repeat(4, 0).repeat(4, 1)
    )


def test_the_picture_itself_can_be_copied(witness: Witness, server):
    page = witness.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}ape/?seed=123456&psi=0.65")
    live_picture(page)
    page.get_by_role("button", name="Copy picture").click()
    expect(page.locator("[data-status]")).to_have_text("The picture is on the clipboard.")
    size = page.evaluate(
        "async () => { const [item] = await navigator.clipboard.read();"
        " const picture = await createImageBitmap(await item.getType('image/png'));"
        " return [picture.width, picture.height] }"
    )
    assert size == [64, 64]


def test_a_morph_is_saved_as_an_animation_that_loops(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}blob/?seed=5&psi=1")
    wait_for_mark(page, "first-live-picture")
    page.locator("#pair").scroll_into_view_if_needed()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save loop").click()
    seeds = re.fullmatch(r"blob-5-(\d+)\.webp", download.value.suggested_filename)
    film = Image.open(download.value.path())
    assert (film.n_frames, film.info["loop"], film.size) == (96, 0, (256, 256))
    packet = film.info["xmp"].decode()
    assert_says_so(packet, f"5-{seeds[1]}", "1")
    frames = []
    for number in (0, 24, 48, 72, 95):
        film.seek(number)
        film.load()
        assert film.info["duration"] == 40
        frames.append(np.asarray(film.convert("RGB")).astype(int))
    first, middle, last, again, end = frames
    assert np.abs(first - last).mean() > 5
    assert np.abs(middle - again).mean() < 1  # the way back is the way there
    assert np.abs(first - end).mean() < np.abs(first - middle).mean()
