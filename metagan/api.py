"""What `import metagan` offers: open a generator, draw with it, train one, and build a site.

Every function takes what the command of the same name takes, and raises the same MetaganErrors.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import os
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    ParamSpec,
    SupportsIndex,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from metagan.errors import OptionError, Problem, ShapeError
from metagan.evaluation.evaluate import Evaluation
from metagan.fetch.transfer import Transfer
from metagan.files import explain, require_other, write_bytes
from metagan.images.encode import encode, picture_format, require_size, to_image
from metagan.images.provenance import Provenance
from metagan.images.sheet import contact_sheet
from metagan.networks.loading.forms import title_of
from metagan.sampling.latents import labels, latents
from metagan.sampling.sampler import Sampler, Settings
from metagan.sampling.target import Target, find_target, open_sampler
from metagan.seeds import MAX_SEED, MAX_SEEDS
from metagan.values import PSI_RANGE, InvalidValueError, Label, NoiseMode

if TYPE_CHECKING:
    from metagan.lab.dials import Directions
    from metagan.lab.paint_files import Painted
    from metagan.lab.project_files import Found
    from metagan.lab.rank import Score
    from metagan.site.build.build import BuildReport
    from metagan.training.options import ArchitectureName, Augmentation, Join, Preset
    from metagan.training.session import Result

NOISE_MODES: Final = get_args(NoiseMode)


Dials = str | Mapping[str, float] | Mapping[int, float] | Sequence[float]


# --------------------------------------------------------------------------------------------
# Arguments: what the command line's options refuse, calls refuse too.

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse arguments of other types than the function's annotations, by an OptionError that names them.

    Annotations with names that are imported for type checkers only are left to the function. Errors of the file system
    become MetaganErrors, too.
    """
    names = inspect.signature(function).parameters

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        hints = _hints_of(function)

        def settle(name: str, value: object) -> Any:
            return _settled(name, value, hints[name]) if name in hints else value

        given = [settle(name, value) for name, value in zip(names, args, strict=False)]
        if len(args) > len(given):
            return function(*args, **kwargs)  # it says that these are too many
        try:
            return function(*given, **{key: settle(key, kwargs[key]) for key in kwargs})
        except OSError as error:
            raise explain(error) from error

    return call


@functools.cache
def _hints_of(function: Callable[..., object]) -> dict[str, Any]:
    """Return the annotations of a function's parameters that can be told at run time."""
    hints: dict[str, Any] = {}
    for name, text in function.__annotations__.items():
        with contextlib.suppress(NameError):
            hints[name] = eval(text, function.__globals__)  # noqa: S307 - this module's own annotations
    hints.pop("return", None)
    return hints


_PLAIN: Final[dict[object, Callable[[Any], bool]]] = {
    bool: lambda value: isinstance(value, bool | np.bool_),
    int: lambda value: _index(value) is not None,
    float: lambda value: isinstance(value, int | float | np.number),
    str: lambda value: isinstance(value, str) and _can_name(value),
    Path: lambda value: isinstance(value, os.PathLike) and _can_name(os.fsdecode(value)),
}


def _can_name(text: str) -> bool:
    """Whether a text can be a file's name: without zero bytes, and without halves of characters."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _index(value: object) -> int | None:
    """A whole number as an int; None for anything else, such as an array of one."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim:
        return None
    try:
        return operator.index(cast("SupportsIndex", value))
    except TypeError:
        return None


def _settled(name: str, value: Any, hint: Any) -> Any:
    """Return a value that fits its annotation, the items of an iterable as a list."""
    if not _fits(value, hint):
        raise OptionError(f"{name}: want {_words(hint)}, got {value!r:.60}", fix="give that")
    kinds = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    kind = next(one for one in kinds if _fits(value, one))
    if get_origin(kind) not in _MANY:
        return value
    (inner,), found = get_args(kind), list(value)
    for index, item in enumerate(found):
        if not _fits(item, inner):
            raise OptionError(f"{name}[{index}]: want {_words(inner)}, got {item!r:.60}", fix="give that")
    return found


_MANY: Final = (abc.Iterable, abc.Sequence)


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in _MANY:
        return _is_many(value)
    if origin in (UnionType, Union):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        parts = list(value) if isinstance(value, np.ndarray) and value.ndim else value
        return isinstance(parts, tuple | list) and len(parts) == len(inner) and all(map(_fits, parts, inner))
    if hint in _PLAIN:
        return _PLAIN[hint](value)
    return isinstance(value, origin or hint) and not (origin and isinstance(value, str | bytes))


def _is_many(value: object) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim > 0
    return isinstance(value, abc.Iterable) and not isinstance(value, str | bytes | os.PathLike)


def _words(hint: Any) -> str:
    """Describe what an annotation takes: "a whole number or None"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        told = list(dict.fromkeys(map(_words, inner)))
        return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} or {told[-1]}"
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"{len(inner)} of them: ({', '.join(map(_words, inner))})"
    plain: dict[object, str] = {
        bool: "True or False",
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
    }
    plain |= {NoneType: "None", abc.Callable: "a function", abc.Mapping: "a dictionary"}
    plain |= {Image.Image: "a picture of Pillow"}
    return plain.get(origin or hint) or ("several, in a list" if origin else f"a {hint.__name__}")


class Generator:
    """A generator on a device; `load` makes one.

    Args:
        target: Its file, and how its subject wants it drawn.
        sampler: What draws.
        notes: What loading it had to assume, a sentence each.
    """

    def __init__(self, target: Target, sampler: Sampler, notes: Sequence[str] = ()) -> None:
        self._target, self._sampler, self.notes = target, sampler, tuple(notes)
        self.name = target.name
        self.description = f"{target.name} ({title_of(sampler.generator)})"
        self.size = sampler.size
        self.resolution = sampler.resolution
        self.z_dim, self.c_dim = sampler.generator.z_dim, sampler.generator.c_dim
        self.label_names = sampler.generator.label_space.names
        self.device = sampler.device
        self._dials: dict[str | None, Directions] = {}

    def __repr__(self) -> str:
        return f"<metagan.Generator {self.name}, {self.size}, on {self.device}>"

    def sample(
        self,
        seeds: Iterable[int] | None = None,
        *,
        psi: float | None = None,
        class_index: int | str | None = None,
        label: Sequence[float] | None = None,
        noise: NoiseMode | None = None,
        dials: Dials | None = None,
        directions: str | Path | Directions | None = None,
        lineage: str | None = None,
    ) -> list[Image.Image]:
        """Draw a picture from each seed, or a bred one, as `metagan sample` does.

        Args:
            seeds: From 0 to 2**32 - 1. The same seed gives the same picture. None with a lineage.
            psi: Truncation: 1 for full variety, 0 for the mean picture; None for the subject's own, 1 for a file.
            class_index: The class of a conditional generator, by its number or name.
            label: The numbers of a label that isn't a class.
            noise: "const", "random" (from each picture's seed) or "none"; None for the subject's own.
            dials: Steps by a dial's name, {"Fur": 2}, by its number from 0, or in order; or text, "Fur=2,Hat=-1".
            directions: The dials, or their file, or "auto" to find some; None for the subject's own.
            lineage: The code of a page where pictures are bred, or its address, in place of seeds, psi and the class.

        Returns:
            The pictures, each with its seed and psi in `info`; of a lineage one, or a brood's nine, each with its code.

        Raises:
            OptionError: If a seed, psi, the class or noise is missing or out of range, or psi isn't 1 and the file has
                no mean style, or there is no such dial, or the lineage is damaged or another generator's.
            MalformedFileError: If the directions can't be read.
        """
        return list(
            self.iter_sample(
                seeds,
                psi=psi,
                class_index=class_index,
                label=label,
                noise=noise,
                dials=dials,
                directions=directions,
                lineage=lineage,
            )
        )

    def iter_sample(
        self,
        seeds: Iterable[int] | None = None,
        *,
        psi: float | None = None,
        class_index: int | str | None = None,
        label: Sequence[float] | None = None,
        noise: NoiseMode | None = None,
        dials: Dials | None = None,
        directions: str | Path | Directions | None = None,
        lineage: str | None = None,
    ) -> Iterator[Image.Image]:
        """Draw as `sample` does, but yield each picture as soon as its batch is drawn."""
        settings = self._settings(psi, class_index, label, noise)
        if dials is not None:
            settings = self._turned(settings, dials, directions)
        if lineage is not None:
            if any(given is not None for given in (seeds, psi, class_index, label)):
                raise OptionError(
                    "a lineage has its own seeds, psi and class", fix="give the lineage, or seeds, not both"
                )
            yield from self._bred(lineage, settings)
            return
        if seeds is None:
            raise OptionError("seeds: want whole numbers, got none", fix="write [5], or range(9)")
        for seed, pixels in self._sampler.pictures(_checked_seeds(seeds), settings):
            picture = to_image(pixels)
            picture.info |= {"seed": seed, "psi": settings.psi, "generator": self.description}
            yield picture

    def _bred(self, code: str, settings: Settings) -> Iterator[Image.Image]:
        from metagan.lab.lineage import PSI_UNITS, draw_lineage, read_lineage, write_lineage

        if not isinstance(code, str):
            raise OptionError(f"lineage: want a code, got {code!r:.60}", fix="give the page's address")
        for one, pixels in draw_lineage(self._sampler, read_lineage(code), settings):
            picture = to_image(pixels)
            picture.info |= {
                "lineage": write_lineage(one),
                "psi": one.psi / PSI_UNITS,
                "generator": self.description,
            }
            yield picture

    @torch.inference_mode()
    def styles(
        self,
        seeds: Iterable[int],
        *,
        psi: float | None = None,
        class_index: int | str | None = None,
        label: Sequence[float] | None = None,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Map seeds to styles, to be averaged, mixed or moved, and drawn by `draw`.

        Args:
            seeds: As for `sample`.
            psi: Truncation.
            class_index: The class of a conditional generator, by its number or name.
            label: The numbers of a label that isn't a class.

        Returns:
            Styles [batch, num_ws, w_dim], on the generator's device.

        Raises:
            OptionError: As for `sample`.
        """
        settings, network = self._settings(psi, class_index, label), self._sampler.generator
        chosen = _checked_seeds(seeds)
        if not chosen:
            raise OptionError("seeds: want at least one, got none", fix="give some, such as range(9)")
        z = latents(chosen, network.z_dim).to(self.device)
        rows = labels(network, settings.label, len(z))
        return network.map_latents(z, None if rows is None else rows.to(self.device), psi=settings.psi)

    @checked
    def dials(self, directions: str | Path | Directions | None = None) -> Directions:
        """Open the dials that `sample` turns.

        Args:
            directions: The dials, or their file, or "auto" to find some; None for the subject's own.

        Returns:
            The dials; `names` has their names in order.

        Raises:
            OptionError: If the generator has no dials and none are given, or they are another generator's.
            MalformedFileError: If the file can't be read.
        """
        from metagan.lab.dials import Directions, choose_dials, open_dials, require_same_generator

        network = self._sampler.generator
        if isinstance(directions, Directions):
            require_same_generator(directions, network, "directions")
            return directions
        if not isinstance(directions, str | Path | None):
            raise OptionError(f"directions: want a file, got {directions!r:.60}", fix="give its path")
        key = None if directions is None else str(directions)
        if key not in self._dials:
            ref = choose_dials(key, self._target.dials, self.name)
            self._dials[key] = open_dials(ref, network, label=self._target.label)
        return self._dials[key]

    def _turned(
        self, settings: Settings, dials: Dials, directions: str | Path | Directions | None
    ) -> Settings:
        from metagan.lab.dials import check_dials
        from metagan.lab.styles import styles_shape

        found = self.dials(directions)
        num_ws, _ = styles_shape(self._sampler.generator)
        return found.turned(settings, check_dials(dials, found.names), num_ws)

    def _settings(
        self,
        psi: float | None,
        class_index: int | str | None,
        label: Sequence[float] | None,
        noise: NoiseMode | None = None,
    ) -> Settings:
        if psi is not None:
            _check_number("psi", psi, *PSI_RANGE)
            psi = float(psi)
        if noise is not None:
            _check_noise(noise)
        return self._target.settings(psi, _checked_label(class_index, label), noise)

    @torch.inference_mode()
    def draw(
        self, ws: Float[Tensor, "*batch num_ws w_dim"], *, noise: NoiseMode | None = None, seed: int = 0
    ) -> Image.Image | list[Image.Image]:
        """Draw styles, as large as `sample` draws.

        Args:
            ws: Styles of one picture [num_ws, w_dim], or of several [batch, num_ws, w_dim].
            noise: As for `sample`.
            seed: The seed of random noise.

        Returns:
            One picture for one picture's styles, otherwise a list.

        Raises:
            ShapeError: If the styles have another shape than `styles` gives.
            OptionError: If noise or seed is none of what `sample` takes, or a style is no number.
        """
        settings = self._settings(None, None, None, noise)
        (seed,) = _checked_seeds([seed])
        ws = _checked_styles(ws)
        if not ws.isfinite().all():
            raise OptionError(
                "styles: want numbers, got nan or infinite ones", fix="give what Generator.styles returns"
            )
        rows = (ws if ws.ndim == 3 else ws[None]).to(torch.float32)
        pictures = [to_image(pixels) for pixels in self._sampler.draw_styles(rows, settings.noise, seed)]
        return pictures if ws.ndim == 3 else pictures[0]


def _checked_label(class_index: int | str | None, label: Sequence[float] | None) -> Label | None:
    if label is not None:
        if class_index is not None:
            raise OptionError("class_index and label exclude each other", fix="give one of them")
        try:
            return tuple(float(number) for number in label)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"label: want numbers, got {label!r:.60}", fix="give them as (0.2, 0.7)"
            ) from error
    if class_index is not None and not isinstance(class_index, str):
        _check_whole("class_index", class_index, 0)
        return int(class_index)
    return class_index


def _checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """Seeds as whole numbers; refuses others, and texts, whose characters would be taken for some."""
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise OptionError(f"seeds: want whole numbers, got {seeds!r:.60}", fix="write [5], or range(9)")
    found = tuple(seeds)
    for seed in found:
        _check_whole("seeds", seed, 0, MAX_SEED)
    return tuple(map(operator.index, found))


def _check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    span = f"from {least}" + ("" if most is None else f" to {most}")
    number = _index(value)
    if number is None or number < least or (most is not None and number > most):
        raise OptionError(f"{name}: want a whole number {span}, got {value!r:.60}", fix="give one of those")


def _check_number(name: str, value: object, least: float, most: float) -> None:
    if not isinstance(value, int | float | np.number) or not least <= float(value) <= most:
        raise OptionError(
            f"{name}: want a number from {least} to {most}, got {value!r:.60}", fix="give one of those"
        )


def _checked_styles(ws: object) -> Tensor:
    given = torch.from_numpy(ws) if isinstance(ws, np.ndarray) and ws.dtype.kind == "f" else ws
    if not isinstance(given, Tensor) or given.ndim not in {2, 3}:
        found = list(given.shape) if isinstance(given, Tensor) else f"{given!r:.60}"
        raise ShapeError(
            f"styles: want [num_ws, w_dim] or [batch, num_ws, w_dim], got {found}",
            fix="give what Generator.styles returns, or a row of it",
        )
    return given


def _checked_pictures(pictures: Iterable[Image.Image]) -> list[Image.Image]:
    found = list(pictures)
    for index, picture in enumerate(found):
        if not isinstance(picture, Image.Image):
            raise OptionError(
                f"pictures[{index}]: want a picture of Pillow, got {picture!r:.60}",
                fix="give what Generator.sample returns, or Image.open",
            )
    return found


def _check_noise(noise: object) -> None:
    if not isinstance(noise, str) or noise not in NOISE_MODES:
        raise OptionError(f"noise: want {', '.join(NOISE_MODES)}, got {noise!r:.60}", fix="give one of those")


@checked
def load(
    what: str | Path,
    *,
    sha256: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch: int | None = None,
    network: str | None = None,
    upscale: str | None = None,
    registry: str | Path = "registry.yaml",
    offline: bool = False,
    on_progress: Callable[[Transfer], None] | None = None,
) -> Generator:
    """Open a generator. The file is read without running anything in it.

    Args:
        what: A weights file's path, an https:// URL (with sha256), hf://owner/repo/file, bundled:NAME, or a subject of
            the registry.
        sha256: What the file's SHA-256 must be, 64 hex digits.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "fp32", "bf16" or "auto".
        batch: Pictures drawn at once; None chooses.
        network: Which of a file's networks to draw with, such as "G"; None for the average, where there is one.
        upscale: An upscaler's file or bundled:NAME, "none", or None for the subject's own.
        registry: Where a subject is looked up.
        offline: Take remote weights from the cache only.
        on_progress: Called with the state of a download.

    Returns:
        The generator; its `notes` say what a file left open and what was assumed.

    Raises:
        OptionError: If there is no such file, subject or precision, or batch is below 1.
        FetchError: If the weights can't be downloaded.
        CheckpointError: If the file can't be used.
        DeviceError: If there is no such device.
    """
    if batch is not None:
        _check_whole("batch", batch, 1)
    text = str(what) if not isinstance(what, Path) or what.suffix else f"{what}/"
    target = find_target(text, Path(registry), sha256, offline=offline, upscale=upscale, progress=on_progress)
    notes: list[str] = []
    sampler = open_sampler(target, device, batch, precision, network=network, note=notes.append)
    return Generator(target, sampler, notes)


@checked
def sheet(pictures: Iterable[Image.Image], columns: int | None = None) -> Image.Image:
    """Lay pictures of one size out row by row; a notebook shows the result.

    Args:
        pictures: At least one.
        columns: Pictures per row; None makes the sheet slightly wider than high.

    Raises:
        OptionError: If there are no pictures, or of several sizes, or columns is below 1.
    """
    if columns is not None:
        _check_whole("columns", columns, 1)
    pictures = _checked_pictures(pictures)
    arrays = [
        np.asarray(picture if picture.mode in {"L", "RGBA"} else picture.convert("RGB"))
        for picture in pictures
    ]
    arrays = [array[..., None] if array.ndim == 2 else array for array in arrays]
    if not arrays or len({array.shape for array in arrays}) > 1:
        found = "none" if not arrays else f"{len({array.shape for array in arrays})} different ones"
        raise OptionError(
            f"a sheet takes pictures of one size and mode, got {found}", fix="draw them with one generator"
        )
    return to_image(contact_sheet(arrays, len(arrays), columns))


@checked
def build(
    registry: str | Path = "registry.yaml",
    out: str | Path = "build",
    *,
    subjects: Iterable[str] = (),
    base_url: str | None = None,
    images: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    offline: bool = False,
    strict: bool = False,
    on_progress: Callable[[str, int | None, int], None] | None = None,
) -> BuildReport:
    """Build the site that a registry describes, or update it, as `metagan build` does.

    Args:
        registry: The registry file.
        out: The site folder.
        subjects: Slugs of the subjects to show; all of them when empty.
        base_url: The site's address, overrides the registry's.
        images: Pictures per subject, overrides the registry's.
        device: Where networks run.
        precision: "fp32", "bf16" or "auto".
        offline: Take remote weights from the cache only.
        strict: Fail on warnings.
        on_progress: Called with a stage's name, its total (None where unknown) and how much of it is done.

    Raises:
        RegistryError: If the registry or its weights have problems; lists all of them.
        BuildError: If the folder holds something that metagan didn't build.
        OptionError: If base_url or images can't be used.
    """
    if images is not None:
        _check_whole("images", images, 1, MAX_SEEDS)
    from metagan.registry.fields import parse_base_url
    from metagan.site.build.build import BuildOptions, build_site

    try:
        address = None if base_url is None else parse_base_url(base_url)
    except InvalidValueError as error:
        problems = [Problem("base_url", str(each), each.fix) for each in error.complaints]
        raise OptionError.of(problems) from error
    options = BuildOptions.read(
        Path(registry),
        Path(out),
        subjects=tuple(subjects),
        base_url=address,
        images=images,
        device=device,
        precision=precision,
        offline=offline,
        strict=strict,
    )
    return build_site(options, _BuildProgress(on_progress))


class _BuildProgress:
    """Hands a build's progress to one callable."""

    def __init__(self, tell: Callable[[str, int | None, int], None] | None) -> None:
        self._tell, self._stage, self._done = tell, "", 0
        self._total: int | None = None

    def begin(self, what: str, total: int | None) -> None:
        self._stage, self._total, self._done = what, total, 0
        self.advance(0)

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._tell is not None:
            self._tell(self._stage, self._total, self._done)

    def transfer(self, transfer: Transfer) -> None:
        if self._tell is not None:
            self._tell(transfer.name, transfer.total_bytes, transfer.done_bytes)


@checked
def train(
    data: str | Path,
    out: str | Path,
    *,
    kimg: float = 1000.0,
    architecture: ArchitectureName = "stylegan2",
    preset: Preset | Literal["auto"] = "auto",
    batch: int | None = None,
    learning_rate: float | None = None,
    gamma: float | None = None,
    mirror: bool = False,
    augmentation: Augmentation | None = None,
    dual: str | Path | None = None,
    join: Join | None = None,
    start: str | Path | None = None,
    change: bool = False,
    archive: str | None = None,
    seed: int = 0,
    measured_pictures: int = 1000,
    snapshot_kimg: float = 20.0,
    keep_snapshots: int | None = None,
    licence: str = "unknown",
    source: str = "",
    device: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float, Mapping[str, float]], None] | None = None,
) -> Result:
    """Train a generator on a dataset, or go on with the run in `out`, as `metagan train` does.

    Interrupting it (Ctrl-C, or a notebook's stop button) ends it after a step, with everything saved.

    Args:
        data: A dataset that `metagan dataset pack` wrote.
        out: The run's folder. A run that is there goes on.
        kimg: Train until so many thousand pictures were shown; infinite until it is interrupted.
        architecture: "stylegan2", or "dcgan" for a baseline.
        preset: Width of the networks.
        batch: Pictures per step; None chooses, as for the next two.
        learning_rate: Of both networks.
        gamma: R1's weight.
        mirror: Whether to show pictures mirrored too.
        augmentation: "adaptive", "fixed" or "none"; None for adaptive, or none for a DCGAN.
        dual: A second dataset, with a discriminator of its own that the generator has to pass too.
        join: With `dual`: "and" for the larger of a picture's two losses, "mean" for their mean; None for "and".
        start: Weights to start from, or another run's state.safetensors.
        change: Go on with other pictures or settings than the run in `out` had, and record them in its config.yaml.
        archive: Folder or storage, such as "s3://bucket/runs/apes", that gets a copy of the run after each state, and
            that the run is fetched from if `out` does not exist.
        seed: Decides everything random.
        measured_pictures: Pictures on which each snapshot is measured; 0 turns measuring off.
        snapshot_kimg: Thousands of pictures between snapshots; infinite for one at the end only.
        keep_snapshots: Keep only the newest ones; None keeps all.
        licence: Stored in the weights.
        source: Stored in the weights.
        device: Where to train.
        threads: Processor threads; None for all cores.
        on_progress: Called after each step with thousands of pictures shown, and the newest measurements.

    Raises:
        OptionError: If options are out of range, or don't fit each other, the pictures, or the run that is there.
        TrainingError: If the folder can't be used.
    """
    if threads is not None:
        _check_whole("threads", threads, 1)
    from metagan.training.options import (
        AUTO,
        PRESET_NAMES,
        ArchitectureName,
        Join,
        Recipe,
        Schedule,
        TrainOptions,
        check_settings,
    )
    from metagan.training.session import train as train_generator

    if join is not None and (not isinstance(join, str) or join not in get_args(Join)):
        joins = get_args(Join)
        raise OptionError(f"join: want one of {', '.join(joins)}, got {join!r:.60}", fix="give one of those")
    if join is not None and dual is None:
        raise OptionError("join: it says how two discriminators are combined", fix="give dual=DATASET too")
    chosen = {"batch": batch, "learning_rate": learning_rate, "gamma": gamma, "augmentation": augmentation}
    published = Recipe()
    recipe = Recipe(
        seed=seed,
        batch=published.batch if batch is None else batch,
        learning_rate=published.learning_rate if learning_rate is None else learning_rate,
        gamma=published.gamma if gamma is None else gamma,
        mirror=mirror,
        augmentation=published.augmentation if augmentation is None else augmentation,
        join=published.join if join is None else join,
    )
    schedule = Schedule(
        total_kimg=kimg,
        measured_pictures=measured_pictures,
        snapshot_kimg=snapshot_kimg,
        keep_snapshots=keep_snapshots,
    )
    check_settings(recipe)
    check_settings(schedule, {"total_kimg": "kimg"})
    if not isinstance(architecture, str) or architecture not in get_args(ArchitectureName):
        names = ", ".join(get_args(ArchitectureName))
        raise OptionError(
            f"architecture: want one of {names}, got {architecture!r:.60}", fix="give one of those"
        )
    if not isinstance(preset, str) or preset not in ("auto", *PRESET_NAMES):
        raise OptionError(
            f"preset: want auto, {', '.join(PRESET_NAMES)}, got {preset!r:.60}", fix="give one of those"
        )
    # What is no default was asked for: a run that was started with another value is refused.
    asked = asdict(recipe) | {"preset": preset, "start": start, "licence": licence, "source": source}
    usual = asdict(published) | {"preset": "auto", "start": None, "licence": "unknown", "source": ""}
    asked |= {"architecture": architecture, "dual": dual}
    usual |= {"architecture": "stylegan2", "dual": None}
    explicit = {name for name, value in chosen.items() if value is not None}
    options = TrainOptions(
        data=Path(data),
        out=Path(out),
        recipe=recipe,
        schedule=schedule,
        auto=AUTO - explicit,
        given=frozenset(explicit | {name for name in asked if asked[name] != usual[name]}),
        device=device,
        architecture=architecture,
        preset=preset,
        dual=None if dual is None else Path(dual),
        start=None if start is None else Path(start),
        change=change,
        archive=archive,
        licence=licence,
        source=source,
        threads=threads,
    )
    return train_generator(options, on_progress)


@checked
def evaluate(
    weights: str | Path,
    data: str | Path,
    *,
    count: int | None = None,
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    device: str = "auto",
) -> Evaluation:
    """Measure how near a generator's pictures come to a dataset's, beside other real pictures.

    Without a class, a conditional generator draws its classes in the dataset's shares; one class is compared with its
    own real pictures.

    Args:
        weights: As for `load`.
        data: A dataset that `metagan dataset pack` wrote.
        count: Pictures to compare; None for 2000, or all real pictures if there are fewer.
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        device: Where to draw and measure.

    Raises:
        OptionError: If the dataset has other pictures than the generator draws, or too few.
    """
    from metagan.datasets.source import PictureSource
    from metagan.evaluation.evaluate import evaluate as measure

    if count is not None:
        _check_whole("count", count, 1)
    generator = load(weights, device=device)
    settings = generator._target.settings(1.0, _checked_label(class_index, label))
    return measure(generator._sampler, PictureSource(Path(data)), settings, count)


def _opened(generator: Generator | str | Path, device: str = "auto") -> Generator:
    return generator if isinstance(generator, Generator) else load(generator, device=device)


@checked
def project(
    pictures: str | Path | Iterable[str | Path],
    generator: Generator | str | Path,
    out: str | Path = "projected",
    *,
    space: Literal["auto", "z", "w", "w+"] = "auto",
    steps: int = 400,
    start: str | Path = "nearest",
    learning_rate: float | None = None,
    noise: Literal["fit", "const"] = "fit",
    crop: bool = False,
    box: tuple[int, int, int, int] | None = None,
    lpips: Literal["auto", "alex", "vgg", "none"] = "auto",
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    seed: int = 0,
    own: int = 8,
    again: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> list[Found]:
    """Find the styles with which a generator draws pictures, as `metagan project` does.

    Args:
        pictures: A file, a folder, or several of them.
        generator: From `load`, or what `load` takes.
        out: Folder of the styles files and of the pictures side by side. Finished pictures there are kept.
        space: Where to search; "auto" is "w+", or "z" without a mapping network.
        steps: Number of steps.
        start: "nearest", styles fitted from the most similar of 601 samples; the "mean" style; or a styles file.
        learning_rate: Largest change of styles in a step, in standard deviations; None for 0.1 from the
            mean and among latents, and elsewhere for less, the nearer the start is.
        noise: Whether to fit noise images, or to keep the generator's own.
        crop: Whether to take the middle of pictures that aren't square; otherwise they are padded.
        box: Left, top, right and bottom of the part to take, in the picture's pixels.
        lpips: Perceptual distance beside that of pixels.
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        seed: Random seed.
        own: How many of the generator's own pictures to project too, for each `verdict`; 0 for none. They are
            remembered.
        again: Whether to replace results that are there.
        on_progress: Called with the number of further steps.

    Returns:
        Each picture's title and styles, which `Generator.draw(found.styles.ws)` draws, and the `verdict`: how well it
        fits beside the generator's own pictures, its `share` of them and `words`.

    Raises:
        OptionError: If an option can't be used, or there are no pictures.
        DatasetError: If a picture can't be read.
    """
    _check_whole("steps", steps, 1, 1_000_000)
    if learning_rate is not None:
        _check_number("learning_rate", learning_rate, 1e-9, 10)
    _check_whole("seed", seed, 0, MAX_SEED)
    _check_whole("own", own, 0, 1000)
    from metagan.lab.perceptual import load_perceptual
    from metagan.lab.project import ProjectOptions, Projector
    from metagan.lab.project_files import project_into
    from metagan.lab.styles import read_styles, require_noise_fits, require_same_generator
    from metagan.lab.targets import list_pictures, read_target
    from metagan.lab.verdict import own_distances, with_verdicts

    given = [pictures] if isinstance(pictures, str | Path) else pictures
    files = list_pictures(tuple(Path(each) for each in given), Path(out))
    perceptual = load_perceptual(lpips)
    opened = _opened(generator)
    network = opened._sampler.generator
    mode: Literal["crop", "pad"] = "crop" if crop else "pad"
    targets = [read_target(path, network.size, network.image_channels, mode=mode, box=box) for path in files]
    begin = None
    if start not in ("mean", "nearest"):
        begin = read_styles(Path(start))
        require_same_generator(begin, network, Path(start), foreign=True)
        require_noise_fits(begin, network, Path(start))
    options = ProjectOptions(
        space=space,
        steps=steps,
        start="mean" if start == "mean" else "nearest",
        learning_rate=learning_rate,
        noise=noise,
        label=opened._settings(1.0, class_index, label).label,
        seed=seed,
    )
    projector = Projector(network, options, perceptual)
    advance = on_progress or (lambda _: None)
    found = list(project_into(Path(out), projector, targets, begin, again=again, advance=advance))
    return with_verdicts(found, own_distances(projector, own, advance)) if own else found


@checked
def walk(
    generator: Generator | str | Path,
    out: str | Path,
    keys: Iterable[int | str | Path] = range(5),
    *,
    seconds: float = 10.0,
    fps: float = 30.0,
    loop: bool = False,
    curve: Literal["auto", "z", "w", "w+"] = "auto",
    circle: int | None = None,
    easing: Literal["linear", "smooth", "sine"] = "linear",
    grid: tuple[int, int] = (1, 1),
    psi: float | None = None,
    psi_to: float | None = None,
    hold: int | str | Path | None = None,
    hold_from: int = 8,
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    frames_folder: str | Path | None = None,
    dials: str | None = None,
    directions: str | Path | Directions | None = None,
    foreign_styles: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Path:
    """Film a walk through a generator, as `metagan walk` does.

    Args:
        generator: From `load`, or what `load` takes.
        out: The film, .mp4, .webm, .webp or .gif; without an ending, a folder of numbered PNGs.
        keys: Key frames: seeds, styles files, two of them halfway, "5+9", or mixed by layers, "5/9@8"; dials may
            follow, "5,Fur=2".
        seconds: Length of the film.
        fps: Frames per second.
        loop: Whether the film returns to the first key frame.
        curve: Path between key frames.
        circle: Seed of a circle of latents to walk instead of key frames.
        easing: Speed between key frames.
        grid: Columns and rows of walks side by side.
        psi: Truncation; None for the subject's own.
        psi_to: Truncation at the end, or in the middle of a loop.
        hold: A key frame whose styles the layers from `hold_from` on keep.
        hold_from: First of these layers.
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        frames_folder: Where frames are kept, so that an interrupted film continues.
        dials: How all key frames turn dials, "Fur=2,Hat=-1".
        directions: The dials, or their file, or "auto" to find some; None for the subject's own.
        foreign_styles: Whether to take styles of another generator of the same shape.
        on_progress: Called with the number of further frames.

    Returns:
        The film's path.

    Raises:
        OptionError: If an option or key frame can't be used.
    """
    _check_number("seconds", seconds, 1e-9, 1e9)
    _check_number("fps", fps, 0.01, 240)
    for cells in grid:
        _check_whole("grid", cells, 1, 64)
    _check_whole("hold_from", hold_from, 0)
    if circle is not None:
        _check_whole("circle", circle, 0, MAX_SEED)
    if psi_to is not None:
        _check_number("psi_to", psi_to, *PSI_RANGE)
    from metagan.lab.film import film_format
    from metagan.lab.walk import Walk, WalkOptions, film_noise, turns_dials, write_walk

    film_format(Path(out))
    opened = _opened(generator)
    settings = opened._settings(psi, class_index, label)
    options = WalkOptions(
        keys=() if circle is not None else tuple(map(str, keys)),
        seconds=seconds,
        fps=fps,
        loop=loop or circle is not None,
        curve=curve,
        circle=circle,
        easing=easing,
        grid=grid,
        psi=settings.psi,
        psi_to=psi_to,
        hold=None if hold is None else str(hold),
        hold_from=hold_from,
        label=settings.label,
        dials=dials,
        noise=film_noise(settings.noise),
    )
    turns = dials is not None or any(map(turns_dials, (*options.keys, options.hold or "")))
    path = Walk(
        opened._sampler.generator,
        options,
        foreign=foreign_styles,
        directions=opened.dials(directions) if turns else None,
    )
    write_walk(
        path,
        opened._sampler,
        Path(out),
        f"{opened.name} (metagan)",
        frames_folder=None if frames_folder is None else Path(frames_folder),
        advance=on_progress or (lambda _: None),
    )
    return Path(out)


@checked
def directions(
    generator: Generator | str | Path,
    out: str | Path | None = None,
    *,
    sheet: str | Path | None = None,
    methods: Iterable[Literal["sefa", "pca"]] = ("sefa", "pca"),
    layers: Iterable[tuple[int, int]] = (),
    count: int = 10,
    candidates: int = 6,
    pictures: int = 6,
    psi: float = 0.7,
    lpips: Literal["auto", "alex", "vgg", "none"] = "auto",
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    seed: int = 0,
    traits: str | Path | None = None,
    wanted: Iterable[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Directions:
    """Find dials, directions that change pictures visibly, as `metagan directions` does.

    Args:
        generator: From `load`, or what `load` takes.
        out: The directions file to write, or None.
        sheet: A picture file to write with each dial at -3 to 3, or None.
        methods: What proposes candidates.
        layers: Layer ranges, first and last; empty for all, and coarse, middle and fine ones.
        count: Dials to keep at most.
        candidates: Candidates for each method and range.
        pictures: Pictures on which the effect is measured.
        psi: Their truncation.
        lpips: Perceptual distance beside that of pixels.
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        seed: Random seed.
        traits: A file of `metagan collection traits`, by which directions are named; None for the subject's, "none" for
            no names.
        wanted: Traits to begin with, "Hat=Crown", whose directions are found by logistic regression.
        on_progress: Called with the number of further candidates.

    Returns:
        The dials; `Directions.turn(styles, {0: 1.5})` moves styles by 1.5 steps of the first.

    Raises:
        OptionError: If an option can't be used, or no direction does twice as much as a random one.
    """
    for name, value, least in (("count", count, 1), ("candidates", candidates, 1), ("pictures", pictures, 2)):
        _check_whole(name, value, least, 1000)
    _check_number("psi", psi, *PSI_RANGE)
    _check_whole("seed", seed, 0, MAX_SEED)
    from metagan.lab.dials import write_directions
    from metagan.lab.directions import DirectionFinder, DirectionsOptions
    from metagan.lab.perceptual import load_perceptual
    from metagan.lab.trait_directions import TraitMeter, choose_classifier

    opened = _opened(generator)
    if out is not None:
        require_other(Path(out), opened._target.weights, None if traits is None else Path(traits), name="out")
    options = DirectionsOptions(
        methods=tuple(methods),
        ranges=tuple((first, last) for first, last in layers),
        count=count,
        candidates=candidates,
        pictures=pictures,
        psi=psi,
        label=opened._settings(1.0, class_index, label).label,
        seed=seed,
    )
    classifier = choose_classifier(None if traits is None else str(traits), opened._target.traits)
    finder = DirectionFinder(opened._sampler.generator, options, load_perceptual(lpips))
    if sheet is not None:
        require_size(picture_format(Path(sheet)), finder.sheet_size(count), "sheet", "name a .png file")
    meter = None if classifier is None else TraitMeter(finder, classifier)
    given = []
    if wanted := tuple(wanted):
        if meter is None:
            raise OptionError(
                f"wanted: {opened.name} has no trait classifier",
                fix="give a file of `metagan collection traits`",
            )
        given = [one.named for one in meter.find(wanted)]
    found = finder.find(on_progress or (lambda _: None), given)
    if meter is not None:
        found = meter.name(found)
    if out is not None:
        write_directions(Path(out), found)
    if sheet is not None:
        provenance = Provenance(f"{opened.name} (metagan)", None, psi)
        write_bytes(Path(sheet), encode(finder.sheet(found), picture_format(Path(sheet)), provenance))
    return found


@checked
def blend(
    first: str | Path,
    second: str | Path,
    out: str | Path,
    *,
    alpha: float | None = None,
    layers: Mapping[tuple[int, int], float] | None = None,
    swap: int | None = None,
    soft: float = 0.0,
    mapping: Literal["first", "second", "blend"] | None = None,
    force: bool = False,
    sha256: str | None = None,
    second_sha256: str | None = None,
    device: str = "auto",
    registry: str | Path = "registry.yaml",
    offline: bool = False,
) -> Generator:
    """Mix two generators that were trained from the same one, as `metagan blend` does.

    Args:
        first: A weights file or subject, as for `load`.
        second: Another.
        out: The child's file, .safetensors.
        alpha: Share of the second in the weights, 0 to 1; None for 0.5, or 1 with `swap`.
        layers: Shares of single layers, by their first and last number.
        swap: Resolution from which on layers come from the second.
        soft: Width of the swap's edge in octaves.
        mapping: Where the mapping network comes from; None for "blend", or "first" with `swap` or `layers`.
        force: Whether to blend even generators that weren't fine-tuned from one another.
        sha256: What the first file's SHA-256 must be; URLs need it.
        second_sha256: The same of the second.
        device: Where to compute.
        registry: Where subjects are looked up.
        offline: Take remote weights from the cache only.

    Returns:
        The child.

    Raises:
        OptionError: If the two weren't fine-tuned from one another or are of different architectures, or an option
            can't be used.
        CheckpointError: If a file can't be used.
    """
    if not all(_fits(each, tuple[int, int]) for each in layers or {}):
        raise OptionError(
            f"layers: want shares by first and last layer, got {layers!r:.60}", fix="write {(0, 3): 0.5}"
        )
    _check_number("soft", soft, 0, 16)
    if swap is not None:
        _check_whole("swap", swap, 1)
    for name, value in (("alpha", alpha), *(("layers", share) for share in (layers or {}).values())):
        if value is not None:
            _check_number(name, value, 0, 1)
    from metagan.lab.blend import (
        BlendOptions,
        compare,
        layers_of,
        open_parent,
        require_related,
        shares_of,
        write_child,
    )
    from metagan.lab.blend import blend as blend_generators

    if Path(out).suffix != ".safetensors":
        raise OptionError(f"out: want a name that ends in .safetensors, got {out}", fix="give such a name")
    targets = [
        find_target(str(what), Path(registry), hashed, offline=offline)
        for what, hashed in ((first, sha256), (second, second_sha256))
    ]
    require_other(Path(out), *(target.weights for target in targets), name="out")
    parents = [open_parent(target, device) for target in targets]
    one, other = (parent.generator for parent in parents)
    similarity = compare(one, other)
    ranges = tuple((start, end, share) for (start, end), share in (layers or {}).items())
    shares = shares_of(layers_of(one), BlendOptions(alpha, ranges, swap, soft, mapping))
    if not force:
        require_related(similarity)
    write_child(Path(out), blend_generators(one, other, shares), parents[0], parents[1], shares)
    return load(Path(out), device=device)


@checked
def rank(
    generator: Generator | str | Path,
    seeds: Iterable[int],
    *,
    discriminator: str | Path | None = None,
    second: bool = False,
    data: str | Path | None = None,
    by: Literal["discriminator", "realism", "mixture"] | None = None,
    mix: float = 0.5,
    reals: int = 10_000,
    psi: float | None = None,
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    scores: str | Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[Score]:
    """Order seeds from the best picture to the worst, as `metagan rank` does.

    Args:
        generator: From `load`, or what `load` takes.
        seeds: The seeds to rank.
        discriminator: A run's folder, or a weights file that holds a discriminator.
        second: Whether to take the second discriminator of a run with two.
        data: Real pictures, a dataset that `metagan dataset pack` wrote.
        by: What orders the seeds; None for the discriminator if there is one, else realism.
        mix: Realism's share of a mixture.
        reals: Real pictures to compare with at most.
        psi: Truncation; None for the subject's own, 1 for a file.
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        scores: A file to which scores are appended, from which an interrupted ranking goes on.
        on_progress: Called with the number of further real pictures read, and of pictures scored.

    Returns:
        Each seed with its scores, the best first.

    Raises:
        OptionError: If there is nothing to rank by, or it doesn't fit the generator.
        CheckpointError, TrainingError, DatasetError: If a file can't be used.
    """
    _check_number("mix", mix, 0, 1)
    _check_whole("reals", reals, 2)
    from metagan.datasets.source import PictureSource
    from metagan.lab.rank import Ranker, RankOptions, read_discriminator, require_discriminator, score_all

    require_discriminator(discriminator, second)
    chosen = tuple(dict.fromkeys(_checked_seeds(seeds)))
    if not chosen:
        raise OptionError("seeds: want at least one, got none", fix="give some, such as range(1000)")
    opened = _opened(generator)
    advance = on_progress or (lambda _: None)
    ranker = Ranker(
        opened._sampler,
        opened._settings(psi, class_index, label),
        RankOptions(by, mix, reals),
        discriminator=None
        if discriminator is None
        else read_discriminator(Path(discriminator), second=second),
        dataset=None if data is None else PictureSource(Path(data)),
        advance=advance,
    )
    return ranker.order(score_all(ranker, chosen, None if scores is None else Path(scores), advance))


@checked
def paint(
    prompts: Iterable[str],
    out: str | Path,
    *,
    vqgan: str | Path | None = None,
    generator: str | Path | None = None,
    clip: str | Path = "ViT-B-32",
    clip_weights: str | Path | None = None,
    configuration: str | Path | None = None,
    image_prompts: Iterable[str | Path] = (),
    init: str | Path | None = None,
    steps: int = 20,
    size: str | None = None,
    seed: int = 0,
    learning_rate: float | None = None,
    cuts: int = 32,
    augment: bool = True,
    cuts_at_once: int | None = None,
    checkpointing: bool | None = None,
    memory_bytes: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    class_index: int | str | None = None,
    label: Sequence[float] | None = None,
    again: bool = False,
    device: str = "auto",
    registry: str | Path = "registry.yaml",
    on_progress: Callable[[int], None] | None = None,
) -> list[Painted]:
    """Paint pictures toward words and other pictures, or go on with those in `out`, as `metagan paint` does.

    Args:
        prompts: Words, each with a weight behind or not: "a hat::-0.5".
        out: A folder, or an address such as s3://bucket/painted. Every step's picture is written there.
        vqgan: A VQGAN's weights; either this or `generator`.
        generator: What `load` takes, to steer its styles.
        clip: A model's name as open_clip_torch has it, or a folder with open_clip_config.json and the weights.
        clip_weights: CLIP's weights; None for those in Hugging Face's cache on this machine.
        configuration: The VQGAN's YAML; None for the one beside it.
        image_prompts: Picture files to paint toward, with a weight behind the name or not.
        init: A picture to start from, or a folder of them; for a generator, styles files. None for noise.
        steps: Number of steps.
        size: Of a VQGAN's pictures, "512" or "640x384".
        seed: Random seed; -1 draws one.
        learning_rate: Adam's step size; None for 0.1, or 0.02 for a generator.
        cuts: Cutouts that CLIP sees in a step.
        augment: Whether cutouts are altered at random.
        cuts_at_once: Cutouts in CLIP together; None for as many as memory has room for.
        checkpointing: Whether to save memory by computing a VQGAN's layers twice; None where it is needed.
        memory_bytes: Most memory to take; None for most of what is free.
        precision: "fp32" or "bf16".
        class_index: The class of a conditional generator, by its number or name.
        label: The numbers of a label that isn't a class.
        again: Whether to replace paintings of an earlier run.
        device: Where to compute.
        registry: Where a subject is looked up.
        on_progress: Called with the number of further finished steps.

    Returns:
        The paintings, each with its last picture and where it is.

    Raises:
        OptionError: If an option or prompt can't be used, or CLIP's weights are not on this machine.
        CheckpointError: If a file can't be used.
        DatasetError: If a picture can't be read.
        DeviceError: If memory has no room for it.
    """
    from metagan.lab.canvas import open_canvas
    from metagan.lab.clip import find_clip, load_clip
    from metagan.lab.paint import Painter, PaintOptions, read_prompts
    from metagan.lab.paint_files import choose_seed, list_starts, paint_into

    toward = read_prompts(prompts, map(str, image_prompts))
    starts = [] if init is None else list_starts(Path(init), styles=generator is not None)
    files = find_clip(str(clip), None if clip_weights is None else Path(clip_weights))
    canvas = open_canvas(
        None if vqgan is None else Path(vqgan),
        None if generator is None else str(generator),
        configuration=None if configuration is None else Path(configuration),
        size=size,
        label=_checked_label(class_index, label),
        device=device,
        registry=Path(registry),
    )
    options = PaintOptions(
        steps=steps,
        seed=choose_seed(seed, str(out), starts, again=again),
        learning_rate=learning_rate,
        cuts=cuts,
        augment=augment,
        precision=precision,
        cuts_at_once=cuts_at_once,
        checkpointing=checkpointing,
        memory_bytes=memory_bytes,
    )
    painter = Painter(canvas, load_clip(files, canvas.device), toward, options)
    return list(paint_into(str(out), painter, starts, again=again, advance=on_progress or (lambda _: None)))


@checked
def upscale(
    pictures: Iterable[Image.Image],
    weights: str | Path,
    *,
    denoise: Literal["none", "before", "after", "both"] = "none",
    noise_level: float | None = None,
    tile: int | None = None,
    memory_gib: float | None = None,
    device: str = "auto",
) -> list[Image.Image]:
    """Enlarge pictures, as `metagan upscale` does: each keeps its `.info`, so that `save` marks it as machine-made.

    Args:
        pictures: RGB or RGBA; others are converted to RGB.
        weights: An upscaler of metagan ("bundled:apes-x4", or a run's file), or of the ESRGAN family.
        denoise: When to remove noise by non-local means.
        noise_level: Standard deviation of the noise in levels of 255; None estimates it for each picture.
        tile: Side in pixels of another program's tiles; None for what memory has room for.
        memory_gib: Most memory that such a tile may take; None for most of what is free.
        device: Where to compute.

    Raises:
        OptionError: If an option is out of range, or a result would be too large.
        CheckpointError: If the file can't be read, or holds no upscaler.
    """
    from metagan.datasets.store import UnreadableError
    from metagan.datasets.upscale import upscale_image
    from metagan.registry.weights_ref import BUNDLED, bundled_weights
    from metagan.sampling.denoise import Denoising
    from metagan.sampling.device import choose_device
    from metagan.sampling.upscale import open_upscaler, prepare_upscaler

    if denoise not in (whens := ("none", "before", "after", "both")):
        raise OptionError(
            f"denoise: want one of {', '.join(whens)}, got {denoise!r:.60}", fix="give one of those"
        )
    if noise_level is not None:
        _check_number("noise_level", noise_level, 0, 100)
    if tile is not None:
        _check_whole("tile", tile, 16, 8192)
    if memory_gib is not None:
        _check_number("memory_gib", memory_gib, 0, 1 << 20)
    name, where = str(weights), choose_device(device)
    path = bundled_weights(name.removeprefix(BUNDLED)) if name.startswith(BUNDLED) else Path(weights)
    most = None if memory_gib is None else round(memory_gib * 2**30)
    form = prepare_upscaler(open_upscaler(path, where, tile, most))
    denoising = Denoising(denoise in ("before", "both"), denoise in ("after", "both"), noise_level)
    results = []
    for index, picture in enumerate(_checked_pictures(pictures)):
        try:
            results.append(upscale_image(picture, form, where, denoising))
        except UnreadableError as error:
            raise OptionError(str(error), where=f"pictures[{index}]") from None
        results[-1].info.update(picture.info)
    return results


@checked
def save(picture: Image.Image, path: str | Path) -> None:
    """Write a picture that `Generator.sample` drew, marked as machine-made, with generator, seed or lineage, and psi.

    Args:
        picture: From `sample` or `iter_sample`.
        path: Ends in .png, .webp, .jpg, .jpeg or .avif.

    Raises:
        OptionError: If the name has another ending, or the picture no seed.
    """
    image_format = picture_format(Path(path))
    info = picture.info
    if not {"psi", "generator"} <= info.keys() or not {"seed", "lineage"} & info.keys():
        raise OptionError(
            "the picture has no seed",
            where=str(path),
            fix="save pictures of Generator.sample, or use picture.save",
        )
    array = np.asarray(picture)
    array = array[..., None] if array.ndim == 2 else array
    origin = Provenance(info["generator"], info.get("seed"), info["psi"], info.get("lineage"))
    write_bytes(Path(path), encode(array, image_format, origin))
