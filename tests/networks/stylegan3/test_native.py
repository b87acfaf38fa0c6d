"""StyleGAN3 on the kernel that is compiled for this processor, against the readable network: same pictures."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ShapeError
from metagan.live.native import NoKernel, libraries, load_library
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe_program, prepare_synthesis
from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan3.fast import FastSynthesis
from metagan.networks.stylegan3.native import NativeStyleGAN3, native_form, unsupported_by_kernel
from metagan.networks.stylegan3.network import Config, StyleGAN3
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings
from tests.networks.alike import assert_alike, styles
from tests.networks.stylegan3.geometry import design
from tests.networks.stylegan3.test_load import GOLDEN, VECTORS
from tests.networks.stylegan3.test_network import ODD, PLAIN
from tests.networks.stylegan3.test_network import make as make_positive

MAPPING = MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 8))
WIDE = design(MAPPING, 16, layers=5, channel_base=600, channel_max=70, margin=5)
RADIAL = design(MAPPING, 16, layers=4, channel_base=600, channel_max=40, margin=3, kernel=1, radial=True)
needs_library = pytest.mark.skipif(not libraries(), reason="no library was compiled for this processor")


def make(config: Config) -> StyleGAN3:
    """A network of random weights, whose filters are the same in no direction, and whose pictures are within range."""
    network = make_positive(config)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias"):
            tensor.sub_(0.6)
        if name.endswith("input.transform"):
            tensor.copy_(torch.tensor([[0.8, -0.6, 0.1], [0.6, 0.8, -0.2], [0, 0, 1]]))
    return network


@pytest.mark.parametrize("config", [*ODD[:3], WIDE, RADIAL, dataclasses.replace(PLAIN, output_scale=0.1)])
def test_odd_shapes_give_the_readable_network_s_pictures(kernel, config):
    network = make(config)
    ws, form = styles(network, 3), NativeStyleGAN3(network, kernel)
    with torch.inference_mode():
        got = form.synthesize(ws)
        assert_alike(got, network.synthesize(ws))
    assert np.array_equal(np.stack(to_uint8(got)), form.pictures(ws).numpy())


@needs_library
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channel_max=st.integers(1, 70),
    layers=st.integers(1, 5),
    margin=st.integers(0, 7),
    taps=st.integers(1, 8),
    kernel_size=st.sampled_from([1, 3]),
    radial=st.booleans(),
    clamp=st.sampled_from([None, 0.3]),
    threads=st.integers(1, 5),
    batch=st.integers(1, 9),
)
def test_widths_and_filters_of_any_kind_fit(
    channel_max, layers, margin, taps, kernel_size, radial, clamp, threads, batch
):
    network = make(
        design(MAPPING, 16, layers=layers + 2, channel_base=400, channel_max=channel_max, margin=margin, taps=taps,
               kernel=kernel_size, radial=radial, clamp=clamp)
    )  # fmt: skip
    assert unsupported_by_kernel(network) == []
    name = sorted(libraries())[0]
    torch.set_num_threads(threads)
    form = NativeStyleGAN3(network, load_library(name, libraries()[name]))
    ws = styles(network, batch)
    with torch.inference_mode():
        assert_alike(form.synthesize(ws), network.synthesize(ws))


@pytest.mark.parametrize("config", [WIDE, RADIAL])
def test_a_picture_has_the_same_bits_in_every_batch_and_on_any_number_of_threads(kernel, config):
    network = make(config)
    ws, form = styles(network, 5), NativeStyleGAN3(network, kernel)
    torch.set_num_threads(1)
    wanted = torch.cat([form.synthesize(ws[n : n + 1]) for n in range(5)])
    for threads, batch in itertools.product((1, 2, 7), (1, 3, 5)):
        torch.set_num_threads(threads)
        got = torch.cat([form.synthesize(part) for part in ws.split(batch)])
        assert torch.equal(got, wanted), (threads, batch)


@needs_library
def test_sampled_pictures_have_the_same_bytes_in_every_batch_and_on_any_number_of_threads():
    generator = load_generator(read_checkpoint(GOLDEN))

    def draw(batch: int, threads: int) -> np.ndarray:
        torch.set_num_threads(threads)
        sampler = Sampler(generator, torch.device("cpu"), batch)
        return np.stack([picture for _, picture in sampler.pictures(range(5), Settings(psi=0.7, label=1))])

    wanted = draw(1, 1)
    for batch, threads in ((2, 1), (5, 2), (3, 3)):
        assert np.array_equal(draw(batch, threads), wanted)


@pytest.mark.parametrize("stem", VECTORS)
def test_every_vector_s_pictures_are_its_own(stem, shared_vectors, kernel):
    path = shared_vectors / "sg3" / f"{stem}.pkl"
    network = load_generator(read_checkpoint(path))
    assert isinstance(network, StyleGAN3)
    assert unsupported_by_kernel(network) == []
    form = NativeStyleGAN3(network, kernel)
    with torch.inference_mode(), np.load(path.with_suffix(".npz")) as arrays:
        for name in ("ws_psi1", "ws_wsmix"):
            ws = torch.from_numpy(arrays[name]).float()
            wanted = network.synthesize(ws)
            for batch in range(1, len(ws) + 1):
                assert_alike(torch.cat([form.synthesize(part) for part in ws.split(batch)]), wanted)


def test_what_the_kernel_does_not_draw_is_left_to_pytorch_with_a_reason():
    layers = PLAIN.layers
    first = dataclasses.replace(layers[0], up_taps=layers[0].up_taps * 2)
    last = dataclasses.replace(layers[-1], out_channels=5, pads=(1, -1, 0, 0))
    config = dataclasses.replace(PLAIN, layers=(first, *layers[1:-1], last))
    assert unsupported_by_kernel(StyleGAN3(config)) == [
        "its upsampling filters aren't separable",
        "its last layer isn't only colours",
        "its pictures have 5 channels, want 1 to 4",
    ]
    assert unsupported_by_kernel(make(ODD[3])) == ["its kernels are 5x5, want 3x3 or 1x1"]
    assert unsupported_by_kernel(make(PLAIN)) == []


@needs_library
def test_the_kernel_draws_by_default_and_says_so(monkeypatch):
    monkeypatch.delenv("METAGAN_KERNEL", raising=False)
    network = make(PLAIN)
    assert isinstance(prepare_synthesis(network, torch.float32), NativeStyleGAN3)
    assert isinstance(prepare_synthesis(network, torch.bfloat16), FastSynthesis)
    assert describe_program(network).startswith("metagan's kernel, ")
    assert describe_program(make(ODD[3])) == "PyTorch, because its kernels are 5x5, want 3x3 or 1x1"


def test_without_a_library_pytorch_draws_and_the_reason_is_known(monkeypatch):
    monkeypatch.setenv("METAGAN_KERNEL", "none")
    network = make(PLAIN)
    assert native_form(network) == NoKernel("METAGAN_KERNEL is none")
    assert isinstance(prepare_synthesis(network, torch.float32), FastSynthesis)
    assert describe_program(network) == "PyTorch, because METAGAN_KERNEL is none"


def test_styles_of_another_shape_are_refused_before_the_kernel_sees_them(kernel):
    form = NativeStyleGAN3(make(PLAIN), kernel)
    for shape in ((1, 6, 8), (1, 7, 9)):
        with pytest.raises(ShapeError, match=r"want \[batch, 7, 8\], got \[1, "):
            form.synthesize(torch.zeros(shape))
    assert form.synthesize(torch.zeros(0, 7, 8)).shape == (0, 3, 16, 16)
