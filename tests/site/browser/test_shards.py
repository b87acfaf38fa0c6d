"""Pictures out of shards in a real Chromium: by HTTP ranges, by permalink, and where a host sends only whole files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from metagan.site.build.build import BuildOptions, build_site
from metagan.site.serve.reload import BuiltSite, LiveSite
from metagan.site.serve.server import PagesServer
from tests.site.conftest import Witness, wait_until
from tests.site.live_site import Silent
from tests.site.sharded import colour_of, write_registry, write_run

pytestmark = pytest.mark.browser

COLOUR = """() => {
  const image = document.querySelector('[data-frame] img');
  if (!image?.naturalWidth) return null;
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


@contextmanager
def serving(folder: Path, subpath: str) -> Iterator[PagesServer]:
    with PagesServer("127.0.0.1", 0, reload=False, report=lambda _text: None) as server:
        server.live_site = LiveSite(BuiltSite(folder, subpath), time.time())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def build(folder: Path, **options: object) -> Path:
    """A site over a run of 400 pictures, and the run's folder."""
    run = write_run(folder / "runs", range(200), range(200, 400))
    registry = write_registry(folder, base_url="https://someone.example/my/blobs/")
    build_site(BuildOptions.read(registry, folder / "my" / "blobs", pictures=run, **options), Silent())
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that has its shards, at my/blobs."""
    folder = tmp_path_factory.mktemp("sharded")
    build(folder)
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    with serving(folder / "my" / "blobs", "/my/blobs/") as server:
        yield server.url


def shown_seed(page: Page) -> int:
    return int(page.locator('[data-text="seed"]').first.inner_text())


def assert_shows(page: Page, seed: int) -> None:
    wait_until(page, "document.querySelector('.frame img')?.naturalWidth > 0")
    wait_until(page, f"document.querySelector('[data-text=\"seed\"]').textContent === '{seed}'")
    wait_until(page, f"String(({COLOUR})()) === '{','.join(map(str, colour_of(seed)))}'")


def test_any_picture_comes_out_of_its_shard(witness: Witness, site: str) -> None:
    page = witness.page
    page.goto(f"{site}blob/?seed=123")
    assert_shows(page, 123)
    assert page.locator('a[data-slot="download"]').get_attribute("href").startswith("blob:")
    asked = [url.rpartition("/")[2] for url in witness.requests if "/shards/" in url]
    assert asked[:3] == ["manifest.json", "0000000000-0000000199.bin", "0000000000-0000000199.zip"]
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"):
        before = shown_seed(page)
        page.keyboard.press(key)
        wait_until(
            page, """seed => document.querySelector('[data-text="seed"]').textContent !== seed""", str(before)
        )
        assert_shows(page, shown_seed(page))
    assert shown_seed(page) == 123


def test_the_contact_sheet_shows_pictures_of_shards_as_one_scrolls(witness: Witness, site: str) -> None:
    page = witness.page
    page.goto(f"{site}blob/")
    for count in (49, 97):
        tile = f"[data-tiles] > li:nth-child({count}) img"
        # Scrolls again and again: tiles that come late push the foot out of sight.
        scroll_on = f"""() => {{
          document.querySelector("#foot").scrollIntoView();
          document.querySelector("{tile}")?.scrollIntoView();
          return document.querySelector("{tile}")?.naturalWidth > 0;
        }}"""
        wait_until(page, scroll_on)
    page.locator("[data-tiles] > li:nth-child(78) a").click()
    assert_shows(page, 77)
    assert page.url.endswith("?seed=77")


@pytest.mark.parametrize("address", ["blob/p/321", "blob/0321/"])
def test_a_picture_s_short_address_leads_to_it(page: Page, site: str, address: str) -> None:
    page.goto(site + address)
    page.wait_for_url("**/blob/?seed=321")
    assert_shows(page, 321)


def test_shards_may_lie_on_another_host_and_a_damaged_picture_is_not_shown(
    page: Page, tmp_path: Path
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    (tmp_path / "runs").mkdir()
    with serving(tmp_path / "runs", "/") as shards:
        run = build(tmp_path, pictures_url=f"{shards.url}{write_run(tmp_path / 'other', range(1)).name}/")
        damaged = bytearray((run / "0000000200-0000000399.zip").read_bytes())
        for place in range(40, len(damaged), 50):
            damaged[place] ^= 1
        (run / "0000000200-0000000399.zip").write_bytes(damaged)
        with serving(tmp_path / "my" / "blobs", "/my/blobs/") as server:
            page.goto(f"{server.url}blob/?seed=199")
            assert_shows(page, 199)
            assert complaints == []
            page.goto(f"{server.url}blob/?seed=300")
            expect(page.locator("[data-status]")).to_have_text(
                "That picture could not be loaded; this is another."
            )
            assert_shows(page, shown_seed(page))
            assert shown_seed(page) != 300


def test_a_host_without_ranges_is_told_of_and_pictures_that_are_files_are_shown(
    page: Page, folder: Path, serve: Callable[[Path], str]
) -> None:
    page.goto(f"{serve(folder)}/my/blobs/blob/?seed=123")
    said = "The host of this picture sends only whole archives; this is another."
    expect(page.locator("[data-status]")).to_have_text(said)
    assert_shows(page, shown_seed(page))


def test_pictures_may_be_files_in_folders(witness: Witness, tmp_path: Path) -> None:
    build(tmp_path, layout="files")
    with serving(tmp_path / "my" / "blobs", "/my/blobs/") as server:
        witness.page.goto(f"{server.url}blob/?seed=321")
        assert_shows(witness.page, 321)
        source = witness.page.locator("[data-frame] img").get_attribute("src")
        assert source == f"{server.url}pictures/blob/0/321.png"
