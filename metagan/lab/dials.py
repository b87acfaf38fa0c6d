"""Dials: named directions of a generator's styles or latents, their files, and what turning them adds to a picture.

A directions file is a .safetensors with "directions" [n, width], each as long as one step, and a JSON text under the
metadata key "metagan-directions"; docs/lab.md describes it. `metagan.lab.directions` finds directions.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metagan.errors import MalformedFileError, OptionError
from metagan.fetch.locate import locate_weights
from metagan.files import utf8_path, why_no_file, write_bytes
from metagan.lab.styles import fingerprint, styles_shape
from metagan.networks.generator import Generator
from metagan.registry.fields import DialsRef, read_dials
from metagan.sampling.sampler import Settings
from metagan.values import InvalidValueError, Label, counted, show

Method = Literal["sefa", "pca", "logistic"]
METADATA_KEY: Final = "metagan-directions"
MAX_TEXT: Final = 1 << 20
MAX_BYTES: Final = 64 << 20
MOST_STEPS: Final = 100
MAX_NAME: Final = 200
_Text = Annotated[str, Field(max_length=MAX_NAME)]


class Dial(BaseModel):
    """One direction.

    Args:
        name: Name to display; "dial 1" until somebody names it.
        method: The method that found it.
        first: First layer that it moves.
        last: Last layer that it moves.
        times_random: Its effect, as a multiple of a random direction's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Text
    method: Method
    first: Annotated[int, Field(ge=0, le=1000)]
    last: Annotated[int, Field(ge=0, le=1000)]
    times_random: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DirectionsInfo(BaseModel):
    """The metadata of a directions file.

    Args:
        version: Version of the format.
        generator: The generator's fingerprint, as in styles files.
        architecture: The generator's architecture.
        space: The space of the directions: styles w, or latents z.
        step: The visible change of one step, as a share of that between two random pictures.
        dials: The directions, strongest first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    generator: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    architecture: _Text
    space: Literal["z", "w"]
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    dials: Annotated[tuple[Dial, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class Directions:
    """A generator's dials.

    Args:
        info: The file's metadata.
        vectors: The directions, each as long as one step, [n, w_dim or z_dim].
    """

    info: DirectionsInfo
    vectors: Float[Tensor, "n width"]

    @property
    def names(self) -> tuple[str, ...]:
        """The dials' names, in order."""
        return tuple(dial.name for dial in self.info.dials)

    def turn(
        self, code: Float[Tensor, "batch *rest"], values: Mapping[int, float]
    ) -> Float[Tensor, "batch *rest"]:
        """Move styles [batch, num_ws, w_dim], or latents [batch, z_dim], along dials.

        Args:
            code: Styles if the space is w, latents if it is z.
            values: Steps by the dial's number, from 0.

        Raises:
            OptionError: If there is no dial of that number.
        """
        layers = code.shape[1] if self.info.space == "w" else 1
        return code + self.shift(values, layers).to(code)

    def shift(self, values: Mapping[int, float], num_ws: int) -> Tensor:
        """Return what turning dials adds: to a picture's styles [num_ws, w_dim], or to its latents [z_dim].

        Args:
            values: Steps by the dial's number, from 0.
            num_ws: Number of the generator's styles.

        Raises:
            OptionError: If there is no dial of that number.
        """
        width = self.vectors.shape[1]
        total = torch.zeros(num_ws, width) if self.info.space == "w" else torch.zeros(width)
        for number, steps in values.items():
            if not 0 <= number < len(self.vectors):
                msg = f"dial {number + 1}: there are dials 1 to {len(self.vectors)}"
                raise OptionError(msg, fix="give one of them")
            dial, step = self.info.dials[number], steps * self.vectors[number]
            if self.info.space == "w":
                total[dial.first : dial.last + 1] += step
            else:
                total += step
        return total

    def turned(self, settings: Settings, values: Mapping[int, float], num_ws: int) -> Settings:
        """Return drawing options with dials turned.

        Args:
            settings: The options.
            values: Steps by the dial's number, from 0.
            num_ws: Number of the generator's styles.

        Raises:
            OptionError: If there is no dial of that number.
        """
        shift = self.shift(values, num_ws)
        if self.info.space == "w":
            return replace(settings, ws_shift=shift)
        return replace(settings, z_shift=shift)

    def arranged(self, names: Sequence[tuple[str, int]], *, rest: bool) -> Directions:
        """Return the dials under other names and in another order.

        Args:
            names: Names, each with the dial's number, from 1.
            rest: Whether the other dials follow, under their own names.

        Raises:
            OptionError: If there is no dial of a number.
        """
        count = len(self.vectors)
        for name, number in names:
            if not 1 <= number <= count:
                there_are = counted(count, "dial")
                raise OptionError(
                    f"{name} is dial {number}, and there are {there_are}",
                    fix="name only those, or find more with `metagan directions --count`",
                )
        order = [number - 1 for _, number in names]
        others = [index for index in range(count) if index not in order] if rest else []
        dials = [self.info.dials[index] for index in (*order, *others)]
        for place, (name, _) in enumerate(names):
            dials[place] = dials[place].model_copy(update={"name": name})
        return Directions(
            self.info.model_copy(update={"dials": tuple(dials)}), self.vectors[[*order, *others]]
        )


# --------------------------------------------------------------------------------------------
# Files


def write_directions(path: Path, directions: Directions) -> None:
    """Write a directions file atomically."""
    vectors = directions.vectors.detach().float().cpu().contiguous().clone()
    write_bytes(
        path, save({"directions": vectors}, metadata={METADATA_KEY: directions.info.model_dump_json()})
    )


def read_directions(path: Path) -> Directions:
    """Read a directions file.

    Raises:
        MalformedFileError: If the file is missing, damaged, or not a directions file.
    """
    if not path.is_file():
        raise _malformed(path, why_no_file(path))
    if path.stat().st_size > MAX_BYTES:
        raise _malformed(path, f"want at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None or len(text) > MAX_TEXT or list(file.keys()) != ["directions"]:
                raise _malformed(path, "a safetensors file, but not of directions")
            vectors = file.get_tensor("directions")
        info = DirectionsInfo.model_validate(json.loads(text))
    except SafetensorError as error:
        raise _malformed(path, f"no safetensors file, or a damaged one ({error})") from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise _malformed(path, "its metadata can't be read") from error
    good = vectors.dtype == torch.float32 and vectors.ndim == 2 and len(vectors) == len(info.dials)
    if not good or not torch.isfinite(vectors).all():
        raise _malformed(path, "its numbers don't fit its metadata, or aren't finite")
    return Directions(info, vectors)


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(found, where=path, fix="give a file that `metagan directions` wrote")


def require_same_generator(
    directions: Directions, generator: Generator, where: str | Path, *, foreign: bool = False
) -> None:
    """Refuse the directions of another generator.

    Args:
        directions: The directions.
        generator: The generator that will draw.
        where: Their file, for messages.
        foreign: Whether to accept those of another generator with the same shapes, such as a fine-tuned one.

    Raises:
        OptionError: If they are another generator's, or move styles that this one doesn't have.
    """
    num_ws, w_dim = styles_shape(generator)
    in_w = directions.info.space == "w"
    width = w_dim if in_w else generator.z_dim
    fix = "find this generator's with `metagan directions`"
    if directions.vectors.shape[1] != width or in_w != hasattr(generator, "mapping"):
        what = f"directions in {directions.info.space} of width {directions.vectors.shape[1]}"
        raise OptionError(f"{what}, and this generator takes {width}", where=where, fix=fix)
    last = max((dial.last for dial in directions.info.dials), default=0)
    if in_w and (last >= num_ws or any(dial.first > dial.last for dial in directions.info.dials)):
        msg = f"a dial of layers up to {last}, and this generator has layers 0 to {num_ws - 1}"
        raise OptionError(msg, where=where, fix=fix)
    if not foreign and directions.info.generator != fingerprint(generator):
        begins = directions.info.generator[:12]
        msg = f"these are directions of another generator, whose hash begins with {begins}"
        raise OptionError(msg, where=where, fix=f"{fix}, or take them as they are with --foreign-styles")


def open_dials(
    ref: DialsRef,
    generator: Generator,
    *,
    label: Label | None = None,
    foreign: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Directions:
    """Open a generator's dials: read their file, or find them if there is none, then name and order them.

    Args:
        ref: Which dials.
        generator: The generator.
        label: What a conditional generator is asked for, if directions are to be found.
        foreign: Whether to accept another generator's directions with the same shapes.
        advance: Called with the number of further measured candidates.

    Raises:
        MalformedFileError: If the file can't be read.
        OptionError: If the directions are another generator's, none are found, or a named dial doesn't exist.
    """
    if ref.file is None:
        from metagan.lab.directions import DirectionsOptions, find_directions

        found = find_directions(generator, DirectionsOptions(label=label), advance=advance)
    else:
        path = locate_weights(ref.file)
        found = read_directions(path)
        require_same_generator(found, generator, path, foreign=foreign)
    return found.arranged(ref.names, rest=ref.rest)


def choose_dials(file: str | None, known: DialsRef | None, what: str) -> DialsRef:
    """Return the dials to use.

    Args:
        file: A directions file's path, bundled:NAME or "auto"; None for those that are known.
        known: The subject's, or None.
        what: The subject or the weights file, for messages.

    Raises:
        OptionError: If neither `file` nor `known` states dials, or the file doesn't exist.
    """
    if file is not None:
        try:
            return read_dials(file, Path.cwd())
        except InvalidValueError as error:
            raise OptionError(f"--directions: {error.complaints[0]}", fix=error.complaints[0].fix) from error
    if known is None:
        fix = "name a file of `metagan directions` with --directions, or find some with --directions auto"
        raise OptionError(f"{show(what)} has no dials", fix=fix)
    return known


# --------------------------------------------------------------------------------------------
# Values


def parse_dials(text: str, names: Sequence[str]) -> dict[int, float]:
    """Parse how dials are turned.

    Args:
        text: "Fur=2,Hat=-1" by name, "1:2,3:-1" by number, or "2,0,-1" for the first, second and third.
        names: The dials' names, in order.

    Returns:
        Steps by the dial's number, from 0, without those that aren't turned.

    Raises:
        OptionError: If a value is no number or too large, or there is no such dial.
    """
    values: dict[int, float] = {}
    for place, part in enumerate(text.split(",")):
        by_number = re.fullmatch(r"\s*(\d{1,4}):(.*)", part)
        name, equals, steps = part.rpartition("=")
        if equals:
            number = _numbered(name.strip(), names)
        elif by_number:
            number, steps = int(by_number[1]) - 1, by_number[2]
        else:
            number = place
        if number in values:
            raise OptionError(f"dials {text!r:.80}: dial {number + 1} is turned twice", fix="turn it once")
        values[number] = _steps(steps, text)
    return check_dials(values, names)


def check_dials(
    values: str | Mapping[str, float] | Mapping[int, float] | Sequence[float], names: Sequence[str]
) -> dict[int, float]:
    """Check how dials are turned.

    Args:
        values: Steps by a dial's name, by its number from 0, or in order; or text for `parse_dials`.
        names: The dials' names, in order.

    Returns:
        Steps by the dial's number, from 0, without those that aren't turned.

    Raises:
        OptionError: If a value is no number or too large, or there is no such dial.
    """
    if isinstance(values, str):
        return parse_dials(values, names)
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    found: dict[int, float] = {}
    for key, steps in pairs:
        number = _numbered(key, names) if isinstance(key, str) else key
        if not 0 <= number < len(names):
            raise OptionError(f"dial {number + 1}: there is no such dial", fix=_listed(names))
        found[number] = _steps(steps, f"{names[number]}={steps}")
    return {number: steps for number, steps in found.items() if steps}


def _steps(written: object, text: str) -> float:
    try:
        steps = float(written)  # type: ignore[arg-type]  # what isn't a number is refused here
    except (TypeError, ValueError):
        steps = math.nan
    fix = "write them like Fur=2,Hat=-1, 1:2,3:-1 or 2,0,-1"
    if not math.isfinite(steps):
        got = f"{written!r:.40}" if isinstance(written, str) else show(written)
        raise OptionError(f"dials {text!r:.80}: want numbers of steps, got {got}", fix=fix)
    if abs(steps) > MOST_STEPS:
        raise OptionError(
            f"dials {text!r:.80}: want at most {MOST_STEPS} steps either way, got {steps:g}", fix=fix
        )
    return steps


def _numbered(name: str, names: Sequence[str]) -> int:
    for fold in (str, str.casefold):
        same = [number for number, known in enumerate(names) if fold(known) == fold(name)]
        if same:
            return same[0]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise OptionError(f"there is no dial {show(name)}", fix=f"{hint}{_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return f"the dials are: {', '.join(names)}"
