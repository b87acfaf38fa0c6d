"""Draws batches of uint8 pictures from a generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from metagan.errors import DeviceError, OptionError
from metagan.networks.generator import Generator, Noise, PictureSynthesis, Synthesis
from metagan.networks.loading.forms import describe_program, has_narrow_form, is_recordable, prepare_synthesis
from metagan.networks.upscaler import Upscaler
from metagan.networks.upscaler.native import describe_program as describe_upscaling_program
from metagan.sampling.cuda_graphs import GraphRunner, RecordedSynthesis
from metagan.sampling.device import on_one_thread_each
from metagan.sampling.latents import labels, latents, one_hot
from metagan.sampling.levels import to_uint8
from metagan.sampling.memory import fit_batch, keep_freed_memory
from metagan.sampling.precision import choose_dtype
from metagan.sampling.upscale import enlarge_images, prepare_upscaler
from metagan.values import Label, Size, counted

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """Drawing options that all pictures of a call share.

    Args:
        psi: Truncation: 1 leaves styles as they are, 0 gives the mean picture.
        cutoff: Number of styles to truncate, from the coarsest on; None for all.
        label: What a conditional generator is asked for: a class, or its label's numbers; ignored by others.
        noise: "const", "random" (from each picture's seed) or "none".
        z_shift: Added to each picture's latents, [z_dim]; None for nothing.
        ws_shift: Added to each picture's styles after truncation, [num_ws, w_dim]; None for nothing.
    """

    psi: float = 1.0
    cutoff: int | None = None
    label: Label | None = None
    noise: str = "const"
    z_shift: Tensor | None = None
    ws_shift: Tensor | None = None


class Sampler:
    """Draws pictures from one generator on one device.

    A picture must not depend on the number of others. PyTorch's convolutions choose their order of summation by the
    batch's shape, so its batches all have the same size and the last one is padded with repetitions. Pictures of the
    kernel have the same bits in every batch.

    Args:
        generator: Any generator.
        device: The device to run it on.
        batch: Pictures per batch, or None to choose by their size and the device's memory.
        precision: "fp32", "bf16" or "auto"; see `choose_dtype`. Generators without a faster form are always
            sampled in float32.
        upscaler: What enlarges each picture; None to leave them as they are drawn.

    Raises:
        OptionError: There is an upscaler, and the generator's pictures aren't RGB.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        batch: int | None = None,
        *,
        precision: str = "fp32",
        upscaler: Upscaler | None = None,
    ) -> None:
        if upscaler is not None and generator.image_channels != 3:
            raise OptionError(
                f"upscaling wants RGB pictures, the generator's have {counted(generator.image_channels, 'channel')}",
                fix="draw them without an upscaler",
            )
        self.generator = generator.to(device)
        self.upscaler = None if upscaler is None else upscaler.to(device)
        self._enlarger = None if self.upscaler is None else prepare_upscaler(self.upscaler)
        self.device = device
        dtype = choose_dtype(precision, device) if has_narrow_form(generator) else torch.float32
        form = prepare_synthesis(self.generator, dtype)
        if precision == "auto" and device.type == "cpu" and dtype != torch.float32:
            exact = prepare_synthesis(self.generator, torch.float32)
            if isinstance(exact, PictureSynthesis):  # the kernel: 1.3 times as fast as bfloat16, and exact
                form, dtype = exact, torch.float32
        self.precision = "fp32" if dtype == torch.float32 else "bf16"
        self.batch = batch or self._fit_batch(form)
        recorded = device.type == "cuda" and is_recordable(generator)
        self._recorded = RecordedSynthesis(form, GraphRunner(device)) if recorded else None
        self._synthesis = self._recorded or form
        self._alone = isinstance(form, PictureSynthesis) or (
            self.precision == "bf16" and device.type == "cpu"
        )

    @property
    def size(self) -> Size:
        """Of its pictures."""
        return self.generator.size.times(self.upscaler.config.factor if self.upscaler else 1)

    @property
    def resolution(self) -> int:
        """The longer side of its pictures in pixels; of square ones, both."""
        return self.size.longest

    @property
    def program(self) -> str:
        """What draws, for people: "metagan's kernel, x86-64-v4", or "PyTorch" and why."""
        if self.device.type == "cpu" and self.precision == "fp32":
            return describe_program(self.generator)
        return f"PyTorch, {self.precision} on {self.device}"

    @property
    def enlarging_program(self) -> str | None:
        """What enlarges, likewise; None without an upscaler."""
        if self.upscaler is None:
            return None
        if self.device.type == "cpu":
            return describe_upscaling_program(self.upscaler)
        return f"PyTorch, fp32 on {self.device}"

    def pictures(
        self,
        seeds: Sequence[int],
        settings: Settings,
        rows: Float[Tensor, "seeds c_dim"] | None = None,
    ) -> Iterator[tuple[int, Picture]]:
        """Yield each seed with its picture [h, w, ch], in the order of the seeds.

        Args:
            seeds: One per picture.
            settings: What the pictures share.
            rows: A label vector per picture; None for the settings' class.

        Raises:
            OptionError: If the class is missing or out of range.
            DeviceError: If not even a single picture fits into the device's memory.
        """
        with keep_freed_memory():
            yield from self._batches(seeds, settings, rows)

    def draw_styles(
        self, rows: Iterable[Float[Tensor, "num_ws w_dim"]], noise: str = "const", seed: int = 0
    ) -> Iterator[Picture]:
        """The picture [h, w, ch] of each row of styles, in order; no more than a batch is held.

        Args:
            rows: Styles as `Generator.map_latents` gives them, of one picture each.
            noise: As in Settings.
            seed: Of random noise, the same for each picture.

        Raises:
            DeviceError: Not even a single picture fits into the device's memory.
        """
        waiting = iter(rows)
        with keep_freed_memory():
            while chunk := list(islice(waiting, self.batch)):
                yield from self._draw_chunk(chunk, noise, seed)

    def _draw_chunk(self, chunk: list[Tensor], mode: str, seed: int) -> Iterator[Picture]:
        start = 0
        while start < len(chunk):
            part = chunk[start : start + self.batch]
            try:
                filled = part if self._is_single else part + part[-1:] * (self.batch - len(part))
                noise = Noise(mode, [seed] * len(filled))
                with torch.inference_mode(), exact_convolutions():
                    drawn = self._pictures_of(torch.stack(filled).to(self.device), noise)[: len(part)]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                continue
            yield from drawn
            start += len(part)

    def _batches(
        self, seeds: Sequence[int], settings: Settings, rows: Tensor | None
    ) -> Iterator[tuple[int, Picture]]:
        start = 0
        while start < len(seeds):
            chunk = list(seeds[start : start + self.batch])
            filled = self._filled_up(chunk)
            if rows is None:
                label = labels(self.generator, settings.label, len(filled))
            else:
                label = rows[[min(start + place, len(rows) - 1) for place in range(len(filled))]]
            try:
                drawn = self._draw(filled, label, settings)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                continue
            yield from zip(chunk, drawn, strict=False)
            start += len(chunk)

    @property
    def _is_single(self) -> bool:
        """Whether pictures are drawn one by one anyway, so that batches needn't be filled up."""
        return isinstance(self._synthesis, PictureSynthesis)

    def _filled_up(self, seeds: list[int]) -> list[int]:
        if self._is_single:
            return seeds
        return seeds + seeds[-1:] * (self.batch - len(seeds))

    @torch.inference_mode()
    def _draw(self, seeds: list[int], label: Tensor | None, settings: Settings) -> list[Picture]:
        z = latents(seeds, self.generator.z_dim).to(self.device)
        if settings.z_shift is not None:
            z = z + settings.z_shift.to(z)
        label = None if label is None else label.to(self.device)
        with exact_convolutions():
            return self._pictures_of(self._map_latents(z, label, settings), Noise(settings.noise, seeds))

    def _pictures_of(self, ws: Tensor, noise: Noise) -> list[Picture]:
        if isinstance(self._synthesis, PictureSynthesis) and self.upscaler is None:
            return list(self._synthesis.pictures(ws, noise).numpy())
        return self.finish(self._synthesis.synthesize(ws, noise))

    @torch.inference_mode()
    def finish(self, images: Float[Tensor, "batch ch h w"]) -> list[Picture]:
        """Turn a generator's own images into pictures [h, w, ch]: enlarged where there is an upscaler, and rounded."""
        if self._enlarger is None:
            return to_uint8(images)
        return enlarge_images(self._enlarger, images.float().clamp(-1, 1))  # its own numbers, not yet rounded

    def _map_latents(self, z: Tensor, label: Tensor | None, settings: Settings) -> Tensor:
        """Map latents to styles. For the kernel, and for bfloat16 on a CPU, map them one by one, on one thread: the
        result must not depend on the batch or the threads, and rounding to bfloat16 would amplify differences."""
        size = 1 if self._alone else len(z)
        with on_one_thread_each() if self._alone else nullcontext():
            parts = [
                self.generator.map_latents(
                    z[start : start + size],
                    None if label is None else label[start : start + size],
                    psi=settings.psi,
                    cutoff=settings.cutoff,
                )
                for start in range(0, len(z), size)
            ]
        ws = torch.cat(parts)
        return ws if settings.ws_shift is None else ws + settings.ws_shift.to(ws)

    def _fit_batch(self, synthesis: Synthesis) -> int:
        """Return the batch size that fits, measured with a one-hot label. If not even one picture fits, it is 1."""

        def draw(batch: int) -> None:
            z = latents(range(batch), self.generator.z_dim).to(self.device)
            label = one_hot(0, self.generator.c_dim, batch)
            label = None if label is None else label.to(self.device)
            with torch.inference_mode(), exact_convolutions():
                to_uint8(synthesis.synthesize(self.generator.map_latents(z, label)))

        try:
            return fit_batch(self.generator.size, self.device, draw)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return 1

    def _halve(self, error: Exception) -> None:
        if self._recorded:
            self._recorded.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch == 1:
            raise DeviceError(
                "not even one picture fits into its memory", where=str(self.device), fix="try --device cpu"
            ) from error
        self.batch //= 2


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out: GPUs raise a class of their own, CPUs are recognised by the text."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)


def exact_convolutions() -> AbstractContextManager[None]:
    """On NVIDIA GPUs: use full float32 (no TensorFloat-32) and deterministic sums."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
