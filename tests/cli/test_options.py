"""Options that several commands share."""

import click
import pytest
from click.testing import CliRunner

from metagan.cli.options import seeds_option


@click.command()
@seeds_option(default="0-2")
def command(seeds):
    click.echo(seeds)


def test_seeds_are_read_as_in_the_registry():
    assert CliRunner().invoke(command, ["--seeds", "0-3,42"]).stdout == "(0, 1, 2, 3, 42)\n"
    assert CliRunner().invoke(command, []).stdout == "(0, 1, 2)\n"


@pytest.mark.parametrize("text", ["", "x", "5-1", "-3", "4294967296"])
def test_bad_seeds_are_a_usage_error_that_says_what_to_write(text):
    result = CliRunner().invoke(command, ["--seeds", text])
    assert result.exit_code == 2
    assert "Invalid value for '--seeds': want " in result.stderr
