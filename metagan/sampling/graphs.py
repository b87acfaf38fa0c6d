"""Synthesis recorded as CUDA graphs: in small layers, a GPU mostly waits for the next kernel launch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.networks.generator import Noise, Synthesis

WARM_UPS = 2  # before recording, because libraries choose algorithms and allocate memory in their first calls


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    ws: Tensor
    images: Tensor


class RecordedSynthesis:
    """A synthesis as CUDA graphs, one for each shape of styles and noise mode.

    Random noise is drawn on the CPU from each picture's seed and can't be recorded; such calls run unrecorded.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        self._synthesis = synthesis
        self._recordings: dict[tuple[torch.Size, str], _Recording] = {}

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Draw pictures, nominally within [-1, 1], from styles."""
        mode = noise.mode if noise else "const"
        if mode == "random":
            return self._synthesis.synthesize(ws, noise)
        key = (ws.shape, mode)
        if key not in self._recordings:
            self._recordings.clear()  # a recording holds all its memory
            self._recordings[key] = self._record(ws, Noise(mode))
        recording = self._recordings[key]
        recording.ws.copy_(ws)
        recording.graph.replay()
        return recording.images.clone()

    def forget(self) -> None:
        """Free the memory of all recordings."""
        self._recordings.clear()

    def _record(self, ws: Tensor, noise: Noise) -> _Recording:
        ws = ws.clone()
        stream = torch.cuda.Stream(ws.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(ws.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._synthesis.synthesize(ws, noise)
        torch.cuda.current_stream(ws.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            images = self._synthesis.synthesize(ws, noise)
        return _Recording(graph, ws, images)
