"""`metagan sample`."""

from __future__ import annotations

import math
import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from metagan.cli.options import (
    OutPath,
    Whole,
    dials_option,
    drawing_options,
    foreign_styles_option,
    network_option,
    place_option,
    sampling_options,
    upscale_option,
    weights_options,
)
from metagan.errors import OptionError
from metagan.values import counted, printable, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from metagan.lab.lineage import Lineage
    from metagan.sampling.sampler import Picture, Sampler, Settings
    from metagan.sampling.target import Target
    from metagan.values import Label, NoiseMode, Size

MOST_TILE_PX = 65_536


def parse_batch(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """Parse --batch: a number of pictures, or None for "auto"."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"want auto or a number of pictures from 1 on, got {show(value)}")
    return int(value)


def parse_thumbnail(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> int | Literal["auto"] | None:
    """Parse --thumbnail: a number of pixels, "auto", or None for the pictures' own size."""
    if value is None or value == "auto":
        return "auto" if value else None
    if not (value.isascii() and value.isdecimal()) or not 1 <= int(value) <= MOST_TILE_PX:
        raise click.BadParameter(
            f"want auto or a number of pixels from 1 to {MOST_TILE_PX:,}, got {show(value)}"
        )
    return int(value)


@dataclass(frozen=True)
class Engine:
    """Where shards are drawn: here, or on a Ray cluster at an address or one that Ray finds."""

    is_ray: bool
    address: str | None = None


def parse_engine(_ctx: click.Context, _param: click.Parameter, value: str) -> Engine:
    """Parse --on: "local", "ray", or a cluster's address."""
    if value in ("local", "ray"):
        return Engine(value == "ray")
    if not value.startswith("ray://") and not re.fullmatch(r"[^\s/:]+:\d+", value):
        raise click.BadParameter(f"want local, ray, ray://HOST:PORT or HOST:PORT, got {show(value)}")
    return Engine(True, value)


def check_sheet(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a --sheet whose extension is no picture format's, before anything is loaded."""
    from metagan.images.encode import picture_format

    try:
        if value is not None:
            picture_format(value)
    except OptionError as error:
        raise click.BadParameter(error.what) from error
    return value


@click.command("sample", short_help="Draw pictures from a subject or a weights file.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@drawing_options(seeds="0-15")
@click.option(
    "--styles",
    "styles_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Instead of seeds, draw a styles file of `metagan project`. May be given more than once.",
)
@click.option(
    "--lineage",
    metavar="CODE|ADDRESS",
    help="Instead of seeds, draw what was bred on a subject's breed page: the code after lineage= in its address, or "
    "the whole address. One picture, or all nine.",
)
@dials_option
@foreign_styles_option
@click.option("--format", "image_format", type=click.Choice(["png", "webp", "jpeg", "avif"]),
              help="File format of the pictures. By default png, and webp in shards.")  # fmt: skip
@click.option(
    "--sheet",
    "--grid",
    "sheet_path",
    type=OutPath(),
    callback=check_sheet,
    help="Write one sheet with all pictures to this file; its extension sets the format.",
)
@click.option(
    "--thumbnail",
    "--tile",
    default=None,
    callback=parse_thumbnail,
    metavar="auto|PIXELS",
    help="The longer side of each picture on the --sheet: a number, or auto: smaller only if the sheet would "
    "exceed its format's limit. By default their own size.",
)
@place_option(
    "Folder for the pictures, which are named by seed. By default samples/, or none if --sheet is given. To an address "
    "such as s3://bucket/apes, pictures are written in shards."
)
@click.option(
    "--shards",
    "per_shard",
    type=Whole(1, 1_000_000),
    metavar="PICTURES",
    help="Write shards, zips of this many pictures with an index beside each, into a folder of --out of their own. The "
    "same command again draws what is missing. At an address and with --on ray, 1000 by default.",
)
@click.option(
    "--on",
    "engine",
    default="local",
    metavar="local|ray|ADDRESS",
    callback=parse_engine,
    help="Where shards are drawn: on this machine, on the Ray cluster of RAY_ADDRESS or of this machine, or on the one "
    "at an address such as ray://head:10001.",
)
@click.option(
    "--cpus-per-worker",
    type=Whole(1),
    default=1,
    help="Processors of each worker on Ray; a worker has one GPU besides, where the cluster has any.",
)
@click.option(
    "--verify", is_flag=True, help="Read the shards that are there, and draw again what is damaged."
)
@click.option("--batch", default="auto", callback=parse_batch, help="Pictures per batch: auto or a number.")
@upscale_option
@network_option
@click.option("--verbose", is_flag=True, help="Say what draws: metagan's kernel for this processor or PyTorch, and"
              " why.")  # fmt: skip
@sampling_options
@weights_options
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    seeds: tuple[int, ...],
    psi: float | None,
    label: Label | None,
    noise: NoiseMode | None,
    styles_files: tuple[Path, ...],
    lineage: str | None,
    dials: str | None,
    directions: str | None,
    foreign_styles: bool,
    image_format: str | None,
    sheet_path: Path | None,
    thumbnail: int | Literal["auto"] | None,
    out: Path | str | None,
    per_shard: int | None,
    engine: Engine,
    cpus_per_worker: int,
    verify: bool,
    batch: int | None,
    upscale: str | None,
    network: str | None,
    device: str,
    precision: str,
    verbose: bool,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Draw pictures from a subject of the registry or from a weights file.

    The same seed gives the same picture as the generator's original program: latents are
    numpy.random.RandomState(seed).randn(1, z_dim).

    \b
    metagan sample ape --seeds 0-35,42 --sheet apes.png
    metagan sample ape --seeds 3 --dials "Fur=2,Hat=-1"
    metagan sample ape --lineage AQAKYpR9ArwBAAAABwAAAAlAAAAACETHT3w
    metagan sample network.pkl --psi 0.7 --out pictures
    metagan sample bundled:apes --format webp
    metagan sample ape --seeds 0-999999 --out s3://bucket/apes --on ray
    """
    from metagan.cli.progress import note, stages
    from metagan.images.encode import require_size
    from metagan.sampling.target import find_target, open_sampler

    _require_dials(directions, dials)
    bred = None if lineage is None else _read_lineage(ctx, lineage)
    with stages() as progress:
        target = find_target(
            what, registry, sha256, offline=offline, upscale=upscale, progress=progress.transfer
        )
    settings = target.settings(psi, label, noise)
    if isinstance(out, str) or per_shard or engine.is_ray or verify:
        _refuse_beside_shards(
            {
                "--styles": styles_files,
                "--lineage": lineage,
                "--dials": dials,
                "--sheet": sheet_path,
                "--thumbnail": thumbnail,
                "--batch": batch,
            },
            out,
        )
        plan_and_draw(target, settings, seeds, str(out), image_format=image_format or "webp",
                      per_shard=per_shard or 1000, engine=engine, cpus_per_worker=cpus_per_worker, device=device,
                      precision=precision, network=network, verify=verify)  # fmt: skip
        return
    image_format = image_format or "png"
    sampler = open_sampler(target, device, batch, precision, network=network, note=note)
    if verbose:
        import torch

        at_once, threads = sampler.batch, torch.get_num_threads()
        enlarged = f", enlarged by {sampler.enlarging_program}" if sampler.enlarging_program else ""
        note(
            f"{target.name}: drawn by {sampler.program}{enlarged}; {at_once} at once, {counted(threads, 'thread')}"
        )
    if settings.label is not None and not sampler.generator.c_dim:
        option = (
            "--label" if isinstance(settings.label, tuple) else f"--class {printable(str(settings.label))}"
        )
        click.echo(f"warning: {option} is ignored, {target.name} has no classes", err=True)
    if dials is not None:
        settings = turn_dials(settings, sampler, dials, directions, target, foreign=foreign_styles)
    folder = Path(out) if out else None if sheet_path else Path("samples")
    sheet = None
    if sheet_path:
        count = len(bred.individuals() if bred else styles_files or seeds)
        sheet = lay_out(sheet_path, sampler.size, count, thumbnail)
    elif thumbnail is not None:
        raise click.BadParameter("belongs to --sheet", param_hint="--thumbnail")
    if folder:
        require_size(image_format, sampler.size, f"--format {image_format}", "choose --format png")
    told: dict[str, Any] = {"folder": folder, "image_format": image_format, "sheet": sheet}
    if bred:
        write_bred(sampler, bred, settings, target.name, foreign=foreign_styles, **told)
    elif styles_files:
        write_styled(sampler, styles_files, settings, psi, target.name, foreign=foreign_styles, **told)
    else:
        write_pictures(sampler, settings, seeds, target.name, **told)


def _require_dials(directions: str | None, dials: str | None) -> None:
    if directions is not None and dials is None:
        raise click.UsageError("--directions has the dials that --dials turns; give --dials too")


def _read_lineage(ctx: click.Context, text: str) -> Lineage:
    """Return a lineage, in whose place nothing else may be asked for."""
    from metagan.lab.lineage import read_lineage

    given = [
        name
        for name in ("seeds", "psi", "label", "styles_files")
        if ctx.params.get(name) not in (None, ())
        and ctx.get_parameter_source(name) != ParameterSource.DEFAULT
    ]
    if given:
        option = {"label": "--class or --label", "styles_files": "--styles"}.get(given[0], f"--{given[0]}")
        raise click.UsageError(f"--lineage has its own seeds, psi and class; leave {option} out")
    return read_lineage(text)


def turn_dials(
    settings: Settings, sampler: Sampler, text: str, file: str | None, target: Target, *, foreign: bool
) -> Settings:
    """Return the settings with dials turned as --dials says."""
    from metagan.lab.dials import choose_dials, open_dials, parse_dials
    from metagan.lab.styles import styles_shape

    ref = choose_dials(file, target.dials, target.name)
    found = open_dials(ref, sampler.generator, label=settings.label, foreign=foreign)
    num_ws, _ = styles_shape(sampler.generator)
    return found.turned(settings, parse_dials(text, found.names), num_ws)


def _refuse_beside_shards(given: dict[str, object], out: Path | str | None) -> None:
    for option, value in given.items():
        if value:
            raise click.UsageError(
                f"{option} is not for shards; leave it, or --shards, --on and --verify, out"
            )
    if out is None:
        raise click.UsageError("shards want an --out: a folder, or an address such as s3://bucket/apes")


def plan_and_draw(
    target: Target,
    settings: Settings,
    seeds: tuple[int, ...],
    out: str,
    *,
    image_format: str,
    per_shard: int,
    engine: Engine,
    cpus_per_worker: int,
    device: str,
    precision: str,
    network: str | None,
    verify: bool,
) -> None:
    """Draw the shards that are missing, and print where they are."""
    from metagan.cli.progress import note, stages
    from metagan.shards import on_ray
    from metagan.shards.draw import draw_here, finish_run, plan_run, sampler_like

    if engine.is_ray and precision == "auto":
        raise click.UsageError("--precision auto: choose fp32 or bf16, so that all workers draw alike")
    with on_ray.connected(engine.address) if engine.is_ray else nullcontext(), stages() as progress:
        if engine.is_ray:
            device = ("cuda" if on_ray.cluster_has_gpus() else "cpu") if device == "auto" else device
        here = "cpu" if engine.is_ray else device
        sampler = sampler_like(target, here, precision, network, note)
        plan = plan_run(
            target, settings, seeds, out, image_format=image_format, per_shard=per_shard, sampler=sampler,
            device=device if engine.is_ray else sampler.device.type, precision=precision, network=network,
            verify=verify,
        )  # fmt: skip
        progress.begin("pictures", plan.pictures)
        outcomes: Counter[str] = Counter()
        finished = (
            on_ray.draw_on_ray(plan, cpus_per_worker, note) if engine.is_ray else draw_here(plan, sampler)
        )
        for done in finished:
            outcomes[done.outcome] += 1
            progress.advance(len(done.seeds))
        manifest = finish_run(plan)
    if outcomes["mended"]:
        were = "was" if outcomes["mended"] == 1 else "were"
        note(f"{counted(outcomes['mended'], 'shard')} {were} damaged or unfinished, and {were} drawn again")
    new = outcomes["drawn"] + outcomes["mended"]
    click.echo(
        f"{plan.address}: {counted(manifest.pictures, 'picture')} in {counted(len(manifest.shards), 'shard')}, "
        f"{new:,} drawn now"
    )


@dataclass(frozen=True)
class Sheet:
    """Where a sheet with all pictures goes.

    Args:
        path: The file.
        columns: Pictures per row.
        thumbnail: The longer side of each picture on it; None for the pictures' own size.
    """

    path: Path
    columns: int
    thumbnail: int | None


def lay_out(sheet_path: Path, size: Size, count: int, thumbnail: int | Literal["auto"] | None) -> Sheet:
    """Lay out a sheet that its format can hold.

    Args:
        sheet_path: The sheet's file.
        size: Of the pictures.
        count: How many they are.
        thumbnail: As asked for.

    Raises:
        OptionError: If the sheet would be larger than its format or the memory allows.
    """
    from metagan.images.encode import MOST_SIDE_PX, picture_format, require_size
    from metagan.images.sheet import choose_columns, thumbnail_size
    from metagan.sampling.memory import free_memory

    columns = choose_columns(count, *size)
    rows = math.ceil(count / columns)
    image_format = picture_format(sheet_path)

    def whole(side: int) -> tuple[int, int]:
        width, height = thumbnail_size(size, side)
        return columns * width, rows * height

    most = min(MOST_SIDE_PX[image_format] // columns, MOST_SIDE_PX[image_format] // rows)
    side = (
        size.longest if thumbnail is None else min(size.longest, most if thumbnail == "auto" else thumbnail)
    )
    smaller = f"name a .png file, or add --thumbnail auto ({most} pixels a picture)"
    at = f" at {side}" if side < size.longest else ""
    what = f"--sheet {printable(str(sheet_path))}: {counted(count, 'picture')} of {size}{at} on one sheet"
    require_size(image_format, whole(max(side, 1)), what, smaller if most else "ask for fewer seeds")
    needed = math.prod(whole(max(side, 1))) * 4 * 2  # the sheet, and Pillow's copy
    if needed > (free := free_memory()):
        raise OptionError(
            f"{what}, which takes {needed / 2**30:,.1f} GiB of memory; there are {free / 2**30:,.1f}",
            fix="give a smaller --thumbnail, or fewer seeds",
        )
    return Sheet(sheet_path, columns, side if side < size.longest else None)


def write_pictures(
    sampler: Sampler,
    settings: Settings,
    seeds: tuple[int, ...],
    name: str,
    *,
    folder: Path | None,
    image_format: str,
    sheet: Sheet | None,
) -> None:
    """Write each picture to the folder, all of them to the sheet, or both."""
    from metagan.cli.progress import note, stages
    from metagan.files import write_bytes
    from metagan.images.encode import EXTENSIONS, encode, write_sheet
    from metagan.images.provenance import Provenance
    from metagan.images.sheet import contact_sheet

    def each() -> Iterator[Picture]:
        for seed, picture in sampler.pictures(seeds, settings):
            if folder:
                label = Provenance(f"{name} (metagan)", seed, settings.psi)
                path = folder / f"seed{seed:04d}.{EXTENSIONS[image_format]}"
                write_bytes(path, encode(picture, image_format, label))
            progress.advance(1)
            yield picture

    with stages() as progress:
        progress.begin("pictures", len(seeds))
        if sheet:
            drawn = contact_sheet(each(), len(seeds), sheet.columns, sheet.thumbnail)
            label = Provenance(f"{name} (metagan)", seeds[0], settings.psi)
            write_sheet(sheet.path, drawn, label, note)
            click.echo(sheet.path)
        else:
            for _ in each():
                pass
    if folder:
        click.echo(f"{folder}: {counted(len(seeds), 'picture')}")


def write_bred(
    sampler: Sampler,
    lineage: Lineage,
    settings: Settings,
    name: str,
    *,
    foreign: bool,
    folder: Path | None,
    image_format: str,
    sheet: Sheet | None,
) -> None:
    """Write the pictures of a lineage, named by their codes' checksums."""
    from metagan.cli.progress import note
    from metagan.files import write_bytes
    from metagan.images.encode import EXTENSIONS, encode, write_sheet
    from metagan.images.provenance import Provenance
    from metagan.images.sheet import contact_sheet
    from metagan.lab.lineage import PSI_UNITS, draw_lineage, write_lineage

    pictures = []
    for one, picture in draw_lineage(sampler, lineage, settings, foreign=foreign):
        pictures.append(picture)
        if folder:
            label = Provenance(f"{name} (metagan)", None, one.psi / PSI_UNITS, write_lineage(one))
            path = folder / f"lineage-{one.checksum}.{EXTENSIONS[image_format]}"
            write_bytes(path, encode(picture, image_format, label))
    if sheet:
        drawn = contact_sheet(pictures, len(pictures), sheet.columns, sheet.thumbnail)
        label = Provenance(f"{name} (metagan)", None, lineage.psi / PSI_UNITS, write_lineage(lineage))
        write_sheet(sheet.path, drawn, label, note)
        click.echo(sheet.path)
    if folder:
        click.echo(f"{folder}: {counted(len(pictures), 'picture')}")


def write_styled(
    sampler: Sampler,
    files: tuple[Path, ...],
    settings: Settings,
    psi: float | None,
    name: str,
    *,
    foreign: bool,
    folder: Path | None,
    image_format: str,
    sheet: Sheet | None,
) -> None:
    """Write the pictures of styles files, under the same names."""
    from metagan.cli.progress import note
    from metagan.files import write_bytes
    from metagan.images.encode import EXTENSIONS, encode, write_sheet
    from metagan.images.provenance import Provenance
    from metagan.images.sheet import contact_sheet
    from metagan.lab.styles import draw, read_styles, require_noise_fits, require_same_generator

    stems = [path.stem for path in files]
    if folder and (twice := next((stem for stem in stems if stems.count(stem) > 1), None)):
        raise OptionError(
            f"--styles: two files are called {twice}, and so would be their pictures",
            fix="rename one, or draw them into different folders",
        )
    styles = [read_styles(path) for path in files]
    for path, one in zip(files, styles, strict=True):
        require_same_generator(one, sampler.generator, path, foreign=foreign)
        require_noise_fits(one, sampler.generator, path)
    if settings.z_shift is not None:
        raise OptionError(
            "--dials: this generator's dials move latents, and styles files hold styles",
            fix="turn dials of --seeds only",
        )
    pictures = list(draw(sampler, styles, psi, settings.ws_shift))
    label = Provenance(f"{name} (metagan)", None, psi)
    for path, picture in zip(files, pictures, strict=True):
        if folder:
            write_bytes(
                folder / f"{path.stem}.{EXTENSIONS[image_format]}", encode(picture, image_format, label)
            )
    if sheet:
        drawn = contact_sheet(pictures, len(pictures), sheet.columns, sheet.thumbnail)
        write_sheet(sheet.path, drawn, label, note)
        click.echo(sheet.path)
    if folder:
        click.echo(f"{folder}: {counted(len(pictures), 'picture')}")
