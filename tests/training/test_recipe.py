"""What is chosen when it's left to us."""

import pytest

from metagan.training.options import AUTO, Recipe
from metagan.training.recipe import PRESETS, choose_batch, choose_gamma, choose_pace, choose_preset
from metagan.values import Size


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
    for world in (1, 2, 3, 5, 6, 7, 8, 20):
        for size in (64, 512, 1024, Size(192, 128), Size(384, 256), Size(640, 512), Size(768, 512)):
            for device in ("cpu", "cuda"):
                assert choose_batch(size, world, device) % (4 * world) == 0


def test_gamma_grows_with_the_pixels_and_is_larger_for_narrow_networks():
    assert choose_gamma(64, 16, 128) == pytest.approx(5.12)
    assert choose_gamma(256, 16, 512) == pytest.approx(0.819)


def pace(batch: int, most: int, *, trained: bool) -> tuple[float, ...]:
    recipe = choose_pace(Recipe(batch=batch), AUTO, most, trained=trained)
    return (recipe.learning_rate, recipe.lr_decay_kimg, recipe.style_mixing, recipe.path_weight)


def test_wide_and_trained_networks_learn_at_the_published_rate():
    assert pace(32, 512, trained=False) == (0.0025, 0, 0.9, 2)
    assert pace(16, 64, trained=True) == (0.0025, 0, 0, 0)


def test_narrow_networks_learn_faster_for_2500_steps():
    assert pace(16, 128, trained=False) == (0.01, 40, 0, 0)
    assert pace(64, 64, trained=False)[1] == 160
