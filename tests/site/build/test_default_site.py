"""The whole way of the data: the default registry, the bundled weights, `metagan build`, `metagan serve`, a browser."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from metagan.registry.read import read_registry
from tests.site.conftest import Witness, wait_until

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.browser

SHOWN = (
    "(() => { const one = document.querySelector('[data-frame] .mat > *');"
    " return one?.naturalWidth > 1 ? one.currentSrc : one?.toDataURL?.() })()"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `metagan serve` shows the default site, having built it."""
    out = tmp_path_factory.mktemp("default") / "build"
    command = [sys.executable, "-m", "metagan", "serve", "--registry", str(ROOT / "registry.yaml"), "--out", str(out),
               "--images", "6", "--port", "0", "--device", "cpu", "--offline"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=out.parent) as process:
        try:
            line = process.stdout.readline()
            yield re.match(r"http://127\.0\.0\.1:\d+/\S*", line)[0]
        finally:
            process.terminate()


def test_the_default_site_shows_pictures_of_every_subjects_generator(address: str, witness: Witness) -> None:
    page = witness.page
    for subject in read_registry(ROOT / "registry.yaml").subjects:
        page.goto(f"{address}{subject.slug}/")
        heading = page.get_by_role("heading", level=1)
        assert heading.inner_text().split() == f"This {subject.title} Does Not Exist".split()
        picture = page.locator("img").first
        wait_until(page, "document.images[0].naturalWidth > 1")
        facts = json.loads(page.request.get(f"{address}api/{subject.slug}.json").text())
        natural = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert natural[0] == natural[1] >= 32
        assert len(facts["pictures"]) == 6


def shown(page: Page) -> str:
    """What tells a picture on the stage from another: its file, or its pixels."""
    wait_until(page, SHOWN)
    return page.evaluate(SHOWN)


def test_every_load_of_the_front_page_draws_anew_and_never_the_same_twice_in_a_row(
    address: str, witness: Witness
) -> None:
    page, seen = witness.page, []
    for _ in range(8):
        page.goto(address)
        seen.append(shown(page))
    for _ in range(8):
        page.keyboard.press("Space")
        wait_until(page, f"before => {{ const now = {SHOWN}; return now && now !== before }}", arg=seen[-1])
        seen.append(shown(page))
    assert len(set(seen)) >= 9  # of 54 prepared ones, and live ones
    assert all(one != next_one for one, next_one in itertools.pairwise(seen))


def test_every_subject_s_generator_runs_in_the_browser(address: str, witness: Witness) -> None:
    page = witness.page
    for subject in read_registry(ROOT / "registry.yaml").subjects:
        page.goto(f"{address}{subject.slug}/?seed=123456&psi={subject.psi}")
        wait_until(page, "document.querySelector('[data-frame] canvas')?.width >= 64")


def test_a_wrong_path_at_any_depth_shows_a_picture_of_the_real_generator(
    address: str, witness: Witness
) -> None:
    page = witness.page
    response = page.goto(f"{address}no/such/page/at/all.html")
    assert response.status == 404
    assert page.get_by_role("heading", level=1).inner_text().split() == [
        "This",
        "Page",
        "Does",
        "Not",
        "Exist",
    ]
    wait_until(page, "document.images[0].naturalWidth >= 32")
