"""File names that aren't UTF-8, as old archives and network disks have them, through the commands."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.values import json_text, printable, show, text_of

NAME = "caf\udce9"
WEIGHTS = Path(__file__).parents[1] / "golden" / "ros_train16.pt"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")


def metagan(*arguments: object) -> str:
    """Run a command with a strict stdout, as under LANG=en_US.UTF-8."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "metagan", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, check=False, env=environment, timeout=300)
    assert b"Traceback" not in result.stderr, result.stderr.decode(errors="replace")
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result.stdout.decode()  # which is UTF-8


def test_weights_are_inspected_drawn_and_converted_under_any_name(tmp_path):
    weights = tmp_path / f"{NAME}.pt"
    weights.write_bytes(WEIGHTS.read_bytes())
    assert json.loads(metagan("inspect", weights, "--json"))["file"].endswith("caf\\xe9.pt")
    grid = tmp_path / f"{NAME}.png"
    assert "caf\\xe9.png" in metagan("sample", weights, "--seeds", "0", "--grid", grid)
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
