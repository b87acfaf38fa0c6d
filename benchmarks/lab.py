"""The lab's bars: pictures of the bundled apes projected back, films beside plain sampling, the best tenth of seeds."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.datasets.source import PictureSource
from metagan.drawings.render import render
from metagan.evaluation.features import FeatureSpace
from metagan.evaluation.quality import compare
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.lab.perceptual import load_perceptual
from metagan.lab.project import ProjectOptions, project
from metagan.lab.rank import Ranker, RankOptions
from metagan.lab.targets import Target
from metagan.lab.walk import Walk, WalkOptions, write_walk
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings

SEEDS = (1, 2, 3, 4, 5, 6)
PSI = 0.7
ROUNDS = 3
FRAMES = 240
REALS = 1000  # to rank by, and as many others to measure precision against
RANKED = range(10_000, 12_000)  # seeds that no training looked at


def measure() -> dict[str, object]:
    """PSNR and seconds of a projection, and a film's rate as a share of sampling's, in turns."""
    generator = load_generator(read_checkpoint(bundled_weights("apes")))
    perceptual = load_perceptual("auto")
    ratios, seconds, processor = [], [], []
    for seed in SEEDS:
        wall, busy = time.perf_counter(), time.process_time()
        found = project(generator, [_target(generator, seed)], ProjectOptions(), perceptual=perceptual)[0]
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - busy)
        ratios.append(round(found.psnr_db, 1))
    return (
        {
            "project_psnr_db": ratios,
            "project_median_psnr_db": round(statistics.median(ratios), 1),
            "project_s": round(statistics.median(seconds), 1),
            "project_cpu_s": round(statistics.median(processor), 1),
            "project_lpips": "none" if perceptual is None else perceptual.backbone,
            "project_threads": torch.get_num_threads(),
        }
        | _walk(generator)
        | _rank(generator)
    )


def _target(generator: Generator, seed: int) -> Target:
    with torch.inference_mode():
        ws = generator.map_latents(latents([seed], generator.z_dim), psi=PSI)
        picture = to_uint8(generator.synthesize(ws))[0]
    side = generator.resolution
    pixels = torch.from_numpy(picture.transpose(2, 0, 1).copy()).float() / 127.5 - 1
    return Target(str(seed), pixels, torch.ones(1, side, side))


def _walk(generator: Generator) -> dict[str, object]:
    """Films beside plain sampling, while drawing takes every core, and while it leaves one to the encoder."""
    threads = torch.get_num_threads()
    shares = {
        "walk_share_of_sample_rate": _walk_shares(generator),
        "walk_share_of_sample_with_files": _walk_shares(generator, with_files=True),
    }
    if threads > 1:
        torch.set_num_threads(threads - 1)
        shares["walk_share_with_a_core_free"] = _walk_shares(generator)
        torch.set_num_threads(threads)
    return dict(shares)


def _walk_shares(generator: Generator, *, with_files: bool = False) -> list[float]:
    """Frames a second of a film in mp4, by pictures a second of the same sampler, in turns.

    With files, the pictures are written as PNG, as `metagan sample` does.
    """
    sampler = Sampler(generator, torch.device("cpu"))
    walk = Walk(generator, WalkOptions(("1", "5", "9"), seconds=FRAMES / 30, loop=True))
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            before = time.perf_counter()
            for seed, picture in sampler.pictures(range(FRAMES), Settings()):
                if with_files:
                    label = Provenance("apes (metagan)", seed, 1.0)
                    write_bytes(Path(folder) / f"{seed}.png", encode(picture, "png", label))
            between = time.perf_counter()
            write_walk(walk, sampler, Path(folder) / "walk.mp4", "apes")
            rates.append((between - before) / (time.perf_counter() - between))
    return [round(rate, 2) for rate in rates]


def _rank(generator: Generator) -> dict[str, object]:
    """Precision of the best tenth by realism, of the worst and of all, against other real pictures.

    The bundled apes come without a discriminator, so that the ranking by one isn't measured here.
    """
    sampler = Sampler(generator, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        zips = [Path(folder) / f"{seed}.zip" for seed in (0, 1)]
        for seed, path in enumerate(zips):
            render("apes", path, count=REALS, resolution=generator.resolution, seed=seed)
        others = PictureSource(zips[1], labelled=False)
        real = np.stack([others.pixels(index) for index in range(len(others))])
        ranker = Ranker(sampler, Settings(), RankOptions(), dataset=PictureSource(zips[0], labelled=False))
        order = [score.seed for score in ranker.order(list(ranker.score(RANKED)))]
    space = FeatureSpace.of(real)
    drawn = dict(sampler.pictures(RANKED, Settings()))
    places = dict(
        zip(drawn, space.place(np.stack([each.transpose(2, 0, 1) for each in drawn.values()])), strict=True)
    )

    def precision(seeds: list[int]) -> float:
        found = compare(space.place(real), torch.stack([places[seed] for seed in seeds]))
        return round(found["precision"], 3)

    tenth = len(order) // 10
    return {
        "rank_precision_all": precision(order),
        "rank_precision_best_tenth_by_realism": precision(order[:tenth]),
        "rank_precision_worst_tenth_by_realism": precision(order[-tenth:]),
    }
