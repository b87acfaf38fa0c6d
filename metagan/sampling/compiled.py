"""A synthesis compiled by PyTorch, for who draws tens of thousands of pictures of one generator."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.errors import DeviceError
from metagan.fetch.cache import cache_folder
from metagan.networks.generator import Noise, Synthesis

COMPILER_MISSING = "InvalidCxxCompiler"


class CompiledSynthesis:
    """A synthesis by torch.compile: the first picture takes up to minutes, a later process's first one seconds.

    What was compiled is kept for the next process in "compiled" in the user's cache, or where
    TORCHINDUCTOR_CACHE_DIR says. Random noise is drawn on the CPU from each picture's seed; with it the synthesis
    stays as it is.

    Args:
        synthesis: What to compile; a form whose work doesn't go picture by picture, or every picture of the batch is
            compiled by itself.

    Raises:
        DeviceError: This PyTorch can't compile with this Python.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
        self._synthesis = synthesis
        try:
            self._compiled = torch.compile(synthesis.synthesize, dynamic=False, fullgraph=True)
        except RuntimeError as error:
            raise _refusal(error) from error

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Draw pictures, nominally within [-1, 1], from styles.

        Raises:
            DeviceError: PyTorch can't compile this generator, or not here.
        """
        from torch._dynamo.exc import TorchDynamoException

        if noise is not None and noise.mode == "random":
            return self._synthesis.synthesize(ws, noise)
        try:
            images: Tensor = self._compiled(ws, noise)
        except TorchDynamoException as error:
            raise _refusal(error) from error
        return images


def _refusal(error: Exception) -> DeviceError:
    lines = str(error).strip().splitlines()
    what = next(
        (line for line in lines if not line.startswith("backend=")), lines[0]
    )  # PyTorch before 2.7 begins so
    fix = "install a C++ compiler (g++, clang++), or leave" if COMPILER_MISSING in what else "leave"
    return DeviceError(f"--compile: PyTorch can't compile this ({what:.200}); {fix} --compile out")
