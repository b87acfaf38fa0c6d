"""The kernel that is compiled for this processor, against the readable network: same pictures, whatever the shape."""

import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ShapeError
from metagan.live import KERNEL
from metagan.live.native import NoKernel, libraries, load_library, native_kernel
from metagan.networks.generator import Noise
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.native import NativeStyleGAN2, native_form, unsupported_by_kernel
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.weights_ref import bundled_names, bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import Sampler, Settings
from tests.conftest import Vectors
from tests.networks.alike import assert_alike, styles

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden"
OFFICIAL = ["sg2ada_cuda16.pkl", "tf_ada_cond16.pkl", "ros_train16.pt"]
VECTORS = ["sg2ada/*.pkl", "sg2in3/*.pkl", "tf/tf_ada*.pkl", "tf/tf_sg2_skip32.pkl", "rosinality/*.pt"]
PLAIN = Config(MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 9)), channels=(6, 33, 5, 40, 17))
needs_library = pytest.mark.skipif(not libraries(), reason="no library was compiled for this processor")


def make(config: Config, seed: int = 0) -> StyleGAN2:
    """A network of random weights, with noise and biases, whose pictures are within range."""
    torch.manual_seed(seed)
    network = StyleGAN2(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith(("noise_strength", "bias")):
            tensor.copy_(torch.rand_like(tensor) - 0.4)
        elif "to_rgb.weight" in name:
            tensor.mul_(0.3)
    return network


@pytest.mark.parametrize("image_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["skip", "orig", "resnet"])
@pytest.mark.parametrize("clamp", [None, 0.7])
def test_every_layout_gives_the_readable_network_s_pictures(kernel, kind, image_channels, clamp):
    network = make(dataclasses.replace(PLAIN, kind=kind, image_channels=image_channels, clamp=clamp))
    ws, form = styles(network, 3), NativeStyleGAN2(network, kernel)
    with torch.inference_mode():
        for mode in ("const", "none", "random"):
            wanted = network.synthesize(ws, Noise(mode, range(3)))
            got = form.synthesize(ws, Noise(mode, range(3)))
            assert_alike(got, wanted)
            assert np.array_equal(np.stack(to_uint8(got)), form.pictures(ws, Noise(mode, range(3))).numpy())


@needs_library
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    kind=st.sampled_from(["skip", "orig", "resnet"]),
    widths=st.tuples(st.integers(1, 40)),
    use_noise=st.booleans(),
    threads=st.integers(1, 5),
    batch=st.integers(1, 10),
)
def test_widths_of_any_kind_are_padded_rightly(channels, kind, widths, use_noise, threads, batch):
    mapping = dataclasses.replace(PLAIN.mapping, widths=widths)
    config = dataclasses.replace(
        PLAIN, mapping=mapping, channels=tuple(channels), kind=kind, use_noise=use_noise
    )
    network, name = make(config), sorted(libraries())[0]
    torch.set_num_threads(threads)
    form = NativeStyleGAN2(network, load_library(name, libraries()[name]))
    ws = styles(network, batch)
    with torch.inference_mode():
        assert_alike(form.synthesize(ws), network.synthesize(ws))


@pytest.mark.parametrize("kind", ["skip", "resnet"])
def test_a_picture_has_the_same_bits_in_every_batch_and_on_any_number_of_threads(kernel, kind):
    network = make(dataclasses.replace(PLAIN, channels=(70, 70, 70, 70, 33, 20), kind=kind))
    ws, form = styles(network, 11), NativeStyleGAN2(network, kernel)
    torch.set_num_threads(1)
    wanted = torch.cat([form.synthesize(ws[n : n + 1]) for n in range(11)])
    for threads, batch in itertools.product((1, 2, 3, 7), (1, 4, 11)):
        torch.set_num_threads(threads)
        got = torch.cat([form.synthesize(part) for part in ws.split(batch)])
        assert torch.equal(got, wanted), (threads, batch)


# Draws with sixteen threads, and again when the system grants hardly any new one; prints how many values differ, and
# how many threads came.
FEW_THREADS = """
import os, resource, threading, torch
from pathlib import Path
from metagan.live.native import native_kernel
from metagan.networks.stylegan2.native import NativeStyleGAN2
from tests.networks.alike import styles
from tests.networks.stylegan2.test_native import PLAIN, dataclasses, make

network = make(dataclasses.replace(PLAIN, channels=(256, 256, 256, 128, 64)))
ws, form = styles(network, 8), NativeStyleGAN2(network, native_kernel())
torch.set_num_threads(16)
wanted = form.synthesize(ws).numpy()
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (24 << 20),) * 2)
most, done = 0, False

def count():
    global most
    while not done:
        most = max(most, len(os.listdir("/proc/self/task")))

watcher = threading.Thread(target=count)
watcher.start()
before = len(os.listdir("/proc/self/task"))
got = [form.synthesize(ws).numpy() for _ in range(3)]  # numpy: OpenMP would end the process
done = True
watcher.join()
print(max(int((each != wanted).sum()) for each in got), most - before)
"""


@needs_library
@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory")
def test_fewer_threads_than_asked_for_draw_the_same(tmp_path):
    child = [sys.executable, "-c", FEW_THREADS]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differing, threads = map(int, done.stdout.split())
    assert threads < 15, "the system granted all"
    assert differing == 0


@needs_library
def test_sampled_pictures_have_the_same_bytes_in_every_batch_and_on_any_number_of_threads():
    generator = load_generator(read_checkpoint(bundled_weights("bagels")))

    def draw(batch: int, threads: int, **settings) -> np.ndarray:
        torch.set_num_threads(threads)
        sampler = Sampler(generator, torch.device("cpu"), batch)
        return np.stack([picture for _, picture in sampler.pictures(range(5), Settings(**settings))])

    for noise in ("const", "random"):
        wanted = draw(1, 1, psi=0.7, noise=noise)
        for batch, threads in ((2, 1), (5, 2), (3, 3)):
            assert np.array_equal(draw(batch, threads, psi=0.7, noise=noise), wanted)


def test_random_noise_belongs_to_the_seed_and_not_to_the_batch(kernel):
    network = make(PLAIN)
    ws, form = styles(network, 3), NativeStyleGAN2(network, kernel)
    together = form.synthesize(ws, Noise("random", (5, 6, 7)))
    assert torch.equal(together[1:2], form.synthesize(ws[1:2], Noise("random", (6,))))
    with pytest.raises(ShapeError, match="a seed for each of 3 pictures, got 1"):
        form.synthesize(ws, Noise("random", (1,)))


def test_two_threads_of_python_may_draw_at_once(kernel):
    network = make(PLAIN)
    ws, form = styles(network, 4), NativeStyleGAN2(network, kernel)
    wanted, made = form.synthesize(ws), []
    workers = [threading.Thread(target=lambda: made.append(form.synthesize(ws))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 4
    assert all(torch.equal(each, wanted) for each in made)


@pytest.mark.parametrize("name", OFFICIAL)
def test_golden_generators_are_drawn_as_their_authors_drew_them(kernel, name):
    network = load_generator(read_checkpoint(GOLDEN / name))
    assert isinstance(network, StyleGAN2)
    z = torch.from_numpy(np.load((GOLDEN / name).with_suffix(".npz"))["z"]).float()
    label = torch.eye(network.c_dim)[torch.arange(len(z)) % network.c_dim] if network.c_dim else None
    with torch.inference_mode():
        ws = network.map_latents(z, label)
        assert unsupported_by_kernel(network) == []
        assert_alike(NativeStyleGAN2(network, kernel).synthesize(ws), network.synthesize(ws))


def test_every_reference_vector_s_pictures_are_its_own(shared_vectors, kernel):
    checked = 0
    for path in sorted(itertools.chain(*(shared_vectors.glob(pattern) for pattern in VECTORS))):
        network = load_generator(read_checkpoint(path))
        assert isinstance(network, StyleGAN2)
        if unsupported_by_kernel(network):  # another activation, kernel or filter
            continue
        z = torch.from_numpy(np.load(path.with_suffix(".npz"))["z"]).float()
        label = torch.eye(network.c_dim)[torch.arange(len(z)) % network.c_dim] if network.c_dim else None
        with torch.inference_mode():
            ws = network.map_latents(z, label)
            assert_alike(NativeStyleGAN2(network, kernel).synthesize(ws), network.synthesize(ws))
        checked += 1
    assert checked >= (3 if isinstance(shared_vectors, Vectors) else 11)


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_generators_are_drawn_as_the_network_draws_them(kernel, name):
    network = load_generator(read_checkpoint(bundled_weights(name)))
    assert isinstance(network, StyleGAN2)
    with torch.inference_mode():
        ws = network.map_latents(latents(range(8), network.z_dim), psi=0.7)
        assert_alike(NativeStyleGAN2(network, kernel).synthesize(ws), network.synthesize(ws))


def test_what_the_kernel_does_not_draw_is_left_to_pytorch_with_a_reason():
    config = dataclasses.replace(
        PLAIN, activation="swish", kernel_size=1, image_channels=5, filter_shape=(8,)
    )
    reasons = unsupported_by_kernel(StyleGAN2(config))
    assert reasons == [
        "its activation is swish, want lrelu",
        "its kernels are 1x1, want 3x3",
        "its filter isn't [1, 3, 3, 1]",
        "its pictures have 5 channels, want 1 to 4",
    ]
    assert unsupported_by_kernel(make(PLAIN)) == []


def test_styles_of_another_shape_are_refused_before_the_kernel_sees_them(kernel):
    form = NativeStyleGAN2(make(PLAIN), kernel)
    for shape in ((1, 9, 9), (1, 10, 8)):
        with pytest.raises(ShapeError, match=r"want \[batch, 10, 9\], got \[1, "):
            form.synthesize(torch.zeros(shape))
    assert form.synthesize(torch.zeros(0, 10, 9)).shape == (0, 3, 64, 64)


def test_without_a_library_pytorch_draws_and_the_reason_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("METAGAN_KERNEL", "none")
    form = native_form(make(PLAIN))
    assert form == NoKernel("METAGAN_KERNEL is none")
    monkeypatch.setenv("METAGAN_KERNEL", "sse9")
    reason = native_kernel()
    assert isinstance(reason, NoKernel) and reason.reason.startswith(
        "METAGAN_KERNEL is 'sse9', and here there is"
    )
    monkeypatch.delenv("METAGAN_KERNEL")
    monkeypatch.setattr("metagan.live.native.KERNEL", tmp_path)
    assert native_kernel() == NoKernel("it was not compiled for this system when metagan was installed")


def test_a_library_that_cannot_be_loaded_is_a_reason_and_no_traceback(monkeypatch, tmp_path):
    for name in libraries():
        (tmp_path / f"kernel.{name}.so").write_bytes(b"\x7fELF and no more")
    if (KERNEL / "processor.so").is_file():
        shutil.copyfile(KERNEL / "processor.so", tmp_path / "processor.so")
    if not libraries():
        pytest.skip("no library was compiled for this processor")
    monkeypatch.setattr("metagan.live.native.KERNEL", tmp_path)
    reason = native_kernel()
    assert isinstance(reason, NoKernel) and reason.reason.startswith("its library can't be loaded:")


@pytest.mark.skipif(not (KERNEL / "processor.so").is_file(), reason="wants any library that isn't the kernel")
def test_a_library_of_other_sources_is_refused_before_it_is_called():
    with pytest.raises(
        OSError, match=r"compiled from other sources, and `python hatch_build.py` compiles it anew"
    ):
        load_library("x86-64-v4", KERNEL / "processor.so")


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="wants gcc and its sanitizers")
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_the_kernel_stays_within_its_memory_and_defined_behaviour(tmp_path, sanitizers):
    """Networks of odd widths in all layouts, filters of odd lengths and upscalers of odd sizes, by three threads, with
    every buffer as long as the kernel says."""
    program = tmp_path / "sanitized"
    sources = [*KERNEL.glob("*.c"), *(KERNEL / "native").glob("*.c"), ROOT / "tests" / "live" / "sanitize.c"]
    wide = [] if os.uname().machine == "aarch64" else ["-mavx2", "-mfma"]
    command = ["gcc", "-std=c11", "-O1", "-g", *wide, f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    subprocess.run([*command, "-pthread", "-o", program, *map(str, sources), "-lm"], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "15 networks, 5 upscalers\n"


EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@pytest.mark.slow
@pytest.mark.skipif(
    os.uname().machine != "x86_64" or not EMULATOR, reason="wants qemu's emulator of ARM processors"
)
def test_arm_processors_draw_what_others_do(tmp_path):
    """The same networks and upscalers, compiled for aarch64 and run by an emulator."""
    sources = [*KERNEL.glob("*.c"), *(KERNEL / "native").glob("*.c"), ROOT / "tests" / "live" / "sanitize.c"]
    common = ["-std=c11", "-O2", "-ffp-contract=off", "-pthread", *map(str, sources)]
    compilers = {
        "x86": ["-target", "x86_64-linux-musl", "-mcpu=x86_64_v3"],
        "arm": ["-target", "aarch64-linux-musl", "-mcpu=generic"],
    }
    drawn = {}
    for name, target in compilers.items():
        subprocess.run(
            [sys.executable, "-m", "ziglang", "cc", *target, "-o", tmp_path / name, *common], check=True
        )
        run = [EMULATOR] if name == "arm" else []
        subprocess.run(
            [*run, tmp_path / name, tmp_path / f"{name}.bin"], check=True, stdout=subprocess.DEVNULL
        )
        drawn[name] = np.fromfile(tmp_path / f"{name}.bin", np.float32)
    apart = np.abs(drawn["x86"] - drawn["arm"])
    assert drawn["x86"].std() > 1  # pictures, not zeros
    assert apart.max() <= 1  # a byte's level
    assert (apart > 0.01).mean() <= 0.001
