"""`metagan convert`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("convert", short_help="Turn any weights file into metagan's own .safetensors.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="OUT.safetensors", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--network", type=click.Choice(["G_ema", "G"]), default="G_ema", help="Which generator to take."
)
@click.option("--half", is_flag=True, help="Store float16: half the size, about 72 dB from float32.")
@click.option("--licence", help="Licence to record; the file's own by default.")
@click.option("--source", "origin", help="Where the weights come from, to record; the file's own by default.")
def command(
    source: Path, target: Path, network: str, half: bool, licence: str | None, origin: str | None
) -> None:
    """Turn any weights file that metagan reads into metagan's own .safetensors.

    The result carries its configuration, licence and training facts in its header, loads by memory map, and can't
    run code. It is read back and compared bit by bit before it takes its place.
    """
    from metagan.networks.convert import convert

    if target.suffix != ".safetensors":
        raise click.BadParameter(
            f"want a name that ends in .safetensors, got {target.name}", param_hint="OUT"
        )
    header = convert(source, target, role=network, half=half, licence=licence, origin=origin)
    click.echo(
        f"{target}: {header.architecture}, {target.stat().st_size / 1e6:.1f} MB, licence {header.licence}"
    )
