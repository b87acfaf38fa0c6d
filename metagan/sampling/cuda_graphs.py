"""CUDA graphs: work that a GPU does many times is recorded once and replayed.

A synthesis or a training step of networks that fit a web page is thousands of kernels of a few microseconds each, and
Python takes several times as long to launch one. A graph launches all of them at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from metagan.networks.generator import Noise, Synthesis

WARM_UPS = 2  # before recording: libraries choose algorithms, and what lasts is allocated, on the first calls

Part = Callable[[], None]


@runtime_checkable
class Recording(Protocol):
    """A recorded part, as torch.cuda.CUDAGraph is one."""

    def replay(self) -> None:
        """Do the same work again, on the same memory."""
        ...


Capture = Callable[[Part], Recording]


class GraphRunner:
    """Runs parts of a computation; on an NVIDIA GPU it records each one and replays the recording from then on.

    A part takes and returns nothing. It reads and writes tensors that have the same address in every call, draws random
    numbers from `rng` alone, and doesn't wait for the device.

    Args:
        device: Where the parts compute.
        rng: The source of the parts' random numbers, on that device; whoever runs the parts seeds it.
        records: Whether to record; on other devices than NVIDIA's GPUs parts are only called.
        capture: How a part is recorded; as a CUDA graph when None.
    """

    def __init__(
        self,
        device: torch.device,
        rng: torch.Generator | None = None,
        *,
        records: bool = True,
        capture: Capture | None = None,
    ) -> None:
        self._device, self._rng = device, rng
        on_gpu = device.type == "cuda" and torch.version.cuda is not None
        self._capture = capture or (self._capture_graph if on_gpu else None)
        self.records = records and self._capture is not None
        self._recordings: dict[Hashable, Recording] = {}
        self._calls: Counter[Hashable] = Counter()
        self._stream: torch.cuda.Stream | None = None
        if on_gpu and self.records:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Enter the stream that parts run on, recorded or not, in order with the work before and after."""
        if self._stream is None:
            yield
            return
        around = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(around)
        with torch.cuda.stream(self._stream):
            yield
        around.wait_stream(self._stream)

    def run(self, name: Hashable, part: Part) -> None:
        """Do what `part` does, within `stream`; the same name must always stand for the same kernels."""
        recording = self._recordings.get(name)
        if recording is None and self.records and self._capture and self._calls[name] >= WARM_UPS:
            recording = self._recordings[name] = self._capture(part)
        if recording is not None:
            recording.replay()
            return
        self._calls[name] += 1
        part()

    def forget(self) -> None:
        """Drop all recordings and their memory: what parts read will have other addresses."""
        self._recordings.clear()
        self._calls.clear()
        if self._stream is not None:
            self._pool = torch.cuda.graph_pool_handle()  # the old one ends with its last recording

    def _capture_graph(self, part: Part) -> Recording:
        graph = torch.cuda.CUDAGraph()
        if self._rng is not None:
            graph.register_generator_state(self._rng)
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            part()
        return graph


class RecordedSynthesis:
    """A synthesis that is recorded for the shape of styles and mode of noise that were asked for last.

    Random noise is drawn on the CPU from each picture's seed, so that it can't be recorded.

    Args:
        synthesis: What draws the pictures.
        graphs: What records it, on the synthesis' device; used by nobody else.
    """

    def __init__(self, synthesis: Synthesis, graphs: GraphRunner) -> None:
        self._synthesis, self._graphs = synthesis, graphs
        self._key: tuple[torch.Size, str] | None = None
        self._ws: Tensor | None = None
        self._images: Tensor | None = None

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Draw pictures, nominally within [-1, 1], from styles."""
        mode = noise.mode if noise else "const"
        if mode == "random":
            return self._synthesis.synthesize(ws, noise)
        if self._key != (ws.shape, mode) or self._ws is None:
            self.forget()  # a recording holds all its memory
            self._key, self._ws = (ws.shape, mode), torch.empty_like(ws)
        held = self._ws
        with self._graphs.stream():
            held.copy_(ws)
            self._graphs.run(self._key, lambda: self._draw(held, mode))
        if self._images is None:
            raise AssertionError("running the part gives pictures")
        return self._images.clone()

    def forget(self) -> None:
        """Give the recording's memory back."""
        self._graphs.forget()
        self._key = self._ws = self._images = None

    def _draw(self, ws: Tensor, mode: str) -> None:
        self._images = self._synthesis.synthesize(ws, Noise(mode))
