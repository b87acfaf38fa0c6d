"""What tests of networks on the native kernel share."""

from collections.abc import Iterator

import pytest
import torch

from metagan.live.native import NativeKernel, libraries, load_library


@pytest.fixture(params=libraries())
def kernel(request: pytest.FixtureRequest) -> NativeKernel:
    """Each library that this processor runs."""
    return load_library(request.param, libraries()[request.param])


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
