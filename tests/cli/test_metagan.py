"""The command line as a whole: fast, documented, and without tracebacks."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import COMMANDS, main, metagan
from metagan.errors import OptionError
from tests.conftest import UNMEASURED

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "golden"
APES = Path(__file__).parents[2] / "metagan" / "weights" / "apes.safetensors"
CONDITIONAL = str(GOLDEN / "sg2ada_cuda16.pkl")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(metagan, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fail(capsys, *arguments: object) -> tuple[int, str]:
    """Exit status and stderr, as the shell sees them."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["metagan", *map(str, arguments)])
        main()
    return stopped.value.code, capsys.readouterr().err


def test_help_comes_at_once_and_without_torch():
    script = (
        "import sys, contextlib\nfrom metagan.cli import metagan\n"
        "with contextlib.suppress(SystemExit):\n    metagan(['--help'])\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'jinja2', 'PIL') if m in sys.modules])"
    )
    helps, bare = [], []
    for _ in range(2):  # in turns, so that what slows one slows the other
        seconds, printed = processor_seconds(script)
        helps.append(seconds)
        bare.append(processor_seconds("import torch")[0])
    assert printed.endswith("[]\n")
    assert min(helps) < min(bare) / 4, (helps, bare)


def processor_seconds(script: str) -> tuple[float, str]:
    """What a new interpreter takes of the processor for a script, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script], env=UNMEASURED, check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(name):
    command = metagan.get_command(click.Context(metagan), name)
    assert command.help
    assert command.short_help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"
    assert f"metagan {name}" in (ROOT / "docs" / "commands.md").read_text()


def test_an_unknown_command_or_option_is_a_usage_error(capsys):
    assert fail(capsys, "bake")[0] == 2
    assert "Did you mean build?" in fail(capsys, "bild")[1]
    assert fail(capsys, "build", "--sideways")[0] == 2
    assert fail(capsys, "sample", "ape", "--seeds", "1-")[0] == 2


def test_a_mistake_of_the_users_ends_in_a_message_and_not_in_a_traceback(capsys, tmp_path):
    code, text = fail(capsys, "check", "--registry", tmp_path / "none.yaml")
    assert code == 1
    assert "none.yaml" in text
    assert "Traceback" not in text
    (tmp_path / "page.pkl").write_text("<!doctype html><title>Sign in</title>")
    code, text = fail(capsys, "inspect", tmp_path / "page.pkl")
    assert code == 1
    assert text.startswith("metagan: ")
    assert "page.pkl" in text


def test_problems_of_a_registry_begin_with_the_place_that_editors_jump_to(capsys, tmp_path):
    (tmp_path / "registry.yaml").write_text("site: {}\n")
    code, text = fail(capsys, "check", "--registry", tmp_path / "registry.yaml")
    assert code == 1
    assert text.splitlines()[-2].startswith(f"{tmp_path}/registry.yaml:1:")


# sample


def test_samples_are_named_by_seed_and_the_same_every_time(tmp_path):
    for folder in ("one", "two"):
        run(
            "sample",
            CONDITIONAL,
            "--seeds",
            "0-2,42",
            "--class",
            1,
            "--out",
            tmp_path / folder,
            "--device",
            "cpu",
        )
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["seed0000.png", "seed0001.png", "seed0002.png", "seed0042.png"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)


def test_a_grid_holds_every_picture_in_the_format_of_its_name(tmp_path):
    options = ("--seeds", "0-5", "--class", 0, "--psi", 0.7, "--sheet", tmp_path / "grid.webp")
    assert "grid.webp" in run("sample", CONDITIONAL, *options)
    with Image.open(tmp_path / "grid.webp") as grid:
        assert (grid.format, grid.size) == ("WEBP", (48, 32))
    assert [path.name for path in tmp_path.iterdir()] == ["grid.webp"]


def test_styles_of_one_name_do_not_overwrite_each_others_picture(capsys):
    two = ("--styles", "a/me.safetensors", "--styles", "b/me.safetensors")
    code, text = fail(capsys, "sample", CONDITIONAL, "--class", 0, *two)
    assert code == 1
    assert "--styles: two files are called me, and so would be their pictures\n  fix: rename one" in text


def test_a_subject_brings_its_own_psi_class_and_noise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.yaml").write_text(
        "site: {title: Blobs, base_url: https://example.org/}\nsubjects: {blob: {title: Blob, weights: "
        f"{CONDITIONAL}, licence: CC0-1.0, source: x, class: 1, psi: 0.5}}}}\n"
    )
    run("sample", "blob", "--seeds", "7")
    run("sample", CONDITIONAL, "--seeds", "7", "--psi", 0.5, "--class", 1, "--out", "direct")
    ours, direct = (np.asarray(Image.open(tmp_path / f / "seed0007.png")) for f in ("samples", "direct"))
    assert np.array_equal(ours, direct)


def test_a_class_is_asked_for_where_it_is_needed(capsys):
    code, text = fail(capsys, "sample", CONDITIONAL)
    assert code == 1
    assert "has 2 classes, none was chosen\n  fix: choose one with --class 0 to 1" in text


def test_bundled_weights_can_be_sampled_by_name(tmp_path):
    run("sample", "bundled:apes", "--seeds", "3", "--out", tmp_path, "--format", "jpeg")
    with Image.open(tmp_path / "seed0003.jpg") as picture:
        assert picture.width == picture.height >= 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sample", "nothing.pkl"), "nothing.pkl"),
        (("sample", "aep", "-r", "none.yaml"), "'aep' is not a weights file, and there is no none.yaml"),
    ],
)
def test_what_is_neither_a_file_nor_a_subject_is_an_error(capsys, arguments, message):
    code, text = fail(capsys, *arguments)
    assert code == 1
    assert message in text
    assert "  fix: " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sample", CONDITIONAL, "--sheet", "grid.bmp"), "want a name that ends in .png"),
        (("sample", CONDITIONAL, "--batch", "some"), "want auto or a number"),
        (("convert", CONDITIONAL, "out.pkl"), "write out.pt"),
        (("convert", CONDITIONAL, "out.bin"), "want a name that ends in .safetensors"),
    ],
)
def test_options_that_cannot_be_honoured_are_usage_errors(capsys, arguments, message):
    code, text = fail(capsys, *arguments)
    assert code == 2
    assert message in text


# inspect and convert


def test_inspect_prints_facts_for_people_and_json_for_scripts():
    text = run("inspect", CONDITIONAL)
    assert "StyleGAN2" in text
    assert "network D" in text
    facts = json.loads(run("inspect", CONDITIONAL, "--json"))
    assert (facts["resolution"], facts["z_dim"], facts["c_dim"]) == (
        16,
        facts["configuration"]["mapping"]["z_dim"],
        2,
    )


def test_inspect_and_convert_take_bundled_weights_by_name(tmp_path):
    assert "StyleGAN2" in run("inspect", "bundled:apes")
    run("convert", "bundled:bagels", tmp_path / "bagels.pt")
    assert (tmp_path / "bagels.pt").is_file()
    with pytest.raises(OptionError, match="did you mean bundled:apes"):
        run("inspect", "bundled:ape")


@pytest.mark.parametrize("name", ["own.safetensors", "own.pt"])
def test_a_result_never_replaces_the_file_that_it_is_made_from(capsys, tmp_path, name):
    own = tmp_path / name
    own.write_bytes(before := Path(CONDITIONAL).read_bytes())
    (tmp_path / "link").symlink_to(tmp_path)
    commands = [("convert", own, tmp_path / "link" / name)]
    if own.suffix == ".safetensors":
        for parents in ((own, CONDITIONAL), (CONDITIONAL, own)):
            commands.append(("blend", *parents, "--alpha", "0.5", "--out", own))
    for command in commands:
        code, text = fail(capsys, *map(str, command))
        assert code == 1
        assert "is what is read, and would be lost" in text
    assert own.read_bytes() == before


def test_a_converted_file_gives_the_same_pictures(tmp_path):
    target = tmp_path / "own.safetensors"
    assert "own.safetensors: stylegan2" in run("convert", CONDITIONAL, target, "--licence", "CC0-1.0")
    for weights, folder in ((CONDITIONAL, "theirs"), (target, "ours")):
        run("sample", weights, "--seeds", "0-3", "--class", 0, "--out", tmp_path / folder)
    pixels = [
        [np.asarray(Image.open(path)) for path in sorted((tmp_path / folder).iterdir())]
        for folder in ("theirs", "ours")
    ]
    assert np.array_equal(*pixels)


@pytest.mark.parametrize(
    ("words", "name", "says"),
    [
        (["export", "bundled:apes", "--out"], "ape.bin.gz", "File too large\n  fix: free some space"),
        (["convert", APES], "ape.safetensors", "can't be written: "),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_the_way_out_and_leaves_the_former_one(
    tmp_path, capsys, words, name, says
):
    out = tmp_path / name
    out.write_bytes(b"former")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, limits[1]))
    try:
        status, said = fail(capsys, *words, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert said.startswith(f"metagan: {out}: {says}")
    assert "\n  fix: " in said
    assert ".tmp" not in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert out.read_bytes() == b"former"
