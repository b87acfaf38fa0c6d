"""Generation in the visitor's browser: the kernel's C sources and its compiled files.

`kernel/` is compiled to WebAssembly when metagan is installed (hatch_build.py), and has the same layers as shaders for
GPUs; the browser's scripts are in templates/static/live/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metagan.errors import BuildError

KERNEL = Path(__file__).parent / "kernel"
# Engines with relaxed SIMD take the second, which has fused multiply-add.
NAMES = ("kernel.wasm", "kernel.relaxed.wasm")


def kernel_files() -> Mapping[str, Path]:
    """Return the compiled kernels by file name.

    Raises:
        BuildError: If they weren't compiled, as in a checkout that was not installed.
    """
    missing = [name for name in NAMES if not (KERNEL / name).is_file()]
    if missing:
        raise BuildError(
            f"{' and '.join(missing)} not there: the browser's kernel is compiled when metagan is installed",
            where=KERNEL,
            fix="`pip install -e .` in the checkout, or `python hatch_build.py` where ziglang and hatchling are",
        )
    return {name: KERNEL / name for name in NAMES}


def join_shaders() -> bytes:
    """Return all shaders as one WGSL module, whose functions may call those of every file."""
    return b"\n".join(file.read_bytes() for file in sorted((KERNEL / "webgpu").glob("*.wgsl")))
