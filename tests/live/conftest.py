"""The compiled kernel, in a real browser's engine and natively, called function by function."""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from metagan.live import NAMES, kernel_files
from metagan.live.native import NativeKernel, libraries, load_library
from tests.live.page import READER, LivePage, write_page
from tests.site.conftest import base_url, browser_type_launch_args, gpu_browser, serve  # noqa: F401

Array = np.ndarray
ROOT = Path(__file__).resolve().parents[2]

# Arrays go into the kernel's memory one after the other; those marked come back.
CALLER = """
async (bytes) => {
  const raw = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(raw(bytes));
  const { exports } = instance;
  const text = (from) => {
    const parts = [];
    for (let i = 0; i < from.length; i += 8192) parts.push(String.fromCharCode(...from.subarray(i, i + 8192)));
    return btoa(parts.join(""));
  };
  globalThis.call = (name, args) => {
    let top = (exports.__heap_base.value + 63) & ~63;
    const places = args.map((arg) => {
      if (typeof arg === "number" || arg === "infinity") return null;
      const at = top;
      top = (top + arg.size + 63) & ~63;
      return at;
    });
    const missing = top - exports.memory.buffer.byteLength;
    if (missing > 0) exports.memory.grow(Math.ceil(missing / 65536));
    const memory = new Uint8Array(exports.memory.buffer);
    args.forEach((arg, i) => { if (places[i] !== null) memory.set(raw(arg.bytes), places[i]); });
    const result = exports[name](...args.map((arg, i) => places[i] ?? (arg === "infinity" ? Infinity : arg)));
    const back = args.map((arg, i) => places[i] !== null && arg.back
      ? text(new Uint8Array(exports.memory.buffer, places[i], arg.size)) : null);
    return [result ?? null, back];
  };
}
"""


@dataclass(frozen=True)
class Out:
    """An array that a function fills; it holds what mustn't be left there (or what is to be changed in place)."""

    array: Array

    @classmethod
    def of(cls, *shape: int, dtype: type = np.float32) -> Out:
        """An array of rubbish."""
        return cls(np.full(shape, 77, dtype))


@dataclass(frozen=True)
class Kernel:
    """The kernel's exported functions in a browser."""

    page: Page
    lanes = 8

    def number(self, name: str, *args: int) -> int:
        """What a function of numbers answers."""
        return int(self.page.evaluate("([name, args]) => call(name, args)", [name, list(args)])[0])

    def __call__(self, name: str, *args: Array | Out | float) -> Array:
        """Call a function with arrays and numbers; the answer is the first array marked as `Out`, filled."""
        message = [_as_message(arg) for arg in args]
        back = self.page.evaluate("([name, args]) => call(name, args)", [name, message])[1]
        outs = [(arg, text) for arg, text in zip(args, back, strict=True) if isinstance(arg, Out)]
        filled, text = outs[0]
        return np.frombuffer(base64.b64decode(text), filled.array.dtype).reshape(filled.array.shape)


@dataclass(frozen=True)
class NativeFunctions:
    """The same of a native library."""

    kernel: NativeKernel

    @property
    def lanes(self) -> int:
        """What channels are padded to."""
        return self.kernel.lanes

    def number(self, name: str, *args: int) -> int:
        """What a function of numbers answers."""
        return int(ctypes.CDLL(str(self.kernel.file))[name](*args))

    def __call__(self, name: str, *args: Array | Out | float) -> Array:
        """Call a function with arrays and numbers; the answer is the first array marked as `Out`, filled."""
        arrays = [_as_array(arg) for arg in args]
        # Another handle, without the signatures that metagan gives to its own.
        function = ctypes.CDLL(str(self.kernel.file))[name]
        function.restype = None
        function(*(_as_argument(arg, array) for arg, array in zip(args, arrays, strict=True)))
        return next(array for arg, array in zip(args, arrays, strict=True) if isinstance(arg, Out))


def _as_array(arg: Array | Out | float) -> Array | None:
    """A copy that a function may change."""
    if isinstance(arg, float | int):
        return None
    array = arg.array if isinstance(arg, Out) else np.asarray(arg)
    return np.array(array, np.float32 if array.dtype == np.float64 else array.dtype, order="C")


def _as_argument(arg: object, array: Array | None) -> object:
    if array is not None:
        return array.ctypes.data_as(ctypes.c_void_p)
    return ctypes.c_float(arg) if isinstance(arg, float) else ctypes.c_void_p(arg)  # of an int, or of none


def _as_message(arg: Array | Out | float) -> object:
    if isinstance(arg, float | int):
        return "infinity" if arg == np.inf else arg
    array = arg.array if isinstance(arg, Out) else np.asarray(arg)
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    text = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"bytes": text, "size": array.nbytes, "back": isinstance(arg, Out)}


@pytest.fixture(scope="session", params=[*NAMES, *libraries()])
def kernel(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Kernel | NativeFunctions]:
    """Each of the two builds for browsers, and each library that this processor runs."""
    if request.param not in NAMES:
        yield NativeFunctions(load_library(request.param, libraries()[request.param]))
        return
    page = browser.new_page()
    page.evaluate(CALLER, base64.b64encode(kernel_files()[request.param].read_bytes()).decode())
    yield Kernel(page)
    page.close()


@pytest.fixture
def floats() -> Callable[..., Array]:
    """Normal float32 numbers, the same at every run."""
    rng = np.random.default_rng(7)
    return lambda *shape: rng.standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="session")
def live_folder(
    tmp_path_factory: pytest.TempPathFactory,
    serve: Callable[[Path], str],  # noqa: F811
) -> tuple[Path, str]:
    """A folder as `write_page` makes it, and its address."""
    folder = tmp_path_factory.mktemp("live")
    write_page(folder)
    return folder, serve(folder)


@pytest.fixture
def live(browser: Browser, live_folder: tuple[Path, str]) -> Iterator[LivePage]:
    """A page that may load weights and draw; the test fails if it complained."""
    folder, address = live_folder
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/")
    page.evaluate(READER)
    yield LivePage(page, folder)
    page.close()
    assert complaints == []
