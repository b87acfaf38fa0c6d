"""Latents in the browser are numpy's."""

from __future__ import annotations

import base64

import numpy as np
import pytest

pytestmark = pytest.mark.browser

SCRIPT = """async ({ seeds, count }) => {
  const { latents } = await import("/static/live/seeds.js");
  const all = new Float32Array(seeds.length * count);
  seeds.forEach((seed, i) => all.set(latents(seed, count), i * count));
  return asText(all);
}"""


def test_latents_of_a_thousand_seeds_are_numpy_s_to_the_last_bit(live):
    rng = np.random.default_rng(4)
    drawn = rng.integers(0, 2**32, 994, dtype=np.uint64)
    seeds = [0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, *map(int, drawn)]
    text = live.page.evaluate(SCRIPT, {"seeds": seeds, "count": 512})
    got = np.frombuffer(base64.b64decode(text), np.float32).reshape(1000, 512)
    want = np.stack([np.random.RandomState(seed).randn(512).astype(np.float32) for seed in seeds])
    assert np.array_equal(got, want)


def test_an_odd_number_of_latents_leaves_the_spare_one_alone(live):
    text = live.page.evaluate(SCRIPT, {"seeds": [7], "count": 5})
    want = np.random.RandomState(7).randn(1, 5)[0].astype(np.float32)
    assert np.array_equal(np.frombuffer(base64.b64decode(text), np.float32), want)
