"""Networks' numbers to bytes, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor


def to_uint8(images: Float[Tensor, "batch ch h w"]) -> list[NDArray[np.uint8]]:
    """Convert pictures nominally within [-1, 1] to [h, w, ch] bytes: trunc(clamp(127.5 x + 128, 0, 255)), as
    published generators round.
    """
    scaled = (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return list(scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def to_signed(pictures: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "n ch h w"]:
    """Bytes [h, w, ch] to numbers within [-1, 1], each at the middle of its level.

    `to_uint8` gives byte b to all values from (b - 128)/127.5 to (b - 127)/127.5.
    """
    stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return stack.float().sub(127.5).div(127.5)
