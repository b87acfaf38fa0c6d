"""Networks as other programs store them, made from metagan's own: for round-trips of odd shapes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.networks.stylegan2.formats.spelling import Dialect

Restore = Callable[[Tensor], Tensor]


def randomised(network: nn.Module) -> nn.Module:
    """The network with every parameter and buffer random, but for its filters."""
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if "taps" not in name:
            tensor.copy_(torch.randn_like(tensor))
    return network.eval().requires_grad_(False)


def spell_out(
    state: Mapping[str, Tensor], dialect: Dialect, stored: Mapping[Restore, Restore]
) -> dict[str, Tensor]:
    """An official state dict as another program spells and stores it.

    Args:
        state: The official tensors.
        dialect: The program's.
        stored: For each way of reading a tensor, the way of storing it; tensors of other ways are the same.
    """
    table = {}
    for official, tensor in state.items():
        spelling = dialect(official)
        if spelling is not None:
            table[spelling.name] = stored.get(spelling.restore, lambda same: same)(tensor)
    return table


def checkpoint(
    table: Mapping[str, Tensor], role: str = "G_ema", attributes: Mapping[str, object] | None = None
) -> Checkpoint:
    """A file that holds one such network."""
    return Checkpoint(Path("cat.pt"), "test", {role: NetworkRecord("Generator", table, attributes or {})})
