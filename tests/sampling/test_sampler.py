"""Seeds to pictures: the official conventions, batching, and devices."""

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import DeviceError
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.device import choose_device
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.memory import automatic_batch
from metagan.sampling.sampler import Sampler, Settings

CPU = torch.device("cpu")


def small_generator(c_dim: int = 0) -> StyleGAN2:
    torch.manual_seed(3)
    mapping = MappingConfig(z_dim=8, c_dim=c_dim, embed_dim=4 if c_dim else 0, widths=(8, 8))
    return StyleGAN2(Config(mapping, channels=(8, 8, 8))).eval()


def test_latents_are_numpys_legacy_normals_of_the_seed():
    ours = latents([0, 42, 2**32 - 1], 5)
    for row, seed in zip(ours, (0, 42, 2**32 - 1), strict=True):
        assert np.array_equal(row.numpy(), np.random.RandomState(seed).randn(1, 5)[0].astype(np.float32))


def test_pictures_are_rounded_down_after_adding_a_half_level():
    image = torch.tensor([-9.0, -1.0, 0.0, 0.00392, 1.0, 9.0]).view(1, 1, 1, 6)
    assert to_uint8(image)[0].ravel().tolist() == [0, 0, 128, 128, 255, 255]


def test_no_seeds_are_no_latents():
    assert latents([], 8).shape == (0, 8)


def test_a_picture_does_not_depend_on_how_many_are_asked_for():
    sampler = Sampler(small_generator(), CPU, batch=4)
    together = dict(sampler.pictures(range(7), Settings()))
    assert list(together) == list(range(7))
    for seed in (0, 5):
        ((_, alone),) = sampler.pictures([seed], Settings())
        assert np.abs(alone.astype(int) - together[seed]).max() <= 1
    again = dict(sampler.pictures(range(7), Settings()))
    assert all(np.array_equal(again[seed], together[seed]) for seed in together)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_picture_depends_on_its_batch_within_a_level_on_a_thousandth(precision):
    generator = load_generator(read_checkpoint(bundled_weights("apes")))

    def draw(batch: int) -> np.ndarray:
        sampler = Sampler(generator, CPU, batch, precision=precision)
        return np.stack([picture for _, picture in sampler.pictures(range(4), Settings(psi=0.7))]).astype(int)

    first = draw(4)
    assert np.array_equal(draw(4), first)
    for batch in (1, 3):
        other = draw(batch)
        assert np.abs(other - first).max() <= 1
        assert (other != first).mean() <= 1e-3


def test_psi_class_and_noise_reach_the_generator():
    sampler = Sampler(small_generator(c_dim=2), CPU, batch=2)

    def first(**settings) -> bytes:
        return next(iter(sampler.pictures([0], Settings(**settings))))[1].tobytes()

    plain = first(label=0)
    assert first(label=1) != plain
    assert first(label=0, psi=0.3) != plain
    assert first(label=0, psi=0.3, cutoff=0) == plain


@pytest.mark.parametrize(
    "no_room",
    [
        torch.OutOfMemoryError("no room"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
)
def test_a_batch_too_large_for_the_device_is_halved_until_it_fits(no_room):
    class Roomless:
        def __init__(self, synthesis) -> None:
            self.whole, self.sizes = synthesis, []

        def synthesize(self, ws, noise):
            self.sizes.append(len(ws))
            if len(ws) > 2:
                raise no_room
            return self.whole.synthesize(ws, noise)

    sampler = Sampler(small_generator(), CPU, batch=8)
    sampler._synthesis = Roomless(sampler._synthesis)
    assert [seed for seed, _ in sampler.pictures(range(5), Settings())] == list(range(5))
    assert sampler._synthesis.sizes == [8, 4, 2, 2, 2]


def test_a_device_without_room_for_one_picture_is_named():
    class Roomless:
        def synthesize(self, ws, noise):
            raise torch.OutOfMemoryError("no room")

    sampler = Sampler(small_generator(), CPU, batch=2)
    sampler._synthesis = Roomless()
    with pytest.raises(DeviceError, match="cpu: not even one picture fits"):
        list(sampler.pictures([1], Settings()))


def test_errors_that_are_not_for_want_of_memory_are_not_swallowed():
    class Broken:
        def synthesize(self, ws, noise):
            raise RuntimeError("sizes don't match")

    sampler = Sampler(small_generator(), CPU, batch=2)
    sampler._synthesis = Broken()
    with pytest.raises(RuntimeError, match="sizes don't match"):
        list(sampler.pictures([1], Settings()))


def test_an_automatic_batch_shrinks_with_the_picture():
    assert [automatic_batch(size) for size in (32, 64, 128, 256, 512, 1024, 4096)] == [32, 32, 32, 8, 2, 1, 1]


def test_devices_that_are_not_there_are_refused_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "toaster", "xla"):
        with pytest.raises(DeviceError, match=rf"--device {name}: .*\n  fix: choose one of auto, .*cpu"):
            choose_device(name)
