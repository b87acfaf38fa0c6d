"""StyleGAN2 and StyleGAN2-ADA networks out of the TensorFlow programs' pickles (FORMATS, section 8).

The pickles hold no filters; they are made from the file's options. Nothing else is taken from the options that the
tensors' shapes don't confirm, and an option that isn't known is refused: it could change the pictures.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, UnknownArchitectureError
from metagan.networks.architecture import Part, Reading
from metagan.networks.assemble import assemble
from metagan.networks.reading import is_same
from metagan.networks.stylegan2.convert import (
    discriminator_config,
    discriminator_names,
    generator_config,
    generator_names,
)
from metagan.networks.stylegan2.dialect import (
    Spelling,
    discriminator_view,
    generator_view,
    spelled,
    to_ours,
)
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.networks.stylegan2.sanity import make_discriminator, make_generator
from metagan.networks.stylegan2.tensorflow_options import TITLE, Options

DROPPED = ("lod",)  # how far progressive growing had come; StyleGAN2 doesn't grow

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
    """The official code's styles are biased to 1, TensorFlow's around 0 with 1 added when they are used."""
    return bias + 1


def _noise_image(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0).squeeze(0)


_LAYERS = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}
_DISCRIMINATOR_LAYERS = {"conv0": "Conv0", "conv1": "Conv1_down", "fromrgb": "FromRGB", "skip": "Skip"}
_EPILOGUE = {"fromrgb": "4x4/FromRGB", "conv": "4x4/Conv", "fc": "4x4/Dense0", "out": "Output"}
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.(\w+)\.(.+)")


def generator_spelling(official: str) -> Spelling | None:
    """How the TensorFlow programs name and store an official generator's tensor; None: they don't store it."""
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
    """The same for a discriminator's tensor."""
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
    sizes = {"z_dim": mapping.z_dim, "c_dim": mapping.c_dim, "w_dim": mapping.w_dim, "kind": config.kind}
    sizes |= {"resolution": config.resolution, "image_channels": config.image_channels}
    options.require(sizes | {"mapping_layers": len(mapping.widths), "use_noise": config.use_noise})
    return config


def generator_from_tensorflow(record: NetworkRecord) -> StyleGAN2:
    """G or Gs of a TensorFlow pickle to our generator.

    Raises:
        UnknownArchitectureError: Keys or options are unknown, keys are missing, or labels come in as they did
            before StyleGAN2-ADA.
        MalformedFileError: Shapes don't fit together, or the file contradicts itself.
    """
    if "mapping/LabelConcat/weight" in record.tensors:
        msg = "this is a conditional StyleGAN2 from before StyleGAN2-ADA (mapping/LabelConcat/weight)"
        fix = "labels enter it as they do no later network; metagan reads unconditional ones, and StyleGAN2-ADA's"
        raise UnknownArchitectureError(f"{msg}\n  fix: {fix}")
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
    plain = discriminator_config(view)
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
    sizes = {"resolution": config.resolution, "image_channels": config.image_channels, "kind": config.kind}
    options.require(sizes | {"c_dim": mapping.c_dim if mapping else 0})
    return config


def discriminator_from_tensorflow(record: NetworkRecord) -> Discriminator:
    """D of a TensorFlow pickle to our discriminator; raises as generator_from_tensorflow does."""
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
    family="StyleGAN2 and StyleGAN2-ADA of the TensorFlow days",
    files=".pkl with (G, D, Gs)",
    generator=Part(_recognises, generator_from_tensorflow, _expected),
    discriminator=Part(_recognises_discriminator, discriminator_from_tensorflow, _expected_of_discriminator),
)
