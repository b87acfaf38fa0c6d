"""Where networks run."""

from __future__ import annotations

import torch

from metagan.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA before MPS before the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        DeviceError: There is no such device here.
    """
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"--device {name}: no device of that name; here there is auto, {', '.join(there)}"
        raise DeviceError(msg) from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type not in there or (device.index or 0) >= count:
        msg = f"--device {name}: not on this machine; here there is auto, {', '.join(there)}"
        raise DeviceError(msg)
    return device


def available_devices() -> list[str]:
    """The kinds of device of this machine, best first."""
    kinds = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [kind for kind, there in kinds if there]
