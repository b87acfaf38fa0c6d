"""Colour and texture."""

import numpy as np

from metagan.drawings.painting import (
    LATTICE,
    encode,
    fractal,
    linear,
    make_lattice,
    noise,
    ramp,
    shrink,
    smoothstep,
    vignette,
)


def test_every_byte_comes_back_from_linear_light() -> None:
    every = np.arange(256)
    np.testing.assert_array_equal(encode(linear([*range(256)])), every)


def test_middle_grey_is_about_a_fifth_of_the_light() -> None:
    np.testing.assert_allclose(linear((0, 119, 255)), [0, 0.184, 1], atol=0.001)


def test_noise_is_its_lattice_at_whole_points_repeats_and_stays_between_0_and_1() -> None:
    lattice = make_lattice(np.random.default_rng(0))
    whole = np.array([[3, 5], [4, 0], [5, 31]], np.float32)
    cube = lattice.reshape(LATTICE, LATTICE, LATTICE)
    np.testing.assert_allclose(noise(lattice, whole), [cube[3, 4, 5], cube[5, 0, 31]], atol=1e-6)
    points = np.random.default_rng(1).uniform(-20, 20, (3, 1000)).astype(np.float32)
    values = noise(lattice, points)
    assert values.min() >= 0
    assert values.max() <= 1
    np.testing.assert_allclose(noise(lattice, points + np.float32(LATTICE)), values, atol=1e-3)


def test_noise_in_the_plane_has_no_steps() -> None:
    lattice = make_lattice(np.random.default_rng(0))
    line = np.stack([np.linspace(-3, 3, 3001), np.full(3001, 0.37)]).astype(np.float32)
    assert np.abs(np.diff(fractal(lattice, line, 3))).max() < 0.02


def test_a_ramp_gives_its_stops_and_the_mean_between_them() -> None:
    colours = ramp(((0, (0, 0, 0)), (1, (255, 255, 255))), np.array([-1, 0, 0.5, 1, 2], np.float32))
    np.testing.assert_allclose(colours[0], [0, 0, 0.5, 1, 1])


def test_smoothstep_runs_both_ways() -> None:
    x = np.array([0, 0.5, 1], np.float32)
    np.testing.assert_allclose(smoothstep(0, 1, x), [0, 0.5, 1])
    np.testing.assert_allclose(smoothstep(1, 0, x), [1, 0.5, 0])


def test_shrinking_averages_squares() -> None:
    pixels = np.arange(4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)
    np.testing.assert_allclose(shrink(pixels, 2)[0, 1], pixels[:2, 2:].mean((0, 1)))


def test_a_vignette_darkens_corners_most() -> None:
    shade = vignette(9, 0.2)
    assert shade[4, 4] == 1
    np.testing.assert_allclose(shade[0, 0], 0.6)
