"""What is chosen when it's left to us."""

import pytest

from metagan.training.recipe import PRESETS, choose_batch, choose_gamma, choose_preset


def test_channels_halve_with_the_resolution_up_to_the_most():
    assert PRESETS["small"].channels(64) == (128, 128, 128, 64, 32)
    assert PRESETS["official"].channels(256) == (512, 512, 512, 512, 256, 128, 64)
    assert PRESETS["tiny"].channels(1024)[-1] == 8


@pytest.mark.parametrize(
    ("resolution", "device", "pictures", "preset"),
    [
        (64, "cpu", 10_000, "small"),
        (16, "cpu", 10_000, "tiny"),
        (64, "cpu", 100, "tiny"),
        (256, "cuda", 2000, "official"),
    ],
)
def test_presets_go_by_device_resolution_and_data(resolution, device, pictures, preset):
    assert choose_preset(resolution, device, pictures) == preset


def test_batches_divide_among_processes_and_groups():
    assert choose_batch(64, 2, "cpu") == 32
    assert choose_batch(1024, 1, "cuda") == 4
    assert choose_batch(256, 8, "cuda") == 64
    for world in (1, 2, 3, 5, 8):
        assert choose_batch(512, world, "cuda") % world == 0


def test_gamma_grows_with_the_pixels_and_is_larger_for_narrow_networks():
    assert choose_gamma(64, 16, 128) == pytest.approx(10.2)
    assert choose_gamma(256, 16, 512) == pytest.approx(0.819)
