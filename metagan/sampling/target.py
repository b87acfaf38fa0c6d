"""What commands draw from: a subject of a registry, or a weights file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError, Problem
from metagan.fetch.locate import locate_weights
from metagan.fetch.transfer import Transfer
from metagan.networks.loading.detect import load_generator, notes_on
from metagan.networks.loading.forms import title_of
from metagan.networks.upscaler import load_upscaler
from metagan.registry.fields import DialsRef
from metagan.registry.read import find_subject, read_registry
from metagan.registry.weights_ref import (
    BUNDLED,
    SAVED_MODEL_MARKER,
    WeightsRef,
    bundled_companions,
    parse_weights,
)
from metagan.sampling.device import choose_device
from metagan.sampling.sampler import Sampler, Settings
from metagan.values import InvalidValueError, Label, NoiseMode, text_of


@dataclass(frozen=True)
class Target:
    """A weights file on this machine, and how its subject wants it drawn.

    Args:
        name: The subject's slug, or the file's name.
        weights: The generator's file.
        psi: The subject's truncation; 1 for a weights file.
        label: The subject's class, or its label's numbers.
        noise: The subject's noise; "const" for a weights file.
        licence: The subject's; "unknown" for a weights file.
        source: Where the subject says that the weights come from.
        upscaler: The file of the upscaler that enlarges each picture, or None.
        dials: The subject's dials; for bundled weights the bundled ones; or None.
        traits: The subject's trait classifier; for bundled weights the bundled one; or None.
        title: The subject's; empty for a weights file.
    """

    name: str
    weights: Path
    psi: float = 1.0
    label: Label | None = None
    noise: NoiseMode = "const"
    licence: str = "unknown"
    source: str = ""
    upscaler: Path | None = None
    dials: DialsRef | None = None
    traits: WeightsRef | None = None
    title: str = ""

    def settings(
        self, psi: float | None = None, label: Label | None = None, noise: NoiseMode | None = None
    ) -> Settings:
        """How to draw: what is given, and for None what the subject says."""
        return Settings(
            psi=self.psi if psi is None else psi,
            label=self.label if label is None else label,
            noise=self.noise if noise is None else noise,
        )


def find_target(
    what: str,
    registry: Path,
    sha256: str | None = None,
    *,
    offline: bool = False,
    upscale: str | None = None,
    progress: Callable[[Transfer], None] | None = None,
) -> Target:
    """Find what to draw from, and download its weights if they aren't in the cache.

    Args:
        what: A weights file by path, URL or `bundled:NAME`, or a subject's slug.
        registry: Where a subject is looked up.
        sha256: What the weights file's SHA-256 must be.
        offline: Download nothing.
        upscale: An upscaler's file, "none", or None for the subject's own.
        progress: Called with the state of downloads.

    Raises:
        OptionError: There is no such file or subject.
        RegistryError: The registry has problems.
        FetchError: Weights can't be had.
    """
    if ":" in what or "/" in what or Path(what).suffix or _is_weights(Path(what)):
        ref, upscaler = _parse(what, "SUBJECT|WEIGHTS", sha256), None
        dials = _beside(ref, "dials")
        target = Target(
            text_of(Path(ref.location).name),
            Path(),
            dials=DialsRef(dials) if dials else None,
            traits=_beside(ref, "traits"),
        )
    else:
        if not registry.exists():
            raise OptionError(
                f"{what!r} is not a weights file, and there is no {registry} that could define it as a subject",
                fix="name a file or a --registry, or try bundled:apes",
            )
        subject = find_subject(read_registry(registry), what)
        ref, upscaler = subject.weights, subject.upscale
        if sha256 is not None:
            ref = ref.hashed(sha256)
        target = Target(
            name=subject.slug,
            weights=Path(),
            psi=subject.psi,
            label=subject.label_choice,
            noise=subject.noise,
            licence=subject.licence,
            source=subject.source,
            dials=subject.dials,
            traits=subject.traits,
            title=subject.title,
        )
    if upscale is not None:
        upscaler = None if upscale == "none" else _parse(upscale, "--upscale")
    return dataclasses.replace(
        target,
        weights=locate_weights(ref, offline=offline, progress=progress),
        upscaler=locate_weights(upscaler, offline=offline, progress=progress) if upscaler else None,
    )


def open_sampler(
    target: Target,
    device: str = "auto",
    batch: int | None = None,
    precision: str = "fp32",
    *,
    network: str | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> Sampler:
    """Load a target's generator onto a device.

    Args:
        target: What to draw from.
        device: See `choose_device`.
        batch: Pictures at once; None chooses.
        precision: "fp32", "bf16" or "auto", see Sampler.
        network: Which network of the file, as `load_generator` takes it.
        note: Called with notes: defaults for what a file leaves open, and options that have no effect.

    Raises:
        CheckpointError: The weights can't be used.
        DeviceError: There is no such device.
    """
    checkpoint = read_checkpoint(target.weights)
    generator = load_generator(checkpoint, network)
    for text in notes_on(checkpoint, network):
        note(f"{target.name}: {text}")
    upscaler = load_upscaler(target.upscaler) if target.upscaler else None
    sampler = Sampler(generator, choose_device(device), batch, precision=precision, upscaler=upscaler)
    if precision == "bf16" and sampler.precision != "bf16":
        note(f"{title_of(generator)} generators are always drawn in fp32")
    return sampler


def _parse(text: str, option: str, sha256: str | None = None) -> WeightsRef:
    try:
        return parse_weights(text, Path.cwd(), sha256)
    except InvalidValueError as error:
        raise OptionError.of([Problem(option, str(each), each.fix) for each in error.complaints]) from error


def _beside(ref: WeightsRef, kind: str) -> WeightsRef | None:
    """The bundled file that belongs to bundled weights, NAME-dials or NAME-traits, if there is one."""
    name = f"{ref.location}-{kind}"
    if ref.kind != "bundled" or name not in bundled_companions():
        return None
    return parse_weights(f"{BUNDLED}{name}", Path.cwd())


def _is_weights(path: Path) -> bool:
    """Whether the path is a file or the folder of a Keras SavedModel."""
    return path.is_file() or (path / SAVED_MODEL_MARKER).is_file()
