"""A synthesis compiled by PyTorch, for who draws thousands of pictures of one generator."""

from __future__ import annotations

import logging
import os

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.checkpoints.cache import cache_folder
from metagan.errors import DeviceError
from metagan.networks.generator import Noise, Synthesis


class CompiledSynthesis:
    """A synthesis by torch.compile: the first picture takes up to minutes, a later process's first one seconds.

    Random noise is drawn on the CPU from each picture's seed; with it the synthesis stays as it is.

    What was compiled is kept for the next process in "compiled" in the user's cache, or where
    TORCHINDUCTOR_CACHE_DIR says.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        logging.getLogger("torch._dynamo").setLevel(
            logging.ERROR
        )  # of what it can't compile it uses the original
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
        self._synthesis = synthesis
        self._compiled = torch.compile(synthesis.synthesize, dynamic=False)

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1].

        Raises:
            DeviceError: PyTorch can't compile here, for want of a C++ compiler mostly.
        """
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        if noise is not None and noise.mode == "random":
            return self._synthesis.synthesize(ws, noise)
        try:
            images: Tensor = self._compiled(ws, noise)
        except (TorchDynamoException, InductorError) as error:
            what = str(error).strip().splitlines()[0]
            msg = f"--compile: PyTorch can't compile here ({what:.200})"
            raise DeviceError(
                f"{msg}; install a C++ compiler (g++, clang++), or leave --compile out"
            ) from error
        return images
