"""Lazy regularisation's correction, the rate's decay and the moving average, by arithmetic."""

import pytest
import torch
from torch import nn

from metagan.training.optimize import adam_tensors, lazy_correction, make_adam, restore_adam
from metagan.training.trainer import decay, ema_weight, scale_rate, update_average


def test_lazy_regularisation_scales_rate_and_betas():
    assert lazy_correction(16) == pytest.approx(16 / 17)
    assert lazy_correction(0) == 1
    adam = make_adam(nn.Linear(2, 1), 0.0025, 4)
    assert adam.defaults["lr"] == pytest.approx(0.002)
    assert adam.defaults["betas"] == pytest.approx((0.0, 0.99**0.8))


def test_corrected_adam_remembers_as_long_as_uncorrected_adam():
    # Over 16 steps of the loss there are 17 of the optimiser; the memory that is left is the same.
    beta = make_adam(nn.Linear(1, 1), 0.002, 16).defaults["betas"][1]
    assert beta**17 == pytest.approx(0.99**16)
    rate = make_adam(nn.Linear(1, 1), 0.002, 16).defaults["lr"]
    assert rate * 17 == pytest.approx(0.002 * 16)


def test_the_rate_falls_with_the_square_root_of_the_pictures_seen():
    assert [decay(seen, 20) for seen in (0, 10_000, 20_000)] == [1, 1, 1]
    assert decay(80_000, 20) == pytest.approx(1 / 2)
    assert decay(2_000_000, 20) == pytest.approx(1 / 10)
    assert decay(2_000_000, 0) == 1


def test_a_scaled_rate_keeps_its_correction():
    adam = make_adam(nn.Linear(2, 1), 0.0025, 4)
    for factor in (0.5, 0.25):  # each of the rate it was made with, not of the last
        scale_rate(adam, factor)
        assert [group["lr"] for group in adam.param_groups] == [pytest.approx(0.002 * factor)]


def test_the_average_has_the_half_life_it_is_given():
    assert ema_weight(batch=1000, seen=10**9, half_life_kimg=10, rampup=0.05) ** 10 == pytest.approx(0.5)


def test_the_averages_half_life_is_a_share_of_the_pictures_seen_at_first():
    assert ema_weight(batch=50, seen=1000, half_life_kimg=10, rampup=0.05) == pytest.approx(0.5)
    assert ema_weight(batch=50, seen=0, half_life_kimg=10, rampup=0.05) == 0
    assert ema_weight(batch=50, seen=0, half_life_kimg=0.05, rampup=0) == pytest.approx(0.5)


def test_the_average_moves_parameters_and_copies_buffers():
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        average.weight.fill_(1), network.weight.fill_(5), network.running_mean.fill_(7)
    update_average(average, network, 0.75)
    assert average.weight.item() == 2
    assert average.running_mean.item() == 7


def test_adam_goes_on_from_its_tensors_bit_by_bit():
    def train(network, adam, steps):
        for step in range(steps):
            source = torch.Generator().manual_seed(step + int(adam_steps(adam)))
            loss = network(torch.randn(8, 3, generator=source)).square().mean()
            loss.backward()
            adam.step()
            adam.zero_grad()

    def adam_steps(adam):
        return next((memory["step"] for memory in adam.state.values()), 0)

    def names(network):
        return {parameter: name for name, parameter in network.named_parameters()}

    torch.manual_seed(0)
    straight = nn.Linear(3, 2)
    resumed = nn.Linear(3, 2)
    resumed.load_state_dict(straight.state_dict())
    adams = [make_adam(network, 0.01, 4) for network in (straight, resumed)]
    for network, adam in zip((straight, resumed), adams, strict=True):
        train(network, adam, 3)
    stored = {name: tensor.clone() for name, tensor in adam_tensors(adams[1], names(resumed)).items()}
    fresh = make_adam(resumed, 0.01, 4)
    restore_adam(fresh, names(resumed), stored)
    train(straight, adams[0], 3)
    train(resumed, fresh, 3)
    assert torch.equal(straight.weight, resumed.weight)
