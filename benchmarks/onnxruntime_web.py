"""onnxruntime-web beside the kernel: its WebAssembly build on one thread, running the same network's ONNX models.

npm fetches it into the user's cache, for this measurement only; it is no part of metagan and of no site.
"""

import shutil
import subprocess
import tarfile
from pathlib import Path

import platformdirs
from playwright.sync_api import Page

from metagan.export.onnx import make_onnx_models
from metagan.networks.generator import Generator

VERSION = "1.30.0"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
HTML = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ONNX</title></head><body></body></html>'
LOAD = """async ([name, zDim, psi]) => {
  const begin = performance.now();
  globalThis.ort ??= await import("/ort/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: "/ort/ort-wasm-simd-threaded.wasm" };
  const { latents } = await import("/static/live/seeds.js");
  for (const session of globalThis.sessions ?? []) await session.release();
  const open = (part) => ort.InferenceSession.create(`/${name}.${part}.onnx`, { executionProviders: ["wasm"] });
  globalThis.sessions = [await open("mapping"), await open("synthesis")];
  globalThis.draw = async (seed) => {
    const z = new ort.Tensor("float32", latents(seed, zDim), [1, zDim]);
    const { ws } = await sessions[0].run({ z, psi: new ort.Tensor("float32", [psi], []) });
    const { images } = await sessions[1].run({ ws });
    return images.data;
  };
  const ready = performance.now();
  const first = await draw(0);
  return [ready - begin, performance.now() - begin, first.length];
}"""
DRAW = """async ([first, count]) => {
  const times = [];
  for (let seed = first; seed < first + count; seed++) {
    const begin = performance.now();
    await draw(seed);
    times.push(performance.now() - begin);
  }
  return times;
}"""


def fetch(folder: Path) -> bool:
    """Put its files into folder/ort; False, with a word why, where npm isn't there or gets nothing."""
    cache = platformdirs.user_cache_path("metagan") / "benchmarks"
    archive = cache / f"onnxruntime-web-{VERSION}.tgz"
    if not archive.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            print("live: no npm, so nothing beside onnxruntime-web")
            return False
        pack = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--pack-destination", str(cache)]
        if subprocess.run(pack, check=False, stdout=subprocess.DEVNULL).returncode:
            print("live: npm can't fetch onnxruntime-web")
            return False
    (folder / "ort").mkdir()
    with tarfile.open(archive) as files:
        for name in FILES:
            content = files.extractfile(f"package/dist/{name}")
            if content is None:
                raise FileNotFoundError(name)
            (folder / "ort" / name).write_bytes(content.read())
    (folder / "ort.html").write_text(HTML)
    return True


def write_models(folder: Path, name: str, generator: Generator) -> None:
    """The generator's two models beside the page."""
    models = make_onnx_models(generator)
    for part, content in (("mapping", models.mapping), ("synthesis", models.synthesis)):
        (folder / f"{name}.{part}.onnx").write_bytes(content)


def load(page: Page, name: str, z_dim: int, psi: float) -> tuple[float, float]:
    """Milliseconds until it is ready, and until its first picture."""
    ready_ms, first_ms, _ = page.evaluate(LOAD, [name, z_dim, psi])
    return ready_ms, first_ms


def draw(page: Page, first: int, count: int) -> list[float]:
    """Milliseconds of each picture."""
    times: list[float] = page.evaluate(DRAW, [first, count])
    return times
