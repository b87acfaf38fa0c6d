"""`metagan train`; its options are declared in metagan/training/options.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metagan.cli.options import dataclass_options, device_option, given_names, out_option, read_dataclass
from metagan.training.options import AUTO, Recipe, Schedule, TrainOptions

if TYPE_CHECKING:
    from metagan.training.session import Result


@click.command("train", short_help="Train a generator on a dataset.")
@click.argument("data", metavar="DATASET", type=click.Path(path_type=Path))
@out_option("The run folder. If it contains a run, training resumes.", required=True)
@dataclass_options(TrainOptions, Schedule, Recipe)
@device_option
@click.pass_context
def command(context: click.Context, /, **values: Any) -> None:
    """Train a StyleGAN2-ADA generator on a dataset from `metagan dataset pack`.

    The run folder receives weights to sample from (latest.safetensors), sheets of pictures, and report.html. Run the
    same command again to resume a run exactly where it stopped. Use torchrun for several GPUs.

    --architecture dcgan trains a DCGAN instead, as a baseline.

    With --upscaler x4 the DATASET holds large originals, and the run's weights enlarge pictures of the same kind
    (`metagan upscale`).
    """
    options = read_dataclass(
        TrainOptions,
        values,
        recipe=read_dataclass(Recipe, values),
        schedule=read_dataclass(Schedule, values),
        auto=frozenset(name for name in AUTO if values[name] is None),
        given=given_names(context),
    )
    if options.generator and not options.upscaler:
        message = "belongs to --upscaler; weights to start a generator's training from are --start"
        raise click.BadParameter(message, param_hint="--generator")
    try:
        result = _train(options)
    except KeyboardInterrupt:  # before or after the part in which Ctrl-C asks the run to stop
        there = (options.out / "state.safetensors").exists()
        where = f"{options.out} goes on from its last state" if there else "nothing was trained"
        click.echo(f"metagan: interrupted; {where}", err=True)
        context.exit(130)
    if result.is_first:
        click.echo(result)


def _train(options: TrainOptions) -> Result:
    if options.upscaler:
        from metagan.training.upscaler.session import train_upscaler

        return train_upscaler(options, int(options.upscaler.removeprefix("x")))
    from metagan.training.session import train

    return train(options, owns_process=True)
