"""Reads and writes the files of a run's folder.

config.yaml               the run's configuration
state.safetensors         everything needed to resume; state.previous.safetensors the one before it
latest.safetensors        the newest generator; best.safetensors the best, where quality is measured
snapshots/000120.safetensors   generators by time (half precision), named by kimg
sheets/000120.png         sheets of sample pictures by time; sheets/reals.png for comparison
metrics.jsonl             a line of measurements every few thousand pictures
report.html               self-contained report of all this
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from metagan.checkpoints.safetensors import METADATA_KEY, parse_header
from metagan.errors import MalformedFileError, TrainingError
from metagan.files import read_bytes, reason_of, utf8_path, write_bytes
from metagan.networks.dcgan.network import Config as DCGANConfig
from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import Config
from metagan.training.options import ArchitectureName, Recipe
from metagan.values import LabelSpace, precision_of_today

VERSION = 1
AnyConfig = Config | DCGANConfig
AnyDiscriminatorConfig = DiscriminatorConfig | DCGANConfig
STAMP: Final = re.compile(r"\d{6,}_\d{3}")  # of snapshots and sheets, see _stamp
SHEETS: Final = (
    "sheets",
    "grids",
)  # folders of sheets: today's, and that of runs which earlier versions began


@dataclass(frozen=True)
class FormerPace:
    """The learning rate and R1 weight that a run used before they were changed.

    Args:
        until_kimg: When they were changed.
        learning_rate: As in Recipe.
        lr_decay_kimg: As in Recipe.
        gamma: As in Recipe; None if it has not been changed.
    """

    until_kimg: float
    learning_rate: float
    lr_decay_kimg: float
    gamma: float | None = None


@dataclass(frozen=True)
class Change:
    """What a run was changed in by --change, when it went on.

    Args:
        at_kimg: When.
        was: The former values by name: fields of the recipe or of the run's configuration.
        now: The new ones.
    """

    at_kimg: float
    was: dict[str, Any]
    now: dict[str, Any]

    def __str__(self) -> str:
        """List what was changed: "batch 16 -> 8, mirror False -> True"."""
        return ", ".join(f"{name} {old} -> {self.now[name]}" for name, old in self.was.items())


def record_change(
    changes: tuple[Change, ...], at_kimg: float, was: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[Change, ...]:
    """Add what differs between two sets of values to a run's history.

    Changes at the same point, of which the former was never trained with, become one.

    Args:
        changes: The history.
        at_kimg: When.
        was: All former values by name.
        now: All new ones.
    """
    was, now = _plain(dict(was)), _plain(dict(now))
    changed = {name: was[name] for name in was if was[name] != now[name]}
    if changed and changes and changes[-1].at_kimg >= at_kimg:
        changed, changes = changed | changes[-1].was, changes[:-1]
        changed = {name: old for name, old in changed.items() if old != now[name]}
    if not changed:
        return changes
    return (*changes, Change(at_kimg, changed, {name: now[name] for name in changed}))


def changed_here(changes: tuple[Change, ...], seen: int) -> frozenset[str]:
    """Return the names of what was changed when a run had seen so many pictures."""
    return frozenset(changes[-1].now) if changes and changes[-1].at_kimg == seen / 1000 else frozenset()


@dataclass(frozen=True)
class SecondPictures:
    """The other collection of a run against two discriminators.

    Args:
        data: The pictures' path as given.
        pictures: Number of pictures.
        fingerprint: Hash of the pictures, to detect changes.
    """

    data: str
    pictures: int
    fingerprint: str


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run, which is fixed when it starts, but for its pace and what --change changes.

    Args:
        data: The pictures' path as given.
        pictures: Number of pictures.
        fingerprint: Hash of the pictures, to detect changes.
        recipe: The hyper-parameters.
        generator: The generator's configuration.
        discriminator: The discriminator's configuration.
        preset: Name of the widths, or "start" if they came with the initial weights.
        start: The weights that the run started from; None for random ones.
        licence: Licence to record in the snapshots.
        source: Source to record in the snapshots.
        labels: What the pictures' labels mean: the classes' names, or the ranges of numbers.
        dual: The second discriminator's pictures; None for a run against one.
        former_rates: Earlier learning rates and R1 weights; empty if they have not been changed.
        changes: What else was changed since the run was started, in order.
        version: Version of this file's layout.
    """

    data: str
    pictures: int
    fingerprint: str
    recipe: Recipe
    generator: AnyConfig
    discriminator: AnyDiscriminatorConfig
    preset: str
    start: str | None = None
    licence: str = "unknown"
    source: str = ""
    labels: LabelSpace = field(default_factory=LabelSpace)
    dual: SecondPictures | None = None
    former_rates: tuple[FormerPace, ...] = ()
    changes: tuple[Change, ...] = ()
    version: int = VERSION

    @property
    def architecture(self) -> ArchitectureName:
        """What the run trains."""
        return "dcgan" if isinstance(self.generator, DCGANConfig) else "stylegan2"

    @property
    def upsampling(self) -> str:
        """How a DCGAN's generator doubles its features, as in TrainOptions."""
        layers = self.generator.layers if isinstance(self.generator, DCGANConfig) else ()
        return "nearest" if any(layer.kind == "upsample" for layer in layers) else "transposed"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The run's configuration."""
        return self.path / "config.yaml"

    @property
    def state(self) -> Path:
        """Everything needed to resume the run."""
        return self.path / "state.safetensors"

    @property
    def latest(self) -> Path:
        """The newest generator."""
        return self.path / "latest.safetensors"

    @property
    def best(self) -> Path:
        """The best generator, where quality is measured."""
        return self.path / "best.safetensors"

    @property
    def metrics(self) -> Path:
        """Measurements, one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def snapshot(self, kimg: float) -> Path:
        """Return the path of the generator after `kimg` thousand pictures."""
        return self.path / "snapshots" / f"{_stamp(kimg)}.safetensors"

    @property
    def sheets_folder(self) -> Path:
        """Where sheets are: sheets/, or grids/ in a run that an earlier version began."""
        present, former = (self.path / name for name in SHEETS)
        return former if former.is_dir() else present

    def sheet(self, kimg: float) -> Path:
        """Return the path of the sample sheet after `kimg` thousand pictures."""
        return self.sheets_folder / f"{_stamp(kimg)}.png"

    def snapshots(self) -> list[Path]:
        """Every snapshot, in order; the one before the first step too."""
        found = (self.path / "snapshots").glob("[0-9]*.safetensors")
        return sorted((path for path in found if STAMP.fullmatch(path.stem)), key=_kimg_of)

    def shown_kimg(self) -> float:
        """How far the newest snapshot has come; -1 without one."""
        return max(map(_kimg_of, self.snapshots()), default=-1.0)

    def latest_kimg(self) -> float:
        """How far latest.safetensors has come; -1 without it, or if no run wrote it."""
        kimg = read_training(self.latest).get("kimg")
        return kimg if isinstance(kimg, float | int) else -1.0

    def prune_snapshots(self, keep: int | None) -> None:
        """Remove all but the newest `keep` snapshots; None keeps all, and files that no run wrote always stay."""
        own = [path for path in self.snapshots() if read_training(path).get("kimg") == _kimg_of(path)]
        for path in own[: -keep if keep else 0]:
            path.unlink()

    def set_best_aside(self, kimg: float) -> Path | None:
        """Rename best.safetensors, once, when a change at this kimg makes it incomparable; returns its new path."""
        aside = self.path / f"best.until-{_stamp(kimg)}.safetensors"
        if aside.exists() or not self.best.exists():
            return None
        return self.best.rename(aside)

    def reached_kimg(self) -> float:
        """How far the results in it have come: 0 for none, and infinity for weights that no run of metagan wrote."""
        results = [path for path in (self.best, self.latest) if path.exists()]
        kimgs = [read_training(path).get("kimg") for path in results]
        known = [kimg if isinstance(kimg, float | int) else math.inf for kimg in kimgs]
        return max((0.0, *known, *map(_kimg_of, self.snapshots())))

    def foreign_files(self) -> list[Path]:
        """Files of other programs under names that a run writes to: where config.yaml is no run's, nothing is."""
        try:
            config = load_config(self)
        except (OSError, UnicodeError, yaml.YAMLError, TrainingError):
            config = None
        if isinstance(config, dict) and {"recipe", "fingerprint"} <= config.keys():
            return []
        return [path for path in (self.config, self.report, self.metrics) if path.exists()]

    @property
    def reals(self) -> Path:
        """A sheet of real pictures."""
        return self.sheets_folder / "reals.png"

    @property
    def second_reals(self) -> Path:
        """A sheet of the other collection's pictures, of a run against two discriminators."""
        return self.sheets_folder / "reals-second.png"

    def sheets(self) -> list[tuple[float, Path]]:
        """Return every sheet with its kimg, in order."""
        found = self.sheets_folder.glob("[0-9]*.png")
        return sorted((_kimg_of(path), path) for path in found if STAMP.fullmatch(path.stem))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read every line of measurements; damaged lines, and an incomplete last one, are left out."""
        if not self.metrics.exists():
            return []
        lines = map(_measurements, read_bytes(self.metrics).split(b"\n")[:-1])
        return [line for line in lines if line is not None]

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one line of measurements."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def forget_after(self, steps: int) -> None:
        """Remove measurements after `steps`, which will be repeated."""
        kept = [line for line in self.read_metrics() if line["steps"] <= steps]
        write_bytes(self.metrics, "".join(json.dumps(line) + "\n" for line in kept).encode())


def _measurements(line: bytes) -> dict[str, Any] | None:
    """Parse a line of metrics.jsonl; None for what isn't one."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    is_one = isinstance(values, dict) and all(
        isinstance(values.get(name), int | float) for name in ("steps", "kimg")
    )
    return values if is_one else None


def _stamp(kimg: float) -> str:
    """Format kimg for sortable file names, exact to single pictures: 12.8 is "000012_800"."""
    return f"{int(kimg):06d}_{round(kimg * 1000) % 1000:03d}"


def _kimg_of(path: Path) -> float:
    """Return the kimg in the name of a snapshot or sheet."""
    return int(path.stem.replace("_", "")) / 1000


def read_training(path: Path) -> Mapping[str, Any]:
    """Read what a weights file's header says about its training; empty if the file is missing, damaged or foreign."""
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="np") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
        return {} if text is None else parse_header(path, text).training
    except (SafetensorError, OSError, MalformedFileError):
        return {}


def write_config(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Write config.yaml.

    Args:
        folder: The run folder.
        config: A run's configuration as a dictionary.

    Raises:
        TrainingError: If the folder can't be written to.
    """
    text = yaml.safe_dump(_plain(config), sort_keys=False)
    try:
        write_bytes(folder.config, text.encode())
    except OSError as error:
        raise TrainingError(
            f"can't be written ({error.strerror or error})", where=folder.path, fix="choose another --out"
        ) from error


def load_config(folder: RunFolder) -> Any:
    """Load config.yaml as plain values.

    Raises:
        TrainingError: If a number in it is nan or infinite.
        OSError, UnicodeError, yaml.YAMLError: If it can't be read.
    """
    written = yaml.safe_load(read_bytes(folder.config))
    for name, value in _numbers(written):
        if not math.isfinite(value):
            raise TrainingError(f"{name}: want a number, got {value}", where=folder.config, fix="correct it")
    return written


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number with its place, such as "recipe.gamma"."""
    if isinstance(value, float):
        yield name, value
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, entry in entries:
        yield from _numbers(entry, f"{name}.{key}" if name else str(key))


def read_config(folder: RunFolder) -> RunConfig:
    """Read a run's configuration.

    Raises:
        TrainingError: If config.yaml is missing or invalid.
    """
    try:
        config = TypeAdapter(RunConfig).validate_python(_of_today(load_config(folder)))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise TrainingError(
            f"can't be read ({reason_of(error)})",
            where=folder.config,
            fix="choose another --out for a new run",
        ) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4])
        raise TrainingError(
            problems, where=folder.config, fix="restore the file, or choose another --out for a new run"
        ) from error
    return config


def _of_today(written: Any) -> Any:
    """Convert a configuration written by an earlier version to the current layout."""
    recipe = written.get("recipe") if isinstance(written, dict) else None
    if not isinstance(recipe, dict) or "precision" not in recipe:
        return written
    return written | {"recipe": recipe | {"precision": precision_of_today(recipe["precision"])}}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
