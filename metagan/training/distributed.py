"""Distributed training: the processes that take part, and how their gradients are averaged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from metagan.errors import OptionError, TrainingError
from metagan.sampling.device import choose_device

PATIENCE: Final = timedelta(hours=12)  # while the first process fetches a run, or measures
LOST_S: Final = 2.0  # in which the process that ended first prints its message, and torchrun ends the others
SETTLING_S = 0.5  # torch's threads end after the group; a process that exits before them can abort (SIGABRT)


@dataclass(frozen=True)
class World:
    """The processes that train together; torchrun starts one per device.

    Args:
        rank: Rank of this process; rank 0 writes the files.
        size: Number of processes.
        device: Device of this process.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    @property
    def sum_dtype(self) -> torch.dtype:
        """Data type of long sums: float64, or float32 on Apple's GPUs, which lack it."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    def share(self, batch: int) -> int:
        """Return how many pictures of a batch this process takes.

        Raises:
            OptionError: If the batch isn't a multiple of the number of processes.
        """
        if batch % self.size:
            raise OptionError(
                f"--batch {batch}: want a multiple of the {self.size} processes that torchrun started",
                fix="choose another --batch, or another number of processes",
            )
        return batch // self.size

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean over all processes."""
        if self.size > 1:
            with _others_alive():
                dist.all_reduce(value)
            value /= self.size
        return value

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over all processes.

        It is called explicitly after each backward pass: R1 and path length differentiate gradients, which would run
        the hooks of DDP's own synchronisation at the wrong time.
        """
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def wait(self) -> None:
        """Wait until every process has reached this point."""
        if self.size > 1:
            with _others_alive():
                dist.barrier()


@contextmanager
def _others_alive() -> Iterator[None]:
    """Turn the error of a process that waits for one that has ended into one without a traceback.

    Raises:
        TrainingError: If the block can't reach another process.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        time.sleep(LOST_S)
        raise TrainingError(
            f"can't reach the others of this run ({' '.join(str(error).split()):.120})",
            where=f"process {os.environ.get('RANK', '?')}",
            fix="see the message of the process that ended first",
        ) from error


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun's environment describes; a single process without it.

    Args:
        device: The value of `--device`.

    Raises:
        DeviceError: If there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device)
    if size == 1:
        yield World(0, 1, chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size, chosen)
    finally:
        dist.destroy_process_group()
        time.sleep(SETTLING_S)
