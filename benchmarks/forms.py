"""The two forms of convolutions on a GPU, direct and by Winograd, for each shape of a generator's layers.

Measured as a page does when it chooses between them, on Chromium's SwiftShader and on the best adapter that the Python
package `wgpu` finds. Forms take turns; the fastest of three rounds counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.live import browser_page, make_network
from metagan.export.blob import pack
from metagan.export.fold import fold
from tests.live.page import write_page
from tests.live.wgpu_device import best_adapter, wgpu_device
from tests.site.conftest import GPU_FLAGS

Times = dict[str, dict[str, float]]
NETWORK = (128, 8192, 256)  # resolution, channel base and most channels
TIME = """async () => {
  const { Gpu } = await import("/static/live/webgpu/gpu.js");
  const { Network } = await import("/static/live/webgpu/network.js");
  const { timesOf } = await import("/static/live/webgpu/forms.js");
  const { loadWeights } = await import("/static/live/weights.js");
  const device = await (await navigator.gpu.requestAdapter()).requestDevice({ requiredFeatures: ["timestamp-query"] });
  const code = await (await fetch("/static/live/webgpu/kernel.wgsl")).text();
  const network = await Network.load(await Gpu.open(device, code), await loadWeights("/weights.bin"));
  const found = {};
  await network.choose({
    async choose(gpu, shape, make) {
      found[shape] = await timesOf(gpu, await make(), Infinity);
      return "direct";
    },
  });
  return found;
}"""


def _in_chromium(weights: bytes) -> Times:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_page(folder)
        (folder / "weights.bin").write_bytes(weights)
        with browser_page(folder, *GPU_FLAGS) as page:
            times: Times = page.evaluate(TIME)
            return times


def _rounded(times: Times) -> Times:
    return {shape: {form: round(ms, 1) for form, ms in each.items()} for shape, each in times.items()}


def _name(device: str) -> str:
    """What a device's driver is called."""
    return "lavapipe" if device.startswith("llvmpipe") else device


def measure() -> dict[str, object]:
    """Milliseconds of each form of each shape, by adapter."""
    weights = pack(*fold(make_network(*NETWORK)), "fp16")
    found: dict[str, object] = {"SwiftShader": _rounded(_in_chromium(weights))}
    adapter = best_adapter()
    if adapter is not None:
        with wgpu_device(adapter) as device:
            device.open(weights, form=None)
            found[_name(adapter.info["device"])] = _rounded(device.times())
    return found
