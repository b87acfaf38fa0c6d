"""`metagan publish` as it is typed."""

import json

import pytest
from click.testing import CliRunner

from metagan.cli.publish import command
from metagan.errors import PublishError
from tests.site.publish.built import built

FILES = {"index.html": "home", "bagel/index.html": "bagel", "pictures/bagel/42.webp": "picture"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "build" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    built(tmp_path / "build")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(command, arguments)


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(project):
    result = run("--to", "public", "--dry-run")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "would publish to public: 3 files, 16 bytes",
        "  new              3 files    16 bytes",
        "  changed          0 files     0 bytes",
        "  unchanged        0 files     0 bytes",
        "  removed          0 files",
        "+ bagel/index.html",
        "+ index.html",
        "+ pictures/bagel/42.webp",
    ]
    assert not (project / "public").exists()


def test_publishing_says_what_was_done_and_then_that_all_is_up_to_date(project):
    assert run("--to", "public").output.startswith("published to public: 3 files, 16 bytes\n")
    assert run("--to", "public").output == "public: up to date (3 files, 16 bytes)\n"
    (project / "build" / "bagel" / "index.html").unlink()
    built(project / "build")
    assert "- bagel/index.html" in run("--to", "public", "--dry-run").output


def test_scripts_read_json(project):
    told = json.loads(run("--to", "public", "--json").output)
    assert told["target"] == "public"
    assert {"path": "index.html", "size_bytes": 4} in told["new"]
    assert (told["dry_run"], told["removed"]) == (False, [])


def test_long_lists_are_cut_short(project):
    for number in range(30):
        (project / "build" / f"{number}.txt").write_text("x")
    built(project / "build")
    assert "+ and 13 more (--json lists them all)" in run("--to", "public", "--dry-run").output


@pytest.mark.parametrize(
    "arguments", [("--to", "public", "--cname", "a.org"), ("--to", "public", "--no-history")]
)
def test_options_of_the_other_way_of_publishing_are_a_usage_error(project, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_the_default_is_the_gh_pages_branch_of_the_repository_one_is_in(project):
    result = run("--dry-run")
    assert isinstance(result.exception, PublishError)
    assert "not inside a git repository" in str(result.exception)
