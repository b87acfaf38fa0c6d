"""Paints pictures that agree with words and with other pictures, by a VQGAN or a generator, and CLIP.

References:
    [1] Crowson et al. 2022, VQGAN-CLIP, arXiv:2204.08583 (the loop, cutouts, the spherical distance).
    [2] Esser et al. 2021, arXiv:2012.09841 (VQGAN).
    [3] Radford et al. 2021, arXiv:2103.00020 (CLIP).

Memory is bounded: the picture is drawn once, and its cutouts go through CLIP a few at a time, each few adding to the
picture's gradient. How many are taken at once changes results by rounding only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from metagan.errors import DeviceError, OptionError
from metagan.files import why_no_file
from metagan.lab.canvas import Canvas, inward, read_start, saved_bytes
from metagan.lab.clip import PictureTextModel
from metagan.lab.cutouts import Cutouts
from metagan.sampling.levels import to_uint8
from metagan.sampling.memory import free_memory
from metagan.sampling.sampler import exact_convolutions
from metagan.values import counted, has_controls, show

MOST_WEIGHT: Final = 100.0
MOST_CHARACTERS: Final = 2000
MAX_SEED: Final = 2**32 - 1
SHARE: Final = 0.8  # of the free memory that a painting may take
WORKSPACE: Final = 1.3  # what gradients and intermediate results take beside what is kept, as a factor
WEIGHT_MARK: Final = "::"


@dataclass(frozen=True)
class Prompt:
    """What a painting is to agree with.

    Args:
        text: The words; empty for a picture.
        picture: A picture file, or None for words.
        weight: Its weight; below zero, the painting is to disagree with it.

    Raises:
        OptionError: If there are neither words nor a picture, or the weight is 0, not finite, or too large.
    """

    text: str = ""
    picture: Path | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        shown = show(self.text if self.picture is None else str(self.picture))
        if self.picture is None and not self.text.strip():
            raise OptionError(
                "a prompt without words", where="--prompt", fix='write some, such as "an oil painting"'
            )
        if len(self.text) > MOST_CHARACTERS:
            raise OptionError(
                f"the prompt {shown}: want at most {MOST_CHARACTERS:,} characters, got {len(self.text):,}",
                where="--prompt",
                fix="write a shorter one",
            )
        if has_controls(self.text):
            raise OptionError(
                f"the prompt {shown} has control characters",
                where="--prompt",
                fix="write it in one line",
            )
        if not (0 < abs(self.weight) <= MOST_WEIGHT):  # False for NaN
            raise OptionError(
                f"the weight of {shown}: want a number from -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}, and not 0,"
                f" got {self.weight}",
                where="--prompt" if self.picture is None else "--image-prompt",
                fix=f"write it behind the prompt, TEXT{WEIGHT_MARK}0.5",
            )

    @classmethod
    def read(cls, text: str, *, picture: bool = False) -> Prompt:
        """Parse "words" or "words::weight"; with `picture`, the words are a file's path.

        Raises:
            OptionError: If what stands behind the mark is no number, or as for the class itself.
        """
        words, mark, number = text.rpartition(WEIGHT_MARK)
        if not mark:
            words, number = text, "1"
        try:
            weight = float(number)
        except ValueError:
            raise OptionError(
                f"want a number behind {WEIGHT_MARK}, got {show(number)}",
                where="--image-prompt" if picture else "--prompt",
                fix=f"write the weight there, TEXT{WEIGHT_MARK}0.5, or leave {WEIGHT_MARK} out",
            ) from None
        return cls(picture=Path(words), weight=weight) if picture else cls(words.strip(), weight=weight)


def read_prompts(texts: Iterable[str], pictures: Iterable[str] = ()) -> list[Prompt]:
    """Parse prompts, words and pictures.

    Raises:
        OptionError: If there are none, a picture isn't there, or as for `Prompt.read`.
    """
    prompts = [Prompt.read(text) for text in texts]
    prompts += [Prompt.read(text, picture=True) for text in pictures]
    if not prompts:
        raise OptionError(
            "there is no prompt", where="--prompt", fix="give at least one, or an --image-prompt"
        )
    for prompt in prompts:
        if prompt.picture is not None and not prompt.picture.is_file():
            raise OptionError(why_no_file(prompt.picture), where=prompt.picture, fix="name a picture file")
    return prompts


@dataclass(frozen=True)
class PaintOptions:
    """How to paint.

    Args:
        steps: Number of steps; each gives a picture.
        seed: Random seed.
        learning_rate: Adam's step size; None for the canvas's own.
        cuts: Cutouts in a step.
        augment: Whether cutouts are altered at random.
        precision: "fp32", or "bf16" for less memory.
        cuts_at_once: Cutouts that go through CLIP together; None for as many as memory has room for.
        checkpointing: Whether to save memory by computing a VQGAN's layers again in the backward pass; None for where
            memory has no room without.
        memory_bytes: Most memory to take; None for most of what is free.

    Raises:
        OptionError: If a number is out of range.
    """

    steps: int = 20
    seed: int = 0
    learning_rate: float | None = None
    cuts: int = 32
    augment: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"
    cuts_at_once: int | None = None
    checkpointing: bool | None = None
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("steps", self.steps, 1, 100_000),
            ("seed", self.seed, 0, MAX_SEED),
            ("cuts", self.cuts, 1, 4096),
            ("cuts_at_once", 1 if self.cuts_at_once is None else self.cuts_at_once, 1, 4096),
            ("memory_bytes", 1 if self.memory_bytes is None else self.memory_bytes, 1, 1 << 50),
        ):
            if not least <= value <= most:
                raise OptionError(f"{name}: want {least} to {most}, got {value}", fix="give one of those")
        rate = self.learning_rate
        if rate is not None and not (0 < rate <= 10):  # False for NaN
            raise OptionError(
                f"learning_rate: want a number above 0, up to 10, got {rate}", fix="leave it out"
            )
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(f"there is no precision {self.precision!r} here", fix="choose fp32 or bf16")


@dataclass(frozen=True)
class MemoryPlan:
    """What painting takes.

    Args:
        weights_bytes: The networks' weights.
        drawing_bytes: Drawing a picture with gradients.
        cut_bytes: Each cutout in CLIP.
        cuts_at_once: Cutouts in CLIP together.
        checkpointing: Whether layers are computed again.
    """

    weights_bytes: int
    drawing_bytes: int
    cut_bytes: int
    cuts_at_once: int
    checkpointing: bool

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.drawing_bytes + self.cuts_at_once * self.cut_bytes

    def __str__(self) -> str:
        again = ", with layers computed twice" if self.checkpointing else ""
        return (
            f"about {_gigabytes(self.total_bytes)} of memory: {_gigabytes(self.weights_bytes)} of weights,"
            f" {_gigabytes(self.drawing_bytes)} to draw{again}, {self.cuts_at_once} cutouts at a time of"
            f" {_gigabytes(self.cut_bytes)} each"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{max(1, round(count / 2**20))} MiB"


@dataclass
class Painting:
    """A painting after some steps: everything that a resumed one needs.

    Args:
        step: Number of finished steps.
        code: The numbers that the canvas draws.
        moments: Adam's first and second moment of them.
        distances: Distance to the prompts before each step.
    """

    step: int
    code: Tensor
    moments: tuple[Tensor, Tensor]
    distances: list[float] = field(default_factory=list)


class Painter:
    """Paints on a canvas toward prompts.

    Args:
        canvas: What is drawn.
        clip: What compares it with the prompts, on the same device.
        prompts: At least one.
        options: How to paint.

    Raises:
        OptionError: If there is no prompt.
        DatasetError: If a prompt's picture can't be read.
        DeviceError: If even the least that painting takes exceeds the memory.
    """

    def __init__(
        self, canvas: Canvas, clip: PictureTextModel, prompts: Sequence[Prompt], options: PaintOptions
    ) -> None:
        if not prompts:
            raise OptionError("there is no prompt", fix="give at least one")
        self.canvas, self.clip, self.options, self.prompts = canvas, clip, options, tuple(prompts)
        self.learning_rate = canvas.learning_rate if options.learning_rate is None else options.learning_rate
        self._cutouts = Cutouts(clip.side_px, augment=options.augment)
        self._wanted = torch.cat([self._embedded(prompt) for prompt in prompts])
        if not bool(torch.isfinite(self._wanted).all()):
            raise OptionError(
                "CLIP gives numbers for a prompt that aren't finite", fix="check CLIP's weights"
            )
        weights = torch.tensor([prompt.weight for prompt in prompts], device=canvas.device)
        self._weights = weights / weights.abs().sum()
        self.plan = self._plan()

    def notes(self) -> Iterator[str]:
        """Yield what a user should know about the prompts."""
        for prompt in self.prompts:
            over = self.clip.tokens_over(prompt.text) if prompt.picture is None else 0
            if over:
                yield f"{show(prompt.text)} is too long for CLIP, which doesn't read its last {counted(over, 'token')}"

    @torch.no_grad()
    def _embedded(self, prompt: Prompt) -> Float[Tensor, "1 dim"]:
        if prompt.picture is None:
            return self.clip.texts([prompt.text])
        side = self.clip.side_px
        return self.clip.pictures(read_start(prompt.picture, side, side).to(self.canvas.device))

    # ----------------------------------------------------------------------------------------
    # Memory

    def _plan(self) -> MemoryPlan:
        """Measure what painting takes, and choose what fits."""
        options = self.options
        with self._precision():
            one, two = (self._seeing_bytes(count) for count in (1, 2))
            each = max(two - one, 1)
            once = max(one - each, 0)  # what all cutouts share: in bf16, the weights' copies
            drawing = {
                way: once + round(WORKSPACE * self.canvas.drawing_bytes(checkpointing=way))
                for way in ((False, True) if options.checkpointing is None else (options.checkpointing,))
            }
        weights = self.canvas.weights_bytes() + _weights_of(self.clip)
        most = self._memory() if options.memory_bytes is None else options.memory_bytes
        # What is in memory already doesn't count against what is free.
        held = 0 if options.memory_bytes is None else weights
        asked = min(options.cuts, options.cuts_at_once or 1)
        for way, kept in drawing.items():
            room = (most - held - kept) // each
            if room >= asked:
                at_once = min(options.cuts, options.cuts_at_once or room)
                return MemoryPlan(weights, kept, each, at_once, way)
        smallest = held + min(drawing.values()) + asked * each
        raise DeviceError(
            f"painting {self.canvas.width}x{self.canvas.height} takes about {_gigabytes(smallest)}, and there is room"
            f" for {_gigabytes(most)}",
            fix="give a smaller --size, fewer --cuts-at-once, --checkpointing, or --precision bf16",
        )

    def _seeing_bytes(self, count: int) -> int:
        """Return about how many bytes CLIP takes for some cutouts together."""
        side = self.clip.side_px
        probe = torch.zeros(count, 3, side, side, device=self.canvas.device, requires_grad=True)
        return round(WORKSPACE * saved_bytes(lambda: self.clip.pictures(probe), _network_of(self.clip)))

    def _memory(self) -> int:
        device = self.canvas.device
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            return round(
                SHARE * (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
            )
        return round(SHARE * free_memory())

    def _precision(self) -> AbstractContextManager[object]:
        if self.options.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.canvas.device.type, torch.bfloat16)

    # ----------------------------------------------------------------------------------------
    # Steps

    def begin(self, start: Path | None) -> Painting:
        """Return a painting before its first step.

        Args:
            start: A file that the canvas can begin with; None for a random start.

        Raises:
            MetaganError: If the file can't be read, or doesn't fit the canvas.
        """
        code = self.canvas.random_start(self.options.seed) if start is None else self.canvas.start_from(start)
        code = code.contiguous()
        return Painting(0, code, (torch.zeros_like(code), torch.zeros_like(code)))

    def run(
        self,
        painting: Painting,
        keep: Callable[[Painting, NDArray[np.uint8]], None] = lambda _painting, _picture: None,
    ) -> NDArray[np.uint8]:
        """Paint to the last step, and return its picture.

        Args:
            painting: What to go on with; changed in place.
            keep: Called with the painting and its picture [h, w, 3], before the first step and after each one.

        Raises:
            OptionError: If the numbers are no longer finite.
        """
        while painting.step < self.options.steps:
            picture = self._step(painting, keep)
        with torch.no_grad(), exact_convolutions(), self._precision():
            picture = to_uint8(self.canvas.draw(painting.code))[0]
        keep(painting, picture)
        return picture

    def _step(
        self, painting: Painting, keep: Callable[[Painting, NDArray[np.uint8]], None]
    ) -> NDArray[np.uint8]:
        """Take one step: draw, compare cutouts with the prompts, and move the numbers."""
        code = painting.code.detach().clone().requires_grad_()
        with exact_convolutions(), self._precision():
            drawn = self.canvas.draw(code, checkpointing=self.plan.checkpointing)
        picture = to_uint8(drawn.detach())[0]
        keep(painting, picture)

        # The distance's gradient to the picture, some cutouts at a time; then that of the picture to the numbers.
        shown = drawn.detach().float()
        distance, change = self._differentiate(shown.clamp(-1, 1), painting.step)
        if not math.isfinite(distance):
            raise OptionError(
                f"step {painting.step + 1}: the distance to the prompts is not finite",
                fix="give a lower --learning-rate; the pictures so far are kept",
            )
        (gradient,) = torch.autograd.grad(drawn, code, grad_outputs=inward(change, shown).to(drawn.dtype))

        painting.step += 1
        self._move(painting, gradient)
        painting.distances.append(distance)
        return picture

    def _differentiate(
        self, shown: Float[Tensor, "1 3 h w"], step: int
    ) -> tuple[float, Float[Tensor, "1 3 h w"]]:
        """Return the mean distance of a picture's cutouts to the prompts, and its gradient to the picture."""
        height, width = int(shown.shape[2]), int(shown.shape[3])
        cuts = self._cutouts.plan(height, width, self.options.cuts, _source(self.options.seed, step))
        shown = shown.requires_grad_()
        total, change = 0.0, torch.zeros_like(shown)
        while several := list(islice(cuts, self.plan.cuts_at_once)):
            with self._precision():
                seen = self.clip.pictures(self._cutouts.cut(shown, several))
            distance = self._distance(seen.float()).sum() / self.options.cuts
            change += torch.autograd.grad(distance, shown)[0]
            total += float(distance.detach())
        return total, change

    def _distance(self, seen: Float[Tensor, "n dim"]) -> Float[Tensor, " n"]:
        """Return the weighted mean of squared arcs between unit vectors, [1] section 3.1."""
        chords = (seen[:, None] - self._wanted[None]).norm(dim=2)
        arcs = (chords / 2).clamp(max=1 - 1e-6).arcsin().square() * 2
        distances: Tensor = arcs @ self._weights
        return distances

    @torch.no_grad()
    def _move(self, painting: Painting, gradient: Tensor) -> None:
        """Take one step of Adam (arXiv:1412.6980, algorithm 1)."""
        first, second = painting.moments
        gradient = (
            gradient.contiguous()
        )  # kernels depend on the layout: after an interruption, it is this one
        first.lerp_(gradient.float(), 0.1)
        second.lerp_(gradient.float().square(), 0.001)
        size = (second / (1 - 0.999**painting.step)).sqrt() + 1e-8
        painting.code = painting.code - self.learning_rate / (1 - 0.9**painting.step) * first / size
        self.canvas.limit(painting.code)


def _network_of(clip: PictureTextModel) -> nn.Module | None:
    network = getattr(clip, "model", clip)
    return network if isinstance(network, nn.Module) else None


def _weights_of(clip: PictureTextModel) -> int:
    network = _network_of(clip)
    return 0 if network is None else sum(parameter.nbytes for parameter in network.parameters())


def _source(seed: int, step: int) -> torch.Generator:
    """Return the random numbers of a step: the same for every painting of a seed, and after an interruption."""
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) % 2**63)
