"""Every file of a site but its pictures."""

import gzip
import json
import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metagan.errors import BuildError, TemplateError
from metagan.registry.models import Headline
from metagan.site.pages.content import Picture
from metagan.site.pages.render import render_site
from metagan.site.pages.views import training_rows
from tests.site.demo import BASE_URL, EVIL, Sort, make_content

ATOM = "{http://www.w3.org/2005/Atom}"
MAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def render(*sorts: Sort, templates: Path | None = None, **options: object) -> dict[str, bytes]:
    return dict(render_site(make_content(*sorts, **options), templates))


def text_of(files: dict[str, bytes], path: str) -> str:
    return files[path].decode()


def test_a_site_has_every_page_the_issue_names():
    files = render(Sort(seeds=(0, 42)), Sort("bagel", "Bagel"))
    for path in (
        "index.html", "ape/index.html", "ape/42/index.html", "ape/about/index.html", "subjects/index.html",
        "bagel/11/index.html", "feed.xml", "sitemap.xml", "robots.txt", "404.html",
        "api/subjects.json", "api/ape.json", "static/theme.css", "static/site.css", "static/app.js",
    ):  # fmt: skip
        assert files[path], path


def test_each_path_is_yielded_once():
    paths = [path for path, _ in render_site(make_content(Sort(lines=True), Sort("bagel", "Bagel")), None)]
    assert len(paths) == len(set(paths))


def test_a_title_that_is_a_script_is_text_everywhere():
    files = render(Sort(title=EVIL, licence=EVIL, source=EVIL, lines=True), title=EVIL)
    assert [path for path, data in files.items() if b"<script>alert" in data] == []
    assert json.loads(files["api/ape.json"])["title"] == EVIL
    assert ET.fromstring(files["feed.xml"]).findtext(f"{ATOM}title") == EVIL
    data = re.findall(
        r'<script type="application/ld\+json">(.*?)</script>', text_of(files, "ape/0/index.html"), re.S
    )
    assert json.loads(data[0])["name"] == f"{EVIL} no. 0"


def test_a_picture_page_previews_that_very_picture_by_absolute_address():
    page = text_of(render(Sort(seeds=(7, 42))), "ape/42/index.html")
    assert f'<meta property="og:image" content="{BASE_URL}pictures/ape/42.png">' in page
    assert f'<meta name="twitter:image" content="{BASE_URL}pictures/ape/42.png">' in page
    assert f'<link rel="canonical" href="{BASE_URL}ape/42/">' in page


def test_a_larger_copy_is_used_for_previews_where_there_is_one():
    content = make_content(Sort(seeds=(7,)))
    picture = Picture(7, "pictures/ape/7.png", card="pictures/ape/7-card.png")
    content = replace(content, subjects=(replace(content.subjects[0], pictures=(picture,)),))
    page = dict(render_site(content, None))["ape/7/index.html"].decode()
    assert f'content="{BASE_URL}pictures/ape/7-card.png"' in page
    assert '<img src="../../pictures/ape/7.png"' in page


def test_previous_and_next_run_in_a_circle():
    page = text_of(render(Sort(seeds=(3, 5, 9))), "ape/3/index.html")
    assert '<link rel="prev" href="../../ape/9/">' in page
    assert '<link rel="next" href="../../ape/5/">' in page


def test_every_page_says_that_a_machine_made_the_pictures():
    for path, data in render(Sort()).items():
        if path.endswith(".html"):
            assert b"made by a machine" in data.lower(), path


def test_every_page_that_shows_one_picture_states_its_digital_source_type():
    files = render(Sort())
    for path in ("index.html", "ape/index.html", "ape/0/index.html", "ape/about/index.html"):
        block = re.search(r'<script type="application/ld\+json">(.*?)</script>', text_of(files, path), re.S)
        assert json.loads(block[1])["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_without_picture_pages_permalinks_carry_the_seed():
    files = render(Sort(), picture_pages=False)
    assert "ape/0/index.html" not in files
    assert json.loads(files["api/ape.json"])["pictures"][3]["page"] == f"{BASE_URL}ape/?seed=3"
    assert "?seed=" not in text_of(files, "sitemap.xml")


def test_an_unknown_licence_is_marked():
    assert "Nobody has said" in text_of(render(Sort(licence="unknown")), "ape/about/index.html")
    assert "Nobody has said" not in text_of(render(Sort()), "ape/about/index.html")


def test_a_source_is_a_link_only_when_it_is_a_web_address():
    assert 'href="https://a.example/x"' in text_of(
        render(Sort(source="https://a.example/x")), "ape/about/index.html"
    )
    for source in ("javascript:alert(1)", "http://[x", "https://ex\u2100mple.org"):
        assert f'href="{source}' not in text_of(render(Sort(source=source)), "ape/about/index.html")


def test_the_about_page_flattens_training_facts():
    page = text_of(render(Sort()), "ape/about/index.html")
    assert "<dt>data: size</dt><dd>10,000</dd>" in page


def test_training_facts_tell_nothing_of_somebody_s_machine():
    kwargs = {"class_name": "training.dataset.ImageFolderDataset", "max_size": 10_000, "xflip": False}
    for path in ("/home/jane/data/apes.zip", "C:\\Users\\jane\\apes.zip"):
        rows = dict(
            training_rows({"training_set_kwargs": kwargs | {"path": path}, "kimg": 71.5, "loss": None})
        )
        assert rows == {
            "training set: max size": "10,000",
            "training set: xflip": "no",
            "training set: path": "apes.zip",
            "kimg": "71.5",
        }


def test_the_page_not_found_uses_the_base_path():
    page = text_of(render(Sort()), "404.html")
    assert 'href="/sub/path/static/site.css?v=rev1"' in page
    assert not re.search(r'(?:href|src)="(?!/sub/path/|#|https://apes\.example)', page)


def test_the_api_lists_seeds_and_addresses():
    files = render(Sort(seeds=(5, 4), lines=True))
    pictures = json.loads(files["api/ape.json"])["pictures"]
    assert pictures[0] == {
        "seed": 5,
        "image": f"{BASE_URL}pictures/ape/5.png",
        "page": f"{BASE_URL}ape/5/",
        "text": "The third one left before the second came.",
    }
    assert json.loads(files["api/subjects.json"])["subjects"][0]["count"] == 2


def test_made_up_lines_travel_in_small_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metagan.site.pages.api.LINES_CHUNK", 5)
    files = render(Sort(lines=True))
    chunks = [json.loads(files[f"api/ape/lines/{number}.json"]) for number in range(3)]
    assert [len(chunk) for chunk in chunks] == [5, 5, 2]
    assert "api/ape/lines/0.json" not in render(Sort())


def test_the_feed_takes_subjects_in_turn_from_their_newest():
    feed = ET.fromstring(render(Sort(seeds=(1, 2)), Sort("bagel", "Bagel", (8,)))["feed.xml"])
    ids = [entry.findtext(f"{ATOM}id") for entry in feed.findall(f"{ATOM}entry")]
    assert ids == [f"{BASE_URL}ape/2/", f"{BASE_URL}bagel/8/", f"{BASE_URL}ape/1/"]


def test_a_feed_entry_holds_html_that_is_escaped_once():
    feed = ET.fromstring(render(Sort(title='A "B" & C'))["feed.xml"])
    content = feed.find(f"{ATOM}entry").findtext(f"{ATOM}content")
    assert content.startswith(f'<p><img src="{BASE_URL}pictures/ape/11.png"')
    assert "A &#34;B&#34; &amp; C no. 11" in content


def test_a_large_sitemap_is_split_behind_an_index(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metagan.site.pages.render.SITEMAP_LIMIT", 10)
    files = render(Sort())
    index = ET.fromstring(files["sitemap.xml"])
    assert [loc.text for loc in index.iter(f"{MAP}loc")] == [
        f"{BASE_URL}sitemap-1.xml",
        f"{BASE_URL}sitemap-2.xml",
    ]
    pages = [
        loc.text
        for name in ("sitemap-1.xml", "sitemap-2.xml")
        for loc in ET.fromstring(files[name]).iter(f"{MAP}loc")
    ]
    assert len(pages) == len(set(pages)) == 3 + 2 + 12


def test_a_module_s_imports_carry_the_revision():
    files = render(Sort())
    assert 'from "./album.js?v=rev1"' in text_of(files, "static/app.js")
    assert 'from "../names.js?v=rev1"' in text_of(files, "static/live/cache.js")


def test_a_file_in_the_user_s_templates_wins_and_may_build_on_the_one_it_replaces(tmp_path: Path):
    (tmp_path / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
    (tmp_path / "base.html").write_text(
        '{% extends "metagan/base.html" %}{% block foot %}<p>Mine, made by a machine</p>{% endblock %}'
    )
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "extra.css").write_text("a{}")
    files = render(Sort(), templates=tmp_path)
    assert files["robots.txt"] == b"User-agent: *\nDisallow: /\n"
    assert "<p>Mine, made by a machine</p>" in text_of(files, "ape/index.html")
    assert files["static/extra.css"] == b"a{}"


def test_a_user_s_theme_comes_after_the_registry_s(tmp_path: Path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "theme.css").write_text(":root{--accent:#123456}")
    theme = text_of(render(Sort(), templates=tmp_path), "static/theme.css")
    assert theme == text_of(render(Sort()), "static/theme.css") + "\n:root{--accent:#123456}"


def test_a_template_that_fails_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "facts.html").write_text("<p>\n{{ subject.colour }}\n")
    with pytest.raises(TemplateError, match=rf"{re.escape(str(tmp_path))}/facts\.html:2: .*colour"):
        render(Sort(), templates=tmp_path)


def test_a_template_with_wrong_syntax_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "about.html").write_text("\n\n{% if %}\n")
    with pytest.raises(TemplateError, match=r"about\.html:3: "):
        render(Sort(), templates=tmp_path)


def test_a_slug_that_the_site_uses_itself_is_refused():
    with pytest.raises(
        BuildError, match=r"subjects\.static: .*\n  fix: choose another slug than .*api, .*pictures"
    ):
        render(Sort("static"))


def test_a_picture_outside_its_folder_is_refused():
    content = make_content(Sort(seeds=(1, 2)))
    pictures = (content.subjects[0].pictures[0], Picture(2, "elsewhere/2.png"))
    content = replace(content, subjects=(replace(content.subjects[0], pictures=pictures),))
    with pytest.raises(BuildError, match=r"elsewhere/2\.png: want pictures/ape/2\.png"):
        list(render_site(content, None))


def test_rendering_never_imports_torch():
    modules = "metagan.site.pages.render, metagan.site.pages.check, metagan.site.build.links, metagan.site.pages.text"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_page_allows_only_the_site_s_own_files():
    scripts = (
        b"script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"  # the second compiles the kernel, no text
    )
    for path, data in render(Sort()).items():
        if path.endswith(".html"):
            assert b"\"default-src 'none'; " + scripts + b"; style-src 'self'; img-src 'self'; " in data, path
            assert not re.search(rb"<[^>]+\s(?:style|on\w+)=", data), path
            assert not re.search(rb"<(?:style|script)>", data), path


def test_memory_stays_within_a_file_s_size():
    content = make_content(Sort(seeds=tuple(range(1500))))
    tracemalloc.start()
    largest = max(len(data) for _, data in render_site(content, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The compiled templates take about a megabyte, up to three more were seen after other tests in the same process;
    # all pages together would take 12. The list of all pictures is a file of its own.
    assert peak < 5_000_000 + 5 * largest


@pytest.fixture(scope="module")
def thousand() -> dict[str, bytes]:
    """The files of a site of a thousand subjects."""
    sorts = [Sort(f"ape-{i}", f"Ape of Kind {i}", seeds=range(3), live=True) for i in range(1000)]
    return dict(render_site(make_content(*sorts, picture_pages=False), None))


def test_no_page_grows_with_the_number_of_subjects(thousand):
    own = re.compile(r"ape-\d+/|sitemap|pictures/|api/ape")
    large = {
        path: len(data) for path, data in thousand.items() if not own.match(path) and len(data) > 100_000
    }
    assert large == {}
    assert len(thousand["index.html"]) < 50_000
    assert len(gzip.compress(thousand["index.html"])) < 10_000


def test_the_list_of_subjects_for_programs_comes_in_parts_of_bounded_size(thousand):
    found, path = [], "api/subjects.json"
    while path:
        part = json.loads(thousand[path])
        assert part["count"] == 1000
        found += [one["slug"] for one in part["subjects"]]
        path = part["next"] and part["next"].removeprefix(part["site"]["url"])
    assert found == [f"ape-{i}" for i in range(1000)]


def test_every_subject_is_reached_from_the_list_and_by_chance(thousand):
    listed, path = [], "subjects/"
    while path:
        page = thousand[f"{path}index.html"].decode()
        listed += re.findall(r'class="card [^"]*"><a href="(?:\.\./)+(ape-\d+)/"', page)
        follow = re.search(r'rel="next" href="(?:\.\./)+(subjects/\d+/)"', page)
        path = follow and follow[1]
    assert listed == [f"ape-{i}" for i in range(1000)]
    album = json.loads(re.search(r'id="album">(.*?)</script>', thousand["index.html"].decode(), re.S)[1])
    known = [one["slug"] for one in album["subjects"]]
    for group in album["groups"]:
        found = [one["slug"] for one in json.loads(thousand[group["url"]])]
        assert len(found) == group["count"]
        known += found
    assert known == listed
    assert "subjects/11/" in thousand["sitemap.xml"].decode()
    assert "All 1,000 subjects" in thousand["index.html"].decode()


def test_few_subjects_are_on_one_page():
    files = dict(render_site(make_content(), None))
    assert 'rel="next"' not in files["subjects/index.html"].decode()
    assert "subjects/2/index.html" not in files
    assert not [path for path in files if path.startswith("api/home/")]


GERMAN = Headline("Diese {title} gibt es nicht", "{title} von {name}", "de")
ARABIC = Headline("{title} بلا وجود", "{name}: {title} بلا وجود", "ar", "rtl")


def test_headline_and_language_are_the_site_s_or_the_subject_s():
    sorts = [Sort(title="Affen", headline=GERMAN), Sort("cat", "قطط", headline=ARABIC, live=True)]
    files = dict(render_site(make_content(*sorts, headline=GERMAN), None))
    for path in ("index.html", "ape/index.html", "ape/3/index.html"):
        page = text_of(files, path)
        assert '<html lang="de" dir="ltr">' in page
        assert "data-headline>Diese <em>Affen</em> gibt es nicht</h1>" in page
        assert "Does Not Exist" not in page
    assert "<title>Diese Affen gibt es nicht – no. 3</title>" in text_of(files, "ape/3/index.html")
    for path in ("cat/index.html", "cat/3/index.html"):
        assert 'data-headline lang="ar" dir="rtl"><em>قطط</em> بلا وجود</h1>' in text_of(files, path)
    assert 'xml:lang="de"' in text_of(files, "feed.xml")
    assert "قطط بلا وجود" in text_of(files, "feed.xml")
    for path in ("subjects/index.html", "ape/about/index.html", "cat/wall/index.html", "404.html"):
        assert '<em lang="' in text_of(files, path) or '<h1 class="title" lang="en" dir="ltr">' in text_of(
            files, path
        )
        assert '<footer class="foot" id="foot" lang="en" dir="ltr">' in text_of(files, path)


def test_a_headline_without_the_title_is_whole():
    plain = Headline("Nobody <b>Here</b>", "{name}: Nobody")
    files = dict(render_site(make_content(Sort(headline=plain), headline=plain), None))
    assert "data-headline>Nobody &lt;b&gt;Here&lt;/b&gt;</h1>" in text_of(files, "ape/index.html")
    assert '<footer class="foot" id="foot">' in text_of(files, "ape/index.html")
