"""The kernel, function by function, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from metagan.errors import BuildError
from metagan.live import NAMES, kernel_files
from tests.live import reference
from tests.live.conftest import Out
from tests.live.reference import border, padded_channels, widen

pytestmark = pytest.mark.browser

CHANNELS = [(8, 8), (3, 5), (17, 24), (1, 9)]


def assert_close(got, want, tolerance=2e-5):
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, atol=tolerance * scale, rtol=0)


def layer(floats, size, inputs, outputs, noise):
    """x, w, s, gain, bias and noise of one layer."""
    return (
        floats(*size[0], inputs),
        floats(outputs, inputs, 3, 3),
        floats(inputs),
        floats(outputs) / np.sqrt(9 * inputs),
        floats(outputs),
        floats(*size[1]) if noise else None,
    )


def run_layer(kernel, names, data, size, clamp, *more):
    """Pack the kernels and convolve; the answer has no border and only the channels asked for."""
    x, w, s, gain, bias, noise = data
    outputs, inputs = w.shape[:2]
    lanes = kernel.lanes
    out, into = padded_channels(outputs, lanes), padded_channels(inputs, lanes)
    pack, run, kernel_floats, work_floats = names
    packed = kernel(pack, w, Out.of(kernel_floats), outputs, inputs, out, into)
    y = kernel(
        run,
        widen(border(x), 2, lanes=lanes),
        Out(np.zeros((size[0] + 2, size[1] + 2, out), np.float32)),
        packed,
        *(widen(array, 0, lanes=lanes) for array in (s, gain, bias)),
        0 if noise is None else noise,
        clamp,
        np.zeros(work_floats, np.float32),
        *x.shape[:2],
        into,
        out,
        *more,
    )
    inside = y[1:-1, 1:-1]
    assert not np.any(np.delete(y, slice(1, -1), axis=0))
    assert not np.any(np.delete(y, slice(1, -1), axis=1))
    return inside[:, :, :outputs]


@pytest.mark.parametrize(
    "shape",
    [
        (1, 4, 8),
        (2, 12, 16),
        (3, 8, 8),
        (4, 8, 24),
        (5, 8, 8),
        (16, 32, 8),
        (25, 8, 8),
        (7, 260, 16),
        (13, 772, 8),
    ],
)
def test_a_product_is_the_matrix_product_at_every_height_of_tile_and_depth(kernel, floats, shape):
    rows, inner, columns = shape[0], shape[1], shape[2] // 8 * kernel.lanes
    a, b = floats(rows, inner), floats(inner, columns)
    packed = b.reshape(inner, -1, kernel.lanes).transpose(1, 0, 2)
    assert_close(kernel("multiply_once", a, packed, Out.of(rows, columns), rows, inner, columns), a @ b)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("size", "chunk"), [((4, 4), 1), ((8, 8), 3), ((16, 16), 16), ((16, 16), 5), ((8, 20), 3), ((12, 4), 2)]
)
@pytest.mark.parametrize(("noise", "clamp"), [(True, np.inf), (False, 0.5)])
def test_a_winograd_convolution_is_a_convolution(kernel, floats, channels, size, chunk, noise, clamp):
    data = x, w, s, *rest = layer(floats, (size, size), *channels, noise)
    into, out = (padded_channels(count, kernel.lanes) for count in channels)
    sizes = (
        kernel.number("winograd_kernels_floats", out, into),
        kernel.number("convolve_floats", into, out, chunk),
    )
    got = run_layer(kernel, ("winograd_kernels", "convolve", *sizes), data, size, clamp, chunk)
    assert_close(got, reference.finish(reference.convolve(x * s, w), *rest, clamp))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(8, 8), (4, 2), (3, 5)])
@pytest.mark.parametrize(("noise", "clamp"), [(True, np.inf), (False, 0.5)])
def test_a_small_convolution_is_a_convolution(kernel, floats, channels, size, noise, clamp):
    data = x, w, s, *rest = layer(floats, (size, size), *channels, noise)
    into, out = (padded_channels(count, kernel.lanes) for count in channels)
    sizes = 9 * into * out, kernel.number("convolve_small_floats", *size, into, out)
    got = run_layer(kernel, ("small_kernels", "convolve_small", *sizes), data, size, clamp)
    assert_close(got, reference.finish(reference.convolve(x * s, w), *rest, clamp))


def upsampled(data, clamp):
    x, w, s, *rest = data
    return reference.finish(reference.fir(reference.convolve_transposed(x * s, w)), *rest, clamp)


def twice(size):
    """Height and width of an upsampled layer's output."""
    return 2 * size[0], 2 * size[1]


def sixteenth(data):
    """The filter's factor goes into the gain."""
    x, w, s, gain, *rest = data
    return (x, w, s, gain / 16, *rest)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("half", "tile_rows"),
    [((4, 4), 1), ((8, 8), 1), ((8, 8), 2), ((16, 16), 3), ((16, 16), 4), ((4, 12), 1), ((16, 8), 3)],
)
@pytest.mark.parametrize(("noise", "clamp"), [(True, np.inf), (False, 0.5)])
def test_a_winograd_upsampling_is_a_transposed_convolution_and_its_filter(
    kernel, floats, channels, half, tile_rows, noise, clamp
):
    data = layer(floats, (half, twice(half)), *channels, noise)
    into, out = (padded_channels(count, kernel.lanes) for count in channels)
    sizes = (
        kernel.number("upsampling_kernels_floats", out, into),
        kernel.number("convolve_up_floats", *half, into, out, tile_rows),
    )
    names = ("upsampling_kernels", "convolve_up", *sizes)
    got = run_layer(kernel, names, sixteenth(data), twice(half), clamp, tile_rows)
    assert_close(got, upsampled(data, clamp))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("half", [(4, 4), (8, 8), (4, 2), (3, 5)])
@pytest.mark.parametrize(("noise", "clamp"), [(True, np.inf), (False, 0.5)])
def test_a_small_upsampling_is_a_transposed_convolution_and_its_filter(
    kernel, floats, channels, half, noise, clamp
):
    data = layer(floats, (half, twice(half)), *channels, noise)
    into, out = (padded_channels(count, kernel.lanes) for count in channels)
    sizes = 9 * into * out, kernel.number("convolve_up_small_floats", *half, into, out)
    names = ("small_upsampling_kernels", "convolve_up_small", *sizes)
    assert_close(run_layer(kernel, names, sixteenth(data), twice(half), clamp), upsampled(data, clamp))


@pytest.mark.parametrize(("out", "into"), [(5, 7), (16, 32), (3, 1), (9, 129)])
def test_a_dense_layer_is_a_matrix_times_a_vector_whatever_its_width(kernel, floats, out, into):
    w, b, x = floats(out, into), floats(out), floats(into)
    assert_close(kernel("dense", w, b, x, Out.of(out), out, into), w @ x + b)


def test_normalising_activating_and_truncating_are_their_formulas(kernel, floats):
    x, mean = floats(13), floats(13)
    assert_close(kernel("normalise", x, Out.of(13), 13), x / np.sqrt(np.mean(x**2) + 1e-8))
    assert_close(kernel("activate", Out(x), 13), np.sqrt(2) * np.where(x < 0, x / 5, x))
    assert_close(kernel("truncate", mean, Out(x), 0.25, 13), mean + 0.25 * (x - mean))


def test_demodulation_brings_kernels_back_to_unit_norm(kernel, floats):
    w, s, lanes = floats(5, 6, 3, 3), floats(6), kernel.lanes
    squares = kernel("sum_squares", w, Out.of(lanes, lanes), 5, 6, lanes, lanes)
    np.testing.assert_allclose(squares, widen(np.sum(w**2, axis=(2, 3)), 0, 1, lanes=lanes), rtol=1e-6)
    gain = kernel("demodulate", squares, widen(s, 0, lanes=lanes), Out.of(lanes), lanes, lanes, 2.0)
    norms = np.sqrt(np.sum((w * s[:, None, None]) ** 2, axis=(1, 2, 3)) + 1e-8)
    np.testing.assert_allclose(gain[:5], 2 / norms, rtol=1e-6)
    assert np.all(np.isfinite(gain))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (8, 2), (4, 6)])
@pytest.mark.parametrize(("former", "clamp"), [(True, np.inf), (False, 1.5)])
def test_colours_are_a_modulated_product_on_top_of_the_former_picture(
    kernel, floats, channels, size, former, clamp
):
    x, weights, s, b = floats(*size, 7), floats(channels, 7), floats(7), floats(channels)
    small, lanes = floats(size[0] // 2, size[1] // 2, 4) if former else None, kernel.lanes
    got = kernel(
        "colour_picture",
        widen(border(x), 2, lanes=lanes),
        Out.of(*size, 4),
        0 if small is None else small,
        widen(weights, 1, lanes=lanes),
        widen(s, 0, lanes=lanes),
        np.pad(b, (0, 4 - channels)),
        clamp,
        np.zeros(4 * lanes, np.float32),
        *size,
        channels,
        lanes,
    )
    want = np.clip((x * s) @ weights.T + b, -clamp, clamp)
    want = want if small is None else want + reference.double(small)[:, :, :channels]
    assert_close(got[:, :, :channels], want)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colours_become_bytes_as_published_generators_round(kernel, channels):
    values = (
        np.concatenate([np.linspace(-1.2, 1.2, 509), [-np.inf, np.inf, 0]]).astype(np.float32).reshape(-1, 4)
    )
    got = kernel("to_bytes", values, Out.of(len(values), 4, dtype=np.uint8), len(values), channels)
    want = np.clip(values * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)
    want[:, 1:3] = want[:, 1:3] if channels > 1 else want[:, :1]
    want[:, 3] = want[:, 3] if channels == 4 else 255
    assert np.array_equal(got, want)


def test_every_finite_half_becomes_its_float(kernel):
    every = np.arange(2**16, dtype=np.uint16)
    finite = every[np.isfinite(every.view(np.float16))]
    got = kernel("widen", finite, Out.of(len(finite)), len(finite))
    want = finite.view(np.float16).astype(np.float32)
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


def test_bytes_become_floats_each_row_by_its_factor(kernel, floats):
    values, scale = np.arange(-126, 126, dtype=np.int8).reshape(7, 36), floats(7)
    got = kernel("scale_bytes", values, scale, Out.of(7, 36), 7, 36)
    assert np.array_equal(got, values.astype(np.float32) * scale[:, None])


def test_a_constant_is_placed_inside_and_a_border_is_cleared(kernel, floats):
    x = floats(4, 3, 5)
    plane = kernel("place", x, Out(np.zeros((6, 5, 8), np.float32)), 4, 3, 5, 8)
    assert np.array_equal(plane, widen(border(x), 2, lanes=8))
    cleared = kernel("clear_border", Out(floats(10, 6, 8)), 8, 4, 8)
    assert not cleared[[0, -1]].any() and not cleared[:, [0, -1]].any()
    assert cleared[1:-1, 1:-1].all()


def test_a_kernel_that_nobody_compiled_is_missed_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr("metagan.live.KERNEL", tmp_path)
    (tmp_path / NAMES[0]).touch()
    with pytest.raises(BuildError, match=r"kernel\.relaxed\.wasm not there: .*\n  fix: `pip install -e \.`"):
        kernel_files()


def test_both_kernels_together_stay_a_small_download():
    assert all(file.stat().st_size < 48_000 for file in kernel_files().values())
