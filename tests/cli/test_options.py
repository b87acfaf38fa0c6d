"""Options that several commands share."""

import json

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from metagan.cli import metagan
from metagan.cli.options import device_option, drawing_options, options, precision_option, seeds_option
from metagan.registry.models import Defaults
from metagan.values import PSI_RANGE


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


@click.command()
@options(
    drawing_options("0"), device_option, precision_option("fp32", "bf16", default="fp32", help="Format.")
)
def draw(**values):
    click.echo(json.dumps(values))


def test_drawing_options_leave_everything_but_the_seeds_to_the_subject():
    values = json.loads(CliRunner().invoke(draw, []).stdout)
    assert values == {
        "seeds": [0],
        "psi": None,
        "label": None,
        "noise": None,
        "device": "auto",
        "precision": "fp32",
    }


def test_psi_has_one_range_in_the_registry_and_in_every_command():
    least, most = PSI_RANGE
    for value, fine in ((least, True), (most, True), (least - 0.1, False), (most + 0.1, False)):
        assert (CliRunner().invoke(draw, ["--psi", str(value)]).exit_code == 0) is fine
        try:
            Defaults(psi=value)
        except ValidationError:
            assert not fine
        else:
            assert fine


@pytest.mark.parametrize(("written", "read"), [("bf16", "bf16"), ("bfloat16", "bf16"), ("float32", "fp32")])
def test_a_precision_s_former_name_is_taken_for_today_s(written, read):
    assert json.loads(CliRunner().invoke(draw, ["--precision", written]).stdout)["precision"] == read


def test_former_names_of_precisions_are_not_listed_and_foreign_ones_are_refused():
    assert "[fp32|bf16]" in CliRunner().invoke(draw, ["--help"]).stdout
    for name in ("float16", "int8"):
        result = CliRunner().invoke(draw, ["--precision", name])
        assert result.exit_code == 2
        assert "is not one of 'fp32', 'bf16'" in result.stderr


def test_options_of_one_name_are_of_one_kind_and_help_in_every_command():
    """A command that declares --device and the like by itself would drift from the others."""
    shared = {"--psi", "--class", "--device", "--registry", "--sha256", "--offline", "--json", "--workers"}
    found = {}
    for path, each in all_commands(metagan):
        for option in each.params:
            for name in shared.intersection(option.opts):
                told = option.help.partition(". ")[0] if name == "--psi" else option.help
                found.setdefault(name, {}).setdefault((repr(option.type), told), []).append(path)
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}


def all_commands(group, path=()):
    for name in group.list_commands(None):
        each = group.get_command(None, name)
        yield " ".join((*path, name)), each
        if isinstance(each, click.Group):
            yield from all_commands(each, (*path, name))
