"""fp32, bf16, and whichever the machine is good at."""

import numpy as np
import pytest
import torch

from metagan.errors import OptionError
from metagan.live.native import NativeKernel, NoKernel, native_kernel
from metagan.sampling import precision
from metagan.sampling.precision import choose_dtype, multiplies_bfloat16
from metagan.sampling.sampler import Sampler, Settings
from tests.networks.stylegan2.test_native import PLAIN
from tests.networks.stylegan2.test_native import make as make_usual
from tests.networks.stylegan2.test_network import ODD, make

CPU = torch.device("cpu")


def test_auto_is_bfloat16_where_the_processor_multiplies_it(monkeypatch):
    for flags, dtype in (
        ({"avx512_bf16"}, torch.bfloat16),
        ({"amx_bf16"}, torch.bfloat16),
        ({"avx2"}, torch.float32),
    ):
        monkeypatch.setattr(precision, "_cpu_flags", lambda flags=flags: flags)
        assert choose_dtype("auto", CPU) == dtype
        assert choose_dtype("fp32", CPU) == torch.float32
        assert choose_dtype("bf16", CPU) == torch.bfloat16
    assert not multiplies_bfloat16(torch.device("mps"))


def test_auto_takes_the_kernel_s_float32_where_it_draws(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx512_bf16"})
    drawn = isinstance(native_kernel(), NativeKernel)
    assert Sampler(make_usual(PLAIN), CPU, 1, precision="auto").precision == ("fp32" if drawn else "bf16")
    no_kernel = NoKernel("it was not compiled")
    monkeypatch.setattr("metagan.networks.stylegan2.native.native_kernel", lambda: no_kernel)
    assert Sampler(make_usual(PLAIN), CPU, 1, precision="auto").precision == "bf16"


def test_this_machine_s_processor_can_be_asked():
    assert isinstance(multiplies_bfloat16(CPU), bool)


def test_an_unknown_precision_is_refused():
    with pytest.raises(OptionError, match=r"no precision 'fp8'\n  fix: choose one of fp32, bf16, auto"):
        choose_dtype("fp8", CPU)


def test_a_sampler_in_bfloat16_draws_nearly_the_same_pictures():
    network = make(ODD[0])
    exact, narrow = (dict(Sampler(network, CPU, 2, precision=name).pictures(range(3), Settings()))
                     for name in ("fp32", "bf16"))  # fmt: skip
    error = np.stack(list(exact.values())).astype(float) - np.stack(list(narrow.values()))
    assert error.any()
    assert 10 * np.log10(255**2 / (error**2).mean()) >= 40
