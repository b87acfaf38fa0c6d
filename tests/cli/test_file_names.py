"""File names that aren't UTF-8, as old archives and network disks have them, through the commands."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan import project
from metagan.checkpoints.read import read_checkpoint
from metagan.cli import main
from metagan.cli import metagan as group
from metagan.collection.cells import csv_bytes
from metagan.collection.model import Facts, Item, SourceFacts
from metagan.collection.store import Writer, read_facts, read_lines, write_lines
from metagan.errors import OptionError, RegistryError
from metagan.registry.read import find_subject, read_registry
from metagan.values import LabelSpace, json_text, printable, show, text_of

NAME = "caf\udce9"
WEIGHTS = Path(__file__).parents[1] / "golden" / "ros_train16.pt"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")


def metagan(*arguments: object) -> str:
    """Run a command with strict streams, as under LANG=en_US.UTF-8."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["metagan", *map(str, arguments)])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        main()
    assert stopped.value.code == 0, err.buffer.getvalue()
    return out.buffer.getvalue().decode()  # which is UTF-8


def test_a_program_of_its_own_inspects_weights_under_any_name(tmp_path):
    weights = tmp_path / f"{NAME}.pt"
    weights.write_bytes(WEIGHTS.read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-m", "metagan", "inspect", str(weights), "--json"]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=300)
    assert json.loads(done.stdout.decode())["file"].endswith("caf\\xe9.pt")


@pytest.mark.parametrize(
    "words", [(NAME,), (f"--{NAME}",), ("dataset", NAME), ("train", "x", "--preset", NAME)]
)
def test_a_word_that_no_command_knows_is_shown_by_its_bytes(words):
    with pytest.raises(click.UsageError) as refused:
        group.main(args=words, prog_name="metagan", standalone_mode=False)
    assert "caf\\xe9'" in refused.value.message


def test_weights_are_drawn_and_converted_under_any_name(tmp_path):
    weights = tmp_path / f"{NAME}.pt"
    weights.write_bytes(WEIGHTS.read_bytes())
    grid = tmp_path / f"{NAME}.png"
    assert "caf\\xe9.png" in metagan("sample", weights, "--seeds", "0", "--sheet", grid)
    with Image.open(io.BytesIO(grid.read_bytes())) as image:
        assert ">caf\\xe9.pt (metagan)<" in image.info["XML:com.adobe.xmp"]
    converted = tmp_path / f"{NAME}.safetensors"
    metagan("convert", weights, converted)
    header = read_checkpoint(converted).header
    assert header is not None
    assert "\udce9" not in str(header)


def test_a_run_under_any_name_trains_and_goes_on(tmp_path):
    pictures, out = tmp_path / NAME, tmp_path / f"run{NAME}"
    pictures.mkdir()
    for seed in range(4):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), (seed * 60, 0, 0)).save(picture, "PNG")
        (pictures / f"{seed}.png").write_bytes(picture.getvalue())
    common = ("train", pictures, "--out", out, "--batch", "4", "--measure", "0", "--device", "cpu")
    metagan(*common, "--kimg", "0.004")
    assert "caf\\xe9" in metagan(*common, "--kimg", "0.008")
    assert "caf\\xe9" in (out / "report.html").read_text("utf-8")


def test_names_are_written_as_their_bytes_and_letters_stay():
    assert text_of("caf\udce9 \u00e9") == "caf\\xe9 \u00e9"
    assert json.loads(json_text({NAME: [NAME, "\u00e9"]})) == {"caf\\xe9": ["caf\\xe9", "\u00e9"]}
    assert json_text({NAME: "\u00e9"}).encode() == '{"caf\\\\xe9": "\u00e9"}'.encode()
    assert printable(NAME) == "caf\\xe9"
    assert show(NAME) == "'caf\\xe9'"


def test_pictures_under_any_name_are_projected_and_drawn_again(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(picture, "PNG")
    (folder / f"{NAME}.png").write_bytes(picture.getvalue())
    found = tmp_path / "found"
    for _ in range(2):  # the second call finds the first one's results
        (one,) = project(folder, WEIGHTS, out=found, steps=1, lpips="none")
        assert one.styles.info.title == "caf\\xe9"
    words = ["sample", WEIGHTS, "--styles", found / f"{NAME}.safetensors", "--out", tmp_path / "drawn"]
    assert CliRunner().invoke(group, list(map(str, words))).exit_code == 0
    assert (tmp_path / "drawn" / f"{NAME}.png").exists()


def test_collections_under_any_name_are_written_and_read(tmp_path):
    facts = Facts(name=NAME, source=SourceFacts(kind="folder", reference=NAME), fetched_at="2026-01-01")
    Writer(tmp_path, facts).write_facts()
    assert read_facts(tmp_path).name == "caf\\xe9"
    write_lines(tmp_path / "items.jsonl", [Item(id="1", name=NAME)])
    assert [item.name for item in read_lines(tmp_path / "items.jsonl", Item)] == ["caf\\xe9"]
    assert csv_bytes(["name"], [[NAME]]) == b"name\ncaf\\xe9\n"


def test_a_table_in_an_old_encoding_finds_the_pictures_that_it_names(tmp_path):
    pictures = tmp_path / NAME
    pictures.mkdir()
    for number in range(2):
        Image.new("RGB", (16, 16), (number * 99, 0, 0)).save(pictures / f"{NAME}{number}.png")
    table = tmp_path / f"{NAME}.csv"
    table.write_bytes("title,path\nA,caf\u00e90.png\nB,caf\u00e91.png\n".encode("latin-1"))
    source = ("--from", f"csv:{table}", "--pictures", pictures)
    assert "2 pictures" in metagan("collection", "fetch", "x", *source, "--out", tmp_path / "tabled")


def test_a_report_shows_the_pictures_of_a_collection_under_any_name(tmp_path):
    found, report = tmp_path / NAME, tmp_path / "report"
    drawn = ("--from", "drawn:apes", "--count", "4", "--size", "16", "--workers", "0")
    metagan("collection", "fetch", "apes", *drawn, "--out", found)
    metagan("collection", "report", found, "--out", report)
    assert '<img src="../caf%E9/images/' in (report / "index.html").read_text("utf-8")


def test_messages_write_names_as_their_bytes():
    assert "'caf\\xe9'" in CliRunner().invoke(group, [NAME]).output
    with pytest.raises(OptionError, match=r"no subject 'caf\\xe9'"):
        find_subject(read_registry(Path(__file__).parents[2] / "registry.yaml"), NAME)


def test_a_registry_in_a_folder_of_any_name_says_which_file_is_missing(tmp_path):
    registry = tmp_path / NAME / "registry.yaml"
    registry.parent.mkdir()
    registry.write_text(
        "site: {title: T, base_url: https://example.org/}\n"
        "subjects:\n  ape: {title: Ape, weights: missing.pt, licence: CC0-1.0, source: me}\n"
    )
    with pytest.raises(RegistryError, match=r"want a file, got 'missing\.pt', and there is no"):
        read_registry(registry)


def test_a_class_is_found_by_the_bytes_of_its_folder():
    assert LabelSpace(("tea", "caf\\xe9")).number_of(NAME, 2) == 1
