"""Runs an upscaler's training: from originals and a folder to an upscaler, resuming where it stopped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metagan.checkpoints.write import write_safetensors
from metagan.datasets.source import evenly_spaced
from metagan.errors import DeviceError, DivergedError, TrainingError
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.images.sheet import contact_sheet
from metagan.networks.upscaler import Upscaler, UpscalerConfig, describe_upscaler
from metagan.sampling.upscale import enlarge, upscale_pictures
from metagan.training.archive import RunArchive
from metagan.training.data_loader import DataLoader, Pictures
from metagan.training.distributed import World
from metagan.training.options import Schedule
from metagan.training.report import Charts, write_page
from metagan.training.run import (
    Clock,
    Silent,
    Watcher,
    due,
    goes_on_from,
    lock,
    of_this_run,
    refuse_other_pictures,
    say_begin,
    say_changes,
    say_where_it_goes_on,
    training_of_best,
    without_paths,
)
from metagan.training.run_folder import RunFolder, changed_here, write_config
from metagan.training.state import has_state, read_last_state, write_state
from metagan.training.trainer import seed_of
from metagan.training.upscaler.data import hold_out
from metagan.training.upscaler.recipe import UpscalerRunConfig
from metagan.training.upscaler.trainer import UpscalerTrainer

SHOWN: Final = 6  # rows of held-out originals, and of generated pictures

# The report
MOST_SHEETS: Final = 20
WEBP_QUALITY: Final = 92  # high, because pairs are compared closely
CHARTS: Final[Charts] = (
    ("PSNR of held-out originals, dB (higher is better)", {"psnr": "upscaled", "lanczos_psnr": "Lanczos"}),
    ("SSIM of held-out originals (higher is better)", {"ssim": "upscaled", "lanczos_ssim": "Lanczos"}),
    (
        "Distances",
        {"loss_pixel": "to the original", "loss_cycle": "generated, made small again"},
    ),
    ("Perceptual loss", {"loss_perceptual": "discriminator's features"}),
    (
        "Adversarial losses",
        {"loss_adversarial": "upscaler", "loss_fake": "discriminator, upscaled", "loss_real": "original"},
    ),
    ("Crops a second", {"images_per_s": "crops a second"}),
)

# Upscaled pictures and their originals, [h, w, 3] each, to measures by name, "psnr" (higher is better) among them.
MeasurePairs = Callable[[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]], Mapping[str, float]]


def new_upscaler(config: UpscalerConfig, seed: int) -> Upscaler:
    """Create an upscaler with random weights; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, 0))
        return Upscaler(config)


@dataclass
class UpscalerRun:
    """One training run of an upscaler.

    Args:
        folder: The run folder.
        config: The run's configuration.
        schedule: When to measure and save; `measured_pictures` held-out pictures are measured.
        pictures: The originals, including those held out.
        made: Generated pictures, [n, 3, h, w]; None for originals alone.
        world: One process and its device.
        measure: Function from upscaled pictures and originals to measures, or None.
        watcher: Receives progress and messages.
        archive: Gets a copy of the folder after each state; None for none.
    """

    folder: RunFolder
    config: UpscalerRunConfig
    schedule: Schedule
    pictures: Pictures
    made: Tensor | None
    world: World
    measure: MeasurePairs | None = None
    watcher: Watcher = field(default_factory=Silent)
    archive: RunArchive | None = None

    def __post_init__(self) -> None:
        recipe = self.config.recipe
        learnt, self.held_out = hold_out(self.pictures)
        upscaler = new_upscaler(self.config.upscaler, recipe.seed).to(self.world.device)
        data_loader = DataLoader(learnt, recipe.seed, mirror=recipe.mirror)
        self.trainer = UpscalerTrainer(recipe, upscaler, data_loader, self.made, self.world)
        self.readings: dict[str, float] = {}
        self._best_psnr = 0.0
        self.clock = Clock()
        self._saved_at: int | None = None  # crops seen when the newest state was written
        self._keep_state = True

    def train(self) -> None:
        """Train up to the schedule's end, or until the watcher asks to stop.

        Raises:
            TrainingError: If the folder can't be used, or another process trains in it.
            DivergedError: If losses or weights are not finite.
            DeviceError: If the device's memory is too small.
        """
        try:
            with lock(self.folder):
                self._train()
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"too little memory for {self.config.recipe.batch} crops at once",
                where=str(self.world.device),
                fix="start another run with a lower --batch",
            ) from error
        except OSError as error:
            raise TrainingError(
                f"can't be written ({error.strerror or error})",
                where=self.folder.path,
                fix="free some space and go on",
            ) from error

    def _train(self) -> None:
        self._begin()
        trainer, total = self.trainer, self.schedule.total_pictures
        if trainer.seen == 0:
            self._show()
        while trainer.seen < total and not self.watcher.stop_asked():
            trainer.step()
            measures, shows, saves = due(self.schedule, trainer.seen, self.config.recipe.batch)
            if measures or shows or saves:
                self._require_finite()
            self.watcher.progress(trainer.seen, self.readings)
            if measures:
                self._log_losses()
            if shows:
                self._show()
            if saves:
                self._save()
        self._require_finite()
        if self._saved_at != trainer.seen:
            self._save()
        if trainer.seen == total and self.folder.shown_kimg() < trainer.seen / 1000:
            self._show()  # of a run that was stopped here, and is asked for no more
        elif self.folder.latest_kimg() < trainer.seen / 1000:
            self._write(self.folder.latest, trainer.seen / 1000, {})  # unmeasured: who asked to stop waits

    def _begin(self) -> None:
        if has_state(self.folder.state):
            self._go_on()
        else:
            write_config(self.folder, dataclasses.asdict(self.config))
            self.folder.forget_after(-1)  # what a run left that ended before its first state
            say_begin(self.folder, self.pictures, self.world, self.watcher)
        self.clock.start(self.trainer.seen)

    def _go_on(self) -> None:
        config = self.config
        refuse_other_pictures(self.folder, self.pictures, config.pictures, config.fingerprint)
        state = read_last_state(self.folder.state)
        with of_this_run(self.folder):
            self.trainer.restore(state.tensors, state.facts)
            self.clock = Clock(float(state.facts["elapsed_s"]))
            self._best_psnr = float(state.facts["best_psnr"])
        self._saved_at, self._keep_state = goes_on_from(state, self.trainer.seen)
        if state.note:
            self.watcher.say(state.note)
        if "fingerprint" in changed_here(config.changes, self.trainer.seen):
            self._best_psnr = 0.0  # it was measured on other pictures
        say_changes(self.folder, config.changes, self.trainer.seen, self.watcher)
        self._best_psnr = max(self._best_psnr, self._psnr_of_best())
        write_config(self.folder, dataclasses.asdict(config))
        if self.trainer.seen < self.schedule.total_pictures:
            self.folder.forget_after(self.trainer.steps if self.trainer.steps else -1)
        say_where_it_goes_on(self.folder, self.schedule, self.trainer.seen, self.watcher)

    def _psnr_of_best(self) -> float:
        """Return what best.safetensors says of itself: an older state may not know of it."""
        quality = training_of_best(self.folder, self.config.changes).get("quality")
        psnr = quality.get("psnr") if isinstance(quality, Mapping) else None
        return float(psnr) if isinstance(psnr, float | int) else 0.0

    def _require_finite(self) -> None:
        if self.trainer.is_finite():
            return
        raise DivergedError(
            f"at {self.trainer.seen / 1000:g} kimg losses or weights are no numbers any more",
            where=self.folder.path,
            fix="start another run with a lower --lr",
        )

    # ---------------------------------------------------------------------------------------------

    def _log_losses(self) -> None:
        means = self.trainer.meter.read()
        self._log(means | {"images_per_s": self.clock.rate(self.trainer.seen)})

    def _log(self, values: Mapping[str, float]) -> None:
        self.readings = {**self.readings, **values}
        line = {"kimg": self.trainer.seen / 1000, "steps": self.trainer.steps}
        line["elapsed_s"] = round(self.clock.elapsed_s(), 3)
        self.folder.append_metrics(line | {name: float(f"{value:.6g}") for name, value in values.items()})

    def _show(self) -> None:
        """Write a snapshot, its sheet of pairs, its measures, and the report."""
        kimg, quality = self.trainer.seen / 1000, self._measure()
        if quality:
            self._log(quality)
        write_bytes(self.folder.sheet(kimg), encode(self._sheet(), "png"))
        self._write_upscalers(kimg, quality)
        self.folder.prune_snapshots(self.schedule.keep_snapshots)
        write_upscaler_report(self.folder, self.config)

    def _measure(self) -> dict[str, float]:
        count = min(self.schedule.measured_pictures, len(self.held_out))
        if self.measure is None or not count:
            return {}
        originals = self._originals(count)
        small = self._reduced(originals)
        upscaled = upscale_pictures(self.trainer.average, small, self.world.device)
        factor = self.config.upscaler.factor
        quality = dict(self.measure(upscaled, originals))
        floor = self.measure([enlarge(picture, factor, "lanczos") for picture in small], originals)
        return quality | {f"lanczos_{name}": value for name, value in floor.items()}

    def _originals(self, count: int) -> list[NDArray[np.uint8]]:
        """Return evenly spaced held-out pictures, [h, w, 3]."""
        picks = evenly_spaced(len(self.held_out), count)
        return [self.held_out.pixels(index).transpose(1, 2, 0) for index in picks]

    def _reduced(self, originals: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Reduce pictures as `metagan dataset pack` does."""
        factor, size = self.config.upscaler.factor, self.pictures.size
        small = (size.width // factor, size.height // factor)
        lanczos = Image.Resampling.LANCZOS
        return [np.asarray(Image.fromarray(picture).resize(small, lanczos)) for picture in originals]

    def _sheet(self) -> NDArray[np.uint8]:
        """Draw pairs. Held out: input, Lanczos, upscaled, original. Generated: input, Lanczos, upscaled."""
        factor, device = self.config.upscaler.factor, self.world.device
        # Pillow refuses to open much larger pictures than this: large ones are shown in fewer rows, or made smaller.
        most, row = Image.MAX_IMAGE_PIXELS or math.inf, 4 * self.pictures.size.pixels
        kinds = 1 if self.made is None else 2
        rows_of_each = max(1, int(min(SHOWN, most // row // kinds)))
        shrink = min(1.0, 0.99 * math.sqrt(most / (rows_of_each * kinds * row)))
        originals = self._originals(min(rows_of_each, len(self.held_out)))
        small = self._reduced(originals)
        rows = [small, originals]
        tiles = []
        upscaled = upscale_pictures(self.trainer.average, rows[0], device)
        for picture, result, original in zip(small, upscaled, originals, strict=True):
            tiles += [
                enlarge(picture, factor, "nearest"),
                enlarge(picture, factor, "lanczos"),
                result,
                original,
            ]
        if self.made is not None:
            made = [
                picture.permute(1, 2, 0).numpy() for picture in self.made[:: len(self.made) // rows_of_each]
            ]
            made = made[:rows_of_each]
            for picture, result in zip(
                made, upscale_pictures(self.trainer.average, made, device), strict=True
            ):
                big = [enlarge(picture, factor, "nearest"), enlarge(picture, factor, "lanczos"), result]
                if big[0].shape == tiles[0].shape:
                    tiles += [*big, np.full_like(result, 255)]
        thumbnail = None if shrink == 1 else int(self.pictures.size.longest * shrink)
        return contact_sheet(iter(tiles), len(tiles), 4, thumbnail)

    def _write_upscalers(self, kimg: float, quality: Mapping[str, float]) -> None:
        self._write(self.folder.snapshot(kimg), kimg, quality, half=True)
        self._write(self.folder.latest, kimg, quality)
        if self.schedule.keep_best and quality.get("psnr", 0.0) > self._best_psnr:
            self._best_psnr = quality["psnr"]
            self._write(self.folder.best, kimg, quality)

    def _write(self, path: Path, kimg: float, quality: Mapping[str, float], *, half: bool = False) -> None:
        config = self.config
        facts = {
            "kimg": kimg,
            "data": Path(config.data).name,  # snapshots are shared; where it lay is nobody's business
            "pictures": config.pictures,
            "held_out": config.held_out,
            "recipe": dataclasses.asdict(config.recipe),
            "generator": Path(config.generator).name if config.generator else None,
            "generator_sha256": config.generator_sha256,
            "quality": dict(quality),
            "changes": [without_paths(change) for change in config.changes],
        }
        header = dataclasses.replace(
            describe_upscaler(self.trainer.average),
            licence=config.licence,
            source=config.source,
            training=facts,
        )
        tensors = self.trainer.average.state_dict()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(
            path, {name: tensor.half() if half else tensor for name, tensor in tensors.items()}, header
        )

    def _save(self) -> None:
        facts = self.trainer.facts() | {"elapsed_s": self.clock.elapsed_s(), "best_psnr": self._best_psnr}
        write_state(self.folder.state, self.trainer.tensors(), facts, keep=self._keep_state)
        if self.archive is not None:
            self.archive.try_to_put(self.trainer.seen / 1000)
        self._saved_at, self._keep_state = self.trainer.seen, True


def write_upscaler_report(folder: RunFolder, config: UpscalerRunConfig) -> None:
    """Write an upscaler run's report.html from the run folder's files."""
    own = {
        "config": config,
        "shape": dataclasses.asdict(config.upscaler),
        "recipe": dataclasses.asdict(config.recipe),
        "parameters": sum(p.numel() for p in Upscaler(config.upscaler).parameters()),
    }
    write_page(
        "metagan.training.upscaler", folder, CHARTS, own, most_sheets=MOST_SHEETS, quality=WEBP_QUALITY
    )
