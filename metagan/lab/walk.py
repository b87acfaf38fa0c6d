"""Films walks through a generator: key frames, and the styles of every frame between them.

References:
    [1] Shoemake 1985, Animating Rotation with Quaternion Curves, section 3.3 (slerp).
    [2] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948, section 3.1 (style mixing).

Symbols: z latents, w styles, psi truncation. Frames are numbered 0 to n - 1. A frame depends only on its number and the
film's options, so frames can be drawn in any order, and those of an interrupted run can be kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metagan.errors import MalformedFileError, OptionError
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.lab.dials import Directions, parse_dials
from metagan.lab.film import (
    FilmOptions,
    Frame,
    enlarge,
    film_format,
    frame_path,
    require_film_size,
    to_frame,
    write_film,
)
from metagan.lab.styles import (
    Styles,
    fingerprint,
    map_latents,
    mean_style,
    read_styles,
    require_same_generator,
    truncate,
)
from metagan.networks.generator import Generator
from metagan.sampling.latents import latents
from metagan.sampling.sampler import Sampler
from metagan.values import Label, Size, counted

Curve = Literal["z", "w", "w+"]
Easing = Literal["linear", "smooth", "sine"]
EASINGS: Final[dict[str, Callable[[float], float]]] = {
    "linear": lambda u: u,
    "smooth": lambda u: u * u * (3 - 2 * u),
    "sine": lambda u: 0.5 - 0.5 * math.cos(math.pi * u),
}
MAX_FRAMES: Final = 1_000_000
FACTS: Final = "walk.json"


@dataclass(frozen=True)
class WalkOptions:
    """The path and timing of a film.

    Args:
        keys: The key frames, each in a form that `read_key` takes, and the dials that it turns: "5,Fur=2,Hat=-1".
        seconds: Length of the film.
        fps: Frames per second.
        loop: Whether the last key frame leads back to the first.
        curve: Path between key frames: "z" great circles of latents, "w" straight lines of styles, "w+" a cubic spline
            through all of them; "auto" is w+ where a generator has a mapping network, else z.
        circle: Seed of a circle in z to walk instead of key frames, or None.
        easing: Speed between key frames: "linear", or "smooth" or "sine", which rest at each of them.
        grid: Columns and rows of walks side by side; key frames are dealt out to them evenly.
        psi: Truncation at the beginning.
        psi_to: Truncation at the end, or in the middle of a loop; None for a constant psi.
        hold: A key frame whose styles some layers keep throughout, or None.
        hold_from: First of these layers.
        label: What a conditional generator is asked for: a class, or its label's numbers.
        dials: How every key frame turns dials, as `parse_dials` takes it; or None.
        noise: "const" or "none"; random noise would flicker.
    """

    keys: tuple[str, ...]
    seconds: float = 10.0
    fps: float = 30.0
    loop: bool = False
    curve: Curve | Literal["auto"] = "auto"
    circle: int | None = None
    easing: Easing = "linear"
    grid: tuple[int, int] = (1, 1)
    psi: float = 1.0
    psi_to: float | None = None
    hold: str | None = None
    hold_from: int = 0
    label: Label | None = None
    dials: str | None = None
    noise: Literal["const", "none"] = "const"

    @property
    def frames(self) -> int:
        """Number of frames of the film; very large if the options give no finite number."""
        exact = self.seconds * self.fps
        return max(1, round(exact)) if math.isfinite(exact) else sys.maxsize


@dataclass(frozen=True)
class Key:
    """A key frame.

    Args:
        ws: Its styles, not truncated, [num_ws, w_dim].
        z: The latents of these styles, [z_dim], or None.
        shift: What its dials add to the styles after truncation, [num_ws, w_dim], or None.
    """

    ws: Tensor
    z: Tensor | None = None
    shift: Tensor | None = None

    @property
    def moved(self) -> Tensor:
        """What its dials add to the styles, zeros if none are turned."""
        return torch.zeros_like(self.ws) if self.shift is None else self.shift


class Walk:
    """The styles of a film's frames.

    Args:
        generator: The generator, on its device.
        options: The path and timing.
        foreign: Whether to accept styles files of another generator with the same shape, too.
        directions: The dials that key frames and `dials` of the options turn; None if none are turned.

    Raises:
        OptionError: If there are too few key frames, the curve needs latents that one lacks, or options contradict
            each other.
        MalformedFileError: If a styles file can't be read.
    """

    def __init__(
        self,
        generator: Generator,
        options: WalkOptions,
        *,
        foreign: bool = False,
        directions: Directions | None = None,
    ) -> None:
        self.generator = generator
        self.options = options
        self.columns, self.rows = options.grid
        has_mapping = hasattr(generator, "mapping")
        self.curve: Curve = ("w+" if has_mapping else "z") if options.curve == "auto" else options.curve
        if not has_mapping and options.curve in ("w", "w+"):
            msg = f"--curve {options.curve}: this architecture ({generator.architecture}) has no mapping network"
            raise OptionError(msg, fix="use --curve z")
        if not 1 <= options.frames <= MAX_FRAMES:
            raise OptionError(
                f"{counted(options.frames, 'frame')}: want 1 to {MAX_FRAMES:,}", fix="ask for fewer seconds"
            )
        if (options.psi != 1 or options.psi_to not in (None, 1)) and mean_style(generator) is None:
            msg = f"psi {options.psi:g}: this {generator.architecture} has no mean style to truncate toward"
            raise OptionError(msg, fix="use psi 1")
        self._foreign, self._directions = foreign, directions
        self.keys = [self._key(key) for key in options.keys]
        self._hold = None
        if options.hold is not None:
            self._hold = self._key(options.hold)
            layers = len(self._hold.ws)
            if not 0 <= options.hold_from < layers:
                msg = f"layer {options.hold_from}: this generator has layers 0 to {layers - 1}"
                raise OptionError(msg, fix="give one of them as --hold-from")
        self._paths = [self._path(cell) for cell in range(self.columns * self.rows)]

    def styles(self, frame: int) -> list[Tensor]:
        """Return a frame's styles, [num_ws, w_dim] for each walk of the grid, row by row."""
        at = frame / self.options.frames if self.options.loop else frame / max(1, self.options.frames - 1)
        psi = self._psi(at)
        styles = []
        for path in self._paths:
            ws, shift = path(at)
            ws = truncate(self.generator, ws[None], psi)[0] + shift
            if self._hold is not None:
                held = truncate(self.generator, self._hold.ws[None], psi)[0] + self._hold.moved
                ws = torch.cat([ws[: self.options.hold_from], held[self.options.hold_from :]])
            styles.append(ws)
        return styles

    def task(self, sampler: Sampler) -> str:
        """Hash everything that decides the content of the frames."""
        digest = hashlib.sha256(fingerprint(self.generator).encode())
        facts = {
            name: value for name, value in asdict(self.options).items() if name not in ("dials", "noise")
        } | {
            "precision": sampler.precision,
            "side": sampler.resolution,
        }
        if self.options.noise != "const":  # films of earlier versions go on
            facts["noise"] = self.options.noise
        digest.update(json.dumps(facts, sort_keys=True).encode())
        if sampler.upscaler is not None:
            for name, tensor in sorted(sampler.upscaler.state_dict().items()):
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        for key in (*self.keys, *([] if self._hold is None else [self._hold])):
            for part in [key.ws] if key.shift is None else [key.ws, key.shift]:
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _key(self, text: str) -> Key:
        """Read a key frame with the dials that it turns, "5,Fur=2", and those of the options."""
        text, *turned = text.split(",") if turns_dials(text) else [text]
        key = read_key(self.generator, text, self.options.label, foreign=self._foreign)
        written = ",".join(turned)
        if not written and self.options.dials is None:
            return key
        if self._directions is None:
            msg = f"key frame {text!r:.80} turns dials, and no directions are given"
            raise OptionError(msg, fix="name a file of `metagan directions`")
        values = parse_dials(self.options.dials, self._directions.names) if self.options.dials else {}
        if written:
            values |= parse_dials(written, self._directions.names)
        shift = self._directions.shift(values, len(key.ws))
        if self._directions.info.space == "w":
            return replace(key, shift=shift)
        if key.z is None:
            msg = f"key frame {text!r:.80} has no latents, and this generator's dials move latents"
            raise OptionError(msg, fix="turn dials of seeds only")
        z = key.z + shift
        return Key(map_one(self.generator, z, self.options.label), z)

    def _psi(self, at: float) -> float:
        options = self.options
        if options.psi_to is None:
            return options.psi
        share = (1 - abs(1 - 2 * at)) if options.loop else at
        return options.psi + (options.psi_to - options.psi) * share

    def _path(self, cell: int) -> Callable[[float], Tensor]:
        """Return a function from time, 0 to 1, to the styles of one walk and what dials add, [2, num_ws, w_dim]."""
        if self.options.circle is not None:
            return self._circle(self.options.circle + cell)
        keys = self._dealt(cell)
        if len(keys) == 1:
            return lambda _at: torch.stack([keys[0].ws, keys[0].moved])
        stretches = len(keys) if self.options.loop else len(keys) - 1
        ease = EASINGS[self.options.easing]

        def place(at: float) -> tuple[int, float]:
            which = min(int(at * stretches), stretches - 1)
            return which, ease(at * stretches - which)

        if self.curve == "z":
            return self._through_latents(keys, place)
        rows = torch.stack([torch.stack([key.ws, key.moved]) for key in keys])
        if self.curve == "w":

            def straight(at: float) -> Tensor:
                which, u = place(at)
                return torch.lerp(rows[which], rows[(which + 1) % len(rows)], u)

            return straight
        bends = spline_bends(rows, loop=self.options.loop)

        def curved(at: float) -> Tensor:
            which, u = place(at)
            after = (which + 1) % len(rows)
            v = 1 - u
            line = v * rows[which] + u * rows[after]
            return line + ((v**3 - v) * bends[which] + (u**3 - u) * bends[after]) / 6

        return curved

    def _through_latents(
        self, keys: Sequence[Key], place: Callable[[float], tuple[int, float]]
    ) -> Callable[[float], Tensor]:
        latents_of = [key.z for key in keys]
        if any(z is None for z in latents_of):
            msg = "--curve z: a key frame has no latents: it is a mixture, or was projected into styles"
            raise OptionError(msg, fix="use seeds, or --curve w+")
        rows = torch.stack([z for z in latents_of if z is not None])
        moved = torch.stack([key.moved for key in keys])

        def great_circle(at: float) -> Tensor:
            which, u = place(at)
            after = (which + 1) % len(rows)
            ws = self._map(slerp(rows[which], rows[after], u))
            return torch.stack([ws, torch.lerp(moved[which], moved[after], u)])

        return great_circle

    def _circle(self, seed: int) -> Callable[[float], Tensor]:
        """Return a closed circle of unit-normal latents: cos(2πt) a + sin(2πt) b."""
        a, b = torch.from_numpy(np.random.RandomState(seed % 2**32).randn(2, self.generator.z_dim)).float()
        shift = None
        if self.options.dials and self._directions is not None:
            values = parse_dials(self.options.dials, self._directions.names)
            shift = self._directions.shift(values, self.generator.num_ws)
        is_of_latents = shift is not None and shift.ndim == 1

        def around(at: float) -> Tensor:
            z = math.cos(2 * math.pi * at) * a + math.sin(2 * math.pi * at) * b
            ws = self._map(z + shift if is_of_latents else z)
            return torch.stack([ws, torch.zeros_like(ws) if shift is None or is_of_latents else shift])

        return around

    def _dealt(self, cell: int) -> list[Key]:
        cells = self.columns * self.rows
        each, left = divmod(len(self.keys), cells)
        if left or each == 0:
            msg = f"--grid {self.columns}x{self.rows}: want a multiple of {cells} key frames, got {len(self.keys)}"
            raise OptionError(msg, fix=f"give {counted((each + 1) * cells, 'seed')}")
        sweeps = self.options.psi_to is not None
        if each == 1 and not sweeps:
            raise OptionError("a walk wants two key frames or more, got one", fix="give more --seeds")
        return self.keys[cell * each : (cell + 1) * each]

    def _map(self, z: Tensor) -> Tensor:
        return map_one(self.generator, z, self.options.label)


@torch.inference_mode()
def map_one(generator: Generator, z: Tensor, label: Label | None) -> Tensor:
    """Map one picture's latents [z_dim] to its styles [num_ws, w_dim], on the CPU."""
    device = next(generator.parameters()).device
    return map_latents(generator, z[None].to(device), label)[0].cpu().clone()


def film_noise(noise: str) -> Literal["const", "none"]:
    """Return a film's noise for what a subject says: random noise would flicker, so it is the stored one."""
    return "none" if noise == "none" else "const"


def turns_dials(text: str) -> bool:
    """Whether a key frame's text turns dials, "5,Fur=2"; names of styles files may have an equals sign, too."""
    try:
        return "=" in text and not Path(text).is_file()
    except OSError:  # too long for a file's name
        return True


_KEY = re.compile(r"(?P<one>.+?)(?:\+(?P<mean>[^+]+)|/(?P<other>[^/@]+)@(?P<layer>\d+))?")


def read_key(generator: Generator, text: str, label: Label | None, *, foreign: bool = False) -> Key:
    """Read a key frame from text.

    Args:
        generator: The generator that will draw it.
        text: A seed, "5"; a styles file; "5+9", the styles halfway between two; or "5/9@8", the styles of the first
            with those of the second from layer 8 on ([2] section 3.1).
        label: What a conditional generator is asked for: a class, or its label's numbers.
        foreign: Whether to accept styles files of another generator with the same shape, too.

    Raises:
        OptionError: If the text has another form, or names styles of another generator.
        MalformedFileError: If the styles file can't be read.
    """
    if Path(text).suffix == ".safetensors" and Path(text).is_file():
        return _single(generator, text, label, foreign=foreign)
    match = _KEY.fullmatch(text)
    if match is None:
        raise _no_key(text)
    one = _single(generator, match["one"], label, foreign=foreign)
    if match["mean"] is not None:
        return Key((one.ws + _single(generator, match["mean"], label, foreign=foreign).ws) / 2)
    if match["other"] is None:
        return one
    other, layer = _single(generator, match["other"], label, foreign=foreign), int(match["layer"])
    if not 0 < layer < len(one.ws):
        msg = f"{text}: layer {layer}, and this generator has layers 0 to {len(one.ws) - 1}"
        raise OptionError(msg, fix=f"give a layer from 1 to {len(one.ws) - 1} after @")
    return Key(torch.cat([one.ws[:layer], other.ws[layer:]]))


def _single(generator: Generator, text: str, label: Label | None, *, foreign: bool) -> Key:
    if re.fullmatch(r"\d{1,10}", text) and int(text) < 2**32:
        z = latents([int(text)], generator.z_dim)[0]
        return Key(map_one(generator, z, label), z)
    if not text.endswith(".safetensors"):
        raise _no_key(text)
    styles: Styles = read_styles(Path(text))
    require_same_generator(styles, generator, Path(text), foreign=foreign)
    return Key(styles.ws, styles.z)


def _no_key(text: str) -> OptionError:
    want = "a seed (5), a styles file, two of them halfway (5+9), or mixed by layers (5/9@8)"
    return OptionError(f"key frame {text!r:.80}: want {want}", fix="write it as one of these")


def slerp(a: Tensor, b: Tensor, u: float) -> Tensor:
    """Interpolate from a (u = 0) to b (u = 1) along a great circle, and their lengths linearly [1]."""
    angle = torch.arccos((a / a.norm() * (b / b.norm())).sum().clamp(-1, 1))
    if float(angle) < 1e-4 or float(angle) > math.pi - 1e-4:  # no circle, or no single one, through both
        return torch.lerp(a, b, u)
    along = (torch.sin((1 - u) * angle) * a / a.norm() + torch.sin(u * angle) * b / b.norm()) / torch.sin(
        angle
    )
    between: Tensor = along * ((1 - u) * a.norm() + u * b.norm())
    return between


def spline_bends(rows: Tensor, *, loop: bool) -> Tensor:
    """Return the second derivatives at the knots of the cubic spline through rows [n, ...]; natural ends or closed."""
    count = len(rows)
    flat = rows.reshape(count, -1).double()
    matrix = 4 * torch.eye(count, dtype=torch.float64)
    right = torch.zeros_like(flat)
    for index in range(count):
        if not loop and index in (0, count - 1):
            matrix[index] = 0
            matrix[index, index] = 1
            continue
        before, after = (index - 1) % count, (index + 1) % count
        matrix[index, before] += 1
        matrix[index, after] += 1
        right[index] = 6 * (flat[before] - 2 * flat[index] + flat[after])
    bends: Tensor = torch.linalg.solve(matrix, right)
    return bends.reshape(rows.shape).to(rows.dtype)


# --------------------------------------------------------------------------------------------
# Drawing


def draw_walk(walk: Walk, sampler: Sampler, first: int = 0) -> Iterator[Frame]:
    """Yield a film's frames from number `first` on, RGB [h, w, 3], drawn in batches; only one batch is in memory.

    Args:
        walk: The path.
        sampler: A sampler of the same generator.
        first: Number of the first frame.
    """
    cells = walk.columns * walk.rows
    pictures = sampler.draw_styles(
        (ws for frame in range(first, walk.options.frames) for ws in walk.styles(frame)), walk.options.noise
    )
    while tiles := [to_frame(picture) for picture in islice(pictures, cells)]:
        rows = [
            np.concatenate(tiles[start : start + walk.columns], axis=1)
            for start in range(0, cells, walk.columns)
        ]
        yield enlarge(np.concatenate(rows, axis=0))


def write_walk(
    walk: Walk,
    sampler: Sampler,
    out: Path,
    name: str,
    *,
    frames_folder: Path | None = None,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Draw and write a film.

    Args:
        walk: The path.
        sampler: A sampler of the same generator.
        out: The film, whose ending chooses the format; without an ending a folder of numbered PNGs.
        name: The generator's name, for the film's provenance.
        frames_folder: Folder for numbered PNGs; an interrupted film continues after the last of them.
        threads: Threads of ffmpeg; None for ffmpeg's default.
        advance: Called with the number of further frames drawn or found.

    Raises:
        OptionError: If the folder holds frames of another film, or the format needs ffmpeg and there is none.
    """
    require_film_size(out, Size(sampler.size.width * walk.columns, sampler.size.height * walk.rows))
    psi = walk.options.psi if walk.options.psi_to is None else None
    options = FilmOptions(
        walk.options.fps, Provenance(name, None, psi), loop=walk.options.loop, threads=threads
    )
    folder = out if film_format(out) == "" else frames_folder
    if folder is None:
        frames = _counted(draw_walk(walk, sampler), advance)
        write_film(out, frames, walk.options.frames, options)
        return
    first = _begin_folder(folder, walk.task(sampler), walk.options.frames)
    advance(first)
    for number, frame in enumerate(_counted(draw_walk(walk, sampler, first), advance), first):
        write_bytes(frame_path(folder, number), encode(frame, "png", options.provenance))
    if folder != out:
        write_film(out, _from_folder(folder, walk.options.frames), walk.options.frames, options)


def _begin_folder(folder: Path, task: str, count: int) -> int:
    """Return how many frames of this film are in a folder, up to the first missing one."""
    facts = folder / FACTS
    known = None
    if facts.is_file():
        try:
            known = json.loads(facts.read_text(encoding="utf-8"))["task"]
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedFileError(
                "can't be read", where=facts, fix="choose another folder for the frames"
            ) from error
    if known != task and (known is not None or frame_path(folder, 0).exists()):
        raise OptionError(
            "holds frames of another film, or of other options",
            where=folder,
            fix="choose another folder, or remove this one",
        )
    if known is None:
        write_bytes(facts, json.dumps({"task": task}).encode())
    return next((number for number in range(count) if not frame_path(folder, number).is_file()), count)


def _from_folder(folder: Path, count: int) -> Iterator[Frame]:
    for number in range(count):
        with Image.open(frame_path(folder, number), formats=("PNG",)) as image:
            shown: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
        yield shown


def _counted(frames: Iterator[Frame], advance: Callable[[int], None]) -> Iterator[Frame]:
    for frame in frames:
        advance(1)
        yield frame
