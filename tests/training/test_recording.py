"""What plays a step's parts, on a processor; test_gpu.py has the rest."""

import torch

from metagan.training.recording import WARM_UPS, Recorder


def test_on_a_processor_a_part_is_called_each_time():
    recorder, calls = Recorder(torch.Generator()), []
    for _ in range(WARM_UPS + 3):
        with recorder.stream():
            recorder.play("part", lambda: calls.append(1))
    assert not recorder.records
    assert len(calls) == WARM_UPS + 3


def test_on_a_processor_an_input_is_the_very_tensor():
    value = torch.ones(3)
    assert Recorder(torch.Generator()).hold("input", value) is value
