"""Feeds of the picture of the day, what other sites embed, and the manifest of the web app."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from hashlib import sha256

from metagan.site.pages.render import render_site
from tests.site.demo import BASE_URL, Sort, make_content

ATOM = "{http://www.w3.org/2005/Atom}"
DAYS = [
    date(2026, 11, 22) - timedelta(days=ago) for ago in range(30)
]  # 2026-11-22 is 20,779 days after 1970-01-01


def rendered() -> dict[str, bytes]:
    content = make_content(Sort(lines=True), Sort("bagel", "Bagel", seeds=range(100, 130)))
    return dict(render_site(content, None))


def addresses() -> list[str]:
    """The pictures of the last thirty days, by the rule in docs/games.md."""
    found = []
    for ago, day in enumerate(DAYS):
        slug, first, count = (("ape", 0, 12), ("bagel", 100, 30))[(20_779 - ago) % 2]
        place = int.from_bytes(sha256(day.isoformat().encode()).digest()[:6]) % count
        found.append(f"{BASE_URL}pictures/{slug}/{first + place}.png")
    return found


def test_feeds_have_the_pictures_of_the_last_thirty_days_up_to_the_build():
    files = rendered()
    feed = json.loads(files["today/feed.json"])
    assert [item["image"] for item in feed["items"]] == addresses()
    assert [item["date_published"] for item in feed["items"]] == [f"{day}T00:00:00Z" for day in DAYS]
    assert feed["items"][0]["url"] == f"{BASE_URL}today/?day=2026-11-22"
    assert feed["feed_url"] == f"{BASE_URL}today/feed.json"
    entries = ET.fromstring(files["today/feed.xml"]).findall(f"{ATOM}entry")
    assert [entry.find(f"{ATOM}id").text for entry in entries] == [item["id"] for item in feed["items"]]
    for entry, address in zip(entries, addresses(), strict=True):
        assert f'src="{address}"' in entry.find(f"{ATOM}content").text
    page = files["today/index.html"].decode()
    assert "22 November 2026" in page
    assert addresses()[0].removeprefix(BASE_URL) in page


def test_every_picture_s_page_leads_to_what_other_sites_embed():
    files = rendered()
    page = files["bagel/107/index.html"].decode()
    address = f"{BASE_URL}bagel/107/oembed.json"
    assert (
        f'type="application/json+oembed" title="This Bagel Does Not Exist – no. 107" href="{address}"' in page
    )
    assert '<meta property="og:image:width" content="32">' in page
    assert json.loads(files["bagel/107/oembed.json"]) == {
        "version": "1.0",
        "type": "photo",
        "title": "This Bagel Does Not Exist – no. 107",
        "url": f"{BASE_URL}pictures/bagel/107.png",
        "width": 32,
        "height": 32,
        "web_page": f"{BASE_URL}bagel/107/",
        "provider_name": "Not Here",
        "provider_url": BASE_URL,
        "author_name": "The Testers",
    }


def test_the_web_app_starts_at_the_site_s_root_wherever_it_stands():
    manifest = json.loads(rendered()["manifest.webmanifest"])
    assert (manifest["id"], manifest["start_url"], manifest["scope"]) == ("/sub/path/", "./", "./")
    assert (manifest["name"], manifest["display"]) == ("Not Here", "standalone")
