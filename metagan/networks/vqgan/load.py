"""Reads the VQGANs that the published program trains: a Lightning checkpoint or safetensors, beside a YAML.

Nothing of either is run. The YAML names classes of that program; they are compared with known names and never imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, MalformedFileError, UnknownArchitectureError
from metagan.files import bytes_told, open_regular
from metagan.networks.loading.assemble import assemble, require_finite
from metagan.networks.vqgan.network import MOST_BLOCKS, MOST_LEVELS, VQGAN, VQGANConfig
from metagan.values import printable, show

# The class in the YAML, by its last name: whether codes are chosen by logits.
TARGETS: Final = {"VQModel": False, "EMAVQ": False, "VQNoDiscModel": False, "GumbelVQ": True}
ENDINGS: Final = (".yaml", ".yml")
MAX_YAML_BYTES: Final = 1 << 18
PICTURE_CHANNELS: Final = 3
_WHERE_ONE_IS: Final = "give a VQGAN's .ckpt or .safetensors with its YAML beside it"

# Tensors that training needs and painting doesn't: the perceptual and the adversarial loss, the codebook's running
# means, and the colours in which segmentation maps are shown.
TRAINING_ONLY: Final = re.compile(r"loss\..*|quantize\.embedding\.(cluster_size|embed_avg)|colorize")

# From the published names to ours, in this order.
NAMES: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^post_quant_conv\.", "from_code."),
        (r"^quant_conv\.", "to_code."),
        (r"^quantize\.(embedding|embed)\.weight$", "codebook"),
        (r"^quantize\.proj\.", "logits."),
        (r"\.conv_in\.", ".first."),
        (r"\.conv_out\.", ".last."),
        (r"\.norm_out\.", ".norm."),
        (r"\.mid\.block_1\.", ".middle.0."),
        (r"\.mid\.attn_1\.", ".middle.1."),
        (r"\.mid\.block_2\.", ".middle.2."),
        (r"\.(down|up)\.(\d+)\.block\.", r".levels.\2.blocks."),
        (r"\.(down|up)\.(\d+)\.attn\.", r".levels.\2.attentions."),
        (r"\.(down|up)\.(\d+)\.(downsample|upsample)\.conv\.", r".levels.\2.resample.convolution."),
        (r"\.norm1\.", ".norm_a."),
        (r"\.conv1\.", ".conv_a."),
        (r"\.norm2\.", ".norm_b."),
        (r"\.conv2\.", ".conv_b."),
        (r"\.nin_shortcut\.", ".shortcut."),
        (r"\.q\.", ".query."),
        (r"\.k\.", ".key."),
        (r"\.v\.", ".value."),
        (r"\.proj_out\.", ".out."),
    )
)

_Count = Annotated[int, Field(ge=1, le=1 << 24, strict=True)]


class _Layers(BaseModel):
    """`ddconfig`: the layers of encoder and decoder. An entry that isn't known could change them, so it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ch: _Count
    ch_mult: Annotated[tuple[_Count, ...], Field(min_length=1, max_length=MOST_LEVELS)]
    num_res_blocks: Annotated[int, Field(ge=1, le=MOST_BLOCKS, strict=True)]
    attn_resolutions: Annotated[tuple[_Count, ...], Field(max_length=64)]
    resolution: _Count
    z_channels: _Count
    in_channels: _Count = PICTURE_CHANNELS
    out_ch: _Count = PICTURE_CHANNELS
    double_z: bool = False
    dropout: float = 0.0
    resamp_with_conv: bool = True
    give_pre_end: bool = False


class _Params(BaseModel):
    """`params`. The rest of it (the loss, its schedule, names of pictures) is about training."""

    model_config = ConfigDict(frozen=True)

    embed_dim: _Count
    n_embed: _Count
    ddconfig: _Layers


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)

    target: Annotated[str, Field(max_length=500)]
    params: _Params


class _Whole(BaseModel):
    model_config = ConfigDict(frozen=True)

    model: _Model


def find_configuration(weights: Path) -> Path | None:
    """Return the YAML that lies beside a VQGAN's weights, or None.

    It has the weights' name, or is the only YAML of the folder, or the only one whose name begins as the weights' does.
    """
    for ending in ENDINGS:
        if weights.with_suffix(ending).is_file():
            return weights.with_suffix(ending)
    beside = sorted(path for path in weights.parent.iterdir() if path.suffix in ENDINGS and path.is_file())
    alike = [path for path in beside if path.stem.split(".")[0] == weights.name.split(".")[0]]
    found = alike or beside
    return found[0] if len(found) == 1 else None


def read_configuration(path: Path) -> VQGANConfig:
    """Read a VQGAN's YAML.

    Raises:
        MalformedFileError: If it can't be read, or describes no VQGAN of RGB pictures.
        UnknownArchitectureError: If it describes a model of another kind.
    """
    try:
        with open_regular(path) as file:
            text = file.read(MAX_YAML_BYTES + 1)
            told = bytes_told(file)
        if len(text) > MAX_YAML_BYTES:
            raise _malformed(path, f"want at most {MAX_YAML_BYTES:,} bytes, got {told}")
        content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise _malformed(path, f"want a mapping with `model`, got {show(content)}")
        model = _Whole.model_validate(content).model
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _malformed(path, f"{printable(place)}: {first['msg']}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _malformed(path, f"no YAML: {printable(reason):.200}") from error
    except OSError as error:
        raise _malformed(path, error.strerror or str(error)) from error
    name = model.target.rpartition(".")[2]
    if name not in TARGETS:
        raise UnknownArchitectureError(
            f"model.target is {show(model.target)}; metagan reads {', '.join(TARGETS)}",
            where=path,
            fix=_WHERE_ONE_IS,
        )
    config = _configured(path, model.params, gumbel=TARGETS[name])
    try:
        config.check()
    except MalformedFileError as error:
        raise error.at(path, fix=_WHERE_ONE_IS) from error
    return config


def _configured(path: Path, params: _Params, *, gumbel: bool) -> VQGANConfig:
    layers = params.ddconfig
    for name, channels in (("in_channels", layers.in_channels), ("out_ch", layers.out_ch)):
        if channels != PICTURE_CHANNELS:
            raise _malformed(path, f"ddconfig.{name} is {channels}; want {PICTURE_CHANNELS}, RGB pictures")
    if layers.double_z or layers.give_pre_end:
        raise _malformed(path, "ddconfig.double_z or give_pre_end is set, which no VQGAN has")
    return VQGANConfig(
        widths=tuple(layers.ch * multiple for multiple in layers.ch_mult),
        channels=layers.ch,
        blocks=layers.num_res_blocks,
        attention=tuple(
            level
            for level in range(len(layers.ch_mult))
            if layers.resolution >> level in layers.attn_resolutions
        ),
        z_channels=layers.z_channels,
        code_dim=params.embed_dim,
        codes=params.n_embed,
        gumbel=gumbel,
        convolve=layers.resamp_with_conv,
    )


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(
        found, where=path, fix="get the VQGAN's own YAML from where its weights are from"
    )


def load_vqgan(path: Path, configuration: Path | None = None) -> VQGAN:
    """Read a VQGAN, on the CPU, in evaluation mode. Tensors of its training's losses are left out.

    Args:
        path: A Lightning checkpoint (.ckpt), another torch file with the same state dict, or safetensors.
        configuration: Its YAML; None for the one beside it. Without one, the tensors' names and shapes say the same.

    Raises:
        CheckpointError: If a file can't be read, holds something else, or the two don't fit each other.
    """
    checkpoint = read_checkpoint(path)
    record = _record(checkpoint)
    found = configuration or find_configuration(path)
    config = infer_configuration(record.tensors, path) if found is None else read_configuration(found)
    tensors = {_own_name(name): tensor for name, tensor in record.tensors.items()}
    try:
        vqgan = assemble(lambda: VQGAN(config), tensors)
    except CheckpointError as error:
        told = (
            "the file is damaged" if found is None else f"the weights don't fit {found}; give their own YAML"
        )
        raise error.at(path, fix=told) from error
    require_finite(record, path)
    return vqgan


def is_vqgan(record: NetworkRecord) -> bool:
    """Return whether a record has a VQGAN's characteristic tensors."""
    return "quant_conv.weight" in record.tensors and "decoder.conv_in.weight" in record.tensors


def _record(checkpoint: Checkpoint) -> NetworkRecord:
    """Return the VQGAN among a file's networks, without what only its training needs."""
    for record in checkpoint.networks.values():
        if is_vqgan(record):
            names = [name for name in record.tensors if not TRAINING_ONLY.fullmatch(name)]
            kept = {name: record.tensors[name] for name in names}
            return NetworkRecord(record.class_name, kept, record.attributes)
    found = f"{checkpoint.format} with {', '.join(checkpoint.networks) or 'nothing'}"
    raise UnknownArchitectureError(
        f"this is no VQGAN: it has no quant_conv and decoder.conv_in, but holds {found}",
        where=checkpoint.path,
        fix=_WHERE_ONE_IS,
    )


def _own_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = pattern.sub(replacement, name)
    return name


def infer_configuration(tensors: Mapping[str, Tensor], path: Path) -> VQGANConfig:
    """Return the configuration that tensors' published names and shapes imply.

    Args:
        tensors: The tensors.
        path: Their file, for messages.

    Raises:
        UnknownArchitectureError: If some that are needed for it are missing.
    """
    try:
        return _inferred(tensors)
    except (KeyError, IndexError) as error:
        raise UnknownArchitectureError(
            f"this is no VQGAN: its tensor {show(str(error.args[0]))} is missing or too small",
            where=path,
            fix=_WHERE_ONE_IS,
        ) from error


def _inferred(tensors: Mapping[str, Tensor]) -> VQGANConfig:
    def size(name: str, axis: int = 0) -> int:
        if name not in tensors or tensors[name].ndim <= axis:
            raise KeyError(name)
        return int(tensors[name].shape[axis])

    levels = _count(tensors, "encoder.down.{}.block.0.conv1.weight", MOST_LEVELS + 1)
    gumbel = "quantize.proj.weight" in tensors
    book = "quantize.embed.weight" if gumbel else "quantize.embedding.weight"
    return VQGANConfig(
        widths=tuple(size(f"encoder.down.{level}.block.0.conv1.weight") for level in range(levels)),
        channels=size("encoder.conv_in.weight"),
        blocks=_count(tensors, "encoder.down.0.block.{}.conv1.weight", MOST_BLOCKS + 1),
        attention=tuple(
            level for level in range(levels) if f"encoder.down.{level}.attn.0.q.weight" in tensors
        ),
        z_channels=size("encoder.conv_out.weight"),
        code_dim=size(book, 1),
        codes=size(book),
        gumbel=gumbel,
        convolve=levels == 1 or "encoder.down.0.downsample.conv.weight" in tensors,
    )


def _count(tensors: Mapping[str, Any], name: str, most: int) -> int:
    return next((number for number in range(most) if name.format(number) not in tensors), most)
