"""The allow-list of globals that weights files may name, with what each may do."""

from __future__ import annotations

import re
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Name, Record, Table, TensorView, Text, TorchStorage, describe
from metagan.checkpoints.pickles.machine import (
    TOO_MUCH,
    Behaviour,
    Machine,
    array_from_buffer,
    encode,
    make_array,
    make_dtype,
    make_scalar,
    shape_of,
    whole_numbers,
)
from metagan.checkpoints.torch_files import STORAGE_NAMES, nested_storage

PERSISTENCE_VERSION: Final = 6
CLASS_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def _table(machine: Machine, arguments: tuple[Any, ...]) -> Table:
    """`OrderedDict()`, or `OrderedDict([[key, value], ...])` as Python 2 wrote it."""
    pairs = arguments[0] if len(arguments) == 1 else []
    if len(arguments) > 1 or not isinstance(pairs, list | tuple):
        raise machine.malformed("want an ordered dict made of nothing, or of pairs")
    machine.spend(len(pairs))
    table = Table()
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise machine.malformed(f"want a pair for an ordered dict, got {describe(pair)}")
        table[machine.key(pair[0])] = pair[1]
    return table


def _set(machine: Machine, arguments: tuple[Any, ...]) -> set[Any]:
    if len(arguments) != 1 or not isinstance(arguments[0], list):
        raise machine.malformed("want a set made of a list")
    machine.spend(len(arguments[0]))
    return {machine.key(value) for value in arguments[0]}


def _tensor(machine: Machine, arguments: tuple[Any, ...]) -> TensorView:
    """`_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])`."""
    if not 4 <= len(arguments) <= 7 or not isinstance(arguments[0], TorchStorage):
        raise machine.malformed("want a tensor made of a storage, an offset, sizes and strides")
    storage, offset, size, stride = arguments[:4]
    sizes, strides = shape_of(size), whole_numbers(stride)
    if (
        type(offset) is not int
        or offset < 0
        or sizes is None
        or strides is None
        or len(sizes) != len(strides)
    ):
        raise machine.unsafe("a tensor whose offset, sizes and strides are not plain counts", TOO_MUCH)
    return TensorView(storage, offset, sizes, strides)


def _parameter(machine: Machine, arguments: tuple[Any, ...]) -> TensorView:
    """`_rebuild_parameter(tensor, requires_grad, hooks)`."""
    if len(arguments) != 3 or not isinstance(arguments[0], TensorView):
        raise machine.malformed("want a parameter made of a tensor")
    return arguments[0]


def _persistent(machine: Machine, arguments: tuple[Any, ...]) -> Record:
    """`_reconstruct_persistent_obj(meta)`; the source text in it is left unread."""
    meta = arguments[0] if len(arguments) == 1 else None
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise machine.malformed(f"want a network's description, got {describe(meta)}")
    if meta.get("version") != PERSISTENCE_VERSION:
        found = describe(meta.get("version"))
        raise machine.malformed(f"want a network of persistence version {PERSISTENCE_VERSION}, got {found}")
    name, state, text = meta.get("class_name"), meta.get("state"), meta.get("module_src")
    if (
        type(name) is not str
        or not CLASS_NAME.fullmatch(name)
        or not isinstance(state, dict)
        or not isinstance(text, str | Text)
    ):
        found = f"class {describe(name)}, state {describe(state)}"
        raise machine.malformed(f"want a network with a class name and a state, got {found}")
    return Record(name, PERSISTENT, state)


def _record(name: Name) -> Record:
    return Record(name.name, name)


def _empty_table(name: Name) -> Table:  # noqa: ARG001  the machine says what it makes
    return Table()


PERSISTENT: Final = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
TENSORFLOW_NETWORK: Final = Name("dnnlib.tflib.network", "Network")
NAMESPACE: Final = Name("argparse", "Namespace")

_OBJECT: Final = Behaviour(new=_record)
_MENTIONED: Final = Behaviour()

_NUMPY: Final = {
    ("numpy", "dtype"): Behaviour(call=make_dtype),
    ("numpy", "ndarray"): _MENTIONED,
    ("_codecs", "encode"): Behaviour(call=encode),
    **{(f"numpy.{core}.multiarray", "scalar"): Behaviour(call=make_scalar) for core in ("core", "_core")},
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): Behaviour(call=make_array) for core in ("core", "_core")
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): Behaviour(call=array_from_buffer)
        for core in ("core", "_core")
    },
}

_PYTHON: Final = {
    ("collections", "OrderedDict"): Behaviour(call=_table),
    ("dnnlib.util", "EasyDict"): Behaviour(new=_empty_table),
    ("builtins", "set"): Behaviour(call=_set),
    ("__builtin__", "set"): Behaviour(call=_set),
}

_TENSORS: Final = {
    ("torch._utils", "_rebuild_tensor_v2"): Behaviour(call=_tensor),
    ("torch._utils", "_rebuild_tensor"): Behaviour(call=_tensor),
    ("torch._utils", "_rebuild_parameter"): Behaviour(call=_parameter),
}

_R3GAN_NETWORKS: Final = (
    "Generator", "Discriminator", "GeneratorStage", "DiscriminatorStage", "GenerativeBasis",
    "DiscriminativeBasis", "ResidualBlock", "UpsampleLayer", "DownsampleLayer", "Convolution",
)  # fmt: skip
_R3GAN_RESAMPLERS: Final = (
    "InterpolativeUpsamplerCUDA", "InterpolativeDownsamplerCUDA",
    "InterpolativeUpsamplerReference", "InterpolativeDownsamplerReference",
)  # fmt: skip

_R3GAN: Final = {
    **{(f"training.{file}", name): _OBJECT for file in ("networks", "networks_baseline")
       for name in ("Generator", "Discriminator")},
    **{(f"{package}.Networks", name): _OBJECT for package in ("R3GAN", "BaselineGAN")
       for name in _R3GAN_NETWORKS},
    **{(f"{package}.Resamplers", name): _OBJECT for package in ("R3GAN", "BaselineGAN")
       for name in _R3GAN_RESAMPLERS},
    **{(f"{package}.FusedOperators", name): _OBJECT for package in ("R3GAN", "BaselineGAN")
       for name in ("BiasedActivationCUDA", "BiasedActivationReference")},
    ("torch.nn.modules.container", "ModuleList"): _OBJECT,
    ("torch.nn.modules.conv", "Conv2d"): _OBJECT,
    ("torch.nn.modules.linear", "Linear"): _OBJECT,
    ("torch", "float32"): _MENTIONED,
    ("torch", "bfloat16"): _MENTIONED,
    ("torch", "float16"): _MENTIONED,
}  # fmt: skip

# A bare pickle: official networks, TensorFlow's, R3GAN's. Its content tells which.
PICKLE_NAMES: Final = {
    **_NUMPY, **_PYTHON, **_TENSORS, **_R3GAN,
    (PERSISTENT.module, PERSISTENT.name): Behaviour(call=_persistent),
    (TENSORFLOW_NETWORK.module, TENSORFLOW_NETWORK.name): _OBJECT,
    ("torch.storage", "_load_from_bytes"): Behaviour(call=nested_storage),
}  # fmt: skip

# Lightning keys the state of callbacks by their classes, its own and those of training programs, beside the networks.
_LIGHTNING: Final = ("pytorch_lightning", "lightning.pytorch")
_CALLBACKS: Final = (
    "early_stopping.EarlyStopping", "finetuning.BackboneFinetuning", "finetuning.BaseFinetuning",
    "gpu_stats_monitor.GPUStatsMonitor", "gradient_accumulation_scheduler.GradientAccumulationScheduler",
    "lambda_function.LambdaCallback", "lr_monitor.LearningRateMonitor", "model_checkpoint.ModelCheckpoint",
    "progress.ProgressBar", "pruning.ModelPruning", "stochastic_weight_avg.StochasticWeightAveraging", "timer.Timer",
)  # fmt: skip
_PROGRAMS_CALLBACKS: Final = ("CUDACallback", "ImageLogger", "SetupCallback")

_A_KEY: Final = Behaviour(key=True)
_LIGHTNING_NAMES: Final = {
    **{(f"{package}.callbacks.{callback.partition('.')[0]}", callback.partition(".")[2]): _A_KEY
       for package in _LIGHTNING for callback in _CALLBACKS},
    **{(module, name): _A_KEY for module in ("main", "__main__") for name in _PROGRAMS_CALLBACKS},
    **{(f"{package}.utilities.parsing", "AttributeDict"): Behaviour(new=_empty_table) for package in _LIGHTNING},
}  # fmt: skip

# The object pickle of a torch container.
CONTAINER_NAMES: Final = {
    **_TENSORS, **STORAGE_NAMES, **_NUMPY, **_LIGHTNING_NAMES,
    ("collections", "OrderedDict"): Behaviour(call=_table),
    ("builtins", "set"): Behaviour(call=_set),
    ("__builtin__", "set"): Behaviour(call=_set),
    (NAMESPACE.module, NAMESPACE.name): _OBJECT,
}  # fmt: skip
