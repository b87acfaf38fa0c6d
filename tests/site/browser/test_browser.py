"""The site in a real Chromium: what a visitor does and sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import Witness, wait_for, wait_for_picture, wait_until
from tests.site.demo import EVIL, Sort, make_content, write_site

pytestmark = pytest.mark.browser

PICTURE = "[data-frame] img"


def shown(page: Page) -> str:
    """The path of the picture on the stage, "ape/3"."""
    wait_for_picture(page)
    return re.search(r"pictures/(\w+/\d+)\.", page.get_attribute(PICTURE, "src"))[1]


def press(page: Page, key: str) -> str:
    """Presses a key; the answer is the picture that comes."""
    before = page.get_attribute(PICTURE, "src")
    page.keyboard.press(key)
    wait_until(page, f"src => document.querySelector('{PICTURE}')?.getAttribute('src') !== src", arg=before)
    return shown(page)


def test_home_shows_a_random_subject_and_picture_at_every_load(witness: Witness, site: str):
    seen = []
    for _ in range(12):
        witness.page.goto(site)
        seen.append(shown(witness.page))
    assert len({name.split("/")[0] for name in seen}) == 2
    assert len(set(seen)) > 6
    assert all(a != b for a, b in pairwise(seen))


def test_the_headline_and_the_tab_name_the_subject(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    shown(witness.page)
    expect(witness.page.locator("h1")).to_have_text("This Ape Does Not Exist")
    expect(witness.page).to_have_title("This Ape Does Not Exist")


def test_space_and_the_arrows_walk_and_never_repeat(witness: Witness, site: str):
    witness.page.goto(site)
    trail = [shown(witness.page)]
    for i in range(20):
        trail.append(press(witness.page, " " if i % 2 else "ArrowRight"))
    assert all(a != b for a, b in pairwise(trail))
    for place in (19, 18, 17):
        assert press(witness.page, "ArrowLeft") == trail[place]
    assert press(witness.page, "ArrowRight") == trail[18]


def test_keys_in_a_text_field_stay_there(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    before = shown(witness.page)
    witness.page.get_by_label("A name").press_sequentially("a b")
    witness.page.keyboard.press("ArrowLeft")
    assert shown(witness.page) == before
    assert witness.page.get_by_label("A name").input_value() == "a b"


def test_the_button_brings_another_one(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    before = shown(witness.page)
    witness.page.get_by_role("button", name="Another one").click()
    wait_until(
        witness.page, f"src => !document.querySelector('{PICTURE}').src.includes(src)", arg=f"{before}."
    )
    back = witness.page.get_by_role("button", name="Back")
    expect(back).to_have_attribute("aria-disabled", "false")
    back.click()
    wait_until(
        witness.page, f"src => document.querySelector('{PICTURE}').src.includes(src)", arg=f"{before}."
    )


def test_the_next_picture_is_loaded_before_it_is_asked_for(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    shown(witness.page)
    witness.page.wait_for_load_state("networkidle")
    loaded = set(witness.requests)
    press(witness.page, "ArrowRight")
    assert witness.page.evaluate(f"document.querySelector('{PICTURE}').src") in loaded


def swipe(page: Page, from_x: int, to_x: int, to_y: int = 300) -> None:
    touch = page.context.new_cdp_session(page)

    def send(kind: str, points: list[dict[str, int]]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", [{"x": from_x, "y": 300}])
    for step in range(1, 6):
        x, y = from_x + (to_x - from_x) * step // 5, 300 + (to_y - 300) * step // 5
        send("touchMove", [{"x": x, "y": y}])
    send("touchEnd", [])


@pytest.fixture
def phone(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    yield context.new_page()
    context.close()


def test_a_swipe_goes_on_and_back(phone: Page, site: str):
    phone.goto(f"{site}ape/")
    first = shown(phone)
    swipe(phone, 300, 80)
    wait_until(phone, f"src => !document.querySelector('{PICTURE}').src.includes(src)", arg=f"{first}.")
    swipe(phone, 80, 300)
    wait_until(phone, f"src => document.querySelector('{PICTURE}').src.includes(src)", arg=f"{first}.")


def test_a_finger_that_scrolls_is_no_swipe(phone: Page, site: str):
    phone.goto(f"{site}ape/")
    first = shown(phone)
    swipe(phone, 200, 150, to_y=100)
    phone.wait_for_timeout(300)
    assert shown(phone) == first


def test_a_swipe_on_a_picture_s_own_page_leads_to_the_next(phone: Page, site: str):
    phone.goto(f"{site}ape/3/")
    swipe(phone, 300, 80)
    phone.wait_for_url("**/ape/4/")


def test_the_address_of_a_subject_s_page_names_the_picture_after_a_move(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    shown(witness.page)
    assert witness.page.url == f"{site}ape/"
    seed = press(witness.page, "ArrowRight").split("/")[1]
    expect(witness.page).to_have_url(f"{site}ape/?seed={seed}")
    witness.page.reload()
    assert shown(witness.page) == f"ape/{seed}"


def test_the_permalink_leads_to_that_very_picture(witness: Witness, site: str):
    page = witness.page
    page.goto(site)
    name = shown(page)
    page.get_by_role("link", name="Permalink").click()
    page.wait_for_url(f"**/{name}/")
    assert shown(page) == name
    assert page.evaluate(f"document.querySelector('{PICTURE}').naturalWidth") > 0


def test_coming_back_from_another_page_shows_the_same_picture(witness: Witness, site: str):
    witness.page.goto(site)
    shown(witness.page)
    name = press(witness.page, "ArrowRight")
    witness.page.get_by_role("link", name="Permalink").click()
    witness.page.wait_for_url(f"**/{name}/")
    witness.page.go_back()
    assert shown(witness.page) == name


def test_an_unknown_seed_is_said_to_be_unknown(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?seed=999")
    assert shown(witness.page).startswith("ape/")
    expect(witness.page.locator("[data-status]")).to_contain_text("no such picture")


def test_keys_on_a_picture_s_own_page_follow_its_links(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/11/")
    witness.page.keyboard.press("ArrowRight")
    witness.page.wait_for_url("**/ape/0/")
    witness.page.keyboard.press("ArrowLeft")
    witness.page.wait_for_url("**/ape/11/")


def test_a_made_up_line_follows_its_picture(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?seed=1")
    expect(witness.page.locator(".line")).to_have_text("The third one left before the second came.")
    witness.page.goto(f"{site}ape/?seed=2")
    expect(witness.page.locator(".line")).to_have_text("It was never there, and still it waits.")
    witness.page.goto(f"{site}bagel/?seed=100")
    shown(witness.page)
    expect(witness.page.locator(".line")).to_be_hidden()


@pytest.mark.parametrize("wrong", ["nothing", "nothing/at/all/", "ape/999/x.html"])
def test_the_page_not_found_works_at_any_depth(witness: Witness, site: str, wrong: str):
    answer = witness.page.goto(site + wrong)
    assert answer.status == 404
    expect(witness.page.locator("h1")).to_have_text("This Page Does Not Exist")
    before = shown(witness.page)
    assert press(witness.page, "ArrowRight") != before
    assert witness.page.evaluate("getComputedStyle(document.querySelector('.stage')).display") == "grid"
    witness.page.get_by_role("link", name="Permalink").click()
    wait_for_picture(witness.page)
    assert "/my/apes/" in witness.page.url


def test_the_same_site_works_at_a_domain_s_root(witness: Witness, root_site: str):
    witness.page.goto(root_site)
    shown(witness.page)
    name = press(witness.page, " ")
    witness.page.get_by_role("link", name="Permalink").click()
    witness.page.wait_for_url(f"{root_site}ape/?seed={name.split('/')[1]}")
    assert shown(witness.page) == name
    witness.page.goto(f"{root_site}not/here")
    shown(witness.page)


def test_a_hostile_title_is_text(witness: Witness, site: str):
    dialogs = []
    witness.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in ("bagel/", "bagel/100/", "bagel/about/", "subjects/"):
        witness.page.goto(site + path)
        expect(witness.page.locator("main")).to_contain_text(EVIL)
    assert dialogs == []


def test_small_pictures_stay_crisp(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    shown(witness.page)
    rendering = f"getComputedStyle(document.querySelector('{PICTURE}')).imageRendering"
    assert witness.page.evaluate(rendering) == "pixelated"
    witness.page.goto(f"{site}bagel/")
    shown(witness.page)
    assert witness.page.evaluate(rendering) == "auto"


def test_a_picture_keeps_its_proportions(witness: Witness, site: str):
    witness.page.goto(f"{site}bagel/")
    shown(witness.page)
    box = witness.page.locator(PICTURE).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(1.5, rel=0.01)
    assert box["width"] > 500


def test_presses_faster_than_pictures_end_with_the_last_one(witness: Witness, site: str):
    witness.page.goto(f"{site}bagel/")
    shown(witness.page)
    for _ in range(7):
        witness.page.keyboard.press("ArrowRight")
    wait_until(witness.page, "!document.querySelector('[data-stage]').hasAttribute('aria-busy')")
    seed = shown(witness.page).split("/")[1]
    expect(witness.page).to_have_url(f"{site}bagel/?seed={seed}")


def test_a_picture_that_does_not_load_is_said_and_the_next_one_comes(browser: Browser, site: str):
    page = browser.new_page(service_workers="block")  # it has pictures of its own
    page.goto(f"{site}ape/?seed=3")
    shown(page)
    page.route("**/pictures/bagel/100.png", lambda route: route.abort())
    page.goto(f"{site}bagel/?seed=100")
    expect(page.locator("[data-status]")).to_have_text("That picture did not load; try another.")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-status]")).to_have_text("")
    assert shown(page) != "bagel/100"
    page.close()


def test_a_site_of_one_picture_offers_no_other(witness: Witness, lone_site: str):
    witness.page.goto(lone_site)
    assert shown(witness.page) == "ape/7"
    witness.page.keyboard.press("ArrowRight")
    witness.page.keyboard.press("ArrowLeft")
    assert shown(witness.page) == "ape/7"
    expect(witness.page.get_by_text("Another one")).to_be_hidden()


def test_the_browser_refuses_inline_code_and_other_hosts(page: Page, site: str):
    witness = Witness(page)
    page.goto(f"{site}ape/3/")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }));"
        "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:1/x.png' }))"
    )
    wait_for(page, lambda: len([one for one in witness.complaints if "Content Security Policy" in one]) == 2)
    assert page.evaluate("window.ran") is None


@pytest.fixture(scope="module")
def crowded_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site of a hundred subjects."""
    root = tmp_path_factory.mktemp("crowded")
    sorts = [Sort(f"ape{i}", f"Ape {i}", seeds=(i, i + 1)) for i in range(100)]
    write_site(make_content(*sorts, base_url="https://someone.example/", picture_pages=False), root)
    return f"{serve(root)}/"


def test_home_draws_from_subjects_that_its_page_doesn_t_know(witness: Witness, crowded_site: str):
    page = witness.page
    seen = set()
    for _ in range(6):
        page.goto(crowded_site)
        wait_for_picture(page)
        for _ in range(4):
            seen.add(int(page.locator("h1 em").text_content().split()[-1]))
            press(page, " ")
    assert max(seen) >= 40  # the page itself has the first forty


def test_back_at_home_there_is_the_picture_of_before_whatever_its_group(witness: Witness, crowded_site: str):
    page = witness.page
    page.add_init_script("Math.random = () => 0.95")
    page.goto(crowded_site)
    wait_for_picture(page)
    expect(page.locator("h1")).to_contain_text("Ape 9")
    before = shown(page)
    page.goto(f"{crowded_site}subjects/")
    page.go_back()
    wait_for_picture(page)
    assert shown(page) == before


def test_home_goes_on_where_a_group_of_subjects_doesn_t_come(browser: Browser, crowded_site: str):
    page = browser.new_page()
    page.route("**/api/home/*", lambda route: route.abort())
    page.goto(crowded_site)
    wait_for_picture(page)
    for _ in range(4):
        press(page, " ")
        assert int(page.locator("h1 em").text_content().split()[-1]) < 40
    page.close()
