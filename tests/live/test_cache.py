"""Small files beside a generator's weights, kept for the next visit."""

from __future__ import annotations

import hashlib

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_damaged_file_that_was_kept_is_fetched_again(page: Page, live_folder):
    page.goto(f"{live_folder[1]}/")
    content = b"dials"
    (live_folder[0] / "dials.bin").write_bytes(content)
    got = page.evaluate(
        """async (sha256) => {
          const { loadChecked } = await import("/static/live/cache.js");
          const url = new URL("/dials.bin", location).href;
          const kept = await caches.open("metagan-models");
          await kept.put(url, new Response("damaged"));
          const bytes = await loadChecked(url, sha256);
          const text = async (answer) => (await answer).text();
          const wrong = await loadChecked(url, "0".repeat(64)).catch((error) => error.message);
          const left = await kept.match(url);
          return [new TextDecoder().decode(bytes), wrong, left === undefined];
        }""",
        hashlib.sha256(content).hexdigest(),
    )
    assert got[0] == "dials"
    assert "its SHA-256 is" in got[1]
    assert got[2], "what has another hash is not kept"
