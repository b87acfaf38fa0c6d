"""A synthesis recorded once and played again: what a GPU waits for in small layers is mostly its next order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.networks.generator import Noise, Synthesis

WARM_UPS = 2  # before recording: libraries choose algorithms and claim memory on their first calls


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    ws: Tensor
    images: Tensor


class RecordedSynthesis:
    """A synthesis as CUDA graphs, one for each shape of styles and mode of noise.

    Random noise is drawn on the CPU from each picture's seed, so that it can't be recorded and is drawn as ever.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        self._synthesis = synthesis
        self._recordings: dict[tuple[torch.Size, str], _Recording] = {}

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1]."""
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
        """Give the recordings' memory back."""
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
