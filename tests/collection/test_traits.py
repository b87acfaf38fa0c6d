"""The trait classifier: what it learns, what it leaves out, and what a listing makes of it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw

from metagan.cli import metagan
from metagan.collection.listing import Candidate, rarest_first
from metagan.collection.model import Item
from metagan.collection.store import open_collection
from metagan.collection.table import open_table
from metagan.collection.training_data import load_labelled
from metagan.collection.traits import read_accuracies
from metagan.errors import MalformedFileError, TrainingError, UnknownArchitectureError
from metagan.networks.trait_classifier import load_classifier
from metagan.registry.weights_ref import bundled_weights
from metagan.training.traits import TraitsRecipe, train_traits
from tests.collection.making import FIVE, png, traits, with_pictures, write

COLOURS = {"Red": (220, 40, 40), "Green": (40, 180, 60), "Blue": (50, 60, 220)}


def drawn(count: int) -> tuple[list[Item], dict[str, bytes]]:
    """Squares and discs on coloured grounds; their mood can't be seen, their series is one for all."""
    rng = np.random.default_rng(0)
    items, files = [], {}
    for number in range(count):
        ground, shape, mood = (
            rng.choice(list(COLOURS)),
            rng.choice(["Disc", "Square", ""]),
            rng.choice(["Glad", "Sad"]),
        )
        image = Image.new("RGB", (16, 16), COLOURS[str(ground)])
        pen = ImageDraw.Draw(image)
        x, y = rng.integers(1, 5, 2).tolist()
        {"Disc": pen.ellipse, "Square": pen.rectangle, "": lambda *_, **__: None}[str(shape)](
            (x, y, x + 9, y + 9), fill="white"
        )
        said = {"Ground": str(ground), "Mood": str(mood), "Series": "One"} | (
            {"Shape": str(shape)} if shape else {}
        )
        items.append(Item(id=str(number), traits=traits(**said)))
        files[str(number)] = png(image)
    return items, files


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pictures(tmp_path_factory.mktemp("made") / "shapes", *drawn(400))


@pytest.fixture(scope="module")
def classifier(shapes: Path) -> Path:
    out = shapes.parent / "traits.safetensors"
    options = [
        "--out",
        str(out),
        "--resolution",
        "16",
        "--epochs",
        "12",
        "--workers",
        "0",
        "--json",
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(metagan, ["collection", "traits", str(shapes), *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    return out


def test_a_seed_is_within_what_random_generators_take(shapes: Path) -> None:
    words = [
        "collection",
        "traits",
        str(shapes),
        "--out",
        str(shapes / "t.safetensors"),
        "--seed",
        str(2**64),
    ]
    result = CliRunner().invoke(metagan, words)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_traits_that_can_be_seen_are_told_and_others_left_out(classifier: Path) -> None:
    network, facts = load_classifier(classifier)
    assert {head.type: head.values for head in network.config.heads} == {
        "Ground": ("Blue", "Green", "Red"),
        "Shape": ("Disc", "Square", "none"),
    }
    told = {one["type"]: one for one in facts["told"]}
    assert told["Ground"]["accuracy"] > 0.95 > told["Ground"]["majority"] + 0.4
    assert told["Shape"]["accuracy"] > 0.7
    assert not told["Mood"]["kept"]
    assert told["Series"]["why"] == "all items are alike"
    assert facts["held_out"] == 40


def test_pictures_of_another_size_are_told_too(classifier: Path) -> None:
    network, _ = load_classifier(classifier)
    pictures = torch.tensor(list(COLOURS.values()), dtype=torch.uint8)[:, None, None].expand(3, 64, 64, 3)
    ground, shape = network.tell(pictures)
    side = pictures.shape[1]
    wide = torch.nn.functional.pad(pictures, (0, 0, side // 4, side // 4))
    assert torch.equal(network.tell(wide)[0], ground)  # of a rectangle its middle, as it was trained
    assert [network.config.heads[0].values[int(number)] for number in ground] == ["Red", "Green", "Blue"]
    assert {network.config.heads[1].values[int(number)] for number in shape} == {"none"}


def test_the_same_seed_gives_the_same_classifier(shapes: Path) -> None:
    pictures, labels = load_labelled(open_collection(shapes), 16, 0)
    few = torch.from_numpy(pictures[:100])
    some = {"Ground": labels["Ground"][:100]}
    networks = [train_traits(few, some, TraitsRecipe(epochs=4), torch.device("cpu"))[0] for _ in range(2)]
    for first, second in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("count", "values", "words"),
    [
        (20, ["a", "b"], "at least 50"),
        (60, ["a"], "all items are alike"),
        (60, [str(n) for n in range(60)], "fewer than two"),
    ],
)
def test_what_cannot_be_learnt_says_why(count: int, values: list[str], words: str) -> None:
    pictures = torch.zeros(count, 8, 8, 3, dtype=torch.uint8)
    labels = {"Hat": [values[n % len(values)] for n in range(count)]}
    with pytest.raises(TrainingError, match=words):
        train_traits(pictures, labels, TraitsRecipe(epochs=1), torch.device("cpu"))


def test_items_without_a_value_that_is_learnt_leave_no_batch_empty(shapes: Path) -> None:
    pictures, labels = load_labelled(open_collection(shapes), 16, 0)
    ground = [value if place % 2 else f"one of one {place}" for place, value in enumerate(labels["Ground"])]
    some = torch.from_numpy(pictures), {"Ground": ground}
    network, told = train_traits(*some, TraitsRecipe(epochs=4, batch=2), torch.device("cpu"))
    assert network.config.heads[0].values == ("Blue", "Green", "Red")
    assert told[0].accuracy > 0.3


def test_types_that_are_told_less_surely_than_asked_are_left_out(shapes: Path) -> None:
    pictures, labels = load_labelled(open_collection(shapes), 16, 0)
    ground = labels["Ground"]
    wrong = [ground[(place + 1) % len(ground)] if place % 8 == 0 else it for place, it in enumerate(ground)]
    some = torch.from_numpy(pictures), {"Ground": ground, "Worn": wrong}
    recipe = TraitsRecipe(epochs=8, min_accuracy=0.97)
    network, told = train_traits(*some, recipe, torch.device("cpu"))
    assert [head.type for head in network.config.heads] == ["Ground"]
    assert [one.why for one in told] == ["", "told right less often than the 97% asked for"]


def test_a_classifier_is_never_replaced_by_a_worse_one(
    shapes: Path, classifier: Path, tmp_path: Path
) -> None:
    out = tmp_path / "traits.safetensors"
    out.write_bytes(classifier.read_bytes())
    options = ["--resolution", "16", "--workers", "0", "--device", "cpu", "--epochs", "1"]
    worse = CliRunner().invoke(metagan, ["collection", "traits", str(shapes), "--out", str(out), *options])
    assert worse.exit_code == 0, worse.output
    assert "is right more often" in worse.stderr
    assert out.read_bytes() == classifier.read_bytes()
    assert load_classifier(tmp_path / "traits.worse.safetensors")[1]["recipe"]["epochs"] == 1
    other = tmp_path / "other"
    shutil.copytree(shapes, other)
    facts = json.loads((other / "collection.json").read_text())
    (other / "collection.json").write_text(json.dumps(facts | {"name": "Cubes"}))
    replaced = CliRunner().invoke(metagan, ["collection", "traits", str(other), "--out", str(out), *options])
    assert "tells the traits of shapes, another collection, and is replaced" in replaced.stderr
    assert load_classifier(out)[1]["collection"] == "Cubes"
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"another program's")
    result = CliRunner().invoke(
        metagan, ["collection", "traits", str(shapes), "--out", str(foreign), *options]
    )
    assert "it is no trait classifier" in result.output + str(result.exception)
    assert foreign.read_bytes() == b"another program's"


def test_another_file_is_no_classifier() -> None:
    with pytest.raises(UnknownArchitectureError, match="metagan collection traits"):
        load_classifier(bundled_weights("apes"))


def test_accuracies_that_no_training_wrote_are_refused() -> None:
    with pytest.raises(MalformedFileError, match=r"x\.safetensors: its accuracies can't be read \(0\.type"):
        read_accuracies({"told": [{"accuracy": "high"}]}, Path("x.safetensors"))


def test_the_report_shows_how_well_traits_are_told(shapes: Path, classifier: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "report"), "--traits", str(classifier)]
    result = CliRunner().invoke(metagan, ["collection", "report", str(shapes), *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    told = {one["type"]: one for one in json.loads((tmp_path / "report/index.json").read_text())["told"]}
    assert told["Ground"]["kept"]
    assert not told["Mood"]["kept"]
    page = (tmp_path / "report/index.html").read_text()
    assert "left out: all items are alike" in page


def test_the_rarest_come_first(tmp_path: Path) -> None:
    # Hat: Crown 1 of 5, Cap 3, none 1. Eyes: Blue 4, Red 1.
    table = open_table(write(tmp_path / "five", FIVE))
    picture = np.zeros((2, 2, 3), np.uint8)
    said = [
        (("Hat", "Cap"), ("Eyes", "Blue")),
        (("Eyes", "Red"),),
        (("Hat", "Crown"), ("Eyes", "Blue")),
        (("Hat", "Helmet"), ("Eyes", "Red")),
    ]
    ordered = rarest_first([Candidate(seed, picture, one) for seed, one in enumerate(said)], table)
    # 5/3 + 5/4, 5 + 5 (lacks a hat), 5 + 5/4, 5 (as if one item had it) + 5
    assert [one.seed for one in ordered] == [1, 3, 2, 0]


def test_a_listing_says_what_the_classifier_tells(shapes: Path, classifier: Path, tmp_path: Path) -> None:
    options = [
        "--traits",
        str(classifier),
        "--collection",
        str(shapes),
        "--pick",
        "rarest",
        "--count",
        "2",
        "--near",
        "0",
    ]
    command = [
        "collection",
        "listing",
        "bundled:bagels",
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        *options,
    ]
    result = CliRunner().invoke(metagan, command)
    assert result.exit_code == 0, result.output + str(result.exception)
    rows = list(csv.DictReader((tmp_path / "out/metadata.csv").read_text().splitlines()))
    assert all(row["attributes[Ground]"] in COLOURS for row in rows)
    assert [row["name"] for row in rows] == ["Shapes #0", "Shapes #1"]
    assert len(json.loads((tmp_path / "out/listing.json").read_text())["tokens"]) == 2
