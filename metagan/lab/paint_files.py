"""Paints into a folder, or onto a storage by address; every step's picture is written as soon as it is drawn.

TITLE/0000.png, 0001.png ...   the picture before the first step, and after each one
TITLE/painting.json            prompts, seed, options, and the distance to the prompts before each step
TITLE/state.safetensors        what a resumed painting goes on with
TITLE/styles.safetensors       of a generator: the last picture's styles
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from metagan.errors import DatasetError, OptionError
from metagan.files import read_bytes
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.lab.canvas import GeneratorCanvas
from metagan.lab.paint import MAX_SEED, Painter, Painting
from metagan.lab.styles import styles_bytes
from metagan.lab.targets import list_pictures
from metagan.storage import Storage
from metagan.values import has_controls, json_text, show

VERSION: Final = 1
UNNAMED: Final = "painting"
STATE_EVERY_S: Final = 15.0
MAX_FACTS_BYTES: Final = 16 << 20
FACTS, STATE, STYLES = "painting.json", "state.safetensors", "styles.safetensors"


@dataclasses.dataclass(frozen=True)
class Painted:
    """A finished painting.

    Args:
        title: Its folder's name.
        steps: Number of steps; the last picture is that of this number.
        picture: The last picture, [h, w, 3].
        address: Where the last picture is.
    """

    title: str
    steps: int
    picture: NDArray[np.uint8]
    address: str


def list_starts(path: Path, *, styles: bool) -> list[Path]:
    """Return the files to begin with: one, or those of a folder in order.

    Args:
        path: A file or a folder.
        styles: Whether they are styles files instead of pictures.

    Raises:
        DatasetError: If there is none, or two have the same title.
    """
    if not styles or not path.is_dir():
        return list_pictures((path,))
    found = sorted(path.glob("[!.]*.safetensors"))
    if not found:
        raise DatasetError("no styles file in this folder", where=path, fix="`metagan project` writes some")
    return found


def choose_seed(seed: int, out: str, starts: Sequence[Path] = (), *, again: bool = False) -> int:
    """Return a seed as it is; for -1 the one that an interrupted run into `out` drew, or else a new one.

    Raises:
        OptionError: If the storage can't be read.
    """
    if seed != -1:
        return seed
    storage = Storage(out, OptionError)
    for start in () if again else starts or (None,):
        drawn = (_facts(storage, _title(start)) or {}).get("seed")
        if isinstance(drawn, int) and 0 <= drawn <= MAX_SEED:
            return drawn
    return int(np.random.SeedSequence().generate_state(1)[0])


def paint_into(
    out: str,
    painter: Painter,
    starts: Sequence[Path] = (),
    *,
    again: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    state_every_s: float = STATE_EVERY_S,
) -> Iterator[Painted]:
    """Paint from each start, and yield each painting when it is finished. Interrupted ones go on.

    Args:
        out: Folder, or an address that fsspec knows, such as s3://bucket/painted.
        painter: What paints.
        starts: Files to begin with, one painting each; none for one painting from a random start.
        again: Whether to begin anew where there are paintings of the same titles.
        advance: Called with the number of further finished steps.
        state_every_s: Seconds between two writes of the state.

    Raises:
        OptionError: If there are paintings by other prompts or options, or the storage can't be used.
        MetaganError: If a start can't be read, or doesn't fit the canvas.
    """
    storage = Storage(out, OptionError)
    for path in starts:  # one that can't be used is found before hours of painting
        _title(path)
        painter.canvas.require(path)
    for start in starts or (None,):
        title = _title(start)
        task = task_of(painter, start)
        painting = None if again else _restored(storage, title, task, painter.canvas.device)
        if painting is None:
            painting = painter.begin(start)
            _remove_steps(storage, title)
        advance(min(painting.step, painter.options.steps))
        keeper = _Keeper(storage, title, task, painter, start, advance, state_every_s)
        picture = painter.run(painting, keeper)
        keeper.finish(painting)
        number = _number(painting.step)
        yield Painted(title, painting.step, picture, f"{out.rstrip('/')}/{title}/{number}.png")


def task_of(painter: Painter, start: Path | None) -> str:
    """Hash everything that decides a painting's steps; their number doesn't, so that a painting can be continued."""
    options = painter.options
    facts = {
        "canvas": [
            painter.canvas.fingerprint,
            painter.canvas.variant,
            painter.canvas.width,
            painter.canvas.height,
        ],
        "clip": painter.clip.fingerprint,
        "prompts": [
            [prompt.text, prompt.weight, "" if prompt.picture is None else _hash(prompt.picture)]
            for prompt in painter.prompts
        ],
        "start": None if start is None else _hash(start),
        "options": [options.seed, painter.learning_rate, options.cuts, options.augment, options.precision],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class _Keeper:
    """Writes each step of a painting."""

    def __init__(
        self,
        storage: Storage,
        title: str,
        task: str,
        painter: Painter,
        start: Path | None,
        advance: Callable[[int], None],
        every_s: float,
    ) -> None:
        self._storage, self._title, self._task, self._painter = storage, title, task, painter
        self._start, self._advance, self._every_s = start, advance, every_s
        self._label = Provenance(f"{painter.canvas.name} and CLIP {painter.clip.name} (metagan)", None, None)
        self._last = -float("inf")
        self._begun: int | None = None

    def __call__(self, painting: Painting, picture: NDArray[np.uint8]) -> None:
        self._storage.write(
            f"{self._title}/{_number(painting.step)}.png", encode(picture, "png", self._label)
        )
        if self._begun is not None:
            self._advance(painting.step - self._begun)
        self._begun = painting.step
        if time.monotonic() - self._last >= self._every_s:
            self._write(painting)

    def _write(self, painting: Painting) -> None:
        # The state comes first: facts of a task without its state would only be read as the task's.
        tensors = {"code": painting.code, "first": painting.moments[0], "second": painting.moments[1]}
        whole = {name: tensor.detach().float().cpu().contiguous().clone() for name, tensor in tensors.items()}
        facts = {"task": self._task, "step": painting.step, "distances": painting.distances}
        self._storage.write(
            f"{self._title}/{STATE}", save(whole, metadata={"metagan-painting": json.dumps(facts)})
        )
        text = json_text(self._facts(painting), indent=2)
        self._storage.write(f"{self._title}/{FACTS}", text.encode())
        self._last = time.monotonic()

    def finish(self, painting: Painting) -> None:
        """Write what the last step leaves."""
        self._write(painting)
        canvas = self._painter.canvas
        if isinstance(canvas, GeneratorCanvas):
            styles = styles_bytes(canvas.found(painting.code, self._title))
            self._storage.write(f"{self._title}/{STYLES}", styles)

    def _facts(self, painting: Painting) -> dict[str, Any]:
        painter, options = self._painter, self._painter.options
        return {
            "version": VERSION,
            "task": self._task,
            "prompts": [
                {"text": prompt.text, "weight": prompt.weight}
                if prompt.picture is None
                else {"picture": prompt.picture.name, "weight": prompt.weight}
                for prompt in painter.prompts
            ],
            "start": None if self._start is None else self._start.name,
            "seed": options.seed,
            "steps": painting.step,
            "of": options.steps,
            "learning_rate": painter.learning_rate,
            "cuts": options.cuts,
            "augment": options.augment,
            "precision": options.precision,
            "width": painter.canvas.width,
            "height": painter.canvas.height,
            "network": painter.canvas.name,
            "clip": painter.clip.name,
            "distances": [round(distance, 5) for distance in painting.distances],
        }


def _restored(storage: Storage, title: str, task: str, device: torch.device) -> Painting | None:
    """Return an interrupted painting; None where there is none."""
    data = storage.read(f"{title}/{STATE}")
    if data is None:
        return None
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["metagan-painting"])
        tensors = {name: tensor.to(device) for name, tensor in load(data).items()}
        painting = Painting(
            int(facts["step"]),
            tensors["code"],
            (tensors["first"], tensors["second"]),
            [float(distance) for distance in facts["distances"]],
        )
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None  # it is painted anew
    if facts.get("task") != task:
        raise OptionError(
            "painted toward other prompts, from another picture, or with other options",
            where=storage.address(title),
            fix="give another --out, or --again to replace it",
        )
    return painting


def _remove_steps(storage: Storage, title: str) -> None:
    """Remove the pictures of a painting that is begun anew, which would mix with the new ones."""
    for name in storage.sizes(title) if _facts(storage, title) is not None else ():
        if re.fullmatch(r"\d{4,}\.png", name, re.ASCII):
            storage.remove(f"{title}/{name}")


def _facts(storage: Storage, title: str) -> dict[str, Any] | None:
    data = storage.read(f"{title}/{FACTS}")
    if data is None or len(data) > MAX_FACTS_BYTES:
        return None
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _title(start: Path | None) -> str:
    if start is None:
        return UNNAMED
    if not start.stem.strip(".") or has_controls(start.stem):
        raise OptionError("its name can't be a folder's", where=show(str(start)), fix="rename it")
    return start.stem


def _number(step: int) -> str:
    return f"{step:04d}"


def _hash(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()
