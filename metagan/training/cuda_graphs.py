"""Parts of a training step as CUDA graphs: a GPU waits for orders longer than it takes to follow them.

A step of networks that fit a web page is thousands of orders (kernels) of a few microseconds each, and Python takes
several times as long to give one. Recorded once, all of them are given at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

WARM_UPS = 2  # before recording: libraries choose algorithms, and what lasts is allocated, on the first calls


class Recorder:
    """Plays parts of a step; on a GPU it records each one and plays the recording from then on.

    A part takes and gives nothing: it reads and writes tensors that stay where they are from call to call (`hold`
    keeps inputs so), draws chance from `source`, and doesn't wait for the device.

    Args:
        source: Where the parts' chance comes from; whoever plays them seeds it.
        records: Whether to record; elsewhere than on NVIDIA's devices parts are only called.
    """

    def __init__(self, source: torch.Generator, *, records: bool = True) -> None:
        self.device = source.device
        self.records = records and self.device.type == "cuda" and torch.version.cuda is not None
        self._source = source
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._calls: Counter[Hashable] = Counter()
        self._held: dict[str, Tensor] = {}
        if self.records:
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Where parts are played: one stream for recorded and unrecorded ones, in order with the work around them."""
        if not self.records:
            yield
            return
        around = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(around)
        with torch.cuda.stream(self._stream):
            yield
        around.wait_stream(self._stream)

    def hold(self, name: str, value: Tensor) -> Tensor:
        """The value on the device, for a part to read: always in the same place, where parts are recorded."""
        if not self.records:
            return value.to(self.device, non_blocking=True)
        held = self._held.get(name)
        if held is None or held.shape != value.shape:
            held = self._held[name] = torch.empty_like(value, device=self.device)
        return held.copy_(value, non_blocking=True)

    def play(self, name: Hashable, part: Callable[[], None]) -> None:
        """Do what `part` does; the same name must always stand for the same orders."""
        graph = self._graphs.get(name)
        if graph is None and self.records and self._calls[name] >= WARM_UPS:
            graph = self._graphs[name] = self._record(part)
        if graph is not None:
            graph.replay()
            return
        self._calls[name] += 1
        part()

    def forget(self) -> None:
        """Record anew: what parts read lies in other places from now on."""
        self._graphs.clear()
        self._calls.clear()

    def _record(self, part: Callable[[], None]) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._source)
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            part()
        return graph
