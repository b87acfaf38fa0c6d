"""`metagan convert`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import OutPath, WeightsFile, network_option
from metagan.files import require_other
from metagan.values import format_bytes


@click.command("convert", short_help="Convert a weights file to .safetensors, or to another program's .pt.")
@click.argument("source", metavar="IN", type=WeightsFile())
@click.argument("target", metavar="OUT", type=OutPath())
@network_option
@click.option(
    "--layout",
    type=click.Choice(["official", "rosinality"]),
    default="official",
    help="OUT.pt: the program that is to load it.",
)
@click.option("--half", is_flag=True, help="Store float16: half the size, with a PSNR of about 72 dB.")
@click.option("--licence", help="Licence to store. By default, the file's own.")
@click.option("--source", "origin", help="Origin of the weights, to store. By default, the file's own.")
def command(
    source: Path, target: Path, network: str | None, layout: str, half: bool, licence: str | None,
    origin: str | None,
) -> None:  # fmt: skip
    """Convert a weights file to metagan's own .safetensors, or a StyleGAN2 generator to another program's .pt.

    OUT.safetensors stores configuration, licence and training facts in its header, loads by memory map, and can't
    contain code. OUT.pt is a state dict for load_state_dict of the official StyleGAN2 generator, or with --layout
    rosinality a checkpoint of that program; how to load it is printed.

    The written file is read back and compared bit by bit before it replaces OUT.
    """
    from metagan.networks.loading.convert import convert, convert_to_official

    require_other(target, source, name="OUT")
    if target.suffix == ".pt":
        _refuse_extras(half=half, licence=licence, source=origin)
        written = convert_to_official(source, target, role=network, layout=layout)
        click.echo(f"{target}: {layout} state dict, {format_bytes(target.stat().st_size)}")
        click.echo(
            f"Generator({', '.join(f'{name}={value!r}' for name, value in written.arguments.items())})"
        )
        inside = f"[{written.under!r}]" if written.under else ""
        click.echo(f".load_state_dict(torch.load({target.name!r}){inside})")
        for note in written.notes:
            click.echo(f"note: {note}", err=True)
        return
    if layout != "official":
        raise click.UsageError("--layout is for OUT.pt")
    if target.suffix == ".pkl":
        raise click.UsageError(
            f"OUT: {target.name} can't be written: the official program's pickles contain its source code, without "
            f"which it loads none. It loads state dicts: write {target.with_suffix('.pt').name}, then "
            "Generator(...).load_state_dict(torch.load(...)) as `metagan convert` prints it"
        )
    if target.suffix != ".safetensors":
        found = f"want a name that ends in .safetensors or .pt, got {target.name}"
        raise click.BadParameter(found, param_hint="OUT")
    header = convert(source, target, role=network, half=half, licence=licence, origin=origin)
    click.echo(
        f"{target}: {header.architecture}, {format_bytes(target.stat().st_size)}, licence {header.licence}"
    )
    for note in header.training.get("notes", ()):
        click.echo(f"note: {note}", err=True)


def _refuse_extras(**extras: bool | str | None) -> None:
    for option, value in extras.items():
        if value:
            raise click.UsageError(
                f"--{option}: an official state dict contains only tensors; use this option with .safetensors"
            )
