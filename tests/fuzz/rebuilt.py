"""Sound files about unsound networks: a genuine network's tensors and attributes changed, then written afresh."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from random import Random

import torch

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from tests.checkpoints.builder import module_tree, pickled
from tests.fuzz.cases import Case
from tests.networks.loading.test_mutations import mutated

FEWEST = 8  # tensors of a network that is worth changing


def rebuilt(case: Case, chance: Random) -> Case | None:
    """The case's networks with something wrong in them, in a file of its own kind; None for other kinds."""
    checkpoint = _read(case)
    if checkpoint is None or any(len(net.tensors) < FEWEST for net in checkpoint.networks.values()):
        return None
    if checkpoint.format.startswith("official"):
        networks = {role: mutated(record, chance) for role, record in checkpoint.networks.items()}
        trees = {role: module_tree(record.tensors, record.attributes) for role, record in networks.items()}
        return case.with_file(case.entry, pickled(trees, chance.choice((2, 3, 4, 5))))
    if checkpoint.format.startswith("rosinality"):
        keys = {"G": "g", "D": "d", "G_ema": "g_ema"}
        tables = {keys[role]: dict(mutated(net, chance).tensors) for role, net in checkpoint.networks.items()}
        average = tables.get("g_ema", {}).pop("latent_avg", None)
        return _saved(case, tables if average is None else tables | {"latent_avg": average}, chance)
    if checkpoint.format.startswith("lucidrains"):
        tables = [dict(mutated(network, chance).tensors) for network in checkpoint.networks.values()]
        return _saved(
            case, {"GAN": {k: v for table in tables for k, v in table.items()}, "version": "1"}, chance
        )
    return None


@cache
def _read_cached(seed: str, entry: str, content: bytes) -> Checkpoint | None:
    if not content:
        return None
    folder = Path(tempfile.mkdtemp(prefix="metagan-fuzz-"))
    path = Case(seed, entry, {entry: content}).write(folder)
    try:
        return read_checkpoint(path)
    except Exception:  # noqa: BLE001  hostile files are no seeds of networks
        return None
    finally:
        path.unlink()
        folder.rmdir()


def _read(case: Case) -> Checkpoint | None:
    return _read_cached(case.seed, case.entry, case.content)


def _saved(case: Case, content: object, chance: Random) -> Case:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=chance.random() < 0.7)
    return case.with_file(case.entry, stream.getvalue())
