"""Breeding: one or two of nine, again and again, and an address that shows the same to everybody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import metagan
from metagan.checkpoints.write import write_safetensors
from metagan.lab.dials import Dial, Directions, DirectionsInfo, write_directions
from metagan.lab.lineage import Lineage, mark_of, write_lineage
from metagan.lab.styles import fingerprint, styles_shape
from metagan.networks.loading.forms import describe
from tests.lab.nets import small
from tests.site.conftest import Witness, wait_for, wait_until
from tests.site.live_site import HOLD_WORKERS, LET_GO, build, pixels, serving

pytestmark = pytest.mark.browser

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "lineages.json").read_text())
ONE = "[data-one-picture]"
SHOWN = (
    "document.querySelector('[data-breed]').dataset.shown === "
    "(new URLSearchParams(location.search).get('lineage') ?? '')"
)


@pytest.fixture(scope="module")
def breeding(tmp_path_factory: pytest.TempPathFactory):
    """A site with a subject to breed and one without a generator for browsers, and the folder it was built in."""
    folder = tmp_path_factory.mktemp("breed")
    for name, seed in (("blob", 3), ("other", 4)):
        generator = small(seed, resolution=32, w_dim=16)
        write_safetensors(folder / f"{name}.safetensors", generator.state_dict(), describe(generator))
    registry = """\
        site: {title: Not Here, base_url: https://someone.example/my/apes/}
        subjects:
          blob: {title: Blob <b>, weights: blob.safetensors, licence: CC0-1.0, source: me, images: 12, psi: 0.8,
                 dials: dials.safetensors}
          shy: {title: Shy, weights: other.safetensors, licence: CC0-1.0, source: me, images: 9, live: never}
        """
    num_ws, w_dim = styles_shape(generator := small(3, resolution=32, w_dim=16))
    dial = Dial(name="Glow", method="pca", first=0, last=num_ws - 1, times_random=3)
    info = DirectionsInfo(
        generator=fingerprint(generator), architecture="stylegan2", space="w", step=0.2, dials=(dial,)
    )
    vectors = torch.randn(1, w_dim, generator=torch.Generator().manual_seed(1)) / 5
    write_directions(folder / "dials.safetensors", Directions(info, vectors))
    build(folder, registry)
    with serving(folder / "build") as server:
        yield server, folder


def shown(page: Page) -> None:
    """Waits until everything that the address asks for is drawn."""
    wait_until(page, SHOWN)


def lineage(page: Page) -> str:
    return page.url.partition("lineage=")[2]


def tile(number: int) -> str:
    return f"[data-brood] li:nth-child({number}) canvas"


def nine(page: Page) -> list[bytes]:
    return [pixels(page, tile(number)).tobytes() for number in range(1, 10)]


def choose(page: Page, *numbers: int) -> None:
    for number in numbers:
        page.locator("[data-tile]").nth(number - 1).click()


def breed(page: Page, *numbers: int) -> None:
    choose(page, *numbers)
    before = page.url
    page.get_by_role("button", name="Breed the two" if len(numbers) == 2 else "Breed it").click()
    wait_until(page, "before => location.href !== before", arg=before)
    shown(page)


def is_close(drawn: np.ndarray, want: Image.Image) -> bool:
    """Whether a canvas is Python's picture to within a level."""
    difference = np.abs(drawn[:, :, :3].astype(int) - np.asarray(want).astype(int))
    return bool(difference.max() <= 1 and np.mean(difference > 0) <= 0.05)  # float16 weights


def test_both_sides_read_and_write_the_same_codes(page: Page, breeding):
    page.goto(f"{breeding[0].url}shy/breed/")
    answers = page.evaluate(
        """async ([script, good, bad]) => {
          const { ancestry, readLineage, writeLineage } = await import(script);
          const said = good.map(({ code }) => {
            const { family, individual, isBrood } = readLineage(code);
            const all = ancestry(individual);
            const steps = all.filter((one) => one.parents).map((one) => ({
              ...one, parents: one.parents.map((parent) => all.indexOf(parent)),
            }));
            const isFounder = (one) => !one.parents;
            const founders = all.filter(isFounder).map(({ seed, projected }) => (projected ? { projected } : seed));
            return { ...family, label: family.label ?? null, founders, steps, brood: isBrood,
              code: writeLineage(family, individual, { isBrood }) };
          });
          const refused = bad.map((code) => {
            try {
              return readLineage(code) && "read";
            } catch (error) {
              return error.reason ?? error.message;
            }
          });
          return { said, refused };
        }""",
        [
            f"{breeding[0].url}static/lineage.js",
            VECTORS["good"],
            [code for codes in VECTORS["bad"].values() for code in codes],
        ],
    )
    assert answers["said"] == VECTORS["good"]
    assert answers["refused"] == [reason for reason, codes in VECTORS["bad"].items() for _ in codes]


def test_one_then_two_then_back_and_forward_and_an_ancestor_anew(
    witness: Witness, browser: Browser, breeding
):
    server, folder = breeding
    page = witness.page
    page.goto(f"{server.url}blob/breed/")
    shown(page)
    founders, first = nine(page), page.url
    assert len(set(founders)) == 9
    breed(page, 3)
    children, second = nine(page), page.url
    assert len(set(children)) == 9
    breed(page, 1, 6)
    grandchildren, third = nine(page), page.url
    assert len(set(grandchildren)) == 9
    expect(page.locator("[data-tree] .choice")).to_have_count(3)

    page.go_back()
    wait_until(page, "url => location.href === url", arg=second)
    shown(page)
    assert nine(page) == children
    pressed = page.locator("[data-brood] [aria-pressed=true]")
    expect(pressed).to_have_count(2)  # what was chosen there
    page.go_back()
    wait_until(page, "url => location.href === url", arg=first)
    shown(page)
    assert nine(page) == founders
    page.go_forward()
    page.go_forward()
    wait_until(page, "url => location.href === url", arg=third)
    shown(page)
    assert nine(page) == grandchildren

    blob = metagan.load("blob", registry=folder / "registry.yaml")
    drawn = blob.sample(lineage=page.url)
    assert all(is_close(pixels(page, tile(i + 1)), picture) for i, picture in enumerate(drawn))

    page.locator("[data-tree] .choice").first.click()  # the founder, with one of its grandchildren
    choose(page, 2)
    page.get_by_role("button", name="Breed the two").click()
    wait_until(page, "url => location.href !== url", arg=third)
    shown(page)
    choose(page, 9)
    page.get_by_role("button", name="Release").click()
    expect(page.locator(ONE)).to_be_visible()
    shown(page)
    released = pixels(page, ONE)
    (picture,) = blob.sample(lineage=lineage(page))
    assert is_close(released, picture)
    assert len(page.url) < 2000

    context = browser.new_context()
    other = context.new_page()
    other.goto(page.url)
    shown(other)
    assert pixels(other, ONE).tobytes() == released.tobytes()
    other.goto(third)
    shown(other)
    assert nine(other) == grandchildren
    context.close()


def test_the_desk_says_how_far_and_where_children_differ(witness: Witness, breeding):
    page = witness.page
    page.goto(f"{breeding[0].url}blob/breed/")
    shown(page)
    page.locator("[data-strength]").fill("128")
    page.get_by_label("What changes").select_option("colours and details")
    breed(page, 5)
    said = page.evaluate(
        "async ([script, code]) => (await import(script)).readLineage(code).individual",
        [f"{breeding[0].url}static/lineage.js", lineage(page)],
    )
    assert (said["strength"], said["mutated"]) == (128, [5, 7])
    before = page.url
    page.get_by_role("button", name="Nine others").click()
    wait_until(page, "url => location.href !== url", arg=before)
    shown(page)
    expect(page.locator("[data-tree] .choice")).to_have_count(1)


def test_a_released_one_has_its_files_and_its_card(witness: Witness, breeding, tmp_path):
    page = witness.page
    page.goto(f"{breeding[0].url}blob/breed/")
    shown(page)
    breed(page, 1, 2)
    choose(page, 4)
    page.get_by_role("button", name="Release").click()
    shown(page)
    code = lineage(page)
    expect(page.locator("[data-headline]")).to_be_focused()
    expect(page.locator("[data-headline]")).to_have_text("This Blob <b> Does Not Exist")
    expect(page.locator('[data-slot="permalink"]')).to_have_attribute("href", f"?lineage={code}")
    names = []
    for name in ("Download", "Card"):
        with page.expect_download() as loading:
            page.locator("[data-of-one]").get_by_text(name, exact=True).click()
        names.append(loading.value.suggested_filename)
        loading.value.save_as(tmp_path / names[-1])
    stem = re.fullmatch(r"(blob-lineage-[0-9a-f]{8})\.png", names[0])[1]
    assert names[1] == f"{stem}-wide.png"
    with Image.open(tmp_path / names[0]) as image:
        assert f'metagan:lineage="{code}" metagan:psi="0.8"' in image.info["XML:com.adobe.xmp"]
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels(page, ONE)[:, :, :3])
    with Image.open(tmp_path / names[1]) as card:
        assert card.size == (1200, 630)


def test_files_are_of_what_is_painted_while_dials_are_turned(witness: Witness, breeding):
    page = witness.page
    page.add_init_script(HOLD_WORKERS)
    page.goto(f"{breeding[0].url}blob/breed/")
    shown(page)
    choose(page, 4)
    page.get_by_role("button", name="Release").click()
    shown(page)
    before = pixels(page, ONE).tobytes()
    page.evaluate("window.held = []")
    page.get_by_label("Glow").focus()
    page.keyboard.press("ArrowRight")
    wait_until(page, "location.search.endsWith('&dials=1:0.1')")
    names = []
    for _ in range(2):
        with page.expect_download() as loading:
            page.locator("[data-of-one]").get_by_text("Download", exact=True).click()
        names.append(loading.value.suggested_filename)
        if len(names) == 1:
            page.evaluate(LET_GO)
            wait_for(page, lambda: pixels(page, ONE).tobytes() != before)
    assert names[0].endswith(".png")
    assert "dials" not in names[0]
    assert names[1] == names[0].replace(".png", "-dials-1_0.1.png")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("damaged", "letters are missing or changed"),
        ("version", "another version"),
        ("long", "longer than any"),
        ("other", "another generator"),
    ],
)
def test_an_address_that_can_t_be_shown_says_so_and_offers_nine_new_ones(
    witness: Witness, breeding, reason: str, words: str
):
    page = witness.page
    code = (VECTORS["bad"].get(reason) or [VECTORS["good"][0]["code"]])[-1]
    page.goto(f"{breeding[0].url}blob/breed/?lineage={code}")
    expect(page.get_by_role("alert")).to_contain_text(words)
    wait_until(page, "document.querySelector('[data-breed]').dataset.shown")
    founders, asked = nine(page), page.url
    assert len(set(founders)) == 9
    assert lineage(page) == code
    breed(page, 1)
    expect(page.get_by_role("alert")).to_be_hidden()
    page.go_back()
    wait_until(page, "url => location.href === url", arg=asked)
    expect(page.get_by_role("alert")).to_contain_text(words)
    wait_until(page, "document.querySelector('[data-breed]').dataset.shown")
    assert nine(page) == founders
    expect(page.locator("[data-tile]").first).to_have_attribute("aria-pressed", "true")


def test_keys_choose_and_breed(witness: Witness, breeding):
    page = witness.page
    page.goto(f"{breeding[0].url}blob/breed/")
    shown(page)
    before = page.url
    page.locator("[data-tile]").first.focus()
    for key in ("ArrowDown", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator("[data-tile]").nth(4)).to_have_attribute("aria-pressed", "true")
    page.locator("[data-breed-on]").focus()
    page.keyboard.press("Enter")
    wait_until(page, "url => location.href !== url", arg=before)
    shown(page)
    expect(page.locator("[data-tile]").first).to_be_focused()


def test_axe_finds_nothing_and_the_page_fits_a_phone(browser: Browser, breeding):
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{breeding[0].url}blob/breed/")
    shown(page)
    for _ in range(3):
        breed(page, 2, 5)
    choose(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Release").click()
    shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    context.close()


def test_without_a_generator_the_page_says_so_and_shows_the_gallery(page: Page, breeding):
    server = breeding[0]
    model = next((breeding[1] / "build" / "models").glob("*.bin.gz")).name
    page.goto(f"{server.url}shy/breed/")
    expect(page.locator("[data-live-note]")).to_contain_text("no generator for browsers")
    expect(page.locator("[data-prepared] img")).to_have_count(9)
    expect(page.locator("[data-prepared]")).to_be_visible()
    page.get_by_role("link", name="All 9 pictures of the gallery").click()
    expect(page).to_have_url(f"{server.url}shy/#sheet")
    page.route(f"**/{model}", lambda route: route.fulfill(status=404))
    page.goto(f"{server.url}blob/breed/?lineage={VECTORS['good'][0]['code']}")
    expect(page.locator("[data-live-note]")).to_contain_text("The generator did not load")
    expect(page.get_by_role("alert")).to_contain_text("takes the generator to draw")
    expect(page.locator("[data-prepared]")).to_be_visible()
    expect(page.locator("[data-bench]")).to_be_hidden()


def test_without_webassembly_or_javascript_there_is_the_gallery(browser: Browser, plain: Page, breeding):
    page = browser.new_page()
    page.add_init_script("delete globalThis.WebAssembly")
    page.goto(f"{breeding[0].url}blob/breed/")
    expect(page.locator("[data-live-note]")).to_contain_text("no WebAssembly")
    expect(page.locator("[data-prepared]")).to_be_visible()
    page.close()
    plain.goto(f"{breeding[0].url}blob/breed/")
    expect(plain.locator("noscript img:visible, .trio img:visible")).to_have_count(9)
    expect(plain.locator("noscript .rule")).to_contain_text("Without JavaScript nothing can be bred")


def test_a_released_one_s_dials_are_turned_and_stay_in_the_address(
    witness: Witness, browser: Browser, breeding
):
    server, folder = breeding
    page = witness.page
    blob = metagan.load("blob", registry=folder / "registry.yaml")
    bred = Lineage(
        blob.dials().info.dials[0].last + 1, mark_of(small(3, resolution=32, w_dim=16)), 800, None, (3,)
    )
    code = write_lineage(bred)
    page.goto(f"{server.url}blob/breed/?lineage={code}&dials=1:2")
    wait_until(page, "document.querySelector('[data-breed]').dataset.shown")
    (want,) = blob.sample(lineage=page.url, dials="1:2")
    assert is_close(pixels(page, ONE), want)
    assert np.abs(np.asarray(want).astype(int) - np.asarray(blob.sample(lineage=code)[0])).max() > 8
    page.get_by_label("Glow").focus()
    page.keyboard.press("ArrowLeft")
    wait_until(page, "location.search.endsWith('&dials=1:1.9')")
    expect(page.locator('[data-slot="permalink"]')).to_have_attribute("href", re.compile("dials=1:1.9$"))
    page.get_by_role("button", name="Reset").click()
    wait_until(page, "!location.search.includes('dials')")
    breed(page)
    assert "dials" not in page.url


def test_a_subject_s_page_leads_here(witness: Witness, breeding):
    page = witness.page
    page.goto(f"{breeding[0].url}blob/")
    page.locator("#breed + p a").click()
    shown(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Breed Your Blob <b>")
