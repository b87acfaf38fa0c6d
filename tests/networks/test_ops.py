"""Single operations against the published code's results (shared reference vectors), and against arithmetic by hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.errors import ShapeError
from metagan.networks import ops


def operations(folder: Path) -> Iterator[tuple[str, dict, dict[str, torch.Tensor]]]:
    with np.load(folder / "ops" / "ops_sg2.npz") as file:
        for name, arguments in json.loads(str(file["info"])).items():
            arrays = {
                key.split("/")[1]: torch.from_numpy(file[key])
                for key in file.files
                if key.startswith(f"{name}/")
            }
            yield name, arguments, arrays


def run(arguments: dict, a: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """Our result for a stored operation; None for one that metagan has no use for."""
    op = arguments["op"]
    if op == "setup_filter" and arguments["f"] and not {"gain", "normalize"} & arguments.keys():
        return ops.make_taps(tuple(arguments["f"]))
    if op == "upsample2d":
        return ops.upsample(a["x"], a["f"])
    if op == "downsample2d":
        return ops.downsample(a["x"], a["f"])
    if op == "bias_act" and "alpha" not in arguments and a["x"].ndim == 4:
        return ops.activate(a["x"] + a["b"][:, None, None], arguments["act"])
    if op == "normalize_2nd_moment":
        return ops.normalize_second_moment(a["x"])
    if op == "MinibatchStdLayer":
        return ops.minibatch_std(a["x"], arguments["group_size"], arguments["num_channels"])
    if op == "FullyConnectedLayer":
        layer = ops.Dense(6, 5, activation=arguments["activation"], lr_multiplier=arguments["lr_multiplier"])
        layer.load_state_dict({"weight": a["weight"], "bias": a["bias"]})
        return layer(a["x"])
    if op == "conv2d_resample":
        return resampled(arguments, a)
    return None


def resampled(arguments: dict, a: dict[str, torch.Tensor]) -> torch.Tensor | None:
    up, down = arguments.get("up", 1), arguments.get("down", 1)
    if arguments.get("groups", 1) != 1 or (up == 2 and down == 2):
        return None
    k = a["w"].shape[-1]
    # What the network does: upsampling kernels of 3x3 are convolved ("flip_weight": false), all others correlated.
    if k == 3 and arguments.get("flip_weight", True) == (up == 2):
        return None
    if k == 1 and arguments.get("flip_weight", True) is False:
        return None
    taps = a["f"]
    return ops.convolve(
        a["x"], a["w"], up_taps=taps if up == 2 else None, down_taps=taps if down == 2 else None
    )


def test_operations_give_the_published_results(shared_vectors):
    checked = []
    for name, arguments, arrays in operations(shared_vectors):
        result = run(arguments, arrays)
        if result is not None:
            np.testing.assert_allclose(result.detach(), arrays["y"], atol=2e-6, rtol=2e-6, err_msg=name)
            checked.append(name)
    assert len(checked) >= 35, checked


def test_a_modulated_convolution_is_the_convolution_with_demodulated_kernels():
    generator = torch.Generator().manual_seed(0)
    x, weight, s = (torch.randn(shape, generator=generator) for shape in ((3, 4, 5, 5), (6, 4, 3, 3), (3, 4)))
    ours = ops.convolve(x * s[:, :, None, None], weight) * ops.demodulation(weight, s)[:, :, None, None]
    for one in range(3):
        kernels = weight * s[one][None, :, None, None]
        kernels = kernels / kernels.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        assert torch.allclose(ours[one], torch.conv2d(x[one : one + 1], kernels, padding=1)[0], atol=1e-5)


def test_minibatch_std_groups_are_strided():
    x = torch.tensor([0.0, 10.0, 2.0, 10.0]).view(4, 1, 1, 1)  # groups {0, 2} and {10, 10}
    assert ops.minibatch_std(x, 2, 1)[:, 1].flatten().tolist() == pytest.approx([1.0, 1e-4, 1.0, 1e-4])


def test_a_batch_that_does_not_fill_its_groups_is_refused():
    with pytest.raises(ShapeError, match="batch divisible by 2"):
        ops.minibatch_std(torch.zeros(3, 4, 2, 2), 2, 1)


@pytest.mark.parametrize("name", [name for name, a in ops.ACTIVATIONS.items() if a.homogeneous])
def test_a_homogeneous_activation_lets_a_positive_gain_pass(name):
    x = torch.linspace(-3, 3, 13)
    function = ops.ACTIVATIONS[name].function
    assert torch.allclose(function(2.5 * x), 2.5 * function(x))


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("taps", [torch.rand(3, 3), torch.rand(4, 4), torch.rand(8)], ids=["odd", "2d", "1d"])
def test_filters_have_exact_first_and_second_derivatives(taps, up, down):
    x = torch.randn(1, 1, 4, 6, dtype=torch.float64, requires_grad=True)

    def function(x: torch.Tensor) -> torch.Tensor:
        return ops.filter_fir(x, taps.double(), (3, 2), gain=4, up=up, down=down).square()

    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_filters_give_the_same_with_and_without_gradients():
    x, taps = torch.randn(2, 3, 8, 8), ops.make_taps((1, 3, 3, 1))
    with_gradients = ops.upsample(x.clone().requires_grad_(), taps)
    assert torch.equal(with_gradients, ops.upsample(x, taps))


def test_upsampling_is_zero_insertion_and_filtering():
    x, taps = torch.randn(1, 1, 4, 4), torch.rand(4, 4)
    spread = torch.zeros(1, 1, 8, 8)
    spread[:, :, ::2, ::2] = x
    padded = torch.nn.functional.pad(spread, (2, 1, 2, 1))
    want = torch.nn.functional.conv2d(padded, 4 * taps.flip((0, 1))[None, None])
    assert torch.allclose(ops.upsample(x, taps), want, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_kernel_and_filter_composed_give_what_one_after_the_other_gives(direction, k):
    source = torch.Generator().manual_seed(0)
    x, weight, bias, taps = (
        torch.rand(shape, generator=source, dtype=torch.float64)
        for shape in ((2, 5, 8, 8), (7, 5, k, k), (7,), (4, 4))
    )
    given = None if direction == "up" else bias
    want = ops.convolve(x, weight, given, **{f"{direction}_taps": taps})
    got = ops.convolve_composed(x, weight, given, taps, up=direction == "up")
    assert torch.allclose(got, want, atol=1e-12)
