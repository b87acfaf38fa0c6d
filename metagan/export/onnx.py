"""Exports a generator as two ONNX models, and checks them by drawing from them with onnxruntime.

Mapping and synthesis are separate, so that styles can be mixed and blended between them:

    mapping    z [batch, z_dim], label [batch, c_dim] (one-hot), psi []  ->  ws [batch, num_ws, w_dim]
    synthesis  ws [batch, num_ws, w_dim]  ->  images [batch, channels, height, width]

Everything is float32. Unconditional generators have no label input, and those without a mean style no psi.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

import metagan
from metagan.errors import ExportError, OptionError
from metagan.export.likeness import PROOF_PSI, PROOF_SEEDS, Likeness, measure
from metagan.files import replacing
from metagan.networks.generator import Generator, Noise
from metagan.networks.stylegan3.filtering import separate
from metagan.networks.stylegan3.network import StyleGAN3
from metagan.sampling.latents import latents, one_hot
from metagan.values import counted

OPSET = 18
STEPS = 3  # mapping, synthesis, comparison
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 0.001  # the fraction of values that may differ, by at most one level of 255
SEEDS = "z = numpy.random.RandomState(seed).randn(1, {z_dim}) as float32, one row per seed"
PIXELS = "trunc(clamp(127.5 x + 128, 0, 255)); images are [batch, channels, height, width], nominally within [-1, 1]"
PSI = "truncation toward the mean style: 1 leaves styles as they are, 0 gives the mean picture"
Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class OnnxModels:
    """A generator as ONNX models.

    Args:
        mapping: The serialised mapping network.
        synthesis: The serialised synthesis network.
        likeness: The difference of their pictures from the generator's.
    """

    mapping: bytes
    synthesis: bytes
    likeness: Likeness

    def paths(self, out: Path) -> tuple[Path, Path]:
        """Return the paths of both files, OUT.mapping.onnx and OUT.synthesis.onnx."""
        stem = out.with_suffix("") if out.suffix == ".onnx" else out
        return stem.with_name(f"{stem.name}.mapping.onnx"), stem.with_name(f"{stem.name}.synthesis.onnx")


class MappingModel(nn.Module):
    """The mapping network with truncation: latents to styles."""

    mean: Tensor | None

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = cast("nn.Module", generator)
        self.register_buffer("mean", _mean_styles(generator))

    def forward(self, z: Tensor, label: Tensor | None = None, psi: Tensor | None = None) -> Tensor:
        """Map latents [batch, z_dim], one-hot labels [batch, c_dim] and psi [] to styles [batch, num_ws, w_dim]."""
        ws: Tensor = self.generator.map_latents(z, label)  # type: ignore[operator]
        return ws if self.mean is None or psi is None else self.mean + psi * (ws - self.mean)

    def inputs(self, generator: Generator, seeds: tuple[int, ...], psi: float) -> Inputs:
        """Return example inputs for seeds, with alternating classes."""
        given: Inputs = {"z": latents(seeds, generator.z_dim)}
        if generator.c_dim:
            rows = [one_hot(seed % generator.c_dim, generator.c_dim, 1) for seed in seeds]
            given["label"] = torch.cat([row for row in rows if row is not None])
        if self.mean is not None:
            given["psi"] = torch.tensor(psi)
        return given


class SynthesisModel(nn.Module):
    """The synthesis network: styles to pictures."""

    def __init__(self, generator: Generator, noise: str) -> None:
        super().__init__()
        self.generator, self.noise = cast("nn.Module", generator), noise

    def forward(self, ws: Tensor) -> Tensor:
        """Draw pictures [batch, channels, height, width] from styles [batch, num_ws, w_dim]."""
        images: Tensor = self.generator.synthesize(ws, Noise(self.noise))  # type: ignore[operator]
        return images


def make_onnx_models(
    generator: Generator,
    noise: str = "const",
    *,
    licence: str = "unknown",
    source: str = "",
    step: Callable[[], None] = lambda: None,
) -> OnnxModels:
    """Convert a generator to ONNX, opset 18, for any batch size.

    Args:
        generator: A generator of any architecture, on the CPU.
        noise: "const" or "none".
        licence: Licence of the weights, for the metadata of both models.
        source: Where the weights come from.
        step: Called after each of STEPS steps. The export takes from seconds to minutes.

    Raises:
        ExportError: If a package is missing, the network can't be exported, or the models give other pictures.
    """
    _require_installed()
    if noise not in ("const", "none"):
        raise ExportError(
            f"noise {noise!r} is drawn anew for each picture", fix="export with --noise const or none"
        )
    ready = _ready(generator)
    mapping, synthesis = MappingModel(ready).eval(), SynthesisModel(ready, noise).eval()
    with torch.no_grad():
        given = mapping.inputs(ready, PROOF_SEEDS[:2], PROOF_PSI)
        facts = _facts(generator, noise, truncates="psi" in given)
        facts |= {"model_license": licence, "source": source}
        first = _export(mapping, given, "ws", facts | {"part": "mapping"})
        step()
        second = _export(synthesis, {"ws": mapping(**given)}, "images", facts | {"part": "synthesis"})
        step()
        likeness = measure(_drawn(generator, mapping, first, second, noise))
        step()
    _require_likeness(likeness)
    return OnnxModels(first, second, likeness)


def write_onnx_models(models: OnnxModels, out: Path) -> tuple[Path, Path]:
    """Write both files atomically, or none of them if one can't be written."""
    first, second = models.paths(out)
    with replacing(first) as one, replacing(second) as other:
        one.write_bytes(models.mapping)
        other.write_bytes(models.synthesis)
    return first, second


def _require_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"ONNX export needs {', '.join(missing)}, which is not installed",
            fix="pip install 'metagan[onnx]'",
        )


def _facts(generator: Generator, noise: str, *, truncates: bool) -> dict[str, str]:
    """Return the metadata that other programs need to draw the same pictures."""
    facts = {"architecture": generator.architecture, "noise": noise, "pixels": PIXELS}
    facts["seeds"] = SEEDS.format(z_dim=generator.z_dim)
    return facts | {"psi": PSI} if truncates else facts


def _require_likeness(likeness: Likeness) -> None:
    if likeness.worst <= 1 and likeness.off_by_one <= TOLERANCE:
        return
    raise ExportError(
        (
            f"the ONNX models don't draw this generator's pictures: {likeness.off_by_one:.2%} of the "
            f"values differ, by up to {counted(likeness.worst, 'level')}; want at most {TOLERANCE:.1%}, by one level"
        ),
        fix="use this generator with metagan only",
    )


def _mean_styles(generator: Generator) -> Tensor | None:
    """Return the styles at psi 0, [1, num_ws, w_dim], or None if there is no mean style."""
    label = one_hot(0, generator.c_dim, 1)
    try:
        with torch.no_grad():
            return generator.map_latents(latents([0], generator.z_dim), label, psi=0.0)
    except OptionError:
        return None


def _ready(generator: Generator) -> Generator:
    """Copy a generator for tracing. StyleGAN3's filters are factorised here, because ONNX can't decompose matrices."""
    ready = copy.deepcopy(generator)
    cast("nn.Module", ready).requires_grad_(requires_grad=False)
    if isinstance(ready, StyleGAN3):
        for layer in ready.layers:
            for name in ("up_taps", "down_taps"):
                taps = getattr(layer, name)
                if taps is not None:
                    setattr(layer, name, torch.stack(separate(taps)))
    return ready


@contextmanager
def _silence() -> Iterator[None]:
    """Silence warnings of the exporters that users can't act on, such as deprecations inside libraries."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _export(model: nn.Module, given: Inputs, output: str, facts: Mapping[str, str]) -> bytes:
    """Export one model. The example batch has two pictures; one would be exported as a fixed batch size."""
    batch = torch.export.Dim("batch", min=1)
    shapes: dict[str, Any] = {name: {0: batch} if value.ndim else {} for name, value in given.items()}
    try:
        with _silence():
            traced = torch.export.export(model, (), kwargs=given, dynamic_shapes=shapes, strict=True)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(given),
                output_names=[output],
                verbose=False,
            )
    except (
        torch.onnx.OnnxExporterError,
        RuntimeError,
        ValueError,
    ) as error:  # torch.export raises all of these
        reason = str(error).strip().partition("\n")[0]
        architecture = facts["architecture"]
        raise ExportError(
            f"this {architecture} can't be exported to ONNX: {reason}", fix="use `metagan sample` instead"
        ) from error
    if program is None:
        raise AssertionError("dynamo=True gives a program")
    return _signed(program.model_proto, facts)


def _signed(model: Any, facts: Mapping[str, str]) -> bytes:
    """Add metadata to a model, and remove names of files on this machine."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name, model.producer_version = "metagan", metagan.__version__
    return bytes(model.SerializeToString())


def _drawn(
    generator: Generator, mapping: MappingModel, first: bytes, second: bytes, noise: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw pictures with onnxruntime and with the generator, one by one and as a batch."""
    map_run, synthesis_run = _session(first), _session(second)
    groups: tuple[tuple[int, ...], ...] = (*((seed,) for seed in PROOF_SEEDS), PROOF_SEEDS)
    for seeds in groups:
        given = mapping.inputs(generator, seeds, PROOF_PSI)
        (ws,) = map_run({name: value.numpy() for name, value in given.items()})
        (got,) = synthesis_run({"ws": ws})
        psi = PROOF_PSI if "psi" in given else 1.0
        want = generator.map_latents(given["z"], given.get("label"), psi=psi)
        yield torch.from_numpy(got), generator.synthesize(want, Noise(noise))


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, given)
