"""Sorting pictures out on a page, and what becomes of it."""

from __future__ import annotations

import csv
import http.client
import re
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser

from metagan.cli.collection import _review_collection, _review_subject
from metagan.collection.model import Item
from metagan.collection.review import read_review, write_review
from metagan.collection.review_page import PAGE_PICTURES, Reviewed, ReviewServer
from metagan.collection.subset import Choice, take_subset
from metagan.errors import CollectionError, MetaganError
from metagan.registry.exclude import excluded_seeds, format_seeds, write_exclude
from tests.collection.making import png, with_pictures
from tests.site.conftest import base_url, browser_type_launch_args  # noqa: F401


@pytest.fixture
def seventy(tmp_path: Path) -> Path:
    items = [Item(id=f"=cmd{n}", name=f"<b>Piece {n}</b>") for n in range(70)]
    return with_pictures(
        tmp_path / "art", items, {item.id: png(Image.new("RGB", (8, 8), "red")) for item in items}
    )


@pytest.fixture
def server(seventy: Path) -> Iterator[ReviewServer]:
    running = _review_collection(seventy, 0)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def ask(
    server: ReviewServer, method: str, path: str, body: str = "", host: str | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=120)
    headers = {"Host": host} if host else {}
    connection.request(method, path, body, headers | {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


def form(server: ReviewServer, page: int, *numbers: int, token: str | None = None) -> str:
    return urlencode(
        [("token", server.token if token is None else token), ("page", page), *(("out", n) for n in numbers)]
    )


def test_choices_are_kept_beside_the_collection_and_subset_honours_them(
    server: ReviewServer, seventy: Path
) -> None:
    assert ask(server, "POST", "/", form(server, 1, 3, 5))[0] == 303
    assert ask(server, "POST", "/", form(server, 2, 60))[0] == 303
    assert read_review(seventy) == {"=cmd3", "=cmd5", "=cmd60"}
    assert ask(server, "POST", "/", form(server, 1, 5))[0] == 303
    assert read_review(seventy) == {"=cmd5", "=cmd60"}
    assert (seventy / "review.csv").read_text() == "id,choice\n'=cmd5,out\n'=cmd60,out\n"
    report = take_subset(seventy, seventy.parent / "kept", Choice())
    assert [(step.what, step.left) for step in report.steps] == [
        ("all", 70),
        ("not sorted out in review.csv", 68),
    ]


def test_any_id_comes_back_from_a_review_file_that_no_spreadsheet_executes(tmp_path: Path) -> None:
    ids = {
        "=1",
        "'=1",
        "''=1",
        "'a",
        "+1",
        "-1",
        "@x",
        "\uff1dx",
        "\ta",
        " =x",
        "-",
        "",
        "a,b",
        'a"b',
        "it's",
    }
    write_review(tmp_path, ids)
    assert read_review(tmp_path) == ids
    with (tmp_path / "review.csv").open(newline="") as lines:
        assert not [row for row in csv.reader(lines) if row[0].lstrip().startswith(tuple("=+-@\uff1d\t"))]


def test_the_page_escapes_what_strangers_wrote_and_shows_pictures(server: ReviewServer) -> None:
    status, page = ask(server, "GET", "/?page=1")
    assert status == 200
    assert page.count('type="checkbox"') == PAGE_PICTURES
    assert "&lt;b&gt;Piece 0&lt;/b&gt;" in page
    assert "<b>" not in page
    assert ask(server, "GET", "/picture/0")[0] == 200
    assert [ask(server, "GET", path)[0] for path in ("/picture/70", "/picture/../x", "/collection.json")] == [
        404
    ] * 2 + [404]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", ""])
def test_other_hosts_are_refused(server: ReviewServer, seventy: Path, host: str) -> None:
    assert ask(server, "GET", "/", host=host or "x")[0] == 403
    assert ask(server, "POST", "/", form(server, 1, 3), host=host or "x")[0] == 403
    assert not read_review(seventy)


@pytest.mark.parametrize("token", ["", "another"])
def test_forms_of_other_pages_are_refused(server: ReviewServer, seventy: Path, token: str) -> None:
    assert ask(server, "POST", "/", form(server, 1, 3, token=token))[0] == 403
    assert not read_review(seventy)


@pytest.mark.browser
def test_a_browser_sorts_out_by_click_and_by_key(
    server: ReviewServer, seventy: Path, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.goto(server.url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    page.locator("label.picture").nth(2).click()
    page.get_by_text("Saved.").wait_for()
    for key in ("ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    tops = page.evaluate(
        "[...document.querySelectorAll('.picture')].map((one) => one.getBoundingClientRect().top)"
    )
    columns = tops.count(tops[0])
    page.wait_for_function("document.getElementById('count').textContent === '2'")
    page.get_by_role("button", name="Save, and the next sheet").click()
    page.wait_for_url("**/?page=2")
    assert read_review(seventy) == {"=cmd2", f"=cmd{2 + 1 + columns}"}
    page.close()


def test_choices_that_come_at_the_same_time_are_all_kept() -> None:
    saved: list[frozenset[str]] = []
    saving = threading.Lock()

    def save(out: frozenset[str]) -> None:
        assert saving.acquire(blocking=False), "two are saved at the same time"
        time.sleep(0.05)  # so that others come in between
        saved.append(out)
        saving.release()

    shown = [Reviewed(str(n), str(n), "png", bytes) for n in range(8 * PAGE_PICTURES)]
    running = ReviewServer("Art", shown, frozenset(), save)
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(running.choose, n + 1, {n * PAGE_PICTURES}) for n in range(8)]:
            done.result()
    running.server_close()
    assert saved[-1] == running.out == {str(n * PAGE_PICTURES) for n in range(8)}


def test_review_files_that_are_none(tmp_path: Path) -> None:
    write_review(tmp_path, ["b", 'a,"x'])
    assert read_review(tmp_path) == {'a,"x', "b"}
    (tmp_path / "review.csv").write_text("id,choice\nA,maybe\n")
    with pytest.raises(CollectionError) as raised:
        read_review(tmp_path)
    assert str(raised.value.where).endswith("review.csv:2")


REGISTRY = """# my site
site:
  title: Bagels   # of mine
  base_url: https://example.org/

subjects:
  bagel:
    title: Bagel
    weights: bundled:bagels
    licence: CC0-1.0
    source: metagan
    images: 4
{exclude}
  # the second one
  ape:
    title: Ape
    weights: bundled:apes
    licence: CC0-1.0
    source: metagan
    images: 2
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "    exclude: 5, 7-9   # bad ones\n",
        "    exclude:\n      - 5\n      - 7-9\n",
        "    exclude: [5, 7, 8, 9]\n",
    ],
    ids=["none", "a text", "a list", "a flow list"],
)
def test_a_registrys_exclude_is_written_and_nothing_else_changes(tmp_path: Path, before: str) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(REGISTRY.replace("{exclude}\n", before))
    assert excluded_seeds(path, "bagel") == ((5, 7, 8, 9) if before else ())
    write_exclude(path, "bagel", [13, 12, 77, 11])
    comment = "   # bad ones" if "#" in before else ""
    assert path.read_text() == REGISTRY.replace("{exclude}\n", f"    exclude: 11-13, 77{comment}\n")
    write_exclude(path, "ape", [1])
    assert path.read_text().endswith("    images: 2\n    exclude: 1\n")
    write_exclude(path, "bagel", [])
    assert path.read_text() == REGISTRY.replace("{exclude}\n", "") + "    exclude: 1\n"


@pytest.mark.parametrize("slug", ["2024", "no"])
def test_a_slug_that_yaml_takes_for_no_text_and_a_link_are_heeded(tmp_path: Path, slug: str) -> None:
    real, path = tmp_path / "real.yaml", tmp_path / "registry.yaml"
    real.write_text(REGISTRY.replace("{exclude}\n", "").replace("bagel:", f"{slug}:"))
    real.chmod(0o600)
    path.symlink_to(real)
    write_exclude(path, slug, [3])
    assert excluded_seeds(path, slug) == (3,)
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_registry_that_cannot_be_changed_safely_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    text = "subjects: {bagel: {title: Bagel, weights: 'bundled:bagels'}}\n"
    path.write_text(text)
    with pytest.raises(MetaganError):
        write_exclude(path, "bagel", [3])
    assert path.read_text() == text


def test_seeds_are_written_as_registries_have_them() -> None:
    assert format_seeds([3, 1, 2, 9, 9]) == "1-3, 9"
    assert format_seeds([]) == ""


def test_a_subjects_generated_pictures_become_its_exclude(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(REGISTRY.replace("{exclude}\n", "    exclude: 1\n"))
    running = _review_subject("bagel", path, 0, "cpu", offline=True)
    try:
        assert [picture.id for picture in running.pictures] == ["0", "1", "2", "3", "4"]
        assert running.pictures[0].read().startswith(b"\x89PNG")
        running.choose(1, {1, 3})
    finally:
        running.server_close()
    assert re.search(r"^    exclude: 1, 3$", path.read_text(), re.MULTILINE)
