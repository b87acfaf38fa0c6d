"""Choosing from a collection."""

from __future__ import annotations

import json
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from metagan.cli import metagan
from metagan.collection.looks import Tesseract, TesseractError
from metagan.collection.model import Item
from metagan.collection.store import open_collection, write_lines
from metagan.datasets.source import PictureSource
from tests.collection.making import EPS, FIVE, png, with_pictures, write


def run(*arguments: object) -> Result:
    return CliRunner().invoke(metagan, ["collection", "subset", *map(str, arguments)])


def left(path: Path, out: Path, *options: object) -> list[str]:
    result = run(path, "--out", out, *options)
    assert result.exit_code == 0, result.output + str(result.exception)
    return [item.id for item in open_collection(out).items]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--trait", "Hat=Cap"], "BCE"),
        (["--trait", "hat=cap", "--trait", "HAT=crown"], "ABCE"),
        (["--trait", "Hat=Cap", "--trait", "Eyes=Blue"], "BE"),
        (["--type", "photo"], "ABD"),
        (["--type", "Photo", "--type", "video"], "ABCD"),
        (["--year", "2020"], "CD"),
        (["--year", "2019-2020"], "ABCD"),
        (["--not-nsfw"], "ABCD"),
        (["--trim", "20"], "BCD"),
        (["--top", "1", "--by", "price"], "E"),
        (["--top", "40%", "--by", "price"], "DE"),
        (["--bottom", "2", "--by", "price"], "ABC"),
        (["--top", "1"], "C"),
        (["--top", "2", "--by", "rarity"], "ACD"),
        (["--not-nsfw", "--type", "photo", "--top", "1", "--by", "price"], "D"),
    ],
)
def test_filters(tmp_path: Path, options: list[str], ids: str) -> None:
    assert "".join(left(write(tmp_path / "five", FIVE), tmp_path / "out", *options)) == ids


def test_every_step_says_how_many_are_left(tmp_path: Path) -> None:
    path = write(tmp_path / "five", FIVE)
    result = run(path, "--out", tmp_path / "out", "--not-nsfw", "--trim", 20, "--sample", 2, "--json")
    assert json.loads(result.stdout)["steps"] == [
        {"step": "all", "left": 5},
        {"step": "not nsfw", "left": 4},
        {"step": "trimmed by 20% at both ends", "left": 4},
        {"step": "2 by chance, seed 0", "left": 2},
    ]


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "many", [Item(id=str(n)) for n in range(100)])
    first = left(path, tmp_path / "a", "--sample", 10)
    assert left(path, tmp_path / "b", "--sample", 10) == first
    assert left(path, tmp_path / "c", "--sample", 10, "--seed", 1) != first
    assert first == sorted(first, key=int)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trait", "Hat"], "want TYPE=VALUE"),
        (["--trait", "Hut=Cap"], "there are Eyes, Hat"),
        (["--trait", "Hat=Top"], "there are Cap, Crown"),
        (["--type", "sculpture"], "there are photo, video"),
        (["--category", "art"], "no item has a category"),
        (["--year", "2021-2019"], "want a year or two"),
        (["--year", "1800"], "nothing is left"),
        (["--top", "some"], "want a number of items or a percentage"),
        (["--top", "101%"], "want a number of items or a percentage"),
        (["--top", "3", "--by", "likes"], "no likes is known"),
    ],
)
def test_what_cannot_be_chosen_says_the_way_out_and_writes_nothing(
    tmp_path: Path, options: list[str], words: str
) -> None:
    result = run(write(tmp_path / "five", FIVE), "--out", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert words in str(result.exception)
    assert not (tmp_path / "out").exists()


def pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(
        (64, 64), Image.Resampling.BICUBIC
    )
    other = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(
        (64, 64), Image.Resampling.BICUBIC
    )
    small = other.resize((20, 20))
    return {
        "A": png(smooth),
        "B": png(smooth),
        "C": png(smooth.filter(ImageFilter.GaussianBlur(0.5)).resize((60, 60))),
        "D": png(Image.new("RGB", (64, 64), "red")),
        "E": png(small.rotate(90)),
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--no-duplicates"], "ACDE"),
        (["--no-near-duplicates", "6"], "ADE"),
        (["--min-spread", "5"], "ABCE"),
        (["--min-size", "60"], "ABCD"),
        (["--min-size", "60", "--min-spread", "5", "--no-near-duplicates", "6"], "A"),
    ],
)
def test_filters_that_look_at_pictures(tmp_path: Path, options: list[str], ids: str) -> None:
    path = with_pictures(tmp_path / "five", FIVE, pictures())
    assert "".join(left(path, tmp_path / "out", *options)) == ids


# A stand-in for tesseract: it reads as many words as the first pixel says, in tens of grey levels.
TESSERACT = """#!{python} -ES
import os, sys
if "--list-langs" in sys.argv:
    sys.exit(print("List of available languages (3):\\neng\\nosd\\ntest") or {list_exit})
grey = sys.stdin.buffer.read()[15]
if {failing} or grey == 255:
    sys.stderr.write("Estimating resolution\\nError during processing.\\x1b[2J")
    sys.exit(1)
if grey == 254:
    sys.exit(print("no table"))
print("level\tconf\ttext", flush=True)
word = os.environ["OMP_THREAD_LIMIT"] == "1" and sys.argv[sys.argv.index("-l") + 1] in ("eng", "eng+test") and "word,"
for _ in range(grey // 10):
    sys.stdout.buffer.write(b"4\t-1\t\\n5\t96.5\t" + word.encode() + b"\\n5\t40\tunsure\\n5\t99\t-.l\\n5\t91\t\\xff\\n")
"""


def install_tesseract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, failing: bool = False, list_exit: int = 0
) -> None:
    program = tmp_path / "bin/tesseract"
    program.parent.mkdir()
    program.write_text(TESSERACT.format(python=sys.executable, failing=failing, list_exit=list_exit))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def greys(path: Path, levels: dict[str, int]) -> Path:
    return with_pictures(
        path, FIVE, {name: png(Image.new("L", (512, 512), level)) for name, level in levels.items()}
    )


def test_pictures_with_more_words_are_dropped_and_unreadable_ones_stay_and_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tesseract(tmp_path, monkeypatch)
    path = greys(tmp_path / "five", {"A": 0, "B": 30, "C": 40, "D": 255, "E": 254})
    result = run(path, "--out", tmp_path / "out", "--max-words", 3, "--language", "eng+test")
    assert result.exit_code == 0, result.exception
    assert [item.id for item in open_collection(tmp_path / "out").items] == ["A", "B", "D", "E"]
    assert "at most 3 words" in result.stdout
    assert "could not read 2 pictures, which stay" in result.stderr
    assert "(Error during processing. [2J)" in result.stderr and "that is no table" in result.stderr


@pytest.mark.parametrize(
    ("broken", "language", "words"),
    [
        ({"failing": True}, "eng", "reads none of the first 5 pictures: a-"),
        ({"list_exit": 1}, "eng", "tesseract doesn't run: exit 1"),
        ({}, "eng+deu", "tesseract has no deu; it has eng, test"),
        ({}, "eng+", "has no language of no name"),
        ({}, "osd", "has no osd"),
        (None, "eng", "needs the program tesseract, which is not installed"),
    ],
)
def test_a_tesseract_that_reads_nothing_says_the_way_out_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: dict[str, bool] | None,
    language: str,
    words: str,
) -> None:
    path = greys(tmp_path / "five", dict.fromkeys("ABCDE", 0))
    monkeypatch.setenv("PATH", "")
    if broken is not None:
        install_tesseract(tmp_path, monkeypatch, **broken)
    result = run(path, "--out", tmp_path / "out", "--max-words", 3, "--language", language)
    assert result.exit_code == 1 and words in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_tesseract_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tesseract"
    program.write_text(f"#!{sys.executable} -ES\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    with pytest.raises(TesseractError, match=r"no answer in 0\.2 seconds"):
        Tesseract(str(program), "eng", timeout_s=0.2).words(Image.new("RGB", (8, 8)))


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the program tesseract")
def test_tesseract_itself_finds_captions_and_none_in_shapes(tmp_path: Path) -> None:
    font = ImageFont.load_default(14)
    caption = Image.new("RGB", (160, 96), "navy")
    text = "the quick brown fox\njumps over lazy dogs\nand seven wizards"
    ImageDraw.Draw(caption).text((8, 8), text, "white", font, spacing=12)
    shapes = Image.new("RGB", (160, 96), "white")
    ImageDraw.Draw(shapes).ellipse((20, 10, 90, 80), "orange", "black", 3)
    clear = caption.convert("RGBA")
    clear.putalpha(0)
    drawn = {"A": png(caption), "B": png(shapes), "C": png(clear), "D": png(shapes.resize((3, 1)))}
    path = with_pictures(tmp_path / "five", FIVE[:4], drawn)
    assert left(path, tmp_path / "out", "--max-words", 3) == ["B", "C", "D"]


@pytest.mark.parametrize(
    "option", [("--min-spread", 5), ("--no-near-duplicates", 4), ("--min-size", 9), ("--max-words", 3)]
)
@pytest.mark.parametrize("kept", [0, 60])
def test_a_picture_that_was_damaged_meanwhile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, int], kept: int
) -> None:
    install_tesseract(tmp_path, monkeypatch)
    path = with_pictures(tmp_path / "five", FIVE, pictures())
    file = next((path / "images").glob("c-*"))
    file.write_bytes(file.read_bytes()[:kept])
    result = run(path, "--out", tmp_path / "out", *option)
    if not (kept and option[0] == "--min-size"):  # the size stands in what is left
        assert "can't be read any more" in str(result.exception) and file.name in str(result.exception)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [EPS, b"a bomb"])
def test_a_picture_that_became_another_kind_of_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = with_pictures(tmp_path / "five", FIVE, pictures())
    file = next((path / "images").glob("c-*"))
    if data != EPS:
        whole = file.read_bytes()
        head = whole[12:16] + struct.pack(">II", 60_000, 60_000) + whole[24:29]
        data = whole[:12] + head + struct.pack(">I", zlib.crc32(head)) + whole[33:]
    file.write_bytes(data)
    result = run(path, "--out", tmp_path / "out", "--min-size", 9)
    assert "can't be read any more" in str(result.exception)


def test_duplicates_are_found_without_digests_in_the_table(tmp_path: Path) -> None:
    path = with_pictures(tmp_path / "five", FIVE, pictures())
    items = [item.model_copy(update={"sha256": None}) for item in open_collection(path).items]
    write_lines(path / "items.jsonl", items)
    assert "".join(left(path, tmp_path / "out", "--no-duplicates")) == "ACDE"
    write_lines(path / "items.jsonl", [items[0].model_copy(update={"file": "images/a\0b"}), *items[1:]])
    result = run(path, "--out", tmp_path / "out", "--no-duplicates")
    assert "can't be read any more" in str(result.exception)


def test_pictures_are_linked_and_a_second_choice_replaces_the_first(tmp_path: Path) -> None:
    path = with_pictures(tmp_path / "five", FIVE, pictures())
    left(path, tmp_path / "out", "--type", "photo")
    first = open_collection(tmp_path / "out")
    assert all(
        Path(tmp_path / "out" / str(item.file)).samefile(path / str(item.file)) for item in first.items
    )
    (tmp_path / "out/images/mine.png").write_bytes(b"drawn by hand")
    (tmp_path / "out/images/more").mkdir()
    assert left(path, tmp_path / "out", "--trait", "Eyes=Red") == ["C"]
    names = {entry.name for entry in (tmp_path / "out/images").iterdir()}
    assert len(names) == 3 and {"mine.png", "more"} < names, "only the first subset's pictures are removed"
    assert len(list((path / "images").iterdir())) == 5


def test_a_subset_of_a_subset_and_never_over_its_source(tmp_path: Path) -> None:
    path = write(tmp_path / "five", FIVE)
    left(path, tmp_path / "out", "--type", "photo")
    assert left(tmp_path / "out", tmp_path / "again", "--trait", "Hat=Crown") == ["A"]
    assert "is the collection itself" in str(run(path, "--out", path, "--type", "photo").exception)
    assert "holds a collection of its own" in str(
        run(tmp_path / "out", "--out", path, "--type", "photo").exception
    )


def test_prices_in_two_currencies_are_not_compared(tmp_path: Path) -> None:
    items = [Item(id="0", price=1, symbol="ETH"), Item(id="1", price=3, symbol="SOL")]
    result = run(write(tmp_path / "two", items), "--out", tmp_path / "out", "--top", "1", "--by", "price")
    assert "--usd rates.csv" in str(result.exception)


def test_a_collection_is_packed_with_a_traits_values_as_classes(tmp_path: Path) -> None:
    path = with_pictures(
        tmp_path / "five", FIVE, {item.id: png(Image.new("RGB", (8, 8), "red")) for item in FIVE[:4]}
    )
    out = tmp_path / "five.zip"
    options = ["--out", str(out), "--resolution", "16", "--labels", "trait:hat", "--workers", "0"]
    result = CliRunner().invoke(metagan, ["dataset", "pack", str(path), *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    source = PictureSource(out)
    assert source.label_names == ("Cap", "Crown", "none")
    assert [int(source.label(index).argmax()) for index in range(4)] == [1, 0, 0, 2]
    assert source.facts["licence"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("labels", "words"), [("trait:Hut", "there are Eyes, Hat"), ("category", "no item of"), ("type", "")]
)
def test_labels_that_no_item_has(tmp_path: Path, labels: str, words: str) -> None:
    path = with_pictures(tmp_path / "five", FIVE, {item.id: png(Image.new("RGB", (8, 8))) for item in FIVE})
    options = [
        "--out",
        str(tmp_path / "five.zip"),
        "--resolution",
        "16",
        "--labels",
        labels,
        "--workers",
        "0",
    ]
    result = CliRunner().invoke(metagan, ["dataset", "pack", str(path), *options])
    assert (words in str(result.exception)) if words else result.exit_code == 0


def test_traits_of_a_folder_that_is_no_collection(tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "x.zip"), "--labels", "trait:Hat"]
    result = CliRunner().invoke(metagan, ["dataset", "pack", str(tmp_path), *options])
    assert "metagan collection fetch --from folder:" in str(result.exception)
