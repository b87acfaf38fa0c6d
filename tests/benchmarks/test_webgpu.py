"""The comparison of WebGPU with PyTorch, on a small network."""

import pytest

pytest.importorskip("wgpu", reason="wgpu is not installed", exc_type=ImportError)
from benchmarks import webgpu
from tests.live.wgpu_device import best_adapter


def test_webgpu_and_pytorch_draw_the_same_picture_in_turns(monkeypatch):
    if best_adapter() is None:
        pytest.skip("no adapter for wgpu: Debian's mesa-vulkan-drivers has one that needs no GPU")
    for name in ("CASES", "CASES_IN_SOFTWARE"):
        monkeypatch.setattr(webgpu, name, ((16, 128, 8),))
    monkeypatch.setattr(webgpu, "TURNS", 1)
    results = webgpu.measure()
    case = results["16"]
    assert case["webgpu_f32_psnr_db"] >= 80
    assert list(case["webgpu_f32_forms"]) == ["f32 same 16x16 8 8"]
    assert case["webgpu_f32_ms"] > 0
    assert case["torch_fp32_ms"] > 0
    assert "webgpu_f16_psnr_db" not in case or case["webgpu_f16_psnr_db"] >= 45
