"""Upscalers of other programs, the ESRGAN family and its relatives: spandrel finds out which network a file holds.

References:
    [1] Wang et al. 2018, ESRGAN, arXiv:1809.00219.

The file is read by metagan's own reader, so nothing in it is run; spandrel gets tensors only. It has no tiles, so large
pictures are taken in tiles that overlap here, as large as memory has room for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from metagan.checkpoints.model import Checkpoint
from metagan.errors import DeviceError, OptionError, UnknownArchitectureError, import_beside_torchvision
from metagan.networks.loading.assemble import require_finite
from metagan.sampling.memory import free_memory
from metagan.values import printable

REACH_PX: Final = (
    32  # overlap of tiles; what lies further away changes a pixel by less than a level in practice
)
PROBE_PX: Final = 32
TILES_PX: Final = (1024, 768, 512, 384, 256, 192, 128, 96, 64, 32)
SHARE: Final = 0.8  # of the free memory
KEPT: Final = 5  # results as large as the largest that exist at a time, as in residual dense blocks, [1]
MOST_FACTOR: Final = 16


class ForeignUpscaler:
    """Another program's upscaler, on a device.

    Args:
        network: spandrel's description of the model.
        path: Its file, for messages.
        device: Where to compute.
        tile_px: Side of the tiles; None for what memory has room for.
        memory_bytes: Most memory to take for a tile; None for most of what is free.

    Raises:
        OptionError: If the network takes other pictures than RGB, or enlarges by too much.
        DeviceError: If memory has no room for the smallest tile.
    """

    def __init__(
        self,
        network: Any,
        path: Path,
        device: torch.device,
        tile_px: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.name = str(network.architecture.name)
        channels = (network.input_channels, network.output_channels)
        if channels != (3, 3) or not hasattr(network, "scale") or not 1 <= network.scale <= MOST_FACTOR:
            raise OptionError(
                f"this {self.name} takes {channels[0]} channels and gives {channels[1]}; want RGB pictures",
                where=path,
                fix="give an upscaler of colour pictures",
            )
        self.factor, self.reach = int(network.scale), REACH_PX
        self._network = network.to(device).float().eval()
        self.tile_px = tile_px or self._fitting(device, memory_bytes)

    @torch.inference_mode()
    def __call__(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 up_h up_w"]:
        """Upscale pictures within [-1, 1]."""
        results = [self._network(one[None] / 2 + 0.5) for one in pictures]
        return torch.cat(results) * 2 - 1

    def _fitting(self, device: torch.device, memory_bytes: int | None) -> int:
        """Return the largest tile that memory has room for, from the results of the layers for a small one."""
        most = memory_bytes or (
            round(SHARE * torch.cuda.mem_get_info(device)[0])
            if device.type == "cuda"
            else round(SHARE * free_memory())
        )
        largest = 0

        def note(_module: nn.Module, _inputs: object, result: object) -> None:
            nonlocal largest
            if isinstance(result, Tensor):
                largest = max(largest, result.nbytes)

        hooks = [module.register_forward_hook(note) for module in self._network.model.modules()]
        try:
            self(torch.zeros(1, 3, PROBE_PX, PROBE_PX, device=device))
        finally:
            for hook in hooks:
                hook.remove()
        for side in TILES_PX:
            if KEPT * largest * ((side + 2 * REACH_PX) / PROBE_PX) ** 2 <= most:
                return side
        least = KEPT * largest * ((TILES_PX[-1] + 2 * REACH_PX) / PROBE_PX) ** 2
        raise DeviceError(
            f"a tile of {TILES_PX[-1]} pixels takes about {least / 2**20:.0f} MiB, and there is room for"
            f" {most / 2**20:.0f} MiB",
            fix="give more --memory, or a smaller network",
        )


def load_foreign_upscaler(
    checkpoint: Checkpoint, device: torch.device, tile_px: int | None = None, memory_bytes: int | None = None
) -> ForeignUpscaler:
    """Build an upscaler of another program.

    Args:
        checkpoint: The content of a torch file or safetensors.
        device: Where to compute.
        tile_px: Side of the tiles; None for what memory has room for.
        memory_bytes: Most memory to take for a tile; None for most of what is free.

    Raises:
        OptionError: If spandrel isn't installed, or the network takes other pictures than RGB.
        CheckpointError: If the file holds no network that spandrel knows, or is damaged.
        DeviceError: If memory has no room for the smallest tile.
    """
    path = checkpoint.path
    role = next((role for role in ("G_ema", "G") if role in checkpoint.networks), None)
    record = checkpoint.networks[role or next(iter(checkpoint.networks))]
    require_finite(record, path)
    spandrel = _spandrel(path)
    prefix = checkpoint.names.get(role or "", "").rpartition(".")[2]
    # metagan takes a prefix that all names share for the network's; ESRGAN's first form begins with "model." itself.
    for tensors in (record.tensors, {f"{prefix}.{name}": tensor for name, tensor in record.tensors.items()}):
        network = _recognised(spandrel, tensors)
        if network is not None:
            return ForeignUpscaler(network, path, device, tile_px, memory_bytes)
    names = ", ".join(list(record.tensors)[:4])
    raise UnknownArchitectureError(
        f"spandrel knows no upscaler with tensors such as {printable(names):.200}",
        where=path,
        fix="give a network of the ESRGAN family (ESRGAN, Real-ESRGAN, SwinIR, SPAN, ...), or metagan's own",
    )


def _spandrel(path: Path) -> Any:
    what = "an upscaler of another program needs spandrel"
    return import_beside_torchvision("spandrel", what, where=path, extra="upscale")


def _recognised(spandrel: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return spandrel's description of a network, or None where it knows none with these tensors."""
    copied = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    try:
        found = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(copied))
    except Exception:  # noqa: BLE001  it infers sizes from any tensors, and fails in many ways on strange ones
        return None
    return found if isinstance(found, spandrel.ImageModelDescriptor) else None
