"""The walk in docs/collection.md, command by command as it stands there, with fewer pictures."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from metagan.cli import metagan

DOCS = Path(__file__).parents[2] / "docs/collection.md"
# Smaller numbers, so that it takes seconds; everything else is as the page has it.
FEWER = {
    "--count 10000": "--count 400 --size 32 --workers 0",
    "--count 100 ": "--count 2 ",
    "--kimg 250": "--kimg 0.064 --batch 8",
}
MORE = {
    "dataset pack": "--workers 0",
    "collection traits": "--workers 0 --device cpu --epochs 15 --resolution 16",
    "train": "--device cpu --threads 1 --measure 16",
    "collection listing": "--device cpu",
    "build": "--device cpu --images 2",
}


def commands() -> list[str]:
    section = DOCS.read_text("utf-8").partition("## The whole way, in commands")[2].partition("\n## ")[0]
    return re.findall(r"^    (metagan .*)$", section, re.MULTILINE)


def test_the_walk_runs_as_the_page_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    walked = commands()
    assert len(walked) == 8
    Path("registry.yaml").write_text(DOCS.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0])
    for command in walked:
        for many, few in FEWER.items():
            command = command.replace(many, few)  # noqa: PLW2901
        words = shlex.split(command)[1:]
        for name, options in MORE.items():
            if command.startswith(f"metagan {name}"):
                words += options.split()
        result = CliRunner().invoke(metagan, words)
        assert result.exit_code == 0, f"{command}: {result.output} {result.exception}"
    assert json.loads((tmp_path / "listing/listing.json").read_text())["count"] == 2
    assert "Its traits" in (tmp_path / "build/planet/1/index.html").read_text()
    assert "nearest relatives in the collection" in (tmp_path / "build/planet/1/index.html").read_text()
    assert "<dt>Items</dt><dd>400</dd>" in (tmp_path / "build/planet/collection/index.html").read_text()
    assert (tmp_path / "collections/planets/report/index.html").is_file()
