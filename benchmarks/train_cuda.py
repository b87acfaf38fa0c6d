"""Training pictures a second on a GPU: steps recorded as CUDA graphs against the same steps as they are called."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from benchmarks.train import Noise
from metagan.training.data_loader import DataLoader
from metagan.training.distributed import World
from metagan.training.options import AUTO, Preset, Recipe, TrainOptions
from metagan.training.setup import begin
from metagan.training.trainer import Trainer

CASES: tuple[tuple[Preset, int], ...] = (("tiny", 16), ("web", 64), ("official", 32))
RESOLUTION = 64
AUGMENT_P = 0.13  # as the bundled apes' run had it in the middle
WARM_UP_STEPS = 36  # until all parts are recorded: R1's turn comes every 16 steps
STEPS = 48


def measure_cuda() -> dict[str, object]:
    """For each case pictures a second, recorded and not, and their ratio."""
    results: dict[str, object] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    for preset, batch in CASES:
        plain, recorded = (images_per_s(preset, batch, "cuda", records=records) for records in (False, True))
        results[f"{preset}, batch {batch}"] = {
            "called_images_per_s": round(plain),
            "recorded_images_per_s": round(recorded),
            "ratio": round(recorded / plain, 1),
        }
    return results


def images_per_s(preset: Preset, batch: int, device: str, *, records: bool, steps: int = STEPS) -> float:
    """The rate of whole steps, all regularisers in their turns."""
    world, pictures = World(0, 1, torch.device(device)), Noise(RESOLUTION)
    recipe = Recipe(batch=batch, augmentation="fixed", augment_p=AUGMENT_P)
    options = TrainOptions(Path("noise"), recipe=recipe, auto=AUTO - {"batch"}, preset=preset)
    config, networks = begin(options, pictures, world)
    data_loader = DataLoader(pictures, 0, mirror=False)
    trainer = Trainer(config.recipe, networks.to(world.device), data_loader, world, records=records)
    for _ in range(WARM_UP_STEPS):
        trainer.step()
    trainer.meter.read()  # waits for the device
    start = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    trainer.meter.read()
    return steps * batch / (time.perf_counter() - start)
