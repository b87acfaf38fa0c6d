"""`metagan init` as it is typed."""

from click.testing import CliRunner

from metagan.cli.init import command
from metagan.errors import OptionError


def test_init_says_what_it_wrote_and_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["apes"])
    assert result.exit_code == 0
    assert "apes/registry.yaml\n" in result.stdout
    assert "apes/.github/workflows/pages.yml\n" in result.stdout
    assert "cd apes && metagan build && metagan serve" in result.stderr
    assert not (tmp_path / "apes" / "templates").exists()


def test_a_gitignore_that_stays_is_mentioned(tmp_path):
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 0
    assert "add /build/ and /.metagan/ to it" in result.stderr


def test_a_second_init_refuses(tmp_path):
    CliRunner().invoke(command, [str(tmp_path / "apes")])
    assert isinstance(CliRunner().invoke(command, [str(tmp_path / "apes")]).exception, OptionError)
