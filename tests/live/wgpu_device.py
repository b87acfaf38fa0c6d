"""The page's WebGPU scripts on whatever adapter the Python package `wgpu` finds: a card, or Mesa's lavapipe.

Chromium's own software adapter computes in float32 only. Here the same scripts run in playwright's node, on a GPUDevice
that is carried out in this process (wgpu_device.mjs).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import playwright
import wgpu

from metagan.live import join_shaders
from metagan.site.pages.templates import default_templates_dir

NODE = Path(playwright.__file__).parent / "driver" / "node"
SCRIPT = Path(__file__).with_suffix(".mjs")
KINDS = ("DiscreteGPU", "IntegratedGPU", "CPU")  # the best first; then those of unknown type
HALF = "shader-f16"
LIMITS = {
    "maxBufferSize": "max-buffer-size",
    "maxStorageBufferBindingSize": "max-storage-buffer-binding-size",
}


def best_adapter() -> wgpu.GPUAdapter | None:
    """The adapter that is most of a GPU; OpenGL's have no half precision."""
    adapters = [one for one in wgpu.gpu.enumerate_adapters_sync() if one.info["backend_type"] != "OpenGL"]
    kinds = {kind: place for place, kind in enumerate(KINDS)}
    return min(adapters, key=lambda one: kinds.get(one.info["adapter_type"], len(kinds)), default=None)


class WgpuDevice:
    """A device, and a network on it."""

    def __init__(self, adapter: wgpu.GPUAdapter, node: subprocess.Popen[bytes]) -> None:
        features = [HALF] if HALF in adapter.features else []
        limits = {name: adapter.limits[theirs] for name, theirs in LIMITS.items()}
        self._device = adapter.request_device_sync(
            required_features=features,
            required_limits={LIMITS[name]: value for name, value in limits.items()},
        )
        usage = wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
        self._last = self._device.create_buffer(size=4, usage=usage)
        self._told = {"limits": limits, "features": features}
        self._node = node
        self._objects: dict[int, Any] = {}
        self._frame: list[dict[str, Any]] = []
        self._does: dict[str, Callable[[dict[str, Any], bytes], None]] = {
            "buffer": self._make_buffer,
            "module": self._make_module,
            "pipeline": self._make_pipeline,
            "group": self._make_group,
            "write": self._write,
            "submit": self._submit,
            "read": self._read,
            "wait": self._wait,
            "destroy": self._destroy,
        }

    @property
    def has_half(self) -> bool:
        """Whether it computes in half precision."""
        return HALF in self._device.features

    def open(self, weights: bytes, precision: str = "f32", form: str | None = "direct") -> dict[str, str]:
        """Load a generator's weights, as `metagan.export.blob.pack` writes them.

        `form` is the one that all convolutions take that have it. If it is "fastest", the scripts measure, and the
        answer is what they found, by precision and shape. Without it, `times` may be asked for.
        """
        self._objects.clear()
        shaders = join_shaders()
        answer = self._ask(
            "open", shaders + weights, shaders=len(shaders), precision=precision, form=form, **self._told
        )
        forms: dict[str, str] = json.loads(answer)
        return forms

    def draw(self, ws: np.ndarray) -> np.ndarray:
        """A picture's RGBA bytes, [pixels, 4], from the styles of all layers."""
        return np.frombuffer(self._ask("draw", ws.astype(np.float32).tobytes()), np.uint8).reshape(-1, 4)

    def times(self) -> dict[str, dict[str, float]]:
        """Milliseconds of each form of each shape of a convolution in the network."""
        found: dict[str, dict[str, float]] = json.loads(self._ask("times", b""))
        return found

    def draw_again(self, count: int = 1) -> None:
        """Have the GPU compute the last picture so many times more, without the scripts, and wait for it."""
        for _ in range(count):
            self._submit({"commands": self._frame}, b"")
        self._finish()

    def _finish(self) -> None:
        """Wait for everything that was submitted; the package has a function for it, which fails in 0.32."""
        self._device.queue.read_buffer(self._last)

    def _ask(self, name: str, data: bytes, **more: object) -> bytes:
        self._send({"ask": name, **more}, data)
        while True:
            message, data = self._receive()
            if message["do"] == "answer":
                return data
            if message["do"] == "fail":
                raise RuntimeError(message["why"])
            self._does[message["do"]](message, data)

    def _send(self, message: dict[str, object], data: bytes = b"") -> None:
        assert self._node.stdin
        self._node.stdin.write(json.dumps({**message, "bytes": len(data)}).encode() + b"\n" + data)
        self._node.stdin.flush()

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        assert self._node.stdout
        line = self._node.stdout.readline()
        if not line:
            raise RuntimeError("node ended")
        message = json.loads(line)
        return message, self._node.stdout.read(message["bytes"])

    def _make_buffer(self, message: dict[str, Any], _: bytes) -> None:
        size, usage = message["size"], message["usage"]
        self._objects[message["id"]] = self._device.create_buffer(size=size, usage=usage)

    def _make_module(self, message: dict[str, Any], code: bytes) -> None:
        self._objects[message["id"]] = self._device.create_shader_module(code=code.decode())

    def _make_pipeline(self, message: dict[str, Any], _: bytes) -> None:
        module = self._objects[message["module"]]
        compute = {"module": module, "entry_point": message["entry"], "constants": message["constants"]}
        self._objects[message["id"]] = self._device.create_compute_pipeline(layout="auto", compute=compute)

    def _make_group(self, message: dict[str, Any], _: bytes) -> None:
        layout = self._objects[message["pipeline"]].get_bind_group_layout(message["group"])
        bound = [(binding, self._objects[number]) for binding, number in message["entries"]]
        self._objects[message["id"]] = self._device.create_bind_group(
            layout=layout,
            entries=[
                {"binding": binding, "resource": {"buffer": buffer, "offset": 0, "size": buffer.size}}
                for binding, buffer in bound
            ],
        )

    def _write(self, message: dict[str, Any], data: bytes) -> None:
        self._device.queue.write_buffer(self._objects[message["id"]], message["at"], data)

    def _submit(self, message: dict[str, Any], _: bytes) -> None:
        self._frame = message["commands"]
        encoder = self._device.create_command_encoder()
        for command in self._frame:
            if "copy" in command:
                source, source_at, target, target_at, size = command["copy"]
                source, target = self._objects[source], self._objects[target]
                encoder.copy_buffer_to_buffer(source, source_at, target, target_at, size)
                continue
            steps = encoder.begin_compute_pass()
            for step in command["steps"]:
                steps.set_pipeline(self._objects[step["pipeline"]])
                steps.set_bind_group(0, self._objects[step["group"]])
                steps.dispatch_workgroups(*step["counts"])
            steps.end()
        self._device.queue.submit([encoder.finish()])

    def _read(self, message: dict[str, Any], _: bytes) -> None:
        buffer = self._objects[message["id"]]
        buffer.map_sync("READ")
        data = bytes(buffer.read_mapped())
        buffer.unmap()
        self._send({}, data)

    def _wait(self, _message: dict[str, Any], _: bytes) -> None:
        self._finish()
        self._send({})

    def _destroy(self, message: dict[str, Any], _: bytes) -> None:
        self._objects.pop(message["id"]).destroy()


@contextmanager
def wgpu_device(adapter: wgpu.GPUAdapter) -> Iterator[WgpuDevice]:
    """A device of that adapter, on which the page's scripts run."""
    live = (default_templates_dir() / "static" / "live").as_uri()
    # The page's scripts are modules, which their names don't say.
    command = [str(NODE), "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(SCRIPT), live]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as node:
        yield WgpuDevice(adapter, node)
        assert node.stdin
        node.stdin.close()
