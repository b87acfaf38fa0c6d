"""Pictures made in the visitor's browser, on the built site in a real Chromium."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, Route, expect

from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_generator
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings
from metagan.values import LabelSpace
from tests.labelled import NUMBERS, write_conditional
from tests.site.conftest import (
    INSECURE_HOST,
    Witness,
    wait_for,
    wait_for_picture,
    wait_until,
    widths_exceeded,
)
from tests.site.live_site import (
    GOLDEN,
    HOLD_WORKERS,
    LET_GO,
    build,
    live_picture,
    pixels,
    press,
    serving,
    wait_for_mark,
    wait_until_kept,
)

pytestmark = pytest.mark.browser

NOTE = "[data-live-note]"


def generator_of(subject: str):
    file = bundled_weights("apes") if subject == "ape" else GOLDEN / "tf_ada_cond16.pkl"
    return load_generator(read_checkpoint(file))


def sampled(subject: str, seed: int, **settings: object) -> np.ndarray:
    """What `metagan sample` draws."""
    sampler = Sampler(generator_of(subject), torch.device("cpu"))
    return dict(sampler.pictures([seed], Settings(**settings)))[seed]


def assert_near(got: np.ndarray, want: np.ndarray) -> None:
    """Within one level of 255, and 5% of the values off at most."""
    difference = np.abs(got[:, :, :3].astype(int) - want)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.05


def open_live(page: Page, address: str) -> None:
    page.goto(address)
    wait_for_mark(page, "live-ready")


def test_a_first_visit_shows_a_prepared_picture_before_the_generator_is_there(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/")
    wait_for_picture(page)
    wait_for_mark(page, "live-ready")
    first, ready = page.evaluate(
        "['first-picture', 'live-ready'].map(n => performance.getEntriesByName(`metagan:${n}`)[0].startTime)"
    )
    assert first < ready
    assert re.search(r"pictures/ape/\d\.webp$", page.get_attribute("[data-frame] img", "src"))
    expect(page.locator(NOTE)).to_have_text("New ones are made right in your browser.")


def test_reloads_and_keys_give_ever_new_pictures_without_a_request(witness: Witness, server):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    wait_until_kept(page)
    page.wait_for_load_state("networkidle")
    server.seen.clear()
    seen = set()
    for _ in range(15):
        page.reload()
        seen.add(live_picture(page))
    for _ in range(15):
        seen.add(press(page))
    assert len(seen) == 30
    assert server.seen == []


def test_only_the_shown_subject_s_generator_is_loaded(witness: Witness, server):
    open_live(witness.page, f"{server.url}blob/")
    witness.page.wait_for_load_state("networkidle")
    assert len({path for path in server.seen if "/models/" in path}) == 1


def test_home_keeps_to_one_generator_however_fast_one_goes_on(witness: Witness, server):
    page = witness.page
    page.goto(server.url)
    for _ in range(12):
        page.keyboard.press(" ")
        page.wait_for_timeout(60)
    wait_for_mark(page, "live-ready")
    assert press(page) != press(page)
    assert len({path for path in server.seen if "/models/" in path}) == 1


def test_a_subject_of_few_pictures_is_not_left_for_another_when_all_of_them_were_seen(
    witness: Witness, server
):
    witness.page.goto(server.url)
    names = witness.page.evaluate(
        """async (script) => {
          const { Album, nameOf } = await import(script);
          const album = new Album({ subjects: [{ slug: "few", seeds: "0-2" }, { slug: "many", seeds: "0-99" }] });
          const draw = () => nameOf(album.random(["few/0", "few/1", "few/2"], album.subjects.slice(0, 1)));
          return Array.from({ length: 40 }, draw);
        }""",
        f"{server.url}static/album.js",
    )
    assert set(names) == {"few/0", "few/1"}


@pytest.mark.parametrize(
    ("subject", "query", "seed", "settings"),
    [
        ("ape", "?seed=123456&psi=0.8", 123456, {"psi": 0.8}),
        ("ape", "?seed=4294967295&psi=-0.5", 4294967295, {"psi": -0.5}),
        ("ape", "?seed=77", 77, {"psi": 0.8}),
        ("blob", "?seed=5&psi=1", 5, {"psi": 1.0, "label": 1}),
        ("blob", "?seed=5&psi=1&class=0", 5, {"psi": 1.0, "label": 0}),
    ],
)
def test_a_permalink_s_picture_is_python_s(witness: Witness, server, subject, query, seed, settings):
    witness.page.goto(f"{server.url}{subject}/{query}")
    live_picture(witness.page)
    assert_near(pixels(witness.page), sampled(subject, seed, **settings))


def test_a_shared_picture_opens_in_another_browser(witness: Witness, server, browser: Browser):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    picture = press(page)
    expect(page).to_have_url(f"{server.url}ape/")  # a reload is to bring another one
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share").click()
    expect(page.locator("[data-status]")).to_have_text("Copied to the clipboard.")
    address = page.evaluate("navigator.clipboard.readText()")
    assert address == page.get_by_role("link", name="Permalink").evaluate("link => link.href")
    assert re.fullmatch(re.escape(f"{server.url}ape/") + r"\?seed=\d+&psi=0\.8", address)
    fresh = browser.new_page()
    fresh.goto(address)
    assert live_picture(fresh) == picture
    fresh.close()


def test_an_address_that_asks_for_nonsense_gets_another_picture_and_is_told(witness: Witness, server):
    witness.page.goto(f"{server.url}ape/?seed=4294967296&psi=0.8")
    expect(witness.page.locator("[data-status]")).to_have_text(
        "There is no such picture here; this is another."
    )


def test_going_back_shows_the_same_live_picture(witness: Witness, server):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    first, second = press(page), press(page)
    assert press(page, "ArrowLeft") == first
    assert press(page, "ArrowRight") == second


def test_a_name_has_the_picture_of_its_hash(witness: Witness, server):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    page.get_by_label("A name").fill("Ada Lovelace")
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("h1")).to_have_text("Ada Lovelace’s Ape Does Not Exist")
    seed = int.from_bytes(hashlib.sha256(b"ada lovelace").digest()[:4], "big")
    expect(page.locator("[data-text='seed']")).to_have_text(str(seed))
    assert_near(pixels(page), sampled("ape", seed, psi=0.8))
    page.reload()
    expect(page.locator("h1")).to_have_text("Ada Lovelace’s Ape Does Not Exist")
    live_picture(page)
    assert_near(pixels(page), sampled("ape", seed, psi=0.8))


def test_a_name_s_picture_that_takes_the_generator_does_not_overtake_the_visitor(browser: Browser, server):
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    held = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/models/*.bin.gz", hold)
    page.goto(f"{server.url}ape/?seed=2")
    wait_for_picture(page)
    page.get_by_label("A name").fill("Ada")
    page.get_by_role("button", name="Show it").click()
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    wait_until(page, "document.querySelector('[data-text=\"seed\"]').textContent !== '2'")
    wait_for(page, lambda: held)
    for route in held:
        route.continue_()
    wait_for_mark(page, "live-ready")
    press(page)
    seen = [page.locator("[data-text='seed']").text_content()]
    while page.locator("[data-back]").get_attribute("aria-disabled") == "false":
        page.keyboard.press("ArrowLeft")
        wait_until(page, "!document.querySelector('[data-stage]').hasAttribute('aria-busy')")
        seen.append(page.locator("[data-text='seed']").text_content())
    assert len(seen) >= 3
    assert str(int.from_bytes(hashlib.sha256(b"ada").digest()[:4], "big")) not in seen
    expect(page.locator("h1")).to_have_text("This Ape Does Not Exist")
    context.close()


def test_the_slider_draws_the_same_seed_more_ordinary_or_stranger(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/?seed=9&psi=1")
    before = live_picture(page)
    for psi in (0.5, 1.2):
        page.locator("#psi").fill(str(psi))
        expect(page.locator("[data-text='psi']")).to_have_text(f"{psi:g}")
        expect(page).to_have_url(f"{server.url}ape/?seed=9&psi={psi:g}")
        assert live_picture(page) != before
        assert_near(pixels(page), sampled("ape", 9, psi=psi))
    page.locator("h1").click()
    press(page)
    expect(page.locator("[data-text='psi']")).to_have_text("1.2")


COUNT_DRAWINGS = """
  window.drawn = [];
  const send = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...more) {
    if (message.ask === "draw") window.drawn.push(message.seed);
    send.call(this, message, ...more);
  };
"""


def test_while_the_slider_moves_no_other_picture_is_drawn_nor_anything_announced(witness: Witness, server):
    page = witness.page
    page.add_init_script(HOLD_WORKERS)
    page.add_init_script(COUNT_DRAWINGS)
    page.goto(f"{server.url}ape/?seed=9&psi=1")
    live_picture(page)
    wait_until(page, "window.drawn.includes(9) && window.drawn.at(-1) !== 9")  # this one and the next
    page.evaluate("""() => {
      window.said = 0;
      new MutationObserver(() => window.said++).observe(document.querySelector("[data-announce]"), { childList: true });
      window.drawn = [];
      window.held = [];
    }""")
    for psi in (0.5, 0.6, 0.7):
        page.locator("#psi").fill(str(psi))
    page.evaluate(LET_GO)
    expect(page.locator("[data-text='psi']")).to_have_text("0.7")
    wait_until(page, "window.drawn.length >= 3")
    assert page.evaluate("window.said") == 0
    press(page)
    wait_until(page, "window.drawn.length >= 4")
    drawn = page.evaluate("window.drawn")
    assert drawn[:2] == [9, 9]
    assert len(drawn) == 4


def test_a_conditional_generator_offers_its_classes(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}blob/?seed=9&psi=1")
    live_picture(page)
    choice = page.get_by_label("Class")
    assert choice.evaluate("select => [select.value, select.options.length]") == ["1", 3]
    choice.select_option("0")
    page.wait_for_url("**/?seed=9&psi=1&class=0")
    wait_until(page, "!document.querySelector('[data-stage]').hasAttribute('aria-busy')")
    assert_near(pixels(page), sampled("blob", 9, psi=1.0, label=0))
    page.goto(f"{server.url}ape/")
    wait_for_mark(page, "live-ready")
    expect(page.get_by_label("Class")).to_be_hidden()


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A site with a generator of named classes, and one whose labels are numbers."""
    folder = tmp_path_factory.mktemp("labelled")
    named = write_conditional(folder / "named.safetensors")
    numbers = write_conditional(folder / "numbers.safetensors", NUMBERS)
    terms = "licence: CC0-1.0, source: me, images: 3, psi: 1"
    build(
        folder,
        f"""\
site: {{title: T, base_url: https://someone.example/my/apes/}}
subjects:
  named: {{title: Named, weights: {named}, class: bird, {terms}}}
  numbers: {{title: Numbers, weights: {numbers}, label: "0.5,0,10", {terms}}}
""",
    )
    with serving(folder / "build") as server:
        yield server


def settled(page: Page) -> np.ndarray:
    wait_until(page, "!document.querySelector('[data-stage]').hasAttribute('aria-busy')")
    return pixels(page)


def test_long_names_of_classes_and_numbers_don_t_widen_the_page(witness: Witness, tmp_path):
    word = "Donaudampfschifffahrtsgesellschaftskapitän"
    terms = "licence: CC0-1.0, source: me, images: 3, psi: 1"
    a = write_conditional(tmp_path / "a.safetensors", LabelSpace(("b", f"{word} {word}", "c")))
    b = write_conditional(
        tmp_path / "b.safetensors", LabelSpace((word, f"{word} {word}", "c"), ((0.0, 1.0),) * 3)
    )
    build(
        tmp_path,
        f"""\
site: {{title: T, base_url: https://someone.example/my/apes/}}
subjects:
  a: {{title: A, weights: {a}, class: b, {terms}}}
  b: {{title: B, weights: {b}, label: "0,0,0", {terms}}}
""",
    )
    page = witness.page
    with serving(tmp_path / "build") as server:
        for path in ("a/", "b/", "b/wall/"):
            page.set_viewport_size({"width": 320, "height": 844})
            page.goto(f"{server.url}{path}")
            wait_for_mark(page, "live-ready")
            assert widths_exceeded(page) == [], path


def test_classes_are_offered_by_their_names(witness: Witness, labelled):
    page = witness.page
    page.goto(f"{labelled.url}named/?seed=9&psi=1")
    live_picture(page)
    choice = page.get_by_label("Class")
    assert choice.evaluate("one => [one.value, ...[...one.options].map(o => o.text)]") == [
        "1",
        "ape",
        "bird",
        "3",
    ]
    choice.select_option("ape")
    page.wait_for_url("**/?seed=9&psi=1&class=0")
    assert_near(settled(page), sampled("blob", 9, psi=1.0, label=0))
    page.goto(f"{labelled.url}named/about/")
    expect(page.locator("dt", has_text="Class").locator("+ dd")).to_have_text("bird")


def test_numbers_have_sliders_with_their_names_ranges_and_values(witness: Witness, labelled):
    page = witness.page
    page.goto(f"{labelled.url}numbers/?seed=9&psi=1")
    live_picture(page)
    assert_near(settled(page), sampled("blob", 9, psi=1.0, label=(0.5, 0.0, 10.0)))
    expect(page.get_by_label("Class")).to_be_hidden()
    tilt = page.get_by_label("tilt")
    assert tilt.evaluate("one => [one.min, one.max, one.value]") == ["10", "10.5", "10"]
    expect(page.get_by_label("<b>smile</b>")).to_be_visible()
    tilt.evaluate("one => { one.value = 10.25; one.dispatchEvent(new Event('input', {bubbles: true})); }")
    page.wait_for_url("**/?seed=9&psi=1&label=0.5%2C0%2C10.25")
    expect(page.locator("#label-2 + output")).to_have_text("10.25")
    assert_near(settled(page), sampled("blob", 9, psi=1.0, label=(0.5, 0.0, 10.25)))
    page.goto(f"{labelled.url}numbers/?seed=9&psi=1&label=3,-2,10")  # beyond the first slider
    live_picture(page)
    assert_near(settled(page), sampled("blob", 9, psi=1.0, label=(3.0, -2.0, 10.0)))
    assert page.get_by_label("age").evaluate("one => [one.max, one.value]") == ["3", "3"]
    page.goto(f"{labelled.url}numbers/?seed=9&psi=1&label=3,x,10")  # nonsense: the registry's own
    live_picture(page)
    assert_near(settled(page), sampled("blob", 9, psi=1.0, label=(0.5, 0.0, 10.0)))
    page.goto(f"{labelled.url}numbers/about/")
    expect(page.locator("dt", has_text="Label").locator("+ dd")).to_have_text(
        "age 0.5, <b>smile</b> 0, tilt 10"
    )


def test_a_generator_that_browsers_don_t_know_stays_with_prepared_pictures(witness: Witness, server):
    page = witness.page
    for subject, words in (("alien", "too much for a browser"), ("shy", None)):
        page.goto(f"{server.url}{subject}/")
        wait_for_picture(page)
        page.keyboard.press(" ")
        if words:
            expect(page.locator(NOTE)).to_contain_text(words)
        else:
            expect(page.locator(NOTE)).to_be_empty()
        expect(page.locator("#psi")).to_be_hidden()
        assert page.locator("#pair").count() == 0
    page.goto(f"{server.url}alien/about/")
    expect(page.locator("main")).to_contain_text("it is a stylegan3, want a stylegan2")


def test_mixing_takes_the_coarse_from_one_and_the_fine_from_the_other(witness: Witness, server):
    generator = generator_of("ape")
    with torch.inference_mode():
        coarse, fine = (generator.map_latents(latents([seed], generator.z_dim), psi=0.8) for seed in (3, 4))
        mixed = torch.cat([coarse[:, :4], fine[:, 4:]], dim=1) if coarse.ndim == 3 else None
    assert mixed is not None
    with torch.inference_mode():
        want = to_uint8(generator.synthesize(mixed))[0]
    witness.page.goto(f"{server.url}ape/?seed=3&psi=0.8&mix=4&from=4")
    live_picture(witness.page)
    assert_near(pixels(witness.page), want)


def test_without_https_pictures_are_live_too_though_nothing_is_kept(witness: Witness, server):
    page = witness.page
    page.goto(server.url.replace("127.0.0.1", INSECURE_HOST) + "ape/?name=Ada")
    live_picture(page)
    seed = int.from_bytes(hashlib.sha256(b"ada").digest()[:4], "big")
    assert_near(pixels(page), sampled("ape", seed, psi=0.8))
    assert page.evaluate("'caches' in globalThis || 'serviceWorker' in navigator") is False
    assert press(page) != press(page)
    expect(page.get_by_role("button", name="Copy picture")).to_be_hidden()


def test_space_brings_another_one_while_the_slider_has_the_focus(witness: Witness, server):
    page = witness.page
    open_live(page, f"{server.url}ape/")
    first = press(page)
    page.locator("#psi").focus()
    assert press(page) != first
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-text='psi']")).to_have_text("0.85")
