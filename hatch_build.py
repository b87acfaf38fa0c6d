"""Compile the browser's kernel when metagan is built or installed; `python hatch_build.py` does it in a checkout.

The compiler comes with the `ziglang` wheel: clang, for every system that Python wheels know. Two builds are made,
because engines without relaxed SIMD refuse a module that uses it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path("metagan/live/kernel")
BUILDS = {"kernel.wasm": "", "kernel.relaxed.wasm": "+relaxed_simd"}
FLAGS = (
    "--target=wasm32-freestanding",
    "-std=c11",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-math-errno",
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,--export=__heap_base",
    "-Wl,-z,stack-size=65536",
)


def compile_kernel(root: Path) -> list[Path]:
    """Compile the kernel of the checkout at `root`, beside its sources; each file is whole or not there."""
    folder = root / KERNEL
    sources = sorted(map(str, folder.glob("*.c")))
    with tempfile.TemporaryDirectory() as name:
        for file, features in BUILDS.items():
            fresh = Path(name, file)
            cpu = f"-mcpu=generic+simd128+bulk_memory{features}"
            command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, cpu, "-o", str(fresh), *sources]
            subprocess.run(command, check=True)  # noqa: S603
            beside = folder / f".{file}.{os.getpid()}.tmp"
            shutil.copyfile(fresh, beside)
            beside.replace(folder / file)
    return [folder / file for file in BUILDS]


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and have the results packed although git ignores them."""
        files = compile_kernel(Path(self.root))
        build_data["artifacts"].extend(f"/{file.relative_to(self.root).as_posix()}" for file in files)


if __name__ == "__main__":
    compile_kernel(Path(__file__).parent)
