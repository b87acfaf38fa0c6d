"""`metagan convert`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import network_option


@click.command("convert", short_help="Convert a weights file to .safetensors, or to an official .pt.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@network_option
@click.option("--half", is_flag=True, help="Store float16: half the size, with a PSNR of about 72 dB.")
@click.option("--licence", help="Licence to store. By default, the file's own.")
@click.option("--source", "origin", help="Origin of the weights, to store. By default, the file's own.")
def command(
    source: Path, target: Path, network: str | None, half: bool, licence: str | None, origin: str | None
) -> None:
    """Convert a weights file to metagan's own .safetensors, or a StyleGAN2 generator to an official .pt.

    OUT.safetensors stores configuration, licence and training facts in its header, loads by memory map, and can't
    contain code. OUT.pt is a state dict for load_state_dict of the official StyleGAN2 generator; the arguments of
    its class are printed.

    The written file is read back and compared bit by bit before it replaces OUT.
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
                f"--{option}: an official state dict contains only tensors; use this option with .safetensors"
            )
