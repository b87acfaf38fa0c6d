"""`metagan encoder`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import Whole, class_option, noise_option, out_file_option, weights_options
from metagan.files import require_other
from metagan.values import Label, NoiseMode


@click.command("encoder", short_help="Train an encoder, which finds visitors' pictures in a generator.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@out_file_option("The encoder's file to write.", required=True)
@click.option(
    "--pictures",
    type=Whole(1, 1_000_000),
    default=10_000,
    help="The generator's own pictures to train on.",
)
@click.option("--epochs", type=Whole(1, 1000), default=10, help="How often each is seen.")
@click.option("--measured", type=Whole(1, 1000), default=16, help="Pictures to measure on.")
@click.option("--axes", type=Whole(1, 128), default=32, help="Axes of styles that pictures are written in.")
@click.option(
    "--ranges",
    type=Whole(1, 100),
    default=3,
    help="Ranges of layers that get a style each in the search.",
)
@class_option
@noise_option()
@click.option("--seed", type=Whole(0, 2**32 - 1), default=0, help="Random seed.")
@weights_options
def command(
    what: str,
    out: Path,
    pictures: int,
    epochs: int,
    measured: int,
    axes: int,
    ranges: int,
    label: Label | None,
    noise: NoiseMode | None,
    seed: int,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Train a small network that answers a picture with styles, on the generator's own pictures.

    With `encoder: FILE` in the registry, the page SUBJECT/yours/ begins its search for a visitor's picture with the
    network's answer, and compares how well it fits with the generator's own pictures.

    \b
    metagan encoder ape --out ape-encoder.safetensors
    """
    from metagan.cli.progress import note, stages
    from metagan.lab.encoder import Encoder, EncoderOptions, EncoderTrainer, write_encoder
    from metagan.sampling.target import find_target, open_sampler

    with stages() as progress:
        target = find_target(
            what, registry, sha256, offline=offline, upscale="none", progress=progress.transfer
        )
    require_other(out, target.weights)
    settings = target.settings(None, label, noise)
    options = EncoderOptions(
        axes=axes,
        ranges=ranges,
        pictures=pictures,
        epochs=epochs,
        measured=measured,
        noise=settings.noise,
        label=settings.label,
        seed=seed,
    )
    trainer = EncoderTrainer(open_sampler(target, "cpu", 1, note=note).generator, options)
    with stages() as progress:
        progress.begin("pictures drawn and seen", trainer.total)
        network = trainer.train(progress.advance)
        progress.begin("pictures found", measured)
        encoder = Encoder(trainer.measure(network, progress.advance), network)
    write_encoder(out, encoder)
    info = encoder.info
    click.echo(f"nearest of 64: {info.nearest_db:.1f} dB")
    click.echo(f"encoder: {info.start_db:.1f} dB")
    click.echo(f"encoder and search: {info.fit_db:.1f} dB")
    click.echo(out)
