"""Links that lead nowhere are found after rendering."""

from html.parser import HTMLParser
from pathlib import Path

from metagan.site.build.links import LINK_ATTRIBUTES, _scan, check_links
from metagan.site.pages.render import render_site
from tests.site.demo import BASE_URL, Sort, make_content, write_site

PAGE = b'<!doctype html><h1 id="top-of-page">x</h1>'


def found(files: dict[str, bytes], base: str = "/apes/") -> list[str]:
    return [f"{problem.where} {problem.what}" for problem in check_links(files, base)]


def test_a_rendered_site_has_no_dead_link(tmp_path: Path):
    for picture_pages in (True, False):
        content = make_content(Sort(lines=True), Sort("bagel", "Bagel"), picture_pages=picture_pages)
        folder = write_site(content, tmp_path / str(picture_pages))
        assert check_links(folder, BASE_URL) == []


def test_a_missing_file_is_named_with_page_and_line():
    files = {"a/index.html": b'<p>\n<a href="../b/">b</a>'}
    assert found(files) == ["a/index.html:2 it links to '../b/', but the site has no b/index.html"]


def test_a_missing_picture_is_found_in_src_and_srcset():
    files = {"index.html": b'<img src="x.png" srcset="y.png 1x, z.png 2x">', "z.png": b""}
    assert [line.split("'")[1] for line in found(files)] == ["x.png", "y.png"]


def test_a_preview_picture_is_checked_where_the_whole_address_is_known():
    page = b'<meta property="og:image" content="https://h.example/apes/no.png"><a href="https://other.example/">o</a>'
    assert found({"index.html": page}) == []
    assert "the site has no no.png" in found({"index.html": page}, "https://h.example/apes/")[0]


def test_anchors_are_checked_in_the_same_and_in_other_pages():
    files = {
        "index.html": b'<a href="#nope"><a href="a/#top-of-page"><a href="a/?q=1#gone"><a href="#">',
        "a/index.html": PAGE,
    }
    assert found(files) == [
        "index.html:1 it links to '#nope', but there is no element with id 'nope' in index.html",
        "index.html:1 it links to 'a/?q=1#gone', but there is no element with id 'gone' in a/index.html",
    ]


def test_a_link_out_of_the_sub_path_is_found():
    assert "'/b/' is outside the site" in found({"a/index.html": b'<a href="../../b/">'})[0]


def test_relative_links_on_the_page_not_found_are_found():
    files = {"404.html": b'<img src="x.png"><img src="/apes/x.png"><a href="#a" id="a">', "x.png": b""}
    assert found(files) == [
        "404.html:1 it links to 'x.png', but 'x.png' is relative, but 404.html is shown at any depth"
    ]


def test_the_same_dead_link_on_many_pages_is_one_problem():
    files = {f"{name}/index.html": b'<a href="../x/">' for name in "abc"}
    assert found(files) == [
        "a/index.html:1 it links to '../x/', but the site has no x/index.html (and on 2 more pages)"
    ]


def test_comments_scripts_and_quoted_brackets_are_no_links():
    page = b"""<!-- <a href="x"> --><script>'<a href="y">'</script><p title='> <a href="z">'>t</p>"""
    assert found({"index.html": page}) == []


def test_escaped_and_encoded_addresses_are_understood():
    files = {"index.html": b'<a href="a%20b/?x=1&amp;y=2">', "a b/index.html": PAGE}
    assert found(files) == []


class _Reference(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[int, str]] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [(self.getpos()[0], value or "") for name, value in attrs if name in LINK_ATTRIBUTES]
        self.ids |= {value or "" for name, value in attrs if name == "id"}


def test_the_scanner_sees_what_the_standard_library_s_parser_sees():
    for path, data in render_site(make_content(Sort(title='A "<b>" & c', lines=True)), None):
        if path.endswith(".html"):
            reference = _Reference()
            reference.feed(data.decode())
            links, ids = _scan(data.decode().replace("<meta property=", "<meta x="))
            links = [link for link in links if not link[1].startswith(BASE_URL + "pictures")]
            expected = [link for link in reference.links if not link[1].startswith(BASE_URL + "pictures")]
            assert (sorted(links), ids) == (sorted(expected), reference.ids), path


def test_what_is_no_address_is_named_with_page_and_line():
    (line,) = found({"index.html": b'<p>\n<a href="http://[x">there</a>'})
    assert line.startswith("index.html:2 ")
    assert line.endswith("'http://[x' is not an address")
