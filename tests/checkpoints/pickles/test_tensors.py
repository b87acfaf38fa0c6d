"""Tensors out of a file's bytes: whatever a file says of them, they lie within their storage, or are refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.pickles.flatten import LazyTensors, TensorMaker
from metagan.checkpoints.pickles.inert import TensorView, TorchStorage
from metagan.checkpoints.pickles.machine import shape_of
from metagan.checkpoints.source import Source
from metagan.errors import MalformedFileError, UnsafeFileError
from metagan.networks.loading.assemble import require_finite

NUMEL = 24
CONTENT = torch.arange(NUMEL, dtype=torch.float32)
COUNTS = st.integers(0, 7) | st.sampled_from([2**31, 2**47])


def source(shift: int = 0) -> Source:
    """The numbers, and as many bytes before them as are asked for."""
    raw = bytearray(bytes(shift) + CONTENT.numpy().tobytes())
    return Source(Path("cat.pkl"), memoryview(raw)[shift:], None)


@given(
    numel=st.integers(0, NUMEL),
    offset=COUNTS,
    axes=st.lists(st.tuples(COUNTS, COUNTS), max_size=4),
    shift=st.integers(0, 3),
)
def test_a_view_is_what_torch_makes_of_it_or_is_refused_before_it_is_made(numel, offset, axes, shift):
    sizes, strides = tuple(size for size, _ in axes), tuple(stride for _, stride in axes)
    assume(shape_of(sizes) is not None)  # else refused before there is a view
    part = source(shift).part(0, numel * 4)
    view = TensorView(TorchStorage("float32", numel, part), offset, sizes, strides)
    try:
        make = TensorMaker(source()).view("weight", view)
    except UnsafeFileError:
        inside = offset + sum((size - 1) * stride for size, stride in axes) < numel
        repeats = torch.Size(sizes).numel() > NUMEL or any(stride == 0 and size > 1 for size, stride in axes)
        spans = 1 + sum((size - 1) * stride for size, stride in axes) < torch.Size(sizes).numel()
        assert not inside or repeats or spans
        return
    if 0 in sizes:
        assert make().shape == sizes
    else:
        assert torch.equal(make(), CONTENT[:numel].as_strided(sizes, strides, offset))


def test_tensors_are_made_when_they_are_asked_for_and_once():
    made = []

    def make() -> torch.Tensor:
        made.append(1)
        return CONTENT

    tensors = LazyTensors({"a": make, "b": make})
    assert "a" in tensors and "c" not in tensors and list(tensors) == ["a", "b"] and len(tensors) == 2
    assert not made
    assert tensors["a"] is tensors["a"]
    assert len(made) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_number_that_is_none_is_found_among_many(value, dtype):
    tensor = torch.ones(1000, dtype=dtype)
    require_finite(NetworkRecord("G", {"a": tensor}), Path("cat.pkl"))
    tensor[700] = value
    with pytest.raises(MalformedFileError, match=r"cat\.pkl: NaN or infinity in 'a'"):
        require_finite(NetworkRecord("G", {"a": tensor}), Path("cat.pkl"))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu])
def test_nan_is_found_in_numbers_of_eight_bits(dtype):
    one = torch.ones(3).to(dtype)
    require_finite(NetworkRecord("G", {"a": one}), Path("cat.pkl"))
    nan = torch.tensor([1, float("nan")]).to(dtype)
    with pytest.raises(MalformedFileError, match="NaN or infinity in 'a'"):
        require_finite(NetworkRecord("G", {"a": nan}), Path("cat.pkl"))


def test_large_numbers_whose_sum_is_infinite_are_finite():
    tensors = {"a": torch.full((10,), 3e38), "b": torch.full((10,), 6e4, dtype=torch.float16)}
    require_finite(NetworkRecord("G", tensors), Path("cat.pkl"))
