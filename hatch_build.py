"""Compile the kernel when metagan is built or installed; `python hatch_build.py` does it in a checkout.

The compiler comes with the `ziglang` wheel: clang, for every system that Python wheels know. Two builds are made for
browsers, because engines without relaxed SIMD refuse a module that uses it, and on Linux and macOS one for each
instruction set of this kind of processor. Nothing is compiled when metagan runs; where no library was made, PyTorch
does the kernel's work.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path("metagan/live/kernel")
COMMON = ("-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-fno-math-errno")
WEB = (
    "--target=wasm32-freestanding",
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,--export=__heap_base",
    "-Wl,-z,stack-size=65536",
)
WEB_BUILDS = {"kernel.wasm": "", "kernel.relaxed.wasm": "+relaxed_simd"}
# Sums are rounded where the sources say so, and nowhere else: pictures have the same bits from every build.
NATIVE = ("-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-shared", "-s")
X86, ARM = "x86_64", "aarch64"
MACHINES = {"x86_64": X86, "AMD64": X86, "aarch64": ARM, "arm64": ARM}
CPUS = {X86: {"x86-64-v3": "x86_64_v3", "x86-64-v4": "x86_64_v4"}, ARM: {"aarch64": "generic"}}
TARGETS = {"linux": "{machine}-linux-gnu.2.17", "darwin": "{machine}-macos.11.0"}
TAGS = {"linux": "manylinux_2_17_{machine}", "darwin": "macosx_11_0_{machine}"}


# hatchling runs this file without a module of its own, in which a dataclass would look its annotations up.
class System(NamedTuple):
    """What libraries are compiled for: a processor's kind, "x86_64", and a system, "linux"."""

    machine: str
    name: str

    @classmethod
    def here(cls) -> System | None:
        """The system that this runs on; None where no library is made."""
        machine, name = MACHINES.get(platform.machine()), sys.platform
        if machine is None or name not in TARGETS or (name == "linux" and platform.libc_ver()[0] != "glibc"):
            return None
        return cls(machine, name)

    @property
    def target(self) -> str:
        """As the compiler calls it."""
        return TARGETS[self.name].format(machine=self.machine)

    @property
    def wheel_tag(self) -> str:
        """Of a wheel that holds its libraries."""
        machine = "arm64" if (self.name, self.machine) == ("darwin", ARM) else self.machine
        return f"py3-none-{TAGS[self.name].format(machine=machine)}"


def compile_kernel(root: Path, system: System | None) -> list[Path]:
    """Compile the kernel of the checkout at `root`, beside its sources; each file is whole or not there."""
    folder = root / KERNEL
    builds = dict(_web_builds(folder)) | (dict(_native_builds(folder, system)) if system else {})
    with tempfile.TemporaryDirectory() as name:
        for file, arguments in builds.items():
            fresh = Path(name, file)
            command = [sys.executable, "-m", "ziglang", "cc", *COMMON, *arguments, "-o", str(fresh)]
            subprocess.run(command, check=True)  # noqa: S603
            beside = folder / f".{file}.{os.getpid()}.tmp"
            shutil.copyfile(fresh, beside)
            beside.replace(folder / file)
    return [folder / file for file in builds]


def _web_builds(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Names of files with the compiler's arguments."""
    sources = sorted(map(str, folder.glob("*.c")))
    for file, features in WEB_BUILDS.items():
        yield file, [*WEB, f"-mcpu=generic+simd128+bulk_memory{features}", *sources]


def _native_builds(folder: Path, system: System) -> Iterator[tuple[str, list[str]]]:
    shared = ["-target", system.target, *NATIVE]
    check = folder / "native" / "processor.c"
    sources = sorted(str(file) for file in folder.rglob("*.c") if file != check)
    for name, cpu in CPUS[system.machine].items():
        yield f"kernel.{name}.so", [*shared, f"-mcpu={cpu}", *sources]
    if system.machine == X86:
        yield "processor.so", [*shared, "-mcpu=x86_64", str(check)]


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and have the results packed although git ignores them; the tag says what for."""
        system = System.here()
        files = compile_kernel(Path(self.root), system)
        build_data["artifacts"].extend(f"/{file.relative_to(self.root).as_posix()}" for file in files)
        if system:
            build_data["pure_python"] = False
            build_data["tag"] = system.wheel_tag


if __name__ == "__main__":
    compile_kernel(Path(__file__).parent, System.here())
