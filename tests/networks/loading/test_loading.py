"""What loading a generator costs: nothing for networks that nobody asks for, nor for torch's own shape rules."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.cli.inspect import summarize
from metagan.errors import MalformedFileError
from metagan.networks.loading.assemble import shapes_only
from metagan.networks.loading.detect import load_discriminator, load_generator

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
LOAD_ALL = """
import sys
from pathlib import Path
from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_discriminator, load_generator
for path in map(Path, sys.argv[1:]):
    checkpoint = read_checkpoint(path)
    for role in checkpoint.networks:
        (load_discriminator if role == "D" else load_generator)(checkpoint, role)
sys.exit("sympy" in sys.modules)
"""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A torch zip whose discriminator has a bit wrong."""
    content = bytearray((GOLDEN / "ros_train16.pt").read_bytes())
    table = torch.load(GOLDEN / "ros_train16.pt", weights_only=True, map_location="cpu")["d"]
    content[content.index(table["final_conv.0.weight"].numpy().tobytes())] ^= 1
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    assert zipfile.ZipFile(path).testzip() is not None
    return path


def test_a_damaged_network_that_nobody_asks_for_doesnt_matter(damaged: Path):
    checkpoint = read_checkpoint(damaged)
    load_generator(checkpoint)
    with pytest.raises(
        MalformedFileError, match=r"^[^\n]*damaged\.pt: byte \d+: the member .* CRC-32 is wrong"
    ) as caught:
        load_discriminator(checkpoint)
    assert str(caught.value).count("damaged.pt") == 1


def test_to_inspect_a_file_looks_at_all_of_its_networks(damaged: Path):
    with pytest.raises(MalformedFileError, match="CRC-32 is wrong"):
        summarize(damaged)


def test_loading_does_without_torchs_own_shape_rules_and_sympy():
    files = [
        path
        for path in GOLDEN.rglob("*")
        if path.suffix in (".pkl", ".pt", ".h5") or path.name.startswith("keras_")
    ]
    files = [path for path in files if path.suffix != ".npz"]
    done = subprocess.run([sys.executable, "-c", LOAD_ALL, *map(str, files)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_shapes_without_numbers_are_those_that_torch_gives():
    def make() -> list[torch.Tensor]:
        row, pair = torch.ones(3), torch.randn(2, 3)
        made = [torch.randn(2, 4) / 2, torch.rand((3, 1)) - 0.5, torch.outer(row, row), torch.eye(4)]
        made += [row / row.sum(), 2 * pair, pair + row, pair * pair, torch.nn.Linear(3, 5).weight]
        return [*made, torch.zeros([]), torch.full((2, 2), 0.5)]

    with shapes_only():
        shells = make()
    assert all(shell.is_meta for shell in shells)
    assert [shell.shape for shell in shells] == [tensor.shape for tensor in make()]
