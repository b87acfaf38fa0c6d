"""`metagan export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from metagan.cli.options import (
    json_option,
    noise_option,
    out_file_option,
    precision_option,
    upscale_option,
    weights_options,
)
from metagan.files import require_other
from metagan.values import format_bytes, json_text

if TYPE_CHECKING:
    from metagan.checkpoints.model import Checkpoint
    from metagan.export.blob import WebPrecision
    from metagan.export.likeness import Likeness
    from metagan.sampling.target import Target

Recipient = Literal["web", "onnx"]


@click.command("export", short_help="Export a generator for browsers or as ONNX.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@click.option(
    "--to",
    "recipient",
    type=click.Choice(["web", "onnx"]),
    default="web",
    help="Target: web for the browser's kernel, onnx for other programs.",
)
@precision_option(
    "fp16",
    "fp32",
    "int8",
    default=None,
    help="Number format of browser weights: fp16 halves the download of fp32, at about 72 dB; int8 "
    "quarters convolution weights, at about 45 dB. By default fp16. ONNX models are always fp32.",
)
@noise_option(modes=("const", "none"))
@out_file_option(
    "File to write. By default NAME.bin.gz. ONNX writes two files, OUT.mapping.onnx and OUT.synthesis.onnx."
)
@upscale_option
@weights_options
@json_option
def command(
    what: str,
    recipient: Recipient,
    precision: WebPrecision | None,
    noise: str | None,
    out: Path | None,
    upscale: str | None,
    as_json: bool,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Export the generator of a subject or a weights file, for the visitor's browser, or with --to onnx for other
    programs (pip install 'metagan[onnx]').

    Pictures of fixed seeds are drawn from the result and compared with the generator's own. They must agree within
    one level of 255 (int8: within 40 dB); otherwise nothing is written. An upscaler comes along in the browser's
    file; ONNX models are of the generator alone.

    \b
    metagan export ape
    metagan export network.pkl --precision fp32 --out ape.bin.gz
    metagan export network.pkl --to onnx --out models/ape
    """
    from metagan.checkpoints.read import read_checkpoint
    from metagan.cli.progress import stages
    from metagan.sampling.target import find_target

    if recipient == "onnx" and precision not in (None, "fp32"):
        raise click.BadParameter("ONNX models are fp32", param_hint="--precision")
    with stages() as progress:
        found = find_target(
            what, registry, sha256, offline=offline, upscale=upscale, progress=progress.transfer
        )
    require_other(out, found.weights)
    checkpoint = read_checkpoint(found.weights)
    name, noise = Path(found.name.replace(":", "-")).stem, noise or found.noise
    if recipient == "onnx":
        facts = _write_onnx(found, checkpoint, noise, out or Path(name))
    else:
        facts = _write_web(found, checkpoint, precision or "fp16", noise, out or Path(f"{name}.bin.gz"))
    click.echo(json_text(facts) if as_json else _sentence(facts))


def _write_web(
    found: Target, checkpoint: Checkpoint, precision: WebPrecision, noise: str, path: Path
) -> dict[str, object]:
    from metagan.export.web import make_web_weights, write_web_weights
    from metagan.networks.loading.detect import load_generator
    from metagan.networks.upscaler import load_upscaler

    upscaler = load_upscaler(found.upscaler) if found.upscaler else None
    weights = make_web_weights(load_generator(checkpoint), precision, noise, upscaler)
    write_web_weights(path, weights)
    return {
        "file": str(path),
        "precision": weights.precision,
        "size_bytes": len(weights.compressed),
        "content_bytes": len(weights.content),
        "sha256": weights.sha256,
        **_likeness(weights.likeness),
    }


def _write_onnx(found: Target, checkpoint: Checkpoint, noise: str, out: Path) -> dict[str, object]:
    from metagan.cli.progress import stages
    from metagan.export.onnx import STEPS, make_onnx_models, write_onnx_models
    from metagan.networks.loading.detect import load_generator

    header, generator = checkpoint.header, load_generator(checkpoint)
    with stages() as progress:
        progress.begin("mapping, synthesis, comparison", STEPS)
        models = make_onnx_models(
            generator,
            noise,
            licence=header.licence if header and found.licence == "unknown" else found.licence,
            source=found.source or (header.source if header else "") or found.weights.name,
            step=lambda: progress.advance(1),
        )
    mapping, synthesis = write_onnx_models(models, out)
    return {
        "file": str(mapping),
        "synthesis": str(synthesis),
        "precision": "fp32",
        "size_bytes": len(models.mapping) + len(models.synthesis),
        **_likeness(models.likeness),
    }


def _likeness(likeness: Likeness) -> dict[str, object]:
    return {"off_by_one": likeness.off_by_one, "worst": likeness.worst, "psnr_db": likeness.finite_psnr_db}


def _sentence(facts: dict[str, object]) -> str:
    files = " and ".join(str(facts[name]) for name in ("file", "synthesis") if name in facts)
    size = f"{format_bytes(int(str(facts['size_bytes'])))} ({facts['precision']})"
    off = f"{float(str(facts['off_by_one'])):.2%} of the values off by {_levels(facts['worst'])}"
    psnr = "the same" if facts["psnr_db"] is None else f"{float(str(facts['psnr_db'])):.0f} dB"
    digest = f", sha256 {facts['sha256']}" if "sha256" in facts else ""
    return f"{files}: {size}, {off}, {psnr}{digest}"


def _levels(worst: object) -> str:
    return "one level" if worst in (0, 1) else f"up to {worst} levels"
