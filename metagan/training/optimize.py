"""Adam with lazy regularisation's correction and a falling rate, and the generator's moving average.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958, appendix B.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676, appendix (the average's ramp-up).
    [3] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696 (the
        rate's inverse square root decay).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

ADAM_EPSILON = 1e-8
MOMENTS = ("exp_avg", "exp_avg_sq")


def lazy_correction(interval: int) -> float:
    """C = k / (k + 1) for a regulariser that runs every k steps; 1 where there is none (k = 0).

    A regularised network takes k + 1 optimiser steps where others take k: its learning rate is multiplied by c and its
    betas are raised to the power of c ([1] appendix B).
    """
    return interval / (interval + 1) if interval else 1.0


def make_adam(network: nn.Module, learning_rate: float, interval: int) -> torch.optim.Adam:
    """Adam (beta 0 and 0.99) over a network's trainable parameters, corrected for its lazy regulariser."""
    correction = lazy_correction(interval)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, device = learning_rate * correction, parameters[0].device
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(
        [{"params": parameters, "initial_lr": rate}],
        lr=torch.tensor(rate, device=device) if on_gpu else rate,  # recorded steps read it there
        betas=(0.0, 0.99**correction),
        eps=ADAM_EPSILON,
        fused=on_gpu,
        capturable=on_gpu,
    )


def decay(seen: int, from_kimg: float) -> float:
    """What the learning rate is multiplied by: 1 at first, then the square root of from_kimg / kimg ([3]).

    It depends on no run's end, so that a run can go on for longer than was meant.

    Args:
        seen: Pictures so far.
        from_kimg: Thousands of pictures from which on it falls; 0 for never.
    """
    return min(1.0, (from_kimg * 1000 / max(seen, 1)) ** 0.5) if from_kimg else 1.0


def scale_rate(optimizer: torch.optim.Adam, factor: float) -> None:
    """Let Adam go on with this multiple of the rate that it was made with."""
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def adam_tensors(optimizer: torch.optim.Adam, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Everything that Adam remembers, "synthesis.weight/exp_avg" for each parameter that has been stepped."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, memory in optimizer.state.items()
        for key, value in memory.items()
    }


def restore_adam(
    optimizer: torch.optim.Adam, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `adam_tensors` gave, in the parameters' own memory layout."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            if f"{name}/step" not in tensors:
                continue
            memory = {key: torch.zeros_like(parameter).copy_(tensors[f"{name}/{key}"]) for key in MOMENTS}
            device = (
                parameter.device if group.get("fused") else torch.device("cpu")
            )  # where Adam counts its steps
            optimizer.state[parameter] = {"step": tensors[f"{name}/step"].clone().to(device), **memory}


def ema_weight(batch: int, seen: int, half_life_kimg: float, rampup: float) -> float:
    """How much of the moving average survives a step of `batch` pictures.

    0.5^(batch / half-life), the half-life being at most `rampup` times the pictures seen so far ([2]).
    """
    half_life = min(half_life_kimg * 1000, seen * rampup) if rampup else half_life_kimg * 1000
    return float(0.5 ** (batch / max(half_life, 1e-8)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, survives: float) -> None:
    """Move the average's parameters toward the network's; buffers (the mean style, noise) are copied."""
    own: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(own, list[Tensor](network.parameters()), 1 - survives)
    torch._foreach_copy_(list[Tensor](average.buffers()), list[Tensor](network.buffers()))
