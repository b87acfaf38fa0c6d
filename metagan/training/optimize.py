"""Adam corrected for lazy regularisation, and its state by name.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958, appendix B.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

ADAM_EPSILON = 1e-8
MOMENTS = ("exp_avg", "exp_avg_sq")


def lazy_correction(interval: int) -> float:
    """Return c = k / (k + 1) for a regulariser that runs every k steps; 1 without one (k = 0).

    A regularised network takes k + 1 optimiser steps where others take k: its learning rate is multiplied by c and its
    betas are raised to the power of c ([1] appendix B).
    """
    return interval / (interval + 1) if interval else 1.0


def make_adam(
    network: nn.Module, learning_rate: float, interval: int, betas: tuple[float, float] = (0.0, 0.99)
) -> torch.optim.Adam:
    """Make an Adam for a network's trainable parameters, corrected for its lazy regulariser."""
    correction = lazy_correction(interval)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, device = learning_rate * correction, parameters[0].device
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(
        [{"params": parameters, "initial_lr": rate}],
        lr=torch.tensor(rate, device=device)
        if on_gpu
        else rate,  # recorded steps read the rate from this tensor
        betas=(betas[0] ** correction, betas[1] ** correction),
        eps=ADAM_EPSILON,
        fused=on_gpu,
        capturable=on_gpu,
    )


def adam_tensors(optimizer: torch.optim.Adam, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Return Adam's state by name, such as "synthesis.weight/exp_avg", for parameters that have been updated."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, memory in optimizer.state.items()
        for key, value in memory.items()
    }


def restore_adam(
    optimizer: torch.optim.Adam, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Restore the state from `adam_tensors`, in the parameters' memory layout."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            if f"{name}/step" not in tensors:
                continue
            memory = {key: torch.zeros_like(parameter).copy_(tensors[f"{name}/{key}"]) for key in MOMENTS}
            device = (
                parameter.device if group.get("fused") else torch.device("cpu")
            )  # the device of Adam's step counter
            optimizer.state[parameter] = {"step": tensors[f"{name}/step"].clone().to(device), **memory}
