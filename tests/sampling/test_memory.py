"""Batches by free memory."""

from pathlib import Path

import pytest
import torch

from metagan.sampling import memory
from metagan.sampling.memory import automatic_batch, fit_batch, free_memory

CPU = torch.device("cpu")


def test_where_memory_is_plenty_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: memory.PLENTY_BYTES)
    assert fit_batch(256, CPU, lambda batch: pytest.fail(f"drew {batch}")) == automatic_batch(256) == 8


@pytest.mark.parametrize(("free_mb", "fits"), [(1000, 8), (550, 4), (130, 1), (10, 1)])
def test_where_it_is_not_a_batch_takes_at_most_its_share(monkeypatch, free_mb, fits):
    monkeypatch.setattr(memory, "free_memory", lambda: free_mb << 20)
    sizes = iter([200 << 20, 300 << 20])  # what the process had, and its peak: 100 MB a picture
    monkeypatch.setattr(memory, "_status", lambda name: next(sizes))
    assert fit_batch(256, CPU, lambda batch: None) == fits


def test_free_memory_is_told_in_bytes():
    assert 2**20 < free_memory() < 2**50


def test_a_container_s_limit_counts_where_it_is_less(monkeypatch):
    limits = {"/sys/fs/cgroup/memory.max": 1 << 20, "/sys/fs/cgroup/memory.current": 1 << 19}
    monkeypatch.setattr(memory, "_number", limits.get)
    assert free_memory() == 1 << 19
    limits["/sys/fs/cgroup/memory.max"] = None  # "max": no limit
    assert free_memory() > 1 << 20


def test_kept_files_are_free_memory_in_containers_of_both_kinds(tmp_path, monkeypatch):
    for version, (limit, used, kept) in enumerate(memory.CGROUPS):
        folder = tmp_path / str(version)
        folder.mkdir()
        names = [folder / Path(each).name for each in (limit, used)]
        names[0].write_text(f"{8 << 20}\n")
        names[1].write_text(f"{7 << 20}\n")
        (folder / "memory.stat").write_text(f"anon 5\n{kept} {3 << 20}\nslab 7\n")
        monkeypatch.setattr(memory, "CGROUPS", ((*map(str, names), kept),))
        assert free_memory() == 4 << 20


def test_freed_memory_is_kept_where_the_c_library_can_and_nothing_happens_elsewhere(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> int:
            calls.append((parameter, value))
            return 1

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Library())
    monkeypatch.setattr(memory.sys, "platform", "linux")
    with pytest.raises(KeyError), memory.keep_freed_memory():
        assert calls == [(memory.M_MMAP_MAX, 0), (memory.M_TRIM_THRESHOLD, 2**31 - 1)]
        raise KeyError
    assert calls[2:] == [(memory.M_MMAP_MAX, 65536), (memory.M_TRIM_THRESHOLD, 64 << 20)]
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    with memory.keep_freed_memory():
        assert len(calls) == 4
