"""Blends two generators into one: weights in between, or coarse layers of one and fine layers of the other.

References:
    [1] Pinkney and Adler 2020, Resolution Dependent GAN Interpolation, arXiv:2010.05334 (layer swapping, section 3).
    [2] Wang et al. 2019, Deep Network Interpolation, arXiv:1811.10515 (interpolation of fine-tuned weights).

Both work only for generators that were once one: children of one parent, or a parent and its child. Weights that were
learned apart mean different things at the same place. That is measured first: the cosine between the two generators'
weights, layer by layer, is near 1 for relatives and near 0 for weights that were learned apart.

A share says how much of the second generator a layer takes: 0 leaves the first one's weights, 1 takes the second's.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metagan.checkpoints.model import Header
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.errors import OptionError
from metagan.images.encode import picture_format, require_size
from metagan.lab.film import (
    FilmOptions,
    Frame,
    enlarge,
    enlarged,
    film_format,
    require_film_size,
    require_no_frames,
    to_frame,
    write_film,
)
from metagan.lab.styles import fingerprint, styles_shape
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator, notes_on
from metagan.networks.loading.forms import describe, title_of
from metagan.networks.stylegan3.network import StyleGAN3
from metagan.sampling.device import choose_device
from metagan.sampling.sampler import Sampler, Settings
from metagan.sampling.target import Target
from metagan.values import Size, counted, printable

MappingFrom = Literal["first", "second", "blend"]
RELATED: Final = 0.5  # median cosine from which on two generators are taken for relatives
MAPPING: Final = "mapping"
_MAPPING_TENSORS: Final = (
    "mapping.",
    "mean_style",
    "embed",
)  # beginnings of their names, in all architectures
_FINEST: Final = (
    "to_rgb"  # of the tensors outside of all layers this belongs to the finest, others to the coarsest
)
_STATISTICS: Final = frozenset({"mean_style", "magnitude", "mean", "variance"})  # buffers that were learned
WAY_OUT: Final = (
    "fine-tune one from the other, `metagan train B.zip --start A.safetensors`, "
    "or blend them all the same with --force"
)


@dataclass(frozen=True)
class Parent:
    """A generator to blend.

    Args:
        target: Where it comes from.
        generator: The generator, on its device.
        licence: What its subject or its file states.
    """

    target: Target
    generator: Generator
    licence: str


def open_parent(target: Target, device: str = "auto", note: Callable[[str], None] = lambda _: None) -> Parent:
    """Load a generator to blend. Raises the same errors as `open_sampler`."""
    checkpoint = read_checkpoint(target.weights)
    generator = load_generator(checkpoint)
    for text in notes_on(checkpoint):
        note(f"{target.name}: {text}")
    stated = checkpoint.header.licence if checkpoint.header else "unknown"
    licence = stated if target.licence == "unknown" else target.licence
    return Parent(target, generator.to(choose_device(device)), licence)


@dataclass(frozen=True)
class Layer:
    """A layer of a generator.

    Args:
        name: Its module's name, or "mapping" for the whole mapping network.
        size_px: Resolution at which it works; 0 for the mapping network.
        tensors: Names of its parameters and buffers.
    """

    name: str
    size_px: int
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class WeightSimilarity:
    """How alike two generators are.

    Args:
        cosines: The cosine between the weights of each layer that both have, by the layer's name.
        different: Names of the first one's tensors that the second lacks, or has in another shape.
    """

    cosines: Mapping[str, float]
    different: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        """The median cosine of the layers that draw; 0 if none is in both.

        Mapping networks learn so slowly that two runs from one seed have the same one.
        """
        drawing = [cosine for name, cosine in self.cosines.items() if name != MAPPING]
        return median(drawing) if drawing else 0.0

    @property
    def related(self) -> bool:
        """Whether the two were once one, as far as their weights tell."""
        return self.median >= RELATED


@dataclass(frozen=True)
class BlendOptions:
    """What the child takes from which parent.

    Args:
        alpha: Share of the second generator in every layer that nothing else is said about; None for 0.5, or 1 with
            swap.
        ranges: Shares of single layers: first layer, last layer and share; the other layers stay the first one's.
        swap: Resolution in pixels from which on layers take the second's; coarser ones stay the first one's.
        soft: Width of the swap's edge in octaves of resolution; 0 for a hard one.
        mapping: Where the mapping network comes from; None for "blend", or "first" with swap or ranges.
    """

    alpha: float | None = None
    ranges: tuple[tuple[int, int, float], ...] = ()
    swap: int | None = None
    soft: float = 0.0
    mapping: MappingFrom | None = None


# --------------------------------------------------------------------------------------------
# Layers


def layers_of(generator: Generator) -> tuple[Layer, ...]:
    """Return a generator's layers from coarse to fine, and last the mapping network if it has one.

    A layer is a module with parameters that gives features or a picture; tensors of the modules in it belong to it. It
    is found by drawing a picture and recording what each module gives. Filters outside of layers are never blended.
    """
    sizes = _rates(generator) if isinstance(generator, StyleGAN3) else _output_sizes(generator)
    coarsest, finest = next(iter(sizes)), next(reversed(sizes))
    found: dict[str, list[str]] = {name: [] for name in sizes}
    mapping: list[str] = []
    for tensor in generator.state_dict():
        owner = tensor
        while owner and owner not in sizes:
            owner = owner.rpartition(".")[0]
        if owner:
            found[owner].append(tensor)
        elif tensor.startswith(_MAPPING_TENSORS):
            mapping.append(tensor)
        else:
            found[finest if tensor.startswith(_FINEST) else coarsest].append(tensor)
    learned = {name for name, _ in generator.named_parameters()}
    layers = [
        Layer(name, sizes[name], tuple(tensors))
        for name, tensors in found.items()
        if learned.intersection(tensors)
    ]
    return (*layers, *([Layer(MAPPING, 0, tuple(mapping))] if mapping else []))


def _rates(generator: StyleGAN3) -> dict[str, int]:
    """Return the sampling rates of StyleGAN3's layers, whose features have margins and so are larger."""
    rate = generator.config.input.sampling_rate
    sizes = {"input": round(rate)}
    for index, layer in enumerate(generator.config.layers):
        rate *= layer.up / layer.down
        sizes[f"layers.{index}"] = round(rate)
    return sizes


@torch.inference_mode()
def _output_sizes(generator: Generator) -> dict[str, int]:
    """Return the longer side of what each module gives, if that is features or a picture, coarsest first."""
    sizes: dict[str, int] = {}

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.ndim == 4:
                sizes.setdefault(name, max(first.shape[-2:]))

        return hook

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in generator.named_modules()
        if name and not isinstance(module, nn.Sequential) and not name.startswith(_MAPPING_TENSORS)
    ]
    try:
        num_ws, w_dim = styles_shape(generator)
        device = next(generator.parameters()).device
        generator.synthesize(torch.zeros(1, num_ws, w_dim, device=device))
    finally:
        for each in hooks:
            each.remove()
    return dict(
        sorted(sizes.items(), key=lambda entry: entry[1])
    )  # stable: those of one size as they are called


def compare(first: Generator, second: Generator) -> WeightSimilarity:
    """Measure whether two generators were once one.

    Args:
        first: The generator that would be the child's first parent.
        second: The other one.

    Raises:
        OptionError: If they are of different architectures.
    """
    if first.architecture != second.architecture:
        kinds = f"{title_of(first)} and {title_of(second)}"
        raise OptionError(
            f"these are generators of two architectures, {kinds}, which have no layers in common",
            fix="fine-tune one from the other, `metagan train B.zip --start A.safetensors`",
        )
    ours, theirs = first.state_dict(), second.state_dict()
    different = tuple(name for name, tensor in ours.items() if _shape(theirs.get(name)) != tensor.shape)
    parameters = {name for name, parameter in first.named_parameters() if parameter.ndim > 1}
    cosines = {}
    for layer in layers_of(first):
        weights = [name for name in layer.tensors if name in parameters and name not in different]
        if weights:
            a, b = (
                torch.cat([table[name].flatten() for name in weights]).double().cpu()
                for table in (ours, theirs)
            )
            cosines[layer.name] = float(a @ b / (a.norm() * b.norm()).clamp(min=1e-30))
    return WeightSimilarity(cosines, different)


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def require_related(similarity: WeightSimilarity) -> None:
    """Refuse generators that were never one.

    Raises:
        OptionError: If the median cosine is below 0.5.
    """
    if similarity.related:
        return
    drawing = [cosine for name, cosine in similarity.cosines.items() if name != MAPPING]
    if not drawing:
        raise OptionError("unrelated weights: they have no layer of the same shape", fix=WAY_OUT)
    low, high = min(drawing), max(drawing)
    raise OptionError(
        "unrelated weights, neither was fine-tuned from the other: the cosines between their layers' weights are "
        f"{low:.2f} to {high:.2f}, median "
        f"{similarity.median:.2f}; generators that were once one have a median of {RELATED:g} or more",
        fix=WAY_OUT,
    )


# --------------------------------------------------------------------------------------------
# Shares


def shares_of(layers: Sequence[Layer], options: BlendOptions) -> dict[str, float]:
    """Return each layer's share of the second generator, by the layer's name.

    Args:
        layers: From `layers_of`.
        options: What to take from which parent.

    Raises:
        OptionError: If options contradict each other, or name layers or resolutions that don't exist.
    """
    synthesis = [layer for layer in layers if layer.name != MAPPING]
    _check(synthesis, options)
    alpha = (0.5 if options.swap is None else 1.0) if options.alpha is None else options.alpha
    if options.ranges:
        shares = dict.fromkeys((layer.name for layer in synthesis), 0.0)
        for first, last, share in options.ranges:
            shares |= {layer.name: share for layer in synthesis[first : last + 1]}
    else:
        shares = {layer.name: alpha * _beyond(layer.size_px, options) for layer in synthesis}
    if len(synthesis) < len(layers):
        default = "blend" if options.swap is None and not options.ranges else "first"
        taken = options.mapping or default
        between = alpha if not options.ranges else sum(shares.values()) / len(shares)
        shares[MAPPING] = {"first": 0.0, "second": 1.0, "blend": between}[taken]
    return shares


def _check(layers: Sequence[Layer], options: BlendOptions) -> None:
    for share in (options.alpha, *(share for _, _, share in options.ranges)):
        if share is not None and not 0 <= share <= 1:
            raise OptionError(f"alpha {share:g}: want a number from 0 to 1", fix="give one of those")
    if options.ranges and (options.alpha is not None or options.swap is not None):
        raise OptionError(
            "shares of single layers leave nothing for one alpha or a swap", fix="give one of them"
        )
    for first, last, _ in options.ranges:
        if not 0 <= first <= last < len(layers):
            raise OptionError(
                f"layers {first}-{last}: this generator has layers 0 to {len(layers) - 1}",
                fix="give some of them",
            )
    sizes = sorted({layer.size_px for layer in layers})
    if options.swap is not None and options.swap not in sizes[1:]:
        raise OptionError(
            f"swap {options.swap}: this generator's layers work at {', '.join(map(str, sizes))} pixels",
            fix=f"give one of {', '.join(map(str, sizes[1:]))}" if sizes[1:] else "use alpha",
        )
    if not 0 <= options.soft <= 16:
        raise OptionError(f"soft {options.soft:g}: want octaves from 0 to 16", fix="give 1 or 2")


def _beyond(size_px: int, options: BlendOptions) -> float:
    """Return how far beyond the swap's edge a resolution is, 0 to 1; the edge is half an octave below `swap`."""
    if options.swap is None:
        return 1.0
    octaves = math.log2(size_px) - math.log2(options.swap) + 0.5
    return float(octaves > 0) if options.soft == 0 else min(1.0, max(0.0, 0.5 + octaves / options.soft))


# --------------------------------------------------------------------------------------------
# The child


def blend(first: Generator, second: Generator, shares: Mapping[str, float]) -> Generator:
    """Return a child of two generators.

    Parameters and learned statistics are interpolated linearly ([2] equation 1). Noise images and filters, of which
    no mean makes sense, come from the parent with the larger share, and tensors of different shapes from the first.

    Args:
        first: The parent whose configuration the child has.
        second: The other parent, of the same architecture.
        shares: Each layer's share of the second, from `shares_of`; left out, 0.

    Returns:
        The child, on the first one's device.
    """
    child = copy.deepcopy(first)
    ours, theirs = first.state_dict(), second.state_dict()
    parameters = {name for name, _ in first.named_parameters()}
    tensors = dict(ours)
    for layer in layers_of(first):
        share = shares.get(layer.name, 0.0)
        for name in layer.tensors:
            if share == 0 or _shape(theirs.get(name)) != ours[name].shape:
                continue
            other = theirs[name].to(ours[name])
            if name in parameters or name.rpartition(".")[2] in _STATISTICS:
                tensors[name] = torch.lerp(ours[name], other, share)
            elif share >= 0.5:
                tensors[name] = other
    child.load_state_dict(tensors)
    return child


def write_child(
    path: Path, child: Generator, first: Parent, second: Parent, shares: Mapping[str, float]
) -> Header:
    """Write a child as metagan's own .safetensors, with its parents and shares among the facts of its training.

    Args:
        path: The file to write.
        child: From `blend`.
        first: The parent whose configuration it has.
        second: The other parent.
        shares: The shares it was made with.

    Returns:
        The written header. Its licence is the parents', or both joined by AND; unknown if one is.
    """
    licences = (first.licence, second.licence)
    licence = first.licence if first.licence == second.licence else " AND ".join(licences)
    facts = {
        "parents": [
            {"name": parent.target.name, "generator": fingerprint(parent.generator)}
            for parent in (first, second)
        ],
        "shares": {name: round(share, 6) for name, share in shares.items()},
    }
    header = dataclasses.replace(
        describe(child),
        licence="unknown" if "unknown" in licences else licence,
        source=f"Blended by metagan from {first.target.name} and {second.target.name}",
        training={"blend": facts},
    )
    write_safetensors(path, child.state_dict(), header)
    return header


# --------------------------------------------------------------------------------------------
# Pictures along alpha


class Between:
    """Draws the children between two generators.

    Args:
        first: The first parent, on its device.
        second: The second parent.
        shares: Each layer's share at the end of the way, from `shares_of`.
        seeds: Whose pictures to draw.
        settings: How to draw.
    """

    def __init__(
        self,
        first: Generator,
        second: Generator,
        shares: Mapping[str, float],
        seeds: Sequence[int],
        settings: Settings,
    ) -> None:
        self.first, self.second, self.shares = first, second, shares
        self.seeds, self.settings = tuple(seeds), settings
        self._batch = min(len(self.seeds), 16)

    def pictures(self, along: float) -> list[Frame]:
        """Draw the seeds' pictures, RGB [h, w, 3], at a fraction of the way: 0 is the first parent, 1 the end."""
        shares = {name: share * along for name, share in self.shares.items()}
        child = blend(self.first, self.second, shares)
        sampler = Sampler(child, next(self.first.parameters()).device, self._batch)
        return [to_frame(picture) for _, picture in sampler.pictures(self.seeds, self.settings)]

    def require_sizes(self, sheet: Path | None, steps: int, film: Path | None) -> None:
        """Refuse a sheet or a film that its format can't hold, before anything is drawn.

        Raises:
            OptionError: If a side is longer than the format allows, or a folder has frames already.
        """
        size, seeds = self.first.size, len(self.seeds)
        if sheet is not None:
            what = f"{printable(str(sheet))}: {counted(seeds, 'seed')} at {counted(steps, 'step')}"
            whole = enlarged(Size(size.width * steps, size.height * seeds))
            require_size(picture_format(sheet), whole, what, "name a .png file, or ask for fewer")
        if film is not None:
            require_film_size(film, Size(size.width * seeds, size.height))
            if film_format(film) == "":
                require_no_frames(film)

    def sheet(self, steps: int) -> NDArray[np.uint8]:
        """Draw a row for each seed, with `steps` columns from the first parent to the end of the way."""
        columns = [self.pictures(step / max(1, steps - 1)) for step in range(steps)]
        rows = [np.concatenate([column[row] for column in columns], axis=1) for row in range(len(self.seeds))]
        return enlarge(np.concatenate(rows, axis=0))

    def film(self, frames: int, *, loop: bool) -> Iterator[Frame]:
        """Yield the frames of a film along the way, all seeds side by side; a loop goes there and back."""
        for frame in range(frames):
            at = frame / frames if loop else frame / max(1, frames - 1)
            along = 1 - abs(1 - 2 * at) if loop else at
            yield enlarge(np.concatenate(self.pictures(along), axis=1))


def write_blend_film(
    path: Path,
    between: Between,
    frames: int,
    options: FilmOptions,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write a film along the way.

    Args:
        path: .mp4, .webm, .webp or .gif, or no ending for a folder of PNGs.
        between: What draws.
        frames: Number of frames.
        options: Frames per second, loop and provenance.
        advance: Called with the number of further frames.

    Raises:
        OptionError: If the ending is none of these, or there is no ffmpeg for it.
    """

    def counted(drawn: Iterable[Frame]) -> Iterator[Frame]:
        for frame in drawn:
            advance(1)
            yield frame

    write_film(path, counted(between.film(frames, loop=options.loop)), frames, options)


def describe_shares(
    layers: Sequence[Layer], similarity: WeightSimilarity, shares: Mapping[str, float]
) -> Sequence[str]:
    """Return a line of text for each layer: number, name, resolution, cosine and share of the second."""
    lines = []
    for number, layer in enumerate(layers):
        label = f"{number:>3} {layer.name}" if layer.name != MAPPING else f"    {MAPPING}"
        size = f"{layer.size_px} px" if layer.size_px else ""
        cosine = similarity.cosines.get(layer.name)
        alike = f"cosine {cosine:.3f}" if cosine is not None else ""
        lines.append(f"{label:<28} {size:>9}  {alike:<13} share of the second {shares[layer.name]:.2f}")
    return lines
