"""`metagan schema`."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="Print the registry's JSON Schema, for editors.")
def command() -> None:
    """Print the JSON Schema of registry.yaml, with which editors complete and check the file.

    \b
    metagan schema > registry.schema.json
    then put this into the first line of registry.yaml:
    # yaml-language-server: $schema=registry.schema.json
    """
    from metagan.registry.schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
