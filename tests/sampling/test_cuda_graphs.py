"""What records and replays: with operations recorded on the CPU here, with CUDA graphs in test_gpu.py."""

import pytest
import torch

from metagan.networks.generator import Noise
from metagan.networks.stylegan2.fast import prepare
from metagan.sampling.cuda_graphs import WARM_UPS, GraphRunner, RecordedSynthesis
from tests.cpu_graphs import CpuGraphs
from tests.networks.stylegan2.test_network import PLAIN, make

CPU = torch.device("cpu")


def test_on_a_processor_a_part_is_called_each_time():
    runner, calls = GraphRunner(CPU), []
    for _ in range(WARM_UPS + 3):
        with runner.stream():
            runner.run("part", lambda: calls.append(1))
    assert not runner.records
    assert len(calls) == WARM_UPS + 3


@pytest.mark.parametrize("records", [False, True])
def test_a_part_is_recorded_after_its_warm_ups_and_replayed_from_then_on(records):
    captured, calls = CpuGraphs(), []
    total, value = torch.zeros(()), torch.zeros(())
    runner = GraphRunner(CPU, records=records, capture=captured)

    def part() -> None:
        calls.append(1)
        total.add_(value * 2)

    for number in range(8):
        value.fill_(number)
        runner.run("part", part)
    assert total == 2 * sum(range(8))
    assert len(calls) == (WARM_UPS + 1 if records else 8)
    assert captured.replays == (8 - WARM_UPS if records else 0)


def test_what_is_forgotten_is_recorded_anew():
    captured, calls = CpuGraphs(), []
    runner = GraphRunner(CPU, capture=captured)
    for _ in range(2):
        for _ in range(WARM_UPS + 2):
            runner.run("part", lambda: calls.append(1))
        runner.forget()
    assert len(captured.graphs) == 2
    assert len(calls) == 2 * (WARM_UPS + 1)


def test_recorded_pictures_follow_their_styles_noise_and_batch():
    network = make(PLAIN)
    form, captured = prepare(network, torch.float32), CpuGraphs()
    recorded = RecordedSynthesis(form, GraphRunner(CPU, capture=captured))
    rng = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for mode in ("const", "none", "random"):
            for batch in (2, 2, 2, 2, 2, 3, 3, 3, 3, 2):
                ws = torch.randn(batch, network.num_ws, network.w_dim, generator=rng)
                got = recorded.synthesize(ws, Noise(mode, range(batch)))
                want = form.synthesize(ws, Noise(mode, range(batch)))
                assert torch.equal(got, want), (mode, batch)
    assert captured.replays == 2 * (3 + 2)  # of five and four calls in a row, for two modes


def test_pictures_already_handed_out_are_not_drawn_over():
    network = make(PLAIN)
    form = prepare(network, torch.float32)
    recorded = RecordedSynthesis(form, GraphRunner(CPU, capture=CpuGraphs()))
    rng = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        styles = [torch.randn(1, network.num_ws, network.w_dim, generator=rng) for _ in range(5)]
        images = [recorded.synthesize(ws) for ws in styles]
        for got, ws in zip(images, styles, strict=True):
            assert torch.equal(got, form.synthesize(ws))
