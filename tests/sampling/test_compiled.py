"""The compiled synthesis: the same pictures, kept for the next process, and what is said where nothing compiles."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import DeviceError
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.sampling.compiled import CompiledSynthesis
from metagan.sampling.sampler import Sampler, Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "sg2ada_gemaonly16.pkl"
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"
)


def sample(out: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "metagan", "sample", str(GOLDEN), "--seeds", "0-4", "--batch", "4"]
    # PyTorch notes where it keeps things in its own process's environment.
    inherited = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    return subprocess.run(
        [*command, "--device", "cpu", "--out", str(out), *options],
        env=inherited | {"OMP_NUM_THREADS": "1"} | environment,
        check=False,
        capture_output=True,
        text=True,
    )


def generator() -> Generator:
    return load_generator(read_checkpoint(GOLDEN))


def off_by(folder: Path, seed: int, picture: np.ndarray) -> int:
    """Levels that the folder's picture of a seed differs by at most."""
    (path,) = folder.glob(f"*{seed}.png")
    return int(np.abs(np.asarray(Image.open(path)).astype(int) - picture).max())


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix in (".so", ".cpp", ".py")}


@needs_compiler
def test_a_compiled_generator_gives_the_same_pictures_and_is_kept_for_the_next_process(tmp_path):
    cache = tmp_path / "cache"
    for turn in ("first", "second"):
        told = sample(tmp_path / turn, "--compile", METAGAN_CACHE=str(cache), TMPDIR=str(tmp_path))
        assert told.returncode == 0, told.stderr
        kept = files_in(cache / "compiled") if turn == "first" else kept
    assert any(path.suffix == ".so" for path in kept)
    assert files_in(cache / "compiled") == kept
    for seed, plain in Sampler(generator(), torch.device("cpu"), 4).pictures(range(5), Settings()):
        assert max(off_by(tmp_path / turn, seed, plain) for turn in ("first", "second")) <= 1


@needs_compiler
@pytest.mark.parametrize(
    ("precision", "noise", "why"),
    [("bf16", "none", "bf16 on a processor"), ("fp32", "random", "random noise")],
)
def test_what_is_not_compiled_is_said_and_drawn_all_the_same(tmp_path, precision, noise, why):
    options = ("--compile", "--precision", precision, "--noise", noise)
    told = sample(tmp_path / "out", *options, METAGAN_CACHE=str(tmp_path))
    assert told.returncode == 0, told.stderr
    assert f"--compile does nothing with {why}" in told.stderr
    assert not files_in(tmp_path / "compiled")
    sampler = Sampler(generator(), torch.device("cpu"), 4, precision=precision)
    most = 1 if precision == "fp32" else 3
    for seed, plain in sampler.pictures(range(5), Settings(noise=noise)):
        assert off_by(tmp_path / "out", seed, plain) <= most


def test_where_nothing_compiles_the_way_out_is_said(tmp_path):
    told = sample(
        tmp_path / "out", "--compile", METAGAN_CACHE=str(tmp_path), CXX=str(tmp_path / "no-compiler")
    )
    assert told.returncode == 1
    assert "--compile: PyTorch can't compile this (InvalidCxxCompiler" in told.stderr
    assert "install a C++ compiler (g++, clang++), or leave --compile out" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_generator_that_does_not_compile_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))

    class Looking:
        def synthesize(self, ws, noise=None):
            return ws * ws.sum().item()

    with pytest.raises(DeviceError, match=r"can't compile this \(.*\); leave --compile out"):
        CompiledSynthesis(Looking()).synthesize(torch.ones(1, 2, 3))


def test_a_pytorch_that_can_not_compile_at_all_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))

    def unsupported(*_: object, **__: object) -> None:
        raise RuntimeError("torch.compile is not supported on Python 9.9+")

    monkeypatch.setattr(torch, "compile", unsupported)
    with pytest.raises(DeviceError, match=r"not supported on Python 9.9\+\); leave --compile out"):
        CompiledSynthesis(generator())
