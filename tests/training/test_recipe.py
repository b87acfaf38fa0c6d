"""What is chosen when it's left to us."""

import pytest

from metagan.training.recipe import PRESETS, Pace, choose_batch, choose_gamma, choose_pace, choose_preset


def test_channels_halve_with_the_resolution_up_to_the_most():
    assert PRESETS["small"].channels(64) == (128, 128, 128, 64, 32)
    assert PRESETS["official"].channels(256) == (512, 512, 512, 512, 256, 128, 64)
    assert PRESETS["tiny"].channels(1024)[-1] == 8


@pytest.mark.parametrize(
    ("resolution", "device", "pictures", "preset"),
    [
        (128, "cpu", 10_000, "small"),
        (64, "cpu", 10_000, "tiny"),
        (128, "cpu", 100, "tiny"),
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
    assert choose_gamma(64, 16, 128) == pytest.approx(5.12)
    assert choose_gamma(256, 16, 512) == pytest.approx(0.819)


def test_wide_and_trained_networks_learn_at_the_published_rate():
    assert choose_pace(32, 512, trained=False) == Pace(0.0025, 0, style_mixing=0.9, path_weight=2)
    assert choose_pace(16, 64, trained=True) == Pace(0.0025, 0, style_mixing=0, path_weight=0)


def test_narrow_networks_learn_faster_for_2500_steps():
    assert choose_pace(16, 128, trained=False) == Pace(0.01, 40, style_mixing=0, path_weight=0)
    assert choose_pace(64, 64, trained=False).lr_decay_kimg == 160
