"""`metagan train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ABOVE_0 = click.FloatRange(min=0, min_open=True)
FROM_0 = click.FloatRange(min=0)
SHARE = click.FloatRange(0, 1)


def _auto_or(
    kind: Callable[[str], Any], least: float | None = None, most: float = math.inf
) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A callback for options that take "auto" (None) or a number: from `least`, or above 0, to `most`."""
    wanted = "a number above 0" if least is None else f"a number, {least:g} or more"
    if most < math.inf:
        wanted = f"a number from {least or 0:g} to {most:g}"

    def convert(context: click.Context, parameter: click.Parameter, value: str) -> Any:
        if value == "auto":
            return None
        try:
            number = kind(value)
        except ValueError as error:
            raise click.BadParameter(f"want auto or a number, got {value!r}", context, parameter) from error
        if not (number > 0 if least is None else number >= least) or number > most:
            raise click.BadParameter(f"want {wanted}, got {value}", context, parameter)
        return number

    return convert


def _auto_option(
    *names: str,
    kind: Callable[[str], Any] = float,
    least: float | None = None,
    most: float = math.inf,
    **settings: Any,
) -> Callable[[Any], Any]:
    """An option that is left to us unless a number is given; see _auto_or."""
    return click.option(*names, default="auto", callback=_auto_or(kind, least, most), **settings)


@click.command("train", short_help="Train a generator from a dataset of pictures.")
@click.argument("data", metavar="DATASET", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's folder; an existing run goes on.",
)
@click.option(
    "--upscaler",
    type=click.Choice(["x2", "x4"]),
    help="Train a network that enlarges the collection's pictures so many times, in place of a generator.",
)
@click.option(
    "--generator",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --upscaler: weights whose pictures it shall enlarge; they take part in the training.",
)
@click.option(
    "--kimg",
    type=ABOVE_0,
    default=1000,
    show_default="1000; 100 with --upscaler",
    help="Train until so many thousand pictures have been shown.",
)
@click.option("--resolution", type=click.IntRange(min=8), help="Refuse pictures of another size than this.")
@click.option(
    "--preset",
    type=click.Choice(["auto", "tiny", "small", "web", "official"]),
    default="auto",
    help="The networks' width; auto goes by resolution, device and number of pictures; web is made for live pages.",
)
@_auto_option("--batch", kind=int, help="Pictures a step, over all devices.")
@_auto_option(
    "--micro-batch",
    kind=int,
    help="Pictures at once on a device; lower it when memory runs out.",
)
@_auto_option(
    "--gamma",
    help="R1's weight: higher is steadier, lower is sharper; may be another when a run goes on.",
)
@_auto_option(
    "--lr",
    "learning_rate",
    help="Learning rate; auto: 0.01 for narrow networks (at most 128 channels) that are new, else 0.0025.",
)
@_auto_option(
    "--lr-decay",
    "lr_decay_kimg",
    least=0,
    help="Thousands of pictures from which on the rate falls with their square root, 0 to hold it; "
    "auto: 2,500 steps where --lr auto is 0.01.",
)
@click.option(
    "--d-rate",
    "discriminator_rate",
    type=ABOVE_0,
    default=1.0,
    help="The discriminator's learning rate as a multiple of the generator's.",
)
@_auto_option(
    "--path-weight",
    least=0,
    help="Path-length regularisation, 0 is off; auto: 2, or off for narrow networks.",
)
@_auto_option(
    "--style-mixing",
    least=0,
    most=1,
    help="Share of pictures made of two styles; auto: 0.9, or none for narrow networks.",
)
@_auto_option(
    "--ema-kimg",
    help="Half-life of the generator's average, in thousands of pictures.",
)
@click.option("--mirror/--no-mirror", default=False, help="Show pictures mirrored as well.")
@click.option(
    "--labels/--no-labels", default=True, help="Train a conditional generator when the dataset has labels."
)
@click.option(
    "--augment",
    "augmentation",
    type=click.Choice(["adaptive", "fixed", "none"]),
    default="adaptive",
    help="Augmentation against overfitting.",
)
@click.option(
    "--augment-groups",
    default="blit,geometry,colour",
    callback=lambda _context, _parameter, value: tuple(value.split(",")),
    help="Which transforms: blit, geometry, colour, filter, noise, cutout.",
)
@click.option(
    "--augment-p", type=SHARE, default=0.0, help="Augmentation's strength, at the beginning when adaptive."
)
@click.option(
    "--augment-target", type=click.FloatRange(-1, 1), default=0.6, help="Mean sign of real logits to hold."
)
@click.option(
    "--augment-kimg",
    type=ABOVE_0,
    default=500.0,
    help="Thousands of pictures for the strength to go from 0 to 1.",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="StyleGAN2 weights to start from (transfer learning); a generator alone will do.",
)
@_auto_option(
    "--d-warmup",
    "d_warmup_kimg",
    least=0,
    help="Thousands of pictures in which only the discriminator learns; auto: 10 with --start where the file has none.",
)
@click.option(
    "--freeze-d",
    type=click.IntRange(min=0),
    default=0,
    help="First layers of the discriminator that keep their weights.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    help="What the convolutions compute in.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides everything random.")
@click.option("--licence", default="unknown", help="Licence to record in the weights.")
@click.option("--source", default="", help="Where the pictures come from, to record in the weights.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; several by torchrun.")
@click.option(
    "--cuda-graphs/--no-cuda-graphs",
    default=True,
    help="Record steps as CUDA graphs where one NVIDIA GPU trains: up to ten times as fast.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Processor threads; the machine's cores by default."
)
@click.option(
    "--state-every", type=ABOVE_0, default=4.0, help="Thousands of pictures between two state files."
)
@click.option(
    "--metrics-every",
    type=ABOVE_0,
    default=1.0,
    help="Thousands of pictures between two lines of metrics.jsonl.",
)
@click.option(
    "--snapshot-every", type=ABOVE_0, default=20.0, help="Thousands of pictures between two snapshots."
)
@click.option(
    "--measure",
    type=click.IntRange(min=0),
    default=1000,
    show_default="1000; 100 with --upscaler",
    help="Pictures to measure each snapshot's quality on; 0 is off.",
)
@click.option(
    "--inception",
    type=click.Path(path_type=Path),
    metavar="FILE|auto",
    help='Inception weights, or "auto" for those at hand: measure FID and KID as well (needs metagan[evaluate]).',
)
@click.option("--best/--no-best", default=True, help="Keep the best snapshot as best.safetensors.")
@click.option(
    "--tensorboard/--no-tensorboard",
    default=False,
    help="Write TensorBoard events as well (needs metagan[tensorboard]).",
)
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train a StyleGAN2-ADA generator from a dataset that `metagan dataset pack` wrote.

    The run's folder gets weights to sample from (latest.safetensors), sheets of pictures by time, and report.html.
    Called again with the same folder, a run goes on exactly where it stopped.

    With --upscaler x4 the DATASET holds large originals, and the run's weights enlarge pictures of the same kind
    (`metagan upscale`).
    """
    given = {
        name
        for name in options
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if options["upscaler"]:
        from metagan.training.upscaler.session import train_upscaler

        train_upscaler(options, given)
        return
    if options["generator"]:
        message = "belongs to --upscaler; weights to start a generator's training from are --start"
        raise click.BadParameter(message, param_hint="--generator")
    from metagan.training.session import train

    train(options, given)
