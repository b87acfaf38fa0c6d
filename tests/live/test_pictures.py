"""Whole pictures: the browser's against the sampler's, and what can't be had."""

from __future__ import annotations

import base64
import dataclasses
import gzip

import numpy as np
import pytest
import torch
from playwright.sync_api import Error

from metagan.checkpoints.read import read_checkpoint
from metagan.export.blob import compress, unpack
from metagan.export.replay import replay
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings
from tests.live.page import READER, LivePage
from tests.site.conftest import INSECURE_HOST

pytestmark = pytest.mark.browser

PLAIN = Config(MappingConfig(z_dim=12, c_dim=0, embed_dim=0, widths=(24, 20)), channels=(16, 24, 8))
ODD = {
    "plain": PLAIN,
    "conditional": dataclasses.replace(
        PLAIN, mapping=MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,))
    ),
    "odd channels": dataclasses.replace(PLAIN, channels=(3, 17, 5, 9, 2)),
    "clamped": dataclasses.replace(PLAIN, clamp=0.75),
    "no noise": dataclasses.replace(PLAIN, use_noise=False, channels=(9, 1, 4, 6)),
    "wide": dataclasses.replace(PLAIN, channels=(300, 264, 264, 16)),
    "one block": dataclasses.replace(PLAIN, channels=(7,)),
    "grey": dataclasses.replace(PLAIN, image_channels=1),
    "alpha": dataclasses.replace(PLAIN, image_channels=4, channels=(32, 32, 16, 16, 8, 8)),
    "no mean": dataclasses.replace(PLAIN, mapping=dataclasses.replace(PLAIN.mapping, has_mean_style=False)),
    "portrait": dataclasses.replace(PLAIN, constant=(4, 2), channels=(16, 24, 8, 8)),
    "landscape": dataclasses.replace(PLAIN, constant=(4, 6), channels=(9, 17, 8, 8)),
    "no multiples of four": dataclasses.replace(PLAIN, constant=(3, 5)),
    "large constant": dataclasses.replace(PLAIN, constant=(8, 16)),
    "many labels": dataclasses.replace(
        PLAIN, mapping=MappingConfig(z_dim=4, c_dim=50, embed_dim=7, widths=(11, 8))
    ),
}


def make(config: Config) -> StyleGAN2:
    """Random weights, so scaled that few values are clipped."""
    torch.manual_seed(0)
    network = StyleGAN2(config).eval().requires_grad_(requires_grad=False)
    for name, tensor in network.state_dict().items():
        if name.endswith(("noise_strength", "mean_style", "bias")) and "affine" not in name:
            tensor.copy_(torch.rand_like(tensor) * 0.3)
        if "to_rgb.weight" in name:
            tensor.mul_(0.3)
    return network


def drawn(generator: Generator, seeds, **settings) -> dict[int, np.ndarray]:
    """The sampler's pictures by seed."""
    sampler = Sampler(generator, torch.device("cpu"), batch=len(seeds))  # a full batch takes long
    return dict(sampler.pictures(seeds, Settings(**settings)))


def likeness(live: LivePage, wanted: dict[int, np.ndarray], **wish) -> tuple[int, float]:
    """The largest difference in levels, and the share of values that differ."""
    differences = []
    for seed, want in wanted.items():
        got = live.draw(want.shape[:2], seed=seed, **wish)
        channels = want.shape[2]
        differences.append(np.abs(got[:, :, :channels].astype(int) - want).ravel())
        if channels < 4:
            assert np.all(got[:, :, 3] == 255)
    every = np.concatenate(differences)
    return int(every.max()), float(np.mean(every > 0))


@pytest.mark.parametrize(("precision", "share"), [("fp32", 0.001), ("fp16", 0.05)])
def test_the_bundled_apes_are_the_sampler_s_within_one_level(live, precision, share):
    generator = load_generator(read_checkpoint(bundled_weights("apes")))
    live.load(generator, precision)
    worst, off = likeness(live, drawn(generator, range(24), psi=0.7), psi=0.7)
    assert worst <= 1
    assert off <= share


def test_int8_convolutions_give_the_pictures_that_were_measured_when_they_were_written(live):
    generator = load_generator(read_checkpoint(bundled_weights("apes")))
    weights = live.load(generator, "int8")
    config, tensors = unpack(weights.content)
    errors = []
    for seed in (0, 1, 2, 3, 2**32 - 1):
        z = latents([seed], config.z_dim)
        with torch.inference_mode():
            want = to_uint8(replay(config, tensors, z, None, 0.7))[0].astype(int)
            exact = to_uint8(generator.synthesize(generator.map_latents(z, psi=0.7)))[0].astype(int)
        got = live.draw(len(want), seed=seed, psi=0.7)[:, :, :3].astype(int)
        assert np.abs(got - want).max() <= 1
        assert np.mean(got != want) <= 0.001
        errors.append(np.mean((got - exact) ** 2))
    psnr_db = 10 * np.log10(255**2 / np.mean(errors))
    assert psnr_db >= 40
    assert psnr_db == pytest.approx(weights.likeness.psnr_db, abs=2)


@pytest.mark.parametrize("name", ODD)
def test_odd_generators_give_the_sampler_s_pictures(live, name):
    config = ODD[name]
    generator = make(config)
    live.load(generator, "fp32")
    psi = 0.6 if config.mapping.has_mean_style else 1
    label = 2 if config.mapping.c_dim else None
    wanted = drawn(generator, range(5), psi=psi, label=label)
    assert np.mean([picture.std() for picture in wanted.values()]) > 5
    worst, off = likeness(live, wanted, psi=psi, label=label)
    assert worst <= 1
    assert off <= 0.001


@pytest.mark.parametrize(
    ("constant", "channels"),
    [((4, 4), (64, 64, 64, 64, 32, 16)), ((4, 4), (32, 32, 48, 40, 24)), ((6, 3), (64, 64, 64, 32, 16))],
)
def test_large_pictures_that_take_many_bands_and_chunks_are_right_too(live, constant, channels):
    generator = make(dataclasses.replace(PLAIN, channels=channels, constant=constant))
    live.load(generator, "fp32")
    worst, off = likeness(live, drawn(generator, [0, 4294967295], psi=0.8), psi=0.8)
    assert worst <= 1
    assert off <= 0.001


def test_truncation_may_stop_at_a_layer_and_noise_may_be_left_out(live):
    generator = make(PLAIN)
    live.load(generator, "fp32", noise="none")
    wanted = drawn(generator, range(3), psi=0.3, cutoff=3, noise="none")
    assert likeness(live, wanted, psi=0.3, cutoff=3) <= (1, 0.001)
    assert likeness(live, drawn(generator, range(3), psi=0.3), psi=0.3, cutoff=3)[0] > 1


def test_styles_mix_as_they_do_in_torch(live):
    generator = make(PLAIN)
    live.load(generator, "fp32")
    script = """async () => {
      const styles = await Promise.all([3, 4].map((seed) => live.style({ seed })));
      const [a, b] = await Promise.all(styles.map((w) => live.spread({ w, psi: 0.5 })));
      const ws = a.slice();
      ws.set(b.subarray(3 * 20), 3 * 20);
      return asText((await live.synthesize(ws)).pixels);
    }"""
    got = np.frombuffer(base64.b64decode(live.page.evaluate(script)), np.uint8).reshape(16, 16, 4)
    z = torch.from_numpy(np.concatenate([np.random.RandomState(s).randn(1, 12) for s in (3, 4)])).float()
    ws = generator.map_latents(z, psi=0.5)
    mixed = torch.cat([ws[:1, :3], ws[1:, 3:]], dim=1)
    want = (
        (generator.synthesize(mixed) * 127.5 + 128).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()
    )
    assert np.abs(got[:, :, :3].astype(int) - want).max() <= 1


def test_pictures_don_t_depend_on_those_before_them(live):
    live.load(make(ODD["odd channels"]))
    first = live.draw(64, seed=5, psi=0.7)
    live.draw(64, seed=6, psi=1)
    assert np.array_equal(live.draw(64, seed=5, psi=0.7), first)


def test_progress_is_told_and_ends_at_the_whole(live):
    weights = live.load(make(PLAIN))
    seen = live.page.evaluate("seen")
    assert seen[-1] == [len(weights.compressed)] * 2
    assert all(loaded <= total for loaded, total in seen)


def test_weights_that_the_server_has_unpacked_already_are_taken(live):
    weights = live.load(make(PLAIN))
    assert live.load_file(weights.content, weights.sha256)["width"] == 16


def test_weights_that_are_not_those_meant_are_refused(live):
    weights = live.load(make(PLAIN))
    changed = bytearray(weights.content)
    changed[-1] ^= 1
    with pytest.raises(Error, match=f"its SHA-256 is [0-9a-f]{{64}}, want {weights.sha256}"):
        live.load_file(compress(bytes(changed)), weights.sha256)
    with pytest.raises(Error, match="no weights for the browser"):
        live.load_file(gzip.compress(b"something else altogether"))
    with pytest.raises(Error, match="version 1 of stylegan2, want version 2"):
        live.load_file(weights.content.replace(rb"\"version\": 2", rb"\"version\": 1"))


def test_pages_without_https_verify_weights_too(live):
    live.page.goto(live.page.url.replace("127.0.0.1", INSECURE_HOST))
    live.page.evaluate(READER)
    assert live.page.evaluate("!crypto.subtle")
    generator = make(PLAIN)
    weights = live.load(generator, "fp32")
    assert likeness(live, drawn(generator, [1], psi=0.7), psi=0.7) <= (1, 0.001)
    with pytest.raises(Error, match="its SHA-256 is"):
        live.load_file(weights.compressed, "0" * 64)


def test_what_can_t_be_drawn_is_said(live):
    with pytest.raises(Error, match="no weights are loaded"):
        live.page.evaluate(
            """async () => {
              const { Live } = await import("/static/live/client.js");
              await new Live().draw({ seed: 1 });
            }"""
        )
    live.load(make(ODD["conditional"]))
    with pytest.raises(Error, match="class 3: want 0 to 2"):
        live.draw(16, seed=1, label=3)
    live.load(make(ODD["no mean"]))
    with pytest.raises(Error, match=r"psi 0\.5: these weights have no mean style"):
        live.draw(16, seed=1, psi=0.5)
    with pytest.raises(Error, match="want 6 styles of 20, got 7 numbers"):
        live.page.evaluate("live.synthesize(new Float32Array(7))")


def test_memory_does_not_grow_from_picture_to_picture(live):
    live.load(make(PLAIN))
    script = """async () => {
      const { Generator } = await import("/static/live/generator.js");
      const { Kernel, loadKernel } = await import("/static/live/kernel.js");
      const { loadWeights } = await import("/static/live/weights.js");
      const module = await loadKernel(new URL("/static/live/", location));
      const kernel = await Kernel.start(module);
      const generator = new Generator(kernel, await loadWeights(address));
      const before = kernel.run.memory.buffer.byteLength;
      for (let seed = 0; seed < 500; seed++) generator.synthesize(generator.spread(generator.styleOfSeed(seed), 0.7));
      return [before, kernel.run.memory.buffer.byteLength];
    }"""
    before, after = live.page.evaluate(script)
    assert before == after
