"""Generation in the visitor's browser: the kernel's C sources, and where its compiled files lie.

`kernel/` is compiled to WebAssembly when metagan is installed (hatch_build.py); the browser's side of it is in
templates/static/live/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metagan.errors import BuildError

KERNEL = Path(__file__).parent / "kernel"
# Engines that know relaxed SIMD take the second, which multiplies and adds at once.
NAMES = ("kernel.wasm", "kernel.relaxed.wasm")


def kernel_files() -> Mapping[str, Path]:
    """The compiled kernels by file name.

    Raises:
        BuildError: They weren't compiled, as in a checkout that nobody installed.
    """
    missing = [name for name in NAMES if not (KERNEL / name).is_file()]
    if missing:
        raise BuildError(
            (
                f"{' and '.join(missing)} not there: the browser's kernel is compiled when metagan is "
                "installed"
            ),
            where=KERNEL,
            fix=(
                "`pip install -e .` in the checkout, or `python hatch_build.py` where ziglang and "
                "hatchling are"
            ),
        )
    return {name: KERNEL / name for name in NAMES}
