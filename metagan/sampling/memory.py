"""The batch size that fits a device's memory, and reuse of freed memory."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from metagan.values import Size

BATCH_PIXELS = 2**19  # 8 pictures of 256x256 keep a processor's cores busy; more only take memory
CUDA_BATCH_PIXELS = 2**22  # 64 of them
BATCH_LIMIT = 32
CUDA_BATCH_LIMIT = 128
SHARE = 0.8  # the fraction of free memory that a batch may take
PLENTY_BYTES = 4 << 30  # with this much free memory, CPU batches are not measured
CGROUPS = (  # of a container, versions 2 and 1: its limit, its use, and what of that are kept files
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's mallopt(3)


def automatic_batch(size: Size | int, device_type: str = "cpu") -> int:
    """Return the batch size for pictures of a size, without regard to memory."""
    pixels, limit = (
        (CUDA_BATCH_PIXELS, CUDA_BATCH_LIMIT) if device_type == "cuda" else (BATCH_PIXELS, BATCH_LIMIT)
    )
    return max(1, min(limit, pixels // Size.of(size).pixels))


def fit_batch(size: Size | int, device: torch.device, draw: Callable[[int], object]) -> int:
    """Return the automatic batch size, halved until the batch fits the device's free memory.

    Args:
        size: Of the pictures; the side of squares.
        device: The device that draws.
        draw: Draws this number of pictures, to measure the memory that they take.
    """
    batch = automatic_batch(size, device.type)
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
    """Return the free bytes of a device, including those that PyTorch has reserved but does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _cuda_peak(device: torch.device, draw: Callable[[int], object]) -> float:
    """Measure the peak bytes per picture."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    draw(2)
    return (torch.cuda.max_memory_allocated(device) - before) / 2


def _cpu_peak(draw: Callable[[int], object]) -> float:
    """Measure the peak bytes per picture by the growth of the process: an upper bound for each further one."""
    before = _status("VmRSS")
    draw(1)
    return max(_status("VmHWM") - before, 1)


def free_memory() -> int:
    """Return the bytes that this process may still allocate: of the machine, or of its container if less."""
    machine = _field("/proc/meminfo", "MemAvailable")
    if machine is None:
        return PLENTY_BYTES
    for limit_in, used_in, kept in CGROUPS:
        limit, used = _number(limit_in), _number(used_in)
        if limit is not None and used is not None:
            files = _field(str(Path(used_in).with_name("memory.stat")), kept, "") or 0  # which are let go of
            return min(machine, max(limit - used + files, 0))
    return machine


def _status(name: str) -> int:
    return _field("/proc/self/status", name) or 0


def _field(path: str, name: str, unit: Literal["kB", ""] = "kB") -> int | None:
    """Read a line and return bytes."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{name}:?\s*(\d+) ?{unit}$", text, re.MULTILINE)
    return int(found[1]) * (1024 if unit else 1) if found else None


def _number(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let glibc keep freed memory, instead of returning large blocks to the system and requesting them again.

    New memory is zeroed page by page, which takes a fifth of the time of a 1024x1024 picture.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # the library's initial or adapted value
        mallopt(M_MMAP_MAX, 65536)
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
