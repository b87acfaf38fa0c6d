"""The choice of the device, and of threads on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from metagan.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device with a name; "auto" prefers CUDA, then MPS, then the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        DeviceError: If this machine has no such device.
    """
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    fix = f"choose one of auto, {', '.join(there)}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name}: there is no device of this name", fix=fix) from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type not in there or (device.index or 0) >= count:
        raise DeviceError(f"--device {name}: this machine does not have it", fix=fix)
    return device


def available_devices() -> list[str]:
    """List the kinds of devices of this machine, best first."""
    kinds = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [kind for kind, there in kinds if there]


@contextmanager
def on_one_thread_each() -> Iterator[int]:
    """Let PyTorch compute on one thread in this thread, and in those that begin meanwhile; yield the usual number.

    For small computations: the order of sums, and so their last bits, can depend on the number of threads, and
    PyTorch's threads spin while they wait for each other, which on a busy machine takes more time than the work.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield 1
        return
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
