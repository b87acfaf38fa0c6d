"""`metagan train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from metagan.cli.options import device_option, out_option, precision_option

ABOVE_0 = click.FloatRange(min=0, min_open=True)
FROM_0 = click.FloatRange(min=0)
SHARE = click.FloatRange(0, 1)


def _auto_or(
    kind: Callable[[str], Any], least: float | None = None, most: float = math.inf
) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return a callback that parses "auto" (as None) or a number: at least `least`, or above 0, and at most `most`."""
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
    """Declare an option that takes "auto" or a number; see _auto_or."""
    return click.option(*names, default="auto", callback=_auto_or(kind, least, most), **settings)


@click.command("train", short_help="Train a generator on a dataset.")
@click.argument("data", metavar="DATASET", type=click.Path(path_type=Path))
@out_option("The run folder. If it contains a run, training resumes.", required=True)
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
    help="Train until this many thousand pictures were shown.",
)
@click.option("--resolution", type=click.IntRange(min=8), help="Require pictures of this size.")
@click.option(
    "--preset",
    type=click.Choice(["auto", "tiny", "small", "web", "official"]),
    default="auto",
    help="Width of the networks. auto chooses by resolution, device and dataset size; web suits live pages.",
)
@_auto_option("--batch", kind=int, help="Pictures per step, over all devices.")
@_auto_option(
    "--micro-batch",
    kind=int,
    help="Pictures processed at once on a device; lower it if memory runs out.",
)
@_auto_option(
    "--gamma",
    help="Weight of R1 regularisation: higher is more stable, lower is sharper. May change when a run resumes.",
)
@_auto_option(
    "--lr",
    "learning_rate",
    help="Learning rate. auto: 0.01 for new narrow networks (at most 128 channels), otherwise 0.0025. "
    "May change when a run resumes.",
)
@_auto_option(
    "--lr-decay",
    "lr_decay_kimg",
    least=0,
    help="Thousands of pictures after which the rate decays with the inverse square root of pictures "
    "shown; 0 keeps it constant. auto: after 2,500 steps if --lr auto is 0.01, otherwise 0. May change "
    "when a run resumes.",
)
@click.option(
    "--d-rate",
    "discriminator_rate",
    type=ABOVE_0,
    default=1.0,
    help="Learning rate of the discriminator, as a multiple of the generator's.",
)
@_auto_option(
    "--path-weight",
    least=0,
    help="Weight of path-length regularisation; 0 turns it off. auto: 2, or 0 for narrow networks.",
)
@_auto_option(
    "--style-mixing",
    least=0,
    most=1,
    help="Fraction of pictures with two mixed styles. auto: 0.9, or 0 for narrow networks.",
)
@_auto_option(
    "--ema-kimg",
    help="Half-life of the generator's moving average, in thousands of pictures.",
)
@click.option("--mirror/--no-mirror", default=False, help="Also show mirrored pictures.")
@click.option(
    "--labels/--no-labels", default=True, help="Train a conditional generator if the dataset has labels."
)
@click.option(
    "--augment",
    "augmentation",
    type=click.Choice(["adaptive", "fixed", "none"]),
    default="adaptive",
    help="Augmentation against overfitting: adaptive adjusts its strength, fixed keeps it at --augment-p.",
)
@click.option(
    "--augment-groups",
    default="blit,geometry,colour",
    callback=lambda _context, _parameter, value: tuple(value.split(",")),
    help="Groups of transforms, separated by commas: blit, geometry, colour, filter, noise, cutout.",
)
@click.option(
    "--augment-p", type=SHARE, default=0.0, help="Strength of augmentation; the initial one if adaptive."
)
@click.option(
    "--augment-target",
    type=click.FloatRange(-1, 1),
    default=0.6,
    help="Target for the mean sign of the discriminator's logits on real pictures.",
)
@click.option(
    "--augment-kimg",
    type=ABOVE_0,
    default=500.0,
    help="Thousands of pictures in which the strength can rise from 0 to 1.",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="StyleGAN2 weights to start from (transfer learning); the file need not contain a discriminator.",
)
@_auto_option(
    "--d-warmup",
    "d_warmup_kimg",
    least=0,
    help="Thousands of pictures in which only the discriminator learns. auto: 10 if the --start file has "
    "no discriminator, otherwise 0.",
)
@click.option(
    "--freeze-d",
    type=click.IntRange(min=0),
    default=0,
    help="Number of first discriminator layers whose weights stay fixed.",
)
@precision_option("fp32", "bf16", "auto", default="auto", help="Number format of the convolutions.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Random seed.")
@click.option("--licence", default="unknown", help="Licence to store in the weights.")
@click.option("--source", default="", help="Origin of the pictures, to store in the weights.")
@device_option
@click.option(
    "--cuda-graphs/--no-cuda-graphs",
    default=True,
    help="Record training steps as CUDA graphs on a single NVIDIA GPU, which is up to ten times as fast.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Number of processor threads. By default, the number of cores.",
)
@click.option("--state-every", type=ABOVE_0, default=4.0, help="Thousands of pictures between state files.")
@click.option(
    "--metrics-every",
    type=ABOVE_0,
    default=1.0,
    help="Thousands of pictures between lines of metrics.jsonl.",
)
@click.option("--snapshot-every", type=ABOVE_0, default=20.0, help="Thousands of pictures between snapshots.")
@click.option(
    "--measure",
    type=click.IntRange(min=0),
    default=1000,
    show_default="1000; 100 with --upscaler",
    help="Number of pictures on which each snapshot is measured; 0 turns measuring off.",
)
@click.option(
    "--inception",
    type=click.Path(path_type=Path),
    metavar="FILE|auto",
    help="Also measure FID and KID with these Inception weights; auto uses installed ones (needs metagan[evaluate]).",
)
@click.option("--best/--no-best", default=True, help="Keep the best snapshot as best.safetensors.")
@click.option(
    "--tensorboard/--no-tensorboard",
    default=False,
    help="Also write TensorBoard events (needs metagan[tensorboard]).",
)
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train a StyleGAN2-ADA generator on a dataset from `metagan dataset pack`.

    The run folder receives weights to sample from (latest.safetensors), sheets of pictures, and report.html. Run the
    same command again to resume a run exactly where it stopped. Use torchrun for several GPUs.

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
