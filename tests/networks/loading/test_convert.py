"""Conversion to metagan's own format, and what `inspect` says of a file."""

from pathlib import Path

import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.cli.inspect import summarize
from metagan.errors import CheckpointError, OptionError
from metagan.networks.loading import convert as convert_module
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import load_generator

GOLDEN = Path(__file__).parents[2] / "golden"
CONDITIONAL = GOLDEN / "sg2ada_cuda16.pkl"


def test_conversion_is_bit_exact_and_keeps_licence_source_and_facts(tmp_path):
    target = tmp_path / "own" / "cuda.safetensors"
    header = convert(CONDITIONAL, target, licence="CC0-1.0", origin="https://example.org/cuda.pkl")
    again = tmp_path / "again.safetensors"
    assert convert(target, again) == header
    assert again.read_bytes() == target.read_bytes()
    before = load_generator(read_checkpoint(CONDITIONAL)).state_dict()
    after = load_generator(read_checkpoint(target)).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_half_precision_halves_the_file_and_stays_within_its_rounding(tmp_path):
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    convert(CONDITIONAL, full)
    convert(CONDITIONAL, half, half=True)
    before, after = (load_generator(read_checkpoint(path)).state_dict() for path in (full, half))
    assert all(torch.allclose(before[name], after[name], rtol=1e-3, atol=1e-6) for name in before)
    tensors = sum(tensor.numel() for tensor in before.values())
    assert full.stat().st_size - half.stat().st_size == pytest.approx(2 * tensors, abs=64)


def test_weights_beyond_half_precision_are_named_before_anything_is_written(tmp_path):
    convert(CONDITIONAL, tmp_path / "full.safetensors")
    checkpoint = read_checkpoint(tmp_path / "full.safetensors")
    tensors = dict(checkpoint.networks["G_ema"].tensors)
    tensors["constant"] = torch.full_like(tensors["constant"], 1e5)
    write_safetensors(tmp_path / "full.safetensors", tensors, checkpoint.header)
    with pytest.raises(OptionError, match=r"exceeded in constant\n  fix: convert it without --half"):
        convert(tmp_path / "full.safetensors", tmp_path / "half.safetensors", half=True)
    assert [path.name for path in tmp_path.iterdir()] == ["full.safetensors"]


def test_a_file_that_reads_back_different_never_takes_its_place(tmp_path, monkeypatch):
    write = convert_module.write_safetensors

    def garble(path, tensors, header, check):
        write(path, {name: tensor + 1 for name, tensor in tensors.items()}, header, check)

    monkeypatch.setattr(convert_module, "write_safetensors", garble)
    with pytest.raises(CheckpointError, match=r"/x\.safetensors: .* read back different in "):
        convert(CONDITIONAL, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_summary_says_what_registry_authors_need(tmp_path):
    target = tmp_path / "x.safetensors"
    convert(CONDITIONAL, target, licence="CC0-1.0")
    summary = summarize(target)
    assert (summary["architecture"], summary["resolution"], summary["c_dim"]) == ("StyleGAN2", 16, 2)
    assert summary["licence"] == "CC0-1.0"
    assert len(summary["sha256"]) == 64
    official = summarize(CONDITIONAL)
    assert list(official["networks"]) == ["G", "D", "G_ema"]
    assert official["parameters"] == summary["parameters"]


def test_a_readable_file_without_a_known_network_is_described_all_the_same(tmp_path):
    strange = tmp_path / "strange.pt"
    torch.save({"conv.weight": torch.zeros(3, 3)}, strange)
    summary = summarize(strange)
    assert summary["architecture"] is None
    assert "no known architecture; nearest is " in summary["problem"]
    assert summary["networks"]["G_ema"]["tensors"] == 1
