"""Builds StyleGAN2 and StyleGAN2-ADA networks from the TensorFlow programs' pickles.

The pickles hold no filters; they are made from the file's options. Other options are only used if the tensors' shapes
confirm them. Unknown options are refused, because they could change the pictures.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.networks.loading.architecture import Part, Reading
from metagan.networks.loading.assemble import OneOf, agrees, assemble, is_same, positive, shortened
from metagan.networks.ops import ACTIVATIONS, make_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats.official import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
    make_discriminator,
    make_generator,
    stated_sizes,
)
from metagan.networks.stylegan2.formats.spelling import (
    Spelling,
    discriminator_view,
    generator_view,
    spelled,
    to_ours,
)
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2

# The options in TensorFlow's StyleGAN2 pickles, `static_kwargs`: each is used, checked or refused.
#
# Unknown options are refused, because they could change the pictures.

TITLE = "TensorFlow's StyleGAN2"

# Options that repeat the tensors' shapes.
SIZES = {
    "latent_size": "z_dim", "label_size": "c_dim", "dlatent_size": "w_dim", "resolution": "resolution",
    "num_channels": "image_channels", "mapping_layers": "mapping_layers", "use_noise": "use_noise",
    "architecture": "kind",
    # Forks that also make pictures of other shapes say the size once more: min_h * 2**res_log2 is the height.
    "resolution_h": "height", "resolution_w": "width", "min_h": "constant_height", "min_w": "constant_width",
    "init_res": "constant", "res_log2": "exponent",
}  # fmt: skip
# Options that are read below.
READ = {"mapping_nonlinearity", "nonlinearity", "mapping_lrmul", "conv_clamp", "resample_kernel"}
READ |= {"mbstd_group_size", "mbstd_num_features"}
# Options of training, of precision, of sizes per layer, and of how the programs are put together.
WITHOUT_EFFECT = {
    "fmap_base", "fmap_decay", "fmap_min", "fmap_max", "mapping_fmaps", "label_fmaps", "num_fp16_res",
    "truncation_psi", "truncation_cutoff", "truncation_psi_val", "truncation_cutoff_val", "dlatent_avg_beta",
    "style_mixing_prob", "randomize_noise", "fused_modconv", "freeze_layers", "dlatent_broadcast", "is_training",
    "is_validation", "return_dlatents", "func_name", "dtype", "structure", "conditioning",
}  # fmt: skip
# Options that are only supported with their default value.
USUAL = {
    "normalize_latents": (True,), "synthesis_func": ("G_synthesis_stylegan2", "G_synthesis"),
    "mapping_func": ("G_mapping",),
}  # fmt: skip


class Options:
    """Reads a network's `static_kwargs`, each with its default.

    All methods raise MalformedFileError if a value is invalid.

    Args:
        record: The network.

    Raises:
        UnknownArchitectureError: If options are unknown, or have unsupported values. The message names the first ones.
    """

    def __init__(self, record: NetworkRecord) -> None:
        options = record.attributes.get("static_kwargs")
        if not isinstance(options, Mapping):
            raise MalformedFileError(f"static_kwargs: want a dict of options, got {options!r:.60}")
        self.options: Mapping[str, Any] = options
        known = {*SIZES, *READ, *WITHOUT_EFFECT, *USUAL}
        strange = [str(name) for name in options if name not in known]
        strange += [f"{name}={options[name]!r:.40}" for name in USUAL if self._is_unusual(name)]
        if strange:
            msg = f"{TITLE} with options that metagan doesn't know, and that may change its pictures"
            raise UnknownArchitectureError(f"{msg}: {shortened(tuple(strange))}")

    def _is_unusual(self, name: str) -> bool:
        return name in self.options and not any(is_same(self.options[name], usual) for usual in USUAL[name])

    def activation(self, name: str) -> str:
        """Read an option's activation."""
        value = self.options.get(name, "lrelu")
        if isinstance(value, str) and value in ACTIVATIONS:
            return value
        raise MalformedFileError(
            f"unknown activation {value!r:.60}; want one of {', '.join(ACTIVATIONS)}", where=name
        )

    def clamp(self) -> float | None:
        """Read the clamp of layers' outputs."""
        value = self.options.get("conv_clamp")
        return None if value is None else positive("conv_clamp", value)

    def learning_rate(self, default: float) -> float:
        """Read the mapping network's learning-rate multiplier."""
        return positive("mapping_lrmul", self.options.get("mapping_lrmul", default))

    def taps(self) -> Tensor:
        """Return the filter that all layers share, as official files store it."""
        taps = self.options.get("resample_kernel", [1, 3, 3, 1])
        numbers = isinstance(taps, list | tuple) and all(type(tap) in (int, float) for tap in taps)
        if not numbers or not 0 < len(taps) <= 64 or not 1e-6 < abs(sum(taps)) < 1e6:
            raise MalformedFileError(f"resample_kernel: want a list of numbers, got {taps!r:.60}")
        return make_taps(tuple(map(float, taps)))

    def group_size(self, default: int | None) -> int | None:
        """Read the size of minibatch-std groups; None for the whole batch."""
        size = self.options.get("mbstd_group_size", default)
        if size is None or (type(size) is int and 0 < size <= 2**16):
            return size
        raise MalformedFileError(f"mbstd_group_size: want a number of pictures or None, got {size!r:.40}")

    def constant(self) -> object:
        """Return height and width of the smallest features as the options state them; None if they don't."""
        pair = (self.options.get("min_h"), self.options.get("min_w"))
        return self.options.get("init_res") if None in pair else pair

    def require(self, facts: Mapping[str, object]) -> None:
        """Refuse sizes that the tensors contradict."""
        wrong = [
            f"{option} is {self.options[option]!r:.40}, its tensors say {facts[fact]}"
            for option, fact in SIZES.items()
            if option in self.options and fact in facts and not agrees(self.options[option], facts[fact])
        ]
        if wrong:
            raise MalformedFileError(f"the file contradicts itself: {'; '.join(wrong)}")


def _sizes(config: Config | DiscriminatorConfig, constant: tuple[int, int]) -> dict[str, object]:
    """Return what options may say of the sizes of a network that doubles a constant in every block, or halves to it.

    The exponent is counted from the constant on by some programs, and from a single pixel by others.
    """
    blocks, (height, width) = len(config.channels), constant
    sides = (
        OneOf((height, constant), str(height))
        if height == width
        else OneOf((constant,), f"{height}, {width}")
    )
    return {
        "resolution": stated_sizes(config.size, blocks), "height": config.size.height, "width": config.size.width,
        "constant": sides, "constant_height": height, "constant_width": width,
        "exponent": OneOf((blocks - 1, blocks + 1), f"{blocks - 1} or {blocks + 1}"),
        "image_channels": config.image_channels, "kind": config.kind,
    }  # fmt: skip


DROPPED = ("lod",)  # progress of progressive growing, which StyleGAN2 doesn't use

# --------------------------------------------------------------------------------------------
# Names


def _kernel(tensor: Tensor) -> Tensor:
    """[kh, kw, in, out] to [out, in, kh, kw]."""
    return tensor.permute(3, 2, 0, 1)


def _flipped_kernel(tensor: Tensor) -> Tensor:
    return tensor.permute(3, 2, 0, 1).flip((2, 3))


def _matrix(tensor: Tensor) -> Tensor:
    """[in, out] to [out, in]."""
    return tensor.permute(1, 0)


def _unbatched(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0)


def _from_zero(bias: Tensor) -> Tensor:
    """Add 1 to a style bias: official biases are around 1, TensorFlow's around 0 with 1 added at run time."""
    return bias + 1


def _noise_image(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0).squeeze(0)


_LAYERS = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}
_DISCRIMINATOR_LAYERS = {"conv0": "Conv0", "conv1": "Conv1_down", "fromrgb": "FromRGB", "skip": "Skip"}
_EPILOGUE = {"fromrgb": "4x4/FromRGB", "conv": "4x4/Conv", "fc": "4x4/Dense0", "out": "Output"}
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.(\w+)\.(.+)")


def generator_spelling(official: str) -> Spelling | None:
    """Return how TensorFlow programs name and store an official generator's tensor; None if they don't store it."""
    if official == "mapping.w_avg":
        return Spelling("dlatent_avg")
    if official == "synthesis.b4.const":
        return Spelling("synthesis/4x4/Const/const", _unbatched)
    if official.startswith("mapping."):
        return _dense_spelling(official, {"embed": "mapping/LabelEmbed", "fc": "mapping/Dense"})
    match = _BLOCK.fullmatch(official)
    if match is None or match[3] == "resample_filter":
        return None
    return _layer_spelling(int(match[1]), match[2], match[3])


def _layer_spelling(resolution: int, layer: str, tensor: str) -> Spelling:
    stem = f"synthesis/{resolution}x{resolution}/{_LAYERS[layer]}"
    if resolution == 4 and layer == "conv1":
        stem = "synthesis/4x4/Conv"
    if tensor == "noise_const":
        index = max(0, 2 * int(math.log2(resolution)) - (5 if layer == "conv0" else 4))
        return Spelling(f"synthesis/noise{index}", _noise_image)
    if tensor == "affine.weight":
        return Spelling(f"{stem}/mod_weight", _matrix)
    if tensor == "affine.bias":
        return Spelling(f"{stem}/mod_bias", _from_zero)
    if tensor == "weight":
        return Spelling(f"{stem}/weight", _flipped_kernel if layer in ("conv0", "skip") else _kernel)
    return Spelling(f"{stem}/{tensor}")


def discriminator_spelling(official: str) -> Spelling | None:
    """Return the same for a discriminator's tensor."""
    if official.startswith("mapping."):
        return _dense_spelling(official, {"embed": "LabelEmbed", "fc": "Mapping"})
    match = _BLOCK.fullmatch(official)
    if match is None or match[3] == "resample_filter":
        return None
    resolution, layer, tensor = int(match[1]), match[2], match[3]
    stem = f"{resolution}x{resolution}/{_DISCRIMINATOR_LAYERS[layer]}" if resolution > 4 else _EPILOGUE[layer]
    if tensor == "bias":
        return Spelling(f"{stem}/bias")
    return Spelling(f"{stem}/weight", _matrix if layer in ("fc", "out") else _kernel)


def _dense_spelling(official: str, stems: Mapping[str, str]) -> Spelling:
    _, layer, tensor = official.split(".")
    kind = layer.rstrip("0123456789")
    stem = stems[kind] + layer.removeprefix(kind)
    return Spelling(f"{stem}/{tensor}", _matrix) if tensor == "weight" else Spelling(f"{stem}/bias")


# --------------------------------------------------------------------------------------------
# Generator


def _recognises(record: NetworkRecord) -> bool:
    return "synthesis/4x4/Const/const" in record.tensors


def _generator_config(record: NetworkRecord, view: NetworkRecord) -> Config:
    options = Options(record)
    plain = generator_config(view)
    mapping = dataclasses.replace(
        plain.mapping,
        activation=options.activation("mapping_nonlinearity"),
        lr_multiplier=options.learning_rate(0.01),
    )
    config = dataclasses.replace(
        plain,
        mapping=mapping,
        activation=options.activation("nonlinearity"),
        clamp=options.clamp(),
        filter_shape=tuple(options.taps().shape),
    )
    sizes = _sizes(config, config.constant)
    sizes |= {"z_dim": mapping.z_dim, "c_dim": mapping.c_dim, "w_dim": mapping.w_dim}
    options.require(sizes | {"mapping_layers": len(mapping.widths), "use_noise": config.use_noise})
    return config


def generator_from_tensorflow(record: NetworkRecord) -> StyleGAN2:
    """Build a generator from G or Gs of a TensorFlow pickle.

    Raises:
        UnknownArchitectureError: If keys or options are unknown, keys are missing, or labels are conditioned as
        before StyleGAN2-ADA.
        MalformedFileError: If shapes don't fit together, or the file contradicts itself.
    """
    if "mapping/LabelConcat/weight" in record.tensors:
        raise UnknownArchitectureError(
            "this is a conditional StyleGAN2 from before StyleGAN2-ADA (mapping/LabelConcat/weight)",
            fix=(
                "labels enter it as they do no later network; metagan reads unconditional ones, and "
                "StyleGAN2-ADA's"
            ),
        )
    view = generator_view(record, generator_spelling)
    config = _generator_config(record, view)
    tensors = to_ours(
        record,
        view,
        generator_names(config),
        generator_spelling,
        title=TITLE,
        taps=Options(record).taps(),
        dropped=DROPPED,
    )
    return assemble(lambda: make_generator(config), tensors)


def _expected(record: NetworkRecord) -> dict[str, str]:
    try:
        config = generator_config(generator_view(record, generator_spelling))
    except CheckpointError:
        config = Config(MappingConfig(z_dim=1, c_dim=0, embed_dim=0, widths=(1, 1)), channels=(1, 1))
    return spelled(generator_names(config), generator_spelling)


# --------------------------------------------------------------------------------------------
# Discriminator


def _recognises_discriminator(record: NetworkRecord) -> bool:
    return "4x4/Dense0/weight" in record.tensors and "Output/weight" in record.tensors


def _discriminator_config(record: NetworkRecord, view: NetworkRecord) -> DiscriminatorConfig:
    options = Options(record)
    plain = discriminator_config(view, options.constant())
    mapping = plain.label_mapping and dataclasses.replace(
        plain.label_mapping,
        activation=options.activation("mapping_nonlinearity"),
        lr_multiplier=options.learning_rate(0.1),
    )
    config = dataclasses.replace(
        plain,
        activation=options.activation("nonlinearity"),
        last_activation=options.activation("nonlinearity"),
        clamp=options.clamp(),
        filter_shape=tuple(options.taps().shape),
        # StyleGAN2's own default is 4, StyleGAN2-ADA's the whole batch.
        group_size=options.group_size(4 if is_same(record.attributes.get("version"), 4) else None),
        label_mapping=mapping,
    )
    sizes = _sizes(config, config.last_px)
    options.require(sizes | {"c_dim": mapping.c_dim if mapping else 0})
    return config


def discriminator_from_tensorflow(record: NetworkRecord) -> Discriminator:
    """Build a discriminator from D of a TensorFlow pickle. Raises the same errors as generator_from_tensorflow."""
    view = discriminator_view(record, discriminator_spelling)
    config = _discriminator_config(record, view)
    names = discriminator_names(config)
    title = f"{TITLE}'s discriminator"
    taps = Options(record).taps()
    tensors = to_ours(record, view, names, discriminator_spelling, title=title, taps=taps, dropped=DROPPED)
    return assemble(lambda: make_discriminator(config), tensors)


def _expected_of_discriminator(record: NetworkRecord) -> dict[str, str]:
    try:
        config = discriminator_config(discriminator_view(record, discriminator_spelling))
    except CheckpointError:
        config = DiscriminatorConfig(channels=(1, 1))
    return spelled(discriminator_names(config), discriminator_spelling)


TENSORFLOW = Reading(
    title=TITLE,
    family="StyleGAN2 and StyleGAN2-ADA for TensorFlow",
    files=".pkl with (G, D, Gs) or one network",
    generator=Part(_recognises, generator_from_tensorflow, _expected),
    discriminator=Part(_recognises_discriminator, discriminator_from_tensorflow, _expected_of_discriminator),
)
