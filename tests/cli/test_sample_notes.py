"""What `metagan sample` says of files that leave something open, and of options that can't be followed."""

from pathlib import Path

from click.testing import CliRunner

from metagan.cli.sample import command

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
