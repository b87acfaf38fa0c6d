"""Projects pictures in batches into a folder; an interrupted run continues.

Each picture gets TITLE.safetensors (its styles), TITLE.png (target and result side by side) and a film of the search.
During the search, .TITLE.search.safetensors holds its state.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from metagan.errors import OptionError
from metagan.files import utf8_path, write_bytes
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.lab.film import FilmOptions, Frame, enlarge, to_frame, write_film
from metagan.lab.project import Projection, Projector, Search
from metagan.lab.styles import Styles, read_styles, write_styles
from metagan.lab.targets import RESULTS, Target
from metagan.networks.generator import Generator
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import exact_convolutions
from metagan.values import Size

STATE_EVERY_S: Final = 15.0
BATCH_PIXELS: Final = 8 * 64**2
MAX_BATCH: Final = 8
METADATA_KEY: Final = "metagan-search"


@dataclass(frozen=True)
class Verdict:
    """How well a generator draws a picture.

    Args:
        share: Share of its own pictures whose distance is as large or larger, 0 to 1.
        words: The verdict in words.
    """

    share: float
    words: str


@dataclass(frozen=True)
class Found:
    """A finished picture of the list.

    Args:
        title: Its file's name without the suffix.
        styles: The styles that draw it, with the distance to the target.
        projection: The projection, or None if an earlier run found it.
        verdict: How well it fits beside the generator's own pictures, where that was asked for.
    """

    title: str
    styles: Styles
    projection: Projection | None
    verdict: Verdict | None = None


def batch_of(size: Size) -> int:
    """Return how many pictures to search for at once: batches are faster for small pictures only."""
    return max(1, min(MAX_BATCH, BATCH_PIXELS // size.pixels))


def task_of(projector: Projector, target: Target, start: Styles | None) -> str:
    """Hash everything that decides a picture's projection: picture, generator, options and distance."""
    perceptual = projector.perceptual
    facts = {
        "generator": projector.fingerprint,
        "options": asdict(projector.options),
        "perceptual": None if perceptual is None else perceptual.backbone,
        "start": None if start is None else _hash_of(start),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(target.pixels.numpy().tobytes())
    digest.update(target.mask.numpy().tobytes())
    return digest.hexdigest()


def _hash_of(start: Styles) -> str:
    digest = hashlib.sha256(start.ws.numpy().tobytes())
    for tensor in (*([] if start.z is None else [start.z]), *start.noise):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def project_into(
    folder: Path,
    projector: Projector,
    targets: Sequence[Target],
    start: Styles | None = None,
    *,
    again: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    film: Callable[[str, Projection], None] = lambda _title, _projection: None,
    state_every_s: float = STATE_EVERY_S,
) -> Iterator[Found]:
    """Project pictures into a folder, and yield each when it is finished.

    Args:
        folder: Folder of the results; those of an earlier run with the same pictures and options are kept.
        projector: The search.
        targets: The pictures.
        start: Styles to start from, for all pictures.
        again: Whether to project everything again, and replace earlier results.
        advance: Called with the number of further finished steps.
        film: Called with title and projection before a picture's styles are written. The styles mark the picture as
            finished, so a run that was interrupted in the film resumes with it.
        state_every_s: Seconds between two writes of a search's state.

    Raises:
        OptionError: If the folder has results of other options or pictures, or files of others, under the same names.
        MalformedFileError: If it has a file of such a name that isn't of styles.
    """
    tasks = [task_of(projector, target, start) for target in targets]
    states = [
        _state(folder, target, task, projector.device, again=again)
        for target, task in zip(targets, tasks, strict=True)
    ]
    waiting: list[tuple[int, Search | None]] = []
    for index, (target, state) in enumerate(zip(targets, states, strict=True)):
        if isinstance(state, Styles):
            advance(projector.options.steps)
            yield Found(target.title, state, None)
        else:
            advance(0 if state is None else state.step)
            waiting.append((index, state))
    for batch in _batches(waiting, batch_of(projector.generator.size)):
        chosen = [targets[index] for index, _ in batch]
        searches = [
            search or projector.begin([target], [start])[0]
            for target, (_, search) in zip(chosen, batch, strict=True)
        ]
        keeper = _Keeper(folder, chosen, [tasks[index] for index, _ in batch], state_every_s)
        keeper.write(searches)
        projections = projector.run(chosen, searches, advance, keeper)
        keeper.write(searches)  # writing the films takes a while, too
        for (index, _), projection in zip(batch, projections, strict=True):
            title = targets[index].title
            film(title, projection)
            yield _write(folder, title, tasks[index], projection)


def _batches(
    waiting: Sequence[tuple[int, Search | None]], size: int
) -> Iterator[list[tuple[int, Search | None]]]:
    """Group searches at the same step into batches; the most advanced come first, those that haven't begun last."""
    by_step: dict[int, list[tuple[int, Search | None]]] = {}
    for index, search in waiting:
        by_step.setdefault(-1 if search is None else search.step, []).append((index, search))
    for step in sorted(by_step, reverse=True):
        same = by_step[step]
        yield from (same[first : first + size] for first in range(0, len(same), size))


class _Keeper:
    """Writes the state of searches to disk at intervals."""

    def __init__(self, folder: Path, targets: Sequence[Target], tasks: Sequence[str], every_s: float) -> None:
        self._paths = [_search_path(folder, target.title) for target in targets]
        self._tasks = tasks
        self._every_s = every_s
        self._last = time.monotonic()

    def __call__(self, searches: Sequence[Search]) -> None:
        if time.monotonic() - self._last >= self._every_s:
            self.write(searches)

    def write(self, searches: Sequence[Search]) -> None:
        """Write them down now."""
        for path, task, search in zip(self._paths, self._tasks, searches, strict=True):
            write_search(path, task, search)
        self._last = time.monotonic()


def write_search(path: Path, task: str, search: Search) -> None:
    """Write the state of a search."""
    tensors = {"code": search.code}
    tensors |= {f"noise.{index}": image for index, image in enumerate(search.noise)}
    tensors |= {f"moments.{index}": moment for index, moment in enumerate(search.moments)}
    tensors |= {f"path.{index}": ws for index, ws in enumerate(search.path)}
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps({"task": task, "step": search.step, "rate": search.rate})
    write_bytes(path, save(whole, metadata={METADATA_KEY: text}))


def read_search(path: Path, device: torch.device | str = "cpu") -> tuple[str, Search] | None:
    """Return a search's task and state, or None if there is no readable one."""
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict

        def numbered(stem: str, device: torch.device | str) -> list[torch.Tensor]:
            count = sum(name.startswith(stem) for name in tensors)
            return [tensors[f"{stem}{index}"].to(device) for index in range(count)]

        return str(facts["task"]), Search(
            int(facts["step"]),
            float(facts["rate"]),
            tensors["code"].to(device),
            numbered("noise.", device),
            numbered("moments.", device),
            numbered("path.", "cpu"),
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _state(
    folder: Path, target: Target, task: str, device: torch.device, *, again: bool
) -> Styles | Search | None:
    """Return the results for a picture: its styles if it is finished, its search, or None.

    Nothing but an earlier projection is replaced, with `again` neither.
    """
    path = _styles_path(folder, target.title)
    if path.exists():
        styles = read_styles(path)
        if again:
            return None
        if styles.info.task == task:
            return styles
        raise OptionError(
            "projected from another picture, or with other options",
            where=path,
            fix="give another --out, or --again to replace it",
        )
    found = read_search(_search_path(folder, target.title), device)
    if found is None:
        _require_no_file(folder, target.title)
    return found[1] if found is not None and found[0] == task and not again else None


def _require_no_file(folder: Path, title: str) -> None:
    for ending in RESULTS:
        if (path := folder / f"{title}{ending}").exists():
            raise OptionError(
                "it is there already, and no earlier projection's",
                where=path,
                fix="give another --out, or move it away",
            )


def _write(folder: Path, title: str, task: str, projection: Projection) -> Found:
    pair = enlarge(side_by_side(to_frame(projection.target), to_frame(projection.picture)))
    write_bytes(folder / f"{title}.png", encode(pair, "png"))
    info = projection.styles.info.model_copy(update={"task": task})
    styles = dataclasses.replace(projection.styles, info=info)
    write_styles(_styles_path(folder, title), styles)
    _search_path(folder, title).unlink(missing_ok=True)
    return Found(title, styles, projection)


def side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Join two pictures [h, w, ch] of one size side by side."""
    return np.concatenate([left, right], axis=1)


def _styles_path(folder: Path, title: str) -> Path:
    return folder / f"{title}.safetensors"


def _search_path(folder: Path, title: str) -> Path:
    return folder / f".{title}.search.safetensors"


def write_way(projection: Projection, path: Path, generator: Generator, name: str, fps: float = 15) -> None:
    """Write the film of a projection: the target on the left, and the progress of the search on the right.

    Args:
        projection: The projection.
        path: The film; its ending chooses the format.
        generator: Its generator.
        name: The generator's name, for the film's provenance.
        fps: Frames per second; the last picture is shown for a second.
    """
    target = to_frame(projection.target)

    def frames() -> Iterator[Frame]:
        device = next(generator.parameters()).device
        for ws in projection.path[:-1]:
            with torch.inference_mode(), exact_convolutions():
                picture = to_uint8(generator.synthesize(ws[None].to(device)))[0]
            yield enlarge(side_by_side(target, to_frame(picture)))
        for _ in range(round(fps)):
            yield enlarge(side_by_side(target, to_frame(projection.picture)))

    count = len(projection.path) - 1 + round(fps)
    write_film(path, frames(), count, FilmOptions(fps, Provenance(name, None, None), loop=True))
