"""Reads Keras models from SavedModel folders, zips of them, and .h5 files, without building or running layers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from metagan.checkpoints.keras_files.bundle import message_fields, read_bundle
from metagan.checkpoints.keras_files.hdf5 import Group, read_hdf5
from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.safetensors import check_name, depth_of
from metagan.checkpoints.source import Source, open_source, quote
from metagan.checkpoints.zip_directory import Member, inflate_member
from metagan.errors import CheckpointError, MalformedFileError, UnsafeFileError
from metagan.fetch.weights_file import SAVED_MODEL_FILES

HDF5: Final = "Keras model (.h5)"
SAVED_MODEL: Final = "Keras SavedModel"

METADATA, MARKER, DATA, INDEX = SAVED_MODEL_FILES
MAX_CONFIG_BYTES: Final = 4 << 20
MAX_UNPACKED_BYTES: Final = 256 << 20
MAX_LAYERS: Final = 1000
MAX_DEPTH: Final = 64

_VALUE: Final = "/.ATTRIBUTES/VARIABLE_VALUE"
_BOOKKEEPING: Final = re.compile(r"keras_api/|optimizer|save_counter|_CHECKPOINTABLE|.*/\.OPTIMIZER_SLOT/")
_CODE: Final = frozenset({"Lambda", "TFOpLambda", "SlicingOpLambda"})
_AGAIN: Final = "save the whole model again with Keras 2: model.save('generator.h5')"


def read_keras_hdf5(source: Source) -> Checkpoint:
    """Read a model that Keras 2 saved as .h5.

    Raises:
        MalformedFileError: If the file is damaged, or holds weights without a model.
        UnsafeFileError: If a layer contains code, or the file asks for excessive memory.
    """
    root = read_hdf5(source)
    config = root.attributes.get("model_config")
    weights = root.groups.get("model_weights")
    if not isinstance(config, str) or weights is None:
        raise source.malformed(0, "an HDF5 file without a Keras model's layers and weights", _AGAIN)
    tensors: dict[str, Tensor] = {}
    for layer, group in weights.groups.items():
        for name, tensor in _datasets(group):
            key = f"{layer}/{name.partition(':')[0]}"
            if key in tensors:
                raise source.malformed(0, f"two weights called {quote(key)}")
            tensors[key] = tensor
    return _checkpoint(source.path, HDF5, _json(source, config.encode()), tensors)


def _datasets(group: Group) -> Iterable[tuple[str, Tensor]]:
    yield from group.datasets.items()
    for inner in group.groups.values():
        yield from _datasets(inner)


def read_keras_folder(folder: Path) -> Checkpoint:
    """Read a SavedModel folder.

    Raises:
        CheckpointError: If it is not a Keras SavedModel, or a file is missing.
        MalformedFileError, UnsafeFileError: On the same conditions as in read_keras_hdf5.
    """
    missing = [part for part in SAVED_MODEL_FILES if not (folder / part).is_file()]
    if MARKER in missing:
        raise MalformedFileError(
            (
                f"want a weights file, or the folder of a Keras SavedModel with its {MARKER}; this "
                "folder has none"
            ),
            where=folder,
            fix="name the file itself",
        )
    if missing:
        raise MalformedFileError(
            f"a SavedModel's folder without {', '.join(missing)}",
            where=folder,
            fix=f"download the whole folder, or {_AGAIN}",
        )
    return _saved_model(folder, lambda part: open_source(folder / part))


def saved_models(members: Mapping[str, Member]) -> tuple[str, ...]:
    """Return the folders in a zip that are SavedModels, each with a closing slash; the root is ""."""
    return tuple(name.removesuffix(MARKER) for name in members if f"/{name}".endswith(f"/{MARKER}"))


def read_keras_zip(source: Source, members: Mapping[str, Member]) -> Checkpoint:
    """Read a zip of one SavedModel folder. Raises the same errors as read_keras_folder."""
    roots = saved_models(members)
    if len(roots) != 1:
        found = f"a zip of {len(roots)} Keras models: {', '.join(map(quote, roots[:4]))}"
        raise source.malformed(0, found, "unpack it, and name the generator's folder")
    return _saved_model(
        source.path, lambda part: inflate_member(source, members, roots[0] + part, MAX_UNPACKED_BYTES)
    )


def _saved_model(path: Path, part: Callable[[str], Source]) -> Checkpoint:
    config = _root_metadata(part(METADATA))
    tensors = {
        name.removesuffix(_VALUE): tensor
        for name, tensor in read_bundle(part(INDEX), part(DATA)).items()
        if not _BOOKKEEPING.match(name)
    }
    return _checkpoint(path, SAVED_MODEL, config, tensors)


def _root_metadata(source: Source) -> Any:
    """Return the model's JSON, from the node at the path "root"."""
    for number, node in message_fields(source):
        if number == 1 and isinstance(node, bytes):
            fields = dict(message_fields(Source(source.path, memoryview(node), None)))
            text = fields.get(5)
            if fields.get(3) == b"root" and isinstance(text, bytes):
                return _json(source, text)
    raise source.malformed(0, f"{METADATA} tells of no model", _AGAIN)


def _json(source: Source, text: bytes) -> Any:
    if len(text) > MAX_CONFIG_BYTES:
        raise source.unsafe(
            0,
            f"want at most {MAX_CONFIG_BYTES:,} bytes in a model's description, got {len(text):,}",
            "get another weights file",
        )
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise source.malformed(0, f"the model's description is no JSON: {error}") from error
    if depth_of(model) > MAX_DEPTH:
        raise source.unsafe(
            0,
            f"want at most {MAX_DEPTH} levels in a model's description, got {depth_of(model)}",
            "get another weights file",
        )
    return model


def _checkpoint(path: Path, form: str, model: Any, tensors: Mapping[str, Tensor]) -> Checkpoint:
    layers = _layers(path, model)
    code = [quote(str(layer["class_name"])) for layer in layers if layer["class_name"] in _CODE]
    if code:
        raise UnsafeFileError(
            f"a layer of the model is code ({', '.join(code[:4])})",
            where=path,
            fix="metagan runs nothing that a file brings; get a model of ordinary layers",
        )
    if not tensors:
        raise MalformedFileError("a Keras model without a single weight", where=path, fix=_AGAIN)
    for name in tensors:
        check_name(path, name)
    record = NetworkRecord(str(model["class_name"])[:64], dict(tensors), {"layers": layers})
    role = "D" if layers[-1]["class_name"] == "Dense" else "G_ema"
    return Checkpoint(path, form, {role: record})


def _layers(path: Path, model: Any) -> list[dict[str, Any]]:
    """Return the layers of a sequential model in order, each a dict with "class_name" and "config"."""
    kind = model.get("class_name") if isinstance(model, dict) else None
    if kind != "Sequential":
        raise CheckpointError(
            f"want a Sequential model of Keras, got {kind!a:.60}",
            where=path,
            fix="metagan reads plain stacks of layers only",
        )
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    well = (
        isinstance(layers, list)
        and 0 < len(layers) <= MAX_LAYERS
        and all(isinstance(layer, dict) for layer in layers)
        and all(isinstance(layer.get("class_name"), str) for layer in layers)
        and all(isinstance(_untupled(layer.get("config")), dict) for layer in layers)
    )
    if not well or not isinstance(layers, list):
        raise MalformedFileError("the model's list of layers is none", where=path, fix=_AGAIN)
    return [{"class_name": layer["class_name"], "config": _untupled(layer["config"])} for layer in layers]


def _untupled(value: Any) -> Any:
    """Convert JSON values, turning SavedModel's notation of tuples into lists."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
            return [_untupled(item) for item in value["items"]]
        return {key: _untupled(entry) for key, entry in value.items()}
    return [_untupled(entry) for entry in value] if isinstance(value, list) else value
