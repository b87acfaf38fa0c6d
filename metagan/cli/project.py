"""`metagan project`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import (
    Number,
    Whole,
    class_option,
    device_option,
    lpips_option,
    out_option,
    weights_options,
)
from metagan.values import Label, show

if TYPE_CHECKING:
    from metagan.lab.project import Projection
    from metagan.lab.project_files import Found
    from metagan.lab.targets import Box


def parse_box(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Box | None:
    """Parse left, top, right and bottom in pixels, or None."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"want LEFT,TOP,RIGHT,BOTTOM in pixels, got {show(value)}")
    left, top, right, bottom = (int(part) for part in parts)
    return left, top, right, bottom


@click.command("project", short_help="Find pictures of your own in a generator.")
@click.argument("pictures", metavar="PICTURES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@out_option("Folder for the results; an interrupted run continues there.", default=Path("projected"))
@click.option("--space", type=click.Choice(["auto", "z", "w", "w+"]), default="auto", help="Space to search: latents z,"
              " one style w for all layers, or a style a layer, w+, which comes nearest. auto: w+, or z where a"
              " generator has no mapping network.")  # fmt: skip
@click.option("--steps", type=Whole(1, 100_000), default=400, help="Number of steps.")
@click.option("--start", default="nearest", metavar="nearest|mean|FILE", help="Where to start: styles"
              " fitted without gradients to the nearest of 601 pictures, the mean, or a styles file.")  # fmt: skip
@click.option("--learning-rate", type=Number(0, 10, min_open=True), default=None,
              help="Highest learning rate: the change of styles in a step, in standard deviations. By default"
              " 0.1 from the mean and in z, and otherwise in proportion to the start's distance.")  # fmt: skip
@click.option("--noise", type=click.Choice(["fit", "const"]), default="fit", help="Search for noise images as well, or"
              " keep the generator's own.")  # fmt: skip
@class_option
@click.option("--seed", type=Whole(0, 2**32 - 1), default=0, help="Random seed.")
@click.option("--crop/--pad", default=False, help="For pictures of other proportions: take the middle, or pad them;"
              " the padding is ignored.")  # fmt: skip
@click.option("--box", metavar="LEFT,TOP,RIGHT,BOTTOM", callback=parse_box, help="Cut this part out of each"
              " picture first, in its own pixels, to align it by hand.")  # fmt: skip
@lpips_option
@click.option("--verdict", "own", type=Whole(0, 1000), default=8, help="Project so many of the"
              " generator's own pictures too, once for each setting, and say how yours compares; 0: none.")  # fmt: skip
@click.option("--film", type=click.Choice(["mp4", "webm", "webp", "gif", "none"]), default="webp",
              help="Format of the film of the search; mp4 and webm need ffmpeg.")  # fmt: skip
@click.option("--again", is_flag=True, help="Replace results of an earlier run, whatever its options were.")
@device_option
@weights_options
def command(
    pictures: tuple[Path, ...],
    what: str,
    out: Path,
    space: str,
    steps: int,
    start: str,
    learning_rate: float | None,
    noise: str,
    label: Label | None,
    seed: int,
    crop: bool,
    box: Box | None,
    lpips: str,
    own: int,
    film: str,
    again: bool,
    device: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Find the styles with which a generator draws your pictures.

    PICTURES are files, or folders of them. Each gets its styles (TITLE.safetensors), the picture beside the generator's
    (TITLE.png) and a film of the search. `metagan sample SUBJECT --styles FILE` draws it again.

    \b
    metagan project photo.jpg ape --out projected
    metagan project photos/ network.pkl --space w --steps 1000 --start nearest
    """
    from typing import cast

    from metagan.cli.progress import note as tell
    from metagan.cli.progress import stages
    from metagan.lab.film import film_format
    from metagan.lab.perceptual import load_perceptual
    from metagan.lab.project import ProjectOptions, Projector
    from metagan.lab.project_files import project_into, write_way
    from metagan.lab.styles import Space, read_styles, require_noise_fits, require_same_generator
    from metagan.lab.targets import list_pictures, read_target
    from metagan.lab.verdict import own_distances, with_verdicts
    from metagan.sampling.target import find_target, open_sampler

    if film != "none":
        film_format(Path(f"film.{film}"))
    files = list_pictures(pictures, out)
    perceptual = load_perceptual(lpips)
    with stages() as progress:
        target = find_target(what, registry, sha256, offline=offline, progress=progress.transfer)
    generator = open_sampler(target, device, 1, note=tell).generator
    size, channels = generator.size, generator.image_channels
    targets = [read_target(path, size, channels, mode="crop" if crop else "pad", box=box) for path in files]
    begin = None
    if start not in ("mean", "nearest"):
        begin = read_styles(Path(start))
        require_same_generator(begin, generator, Path(start), foreign=True)
        require_noise_fits(begin, generator, Path(start))
    options = ProjectOptions(
        space=cast("Space", space),
        steps=steps,
        start="mean" if start == "mean" else "nearest",
        learning_rate=learning_rate,
        noise="fit" if noise == "fit" else "const",
        label=target.label if label is None else label,
        seed=seed,
    )
    projector = Projector(generator, options, perceptual)

    def write_one(title: str, projection: Projection) -> None:
        if film != "none":
            write_way(projection, out / f"{title}.{film}", generator, f"{target.name} (metagan)")

    found: list[Found] = []
    with stages() as progress:
        progress.begin("steps", len(targets) * steps)
        for one in project_into(
            out, projector, targets, begin, again=again, advance=progress.advance, film=write_one
        ):
            found.append(one)
            click.echo(f"{out / one.title}.safetensors: {one.styles.info.psnr_db:.1f} dB")
        kept = [one.title for one in found if one.projection is None]
        if film != "none" and any(not (out / f"{title}.{film}").exists() for title in kept):
            tell("pictures of an earlier run get no film; --again searches, and films, anew")
        if own:
            progress.begin("the generator's own pictures, to compare with", own * steps)
            found = with_verdicts(found, own_distances(projector, own, progress.advance))
    for one in found:
        if one.verdict is not None:
            click.echo(f"{one.title}: {one.verdict.words}")
