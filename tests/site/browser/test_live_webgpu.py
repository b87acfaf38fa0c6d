"""WebGPU on the built site: who gets it, and what it costs those who don't."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser

from tests.site.browser.test_live import assert_near, open_live, sampled
from tests.site.conftest import Witness, wait_until
from tests.site.live_site import live_picture, pixels, press, wait_for_mark, wait_until_kept

pytestmark = pytest.mark.browser


# Storage is full as long as it says so; what is written is counted.
FULL = """
globalThis.written = [];
const set = Storage.prototype.setItem;
Storage.prototype.setItem = function (...args) {
  written.push(args[0]);
  if (this.full) throw new DOMException("no room", "QuotaExceededError");
  set.apply(this, args);
};
"""


def shaders(server) -> list[str]:
    return [path for path in server.seen if "/webgpu/" in path]


def test_browsers_without_a_gpu_never_load_the_shaders(witness: Witness, server):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    press(page)
    wait_until_kept(page)
    wait_until(page, "Object.values(sessionStorage).includes('wasm')")
    assert shaders(server) == []


def test_what_was_found_to_be_faster_draws_on_the_next_page_and_its_shaders_are_kept(
    gpu_browser: Browser, server
):
    context = gpu_browser.new_context()
    context.add_init_script(FULL)
    page = context.new_page()
    witness = Witness(page)
    page.goto(f"{server.url}blob/?seed=9&psi=1")
    wait_until(page, "Object.values(sessionStorage).includes('wasm')")  # the GPU is a program
    wait_until_kept(page)
    assert shaders(server) == []
    key = page.evaluate("Object.keys(sessionStorage).find((key) => key.startsWith('metagan:backend:'))")
    page.evaluate("(key) => sessionStorage.setItem(key, 'webgpu')", key)
    # What was kept is damaged, and nothing more can be kept: the page draws all the same.
    page.evaluate("() => { sessionStorage['metagan:forms'] = '[damaged'; sessionStorage.full = true }")
    page.reload()
    wait_for_mark(page, "webgpu")
    forms = "sessionStorage['metagan:forms']"
    assert page.evaluate(forms) == "[damaged"
    page.evaluate("delete sessionStorage.full")
    page.reload()
    wait_for_mark(page, "webgpu")
    measured = json.loads(page.evaluate(forms))
    assert measured
    assert all("swiftshader" in key for key in measured)
    assert set(measured.values()) <= {"direct", "winograd"}
    page.reload()
    wait_for_mark(page, "webgpu")
    assert json.loads(page.evaluate(forms)) == measured
    assert "metagan:forms" not in page.evaluate("written")  # nothing was measured again
    assert len(shaders(server)) == 5  # four modules and the shaders, loaded once
    before = live_picture(page)
    page.get_by_label("Class").select_option("0")
    page.wait_for_url("**/?seed=9&psi=1&class=0")
    wait_until(page, "!document.querySelector('[data-stage]').hasAttribute('aria-busy')")
    assert pixels(page).tobytes() != before
    assert_near(pixels(page), sampled("blob", 9, psi=1.0, label=0))
    assert page.evaluate("(key) => sessionStorage.getItem(key)", key) == "webgpu"
    assert witness.complaints == []
    context.close()
