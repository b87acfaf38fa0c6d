"""`metagan check` as it is typed."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import RegistryError
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe
from metagan.registry.weights_ref import bundled_weights
from tests.fetch.hosts import running

GOLDEN = Path(__file__).parents[1] / "golden"
SITE = "site: {title: Apes, base_url: https://example.org/}\nsubjects:\n"


def subject(slug, weights, *lines):
    keys = ["title: Ape", f"weights: {weights}", "licence: CC0-1.0", "source: me", "images: 3", *lines]
    return f"  {slug}:\n" + "".join(f"    {line}\n" for line in keys)


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path / "cache"))

    def run(*subjects, options=()):
        (tmp_path / "registry.yaml").write_text(SITE + "".join(subjects))
        return CliRunner().invoke(metagan, ["check", *options])

    return run


def problems(result):
    assert isinstance(result.exception, RegistryError), result
    return [str(problem) for problem in result.exception.problems]


def test_a_good_registry_is_said_to_be_good(check):
    result = check(subject("ape", "bundled:apes"), subject("other-ape", "bundled:apes", "psi: 1"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "registry.yaml: no problems found (subjects: 2, pictures: 6)\n"


def test_the_repository_s_own_registry_is_good():
    own = Path(__file__).parents[2] / "registry.yaml"
    assert CliRunner().invoke(metagan, ["check", "--registry", str(own), "--offline"]).exit_code == 0


def test_problems_of_registry_and_templates_come_together(check, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "about.html").write_text("{% if %}")
    result = check(subject("ape", "bundled:apes", "pse: 1"))
    first, second = problems(result)
    assert first == "registry.yaml:9:5: subjects.ape.pse: unknown key\n  fix: did you mean psi?"
    assert second.startswith("templates/about.html:1: ")
    assert result.stderr == "Texts and weights were not checked, because the registry has errors.\n"


def test_every_problem_of_templates_texts_and_weights_is_listed(check, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "abuot.html").write_text("x")
    (tmp_path / "few.txt").write_text("One line only.\n")
    (tmp_path / "broken.pkl").write_bytes(b"not weights")
    found = problems(
        check(
            subject("ape", "broken.pkl"),
            subject("bat", "bundled:apes", "text: {corpus: few.txt}"),
            subject("cat", GOLDEN / "sg2ada_cuda16.pkl"),
            subject("dog", GOLDEN / "sg2ada_cuda16.pkl", "class: 2"),
            subject("eel", "bundled:apes", "class: 0"),
            subject("fox", GOLDEN / "sg2ada_cuda16.pkl", "class: 1"),
            options=["--templates", "mine"],
        )
    )
    assert found[0].startswith("mine/abuot.html: no page uses this template")
    assert "few.txt: too small to generate lines" in found[1]
    assert found[2].startswith("registry.yaml:5:14: subjects.ape.weights: ")
    assert "broken.pkl" in found[2]
    assert sorted(found[3:]) == [
        "registry.yaml:16:3: subjects.cat.class: this generator has 2 classes, none was chosen\n"
        "  fix: write for example `class: 1`",
        "registry.yaml:28:12: subjects.dog.class: this generator has 2 classes, got 2\n  fix: write for example "
        "`class: 1`",
        "registry.yaml:35:12: subjects.eel.class: want no class; the generator is "
        "unconditional\n  fix: remove the key",
    ]
    assert all("\n  fix: " in problem for problem in found)


def test_psi_is_tried_on_the_generator(check, tmp_path):
    generator = load_generator(read_checkpoint(bundled_weights("apes")))
    header = describe(generator)
    header.configuration["mapping"]["has_mean_style"] = False
    tensors = {name: tensor for name, tensor in generator.state_dict().items() if "mean_style" not in name}
    write_safetensors(tmp_path / "meanless.safetensors", tensors, header)
    (found,) = problems(check(subject("ape", "meanless.safetensors", "psi: 0.5")))
    assert found.startswith(
        "registry.yaml:9:10: subjects.ape.psi: psi 0.5: this checkpoint has no mean style"
    )
    assert check(subject("ape", "meanless.safetensors", "psi: 1")).exit_code == 0


def test_remote_weights_are_downloaded_unless_offline(check):
    data = (GOLDEN / "sg2ada_gemaonly16.pkl").read_bytes()
    with running() as host:
        url = host.put(data)
        ape = subject("ape", url, f"sha256: {hashlib.sha256(data).hexdigest()}")
        (found,) = problems(check(ape, options=["--offline"]))
        assert found.startswith(f"registry.yaml:5:14: subjects.ape.weights: {url}: not in the cache")
        assert found.endswith("fix: run the command once without --offline to download it")
        assert check(ape).exit_code == 0
        assert check(ape, options=["--offline"]).exit_code == 0
        assert len(host.requests) == 1


def test_in_a_shell_problems_go_to_stderr_without_a_traceback(check, tmp_path):
    check(subject("ape", "missing.pkl"))
    done = subprocess.run(
        [sys.executable, "-m", "metagan", "check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "registry.yaml:5:14: subjects.ape.weights: want a file, got 'missing.pkl'" in done.stderr
    assert "Traceback" not in done.stderr
