"""CLIP by open_clip_torch: how well pictures agree with words, or with other pictures.

References:
    [1] Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv:2103.00020.

open_clip_torch builds the network and splits words into tokens. The weights are read by metagan's own reader, which
runs nothing in them, and nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import (
    MalformedFileError,
    OptionError,
    UnknownArchitectureError,
    import_beside_torchvision,
)
from metagan.files import real_path, why_no_file
from metagan.networks.loading.assemble import require_finite, require_fit
from metagan.values import printable, show

CONFIGURATION: Final = "open_clip_config.json"
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # as they are published
MAX_CONFIGURATION_BYTES: Final = 1 << 16
MOST: Final = {
    "layers": 256,
    "width": 1 << 14,
    "embed_dim": 1 << 14,
    "image_size": 1 << 12,
    "vocab_size": 1 << 22,
}
MOST_OTHER: Final = 1 << 16
EXAMPLE: Final = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
TOKENS_AROUND: Final = 2  # the start and the end of a text


@runtime_checkable
class PictureTextModel(Protocol):
    """What compares pictures with words."""

    name: str
    side_px: int
    fingerprint: str

    def pictures(self, pictures: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n dim"]:
        """Return unit vectors of pictures within [-1, 1], each side `side_px` long."""
        ...

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Return unit vectors of texts."""
        ...

    def tokens_over(self, text: str) -> int:
        """Return how many of a text's tokens are more than are read."""
        ...


@dataclass(frozen=True)
class ClipFiles:
    """A CLIP model on this machine.

    Args:
        model: open_clip's name of the model, or None for a folder with its own configuration.
        weights: The weights.
        folder: Where its configuration is, if it has its own.
        quick_gelu: Whether the model was trained with the approximation x sigmoid(1.702 x) of GELU.
    """

    model: str | None
    weights: Path
    folder: Path | None = None
    quick_gelu: bool = False


def find_clip(model: str, weights: Path | None = None) -> ClipFiles:
    """Find a CLIP model's files on this machine; nothing is downloaded.

    Args:
        model: open_clip's name of a model, "ViT-B-32"; or a folder with `open_clip_config.json` and the weights; or
            the weights in such a folder.
        weights: A named model's weights; None looks into Hugging Face's cache on this machine.

    Raises:
        OptionError: If open_clip_torch isn't installed, doesn't know the model, or the weights aren't there.
    """
    path = Path(model)
    if path.is_dir() or path.is_file():
        return _in_folder(path, weights)
    open_clip = _open_clip()
    name = model.replace("/", "-")
    if name not in open_clip.list_models():
        raise OptionError(
            f"there is no file {show(model)}, and open_clip knows no model of that name",
            where="--clip",
            fix="give a model's name, such as ViT-B-32, or a folder with open_clip_config.json",
        )
    if weights is not None:
        if not weights.is_file():
            raise OptionError(why_no_file(weights), where=weights, fix=_where_it_is(open_clip, name))
        return ClipFiles(name, weights)
    found = _cached(open_clip, name)
    if found is None:
        raise OptionError(
            f"the weights of {name} are not on this machine, and metagan doesn't download them",
            where="--clip",
            fix=_where_it_is(open_clip, name),
        )
    return found


def _in_folder(path: Path, weights: Path | None) -> ClipFiles:
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIGURATION).is_file():
        fix = f"give the model's name as --clip and this file as --clip-weights, or put {CONFIGURATION} beside it"
        raise OptionError(f"no {CONFIGURATION} in {folder}", where=path, fix=fix)
    if weights is not None:
        path = weights
    elif path.is_dir():
        path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), folder / WEIGHTS[0])
    if not path.is_file():
        raise OptionError(why_no_file(path), where=path, fix="put the model's weights there")
    return ClipFiles(None, path, folder)


def _open_clip() -> Any:
    return import_beside_torchvision("open_clip", "CLIP needs open_clip_torch", where="--clip", extra="paint")


def _cached(open_clip: Any, name: str) -> ClipFiles | None:
    """Look for a model's weights among what Hugging Face's programs have downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    for tag in open_clip.list_pretrained_tags_by_model(name):
        entry = open_clip.get_pretrained_cfg(name, tag)
        repository, _, own = str(entry.get("hf_hub", "")).rpartition("/")
        for file in ((own,) if own else WEIGHTS) if repository else ():
            there = try_to_load_from_cache(repository, file)
            if isinstance(there, str):
                return ClipFiles(name, Path(there), quick_gelu=bool(entry.get("quick_gelu")))
    return None


def _where_it_is(open_clip: Any, name: str) -> str:
    """Say where a model's weights are published."""
    entries = [
        open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)
    ]
    plain = [entry for entry in entries if not entry.get("quick_gelu")] or entries
    places = list(dict.fromkeys(str(entry.get("hf_hub", "")).rpartition("/")[0] for entry in reversed(plain)))
    known = [place for place in places if place][:3] or [EXAMPLE]
    if EXAMPLE in places:
        known = [EXAMPLE]
    return f"download {WEIGHTS[0]} from https://huggingface.co/{known[0]} yourself, and give it as --clip-weights FILE"


class Clip:
    """A CLIP model.

    Args:
        name: Its name for people.
        model: open_clip's network, in evaluation mode.
        tokenizer: open_clip's tokenizer.
        side_px: Side of its pictures in pixels.
        mean: Mean of its pictures' channels, for pictures within [0, 1].
        deviation: Their deviation.
        fingerprint: Hash of its weights and configuration.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tokenizer: Any,
        side_px: int,
        mean: Sequence[float],
        deviation: Sequence[float],
        fingerprint: str,
    ) -> None:
        self.name, self.model, self.side_px, self.fingerprint = name, model, side_px, fingerprint
        self._tokenizer = tokenizer
        self._mean, self._deviation = (torch.tensor(list(row)).view(3, 1, 1) for row in (mean, deviation))

    def pictures(self, pictures: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n dim"]:
        """Return unit vectors of pictures within [-1, 1]."""
        scaled = (pictures / 2 + 0.5 - self._mean.to(pictures.device)) / self._deviation.to(pictures.device)
        features: Tensor = self.model.encode_image(scaled)  # type: ignore[operator]
        return F.normalize(features.float(), dim=1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Return unit vectors of texts."""
        device = next(self.model.parameters()).device
        tokens = self._tokenizer(list(texts)).to(device)
        features: Tensor = self.model.encode_text(tokens)  # type: ignore[operator]
        return F.normalize(features.float(), dim=1)

    def tokens_over(self, text: str) -> int:
        """Return how many of a text's tokens are more than CLIP reads."""
        count = len(self._tokenizer.encode(text)) + TOKENS_AROUND
        return max(0, count - int(self._tokenizer.context_length))


def load_clip(files: ClipFiles, device: torch.device | str = "cpu") -> Clip:
    """Build a CLIP model and read its weights, in evaluation mode, without running anything in the files.

    Raises:
        OptionError: If open_clip_torch isn't installed, or the model wants a tokenizer or a tower of another package.
        CheckpointError: If the weights can't be read, or are another model's.
    """
    open_clip = _open_clip()
    if files.folder is not None:
        model_cfg, preprocess = _read_configuration(files.folder / CONFIGURATION)
        name, source = real_path(files.folder).name, f"local-dir:{files.folder}"
    else:
        name = source = str(files.model)
        model_cfg, preprocess = open_clip.get_model_config(name), {}
    text_cfg = model_cfg.get("text_cfg", {})
    _require_own_towers(name, model_cfg)
    tensors = _weights(files.weights)
    # open_clip warns that it loads no weights, which is what it is asked for.
    logging.disable(logging.WARNING)
    try:
        model = open_clip.create_model(
            source,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=files.quick_gelu,
            force_preprocess_cfg=preprocess or None,
        )
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError, ZeroDivisionError) as error:
        raise MalformedFileError(
            f"open_clip can't build it: {printable(' '.join(str(error).split())):.200}",
            where=name if files.folder is None else files.folder / CONFIGURATION,
            fix="get the model's own configuration",
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    _put(model, tensors, files.weights, name)
    settings = open_clip.get_model_preprocess_cfg(model)
    side = settings.get("size", getattr(model.visual, "image_size", 224))
    return Clip(
        name,
        model.eval().requires_grad_(False).to(device),
        open_clip.SimpleTokenizer(context_length=text_cfg.get("context_length", 77)),
        int(side if isinstance(side, int | float) else side[0]),
        settings.get("mean", open_clip.OPENAI_DATASET_MEAN),
        settings.get("std", open_clip.OPENAI_DATASET_STD),
        _hash(tensors, [model_cfg, settings, files.quick_gelu]),
    )


def _require_own_towers(name: str, model_cfg: Mapping[str, Any]) -> None:
    """Refuse models of which a part would be taken from the network."""
    text_cfg, vision_cfg = model_cfg.get("text_cfg", {}), model_cfg.get("vision_cfg", {})
    foreign = [key for key in text_cfg if key.startswith(("hf_", "tokenizer_"))]
    if ":" in str(vision_cfg.get("timm_model_name", "")):
        foreign.append("timm_model_name")
    if foreign or "siglip" in name.lower():
        raise OptionError(
            f"{name} takes its tokenizer or a tower from the network ({', '.join(foreign) or 'SigLIP'})",
            where="--clip",
            fix="choose a model with CLIP's own text tower, such as ViT-B-32",
        )


def _read_configuration(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a model's open_clip_config.json: its networks, and how pictures are prepared."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAX_CONFIGURATION_BYTES))
        model, preprocess = content["model_cfg"], content.get("preprocess_cfg", {})
        parts = (model, model.get("text_cfg", {}), model.get("vision_cfg", {}))
        wrong = [
            f"{key} is {value}"
            for part in parts
            for key, value in part.items()
            for number in (value if isinstance(value, list) else [value])
            if isinstance(number, int | float) and number > MOST.get(key, MOST_OTHER)
        ]
        prepared = {
            key: [float(number) for number in preprocess[key]] for key in ("mean", "std") if key in preprocess
        }
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        reason = printable(" ".join(str(error).split()))
        raise MalformedFileError(
            f"no configuration of a CLIP model: {reason:.200}",
            where=path,
            fix="get it from where the weights are from",
        ) from error
    if wrong:
        raise MalformedFileError(
            f"no configuration of a CLIP model: {printable(wrong[0]):.200}",
            where=path,
            fix="get the model's own",
        )
    return model, prepared


def _weights(path: Path) -> Mapping[str, Tensor]:
    checkpoint = read_checkpoint(path)
    for record in checkpoint.networks.values():
        if any(name.startswith("visual.") for name in record.tensors):
            kept = {
                name: record.tensors[name] for name in record.tensors if not name.endswith(".position_ids")
            }
            require_finite(NetworkRecord(record.class_name, kept), path)
            return kept
    raise UnknownArchitectureError(
        f"these are no weights of a CLIP model in open_clip's form, but {checkpoint.format}",
        where=path,
        fix=f"get {WEIGHTS[0]}, as https://huggingface.co/{EXAMPLE} has it",
    )


def _put(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Put weights into a network, all of them or none."""
    wanted = model.state_dict()
    fix = f"give weights of {name}, or name the model that they belong to"
    try:
        require_fit(tensors, wanted, f"open_clip's {name}")
    except UnknownArchitectureError as error:
        raise error.at(path, fix=fix) from error
    for key, tensor in wanted.items():
        if tensors[key].shape != tensor.shape:
            raise MalformedFileError(
                f"{key} is {list(tensors[key].shape)}, and {name} has {list(tensor.shape)}",
                where=path,
                fix=fix,
            )
    model.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})


def _hash(tensors: Mapping[str, Tensor], configuration: Sequence[object]) -> str:
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
