"""What test_world.py has torchrun start twice: trains together, and compares the two results."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from metagan.errors import TrainingError
from metagan.training.distributed import joined
from metagan.training.options import Schedule
from metagan.training.run import Run
from metagan.training.run_folder import RunFolder
from metagan.training.setup import begin
from tests.training import toy
from tests.training.toy import Discs

OPTIONS = toy.change(toy.OPTIONS, augment_p=0.2)
SCHEDULE = Schedule(total_kimg=0.04, state_kimg=0.016, metrics_kimg=0.016, snapshot_kimg=0.04)


def main(path: Path) -> None:
    torch.set_num_threads(1)
    pictures = Discs(16)
    with joined("cpu") as world:
        mine = torch.full((3,), float(world.rank))
        parameter = torch.nn.Parameter(torch.zeros(3))
        parameter.grad = mine
        world.average_gradients([parameter])
        assert parameter.grad.tolist() == [0.5] * 3
        config, networks = begin(OPTIONS, pictures, world)
        run = Run(RunFolder(path), config, SCHEDULE, pictures, networks, world)
        run.train()
        own = torch.cat([tensor.double().flatten() for tensor in run.networks.tensors().values()])
        both = [torch.zeros_like(own) for _ in range(2)]
        dist.all_gather(both, own)
        assert torch.equal(*both), "the processes have gone apart"
        assert run.trainer.seen == 40
        assert run.trainer.batch == 4
        if not world.is_first:  # waits for the first, which has left
            with pytest.raises(TrainingError, match="process 1: can't reach the others of this run"):
                world.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
