"""`metagan serve` as it is typed: a real process, the real build, the bundled weights."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

import metagan
from metagan.cli.init import scaffold
from tests.conftest import started

PATIENCE_S = 120


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve") / "apes"
    scaffold(folder)
    return folder


@contextmanager
def running(project, *arguments):
    command = [sys.executable, "-m", "metagan", "serve", "--images", "2", "--device", "cpu", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(metagan.__file__).parents[1]),
    }  # the metagan under test
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, cwd=project, env=environment, text=True, **pipes) as program:
        yield program


def stop(program):
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE_S)
    return program.returncode, out, err


def read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def test_serve_builds_shows_rebuilds_and_ends(project):
    with running(project, "--port", "0") as program:
        line = program.stdout.readline()
        url = line.removesuffix(" (press Ctrl-C to stop)\n")
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/apes/")
        assert "These Apes Do Not Exist" in read(url)
        assert "Ape" in read(f"{url}ape/")
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(f"{url}no/such/page"):
            pass
        assert caught.value.code == 404
        assert "Does Not Exist" in caught.value.read().decode()

        registry = project / "registry.yaml"
        registry.write_text(registry.read_text().replace("These Apes", "Those Apes"))
        end = time.monotonic() + PATIENCE_S
        while "Those Apes" not in read(url):
            assert time.monotonic() < end
            time.sleep(0.05)
        registry.write_text(registry.read_text().replace("psi:", "psy:"))
        seen = ""
        while "did you mean psi?" not in seen:
            seen += program.stderr.readline()
        assert "the last good site stays" in seen
        assert "Those Apes" in read(url)
        code, _, _ = stop(program)
        assert code == 0
        registry.write_text(registry.read_text().replace("psy:", "psi:"))


def test_without_reload_pages_are_as_they_were_built(project):
    with running(project, "--port", "0", "--no-reload", "--base-url", "https://example.org/") as program:
        url = program.stdout.readline().split()[0]
        assert url.count("/") == 3
        assert "__metagan__" not in read(url)
        assert stop(program)[0] == 0


def test_a_broken_registry_is_an_error_and_no_server(tmp_path):
    (tmp_path / "registry.yaml").write_text("site: {}\n")
    with running(tmp_path, "--port", "0") as program:
        out, err = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, out) == (1, "")
        assert "registry.yaml:1:" in err
        assert "Traceback" not in err
