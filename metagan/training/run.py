"""A whole training run: from pictures and a folder to a generator, going on where it stopped."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from metagan.errors import DeviceError, DivergedError, MalformedFileError, TrainingError
from metagan.files import sweep_folder
from metagan.training.archive import RunArchive
from metagan.training.data_loader import DataLoader, Pictures, fingerprint
from metagan.training.distributed import World
from metagan.training.networks import Networks
from metagan.training.options import Schedule
from metagan.training.report import write_report
from metagan.training.run_folder import (
    Change,
    RunConfig,
    RunFolder,
    changed_here,
    read_training,
    write_config,
)
from metagan.training.snapshot import (
    draw,
    real_pictures,
    sheet_side,
    spread_labels,
    write_generator,
    write_sheet,
)
from metagan.training.state import State, has_state, is_state, read_last_state, write_state
from metagan.training.trainer import Trainer
from metagan.values import counted

# --------------------------------------------------------------------------------------------
# When a training run does what, and who is told of it.

Measure = Callable[[NDArray[np.uint8]], Mapping[str, float]]


@runtime_checkable
class Watcher(Protocol):
    """Who is told how a run goes."""

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        """After each step: pictures seen so far, and the newest readings."""
        ...

    def say(self, text: str) -> None:
        """Something worth a line."""
        ...

    def stop_asked(self) -> bool:
        """Whether the run shall end after this step, with a state file."""
        ...


class Silent:
    """Watches nothing."""

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def stop_asked(self) -> bool:
        """Never."""
        return False


@dataclass
class Best:
    """The best snapshot so far, by distance."""

    kimg: float | None = None
    distance: float = float("inf")


@contextmanager
def lock(folder: RunFolder) -> Iterator[None]:
    """Keep other processes from training in a folder; the system lifts the lock when this one ends, however it ends.

    Raises:
        TrainingError: If another process trains in it.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    held = FileLock(folder.path / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            "another process trains here", where=folder.path, fix="wait for it, or choose another --out"
        ) from error
    try:
        for place in (folder.path, folder.path / "snapshots", folder.sheets_folder):
            sweep_folder(place)
        yield
    finally:
        held.release()


def refuse_other_pictures(folder: RunFolder, pictures: Pictures, count: int, known: str) -> None:
    """Refuse to resume a run with other pictures than it was started with.

    Args:
        folder: The run's.
        pictures: The ones given now.
        count: How many it was started with.
        known: Their fingerprint.

    Raises:
        TrainingError: If the pictures given now have another fingerprint.
    """
    found = fingerprint(pictures, like=known)
    if found != known:
        raise TrainingError(
            f"this run was started with other pictures ({count} of them, {known}; now {len(pictures)}, {found})",
            where=folder.path,
            fix="give those again, add --change to go on with these, or choose another --out",
        )


@contextmanager
def of_this_run(folder: RunFolder) -> Iterator[None]:
    """Turn what goes wrong when a trainer takes over a state of another run into an error that says so.

    Raises:
        MalformedFileError: If tensors or facts are missing, or have other shapes.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise MalformedFileError(
            f"no state of this run ({error})",
            where=folder.state,
            fix="put back the run's own file, or start a new run in another folder",
        ) from error


def say_begin(folder: RunFolder, pictures: Pictures, world: World, watcher: Watcher) -> None:
    """Say what a new run begins with; drawing and measuring the first snapshot can take a while."""
    size = str(pictures.size)
    watcher.say(
        f"{folder.path}: begins with {counted(len(pictures), 'picture')} of {size} pixels, on {world.device}"
    )


def say_changes(folder: RunFolder, changes: tuple[Change, ...], seen: int, watcher: Watcher) -> None:
    """Say what was changed where a run goes on, and keep its best snapshot of other pictures under another name."""
    changed = changed_here(changes, seen)
    if not changed:
        return
    watcher.say(f"{folder.path}: changed at {seen / 1000:g} kimg: {changes[-1]}")
    aside = folder.set_best_aside(seen / 1000) if changed & {"fingerprint", "dual"} else None
    if aside is not None:
        watcher.say(f"{folder.best} was measured with the former pictures; it is kept as {aside.name}")


def say_where_it_goes_on(folder: RunFolder, schedule: Schedule, seen: int, watcher: Watcher) -> None:
    """Say where a run goes on, or that it is asked for no more than it has come to."""
    goes_on = seen < schedule.total_pictures
    end = "" if goes_on else f", and is asked for no more than {schedule.total_kimg:g}"
    watcher.say(f"{folder.path}: {'goes on' if goes_on else 'is'} at {seen / 1000:g} kimg{end}")


def goes_on_from(state: State, seen: int) -> tuple[int | None, bool]:
    """Return at how many pictures the newest state file is up to date, if it is, and whether it is worth keeping."""
    return (None, False) if state.note else (seen, True)


def without_paths(change: Change) -> dict[str, Any]:
    """Return a change for a snapshot's header, which tells nobody where pictures lay."""
    plain = asdict(change)
    for values in (plain["was"], plain["now"]):
        if values.get("dual"):
            values["dual"] = {**values["dual"], "data": Path(values["dual"]["data"]).name}
        for name in ("data", "generator"):
            if values.get(name):
                values[name] = Path(values[name]).name
    return plain


def training_of_best(folder: RunFolder, changes: tuple[Change, ...]) -> Mapping[str, Any]:
    """Return what best.safetensors says of its training; empty if that was measured with former pictures.

    An archive brings such a file back: what was set aside in the run's folder keeps its name there.
    """
    training = read_training(folder.best)
    changed = [change.at_kimg for change in changes if {"fingerprint", "dual"} & change.now.keys()]
    kimg = training.get("kimg")
    former = bool(changed) and isinstance(kimg, float | int) and kimg <= changed[-1]
    return {} if former else training


def _best_in(folder: RunFolder, changes: tuple[Change, ...]) -> Best:
    """Return what best.safetensors in a run folder says of itself: an older state may not know of it."""
    training = training_of_best(folder, changes)
    quality = training.get("quality")
    distance = quality.get("distance") if isinstance(quality, Mapping) else None
    return Best(training.get("kimg"), distance) if isinstance(distance, float | int) else Best()


def due(schedule: Schedule, seen: int, batch: int) -> tuple[bool, bool, bool]:
    """Return whether to measure losses, write a snapshot and save the state after a step.

    Each is due when the step went past a multiple of its interval, and at the end of the run.

    Args:
        schedule: The run's schedule.
        seen: Pictures so far, including the step's.
        batch: Pictures of the step.
    """
    ends = seen >= schedule.total_pictures

    def crossed(interval_kimg: float) -> bool:
        interval = interval_kimg * 1000
        if math.isinf(interval):
            return ends
        interval = max(1, round(interval))
        return ends or seen // interval > (seen - batch) // interval

    return crossed(schedule.metrics_kimg), crossed(schedule.snapshot_kimg), crossed(schedule.state_kimg)


class Clock:
    """Measures a run's training time and its rate, across all processes that continued it.

    Args:
        elapsed_s: Seconds of training in earlier processes.
        processor_s: Their processor seconds, over all threads: on a machine that others use, what two runs compare by.
    """

    def __init__(self, elapsed_s: float = 0.0, processor_s: float = 0.0) -> None:
        self._elapsed_s, self._processor_s = elapsed_s, processor_s
        self.start(0)

    def start(self, seen: int) -> None:
        """Begin measuring, at this number of pictures."""
        self._since, self._processor_since = time.monotonic(), time.process_time()
        self._rate_from = (seen, self._elapsed_s)

    def elapsed_s(self) -> float:
        """Return the seconds of training so far."""
        now = time.monotonic()
        self._elapsed_s += now - self._since
        self._since = now
        return self._elapsed_s

    def processor_s(self) -> float:
        """Return this machine's processor seconds of training so far."""
        now = time.process_time()
        self._processor_s += now - self._processor_since
        self._processor_since = now
        return self._processor_s

    def rate(self, seen: int) -> float:
        """Return the pictures a second since the last call, or since the start."""
        elapsed_s = self.elapsed_s()
        before, before_s = self._rate_from
        self._rate_from = (seen, elapsed_s)
        return (seen - before) / max(elapsed_s - before_s, 1e-9)


@dataclass
class Run:
    """One training run.

    Args:
        folder: Where its files are.
        config: What it was started with.
        schedule: When it does what.
        pictures: What it learns from.
        networks: New ones, or those of the file it starts from; overwritten by a state file's.
        world: Who takes part.
        measure: Pictures [n, 3, h, w] to quality by name, "distance" (lower is better) among them; or None.
        watcher: Who is told.
        mirrors: Called with each line of measurements, for other loggers.
        records: Whether a single GPU records steps as CUDA graphs.
        second: What a second discriminator learns from.
        archive: Gets a copy of the folder after each state; None for none.
    """

    folder: RunFolder
    config: RunConfig
    schedule: Schedule
    pictures: Pictures
    networks: Networks
    world: World
    measure: Measure | None = None
    watcher: Watcher = field(default_factory=Silent)
    mirrors: Callable[[Mapping[str, Any]], None] | None = None
    records: bool = True
    second: Pictures | None = None
    archive: RunArchive | None = None

    def __post_init__(self) -> None:
        recipe = self.config.recipe
        data_loader = DataLoader(self.pictures, recipe.seed, mirror=recipe.mirror)
        second = None if self.second is None else DataLoader(self.second, recipe.seed, mirror=recipe.mirror)
        self.networks.to(self.world.device)
        self.trainer = Trainer(
            recipe, self.networks, data_loader, self.world, second=second, records=self.records
        )
        self.best = Best()
        self.readings: dict[str, float] = {}
        self.clock = Clock()
        self._saved_at: int | None = None  # pictures seen when the newest state was written
        self._shown_kimg = -1.0  # of the newest snapshot
        self._keep_state = True
        self._has_begun = False
        self._changed: frozenset[str] = frozenset()  # where it goes on

    # ---------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train up to the schedule's end, or until the watcher asks to stop.

        Raises:
            TrainingError: The folder can't be used, or is too small, or a state can't be written.
            DivergedError: Losses are no numbers any more.
            DeviceError: The device's memory is too small.
        """
        try:
            # One process holds the lock for all that take part in this run.
            with lock(self.folder) if self.world.is_first else nullcontext():
                self._train()
        except torch.OutOfMemoryError as error:
            half = max(1, self.config.recipe.micro_batch // 2)
            way_out = (
                f"go on with --change --micro-batch {half}, or start another run with --micro-batch {half}"
            )
            if self.trainer.records:
                way_out = f"go on with --no-cuda-graphs, which spares some, or {way_out}"
            what = f"too little memory for {self.config.recipe.micro_batch} pictures at once"
            raise DeviceError(what, where=str(self.world.device), fix=way_out) from error
        except OSError as error:
            raise TrainingError(
                f"can't be written ({error.strerror or error})",
                where=self.folder.path,
                fix="free some space and go on",
            ) from error

    def _train(self) -> None:
        self.begin()
        trainer, total = self.trainer, self.schedule.total_pictures
        if trainer.seen == 0:
            self._show()
        while trainer.seen < total and not self._must_stop():
            trainer.step()
            measures, shows, saves = due(self.schedule, trainer.seen, self.config.recipe.batch)
            self._require_finite(now=measures or shows or saves)
            self.watcher.progress(trainer.seen, self.readings)
            if measures:
                self._measure_losses()
            if shows:
                self._show()
            if saves:
                self.save()
        if self._saved_at != trainer.seen:
            self.save()
        if trainer.seen == total and self._shown_kimg < trainer.seen / 1000:
            self._show()  # of a run that was stopped here, and is asked for no more
        elif self.world.is_first and self.folder.latest_kimg() < trainer.seen / 1000:
            self._write(self.folder.latest, trainer.seen / 1000, {})  # unmeasured: who asked to stop waits

    def begin(self) -> None:
        """Take over the state in the folder, or begin it, without a step; `train` does it first, and only once.

        Raises:
            TrainingError: The folder holds another run, or its states are damaged.
        """
        if self._has_begun:
            return
        self._has_begun = True
        goes_on = has_state(self.folder.state)
        if goes_on:
            self._go_on()
        elif self.world.is_first:
            self._require_space()
            write_config(self.folder, asdict(self.config))
            self.folder.forget_after(-1)  # what a run left that ended before its first state
            say_begin(self.folder, self.pictures, self.world, self.watcher)
        if not goes_on and self.config.start and is_state(Path(self.config.start)):
            self._take_over(Path(self.config.start))
        same_pictures = goes_on and not self._changed & {"fingerprint", "dual"}
        has_reals = same_pictures and self.folder.reals.exists()
        if self.world.is_first and not has_reals:
            side = sheet_side(self.pictures.size)
            write_sheet(self.folder.reals, real_pictures(self.pictures, side * side))
            if self.second is not None:
                write_sheet(self.folder.second_reals, real_pictures(self.second, side * side))
        self._shown_kimg = self.folder.shown_kimg()
        self.world.wait()
        self.clock.start(self.trainer.seen)

    def _take_over(self, start: Path) -> None:
        """Begin with the optimizers of the state that the networks came from."""
        state = read_last_state(start)
        # A second discriminator always begins anew.
        own = {name: each for name, each in state.tensors.items() if not name.startswith("adam_second/")}
        self.trainer.restore_optimizers(own)
        if self.world.is_first:
            if state.note:
                self.watcher.say(state.note)
            kimg = state.facts["seen"] / 1000
            self.watcher.say(
                f"{self.folder.path}: begins with both networks, their optimizers, the average and the augmentation "
                f"strength of {start}, at {kimg:g} kimg"
            )

    def _go_on(self) -> None:
        config = self.config
        refuse_other_pictures(self.folder, self.pictures, config.pictures, config.fingerprint)
        if self.second is not None and config.dual is not None:
            refuse_other_pictures(self.folder, self.second, config.dual.pictures, config.dual.fingerprint)
        state = read_last_state(self.folder.state)
        with of_this_run(self.folder):
            facts = state.facts
            self.trainer.restore(state.tensors, facts)
            self.best = Best(facts["best_kimg"], float("inf") if facts["best"] is None else facts["best"])
            self.clock = Clock(float(facts["elapsed_s"]), float(facts.get("processor_s", 0)))
        self._changed = changed_here(config.changes, self.trainer.seen)
        if "augment_p" in self._changed:
            self.trainer.controller.p = config.recipe.augment_p
        self._saved_at, self._keep_state = goes_on_from(state, self.trainer.seen)
        if self._changed & {"fingerprint", "dual"}:
            self.best = Best()  # it was measured against other pictures
        if self.world.is_first:
            if state.note:
                self.watcher.say(state.note)
            say_changes(self.folder, config.changes, self.trainer.seen, self.watcher)
            self.best = min(self.best, _best_in(self.folder, config.changes), key=lambda best: best.distance)
            write_config(self.folder, asdict(self.config))
            if self.trainer.seen < self.schedule.total_pictures:
                self.folder.forget_after(self.trainer.steps if self.trainer.steps else -1)
            say_where_it_goes_on(self.folder, self.schedule, self.trainer.seen, self.watcher)

    def _require_space(self) -> None:
        """Refuse a folder on a disk that can't hold three states and a few snapshots."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        weights = sum(tensor.numel() * 4 for tensor in self.networks.tensors().values())
        needed = 8 * weights + (64 << 20)
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise TrainingError(
                f"{free / 1e6:,.0f} MB free, a run of this size wants {needed / 1e6:,.0f}",
                where=self.folder.path,
                fix="free some space or choose another --out",
            )

    def _must_stop(self) -> bool:
        """Whether any process was asked to stop; all of them learn of it."""
        if self.world.size == 1:
            return self.watcher.stop_asked()
        asked = torch.tensor(float(self.watcher.stop_asked()), device=self.world.device)
        return bool(self.world.mean(asked) > 0)

    def _require_finite(self, *, now: bool) -> None:
        """Stop a run whose losses or weights are no numbers; a GPU is only asked `now` and every sixteenth step."""
        every = 1 if self.world.device.type == "cpu" else 16
        trainer = self.trainer
        if trainer.is_finite() if now else trainer.steps % every or trainer.meter.is_finite():
            return
        there = has_state(self.folder.state)
        good = f"the last good state is {self.folder.state}" if there else "no state was written before"
        raise DivergedError(
            f"at {trainer.seen / 1000:g} kimg losses or weights are no numbers any more; {good}",
            where=self.folder.path,
            fix="start another run with a lower --lr or a higher --gamma",
        )

    # ---------------------------------------------------------------------------------------------

    def _measure_losses(self) -> None:
        means = self.trainer.meter.read()
        rate = self.clock.rate(self.trainer.seen)
        means |= {"augment_p": self.trainer.controller.p, "images_per_s": rate}
        self.readings = {**self.readings, **means}
        self._log(means)

    def _log(self, values: Mapping[str, float]) -> None:
        if not self.world.is_first:
            return
        kimg = self.trainer.seen / 1000
        line = {"kimg": kimg, "steps": self.trainer.steps, "elapsed_s": round(self.clock.elapsed_s(), 3)}
        line["processor_s"] = round(self.clock.processor_s(), 3)
        line |= {name: float(f"{value:.6g}") for name, value in values.items()}
        self.folder.append_metrics(line)
        if self.mirrors is not None:
            self.mirrors(line)

    def _show(self) -> None:
        """A snapshot, its sheet, its quality, and the report."""
        if self.world.is_first:
            kimg, side = self.trainer.seen / 1000, sheet_side(self.pictures.size)
            pictures = self._draw(side * side)
            write_sheet(self.folder.sheet(kimg), pictures)
            measured = min(self.schedule.measured_pictures, len(self.pictures))
            quality = dict(self.measure(self._draw(measured))) if self.measure else {}
            if quality:
                self._log(quality)
                self.readings = {**self.readings, **quality}
            self._write_generators(kimg, quality)
            self.folder.prune_snapshots(self.schedule.keep_snapshots)
            write_report(self.folder, self.config)
        self._shown_kimg = self.trainer.seen / 1000
        self.world.wait()

    def _write_generators(self, kimg: float, quality: Mapping[str, float]) -> None:
        self._write(self.folder.snapshot(kimg), kimg, quality, half=True)
        self._write(self.folder.latest, kimg, quality)
        distance = quality.get("distance", float("inf"))
        if self.schedule.keep_best and distance < self.best.distance:
            self.best = Best(kimg, distance)
            self._write(self.folder.best, kimg, quality)

    def _write(self, path: Path, kimg: float, quality: Mapping[str, float], *, half: bool = False) -> None:
        config = self.config
        facts = {
            "kimg": kimg,
            "data": Path(config.data).name,  # snapshots are shared; where it lay is nobody's business
            "pictures": config.pictures,
            **({} if config.dual is None else {"dual": Path(config.dual.data).name}),
            "recipe": json.loads(json.dumps(config.recipe.__dict__)),
            "former_rates": [asdict(rate) for rate in config.former_rates],
            "changes": [without_paths(change) for change in config.changes],
            "preset": config.preset,
            "start": Path(config.start).name if config.start else None,
            "quality": dict(quality),
        }
        terms = {"licence": config.licence, "source": config.source}
        write_generator(path, self.networks.average, facts, half=half, **terms)

    def _draw(self, count: int) -> NDArray[np.uint8]:
        labels = spread_labels(self.pictures, count)
        return draw(self.networks.average, range(count), labels, self.world.device)

    def save(self) -> None:
        """Write the state; its tensors must be numbers.

        Raises:
            DivergedError: They aren't.
        """
        facts = self.trainer.facts()  # on every process: it gathers
        if self.world.is_first:
            self._require_finite(now=True)
            best = None if self.best.kimg is None else self.best.distance
            facts |= {"elapsed_s": self.clock.elapsed_s(), "best": best, "best_kimg": self.best.kimg}
            facts["processor_s"] = self.clock.processor_s()
            config = self.config
            shapes = {"generator": asdict(config.generator), "discriminator": asdict(config.discriminator)}
            facts["networks"] = shapes  # what --start needs besides the tensors
            write_state(self.folder.state, self.trainer.tensors(), facts, keep=self._keep_state)
            if self.archive is not None:
                self.archive.try_to_put(self.trainer.seen / 1000)
        self._saved_at, self._keep_state = self.trainer.seen, True
        self.world.wait()
