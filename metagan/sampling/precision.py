"""The number format that a generator is sampled in."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from metagan.errors import OptionError

PRECISIONS = ("fp32", "bf16", "auto")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16.

    Args:
        name: "fp32": pictures are the generator's own to within a level on at most 0.1% of their values. "bf16":
            faster, at a PSNR of at least 40 dB. "auto": bf16 if the device has instructions for it, else fp32 (the
            sampler takes fp32 on processors wherever the kernel draws, which is faster still).
        device: The device that the generator runs on.

    Raises:
        OptionError: If the precision is unknown.
    """
    if name not in PRECISIONS:
        raise OptionError(f"there is no precision {name!r}", fix=f"choose one of {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16. Emulated bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(_cpu_flags() & {"avx512_bf16", "amx_bf16"})


def _cpu_flags() -> set[str]:
    """Return the processor's features by their Linux names, or nothing on other systems."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return set()
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(flags.split())
