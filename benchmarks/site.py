"""What a build costs beside its generator, how pages scale, and what memory it takes."""

import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.models import Registry, Site, Subject
from metagan.registry.weights_ref import WeightsRef
from metagan.sampling.latents import latents
from metagan.sampling.sampler import Sampler, Settings, to_uint8
from metagan.site.build.build import BuildOptions, build_site
from metagan.site.build.links import check_links
from metagan.site.pages.content import GeneratorFacts, Picture, SiteContent, SubjectContent
from metagan.site.pages.render import render_site

ROUNDS, PICTURES = 5, 16


class Silent:
    """Progress nobody watches."""

    def begin(self, what: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, amount: int) -> None:
        """Say nothing."""

    def transfer(self, transfer: object) -> None:
        """Say nothing."""


def write_generator(path: Path, resolution: int, base: int = 16384) -> Path:
    """A StyleGAN2 of random weights, as wide as `channel base` makes it."""
    torch.manual_seed(0)
    count = resolution.bit_length() - 2
    channels = tuple(min(base // (4 * 2**index), 512) for index in range(count))
    network = StyleGAN2(Config(MappingConfig(512, 0, 0, (512,) * 8), channels)).eval()
    write_safetensors(path, network.state_dict(), describe(network))
    return path


def registry_for(weights: Path, seeds: Sequence[int], *, picture_pages: bool = True) -> Registry:
    """A registry of one subject."""
    ref = WeightsRef("path", str(weights), None, weights.name)
    subject = Subject(
        title="Thing",
        weights=ref,
        licence="CC0-1.0",
        source="random",
        images=tuple(range(seed, seed + 1) for seed in seeds),
    ).named("thing")
    site = Site(title="Things", base_url="https://example.org/things/", picture_pages=picture_pages)
    return Registry(Path("registry.yaml"), site, (subject,))


def measure_build() -> dict[str, object]:
    """A build's pictures a second, everything included, against the bare generator's; in turns, 256x256."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_generator(folder / "w.safetensors", 256)
        sampler = Sampler(load_generator(read_checkpoint(weights)), torch.device("cpu"))
        list(sampler.pictures(range(sampler.batch), Settings(psi=0.7)))  # warm up
        bare, built, narrow, readable = [], [], [], []
        for turn in range(ROUNDS):
            seeds = range(turn * PICTURES, (turn + 1) * PICTURES)
            begin = time.perf_counter()
            for _ in sampler.pictures(seeds, Settings(psi=0.7)):
                pass
            bare.append(PICTURES / (time.perf_counter() - begin))
            begin = time.perf_counter()
            build_site(
                BuildOptions(registry_for(weights, seeds), folder / f"build{turn}", device="cpu"), Silent()
            )
            built.append(PICTURES / (time.perf_counter() - begin))
            begin = time.perf_counter()
            order = BuildOptions(
                registry_for(weights, seeds), folder / f"narrow{turn}", device="cpu", precision="bf16"
            )
            build_site(order, Silent())
            narrow.append(PICTURES / (time.perf_counter() - begin))
            readable.append(_readable_rate(sampler, seeds))
    ratios = [b / a for a, b in zip(bare, built, strict=True)]
    return {
        "resolution": 256,
        "batch": sampler.batch,
        "bare_per_s": round(statistics.median(bare), 2),
        "build_per_s": round(statistics.median(built), 2),
        "bf16_build_per_s": round(statistics.median(narrow), 2),
        "readable_per_s": round(statistics.median(readable), 2),
        "times_readable": round(statistics.median(b / a for a, b in zip(readable, built, strict=True)), 2),
        "bf16_times_readable": round(
            statistics.median(b / a for a, b in zip(readable, narrow, strict=True)), 2
        ),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _readable_rate(sampler: Sampler, seeds: Sequence[int]) -> float:
    """Pictures a second by network.py itself, unprepared."""
    network = sampler.generator
    begin = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(seeds), sampler.batch):
            z = latents(seeds[start : start + sampler.batch], network.z_dim)
            to_uint8(network.synthesize(network.map_latents(z, psi=0.7)))
    return len(seeds) / (time.perf_counter() - begin)


def measure_pages() -> dict[str, object]:
    """Pages a second (rendered, written, links checked) for 1,000 and 10,000 picture pages."""
    seconds: dict[int, list[float]] = {1_000: [], 10_000: []}
    for _ in range(3):
        for count, taken in seconds.items():
            taken.append(_seconds_for_pages(count))
    medians = {count: statistics.median(taken) for count, taken in seconds.items()}
    return {
        "seconds_1000": round(medians[1_000], 2),
        "seconds_10000": round(medians[10_000], 2),
        "pages_per_s": round(10_000 / medians[10_000]),
        "growth": round(medians[10_000] / medians[1_000], 2),
    }


def _seconds_for_pages(count: int) -> float:
    registry = registry_for(Path("w.safetensors"), range(count))
    facts = GeneratorFacts("StyleGAN2", 256, 256, 10**7, "0" * 64, 10**8)
    pictures = tuple(Picture(seed, f"pictures/thing/{seed}.webp") for seed in range(count))
    content = SiteContent(
        registry.site, (SubjectContent(registry.subjects[0], facts, pictures),), date(2026, 1, 1), "0", "0"
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "pictures/thing").mkdir(parents=True)
        for picture in pictures:
            (root / picture.path).touch()
        begin = time.perf_counter()
        for path, data in render_site(content, None):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        problems = check_links(root, registry.site.base_url)
        taken = time.perf_counter() - begin
    if problems:
        raise SystemExit(f"broken links: {problems[:3]}")
    return taken


def measure_memory() -> dict[str, object]:
    """Peak memory of whole builds of 1,000 and 10,000 pictures of 32x32, each in a process of its own, in MB."""
    peaks = {}
    for count in (1_000, 10_000):
        command = [
            sys.executable,
            "-c",
            f"from benchmarks.site import build_in_this_process as b; b({count})",
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[count] = json.loads(printed)
    return {
        "peak_mb_1000": peaks[1_000]["peak_mb"],
        "peak_mb_10000": peaks[10_000]["peak_mb"],
        "seconds_10000": peaks[10_000]["seconds"],
        "again_seconds_10000": peaks[10_000]["again"],
    }


def build_in_this_process(count: int) -> None:
    """Build a site of small pictures, then build it again, and print what that took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_generator(folder / "w.safetensors", 32, base=512)
        order = BuildOptions(registry_for(weights, range(count)), folder / "build", device="cpu")
        begin = time.perf_counter()
        build_site(order, Silent())
        seconds = time.perf_counter() - begin
        again = dataclasses.replace(order)
        begin = time.perf_counter()
        if not build_site(again, Silent()).unchanged:
            raise SystemExit("a second build found something to do")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            json.dumps(
                {
                    "peak_mb": round(peak),
                    "seconds": round(seconds, 1),
                    "again": round(time.perf_counter() - begin, 2),
                }
            )
        )
