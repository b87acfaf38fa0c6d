"""The site without JavaScript: every page shows a picture and leads to the next."""

from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def has_picture(page: Page) -> bool:
    """Whether the page shows a picture whose file is there."""
    image = page.locator("main img").first
    expect(image).to_be_visible()
    return page.request.get(urljoin(page.url, image.get_attribute("src"))).ok


@pytest.mark.parametrize("path", ["", "ape/", "ape/3/", "ape/about/", "subjects/", "no/such/page"])
def test_every_page_shows_a_picture(plain: Page, site: str, path: str):
    plain.goto(site + path)
    assert has_picture(plain)


@pytest.mark.parametrize("path", ["", "ape/", "ape/0/", "ape/about/", "no/such/page"])
def test_every_page_links_to_the_next(plain: Page, site: str, path: str):
    plain.goto(site + path)
    plain.get_by_role("link", name="Another one").click()
    plain.wait_for_url("**/ape/1/")
    assert has_picture(plain)
    plain.get_by_role("link", name="Another one").click()
    plain.wait_for_url("**/ape/2/")


def test_without_picture_pages_the_next_is_in_the_contact_sheet(plain: Page, root_site: str):
    plain.goto(f"{root_site}ape/")
    plain.get_by_role("link", name="Another one").click()
    plain.wait_for_url("**/ape/#seed-1")
    expect(plain.locator("#seed-1 img")).to_be_in_viewport()


def test_buttons_that_would_do_nothing_are_not_shown(plain: Page, site: str):
    plain.goto(f"{site}ape/")
    expect(plain.locator("button:visible")).to_have_count(0)
