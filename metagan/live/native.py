"""Loads the kernel compiled for this machine's processor.

The libraries are compiled when metagan is installed (hatch_build.py), one for each instruction set; nothing is
compiled here. METAGAN_KERNEL=none uses PyTorch instead, METAGAN_KERNEL=x86-64-v3 selects that library.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from ctypes import POINTER, c_float, c_int, c_longlong, c_void_p
from dataclasses import dataclass
from pathlib import Path

from metagan.live import KERNEL

VARIABLE = "METAGAN_KERNEL"
X86_LEVELS = {
    4: ("x86-64-v4", "x86-64-v3"),
    3: ("x86-64-v3",),
}  # instruction sets that a processor of that level supports, best first


class Filter(ctypes.Structure):
    """The filters of a filtered non-linearity, as declared in kernel/native/native.h."""

    _fields_ = (
        *((name, c_int) for name in ("up", "down", "reach", "length", "radial", "above", "left")),
        *((name, c_int) for name in ("given_height", "given_width", "height", "width")),
        *((name, c_void_p) for name in ("before", "after")),
    )


class Step(ctypes.Structure):
    """One layer of a network, as declared in kernel/native/native.h."""

    _fields_ = (
        *(
            (name, c_int)
            for name in (
                "kind",
                "from_height",
                "from_width",
                "height",
                "width",
                "inputs",
                "outputs",
                "style",
                "margin",
            )
        ),
        *((name, c_float) for name in ("scale", "clamp")),
        *((name, c_void_p) for name in ("kernels", "style_weight", "style_bias", "squares", "bias")),
        ("filter", POINTER(Filter)),
    )


class Network(ctypes.Structure):
    """All layers of a network, as declared in kernel/native/native.h."""

    _fields_ = (
        *((name, c_int) for name in ("count", "styles", "style_width", "height", "width", "image_channels")),
        ("constant", c_void_p),
        ("steps", POINTER(Step)),
    )


class UpscalerLayer(ctypes.Structure):
    """One convolution of an upscaler with its PReLU, as declared in kernel/native/native.h."""

    _fields_ = (
        *((name, c_int) for name in ("inputs", "outputs")),
        *((name, c_void_p) for name in ("kernels", "bias", "slopes")),
    )


class UpscalerTable(ctypes.Structure):
    """All layers of an upscaler, as declared in kernel/native/native.h."""

    _fields_ = (
        *((name, c_int) for name in ("factor", "blocks", "fine_channels")),
        ("ones", c_void_p),
        ("layers", POINTER(UpscalerLayer)),
    )


_STRUCTURES = functools.reduce(
    lambda number, structure: 1000 * number + ctypes.sizeof(structure),
    (Network, Step, Filter, UpscalerTable, UpscalerLayer),
    0,
)

SMALL, WINOGRAD, UP_SMALL, UP, POINT, SKIP, COLOUR, WAVES, FILTER = range(9)

_PACK = (c_void_p, c_void_p, c_int, c_int, c_int, c_int)
_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "vector_floats": (c_int, ()),
    "winograd_kernels_floats": (c_int, (c_int, c_int)),
    "upsampling_kernels_floats": (c_int, (c_int, c_int)),
    **{
        f"{name}_kernels": (None, _PACK)
        for name in ("winograd", "upsampling", "small", "small_upsampling", "skip")
    },
    "sum_squares": (None, _PACK),
    "draw_floats": (c_longlong, (POINTER(Network), c_int, c_int)),
    "draw": (None, (POINTER(Network), *(c_void_p,) * 7, c_int, c_int)),
    "enlarge_floats": (c_longlong, (POINTER(UpscalerTable), *(c_int,) * 4)),
    "enlarge": (None, (POINTER(UpscalerTable), *(c_void_p,) * 3, *(c_int,) * 4)),
}


@dataclass(frozen=True)
class NativeKernel:
    """A loaded kernel library that this processor supports.

    Args:
        name: Its instruction set, "x86-64-v4".
        file: The library.
        run: Its functions. They check nothing, so callers check all arguments.
        lanes: Channels are padded to a multiple of this.
    """

    name: str
    file: Path
    run: ctypes.CDLL
    lanes: int

    @property
    def title(self) -> str:
        """What it is called where programs are named."""
        return f"metagan's kernel, {self.name}"


@dataclass(frozen=True)
class NoKernel:
    """The reason why no kernel library is available."""

    reason: str


def native_kernel() -> NativeKernel | NoKernel:
    """Load the best library for this processor, or the one that METAGAN_KERNEL selects, once."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "none":
        return NoKernel(f"{VARIABLE} is none")
    return _load(KERNEL, chosen)


@functools.cache
def _load(folder: Path, chosen: str) -> NativeKernel | NoKernel:
    try:
        there = libraries(folder)
        name = chosen or next(iter(there), "")
        if name in there:
            return load_library(name, there[name])
    except OSError as error:
        return NoKernel(f"its library can't be loaded: {error}")
    if chosen:
        return NoKernel(f"{VARIABLE} is {chosen!r}, and here there is {', '.join(there) or 'no library'}")
    if not any(folder.glob("kernel.*.so")):
        return NoKernel("it was not compiled for this system when metagan was installed")
    return NoKernel("there is no library for this processor")


def libraries(folder: Path = KERNEL) -> dict[str, Path]:
    """Return names and files of the libraries that this processor supports, best first.

    Raises:
        OSError: If the library that detects the processor can't be loaded.
    """
    files = {name: folder / f"kernel.{name}.so" for name in _able(folder)}
    return {name: file for name, file in files.items() if file.is_file()}


def load_library(name: str, file: Path) -> NativeKernel:
    """Load a library, without checking that the processor supports it.

    Raises:
        OSError: If it is not a library of this system, or was compiled from other sources.
    """
    library = ctypes.CDLL(str(file))
    if hasattr(library, "structures"):
        library.structures.restype = c_longlong
    if not hasattr(library, "structures") or library.structures() != _STRUCTURES:
        raise OSError("it was compiled from other sources, and `python hatch_build.py` compiles it anew")
    for function, (result, arguments) in _SIGNATURES.items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return NativeKernel(name, file, library, 2 * library.vector_floats())


def _able(folder: Path) -> tuple[str, ...]:
    """Return the instruction sets that this processor supports, best first."""
    machine, check = platform.machine(), folder / "processor.so"
    if machine in ("aarch64", "arm64"):
        return ("aarch64",)
    if machine not in ("x86_64", "AMD64") or not check.is_file():
        return ()
    return X86_LEVELS.get(ctypes.CDLL(str(check)).x86_64_level(), ())
