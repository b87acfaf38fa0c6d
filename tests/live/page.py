"""A folder with the site's live modules, kernels and weights, and a page under the site's policy."""

from __future__ import annotations

import base64
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from metagan.export.web import WebWeights, make_web_weights
from metagan.live import join_shaders, kernel_files
from metagan.networks.generator import Generator
from metagan.networks.upscaler import Upscaler
from metagan.site.pages.templates import default_templates_dir

SELF = ("connect-src", "img-src", "worker-src")
POLICY = "; ".join(
    ["default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", *(f"{name} 'self'" for name in SELF)]
)
HTML = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="static/favicon.svg"></head><body></body></html>"""

# Arrays come back as text: a page's JSON of a million numbers takes seconds.
READER = """() => {
globalThis.asText = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const parts = [];
  for (let i = 0; i < bytes.length; i += 8192) parts.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return btoa(parts.join(""));
};
}"""
LOAD = """
async ({ url, sha256, size }) => {
  const { Live } = await import("/static/live/client.js");
  globalThis.live?.close();
  globalThis.live = new Live();
  globalThis.address = url;
  globalThis.seen = [];
  return live.load({ url, sha256, size }, (...progress) => seen.push(progress));
}
"""
DRAW = "async (wish) => asText((await live.draw(wish)).pixels)"


def write_page(folder: Path) -> None:
    """The page and everything that it may load but weights."""
    shutil.copytree(default_templates_dir() / "static", folder / "static")
    for name, file in kernel_files().items():
        shutil.copyfile(file, folder / "static" / "live" / name)
    (folder / "static" / "live" / "webgpu" / "kernel.wgsl").write_bytes(join_shaders())
    (folder / "index.html").write_text(HTML)
    (folder / "404.html").write_text(HTML)


@dataclass(frozen=True)
class LivePage:
    """The page, and where to put weights for it."""

    page: Page
    folder: Path

    def load(
        self,
        generator: Generator,
        precision: str = "fp16",
        noise: str = "const",
        upscaler: Upscaler | None = None,
    ) -> WebWeights:
        """Export a generator and have the page's worker load it."""
        weights = make_web_weights(generator, precision, noise, upscaler)
        self.load_file(weights.compressed, weights.sha256)
        return weights

    def load_file(self, content: bytes, sha256: str | None = None) -> dict[str, object]:
        """Have the worker load these bytes; the answer is the configuration."""
        name = f"{hashlib.sha256(content).hexdigest()}.bin.gz"  # never two contents under one name: caches
        (self.folder / name).write_bytes(content)
        return self.page.evaluate(LOAD, {"url": name, "sha256": sha256, "size": len(content)})

    def draw(self, size: int | tuple[int, int], **wish: object) -> np.ndarray:
        """A picture, [h, w, 4]; size is height and width, or the side of a square."""
        text = self.page.evaluate(DRAW, wish)
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(
            *((size, size) if isinstance(size, int) else size), 4
        )
