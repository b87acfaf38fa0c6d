"""Several processes that train one network."""

import os
import subprocess
import sys

import pytest
import torch

from metagan.errors import OptionError
from metagan.training.distributed import World, joined


@pytest.mark.timeout(300)
def test_two_processes_train_the_same_weights(tmp_path):
    words = (*("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words, "-m", "tests.training.two_processes", str(tmp_path / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "state.safetensors").exists()


def test_a_batch_that_does_not_divide_among_processes_is_refused():
    with pytest.raises(OptionError, match="multiple of the 3 processes"):
        World(0, 3, torch.device("cpu")).share(16)


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)
        value = torch.tensor([1.0, 2.0])
        assert torch.equal(world.mean(value), value)
