"""Training pictures a second: metagan's step against a plain loop of the same recipe and network size.

    python -m benchmarks.train [--resolution 64] [--preset small] [--batch 16] [--steps 32] [--threads 1]

The plain loop (class Plain below) is what one writes without looking for speed: float32, ordinary memory layout,
kernels per picture by grouped convolution, every gain and bias as its own pass, fresh pictures for the discriminator,
derivatives as PyTorch has them. Its FIR filters come in two ways: as three box filters by average pooling ("boxes"),
and as depthwise convolutions ("depthwise"). Both loops run all regularisers at the same intervals, turn by turn in one
process, and the ratio of their processor times is what counts; it holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metagan.training.data_loader import DataLoader
from metagan.training.distributed import World
from metagan.training.networks import new_networks
from metagan.training.optimize import make_adam
from metagan.training.options import Recipe
from metagan.training.recipe import PRESETS, discriminator_config, generator_config
from metagan.training.setup import choose_precision
from metagan.training.state import read_state, write_state
from metagan.training.trainer import Trainer, path_lengths, r1_penalty
from metagan.values import Size

WORLD = World(0, 1, torch.device("cpu"))


class Noise:
    """Random pictures: what they show costs nothing."""

    label_count = 0

    def __init__(self, resolution: int) -> None:
        self.size = Size.square(resolution)
        self._pixels = np.random.default_rng(0).integers(0, 256, (64, 3, resolution, resolution), np.uint8)

    def __len__(self) -> int:
        return len(self._pixels)

    def pixels(self, index: int) -> np.ndarray:
        return self._pixels[index]

    def label(self, index: int) -> np.ndarray:
        return np.zeros(index * 0, np.float32)


# --------------------------------------------------------------------------------------------
# The plain loop


FILTER = {"way": "boxes"}


def smooth(x: Tensor, pad: tuple[int, int]) -> Tensor:
    """[1, 3, 3, 1] / 8 along both axes; the same as a box of two, three times."""
    x = F.pad(x, (*pad, *pad))
    if FILTER["way"] == "depthwise":
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        return F.conv2d(x, torch.outer(line, line).expand(x.shape[1], 1, 4, 4), groups=x.shape[1])
    for _ in range(3):
        x = F.avg_pool2d(x, 2, 1)
    return x


class PlainDense(nn.Module):
    def __init__(self, before: int, after: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.rate, self.gain = rate, rate / math.sqrt(before)
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain) + self.bias * self.rate


class PlainStyled(nn.Module):
    """A modulated convolution by kernels per picture and grouped convolution."""

    def __init__(self, before: int, after: int, w_dim: int, k: int, *, up: bool, demodulate: bool) -> None:
        super().__init__()
        self.affine = PlainDense(w_dim, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after, before, k, k))
        self.bias = nn.Parameter(torch.zeros(after))
        self.strength = nn.Parameter(torch.zeros([]))
        self.up, self.demodulate, self.k = up, demodulate, k

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        n, c, h, _ = x.shape
        kernels = self.weight[None] * self.affine(w)[:, None, :, None, None]
        if self.demodulate:
            kernels = kernels * (kernels.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        else:
            kernels = kernels / math.sqrt(c)
        x = x.reshape(1, n * c, h, h)
        if self.up:
            kernels = kernels.transpose(1, 2).reshape(n * c, -1, self.k, self.k)
            x = smooth(F.conv_transpose2d(x, kernels, stride=2, groups=n), (1, 1)) * 4
        else:
            x = F.conv2d(x, kernels.flatten(0, 1), padding=self.k // 2, groups=n)
        x = x.view(n, -1, *x.shape[2:])
        if not self.demodulate:
            return x + self.bias[:, None, None]
        x = x + torch.randn(n, 1, *x.shape[2:]) * self.strength
        return F.leaky_relu(x + self.bias[:, None, None], 0.2) * math.sqrt(2)


class PlainGenerator(nn.Module):
    def __init__(self, channels: tuple[int, ...], latent: int, layers: int) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(PlainDense(latent, latent, 0.01) for _ in range(layers))
        self.constant = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.latent, self.num_ws = latent, 2 * len(channels)
        self.convs, self.to_rgb = nn.ModuleList(), nn.ModuleList()
        for index, width in enumerate(channels):
            if index:
                self.convs.append(
                    PlainStyled(channels[index - 1], width, latent, 3, up=True, demodulate=True)
                )
            self.convs.append(PlainStyled(width, width, latent, 3, up=False, demodulate=True))
            self.to_rgb.append(PlainStyled(width, 3, latent, 1, up=False, demodulate=False))

    def styles(self, n: int) -> Tensor:
        x = torch.randn(n, self.latent)
        x = x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            x = F.leaky_relu(layer(x), 0.2) * math.sqrt(2)
        return x[:, None].repeat(1, self.num_ws, 1)

    def forward(self, ws: Tensor) -> Tensor:
        x = self.convs[0](self.constant.repeat(len(ws), 1, 1, 1), ws[:, 0])
        image = self.to_rgb[0](x, ws[:, 1])
        for index in range(1, len(self.to_rgb)):
            x = self.convs[2 * index - 1](x, ws[:, 2 * index - 1])
            x = self.convs[2 * index](x, ws[:, 2 * index])
            spread = F.pad(image[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
            spread = spread.reshape(len(image), 3, 2 * image.shape[2], 2 * image.shape[3])
            image = smooth(spread, (2, 1)) * 4 + self.to_rgb[index](x, ws[:, 2 * index + 1])
        return image


class PlainConv(nn.Module):
    def __init__(self, before: int, after: int, k: int, *, down: bool = False, active: bool = True) -> None:
        super().__init__()
        self.gain = 1 / math.sqrt(before * k * k)
        self.weight = nn.Parameter(torch.randn(after, before, k, k))
        self.bias = nn.Parameter(torch.zeros(after)) if active else None
        self.down, self.k = down, k

    def forward(self, x: Tensor) -> Tensor:
        if self.down:
            pad = self.k // 2 + 1
            x = F.conv2d(smooth(x, (pad, pad)), self.weight * self.gain, stride=2)
        else:
            x = F.conv2d(x, self.weight * self.gain, padding=self.k // 2)
        return x if self.bias is None else F.leaky_relu(x + self.bias[:, None, None], 0.2) * math.sqrt(2)


class PlainDiscriminator(nn.Module):
    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.from_rgb = PlainConv(3, channels[0], 1)
        pairs = list(pairwise(channels))
        self.conv0 = nn.ModuleList(PlainConv(a, a, 3) for a, _ in pairs)
        self.conv1 = nn.ModuleList(PlainConv(a, b, 3, down=True) for a, b in pairs)
        self.skip = nn.ModuleList(PlainConv(a, b, 1, down=True, active=False) for a, b in pairs)
        last = channels[-1]
        self.conv = PlainConv(last + 1, last, 3)
        self.fc, self.out = PlainDense(16 * last, last), PlainDense(last, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.from_rgb(image)
        for conv0, conv1, skip in zip(self.conv0, self.conv1, self.skip, strict=True):
            x = (conv1(conv0(x)) + skip(x)) * math.sqrt(0.5)
        n = len(x)
        y = x.view(4, n // 4, -1, 4, 4)
        y = ((y - y.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        x = torch.cat([x, y.repeat(4)[:, None, None, None].expand(-1, 1, 4, 4)], dim=1)
        return self.out(F.leaky_relu(self.fc(self.conv(x).flatten(1)), 0.2) * math.sqrt(2))


class Plain:
    """The plain loop's networks and optimisers."""

    def __init__(self, resolution: int, preset: str, recipe: Recipe) -> None:
        widths = PRESETS[preset]
        channels = widths.channels(resolution)
        self.generator = PlainGenerator(channels, widths.latent, widths.mapping_layers)
        self.average = PlainGenerator(channels, widths.latent, widths.mapping_layers)
        self.discriminator = PlainDiscriminator(channels[::-1])
        self.adam_g = make_adam(self.generator, recipe.learning_rate, recipe.path_interval)
        self.adam_d = make_adam(self.discriminator, recipe.learning_rate, recipe.r1_interval)
        self.recipe, self.resolution, self.steps = recipe, resolution, 0

    def step(self) -> None:
        recipe = self.recipe
        real = torch.rand(recipe.batch, 3, self.resolution, self.resolution) * 2 - 1
        self._apply(self.adam_g, F.softplus(-self.discriminator(self._make())).mean())
        if self.steps % recipe.path_interval == 0:
            styles = self.generator.styles(recipe.batch // 2)
            images = self.generator(styles)
            lengths = path_lengths(images, styles, torch.randn_like(images))
            self._apply(self.adam_g, (lengths - 1).square().mean())
        made = self._make().detach()
        self._apply(
            self.adam_d,
            F.softplus(self.discriminator(made)).mean() + F.softplus(-self.discriminator(real)).mean(),
        )
        if self.steps % recipe.r1_interval == 0:
            seen = real.requires_grad_()
            self._apply(self.adam_d, r1_penalty(seen, self.discriminator(seen)).mean())
        for mine, other in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mine.data.copy_(torch.lerp(other.data, mine.data, 0.999))
        self.steps += 1

    def _make(self) -> Tensor:
        first, second = self.generator.styles(self.recipe.batch), self.generator.styles(self.recipe.batch)
        cut = int(torch.randint(1, self.generator.num_ws, ()))
        return self.generator(torch.cat([first[:, :cut], second[:, cut:]], dim=1))

    def _apply(self, adam: torch.optim.Adam, loss: Tensor) -> None:
        self.adam_g.zero_grad()
        self.adam_d.zero_grad()
        loss.backward()
        adam.step()


# --------------------------------------------------------------------------------------------
# Measuring


def processor_time(step: Callable[[], None], steps: int) -> float:
    start = time.process_time()
    for _ in range(steps):
        step()
    return time.process_time() - start


def measure_resume(trainer: Trainer) -> tuple[float, float]:
    """Seconds to write a state and to go on from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        start = time.perf_counter()
        write_state(path, trainer.tensors(), trainer.facts())
        written = time.perf_counter()
        trainer.restore(*read_state(path))
        return written - start, time.perf_counter() - written


def measure() -> dict[str, object]:
    """Everything below for 64x64 pictures, in a process of its own with one thread."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("resolution", 64), ("batch", 16), ("steps", 32), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--preset", choices=list(PRESETS), default="small")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    recipe = Recipe(batch=wanted.batch, micro_batch=wanted.batch, precision=choose_precision("cpu"))
    shape = generator_config(PRESETS[wanted.preset], wanted.resolution, 0)
    networks = new_networks(shape, discriminator_config(shape), 0).to(WORLD.device)
    trainer = Trainer(recipe, networks, DataLoader(Noise(wanted.resolution), 0, mirror=False), WORLD)
    plain = Plain(wanted.resolution, wanted.preset, recipe)
    round_steps = recipe.r1_interval  # a whole round of the lazy regularisers
    spent: dict[str, list[float]] = {"metagan": [], "boxes": [], "depthwise": []}
    for turn in range(1 + max(1, wanted.steps // round_steps)):
        for name, times in spent.items():
            FILTER["way"] = name
            step = trainer.step if name == "metagan" else plain.step
            taken = processor_time(step, round_steps if turn else 1)
            if turn:  # the first turn only warms up
                times.append(taken)
        plain.steps = trainer.steps
    rates = {name: round_steps * wanted.batch / min(times) for name, times in spent.items()}
    writing, reading = measure_resume(trainer)
    result = {
        **vars(wanted),
        "precision": recipe.precision,
        "images_per_processor_s": {name: round(rate, 2) for name, rate in rates.items()},
        "ratio": {
            name: round(rates["metagan"] / rate, 2) for name, rate in rates.items() if name != "metagan"
        },
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "state_write_s": round(writing, 3),
        "resume_s": round(reading, 3),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
