"""`metagan sample`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import drawing_options, out_option, sampling_options, upscale_option, weights_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from metagan.sampling.sampler import Picture, Sampler, Settings


@dataclass(frozen=True)
class Target:
    """What to sample: a weights file, and the drawing options of its subject."""

    name: str
    weights: Path
    psi: float
    class_index: int | None
    noise: str
    licence: str = "unknown"
    source: str = ""
    upscaler: Path | None = None


def parse_batch(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """Parse --batch: a number of pictures, or None for "auto"."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"want auto or a number of pictures from 1 on, got {value!r}")
    return int(value)


@click.command("sample", short_help="Draw pictures from a subject or a weights file.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@drawing_options(seeds="0-15")
@click.option("--format", "image_format", type=click.Choice(["png", "webp", "jpeg", "avif"]), default="png",
              help="File format of the pictures.")  # fmt: skip
@click.option(
    "--grid",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write one sheet with all pictures to this file; its extension sets the format.",
)
@out_option(
    "Folder for the pictures, which are named by seed. By default samples/, or none if --grid is given."
)
@click.option("--batch", default="auto", callback=parse_batch, help="Pictures per batch: auto or a number.")
@upscale_option
@sampling_options
@weights_options
def command(
    what: str,
    seeds: tuple[int, ...],
    psi: float | None,
    class_index: int | None,
    noise: str | None,
    image_format: str,
    grid: Path | None,
    out: Path | None,
    batch: int | None,
    upscale: str | None,
    device: str,
    precision: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Draw pictures from a subject of the registry or from a weights file.

    The same seed gives the same picture as the generator's original program: latents are
    numpy.random.RandomState(seed).randn(1, z_dim).

    \b
    metagan sample ape --seeds 0-35,42 --grid apes.png
    metagan sample network.pkl --psi 0.7 --out pictures
    metagan sample bundled:apes --format webp
    """
    from metagan.sampling.sampler import Settings

    if grid:
        sheet_format(grid)
    target = find_target(what, registry, sha256, offline=offline, upscale=upscale)
    settings = Settings(
        psi=target.psi if psi is None else psi,
        class_index=target.class_index if class_index is None else class_index,
        noise=target.noise if noise is None else noise,
    )
    sampler = make_sampler(target, device, batch, precision)
    if settings.class_index is not None and not sampler.generator.c_dim:
        click.echo(
            f"warning: --class {settings.class_index} is ignored, {target.name} has no classes", err=True
        )
    folder = out if out or grid else Path("samples")
    write_pictures(sampler, settings, seeds, target.name, folder=folder, image_format=image_format, grid=grid)


def find_target(
    what: str, registry: Path, sha256: str | None, *, offline: bool, upscale: str | None = None
) -> Target:
    """Find what to sample: a weights file by path, URL or `bundled:name`, or a subject of the registry.

    Args:
        what: The file or subject.
        registry: Where a subject is looked up.
        sha256: What the weights file's SHA-256 must be.
        offline: Download nothing.
        upscale: An upscaler's file, "none", or None for the subject's own.
    """
    from metagan.cli.progress import stages
    from metagan.fetch.locate import locate_weights
    from metagan.registry.read import find_subject, read_registry
    from metagan.registry.weights_ref import parse_weights

    if ":" in what or "/" in what or Path(what).suffix or _is_weights(Path(what)):
        try:
            ref = parse_weights(what, Path.cwd(), sha256)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="SUBJECT|WEIGHTS") from error
        target, enlarger = Target(Path(ref.location).name, Path(), 1.0, None, "const"), None
    else:
        if not registry.is_file():
            message = f"{what!r} is not a weights file, and there is no {registry} that could define it as a subject"
            raise click.BadParameter(f"{message}; try bundled:apes", param_hint="SUBJECT|WEIGHTS")
        subject = find_subject(read_registry(registry), what)
        ref, enlarger = subject.weights, subject.upscale
        target = Target(subject.slug, Path(), subject.psi, subject.class_index, subject.noise,
                        subject.licence, subject.source)  # fmt: skip
    if upscale is not None:
        try:
            enlarger = None if upscale == "none" else parse_weights(upscale, Path.cwd())
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--upscale") from error
    with stages() as progress:
        weights = locate_weights(ref, offline=offline, progress=progress.transfer)
        upscaler = locate_weights(enlarger, offline=offline, progress=progress.transfer) if enlarger else None
    return dataclasses.replace(target, weights=weights, upscaler=upscaler)


def _is_weights(path: Path) -> bool:
    """Whether the path is a file or the folder of a Keras SavedModel."""
    return path.is_file() or (path / "saved_model.pb").is_file()


def make_sampler(target: Target, device: str, batch: int | None, precision: str = "fp32") -> Sampler:
    """Load the target's generator onto a device."""
    from metagan.checkpoints.read import read_checkpoint
    from metagan.networks.loading.detect import load_generator, notes_on, title_of
    from metagan.networks.upscaler import load_upscaler
    from metagan.sampling.device import choose_device
    from metagan.sampling.sampler import Sampler

    checkpoint = read_checkpoint(target.weights)
    generator = load_generator(checkpoint)
    for note in notes_on(checkpoint):
        click.echo(f"note: {target.name}: {note}", err=True)
    sampler = Sampler(
        generator,
        choose_device(device),
        batch,
        precision=precision,
        upscaler=load_upscaler(target.upscaler) if target.upscaler else None,
    )
    if precision == "bf16" and sampler.precision != "bf16":
        click.echo(f"note: {title_of(generator)} generators are always drawn in fp32", err=True)
    return sampler


def write_pictures(
    sampler: Sampler,
    settings: Settings,
    seeds: tuple[int, ...],
    name: str,
    *,
    folder: Path | None,
    image_format: str,
    grid: Path | None,
) -> None:
    """Write each picture to the folder, all of them to the grid, or both."""
    from metagan.cli.progress import stages
    from metagan.files import write_bytes
    from metagan.images.encode import EXTENSIONS, encode
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
        if grid:
            sheet = contact_sheet(each(), len(seeds))
            write_bytes(
                grid,
                encode(sheet, sheet_format(grid), Provenance(f"{name} (metagan)", seeds[0], settings.psi)),
            )
            click.echo(grid)
        else:
            for _ in each():
                pass
    if folder:
        click.echo(f"{folder}: {len(seeds)} pictures")


def sheet_format(grid: Path) -> str:
    """Return the picture format for a sheet's extension."""
    by_ending = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg", ".avif": "avif"}
    if grid.suffix.lower() not in by_ending:
        raise click.BadParameter(
            f"want a name that ends in {', '.join(by_ending)}, got {grid.name}", param_hint="--grid"
        )
    return by_ending[grid.suffix.lower()]
