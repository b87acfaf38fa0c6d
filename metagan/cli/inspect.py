"""`metagan inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click


@click.command("inspect", short_help="Say what is in a weights file, without running it.")
@click.argument("weights", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(weights: Path, as_json: bool) -> None:
    """Say what is in a weights file, without running any code from it.

    Format, architecture, sizes, parameters, the file's SHA-256 (which registry.yaml asks for), and what the file
    says of its training.
    """
    from metagan.networks.summary import summarize

    summary = summarize(weights)
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False, default=str))
        return
    for line in _lines(summary):
        click.echo(line)


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    networks = summary.pop("networks")
    training = summary.pop("training")
    summary.pop("configuration", None)
    notes = summary.pop("notes", ())
    for name, value in summary.items():
        if value is not None:
            shown = f"{value:,}" if isinstance(value, int) else value
            yield f"{name.replace('_', ' '):<16}{shown}"
    yield from (f"{'note':<16}{note}" for note in notes)
    for role, facts in networks.items():
        named = f"{facts['class']}, " if facts["class"] else ""
        yield f"{'network ' + role:<16}{named}{facts['tensors']} tensors, {facts['numbers']:,} numbers"
    for name, value in training.items():
        yield f"{'training':<16}{name}: {value}"
