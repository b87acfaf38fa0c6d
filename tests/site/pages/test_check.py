"""Mistakes in templates are found without a build."""

import os
from pathlib import Path

from metagan.site.pages.check import check_templates
from metagan.site.pages.templates import default_templates_dir


def found(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.html").write_text(text)
    return [
        f"{problem.where} {problem.what}".removeprefix(f"{folder}/") for problem in check_templates(folder)
    ]


def test_the_templates_that_come_with_metagan_are_in_order():
    assert check_templates(default_templates_dir()) == []


def test_an_empty_folder_is_in_order(tmp_path: Path):
    assert found(tmp_path) == []


def test_a_missing_folder_is_a_problem(tmp_path: Path):
    assert "no such folder" in check_templates(tmp_path / "nowhere")[0].what


def test_every_syntax_error_is_listed_with_its_line(tmp_path: Path):
    assert found(tmp_path, about="\n{% if %}", card="{{ 1 + }}") == [
        "about.html:2 Expected an expression, got 'end of statement block'",
        "card.html:1 unexpected 'end of print statement'",
    ]


def test_every_unknown_name_is_listed_with_the_likely_one(tmp_path: Path):
    assert found(tmp_path, facts="<p>\n{{ subjct.title }}\n{{ zzz }}") == [
        "facts.html:2 unknown name 'subjct'; did you mean 'subject'?",
        "facts.html:3 unknown name 'zzz'",
    ]


def test_macros_loops_and_imports_are_known_names(tmp_path: Path):
    (tmp_path / "mine.html").write_text("{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}")
    text = '{% from "mine.html" import bold as fat %}{% for s in subjects %}{{ fat(s.title) }}{% endfor %}'
    assert found(tmp_path, card=text) == []


def test_an_attribute_that_a_page_lacks_is_found_by_a_trial(tmp_path: Path):
    assert found(tmp_path, facts="\n{{ subject.colour }}", card="{{ 1 + 'a' }}") == [
        "facts.html:2 'metagan.site.pages.views.SubjectView object' has no attribute 'colour'",
        "card.html:1 TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ]


def test_a_template_that_nothing_uses_is_found(tmp_path: Path):
    assert found(tmp_path, abuot="x") == ["abuot.html no page uses this template; did you mean 'about.html'?"]


def test_a_missing_include_is_found(tmp_path: Path):
    assert found(tmp_path, about='{% include "gone.html" %}') == [
        "about.html:1 there is no template 'gone.html'"
    ]


def test_a_file_that_is_not_utf_8_is_found(tmp_path: Path):
    (tmp_path / "about.html").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in found(tmp_path)[0]


def test_a_static_file_whose_name_no_page_can_link_to_is_found(tmp_path: Path):
    (tmp_path / "static").mkdir()
    names = [os.fsdecode(b"caf\xe9.txt"), "a\nb.txt"]
    for name in (*names, "fine é.txt"):
        (tmp_path / "static" / name).write_text("x")
    assert found(tmp_path) == [
        f"static/{name} not a valid name for a web page" for name in ("a\\nb.txt", "caf\\xe9.txt")
    ]
