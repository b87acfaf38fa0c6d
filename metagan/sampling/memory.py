"""How many pictures at once a device has room for, and keeping what memory there is."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

BATCH_PIXELS = 2**19  # 8 pictures of 256x256: a processor's cores are busy then, and more only takes memory
CUDA_BATCH_PIXELS = 2**22  # 64 of them
BATCH_LIMIT = 32
CUDA_BATCH_LIMIT = 128
SHARE = 0.8  # of the free memory that a batch may take
PLENTY_BYTES = 4 << 30  # where so much is free, no CPU batch of ours needs measuring
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's mallopt(3)


def automatic_batch(resolution: int, device_type: str = "cpu") -> int:
    """How many pictures to make at once where memory is no question: a function of their size alone."""
    pixels, limit = (
        (CUDA_BATCH_PIXELS, CUDA_BATCH_LIMIT) if device_type == "cuda" else (BATCH_PIXELS, BATCH_LIMIT)
    )
    return max(1, min(limit, pixels // resolution**2))


def fit_batch(resolution: int, device: torch.device, draw: Callable[[int], object]) -> int:
    """The automatic batch, halved until the device's free memory holds it.

    Args:
        resolution: Of the pictures.
        device: Where they are made.
        draw: Makes that many pictures, for the memory it takes.
    """
    batch = automatic_batch(resolution, device.type)
    if device.type == "cuda":
        free, needed = _cuda_free(device), _cuda_peak(device, draw)
    elif device.type == "cpu" and (free := free_memory()) < PLENTY_BYTES:
        needed = _cpu_peak(draw)
    else:
        return batch
    while batch > 1 and batch * needed > SHARE * free:
        batch //= 2
    return batch


def _cuda_free(device: torch.device) -> int:
    """What the device has left, with what PyTorch holds but doesn't use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _cuda_peak(device: torch.device, draw: Callable[[int], object]) -> float:
    """Bytes that a picture takes at most."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    draw(2)
    return (torch.cuda.max_memory_allocated(device) - before) / 2


def _cpu_peak(draw: Callable[[int], object]) -> float:
    """Bytes that a picture takes at most, by what the process grows to; an upper bound of what others add."""
    before = _status("VmRSS")
    draw(1)
    return max(_status("VmHWM") - before, 1)


def free_memory() -> int:
    """Bytes that this process may still take: the machine's, or its container's if that is less."""
    machine = _field("/proc/meminfo", "MemAvailable")
    if machine is None:
        return PLENTY_BYTES
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    return machine if limit is None or used is None else min(machine, max(limit - used, 0))


def _status(name: str) -> int:
    return _field("/proc/self/status", name) or 0


def _field(path: str, name: str) -> int | None:
    """A line of kilobytes, in bytes."""
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _number(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let Linux' C library keep what is freed, instead of giving large blocks back and asking for them again.

    Fresh memory is filled with zeros page by page, which takes a fifth of a 1024x1024 picture's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # what the library starts with, or adapts itself to
        mallopt(M_MMAP_MAX, 65536)
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
