"""Where commands read from and write to: pipes, links in circles, files in the place of folders, numbers in words."""

import os
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.cli.options import Number, OutPath, Place, Whole
from metagan.errors import OptionError
from metagan.registry.weights_ref import bundled_weights


def commands(group: click.Group = metagan, above: tuple[str, ...] = ()):
    """Every command with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS = dict(commands())


def kind_of(parameter: click.Parameter) -> click.ParamType:
    return getattr(parameter.type, "kind", parameter.type)  # the kind inside "auto|..."


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_number_that_is_none_is_refused_with_the_option_the_value_and_what_is_allowed(words):
    for parameter in COMMANDS[words].params:
        kind = kind_of(parameter)
        if not isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
            continue
        assert isinstance(kind, Whole | Number), parameter.opts
        for value in ("x", "1_0", "nan", "1e999x", "٣", ""):
            with pytest.raises(click.BadParameter) as refused:
                kind.convert(value, parameter, None)
            whole = "a whole number" if isinstance(kind, Whole) else "a number"
            assert refused.value.message.startswith(f"want {whole}"), (parameter.opts, value)
            assert refused.value.message.endswith(f", got '{value}'")
            assert parameter.opts[0] in refused.value.format_message()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "a", "--psi", "3"], "'--psi': want a number from -2 to 2, got '3'"),
        (["sample", "a", "--shards", "0"], "'--shards': want a whole number from 1 to 1,000,000, got '0'"),
        (["train", "a", "--out", "b", "--kimg", "-1"], "'--kimg': want a number above 0, or inf, got '-1'"),
        (["train", "a", "--out", "b", "--batch", "2.5"], "'--batch': want a whole number above 0, got '2.5'"),
        (["collection", "subset", "a", "--out", "b", "--trim", "50"], "above 0 and below 50, got '50'"),
        (["walk", "a", "--out", "b.gif", "--fps", "300"], "want a number from 0.01 to 240, got '300'"),
    ],
)
def test_the_range_of_a_number_is_said_in_words(words, says):
    result = CliRunner().invoke(metagan, words)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split()).replace("│ ", "")


OUTPUTS = {
    "out",
    "target",
    "grid",
    "film",
    "sheet",
    "sheet_path",
    "folder",
    "place",
    "archive",
    "frames_folder",
}
NO_FILES = {("walk", "grid"), ("project", "film")}


def outputs(words: tuple[str, ...]):
    for parameter in COMMANDS[words].params:
        if parameter.name in OUTPUTS and (words[-1], parameter.name) not in NO_FILES:
            yield parameter


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_place_where_nothing_can_be_written_is_refused_before_any_work(words, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    bad = {
        "loop/x.png": "loop: a symbolic link that leads back to itself",
        "file/x.png": "file: a file is there, where a folder has to be",
        "file/deep/er/x.png": "file: a file is there, where a folder has to be",
        "dangling/x.png": "dangling: a symbolic link to nothing",
        "loop": "loop: a symbolic link that leads back to itself",
        "pipe": "pipe: a pipe or device is there, which is not replaced",
    }
    for parameter in outputs(words):
        for name, says in bad.items():
            with pytest.raises(click.BadParameter) as refused:
                parameter.process_value(click.Context(COMMANDS[words]), str(tmp_path / name))
            assert refused.value.message == f"{tmp_path / says.split(':')[0]}:{says.split(':')[1]}", (
                parameter.opts
            )
    assert (tmp_path / "file").read_text() == "mine"


def test_an_address_and_a_place_that_is_not_there_yet_are_fine(tmp_path):
    assert OutPath(folder=True).convert(str(tmp_path / "a" / "b"), None, None) == tmp_path / "a" / "b"
    assert OutPath().convert("x.png", None, None) == Path("x.png")
    assert Place().convert("s3://bucket/apes", None, None) == "s3://bucket/apes"
    assert Place().convert(str(tmp_path), None, None) == tmp_path
    for kind in (OutPath(folder=True), OutPath()):  # it would become a folder "s3:" on this machine
        with pytest.raises(click.BadParameter, match="an address; want a place on this machine"):
            kind.convert("s3://bucket/a.png", None, None)


@pytest.mark.parametrize(
    "words",
    [
        "upscale in --with bundled:apes-x4 --out in/large",
        "upscale in --with bundled:apes-x4 --out in",
        "project in bundled:apes --out in",
        "project in/a.png bundled:apes --out in",
        "train in --out in/run",
        "train in --out in/../in",
        "train in --upscaler x4 --out in/run",
        "collection fetch x --from folder:in --out in/x",
        "rank bundled:apes --discriminator none --data in --sheet in/best.png",
        "build --templates in --out in/site",
        "pick in --scores in/a.png --out in/a.png",
        "convert in/a.safetensors in/a.safetensors",
        "export in/a.safetensors --out in/a.safetensors",
        "blend in/a.safetensors bundled:apes --alpha 0.5 --out in/a.safetensors",
        "blend own bundled:apes --alpha 0.5 --out in/a.safetensors",
        "directions in/a.safetensors --out in/a.safetensors --lpips none",
        "encoder in/a.safetensors --out in/a.safetensors",
        "rank own --data in --out in/a.safetensors",
        "rank own --data in --out registry.yaml",
    ],
)
def test_no_result_replaces_what_it_is_made_from_or_is_taken_in_the_next_time(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"a picture")
    shutil.copyfile(bundled_weights("apes"), "in/a.safetensors")
    Path("registry.yaml").write_text(
        "site: {title: T, base_url: https://example.org/}\n"
        "subjects: {ape: {title: Ape, weights: bundled:apes, licence: CC0-1.0, source: me},\n"
        "  own: {title: Own, weights: in/a.safetensors, licence: CC0-1.0, source: me}}\n"
    )
    before = {path: path.read_bytes() for path in Path("in").iterdir()}
    result = CliRunner().invoke(metagan, words.split())
    assert isinstance(result.exception, OptionError), result.output
    assert "which is read, and the next run" in str(result.exception) or "would be lost" in str(
        result.exception
    )
    assert {path: path.read_bytes() for path in Path("in").iterdir()} == before
