"""`metagan convert`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("convert", short_help="Turn any weights file into metagan's own .safetensors, or back.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--network", type=click.Choice(["G_ema", "G"]), default="G_ema", help="Which generator to take."
)
@click.option("--half", is_flag=True, help="Store float16: half the size, about 72 dB from float32.")
@click.option("--licence", help="Licence to record; the file's own by default.")
@click.option("--source", "origin", help="Where the weights come from, to record; the file's own by default.")
def command(
    source: Path, target: Path, network: str, half: bool, licence: str | None, origin: str | None
) -> None:
    """Turn any weights file that metagan reads into metagan's own .safetensors, or a StyleGAN2 back into a .pt.

    OUT.safetensors carries its configuration, licence and training facts in its header, loads by memory map, and
    can't run code. OUT.pt is the state dict of a StyleGAN2 generator as the official code's load_state_dict takes
    it; the arguments of its class are printed.

    Either is read back and compared bit by bit before it takes its place.
    """
    from metagan.networks.loading.convert import convert, convert_to_official

    if target.suffix == ".pt":
        _refuse_extras(half=half, licence=licence, source=origin)
        arguments = convert_to_official(source, target, role=network)
        click.echo(f"{target}: official state dict, {target.stat().st_size / 1e6:.1f} MB")
        click.echo(f"Generator({', '.join(f'{name}={value!r}' for name, value in arguments.items())})")
        return
    if target.suffix != ".safetensors":
        found = f"want a name that ends in .safetensors or .pt, got {target.name}"
        raise click.BadParameter(found, param_hint="OUT")
    header = convert(source, target, role=network, half=half, licence=licence, origin=origin)
    click.echo(
        f"{target}: {header.architecture}, {target.stat().st_size / 1e6:.1f} MB, licence {header.licence}"
    )
    for note in header.training.get("notes", ()):
        click.echo(f"note: {note}", err=True)


def _refuse_extras(**extras: bool | str | None) -> None:
    for option, value in extras.items():
        if value:
            raise click.UsageError(
                f"--{option}: an official state dict holds tensors only; use it with .safetensors"
            )
