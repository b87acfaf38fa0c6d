"""Classes by name in the lab: each command draws what it draws for the class's number, and goes on with its results."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.lab.canvas import open_canvas
from tests.labelled import write_conditional

PROJECT = "project a.png W --out OUT --steps 2 --start mean --verdict 0 --lpips none --film none"
COMMANDS = [
    "sample W --seeds 0 --out OUT",
    "walk W --seeds 0-1 --seconds 0.1 --out OUT/film.gif",
    PROJECT,
    "rank W --seeds 0-3 --data pictures --reals 4 --out OUT/seeds.txt --scores OUT/scores.jsonl",
    "blend W W --force --alpha 0.5 --sheet OUT/grid.png --steps 2 --seeds 0",
    "collection listing W --count 2 --out OUT",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    write_conditional(folder / "W.safetensors")
    (folder / "pictures").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{index}.png")
    (folder / "a.png").write_bytes((folder / "pictures" / "0.png").read_bytes())
    return folder


def run(words: str, out: str, label: str) -> None:
    arguments = words.replace("W", "W.safetensors").replace("OUT", out).split()
    result = CliRunner().invoke(metagan, [*arguments, "--class", label, "--device", "cpu"])
    assert result.exit_code == 0, result.output or result.exception


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words.split()[0])
def test_a_name_draws_what_its_number_draws(words, place, monkeypatch):
    monkeypatch.chdir(place)
    name = "".join(words.split()[:2]).replace("/", "")
    for label, out in (("bird", "named"), ("1", "numbered"), ("ape", "other")):
        run(words, f"{out}-{name}", label)
    assert files(f"named-{name}") == files(f"numbered-{name}") != files(f"other-{name}")


def test_results_of_a_name_are_gone_on_with_by_its_number(place, monkeypatch):
    monkeypatch.chdir(place)
    for label in ("bird", "1"):
        run(PROJECT, "again", label)
    named, numbered = (open_canvas(None, "W.safetensors", label=label) for label in ("bird", 1))
    assert named.variant == numbered.variant
    assert torch.equal(named.draw(named.random_start(0)), numbered.draw(numbered.random_start(0)))
