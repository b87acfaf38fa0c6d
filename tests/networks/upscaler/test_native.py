"""Upscalers on the kernel compiled for this processor, against the network: same pictures, whatever the shape."""

import itertools
import threading

import numpy as np
import pytest
import torch

from metagan.errors import ShapeError
from metagan.live.native import NoKernel, libraries
from metagan.networks.upscaler import Upscaler, UpscalerConfig, load_upscaler
from metagan.networks.upscaler.native import NativeUpscaler, describe_program, native_upscaler
from metagan.registry.weights_ref import bundled_upscaler_names, bundled_weights
from metagan.sampling.levels import to_uint8
from tests.networks.upscaler.test_upscaler import calm

SHAPES = [
    UpscalerConfig(factor=4, channels=13, blocks=1, fine_channels=5),
    UpscalerConfig(factor=2, channels=9, blocks=3),
    UpscalerConfig(factor=4, channels=4, blocks=0, fine_channels=3),
    UpscalerConfig(factor=2, channels=70, blocks=0),
    UpscalerConfig(factor=4, channels=40, blocks=2, fine_channels=33),
]
SIZES = [(32, 32), (5, 7), (1, 1), (33, 18), (4, 130)]


def images(count: int, height: int, width: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(2)
    return torch.rand(count, 3, height, width, generator=rng) * 2.4 - 1.2


def assert_alike(got: torch.Tensor, upscaler: Upscaler, given: torch.Tensor) -> None:
    """Within a level in at most a thousandth of the values (of few values: in three)."""
    with torch.inference_mode():
        wanted = np.stack(to_uint8(upscaler(given.clamp(-1, 1)))).astype(int)
    assert got.shape == wanted.shape
    assert np.abs(got.numpy() - wanted).max() <= 1
    assert np.count_nonzero(got.numpy() != wanted) <= max(3, wanted.size / 1000)


@pytest.mark.parametrize("config", SHAPES)
def test_every_shape_and_size_gives_the_network_s_pictures(kernel, config):
    upscaler = calm(config)
    form = NativeUpscaler(upscaler, kernel)
    assert (form.factor, form.reach) == (upscaler.factor, upscaler.reach)
    for size in SIZES:
        given = images(2, *size)
        assert_alike(form.enlarge(given), upscaler, given)


@pytest.mark.parametrize("name", bundled_upscaler_names())
def test_bundled_upscalers_give_the_network_s_pictures(kernel, name):
    upscaler = load_upscaler(bundled_weights(name))
    given = images(1, 64, 64)
    assert_alike(NativeUpscaler(upscaler, kernel).enlarge(given), upscaler, given)


@pytest.mark.parametrize(("count", "size"), [(5, (31, 22)), (4, (8, 60)), (2, (130, 132))])
def test_a_picture_has_the_same_bytes_in_every_batch_and_on_any_number_of_threads(kernel, count, size):
    form, given = NativeUpscaler(calm(SHAPES[2]), kernel), images(count, *size)
    torch.set_num_threads(1)
    wanted = torch.cat([form.enlarge(given[n : n + 1]) for n in range(count)])
    for threads, batch in itertools.product((2, 3), (1, count)):
        torch.set_num_threads(threads)
        got = torch.cat([form.enlarge(part) for part in given.split(batch)])
        assert torch.equal(got, wanted), (threads, batch)


def test_two_threads_of_python_may_enlarge_at_once(kernel):
    form, given, made = NativeUpscaler(calm(SHAPES[1]), kernel), images(3, 12, 20), []
    wanted = form.enlarge(given)
    workers = [threading.Thread(target=lambda: made.append(form.enlarge(given))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 4
    assert all(torch.equal(each, wanted) for each in made)


def test_other_shapes_are_refused_before_the_kernel_sees_them(kernel):
    form = NativeUpscaler(calm(SHAPES[0]), kernel)
    for shape in ((1, 4, 8, 8), (1, 3, 0, 8), (2, 3, 8, 0)):
        with pytest.raises(ShapeError, match=r"want \[n, 3, h, w\], got"):
            form.enlarge(torch.zeros(shape))
    with pytest.raises(ShapeError, match="9000x9000 pixels are too many at once"):
        form.enlarge(torch.zeros(1).expand(1, 3, 9000, 9000))
    assert form.enlarge(torch.zeros(0, 3, 8, 6)).shape == (0, 32, 24, 3)


def test_without_a_library_pytorch_enlarges_and_the_reason_is_known(monkeypatch):
    monkeypatch.setenv("METAGAN_KERNEL", "none")
    upscaler = calm(SHAPES[2])
    assert native_upscaler(upscaler) == NoKernel("METAGAN_KERNEL is none")
    assert describe_program(upscaler) == "PyTorch, because METAGAN_KERNEL is none"
    monkeypatch.delenv("METAGAN_KERNEL")
    if libraries():
        assert describe_program(upscaler) == f"metagan's kernel, {next(iter(libraries()))}"
