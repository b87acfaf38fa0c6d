"""Builds StyleGAN2 networks from rosinality's stylegan2-pytorch checkpoints.

The published code has fixed choices that official files leave open: skip generator, residual discriminator, leaky
ReLU, no clamping, RGB, no labels. Upsampling filters are stored multiplied by their gain of 4.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, OptionError, UnknownArchitectureError
from metagan.networks.loading.architecture import Official, Part, Reading
from metagan.networks.loading.assemble import assemble
from metagan.networks.mapping import MEAN_STYLE_NOTE, mean_style
from metagan.networks.ops import usual_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats.official import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
    make_discriminator,
    make_generator,
    to_official,
)
from metagan.networks.stylegan2.formats.spelling import (
    Dialect,
    Spelling,
    discriminator_view,
    generator_view,
    spelled,
    to_ours,
)
from metagan.networks.stylegan2.network import MAX_RESOLUTION, Config, MappingConfig, StyleGAN2

TITLE = "rosinality's StyleGAN2"
MEAN_STYLE = "mapping.w_avg"
NOISE_NOTE = (
    "the file stores no noise images; fixed ones were drawn, so fine detail differs from other programs' "
    "(--noise random draws new ones for each seed)"
)
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.(\w+)\.(.+)")

# --------------------------------------------------------------------------------------------
# Names


def _unbatched(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0)


def _batched(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0)


def _scalar(tensor: Tensor) -> Tensor:
    return tensor.reshape(())


def _vector(tensor: Tensor) -> Tensor:
    return tensor.reshape(1)


def _pixel(tensor: Tensor) -> Tensor:
    return tensor.reshape(1, -1, 1, 1)


def _noise_image(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0).squeeze(0)


def _noise_batch(tensor: Tensor) -> Tensor:
    return tensor[None, None]


def _with_gain(taps: Tensor) -> Tensor:
    return taps * 4


def _without_gain(taps: Tensor) -> Tensor:
    """Divide taps by their gain of 4; this is exact, because it only changes the exponent."""
    return taps / 4


_CONV = {
    "weight": Spelling("conv.weight", _unbatched, _batched), "bias": Spelling("activate.bias"),
    "affine.weight": Spelling("conv.modulation.weight"), "affine.bias": Spelling("conv.modulation.bias"),
    "noise_strength": Spelling("noise.weight", _scalar, _vector),
}  # fmt: skip
_TO_RGB = _CONV | {"bias": Spelling("bias", torch.flatten, _pixel)}


def generator_spelling(official: str) -> Spelling | None:
    """Return how rosinality's code names and stores an official generator's tensor; None if it doesn't store it."""
    if official == MEAN_STYLE:
        return Spelling("latent_avg", torch.flatten)
    if official == "synthesis.b4.const":
        return Spelling("input.input", _unbatched, _batched)
    if match := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", official):
        return Spelling(f"style.{int(match[1]) + 1}.{match[2]}")
    if match := re.fullmatch(r"synthesis\.b(\d+)\.resample_filter", official):
        index = _index(match[1])
        return Spelling(f"to_rgbs.{index}.upsample.kernel", _without_gain, _with_gain) if index >= 0 else None
    match = _BLOCK.fullmatch(official)
    return _layer_spelling(_index(match[1]), match[2], match[3]) if match else None


def _index(resolution: str) -> int:
    """Return the index of a block: 0 for 8x8, 1 for 16x16 ...; -1 for 4x4."""
    return int(math.log2(int(resolution))) - 3


def _layer_spelling(index: int, layer: str, tensor: str) -> Spelling | None:
    if layer == "skip":
        return None
    if layer == "torgb":
        stem, parts = ("to_rgb1" if index < 0 else f"to_rgbs.{index}"), _TO_RGB
    else:
        number = 2 * index + (layer == "conv1")
        stem, parts = ("conv1" if index < 0 else f"convs.{number}"), _CONV
        if tensor == "noise_const":
            return Spelling(f"noises.noise_{number + 1}", _noise_image, _noise_batch)
        if tensor == "resample_filter" and layer == "conv0":
            return Spelling(f"{stem}.conv.blur.kernel", _without_gain, _with_gain)
    part = parts.get(tensor)
    return part and Spelling(f"{stem}.{part.name}", part.restore, part.store)


_DISCRIMINATOR_TENSORS = {
    "conv0.weight": "conv1.0.weight", "conv0.bias": "conv1.1.bias", "conv1.resample_filter": "conv2.0.kernel",
    "conv1.weight": "conv2.1.weight", "conv1.bias": "conv2.2.bias", "skip.resample_filter": "skip.0.kernel",
    "skip.weight": "skip.1.weight",
}  # fmt: skip
_EPILOGUE_TENSORS = {
    "conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias", "fc.weight": "final_linear.0.weight",
    "fc.bias": "final_linear.0.bias", "out.weight": "final_linear.1.weight", "out.bias": "final_linear.1.bias",
}  # fmt: skip


def discriminator_spelling(resolution: int) -> Dialect:
    """Return the same for a discriminator of this resolution, whose blocks are numbered from the full resolution."""

    def spell(official: str) -> Spelling | None:
        match = re.fullmatch(r"b(\d+)\.(.+)", official)
        if match is None or int(match[1]) > resolution:
            return None
        own, tensor = int(match[1]), match[2]
        if own == 4:
            return Spelling(_EPILOGUE_TENSORS[tensor]) if tensor in _EPILOGUE_TENSORS else None
        if tensor in ("fromrgb.weight", "fromrgb.bias"):
            first = "0.weight" if tensor.endswith("weight") else "1.bias"
            return Spelling(f"convs.0.{first}") if own == resolution else None
        number = int(math.log2(resolution // own)) + 1
        known = _DISCRIMINATOR_TENSORS.get(tensor)
        return Spelling(f"convs.{number}.{known}") if known else None

    return spell


# --------------------------------------------------------------------------------------------
# Generator


def _recognises(record: NetworkRecord) -> bool:
    return "input.input" in record.tensors and "conv1.conv.weight" in record.tensors


def _noise_sizes(record: NetworkRecord) -> Iterator[tuple[int, int]]:
    """Yield height and width of each layer's noise image, coarsest first; nothing if noise images are stored."""
    if (
        any(name.startswith("noises.") for name in record.tensors)
        or "conv1.noise.weight" not in record.tensors
    ):
        return
    constant = record.tensors.get("input.input")
    height, width = (4, 4) if constant is None or constant.ndim != 4 else map(int, constant.shape[2:])
    yield height, width
    index = 0
    while f"convs.{index}.noise.weight" in record.tensors:
        factor = 2 ** (index // 2 + 1)
        if max(height, width) * factor > MAX_RESOLUTION:
            return
        yield height * factor, width * factor
        index += 1


def _with_noise(record: NetworkRecord) -> NetworkRecord:
    """Add noise images to a record that has only their strengths, as written by the program's early versions.

    They are deterministic: unit-normal values from `numpy.random.RandomState(0)`, coarsest image first.
    """
    rng = np.random.RandomState(0)
    drawn = {
        f"noises.noise_{index}": torch.from_numpy(rng.standard_normal((1, 1, *size_px)).astype(np.float32))
        for index, size_px in enumerate(_noise_sizes(record))
    }
    return dataclasses.replace(record, tensors=dict(record.tensors) | drawn) if drawn else record


def generator_from_rosinality(record: NetworkRecord) -> StyleGAN2:
    """Build a generator from g_ema or g; a missing mean style and missing noise images are generated.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown, or it is a SWAGAN.
        MalformedFileError: If shapes don't fit together.
    """
    _refuse_wavelets(record)
    return _generator(_with_noise(record), generator_spelling, TITLE)


def _generator(record: NetworkRecord, dialect: Dialect, title: str) -> StyleGAN2:
    view = generator_view(record, dialect)
    config = generator_config(view)
    stored = config.mapping.has_mean_style
    names = generator_names(config)
    tensors = to_ours(record, view, names, dialect, title=title, taps=usual_taps((4, 4)))
    network = assemble(lambda: make_generator(config), tensors)
    return network if stored else _with_mean_style(network, tensors)


def _with_mean_style(bare: StyleGAN2, tensors: dict[str, Tensor]) -> StyleGAN2:
    mapping = dataclasses.replace(bare.config.mapping, has_mean_style=True)
    whole = dataclasses.replace(bare.config, mapping=mapping)
    style = mean_style(bare.mapping, mapping.z_dim)
    return assemble(lambda: make_generator(whole), tensors | {"mapping.mean_style": style})


def _refuse_wavelets(record: NetworkRecord) -> None:
    if any(
        ".iwt." in name or ".dwt." in name or name.startswith(("iwt.", "dwt.")) for name in record.tensors
    ):
        raise UnknownArchitectureError(
            "this is a SWAGAN (keys with iwt, dwt), the other network of rosinality's program",
            fix="metagan reads its stylegan2; get a checkpoint that was trained with --arch stylegan2",
        )


def _expected(record: NetworkRecord) -> dict[str, str]:
    return _expected_names(_with_noise(record), generator_spelling)


def _expected_names(record: NetworkRecord, dialect: Dialect) -> dict[str, str]:
    try:
        config = generator_config(generator_view(record, dialect))
    except CheckpointError:
        config = Config(MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1)), channels=(1, 1))
    return spelled(generator_names(config), dialect)


def _notes(record: NetworkRecord) -> tuple[str, ...]:
    mean_style = () if "latent_avg" in record.tensors else (MEAN_STYLE_NOTE,)
    return mean_style + ((NOISE_NOTE,) if any(_noise_sizes(record)) else ())


# --------------------------------------------------------------------------------------------
# Back into the program's files, as `{"g_ema": state dict, "latent_avg": mean style}`.

_CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}


def to_rosinality(network: nn.Module) -> Official:
    """Return a StyleGAN2 generator as rosinality's program stores it, and the arguments of its class.

    Args:
        network: A StyleGAN2.

    Raises:
        OptionError: If that program's generator can't be of this shape.
    """
    if not isinstance(network, StyleGAN2):
        raise TypeError(f"want a StyleGAN2, got {type(network).__name__}")
    config = network.config
    if missing := list(_beyond(config)):
        raise OptionError(
            f"rosinality's generator has no {', no '.join(missing)}", fix="write the official layout instead"
        )
    official = dict(to_official(network).state)
    state: dict[str, Tensor] = {}
    for name, tensor in official.items():
        spelling = generator_spelling(name)
        if spelling is not None:
            state[spelling.name] = spelling.store(tensor)
    mean = state.pop("latent_avg", None)
    arguments, notes = _arguments(config)
    beside = {} if mean is None else {"latent_avg": mean}
    return Official(state, arguments, under="g_ema", beside=beside, notes=notes)


def _beyond(config: Config) -> Iterator[str]:
    """Yield what a generator has that the program's can't have."""
    mapping = config.mapping
    if mapping.c_dim:
        yield "labels"
    if {mapping.z_dim, *mapping.widths} != {mapping.w_dim}:
        yield "latents and styles of different widths"
    if config.image_channels != 3:
        yield f"pictures of {config.image_channels} channels"
    if config.kind != "skip":
        yield f"{config.kind} blocks"
    if {config.activation, mapping.activation} != {"lrelu"}:
        yield "other activation than leaky ReLU"
    if config.kernel_size != 3:
        yield f"kernels of {config.kernel_size} pixels"
    if config.filter_shape != (4, 4):
        yield "filters of other sizes than 4x4"
    if not config.use_noise:
        yield "layers without noise"


def _arguments(config: Config) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments of the program's class, and notes on what none of them says."""
    mapping, notes = config.mapping, []
    size_px = 2 ** (len(config.channels) + 1)
    arguments = {"size": size_px, "style_dim": mapping.w_dim, "n_mlp": len(mapping.widths)}
    sizes_px = [4 << index for index in range(len(config.channels))]
    fits = [
        factor
        for factor in (2, 1, *range(3, 17))
        if all(_CHANNELS.get(size, 0) * (factor if size > 32 else 1) == count
               for size, count in zip(sizes_px, config.channels, strict=True))
    ]  # fmt: skip
    if fits:
        arguments["channel_multiplier"] = fits[0]
    else:
        table = dict(zip(sizes_px, config.channels, strict=True))
        notes.append(f"no channel_multiplier gives these channels; set the class's table to {table}")
    if mapping.lr_multiplier != 0.01:
        arguments["lr_mlp"] = mapping.lr_multiplier
    if config.clamp is not None:
        notes.append(
            f"the program doesn't clamp layers at {config.clamp:g}, which can change pictures slightly"
        )
    if config.constant != (4, 4):
        height, width = config.constant
        notes.append(f"its learned constant is {height}x{width}; the class's own is 4x4")
    return arguments, tuple(notes)


# --------------------------------------------------------------------------------------------
# Discriminator


def _recognises_discriminator(record: NetworkRecord) -> bool:
    return "final_linear.0.weight" in record.tensors and "final_conv.0.weight" in record.tensors


def _resolution(record: NetworkRecord) -> int:
    """Return the resolution: 4, doubled for every block."""
    blocks = 0
    while f"convs.{blocks + 1}.conv1.0.weight" in record.tensors and 4 * 2**blocks < MAX_RESOLUTION:
        blocks += 1
    return int(4 * 2**blocks)


def discriminator_from_rosinality(record: NetworkRecord) -> Discriminator:
    """Build a discriminator from its record. Raises the same errors as generator_from_rosinality."""
    _refuse_wavelets(record)
    dialect = discriminator_spelling(_resolution(record))
    view = discriminator_view(record, dialect)
    config = discriminator_config(view)
    names = discriminator_names(config)
    title = f"{TITLE}'s discriminator"
    tensors = to_ours(record, view, names, dialect, title=title, taps=usual_taps((4, 4)))
    return assemble(lambda: make_discriminator(config), tensors)


def _expected_of_discriminator(record: NetworkRecord) -> dict[str, str]:
    dialect = discriminator_spelling(_resolution(record))
    try:
        config = discriminator_config(discriminator_view(record, dialect))
    except CheckpointError:
        config, dialect = DiscriminatorConfig(channels=(1, 1)), discriminator_spelling(8)
    return spelled(discriminator_names(config), dialect)


# --------------------------------------------------------------------------------------------
# BasicSR's names for the same tensors; it stores no filters, they are always made from [1, 3, 3, 1].

BASICSR_TITLE = "BasicSR's StyleGAN2"
_BASICSR = (
    (r"style\.", "style_mlp."), (r"input\.input", "constant_input.weight"), (r"noises\.noise_", "noises.noise"),
    (r"conv1\.conv\.", "style_conv1.modulated_conv."), (r"conv1\.noise\.", "style_conv1."),
    (r"conv1\.", "style_conv1."), (r"convs\.(\d+)\.conv\.", r"style_convs.\1.modulated_conv."),
    (r"convs\.(\d+)\.noise\.", r"style_convs.\1."), (r"convs\.", "style_convs."),
    (r"to_rgb1\.conv\.", "to_rgb1.modulated_conv."), (r"to_rgbs\.(\d+)\.conv\.", r"to_rgbs.\1.modulated_conv."),
)  # fmt: skip


def basicsr_spelling(official: str) -> Spelling | None:
    """How BasicSR names and stores an official generator's tensor; None: it doesn't store it."""
    spelling = generator_spelling(official)
    if spelling is None or spelling.name.endswith(".kernel"):
        return None
    for theirs, own in _BASICSR:
        name, found = re.subn(f"^{theirs}", own, spelling.name)
        if found:
            return Spelling(name, spelling.restore, spelling.store)
    return spelling


def _recognises_basicsr(record: NetworkRecord) -> bool:
    return "constant_input.weight" in record.tensors and "style_conv1.modulated_conv.weight" in record.tensors


def generator_from_basicsr(record: NetworkRecord) -> StyleGAN2:
    """A generator of BasicSR's to ours; raises as generator_from_rosinality does."""
    return _generator(record, basicsr_spelling, BASICSR_TITLE)


BASICSR = Reading(
    title=BASICSR_TITLE,
    family="BasicSR",
    files=".pth with params_ema or params",
    generator=Part(
        _recognises_basicsr, generator_from_basicsr, lambda record: _expected_names(record, basicsr_spelling)
    ),
    notes=lambda record: () if "latent_avg" in record.tensors else (MEAN_STYLE_NOTE,),
)
ROSINALITY = Reading(
    title=TITLE,
    family="rosinality stylegan2-pytorch",
    files=".pt, with or without latent_avg and noise images",
    generator=Part(_recognises, generator_from_rosinality, _expected),
    discriminator=Part(_recognises_discriminator, discriminator_from_rosinality, _expected_of_discriminator),
    notes=_notes,
)
