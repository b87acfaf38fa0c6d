"""What one comes back for, in a real Chromium: game, picture of the day, screensaver, cards, the cover, the app."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from metagan.site.pages.daily import round_of_day
from tests.site.conftest import Witness, axe_in_light_and_dark, wait_until, widths_exceeded
from tests.site.demo import draw_picture

pytestmark = pytest.mark.browser

DAY = date(2026, 11, 20)
ROUND = round_of_day(DAY, "ape", reals=15, made=12)  # as the fixture's ape has them
SHOWN = "[...document.querySelectorAll('[data-choice] img')].map(({ src }) => src.split('/pictures/')[1])"


def sides(page: Page) -> list[str]:
    """The files of the pair on the page, left and right."""
    wait_until(page, f"{SHOWN}.length === 2")
    return page.evaluate(SHOWN)


def files(number: int) -> list[str]:
    """The files of a pair of the round, left and right."""
    pair = ROUND[number]
    found = [f"ape/which/{pair.real}.png", f"ape/{pair.made}.png"]
    return found if pair.real_is_left else found[::-1]


def test_a_day_s_round_is_played_by_keyboard_and_gives_a_line_to_share(witness: Witness, site: str):
    page = witness.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site}ape/which/?day={DAY}")
    for number, pair in enumerate(ROUND):
        assert sides(page) == files(number)
        wrong = number in {2, 7}
        page.keyboard.press("ArrowLeft" if pair.real_is_left != wrong else "ArrowRight")
        verdict = "No" if wrong else "Right"
        side = "left" if pair.real_is_left else "right"
        expect(page.locator("[data-verdict]")).to_have_text(f"{verdict}: the {side} one exists.")
        expect(page.locator(".real + .truth")).to_have_text(f"Exists: Thing {pair.real}")
        assert page.locator(".made + .truth a").get_attribute("href") == f"{site}ape/{pair.made}/"
        page.keyboard.press("ArrowLeft")  # an answer is given once
        page.keyboard.press("Enter")  # the focus is on the button that leads on
    expect(page.get_by_role("heading", name="8 of 10 right")).to_be_focused()
    expect(page.locator("[data-chance]")).to_have_text(
        "Who guesses gets 5 of 10 on average, and 8 or more in 5 % of rounds."
    )
    expect(page.locator("[data-recap] li.wrong")).to_have_count(2)
    page.locator("[data-copy-score]").click()
    expect(page.locator("[data-status]")).to_have_text("Copied to the clipboard.")
    line = page.evaluate("navigator.clipboard.readText()")
    address = f"{site}ape/which/?day={DAY}"
    assert line == f"Which Ape exists? {DAY} 8/10\n🟩🟩⬜🟩🟩🟩🟩⬜🟩🟩\n{address}"
    page.reload()
    expect(page.get_by_role("heading", name="8 of 10 right")).to_be_visible()
    page.goto(f"{site}ape/which/?day=2026-11-19")
    assert sides(page) != files(0)
    page.locator("[data-choice=left]").click()
    page.reload()  # a round goes on where it was left
    expect(page.locator(".square.now")).to_have_text("2: now")
    assert page.context.cookies() == []


def test_two_tabs_keep_each_other_s_rounds(witness: Witness, site: str):
    one, other = witness.page, witness.page.context.new_page()
    days = {one: "2026-11-19", other: "2026-11-18"}
    for page, day in days.items():  # both are open before either is played
        page.goto(f"{site}ape/which/?day={day}")
        sides(page)
    for page in days:
        page.locator("[data-choice=left]").click()
        expect(page.locator("[data-verdict]")).not_to_be_empty()
    for day in days.values():
        one.goto(f"{site}ape/which/?day={day}")
        expect(one.locator(".square.now")).to_have_text("2: now")


def test_a_fresh_visitor_gets_the_same_round_and_today_s_without_an_address(browser: Browser, site: str):
    context = browser.new_context(timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    page.goto(f"{site}ape/which/?day={DAY}")
    assert sides(page) == files(0)
    for path in ("", "?day=2999-01-01", "?day=2026-02-30"):
        now = datetime.now(UTC).date()
        page.goto(f"{site}ape/which/{path}")
        pair = round_of_day(now, "ape", reals=15, made=12)[0]
        found = [f"ape/which/{pair.real}.png", f"ape/{pair.made}.png"]
        assert sides(page) == (found if pair.real_is_left else found[::-1])
    context.close()


def test_a_day_s_round_takes_no_picture_twice():
    for count in (10, 11, 100):
        pairs = round_of_day(DAY, "ape", reals=count, made=count)
        assert len(pairs) == len({pair.real for pair in pairs}) == len({pair.made for pair in pairs}) == 10
    assert len(round_of_day(DAY, "ape", reals=3, made=100)) == 3


def test_without_javascript_there_is_a_pair_with_its_answer(plain: Page, site: str):
    plain.goto(f"{site}ape/")
    assert not plain.locator("button:visible").count()
    plain.get_by_role("link", name="Play today’s round").click()
    plain.wait_for_url("**/ape/which/")
    for image in plain.locator("main img").all():
        assert plain.request.get(f"{site}ape/which/{image.get_attribute('src')}").ok
    expect(plain.locator("main img")).to_have_count(2)
    plain.locator("summary").click()
    expect(plain.locator("details")).to_contain_text(re.compile("The (left|right) one exists: Thing"))
    expect(plain.locator("button:visible")).to_have_count(0)


def test_axe_finds_nothing_in_light_and_dark_and_no_page_is_wider_than_its_window(
    browser: Browser, site: str
):
    page = browser.new_page(reduced_motion="reduce", bypass_csp=True, viewport={"width": 390, "height": 844})
    found = []
    for path in ("ape/which/", "today/"):
        page.goto(site + path)
        wait_until(page, "document.querySelector('main img')?.naturalWidth > 0")
        found += [f"{path}, {one}" for one in axe_in_light_and_dark(page)]
        found += [f"{path}, too wide for {width}" for width in widths_exceeded(page)]
    page.close()
    assert found == []


def test_the_picture_of_the_day_is_that_of_the_date_and_days_are_walked_by_key(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}today/?day=2026-11-21")
    said = page.locator("[data-day]")
    picture = "document.querySelector('[data-frame] img')?.src.split('/pictures/')[1] === '{}'"
    place = int.from_bytes(sha256(b"2026-11-21").digest()[:6])
    wait_until(page, picture.format(f"ape/{place % 12}.png"))  # 20,778 days after 1970-01-01
    expect(said).to_have_text("21 November 2026")
    expect(page.locator("[data-past] li")).to_have_count(6)
    expect(page).to_have_title("This Ape Does Not Exist – 21 November 2026")
    expect(page.locator("[data-slot=line]")).not_to_be_empty()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/today/?day=2026-11-20")
    place = int.from_bytes(sha256(b"2026-11-20").digest()[:6])
    wait_until(page, picture.format(f"bagel/{100 + place % 300}.png"))
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/today/?day=2026-11-21")
    page.goto(f"{site}today/")
    now = datetime.now(UTC).date()
    expect(said).to_have_attribute("datetime", now.isoformat())
    assert page.locator("[data-onward]").get_attribute("href").startswith(site)


def test_a_day_s_picture_that_does_not_come_is_replaced_by_one_at_hand(page: Page, site: str):
    keep = """async (url) => {
        const cache = await caches.open(`metagan:${new URL("../../", url).pathname}:a`);
        await cache.add(url); }"""
    page.goto(f"{site}subjects/")
    page.evaluate(keep, f"{site}pictures/ape/5.png")
    place = int.from_bytes(sha256(b"2026-11-21").digest()[:6]) % 12
    page.route(f"**/pictures/ape/{place}.png", lambda route: route.abort())
    page.goto(f"{site}today/?day=2026-11-21")
    wait_until(page, "document.querySelector('[data-frame] img')?.src.endsWith('/ape/5.png')")
    expect(page.locator("[data-status]")).to_have_text("That picture could not be loaded; this is another.")


@pytest.mark.parametrize("missing", ["ape/which/*", f"ape/{ROUND[0].made}.png"])
def test_a_pair_of_which_a_picture_does_not_come_is_no_question(page: Page, site: str, missing: str):
    page.route(f"**/pictures/{missing}", lambda route: route.abort())
    page.goto(f"{site}ape/which/?day={DAY}")
    expect(page.locator("[data-verdict]")).to_contain_text("did not load")
    expect(page.locator("[data-choice] img")).to_have_count(0)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-verdict]")).to_contain_text("did not load")


def test_without_javascript_there_is_the_picture_of_the_build_s_day(plain: Page, site: str):
    plain.goto(f"{site}today/")
    image = plain.locator("[data-frame] img")
    assert plain.request.get(f"{site}today/{image.get_attribute('src')}").ok
    expect(plain.locator("[data-day]")).to_have_text("22 November 2026")
    shown = plain.locator(".actions li:visible")
    expect(shown).to_have_count(2)  # a hidden button leaves no gap
    assert shown.all_inner_texts() == ["Permalink", "Download"]
    plain.get_by_role("link", name="Its own page").click()
    plain.wait_for_url(re.compile(r"/(ape|bagel)/\d+/$"))


def test_the_site_can_be_installed_as_an_app(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/")
    wait_until(page, "navigator.serviceWorker.controller?.state === 'activated'")
    session = page.context.new_cdp_session(page)
    found = session.send("Page.getAppManifest")
    assert found["errors"] == []
    assert found["url"] == f"{server.url}manifest.webmanifest"
    errors = {one["errorId"] for one in session.send("Page.getInstallabilityErrors")["installabilityErrors"]}
    assert errors <= {"in-incognito"}  # as tests' windows are


FRAMED = "document.querySelector('[data-frame] img')?.src"


def test_the_screensaver_shows_a_new_picture_every_15_seconds_until_it_is_ended(witness: Witness, site: str):
    page = witness.page
    page.clock.install()
    page.goto(f"{site}ape/?play")
    wait_until(page, f"Boolean({FRAMED})")
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("[data-slot=line]")).to_be_visible()
    for hidden in (".top", ".foot", "[data-next]", ".facts", ".actions", ".sheet"):
        expect(page.locator(hidden)).to_be_hidden()
    first = page.evaluate(FRAMED)
    page.clock.run_for(15_000)
    wait_until(page, f"before => {FRAMED} !== before", first)
    assert page.url == f"{site}ape/?play"
    page.get_by_role("button", name="Pause").click()
    second = page.evaluate(FRAMED)
    page.clock.run_for(40_000)
    assert page.evaluate(FRAMED) == second
    page.keyboard.press("Escape")
    expect(page.locator(".actions")).to_be_visible()
    assert page.url == f"{site}ape/"


@pytest.mark.parametrize(("kind", "size"), [("wide", (1200, 630)), ("square", (1080, 1080))])
def test_a_card_has_the_picture_its_words_and_its_origin(witness: Witness, site: str, kind: str, size):
    page = witness.page
    page.goto(f"{site}ape/?name=Ada")
    wait_until(page, f"Boolean({FRAMED})")
    seed = int(page.locator("[data-text=seed]").first.text_content())
    with page.expect_download() as download:
        page.locator(f"[data-card={kind}]").click()
    assert download.value.suggested_filename == f"ape-{seed}-{kind}.png"
    card = Image.open(download.value.path())
    assert card.size == size
    assert f'metagan:seed="{seed}" metagan:psi="0.8"' in card.info["XML:com.adobe.xmp"]
    pixels = np.asarray(card.convert("RGB"))
    middle = pixels[315, 315] if kind == "wide" else pixels[415, 540]
    assert tuple(middle) == draw_picture(seed, (32, 32)).getpixel((16, 16))
    words = pixels[60:400, 640:] if kind == "wide" else pixels[815:945]
    colours = {tuple(colour) for colour in words.reshape(-1, 3)}
    assert {(0x1B, 0x18, 0x15), (0xB4, 0x38, 0x0D)} <= colours  # headline, and the title in it


def test_tiles_of_the_cover_change_until_they_are_stopped(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}subjects/")
    changed = (
        "[...document.querySelectorAll('.cover .mat')].every((mat, i) => mat.lastElementChild.src !== {}[i])"
    )
    first = page.evaluate("[...document.querySelectorAll('.cover img')].map(({ src }) => src)")
    wait_until(page, changed.format(first))
    page.get_by_role("button", name="Stop the tiles").click()
    expect(page.get_by_role("button", name="Let the tiles change")).to_be_visible()


def test_tiles_stand_still_for_those_who_ask_for_that(browser: Browser, site: str):
    page = browser.new_page(reduced_motion="reduce")
    page.clock.install()
    page.goto(f"{site}subjects/")
    expect(page.get_by_role("button", name="Let the tiles change")).to_be_visible()
    first = page.evaluate("[...document.querySelectorAll('.cover img')].map(({ src }) => src)")
    page.clock.run_for(20_000)
    assert page.evaluate("[...document.querySelectorAll('.cover img')].map(({ src }) => src)") == first
    page.close()
