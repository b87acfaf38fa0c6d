"""Adam corrected for lazy regularisation, learning rate decay, and the generator's moving average.

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


def decay(seen: int, from_kimg: float) -> float:
    """Return the factor of the learning rate: 1 up to from_kimg, then the square root of from_kimg / kimg ([3]).

    It doesn't depend on the length of the run, so that a run can be extended.

    Args:
        seen: Number of pictures so far.
        from_kimg: Thousands of pictures after which the rate decays; 0 for never.
    """
    return min(1.0, (from_kimg * 1000 / max(seen, 1)) ** 0.5) if from_kimg else 1.0


def scale_rate(optimizer: torch.optim.Adam, factor: float) -> None:
    """Set Adam's learning rate to a multiple of its initial rate."""
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


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


def ema_weight(batch: int, seen: int, half_life_kimg: float, rampup: float) -> float:
    """Return the weight of the old moving average in a step of `batch` pictures.

    It is 0.5^(batch / half-life), where the half-life is at most `rampup` times the pictures seen so far ([2]).
    """
    half_life = min(half_life_kimg * 1000, seen * rampup) if rampup else half_life_kimg * 1000
    return float(0.5 ** (batch / max(half_life, 1e-8)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, survives: float) -> None:
    """Update the moving average's parameters; buffers (the mean style, noise) are copied."""
    own: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(own, list[Tensor](network.parameters()), 1 - survives)
    torch._foreach_copy_(list[Tensor](average.buffers()), list[Tensor](network.buffers()))
