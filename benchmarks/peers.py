"""Other programs beside metagan: a checkout of each draws, loads and trains, in turns with metagan in one process.

`python -m benchmarks sample load --peer DIR`, where DIR is a checkout of NVlabs/stylegan2-ada-pytorch, of
rosinality/stylegan2-pytorch or of lucidrains/stylegan2-pytorch. The program in DIR makes a network of random weights
and saves it as it saves its own; then both programs load that file and draw the same latents. Nothing is copied from
DIR: it is imported from there. `train --device cuda --peer DIR` trains with the authors' networks and losses.

Packages that a program imports and doesn't need for this (torchvision, fire, aim, ...) may be absent.
"""

from __future__ import annotations

import importlib
import math
import pickle
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.train import Noise
from benchmarks.turns import Draw, in_turns, measure_in_passive_process
from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_generator
from metagan.networks.lucidrains.network import LucidrainsStyleGAN2
from metagan.sampling.latents import latents
from metagan.sampling.sampler import Sampler, Settings
from metagan.training.data_loader import DataLoader
from metagan.training.distributed import World
from metagan.training.networks import new_networks
from metagan.training.options import Recipe
from metagan.training.recipe import PRESETS, discriminator_config, generator_config
from metagan.training.trainer import Trainer

TURNS = 3
# Resolution, channel base (feature channels times resolution, at most 512 of them), pictures at once, threads.
CASES = (
    (256, 16384, 1, 1),
    (256, 16384, 4, 1),
    (256, 16384, 4, 2),
    (256, 32768, 8, 1),
    (1024, 32768, 1, 2),
)
CAPACITY_CASES = ((256, 4096, 4, 1), (256, 4096, 4, 2))  # lucidrains' default width; its pictures cost more
LOADED = (256, 16384)
TRAINED = (64, 32, 48)  # resolution, batch, steps
# Modules that the programs import at their top, and that nothing here calls.
ABSENT = ("aim", "fire", "requests", "torchvision", "vector_quantize_pytorch", "retry", "lmdb")

Network = Callable[[Tensor], Tensor]  # latents [n, z_dim] to images [n, 3, h, w] from -1 to 1


class Program:
    """A program in a folder: how it makes, saves, loads and runs its generator."""

    title: ClassVar[str]
    marker: ClassVar[str]  # a file that tells it
    z_dim: ClassVar[int] = 512
    cases: ClassVar[tuple[tuple[int, int, int, int], ...]] = CASES

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, folder: Path, resolution: int, base: int) -> Path:
        """Save a network of random weights, whose pictures are in range and whose noise shows, as the program does."""
        raise NotImplementedError

    def load(self, path: Path) -> Network:
        """Load that file with the program's own classes."""
        raise NotImplementedError


class Official(Program):
    title = "NVlabs/stylegan2-ada-pytorch"
    marker = "training/networks.py"

    def make(self, resolution: int, base: int, device: str = "cpu") -> tuple[Any, Any]:
        """Its Generator and Discriminator."""
        networks = importlib.import_module("training.networks")
        common = {"c_dim": 0, "img_resolution": resolution, "img_channels": 3}
        widths = {"channel_base": base, "channel_max": 512, "conv_clamp": 256, "num_fp16_res": 0}
        generator = networks.Generator(z_dim=512, w_dim=512, synthesis_kwargs=widths, **common)
        return generator.to(device), networks.Discriminator(**common, **widths).to(device)

    def save(self, folder: Path, resolution: int, base: int) -> Path:
        generator, discriminator = self.make(resolution, base)
        tame(generator, "noise_strength", "torgb.weight")
        path = folder / "network.pkl"
        roles = {"G": generator, "D": discriminator, "G_ema": generator, "training_set_kwargs": {}}
        path.write_bytes(pickle.dumps(roles | {"augment_pipe": None}))
        return path

    def load(self, path: Path) -> Network:
        with path.open("rb") as file:
            generator = importlib.import_module("legacy").load_network_pkl(file)["G_ema"].eval()
        return lambda z: generator(z, None, noise_mode="const")


class Rosinality(Program):
    title = "rosinality/stylegan2-pytorch"
    marker = "model.py"

    def make(self, resolution: int, base: int) -> Any:
        module = importlib.import_module("model")
        return module.Generator(resolution, 512, 8, channel_multiplier=base // 16384).eval()

    def save(self, folder: Path, resolution: int, base: int) -> Path:
        generator = self.make(resolution, base)
        tame(generator, "noise.weight", "to_rgb1.conv.weight")
        path = folder / f"{resolution}-{base}.pt"
        torch.save({"g_ema": generator.state_dict(), "latent_avg": generator.mean_latent(4096)}, path)
        return path

    def load(self, path: Path) -> Network:
        resolution, base = map(int, path.stem.split("-"))
        generator = self.make(resolution, base)
        generator.load_state_dict(torch.load(path)["g_ema"])
        return lambda z: generator([z], randomize_noise=False)[0]


class Lucidrains(Program):
    title = "lucidrains/stylegan2-pytorch"
    marker = "stylegan2_pytorch/stylegan2_pytorch.py"
    cases = CAPACITY_CASES

    def make(self, resolution: int, capacity: int) -> nn.ModuleDict:
        """The two averaged networks of its `GAN`, which itself wants a GPU."""
        with mock.patch("torch.cuda.is_available", lambda: True):  # else it refuses to be imported
            module = importlib.import_module("stylegan2_pytorch.stylegan2_pytorch")
        vectorizer = module.StyleVectorizer(512, 8)
        generator = module.Generator(resolution, 512, network_capacity=capacity)
        return nn.ModuleDict({"SE": vectorizer, "GE": generator}).eval()

    def save(self, folder: Path, resolution: int, base: int) -> Path:
        networks = self.make(resolution, base // resolution)
        path = folder / f"model_{resolution}-{base}.pt"
        torch.save({"GAN": networks.state_dict(), "version": "1.9.0"}, path)
        return path

    def load(self, path: Path) -> Network:
        resolution, base = map(int, path.stem.removeprefix("model_").split("-"))
        networks = self.make(resolution, base // resolution)
        networks.load_state_dict(torch.load(path, weights_only=True)["GAN"])
        vectorizer, generator = networks["SE"], networks["GE"]
        noise = constant_noise(path)

        def draw(z: Tensor) -> Tensor:
            ws = vectorizer(z)[:, None].expand(-1, generator.num_layers, -1)
            images: Tensor = generator(ws, noise.expand(len(z), -1, -1, -1))
            return images * 2 - 1

        return draw


PROGRAMS: tuple[type[Program], ...] = (Lucidrains, Official, Rosinality)


def constant_noise(path: Path) -> Tensor:
    """The noise that metagan draws such a file with, [1, h, w, 1]: the program itself keeps none."""
    generator = load_generator(read_checkpoint(path))
    if not isinstance(generator, LucidrainsStyleGAN2):
        raise TypeError(f"{path}: want a generator of lucidrains, got {generator.architecture}")
    return generator.noise[None, :, :, None]


def tame(network: nn.Module, noise: str, *rgb: str) -> None:
    """Make noise visible, and pictures stay in range; new networks have neither."""
    for name, tensor in network.state_dict().items():
        if name.endswith(noise):
            tensor.fill_(0.1)
        elif name.endswith(rgb) or ("to_rgbs" in name and name.endswith("conv.weight")):
            tensor.mul_(0.3)


@contextmanager
def imported(folder: Path) -> Iterator[Program]:
    """The program in a folder, whose modules can be imported inside.

    Raises:
        SystemExit: If it is none of those known here.
    """
    found = [program for program in PROGRAMS if (folder / program.marker).is_file()]
    if not found:
        known = ", ".join(program.title for program in PROGRAMS)
        raise SystemExit(f"{folder}: want a checkout of {known}; none of their files is there")
    sys.path.insert(0, str(folder))
    absent = {name: mock.MagicMock() for name in ABSENT if importlib.util.find_spec(name) is None}
    # rosinality's compiles its CUDA code when it is imported, which needs a compiler and takes minutes.
    no_compiler = mock.patch("torch.utils.cpp_extension.load", lambda *_, **__: None)
    with mock.patch.dict(sys.modules, absent), no_compiler, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield found[0](folder)
        finally:
            sys.path.remove(str(folder))


# --------------------------------------------------------------------------------------------
# Sampling


def measure_sampling(folder: Path) -> dict[str, object]:
    """By case: milliseconds a picture, metagan's ratios, and how its pictures differ from the program's."""
    return measure_in_passive_process("benchmarks.peers", f"sample_here({str(folder.resolve())!r})")


def sample_here(folder: str, cases: tuple[tuple[int, int, int, int], ...] | None = None) -> dict[str, object]:
    """The same, in this process."""
    torch.manual_seed(0)
    results: dict[str, object] = {}
    with imported(Path(folder)) as program, tempfile.TemporaryDirectory() as place, torch.inference_mode():
        for resolution, base, batch, threads in cases or program.cases:
            torch.set_num_threads(threads)
            path = program.save(Path(place), resolution, base)
            plural = "s" * (threads > 1)
            name = f"{resolution}x{resolution}, channel base {base}, batch {batch}, {threads} thread{plural}"
            results[name] = _sample_case(program, path, batch)
            print(f"{name}: {results[name]}", file=sys.stderr)
            path.unlink()
        return {"program": program.title, "cases": results}


def _sample_case(program: Program, path: Path, batch: int) -> dict[str, object]:
    network, seeds = program.load(path), range(batch)
    samplers = {
        precision: Sampler(
            load_generator(read_checkpoint(path)), torch.device("cpu"), batch, precision=precision
        )
        for precision in ("fp32", "bf16")
    }

    def peer() -> Tensor:
        z = latents(seeds, program.z_dim)
        return (network(z).permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)

    def mine(precision: str) -> Draw:
        sampler = samplers[precision]
        return lambda: torch.from_numpy(np.stack([image for _, image in sampler.pictures(seeds, Settings())]))

    ways: dict[str, Draw] = {"peer": peer, "fp32": mine("fp32")}
    if samplers["bf16"].precision == "bf16":
        ways["bf16"] = mine("bf16")
    taken = in_turns(ways, TURNS)
    wanted = peer().int()
    facts: dict[str, object] = {"drawn_by": samplers["fp32"].program}
    for name, draw in ways.items():
        facts[f"{name}_ms"] = round(1e3 * taken[name].wall / batch, 1)
        facts[f"{name}_cpu_ms"] = round(1e3 * taken[name].processor / batch, 1)
        if name == "peer":
            continue
        difference = (draw().int() - wanted).abs()
        facts[f"{name}_ratio"] = round(taken["peer"].wall / taken[name].wall, 2)
        facts[f"{name}_cpu_ratio"] = round(taken["peer"].processor / taken[name].processor, 2)
        facts[f"{name}_most_levels"] = int(difference.max())
        facts[f"{name}_share_differing"] = round(float((difference > 0).float().mean()), 6)
        error = float(difference.float().square().mean())
        facts[f"{name}_psnr_db"] = round(10 * math.log10(255**2 / max(error, 1e-12)), 1)
    if facts["fp32_most_levels"] not in (0, 1):
        raise SystemExit(
            f"pictures differ by {facts['fp32_most_levels']} levels: these are not the same networks"
        )
    return facts


# --------------------------------------------------------------------------------------------
# Loading


def measure_loading(folder: Path) -> dict[str, object]:
    """Seconds from the file to a generator that can draw, in the program and in metagan."""
    return measure_in_passive_process("benchmarks.peers", f"load_here({str(folder.resolve())!r})")


def load_here(folder: str, size: tuple[int, int] = LOADED) -> dict[str, object]:
    """The same, in this process; imports are over before the clock starts."""
    with imported(Path(folder)) as program, tempfile.TemporaryDirectory() as place:
        path = program.save(Path(place), *size)
        file_mb = round(path.stat().st_size / 1e6)
        taken = in_turns(
            {"peer": lambda: program.load(path), "metagan": lambda: load_generator(read_checkpoint(path))},
            2 * TURNS,
        )
    return {
        "program": program.title,
        "file_mb": file_mb,
        **{f"{name}_s": round(took.wall, 3) for name, took in taken.items()},
        "ratio": round(taken["peer"].wall / taken["metagan"].wall, 2),
        "cpu_ratio": round(taken["peer"].processor / taken["metagan"].processor, 2),
    }


# --------------------------------------------------------------------------------------------
# Training


def measure_training(
    folder: Path, device: str = "cuda", size: tuple[int, int, int] = TRAINED, base: int = 16384
) -> dict[str, object]:
    """Pictures a second of whole steps (all regularisers in their turns, no augmentation), float32, same widths.

    The networks and losses are the authors'; the order of the parts and Adam's settings are those of the paper
    (appendix B), which both programs follow.
    """
    resolution, batch, steps = size
    with imported(folder) as program:
        if not isinstance(program, Official):
            raise SystemExit(
                f"training is compared with {Official.title} only, {folder} holds {program.title}"
            )
        theirs = _authors_step(program, resolution, base, batch, device)
        mine = _own_step(resolution, base, batch, device)
        rates: dict[str, list[float]] = {"peer": [], "metagan": []}
        for turn in range(3):
            for name, step in (("peer", theirs), ("metagan", mine)):
                rate = _rate(step, steps, device) * batch
                if turn:  # the first turn warms up, and records
                    rates[name].append(rate)
    best = {name: max(values) for name, values in rates.items()}
    return {
        "program": program.title,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "resolution": resolution,
        "batch": batch,
        **{f"{name}_images_per_s": round(rate, 1) for name, rate in best.items()},
        "ratio": round(best["metagan"] / best["peer"], 2),
    }


def _rate(step: Callable[[], object], steps: int, device: str) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return steps / (time.perf_counter() - start)


def _recipe(resolution: int, batch: int) -> Recipe:
    gamma = 0.0002 * resolution**2 / batch
    return Recipe(
        batch=batch, micro_batch=batch, gamma=gamma, augmentation="fixed", augment_p=0.0, precision="fp32"
    )


def _own_step(resolution: int, base: int, batch: int, device: str) -> Callable[[], object]:
    world = World(0, 1, torch.device(device))
    shape = generator_config(PRESETS["official"], resolution, 0, clamp=256.0)
    if PRESETS["official"].base != base:
        raise AssertionError("the official preset has another channel base")
    networks = new_networks(shape, discriminator_config(shape), 0).to(world.device)
    loader = DataLoader(Noise(resolution), 0, mirror=False)
    return Trainer(_recipe(resolution, batch), networks, loader, world, records=device == "cuda").step


def _authors_step(
    program: Official, resolution: int, base: int, batch: int, device: str
) -> Callable[[], object]:
    recipe, place = _recipe(resolution, batch), torch.device(device)
    generator, discriminator = program.make(resolution, base, device)
    average = program.make(resolution, base, device)[0].requires_grad_(requires_grad=False)
    average.load_state_dict(generator.state_dict())
    loss = importlib.import_module("training.loss").StyleGAN2Loss(
        place, generator.mapping, generator.synthesis, discriminator, r1_gamma=recipe.gamma
    )
    parts = []
    for role, network, interval in (
        ("G", generator, recipe.path_interval),
        ("D", discriminator, recipe.r1_interval),
    ):
        c = interval / (interval + 1)
        adam = torch.optim.Adam(network.parameters(), lr=0.0025 * c, betas=(0.0, 0.99**c), eps=1e-8)
        parts += [(f"{role}main", network, adam, 1), (f"{role}reg", network, adam, interval)]
    pixels = Noise(resolution)
    taken = 0

    def step() -> None:
        nonlocal taken
        real = np.stack([pixels.pixels(index % len(pixels)) for index in range(batch)])
        images = torch.from_numpy(real).to(place).float() / 127.5 - 1
        label = torch.zeros(batch, 0, device=place)
        for phase, network, adam, interval in parts:
            if taken % interval:
                continue
            adam.zero_grad(set_to_none=True)
            network.requires_grad_(requires_grad=True)
            z = torch.randn(batch, program.z_dim, device=place)
            loss.accumulate_gradients(
                phase=phase, real_img=images, real_c=label, gen_z=z, gen_c=label, sync=True, gain=interval
            )
            network.requires_grad_(requires_grad=False)
            adam.step()
        with torch.no_grad():
            for mine, other in zip(average.parameters(), generator.parameters(), strict=True):
                mine.copy_(other.lerp(mine, 0.999))
        taken += 1

    generator.requires_grad_(requires_grad=False)
    discriminator.requires_grad_(requires_grad=False)
    return step
