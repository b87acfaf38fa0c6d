"""Encoders: small networks from a picture to a generator's styles, trained on the generator's own pictures.

An encoder's answer is where `metagan.lab.fit` starts. Its file also has how well the generator's own pictures are found
that way, which is what a visitor's picture is compared with.

The networks are convolutions of step 2 down to about 4x4 pixels and one dense layer, as in Zhu et al. 2016, Generative
Visual Manipulation on the Natural Image Manifold, arXiv:1609.03552, section 3.1, but from pictures to coordinates of w
(`metagan.lab.axes`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from metagan.errors import MalformedFileError, OptionError
from metagan.files import utf8_path, write_bytes
from metagan.lab.axes import MOST_AXES, UNITS, Axes, find_axes, to_numbers
from metagan.lab.fit import Aim, fit, nearest
from metagan.lab.styles import fingerprint, map_latents, mean_style, styles_shape
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.forms import prepare_synthesis
from metagan.sampling.latents import labels, latents
from metagan.sampling.levels import to_signed, to_uint8
from metagan.values import Label

METADATA_KEY: Final = "metagan-encoder"
MAX_TEXT: Final = 1 << 20
MAX_BYTES: Final = 64 << 20
LONGEST_PX: Final = 64  # larger pictures are made smaller first
WIDTHS: Final = (16, 32, 48, 64)
SLOPE: Final = 0.2
FIRST_SEED: Final = 3_500_000_000  # of the pictures to train on: seeds that hardly anybody has on a site
FIRST_HELD_OUT: Final = 3_000_000_000  # of those to measure on
CANDIDATES: Final = 64  # seeds 0 to 63, among which the nearest is looked for
LEAST_PSI: Final = 0.5  # pictures to train on have psi from here to 1
BATCH: Final = 64
LEARNING_RATE: Final = 4e-3
DRAWN_AT_ONCE: Final = 32


@dataclass(frozen=True)
class EncoderOptions:
    """How to train an encoder.

    Args:
        axes: Number of axes of styles.
        ranges: Number of ranges of layers that the search gives a style each.
        pictures: Number of pictures to train on.
        epochs: How often each is seen.
        measured: Number of pictures to measure on.
        noise: The generator's noise in all pictures: "const", or "none".
        label: What a conditional generator is asked for: a class, or its label's numbers.
        seed: Random seed.
    """

    axes: int = 32
    ranges: int = 3
    pictures: int = 10_000
    epochs: int = 10
    measured: int = 16
    noise: str = "const"
    label: Label | None = None
    seed: int = 0


class EncoderInfo(BaseModel):
    """The metadata of an encoder's file.

    Args:
        version: Version of the format.
        generator: The generator's fingerprint, as in styles files.
        width: Width of the pictures that the network takes, in pixels.
        height: Their height.
        channels: Their channels.
        widths: Channels of the network's layers.
        axes: Number of axes of styles, the network's outputs.
        ranges: Number of ranges of layers that the search gives a style each.
        label: What the generator was asked for: a class, or its label's numbers.
        noise: The generator's noise.
        start_db: PSNR of the generator's own pictures as the network finds them, their mean.
        nearest_db: Likewise of the nearest of 64 others.
        fit_db: Likewise after the search that begins with the network's answer.
        distances: The distances after that search, in ascending order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    generator: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    width: Annotated[int, Field(ge=1, le=LONGEST_PX)]
    height: Annotated[int, Field(ge=1, le=LONGEST_PX)]
    channels: Annotated[int, Field(ge=1, le=4)]
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
    axes: Annotated[int, Field(ge=1, le=MOST_AXES)]
    ranges: Annotated[int, Field(ge=1, le=100)]
    label: int | tuple[float, ...] | None = None
    noise: Literal["const", "none"] = "const"
    start_db: Annotated[float, Field(allow_inf_nan=False)]
    nearest_db: Annotated[float, Field(allow_inf_nan=False)]
    fit_db: Annotated[float, Field(allow_inf_nan=False)]
    distances: Annotated[
        tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], Field(min_length=1, max_length=1000)
    ]


class EncoderNetwork(nn.Module):
    """Pictures to coordinates of w.

    Args:
        size: Height and width of the pictures.
        channels: Their channels.
        widths: Channels of the convolutions' outputs, each at half its input's size.
        axes: Number of coordinates.
    """

    def __init__(self, size: tuple[int, int], channels: int, widths: tuple[int, ...], axes: int) -> None:
        super().__init__()
        self.size = size
        self.channels = channels
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in pairwise((channels, *widths))
        )
        height, width = (math.ceil(side / 2 ** len(widths)) for side in size)
        self.dense = nn.Linear(widths[-1] * height * width, axes)

    def forward(self, images: Float[Tensor, "n ch h w"]) -> Float[Tensor, "n axes"]:
        """Return the coordinates of pictures within [-1, 1], which are made smaller if they are too large."""
        x = shrink(images, self.size)
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), SLOPE)
        found: Tensor = self.dense(x.flatten(1))
        return found


@dataclass(frozen=True)
class Encoder:
    """An encoder's file.

    Args:
        info: The file's metadata.
        network: The network, in evaluation mode.
    """

    info: EncoderInfo
    network: EncoderNetwork

    def numbers(self) -> Float[Tensor, " n"]:
        """Return all of the network's numbers in the browser's order: weights and biases of each layer."""
        return torch.cat([tensor.flatten() for tensor in self.network.state_dict().values()]).detach()


def input_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which an encoder sees pictures: halved until no side has more than 64 pixels."""
    while max(height, width) > LONGEST_PX:
        height, width = max(1, height // 2), max(1, width // 2)
    return height, width


def shrink(images: Float[Tensor, "n ch h w"], size: tuple[int, int]) -> Float[Tensor, "n ch h2 w2"]:
    """Return pictures at the size at which an encoder sees them, by the mean of blocks."""
    factors = (images.shape[2] // size[0], images.shape[3] // size[1])
    return images if factors == (1, 1) else F.avg_pool2d(images, factors)


class EncoderTrainer:
    """Trains an encoder of one generator.

    Args:
        generator: A generator with a mapping network, on the CPU.
        options: How to train.

    Raises:
        OptionError: If the generator has no styles, or fewer than the axes and ranges, or its noise is random.
    """

    def __init__(self, generator: Generator, options: EncoderOptions) -> None:
        if not hasattr(generator, "mapping"):
            raise OptionError(
                f"this architecture ({generator.architecture}) has no styles to encode a picture in",
                fix="train an encoder of a StyleGAN2",
            )
        self.num_ws, w_dim = styles_shape(generator)
        if options.axes > min(w_dim, MOST_AXES) or options.ranges > self.num_ws:
            raise OptionError(
                f"{options.axes} axes and {options.ranges} ranges, and this generator has styles of {w_dim} numbers "
                f"for {self.num_ws} layers",
                fix=f"ask for at most {min(w_dim, MOST_AXES)} axes and {self.num_ws} ranges",
            )
        if options.noise == "random":
            raise OptionError("an encoder can't know random noise", fix="add --noise const or --noise none")
        self.generator = generator
        self.options = options
        self._synthesis = prepare_synthesis(generator, torch.float32)
        self._noise = Noise(options.noise)
        self.axes: Axes = find_axes(generator, options.axes, options.label)

    @property
    def total(self) -> int:
        """Number of pictures that are drawn and seen in all."""
        return self.options.pictures * (1 + self.options.epochs)

    def train(self, advance: Callable[[int], None] = lambda _: None) -> EncoderNetwork:
        """Train the network.

        Args:
            advance: Called with the number of further pictures drawn or seen, of `total`.
        """
        options = self.options
        pictures, codes = self._samples(advance)
        size = (pictures.shape[2], pictures.shape[3])
        rng = torch.Generator().manual_seed(options.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            network = EncoderNetwork(size, pictures.shape[1], WIDTHS, options.axes)
        optimizer = torch.optim.Adam(network.parameters())
        batch = min(BATCH, options.pictures)
        steps = max(1, options.epochs * (options.pictures // batch))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
        lengths = self.axes.vectors.square().sum(dim=1)
        weights = lengths / lengths.mean()  # so that errors count as they do in w
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            if len(order) < batch:
                order = torch.randperm(options.pictures, generator=rng)
            chosen, order = order[:batch], order[batch:]
            found = network(pictures[chosen].float().sub(127.5).div(127.5))
            loss = (weights * (found - codes[chosen]).square()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(batch)
        return network.eval()

    def measure(
        self, network: EncoderNetwork, advance: Callable[[int], None] = lambda _: None
    ) -> EncoderInfo:
        """Search for some of the generator's own pictures, drawn with psi 1.

        Args:
            network: The trained network.
            advance: Called with the number of further pictures that were found.
        """
        options = self.options
        starts, near, found, distances = [], [], [], []
        candidates = self.axes.code(self._styles(range(CANDIDATES)))
        for index in range(options.measured):
            seed = FIRST_HELD_OUT + index
            target = to_signed(to_uint8(self._draw(self._spread(self._styles([seed])))))[0]
            aim = Aim(self._draw, self.axes, self.num_ws, target)
            with torch.inference_mode():
                own = network(target[None])
                starts.append(aim.psnr_db(aim.apart(own[:, None])[0]))
                near.append(aim.psnr_db(aim.apart(nearest(aim, candidates)[:, None])[0]))
                result = fit(aim, own, options.ranges)
                rounded = torch.tensor(to_numbers(result.code).numbers) / UNITS
                apart = aim.apart(rounded[None])[0]
            found.append(aim.psnr_db(apart))
            distances.append(float(apart.square().sum()))
            advance(1)
        height, width = network.size
        return EncoderInfo(
            generator=fingerprint(self.generator),
            width=width,
            height=height,
            channels=network.channels,
            widths=WIDTHS,
            axes=options.axes,
            ranges=options.ranges,
            label=label_of(self.generator, options.label),
            noise="none" if options.noise == "none" else "const",
            start_db=_mean(starts),
            nearest_db=_mean(near),
            fit_db=_mean(found),
            distances=tuple(float(f"{distance:.4g}") for distance in sorted(distances)),
        )

    @torch.inference_mode()
    def _samples(self, advance: Callable[[int], None]) -> tuple[Tensor, Tensor]:
        """Draw pictures, [n, ch, h, w] bytes at the size that the network sees, with their coordinates [n, axes]."""
        rng = torch.Generator().manual_seed(self.options.seed)
        mean = mean_style(self.generator)
        pictures, codes = [], []
        for first in range(0, self.options.pictures, DRAWN_AT_ONCE):
            count = min(DRAWN_AT_ONCE, self.options.pictures - first)
            w = self._styles(range(FIRST_SEED + first, FIRST_SEED + first + count))
            if mean is not None:
                w = torch.lerp(
                    mean.to(w), w, LEAST_PSI + (1 - LEAST_PSI) * torch.rand(count, 1, generator=rng)
                )
            images = self._draw(self._spread(w))
            small = shrink(images.clamp(-1, 1), input_size(images.shape[2], images.shape[3]))
            pictures.append((small * 127.5 + 127.5).round().to(torch.uint8))
            codes.append(self.axes.code(w))
            advance(count)
        return torch.cat(pictures).clone(), torch.cat(codes).clone()

    @torch.inference_mode()
    def _styles(self, seeds: range | list[int]) -> Tensor:
        """Return the style of each seed, [n, w_dim]."""
        return map_latents(self.generator, latents(seeds, self.generator.z_dim), self.options.label)[:, 0]

    def _spread(self, w: Tensor) -> Tensor:
        return w[:, None].expand(-1, self.num_ws, -1).contiguous()

    @torch.inference_mode()
    def _draw(self, ws: Tensor) -> Tensor:
        return torch.cat(
            [self._synthesis.synthesize(part, self._noise) for part in torch.split(ws, DRAWN_AT_ONCE)]
        )


def label_of(generator: Generator, label: Label | None) -> int | tuple[float, ...] | None:
    """Return what a generator is asked for, a class by its number; None if it is unconditional."""
    rows = labels(generator, label, 1)
    if rows is None:
        return None
    return tuple(rows[0].tolist()) if isinstance(label, tuple) else int(rows[0].argmax())


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 2)


# --------------------------------------------------------------------------------------------
# Files


def write_encoder(path: Path, encoder: Encoder) -> None:
    """Write an encoder's file atomically, its numbers as float16."""
    tensors = {
        name: tensor.half().contiguous().clone() for name, tensor in encoder.network.state_dict().items()
    }
    write_bytes(path, save(tensors, metadata={METADATA_KEY: encoder.info.model_dump_json()}))


def read_encoder(path: Path) -> Encoder:
    """Read an encoder's file.

    Raises:
        MalformedFileError: If the file is missing, damaged, or not an encoder's.
    """
    if not path.is_file():
        raise _malformed(path, "there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise _malformed(path, f"want at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None or len(text) > MAX_TEXT:
                raise _malformed(path, "a safetensors file, but not of an encoder")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        info = EncoderInfo.model_validate(json.loads(text))
    except SafetensorError as error:
        raise _malformed(path, f"no safetensors file, or a damaged one ({error})") from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise _malformed(path, "its metadata can't be read") from error
    network = EncoderNetwork((info.height, info.width), info.channels, info.widths, info.axes)
    want = {name: tensor.shape for name, tensor in network.state_dict().items()}
    good = {name: tensor.shape for name, tensor in tensors.items() if tensor.is_floating_point()} == want
    if not good or not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise _malformed(path, "its numbers don't fit its metadata, or aren't finite")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return Encoder(info, network.eval())


def open_encoder(
    path: Path, generator: Generator, *, label: Label | None = None, noise: str | None = None
) -> Encoder:
    """Read the encoder's file of a generator.

    Args:
        path: The file.
        generator: The generator that will draw.
        label: What the generator will be asked for: a class, or its label's numbers.
        noise: The noise with which it will draw; None for any, and random noise, too, which no encoder knows.

    Raises:
        MalformedFileError: If the file can't be read.
        OptionError: If it is another generator's, or was trained for another label or noise.
    """
    encoder = read_encoder(path)
    if encoder.info.generator != fingerprint(generator):
        begins = encoder.info.generator[:12]
        raise OptionError(
            f"this is the encoder of another generator, whose hash begins with {begins}",
            where=path,
            fix="train this generator's with `metagan encoder`",
        )
    if encoder.info.label != label_of(generator, label):
        raise OptionError(
            "this encoder was trained for another class or label",
            where=path,
            fix="train one for the subject with `metagan encoder SUBJECT`",
        )
    if noise in ("const", "none") and encoder.info.noise != noise:
        raise OptionError(
            f"this encoder was trained with noise {encoder.info.noise}, and the subject has {noise}",
            where=path,
            fix="train one for the subject with `metagan encoder SUBJECT`",
        )
    return encoder


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(found, where=path, fix="give a file that `metagan encoder` wrote")
