"""What `metagan sample` says of files that leave something open, and of options that can't be followed."""

import json
from pathlib import Path

from click.testing import CliRunner

from metagan.cli.inspect import command as inspect_command
from metagan.cli.sample import command
from metagan.live.native import libraries
from metagan.registry.weights_ref import bundled_weights

GOLDEN = Path(__file__).parents[1] / "golden"


def test_what_had_to_be_made_up_for_a_file_is_said_on_stderr(tmp_path):
    weights = GOLDEN / "ros_train16.pt"
    result = CliRunner().invoke(
        command, [str(weights), "--seeds", "0", "--psi", "0.7", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0
    assert "note: ros_train16.pt: the file stores no mean style" in result.stderr
    assert "note" not in result.stdout
    assert len(list(tmp_path.iterdir())) == 1


def test_a_generator_without_a_narrow_form_is_said_to_be_drawn_in_fp32(tmp_path):
    for weights, note in ("keras_dcgan32.zip", True), ("ros_train16.pt", False):
        result = CliRunner().invoke(
            command, [str(GOLDEN / weights), "--seeds", "0", "--precision", "bf16", "--out", str(tmp_path)]
        )
        assert result.exit_code == 0
        assert ("note: DCGAN generators are always drawn in fp32" in result.stderr) is note


def test_verbose_and_inspect_say_what_draws_a_file_and_why(tmp_path, monkeypatch):
    usual, filtered = GOLDEN / "ros_train16.pt", GOLDEN / "sg2ada_gemaonly16.pkl"

    def drawn_by(weights: Path) -> str:
        words = [str(weights), "--seeds", "0", "--device", "cpu", "--verbose", "--out", str(tmp_path)]
        result = CliRunner().invoke(command, words)
        assert result.exit_code == 0
        assert "drawn by" not in result.stdout
        told = next(line for line in result.stderr.splitlines() if "drawn by" in line)
        facts = CliRunner().invoke(inspect_command, [str(weights), "--json"])
        assert json.loads(facts.stdout)["drawn_by"] in told
        return told

    reason = "its filter isn't [1, 3, 3, 1]" if libraries() else "it was not compiled for this system"
    assert f"drawn by PyTorch, because {reason}" in drawn_by(filtered)
    monkeypatch.setenv("METAGAN_KERNEL", "none")
    assert "ros_train16.pt: drawn by PyTorch, because METAGAN_KERNEL is none; " in drawn_by(usual)
    monkeypatch.delenv("METAGAN_KERNEL")
    if libraries():
        assert f"drawn by metagan's kernel, {next(iter(libraries()))}; " in drawn_by(usual)


def test_verbose_and_inspect_say_what_enlarges_and_why(tmp_path, monkeypatch):
    words = [
        "bundled:bagels",
        "--upscale",
        "bundled:bagels-x4",
        "--seeds",
        "0",
        "--device",
        "cpu",
        "--verbose",
    ]
    for kernel in ("none", ""):
        monkeypatch.setenv("METAGAN_KERNEL", kernel)
        result = CliRunner().invoke(command, [*words, "--out", str(tmp_path)])
        assert result.exit_code == 0
        facts = CliRunner().invoke(inspect_command, [str(bundled_weights("bagels-x4")), "--json"])
        program = json.loads(facts.stdout)["enlarged_by"]
        assert f", enlarged by {program}; " in result.stderr
        assert (program == "PyTorch, because METAGAN_KERNEL is none") == (kernel == "none")
