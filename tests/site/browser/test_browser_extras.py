"""Sharing, names and the contact sheet in a real Chromium."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from metagan.registry.models import Headline
from tests.site.browser.test_browser import press, shown
from tests.site.conftest import INSECURE_HOST, Witness, wait_for_picture, wait_until
from tests.site.demo import Sort, make_content, write_site

pytestmark = pytest.mark.browser

SPACE = "[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
NAMES = [
    "Ada",
    "  ada ",
    "ADA",
    "Ren\u00e9",
    "Rene\u0301",
    "Straße",
    "İpek",
    "ΟΔΥΣΣΕΥΣ",
    "王小明",
    "a\u00a0 b",
    "🦍" * 30,
]


def place_of(name: str, count: int) -> int:
    """The rule that api/SLUG.json states, a second time."""
    lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    text = re.sub(SPACE, " ", lower).strip(" ")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") % count


def ask_for(page: Page, name: str) -> None:
    page.get_by_label("A name").fill(name)
    page.get_by_role("button", name="Show it").click()


def test_a_name_s_picture_is_the_one_that_the_rule_says(witness: Witness, site: str):
    witness.page.goto(f"{site}bagel/")
    module = f"{site}static/names.js?v=rev1"
    places = witness.page.evaluate(
        "async ([url, names]) => { const { placeOf } = await import(url);"
        " return Promise.all(names.map(name => placeOf(name, 300))) }",
        [module, NAMES],
    )
    assert places == [place_of(name, 300) for name in NAMES]
    assert places[0] == places[1] == places[2]
    assert places[3] == places[4]


def test_the_own_sha_256_is_the_standard_s(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/")
    texts = ["", "abc", "a" * 55, "a" * 56, "a" * 63, "a" * 64, "é" * 100, "x" * 1000]
    digests = witness.page.evaluate(
        "async ([url, texts]) => { const { sha256 } = await import(url);"
        " return texts.map(t => [...sha256(new TextEncoder().encode(t))]) }",
        [f"{site}static/names.js?v=rev1", texts],
    )
    assert [bytes(digest) for digest in digests] == [hashlib.sha256(text.encode()).digest() for text in texts]


def test_asking_for_a_name_shows_its_picture_under_its_name(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}ape/")
    shown(page)
    ask_for(page, "  Ada  Lovelace ")
    expect(page.locator("h1")).to_have_text("Ada Lovelace’s Ape Does Not Exist")
    assert shown(page) == f"ape/{place_of('Ada Lovelace', 12)}"
    address = page.url
    press(page, "ArrowRight")
    expect(page.locator("h1")).to_have_text("This Ape Does Not Exist")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("h1")).to_have_text("Ada Lovelace’s Ape Does Not Exist")


def test_a_link_within_the_page_shows_no_picture_twice(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}ape/?name=Ada")
    shown(page)
    page.evaluate("location.hash = 'main'")
    wait_until(page, "history.state !== null")
    expect(page.locator("[data-back]")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("h1")).to_have_text("Ada’s Ape Does Not Exist")


def test_a_hostile_name_is_text(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?name=<img src=x onerror=alert(1)>")
    shown(witness.page)
    expect(witness.page.locator("h1")).to_contain_text("<img src=x onerror=alert(1)>’s")


@pytest.mark.parametrize("name", ["%E2%80%8B", "%E2%80%AE%E2%81%A0", "%E3%85%A4"])
def test_a_name_that_nobody_sees_is_none(witness: Witness, site: str, name: str):
    witness.page.goto(f"{site}ape/?name={name}")
    wait_for_picture(witness.page)
    expect(witness.page.locator("h1")).to_have_text("This Ape Does Not Exist")


def test_a_name_can_t_turn_the_words_beside_it(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?name=%E2%80%AEeve%E2%81%A7")
    expect(witness.page.locator("h1")).to_have_text("eve’s Ape Does Not Exist")
    witness.page.goto(f"{site}ape/?name=%D9%82%D8%B7%D8%A9")
    expect(witness.page.locator("h1")).to_have_text("قطة’s Ape Does Not Exist")
    assert witness.page.locator("h1 bdi").evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"


@pytest.fixture(scope="module")
def polyglot_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A German site with an Arabic subject."""
    german = Headline("Diese {title} gibt es nicht", "{title} für {name}", "de")
    arabic = Headline("{title} بلا وجود", "{title} {name}", "ar", "rtl")
    root = tmp_path_factory.mktemp("polyglot")
    sorts = [Sort(title="Affen", headline=german), Sort("cat", "قطط", headline=arabic, lines=True)]
    write_site(make_content(*sorts, base_url="https://someone.example/", headline=german), root)
    return f"{serve(root)}/"


def test_headlines_follow_the_picture_in_its_language(witness: Witness, polyglot_site: str):
    page = witness.page
    heading = page.locator("h1")
    page.goto(f"{polyglot_site}ape/?name=Ada")
    expect(heading).to_have_text("Affen für Ada")
    expect(page).to_have_title("Affen für Ada")
    page.goto(f"{polyglot_site}cat/")
    expect(heading).to_have_text("قطط بلا وجود")
    expect(heading).to_have_attribute("dir", "rtl")
    seen = set()
    page.goto(polyglot_site)
    for _ in range(12):
        wait_for_picture(page)
        seen.add((heading.text_content(), heading.get_attribute("lang"), heading.get_attribute("dir")))
        press(page, " ")
    assert seen == {("Diese Affen gibt es nicht", "de", "ltr"), ("قطط بلا وجود", "ar", "rtl")}
    assert page.evaluate("document.documentElement.lang") == "de"


def test_names_work_without_https(witness: Witness, site: str):
    page = witness.page
    page.goto(site.replace("127.0.0.1", INSECURE_HOST) + "ape/")
    assert page.evaluate("crypto.subtle === undefined && navigator.clipboard === undefined")
    shown(page)
    ask_for(page, "Ada")
    expect(page.locator("h1")).to_contain_text("Ada’s")
    assert shown(page) == f"ape/{place_of('Ada', 12)}"


def clipboard(page: Page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


def test_share_copies_the_permalink_where_there_is_no_share_sheet(witness: Witness, site: str):
    page = witness.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script("delete Navigator.prototype.share")
    page.goto(f"{site}ape/?seed=5")
    shown(page)
    page.get_by_role("button", name="Share").click()
    expect(page.locator("[data-status]")).to_have_text("Copied to the clipboard.")
    assert clipboard(page) == f"{site}ape/5/"


def test_share_uses_the_share_sheet_where_there_is_one(witness: Witness, site: str):
    page = witness.page
    page.add_init_script("Navigator.prototype.share = async (what) => { window.shared = what }")
    page.goto(f"{site}ape/5/")
    page.get_by_role("button", name="Share").click()
    expect(page.locator("[data-status]")).to_have_text("Shared.")
    assert page.evaluate("window.shared") == {
        "title": "This Ape Does Not Exist – no. 5",
        "url": f"{site}ape/5/",
    }


def test_a_cancelled_share_says_nothing(witness: Witness, site: str):
    page = witness.page
    page.add_init_script(
        "Navigator.prototype.share = async () => { throw new DOMException('no', 'AbortError') }"
    )
    page.goto(f"{site}ape/5/")
    page.get_by_role("button", name="Share").click()
    page.wait_for_timeout(100)
    expect(page.locator("[data-status]")).to_have_text("")


def test_copying_works_without_https(witness: Witness, site: str):
    page = witness.page
    page.goto(site.replace("127.0.0.1", INSECURE_HOST) + "ape/?seed=5")
    shown(page)
    page.evaluate(
        "document.addEventListener('copy', () => (window.copied = String(document.getSelection())))"
    )
    page.get_by_role("button", name="Copy API URL").click()
    expect(page.locator("[data-status]")).to_have_text("Copied to the clipboard.")


def test_a_text_that_cannot_be_copied_is_shown(witness: Witness, site: str):
    page = witness.page
    page.add_init_script("document.execCommand = () => false")
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(f"{site}ape/5/")
    page.get_by_role("button", name="Copy API URL").click()
    expect(page.locator("[data-status]")).to_contain_text(f"{site}api/ape.json#/pictures/5")


def test_the_api_address_points_at_that_picture_s_entry(witness: Witness, site: str):
    page = witness.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site}bagel/?seed=107")
    shown(page)
    page.get_by_role("button", name="Copy API URL").click()
    expect(page.locator("[data-status]")).to_contain_text("Copied")
    address = clipboard(page)
    assert address == f"{site}api/bagel.json#/pictures/7"
    pictures = page.evaluate("url => fetch(url).then(a => a.json())", address)["pictures"]
    assert pictures[int(address.rpartition("/")[2])]["seed"] == 107


def test_download_gives_the_picture_under_a_telling_name(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?seed=5")
    shown(witness.page)
    with witness.page.expect_download() as download:
        witness.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "ape-5.png"


def test_the_contact_sheet_loads_as_one_scrolls(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}bagel/?seed=100")
    wait_for_picture(page)
    tiles = page.locator("[data-tiles] li")
    page.mouse.wheel(0, 600)
    expect(tiles).not_to_have_count(0)
    assert tiles.count() < 300
    assert len({url for url in witness.requests if "/pictures/" in url}) < 150
    for _ in range(600):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(50)
        if tiles.count() == 300:
            break
    expect(tiles).to_have_count(300)


def test_a_click_in_the_contact_sheet_opens_that_picture_and_back_returns(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}ape/?seed=2")
    assert shown(page) == "ape/2"
    page.mouse.wheel(0, 600)
    page.locator("[data-tiles] a").nth(7).click()
    page.wait_for_url("**/ape/?seed=7")
    wait_until(page, "document.querySelector('[data-frame] img').src.includes('ape/7.')")
    page.go_back()
    wait_until(page, "document.querySelector('[data-frame] img').src.includes('ape/2.')")
