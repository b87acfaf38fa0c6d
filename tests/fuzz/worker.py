"""The child that reads cases: a path a line on its input, what came of it as JSON a line on its output.

It stands under a limit of its address space; `runner.py` holds the clock. Warnings are errors here.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path

import torch

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.cli.inspect import summarize
from metagan.errors import MetaganError, OptionError
from metagan.networks.loading.convert import convert, convert_to_official
from metagan.networks.loading.detect import load_discriminator, load_generator

HEADROOM_BYTES = 3 << 30
MAX_SECONDS = 10.0  # of processor time, for everything that is done with one file
MAX_BYTES = 512 << 20
MAX_MESSAGE = 4000
CONVERTED = 8  # one in so many of the files that load is converted, too


class TooSlowError(Exception):
    """The processor time that a file may take is over."""


def main() -> None:
    limit = _virtual_bytes() + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _stop)
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(outcome(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()


def _stop(*_: object) -> None:
    raise TooSlowError(f"more than {MAX_SECONDS:g} seconds of processor time")


def outcome(path: Path) -> dict[str, object]:
    """What came of one file: "fault" is None for networks and clean errors, else what went wrong."""
    started, before = time.process_time(), _reset_peak()
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    fault, where, told = None, "", []
    try:
        told = follow(path)
        fault = _unclear(told, path)
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent reports it
        signal.setitimer(signal.ITIMER_PROF, 0)
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if "/metagan/" in frame.filename
        ]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
        fault = f"{type(error).__name__}: {error}"
        told = traceback.format_exc().splitlines()[-24:]
    signal.setitimer(signal.ITIMER_PROF, 0)
    grown = _peak_bytes() - before
    if fault is None and grown > MAX_BYTES:
        fault = f"Memory: {grown / 2**20:.0f} MiB more than before"
    return {
        "fault": fault,
        "where": where,
        "told": told,
        "seconds": time.process_time() - started,
        "bytes": grown,
    }


def _unclear(told: list[str], path: Path) -> str | None:
    """A message that a user could do nothing with."""
    for message in told:
        if message == "loaded":
            continue
        if path.name not in message and ".config.json" not in message and path.parent.name not in message:
            return f"Message without the file's name: {message[:300]}"
        if len(message) > MAX_MESSAGE or not message.replace("\n", "").isprintable():
            return f"Message too long, or with odd characters: {message[:300]!a}"
    return None


def follow(path: Path) -> list[str]:
    """Inspect the file, build every network in it, draw and score with these; sometimes convert it."""
    try:
        checkpoint = read_checkpoint(path)
        json.dumps(summarize(path), allow_nan=False)
    except MetaganError as error:
        return [str(error)]
    told = [_try_network(checkpoint, role) for role in checkpoint.networks]
    if checkpoint.networks.keys() >= {"G_ema"} and told[list(checkpoint.networks).index("G_ema")] == "loaded":
        _convert_sometimes(path)
    return told


def _try_network(checkpoint: Checkpoint, role: str) -> str:
    try:
        with torch.inference_mode():
            (_judge if role == "D" else _draw)(checkpoint, role)
    except MetaganError as error:
        return str(error)
    return "loaded"


def _draw(checkpoint: Checkpoint, role: str) -> None:
    generator = load_generator(checkpoint, role)
    label = torch.zeros(1, generator.c_dim) if generator.c_dim else None
    ws = generator.map_latents(torch.ones(1, generator.z_dim), label)
    size = generator.size
    assert generator.synthesize(ws).shape == (1, generator.image_channels, size.height, size.width)


def _judge(checkpoint: Checkpoint, role: str) -> None:
    discriminator = load_discriminator(checkpoint, role)
    config = discriminator.config
    mapping = getattr(config, "label_mapping", None)
    c_dim = mapping.c_dim if mapping else getattr(config, "c_dim", 0)
    width, height = getattr(config, "size", (config.resolution, config.resolution))
    images = torch.zeros(1, config.image_channels, height, width)
    verdict = discriminator(images, torch.zeros(1, c_dim) if c_dim else None)
    assert verdict.shape[0] == 1


def _convert_sometimes(path: Path) -> None:
    """To metagan's own format and the official one; both compare what they wrote with what they read."""
    if path.is_dir() or zlib.crc32(path.read_bytes()) % CONVERTED:
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(path, Path(folder) / "own.safetensors")
        try:
            convert_to_official(path, Path(folder) / "official.pt")
        except OptionError:
            return  # an architecture that metagan doesn't write


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _reset_peak() -> int:
    """Let the peak count from now; what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
