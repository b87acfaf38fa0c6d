"""Whole files: genuine ones are read right, others are explained."""

from pathlib import Path

import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MetaganError
from tests.checkpoints.builder import write_official_pickle

TENSORS = {
    "synthesis.b4.const": torch.randn(3, 4, 4),
    "synthesis.b4.conv1.weight": torch.randn(3, 3, 3, 3).contiguous(memory_format=torch.channels_last),
    "synthesis.b4.conv1.noise_strength": torch.tensor(0.5),
    "synthesis.b4.resample_filter": torch.rand(4, 4),
    "mapping.w_avg": torch.randn(5),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_an_official_pickle_gives_its_tensors_bit_by_bit_under_dotted_names(tmp_path: Path, protocol: int):
    path = write_official_pickle(
        tmp_path / "net.pkl",
        TENSORS,
        {"_init_kwargs": {"z_dim": 5}, "synthesis.b4.conv1.up": 1},
        protocol=protocol,
        training_set_kwargs={"path": "a"},
    )
    checkpoint = read_checkpoint(path)
    record = checkpoint.networks["G_ema"]
    assert record.class_name == "Generator"
    assert record.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(record.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert record.attributes == {"_init_kwargs": {"z_dim": 5}, "synthesis.b4.conv1.up": 1}
    assert checkpoint.facts == {"training_set_kwargs": {"path": "a"}}


def test_channels_last_strides_are_kept(tmp_path: Path):
    path = write_official_pickle(tmp_path / "net.pkl", TENSORS)
    weight = read_checkpoint(path).networks["G_ema"].tensors["synthesis.b4.conv1.weight"]
    assert weight.stride() == TENSORS["synthesis.b4.conv1.weight"].stride()


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(MetaganError, match=r"none\.pkl: No such file"):
        read_checkpoint(tmp_path / "none.pkl")
