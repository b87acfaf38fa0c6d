"""Options that mean the same in every command, each written once: alone, and in groups.

A group is a decorator like a single option:

    @click.argument("what", metavar="SUBJECT|WEIGHTS")
    @drawing_options(seeds="0-15")   # seeds, psi, label, noise
    @weights_options                 # registry, sha256, offline
    @device_option                   # device
    @precision_option("fp32", "bf16", "auto", default="fp32", help="...")  # precision
    @out_option("Folder for the pictures.", default=Path("samples"))       # out
    @json_option                     # as_json
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, get_args, get_origin, get_type_hints

import click

from metagan.files import require_place
from metagan.values import (
    PSI_RANGE,
    InvalidValueError,
    Label,
    NoiseMode,
    Precision,
    Size,
    parse_numbers,
    precision_of_today,
    printable,
    show,
    span_of,
)

if TYPE_CHECKING:
    from metagan.training.options import Setting

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

OF_SUBJECT = "By default the subject's setting"


def options(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which --help lists them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


# --------------------------------------------------------------------------------------------
# Drawing: which pictures, and how.


class Seeds(click.ParamType[tuple[int, ...]]):
    """Seeds and ranges of them, "0-35,42"."""

    name = "seeds"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The text as seeds."""
        from metagan.seeds import parse_seeds

        try:
            return parse_seeds(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def seeds_option(default: str) -> Decorator:
    """`--seeds 0-35,42`, as a tuple of seeds."""
    return click.option(
        "--seeds",
        type=Seeds(),
        default=default,
        metavar="SEEDS",
        help="Seeds of the pictures to draw, with ranges: 0-35,42.",
    )


class SizeType(click.ParamType[Size]):
    """A size of pictures that networks can be trained on: a side in pixels, or WIDTHxHEIGHT."""

    name = "size"

    def __init__(self, least_px: int = 4, most_px: int = 4096) -> None:
        self.least_px, self.most_px = least_px, most_px

    def convert(self, value: str | Size, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        """The text as a size."""
        try:
            size = value if isinstance(value, Size) else Size.read(str(value))
        except InvalidValueError as error:
            self.fail(str(error), param, ctx)
        if size.shortest < self.least_px or size.longest > self.most_px:
            self.fail(f"want sides from {self.least_px} to {self.most_px} pixels, got {size}", param, ctx)
        if size.is_square and not size.is_trainable:
            lower = 1 << (size.width.bit_length() - 1)
            self.fail(
                f"want a power of two, got {size.width}; the nearest are {lower} and {lower * 2}", param, ctx
            )
        if not size.is_trainable:
            self.fail(
                f"want width and height that share a larger power of two, got {size}; "
                f"near it is {size.nearest_trainable}",
                param,
                ctx,
            )
        return size


def size_option(default: str) -> Decorator:
    """`--resolution 256` or `--resolution 512x1024`, as a Size."""
    return click.option(
        "--resolution",
        type=SizeType(),
        default=default,
        metavar="SIDE|WIDTHxHEIGHT",
        help="Size in pixels: a side that is a power of two, or width and height that share one, such as 512x1024 for "
        "portraits.",
    )


def _span(kind: click.IntRange | click.FloatRange) -> str:
    least, above = (None, kind.min) if kind.min_open else (kind.min, None)
    most, below = (None, kind.max) if kind.max_open else (kind.max, None)
    return span_of(least, most, above=above, below=below)


_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")  # int() would also take "1_000" and other scripts' digits


class Whole(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The text as a number."""
        written: Any = "none" if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()) else value
        try:
            return int(super().convert(written, param, ctx))
        except click.BadParameter:
            self.fail(f"want a whole number{_span(self)}, got {show(value)}", param, ctx)


class Number(click.FloatRange):
    """A number in a range: never nan, and inf only where `endless` says what that means."""

    def __init__(
        self,
        least: float | None = None,
        most: float | None = None,
        *,
        min_open: bool = False,
        max_open: bool = False,
        endless: bool = False,
    ) -> None:
        super().__init__(least, most, min_open=min_open, max_open=max_open)
        self._endless = endless

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The text as a number."""
        try:
            plain = str(value).isascii() and "_" not in str(value)
            number = float(super().convert(value, param, ctx)) if plain else math.nan
        except click.BadParameter:
            number = math.nan
        if math.isnan(number) or (math.isinf(number) and not self._endless):
            endless = ", or inf" if self._endless else ""
            self.fail(f"want a number{_span(self)}{endless}, got {show(value)}", param, ctx)
        return number


def psi_option(
    default: float | None = None, note: str = f"{OF_SUBJECT}, or 1 for a weights file."
) -> Decorator:
    """`--psi`; None leaves it to the subject."""
    return click.option(
        "--psi",
        type=Number(*PSI_RANGE),
        default=default,
        help=f"Truncation: 1 for full variety, 0 for the mean picture. {note}",
    )


class WeightsFile(click.Path):
    """A weights file that is there, or `bundled:NAME`, one that comes with metagan; the value is its path."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text.

        Raises:
            BadParameter: If there is no such file.
            OptionError: If nothing of that name is bundled.
        """
        from metagan.registry.weights_ref import BUNDLED, bundled_weights

        if isinstance(value, str) and value.startswith(BUNDLED):
            return bundled_weights(value.removeprefix(BUNDLED))
        return super().convert(value, param, ctx)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, "0.2,0.7"."""

    name = "numbers"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The text as numbers."""
        try:
            return parse_numbers(value) if isinstance(value, str) else value
        except ValueError:
            self.fail(
                f"want numbers with commas between them, such as 0.2,0.7, got {show(value)}", param, ctx
            )


def _choose_label(ctx: click.Context, _: click.Parameter, value: Label | None) -> None:
    """Make one parameter of --class and --label, called `label`."""
    chosen = ctx.params.setdefault("label", None)
    if value is not None and chosen is not None:
        raise click.UsageError("--class and --label exclude each other")
    if value is not None:
        ctx.params["label"] = value


class_option = options(
    click.option(
        "--class",
        "class_",
        metavar="NUMBER|NAME",
        callback=_choose_label,
        expose_value=False,
        help="Class of a conditional generator, by its number or its name.",
    ),
    click.option(
        "--label",
        "label_",
        type=Numbers(),
        metavar="NUMBERS",
        callback=_choose_label,
        expose_value=False,
        help="Label of a generator whose labels are numbers, not classes: 0.2,0.7.",
    ),
)
"""`--class` and `--label`, as one parameter `label`; None leaves it to the subject."""


def noise_option(
    default: NoiseMode | None = None,
    note: str = f"{OF_SUBJECT}, or const for a weights file.",
    *,
    modes: tuple[NoiseMode, ...] = get_args(NoiseMode),
) -> Decorator:
    """`--noise`; None leaves it to the subject."""
    words = {"const": "stored in the file", "random": "drawn from each seed", "none": "none"}
    *first, last = (words[mode] for mode in modes)
    return click.option(
        "--noise",
        type=click.Choice(modes),
        default=default,
        help=f"Per-pixel noise: {', '.join(first)}, or {last}. {note}",
    )


def drawing_options(seeds: str) -> Decorator:
    """`--seeds --psi --class|--label --noise`; all but the seeds are None where the subject's own are to be taken."""
    return options(seeds_option(seeds), psi_option(), class_option, noise_option())


upscale_option = click.option(
    "--upscale",
    metavar="FILE|bundled:NAME|none",
    help="Enlarge each picture with this upscaler; by default the subject's own, none for a weights file.",
)

foreign_styles_option = click.option(
    "--foreign-styles",
    is_flag=True,
    help="Accept styles and directions of another generator if the shapes agree.",
)
dials_option = options(
    click.option(
        "--dials",
        metavar="NAME=STEPS,...",
        help="Move along directions, in steps: Fur=2,Hat=-1 by name, 1:2,3:-1 by number, or 2,0,-1 for the first "
        "three.",
    ),
    click.option(
        "--directions",
        metavar="FILE|bundled:NAME|auto",
        help=f"File of the dials, which `metagan directions` wrote; auto finds some. {OF_SUBJECT}.",
    ),
)
"""`--dials` and `--directions`."""
lpips_option = click.option(
    "--lpips",
    type=click.Choice(["auto", "alex", "vgg", "none"]),
    default="auto",
    help="Perceptual distance beside that of pixels. auto: alex if the package stlpips-pytorch is installed.",
)

# --------------------------------------------------------------------------------------------
# Device and precision.

device_option = click.option(
    "--device", default="auto", help="Device for the networks: auto, cpu, cuda, cuda:1 or mps."
)


class PrecisionType(click.Choice[str]):
    """Some names of the one vocabulary of precisions; earlier versions' names are taken as well, unlisted."""

    name = "precision"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The precision's name of today."""
        return super().convert(precision_of_today(value), param, ctx)


def precision_option(*taken: Precision, default: Precision | None, help: str) -> Decorator:  # noqa: A002
    """`--precision`, of the names that the command takes."""
    return click.option("--precision", type=PrecisionType(taken), default=default, help=help)


sampling_precision_option = precision_option(
    "fp32",
    "bf16",
    "auto",
    default="fp32",
    help="Number format of the computation. fp32: exact pictures. bf16: slightly different "
    "pictures (a PSNR of at least 40 dB), up to twice as fast on GPUs and for networks that PyTorch draws. auto: the "
    "faster of the two.",
)
sampling_options = options(device_option, sampling_precision_option)

# --------------------------------------------------------------------------------------------
# Where weights come from.

registry_option = click.option(
    "-r",
    "--registry",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("registry.yaml"),
    help="The registry file.",
)
sha256_option = click.option("--sha256", help="Expected SHA-256 of the weights file; required for URLs.")
offline_option = click.option(
    "--offline", is_flag=True, help="Don't download anything; use weights from the cache."
)
weights_options = options(registry_option, sha256_option, offline_option)

# --------------------------------------------------------------------------------------------
# Results.


class OutPath(click.Path):
    """A file or folder to write, which is refused before any work where nothing can be written.

    Args:
        folder: Whether it is a folder; None for a name that is a folder's if it has no ending.
    """

    def __init__(self, *, folder: bool | None = False) -> None:
        super().__init__(path_type=Path, file_okay=not folder, dir_okay=folder is not False)
        self._folder = folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The text as a path."""
        path = Path(str(super().convert(value, param, ctx)))
        try:
            require_place(path, folder=not path.suffix if self._folder is None else self._folder)
        except (OSError, ValueError) as error:
            where = getattr(error, "filename", None) or path
            reason = getattr(error, "strerror", None) or str(error)
            self.fail(f"{printable(str(where))}: {reason}", param, ctx)
        return path


def out_option(help: str, *, default: Path | None = None, required: bool = False) -> Decorator:  # noqa: A002
    """`--out`, a folder."""
    return click.option(
        "--out",
        type=OutPath(folder=True),
        default=default,
        required=required,
        help=help,
    )


class Place(click.ParamType[Path | str]):
    """A folder as a path, or an address with "://" as it is."""

    name = "folder"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """The text as a path or an address."""
        if isinstance(value, Path) or "://" in value:
            return value
        return OutPath(folder=True).convert(value, param, ctx)


def place_option(help: str, *, default: Path | None = None) -> Decorator:  # noqa: A002
    """`--out`, a folder or an address."""
    return click.option("--out", type=Place(), metavar="FOLDER|ADDRESS", default=default, help=help)


def out_file_option(help: str, *, required: bool = False) -> Decorator:  # noqa: A002
    """`--out`, a file."""
    return click.option("--out", type=OutPath(), required=required, help=help)


network_option = click.option(
    "--network",
    metavar="NAME",
    help="Which network of the file: G_ema, G, or its name in the file. By default the averaged generator, or the"
    " only one.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
workers_option = click.option(
    "--workers",
    type=Whole(0),
    help="Number of processes; 0 uses only this one. By default, one per core.",
)

# --------------------------------------------------------------------------------------------
# The site.


def _parse_base_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from metagan.registry.fields import parse_base_url

    try:
        return None if value is None else parse_base_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


base_url_option = click.option(
    "--base-url",
    callback=_parse_base_url,
    help="Address of the published site; overrides base_url in the registry.",
)
images_option = click.option(
    "--images",
    type=Whole(1),
    help="Number of pictures per subject; overrides images in the registry.",
)
templates_option = click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of templates that override metagan's own. By default templates/ next to the registry, if it exists.",
)


class SiteOptions(TypedDict):
    """What `site_options` hands a command, as BuildOptions.read takes it beside the site's folder."""

    registry: Path
    base_url: str | None
    images: int | None
    templates: Path | None
    device: str
    precision: str
    offline: bool
    pictures: Path | str | None
    pictures_url: str | None
    layout: Literal["shards", "files"] | None


def _parse_pictures_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from metagan.registry.fields import WANT_SHARDS_URL, parse_base_url

    try:
        return None if value is None else parse_base_url(value, WANT_SHARDS_URL)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


shards_options = options(
    click.option(
        "--pictures",
        type=Place(),
        metavar="FOLDER|ADDRESS",
        help="Publish the pictures that `metagan sample --shards` drew there, for the subjects that have a run in it; "
        "overrides shards in the registry.",
    ),
    click.option(
        "--pictures-url",
        metavar="URL",
        callback=_parse_pictures_url,
        help="With --pictures: where browsers find the same folder. By default the address itself; shards in a folder "
        "become part of the site.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["shards", "files"]),
        help="With --pictures: shards, out of which browsers fetch single pictures by HTTP ranges, or files, one for "
        "each picture.  [default: shards]",
    ),
)
"""`--pictures`, `--pictures-url` and `--layout`."""

site_options = options(
    registry_option,
    base_url_option,
    images_option,
    templates_option,
    shards_options,
    sampling_options,
    offline_option,
)

# --------------------------------------------------------------------------------------------
# Options that are declared as the fields of dataclasses, see metagan.training.options.

T = TypeVar("T")


def dataclass_options(*classes: type) -> Decorator:
    """An option for each field of the classes that was declared by `setting`."""
    return options(*(_field_option(each, hint) for each, hint in _settings(*classes)))


def read_dataclass(kind: type[T], values: Mapping[str, Any], **more: Any) -> T:
    """A dataclass from an invocation's values; its own default for each that is None or isn't there."""
    names = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    found = {name: value for name, value in values.items() if name in names and value is not None}
    return kind(**found | more)


def given_names(context: click.Context) -> frozenset[str]:
    """The parameters that were written on the command line."""
    written = click.core.ParameterSource.COMMANDLINE
    return frozenset(name for name in context.params if context.get_parameter_source(name) is written)


class AutoOr(click.ParamType[Any]):
    """What another type takes, or "auto", which is None."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = f"auto|{kind.name}"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:  # noqa: ARG002
        """What --help calls the value."""
        if isinstance(self.kind, click.Choice):
            return f"[{'|'.join((*self.kind.choices, 'auto'))}]"
        return f"auto|{self.kind.name.split()[0].upper()}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, or None."""
        return None if value == "auto" else self.kind.convert(value, param, ctx)


def _settings(*classes: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    return [
        (each, get_type_hints(kind)[each.name])
        for kind in classes
        for each in dataclasses.fields(kind)
        if "setting" in each.metadata
    ]


def _field_option(each: dataclasses.Field[Any], hint: Any) -> Decorator:
    declared: Setting = each.metadata["setting"]
    default = each.default
    flag = declared.flag or "--" + each.name.replace("_", "-")
    if hint is bool:
        both = declared.flag or f"{flag}/--no-{flag.removeprefix('--')}"
        return click.option(both, each.name, is_flag=True, default=default, help=declared.help)
    kind = _param_type(hint, declared, precision=each.name == "precision")
    return click.option(
        flag,
        each.name,
        type=AutoOr(kind) if declared.auto else kind,
        default="auto" if declared.auto else ",".join(default) if isinstance(default, tuple) else default,
        show_default=declared.shown or True,
        metavar=declared.metavar or None,
        help=declared.help,
    )


def _param_type(hint: Any, declared: Setting, *, precision: bool) -> click.ParamType[Any]:
    """What a field of this type is read by."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if get_origin(hint) is tuple:
        return Words()
    if choices := [word for kind in (hint, *kinds) if get_origin(kind) is Literal for word in get_args(kind)]:
        return PrecisionType(choices) if precision else click.Choice(choices)
    if {Path, str} <= set(kinds):
        return Place()
    plain = kinds[0] if kinds else hint
    if plain is Path:
        return click.Path(path_type=Path, exists=declared.exists, dir_okay=not declared.exists)
    return SizeType() if plain is Size else _number_type(plain, declared)


def _number_type(plain: Any, declared: Setting) -> click.ParamType[Any]:
    low, high = declared.least if declared.above is None else declared.above, declared.most
    if plain is int:
        return Whole(_whole(low), _whole(high), min_open=declared.above is not None)
    if plain is float:
        return Number(low, high, min_open=declared.above is not None, endless=declared.endless)
    return click.STRING


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


class Words(click.ParamType[tuple[str, ...]]):
    """Words with commas between."""

    name = "text"

    def convert(self, value: Any, param: object, ctx: object) -> tuple[str, ...]:  # noqa: ARG002
        """The words."""
        return tuple(value.split(",")) if isinstance(value, str) else tuple(value)
