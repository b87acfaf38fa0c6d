"""What `metagan train` sets up around a run: pictures, quality, signals, progress."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from metagan.datasets.source import PictureSource
from metagan.errors import OptionError, TrainingError
from metagan.evaluation.evaluate import Reference, require_same_classes
from metagan.evaluation.inception import require_inception
from metagan.evaluation.quality import FLOOR
from metagan.files import real_path, require_outside
from metagan.storage import protocol_of
from metagan.training.archive import RunArchive
from metagan.training.distributed import World, joined
from metagan.training.networks import Networks
from metagan.training.options import ArchitectureName, Schedule, TrainOptions
from metagan.training.run import Measure, Run
from metagan.training.run_folder import RunConfig, RunFolder, read_config
from metagan.training.setup import (
    PACE,
    begin,
    change_pace,
    change_settings,
    networks_for_resume,
    refuse_changes,
    require_groups_on,
)
from metagan.training.state import has_state, read_last_state
from metagan.values import LabelSpace

LINE_EVERY_S = 60.0
SHOWN_FLOOR = ("floor_distance", "floor_precision", "floor_recall", "floor_coverage")
SHOWN = (
    ("loss_g", "G"),
    ("loss_fake", "D made"),
    ("loss_real", "D real"),
    ("augment_p", "p"),
    ("distance", "distance"),
)


OnProgress = Callable[[float, Mapping[str, float]], None]


@dataclass(frozen=True)
class Result:
    """What a run made.

    Args:
        weights: The newest network.
        report: The page that shows how training went.
        kimg: Thousands of pictures that it was shown.
        is_first: Whether this process is the one that speaks for all of a run's processes.
    """

    weights: Path
    report: Path
    kimg: float
    is_first: bool = True

    def __str__(self) -> str:
        return f"{self.weights}: {self.kimg:g} kimg; look at {self.report}"


def train(
    options: TrainOptions, on_progress: OnProgress | None = None, *, owns_process: bool = False
) -> Result:
    """Train a generator as asked for, or go on with the run in its folder.

    Args:
        options: What to train on, where, and how.
        on_progress: Called after each step with thousands of pictures shown, and the newest measurements.
        owns_process: Whether the process is there for this run only, and ends with a second Ctrl-C.

    Raises:
        MetaganError: See Run.train and begin.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    require_outside(options.out, options.data)
    require_outside(options.out, options.dual)
    folder, schedule = RunFolder(options.out), options.schedule
    with joined(options.device) as world:
        archive = open_archive(options, folder) if world.is_first else None
        world.wait()  # until the run is fetched
        plain = _architecture(folder, options) == "dcgan" or options.dual is not None
        pictures = PictureSource(options.data, options.resolution, labelled=options.labels and not plain)
        pictures.check()
        second = None
        if options.dual is not None:
            second = PictureSource(options.dual, options.resolution, labelled=False)
            second.check()
        shown = world.is_first and on_progress is None
        with watching(schedule, shown=shown, on_progress=on_progress, owns_process=owns_process) as watcher:
            for line in pictures.left_out():
                watcher.say(f"note: {line}")
            config, networks = _begin_or_go_on(folder, options, pictures, world, second)
            networks.generator.label_space = networks.average.label_space = config.labels
            _require_training(config.recipe.d_warmup_kimg, schedule.total_kimg)
            if archive is not None:
                archive.say = watcher.say
            run = Run(
                folder=folder,
                config=config,
                schedule=schedule,
                pictures=pictures,
                networks=networks,
                world=world,
                measure=_measure(options, pictures, world, watcher.say, second),
                watcher=watcher,
                mirrors=_event_writer(folder, options, world),
                records=options.cuda_graphs,
                second=second,
                archive=archive,
            )
            run.train()
            if archive is not None:
                archive.put(run.trainer.seen / 1000)
            kimg = max(folder.latest_kimg(), run.trainer.seen / 1000)
            return Result(folder.latest, folder.report, kimg, world.is_first)


def open_archive(options: TrainOptions, folder: RunFolder) -> RunArchive | None:
    """Open the run's archive, which may bring the folder its run; None without --archive.

    Raises:
        TrainingError: See RunArchive.open.
        OptionError: If it lies in a folder of pictures.
    """
    if options.archive is None:
        return None
    place = str(options.archive)
    if not protocol_of(place):
        for source in (options.data, options.dual):
            require_outside(Path(place), source, "--archive")
    archive = RunArchive(place, folder, lambda text: _console().print(text, soft_wrap=True))
    archive.open()
    return archive


def _architecture(folder: RunFolder, options: TrainOptions) -> ArchitectureName:
    """What the run trains that is in the folder; where there is none, what is asked for."""
    goes_on = folder.config.exists() and has_state(folder.state)
    return read_config(folder).architecture if goes_on else options.architecture


def _begin_or_go_on(
    folder: RunFolder,
    options: TrainOptions,
    pictures: PictureSource,
    world: World,
    second: PictureSource | None,
) -> tuple[RunConfig, Networks]:
    if not folder.config.exists() or not has_state(folder.state):
        _require_other_folder(options.start, folder)
        require_no_results(folder)
        config, networks = begin(options, pictures, world, second)
        return replace(config, labels=pictures.label_space), networks
    config = read_config(folder)
    if config.labels == LabelSpace():  # of a run that an earlier version began
        config = replace(config, labels=pictures.label_space)
    _require_as_many_collections(config, options, folder)
    refuse_changes(config, options, world.size)
    if options.change or options.given & PACE:
        facts = read_last_state(folder.state).facts
        config = change_pace(config, options, facts["seen"])
        if options.change:
            config = change_settings(config, options, pictures, world, facts, second)
            require_same_classes(config.labels, pictures, "this run")
            config = replace(config, labels=pictures.label_space)
    require_groups_on(config, world)
    return config, networks_for_resume(config)


def _require_as_many_collections(config: RunConfig, options: TrainOptions, folder: RunFolder) -> None:
    """A run against two discriminators stays one."""
    if config.dual is not None and options.dual is None:
        raise OptionError(
            "this run has two discriminators",
            where=folder.path,
            fix=f"give the second one's pictures again, --dual {config.dual.data}",
        )
    if config.dual is None and options.dual is not None:
        raise OptionError(
            f"--dual {options.dual}: this run has one discriminator",
            where=folder.path,
            fix="leave it out to go on, or choose another --out for a new run",
        )


def _require_training(warmup_kimg: float, total_kimg: float) -> None:
    if 0 < total_kimg <= warmup_kimg:
        raise OptionError(
            f"--kimg {total_kimg:g}: for the first {warmup_kimg:g} the discriminator learns alone (--d-warmup), "
            "and the generator would stay as it is",
            fix="train for longer",
        )


def _require_other_folder(start: Path | None, folder: RunFolder) -> None:
    """A new run writes over what an older one left in its folder."""
    if start is not None and real_path(start).is_relative_to(real_path(folder.path)):
        raise OptionError(
            f"--start {start}: it lies in the new run's own folder, which would write over it",
            fix="choose another --out",
        )


def require_no_results(folder: RunFolder, *, has_start: bool = True) -> None:
    """Refuse to begin a run over one that has come some way, but has lost its state or its configuration.

    A run doesn't begin over another program's config.yaml, report.html or metrics.jsonl either.

    Args:
        folder: The run's.
        has_start: Whether this kind of run can start from weights.

    Raises:
        TrainingError: If the folder holds files that a new run would replace.
    """
    lost = folder.config if has_state(folder.state) else folder.state
    reached = folder.reached_kimg()
    if lost == folder.config or reached > 0:
        held = f"a run's results up to {reached:g} kimg" if math.isfinite(reached) else "weights"
        held = "a run's state" if lost == folder.config and not reached else held
        best = next((path for path in (folder.best, folder.latest) if path.exists()), None)
        start = f", with --start {best} to train on from its generator" if best and has_start else ""
        raise TrainingError(
            f"it holds {held}, but no {lost.name} to go on from, and a new run would replace them",
            where=folder.path,
            fix=f"restore that file, or choose another --out{start}",
        )
    if foreign := folder.foreign_files():
        raise TrainingError(
            f"it holds no run, but {', '.join(path.name for path in foreign)}, which a new run would replace",
            where=folder.path,
            fix="choose another --out",
        )


def _measure(
    options: TrainOptions,
    pictures: PictureSource,
    world: World,
    say: Callable[[str], None],
    second: PictureSource | None = None,
) -> Measure | None:
    """Quality of made pictures by name, and the same of other real ones ("floor_distance") where there are enough.

    With two collections, "first_distance" and "second_distance" and so on, and as "distance" the mean of both.
    """
    if second is not None:
        one, other = (_measure(options, each, world, say) for each in (pictures, second))
        if one is None or other is None:
            return None

        def both(made: NDArray[np.uint8]) -> dict[str, float]:
            first, last = dict(one(made)), dict(other(made))
            sides = {"first": first, "second": last}
            named = {f"{side}_{name}": value for side, each in sides.items() for name, value in each.items()}
            return named | {"distance": (first["distance"] + last["distance"]) / 2}

        return both
    count = options.schedule.measured_pictures
    if options.inception and not count:
        raise OptionError("--inception: with --measure 0 nothing is measured", fix="leave one of them out")
    if not count or not world.is_first:
        return None
    weights = require_inception(options.inception) if options.inception else None
    ready: list[Reference] = []

    def measure(made: NDArray[np.uint8]) -> dict[str, float]:
        if not ready:  # real pictures are looked at when first needed
            reference = Reference(pictures.pixels, len(pictures), count, world.device, inception=weights)
            ready.append(reference)
            for note in reference.notes:
                say(note)
        reference = ready[0]
        floor = {f"{FLOOR}{name}": value for name, value in reference.floor.items()}
        shown = {name: floor[name] for name in SHOWN_FLOOR if name in floor}
        return reference.measure(made) | shown

    return measure


def _event_writer(
    folder: RunFolder, options: TrainOptions, world: World
) -> Callable[[Mapping[str, Any]], None] | None:
    """A function that writes measurements as TensorBoard events, where asked for."""
    if not options.tensorboard or not world.is_first:
        return None
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise OptionError(
            "--tensorboard: the tensorboard package isn't installed",
            fix="run `pip install 'metagan[tensorboard]'`",
        ) from error
    writer = SummaryWriter(str(folder.path / "events"))

    def write(line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if name not in ("steps", "kimg"):
                writer.add_scalar(name, value, int(line["kimg"] * 1000))
        writer.flush()

    return write


def _console() -> Console:
    """Stderr, on which texts are printed as they are: a path may hold [brackets]."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


class TerminalWatcher:
    """Progress on stderr: a bar on a terminal, else a line at the first step, at the first rate, and every minute.

    A first Ctrl-C or TERM stops after the step.
    """

    def __init__(
        self, bars: Progress, total: float, *, lines: bool, on_progress: OnProgress | None = None
    ) -> None:
        self._bars, self._lines, self._on_progress = bars, lines, on_progress
        self._next_line = 0.0
        self._task = bars.add_task("", total=None if math.isinf(total) else total, facts="")
        self._asked = False
        self._started = self._has_rate = False

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        """Move the bar; facts come with each line of measurements."""
        if self._on_progress is not None:
            self._on_progress(seen / 1000, readings)
        facts = [f"{readings['images_per_s']:.1f}/s"] if "images_per_s" in readings else []
        facts += [f"{text} {readings[name]:.3g}" for name, text in SHOWN if name in readings]
        if not self._started:
            self._bars.reset(
                self._task, completed=seen
            )  # what an earlier process did is no speed of this one
            self._started = True
        self._bars.update(
            self._task, completed=seen, description=f"{seen / 1000:.1f} kimg", facts=", ".join(facts)
        )

        is_first_rate = "images_per_s" in readings and not self._has_rate
        self._has_rate = "images_per_s" in readings
        if self._lines and (is_first_rate or time.monotonic() >= self._next_line):
            self._next_line = time.monotonic() + LINE_EVERY_S
            self.say(f"{seen / 1000:.3f} kimg: {', '.join(facts) or 'training'}")

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._lines or not self._bars.disable:
            self._bars.console.print(text, soft_wrap=True)

    def stop_asked(self) -> bool:
        """Whether a signal came."""
        return self._asked

    def ask_to_stop(self) -> None:
        """Stop after this step."""
        self._asked = True


@contextmanager
def watching(
    schedule: Schedule, *, shown: bool, on_progress: OnProgress | None = None, owns_process: bool = False
) -> Iterator[TerminalWatcher]:
    """Progress on stderr while the block runs, where it is to be shown; Ctrl-C and TERM ask the watcher to stop.

    A second one ends the process where the run owns it, and else raises what the first one usually does: a notebook
    keeps its other variables.
    """
    console = _console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    quiet = not console.is_terminal or not shown
    with Progress(*columns, console=console, disable=quiet) as bars:
        lines = shown and not console.is_terminal
        watcher = TerminalWatcher(bars, schedule.total_pictures, lines=lines, on_progress=on_progress)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if threading.current_thread() is not threading.main_thread():
            numbers = []  # only the main thread hears signals
        before = {number: signal.getsignal(number) for number in numbers}

        def asked(number: int, _frame: object) -> None:
            if watcher.stop_asked():
                if not owns_process:
                    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
                os.write(2, b"ended at once; the run goes on from its last state\n")
                os._exit(128 + number)  # torch's shutdown would print a traceback
            watcher.ask_to_stop()
            os.write(2, b"stopping after this step; once more ends at once\n")

        for number in before:
            signal.signal(number, asked)
        try:
            yield watcher
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
