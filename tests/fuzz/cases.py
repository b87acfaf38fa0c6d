"""What is fed to the readers: weights files of every format to start from, and what mutators make of them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.convert import convert
from tests.conftest import SHARED

GOLDEN = Path(__file__).parents[1] / "golden"
MAX_SEED_BYTES = 500_000
GENUINE_WEIGHT = 8  # how much more often a genuine file is changed than a hostile one


@dataclass(frozen=True)
class Case:
    """A weights file, with what lies beside it or, of a folder, in it.

    Args:
        seed: The genuine file it was made from.
        entry: What is read, a file's name or a folder's.
        files: Contents by relative name.
    """

    seed: str
    entry: str
    files: Mapping[str, bytes]

    @property
    def content(self) -> bytes:
        """The file itself; a folder has none."""
        return self.files.get(self.entry, b"")

    def with_file(self, name: str, content: bytes) -> Case:
        """The same with another content in one of its files."""
        return replace(self, files={**self.files, name: content})

    def write(self, folder: Path) -> Path:
        """Write everything; the path to read."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / self.entry


def single(path: Path, name: str | None = None) -> Case:
    """A genuine file by itself."""
    return Case(name or path.name, path.name, {path.name: path.read_bytes()})


@cache
def golden_cases() -> tuple[Case, ...]:
    """One or two files of each format, out of tests/golden alone."""
    return tuple(_golden())


def _golden() -> Iterator[Case]:
    for path in sorted(GOLDEN.iterdir()):
        if path.suffix in (".pkl", ".pt", ".h5"):
            yield single(path)
        elif path.name == "keras_dcgan32.zip":
            yield single(path)
            with zipfile.ZipFile(path) as archive:
                files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
            yield Case("SavedModel folder", "generator", files)
    beside = GOLDEN / "luc_16_attn_noconst"
    files = {name: (beside / name).read_bytes() for name in ("model_0.pt", ".config.json")}
    yield Case("lucidrains", "model_0.pt", files)
    yield _as_legacy(GOLDEN / "ros_train16.pt")
    yield _as_state_dict(GOLDEN / "sg2ada_gemaonly16.pkl")
    for name in ("sg2ada_cuda16.pkl", "sg3t_cond16.pkl", "keras_dcgan32.zip", "r3_cond32.pkl"):
        yield _as_own(GOLDEN / name)


def _as_legacy(path: Path) -> Case:
    """The same content in torch's container of old."""
    stream = io.BytesIO()
    content = torch.load(path, weights_only=True, map_location="cpu")
    torch.save(content, stream, _use_new_zipfile_serialization=False)
    return Case(f"{path.stem}, legacy", "legacy.pt", {"legacy.pt": stream.getvalue()})


def _as_state_dict(path: Path) -> Case:
    stream = io.BytesIO()
    torch.save(dict(read_checkpoint(path).networks["G_ema"].tensors), stream)
    return Case(f"{path.stem}, state dict", "state.pt", {"state.pt": stream.getvalue()})


def _as_own(path: Path) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "own.safetensors"
        convert(path, target)
        return single(target, f"{path.stem}, safetensors")


@cache
def shared_cases() -> tuple[Case, ...]:
    """The reference vectors' small files, where they lie beside the checkout: genuine ones often, hostile ones once."""
    found = []
    for path in sorted((SHARED / "vectors").rglob("*")):
        small = path.is_file() and 0 < path.stat().st_size <= MAX_SEED_BYTES
        if not small or path.suffix not in (".pkl", ".pt", ".h5") or path.name.startswith("zip_bomb"):
            continue
        case = single(path, str(path.relative_to(SHARED / "vectors")))
        beside = path.parent / ".config.json"
        case = case.with_file(".config.json", beside.read_bytes()) if beside.is_file() else case
        found += [case] * (1 if path.parent.name == "hostile" else GENUINE_WEIGHT)
    return tuple(found)
