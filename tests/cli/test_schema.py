"""`metagan schema` as it is typed."""

import json

from click.testing import CliRunner

from metagan.cli import metagan
from metagan.registry.schema import schema


def test_the_schema_is_printed_as_json():
    result = CliRunner().invoke(metagan, ["schema"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == schema()


def test_the_help_shows_how_an_editor_uses_it():
    assert "# yaml-language-server: $schema=" in CliRunner().invoke(metagan, ["schema", "--help"]).stdout
