"""Whatever a file says of itself beside its tensors, of any type: a network comes of it, or a clean error."""

import copy
import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metagan.checkpoints.model import Checkpoint, NetworkRecord
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.networks.loading.forms import describe

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = ("sg2ada_cuda16.pkl", "sg3t_cond16.pkl", "r3_cond32.pkl", "tf_ada_cond16.pkl")
ODD: tuple[Any, ...] = (
    None, True, -1, 10**30, float("nan"), float("inf"), "\x1b[31m", b"\x00", [], {}, {"a": [None]}, {1, 2},
    np.zeros(2), np.zeros((2, 2)), np.array([]), np.array("text"), [np.zeros(2), np.zeros(2)], [[0, 1], [2, 3]],
    np.array([np.nan]),
)  # fmt: skip


def changed(attributes: Mapping[str, Any], odd: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attributes with one of them, or one entry of a dict or list among them, in other words."""
    for name, value in attributes.items():
        yield name, {**attributes, name: odd}
        if isinstance(value, dict):
            for key in value:
                yield f"{name}[{key}]", {**attributes, name: {**value, key: odd}}
        elif isinstance(value, list) and value:
            yield f"{name}[0]", {**attributes, name: [odd, *value[1:]]}


def is_refused(load: Callable[[Checkpoint], object], checkpoint: Checkpoint, what: str) -> bool:
    """Whether loading ends in a clean error; it fails the test if it ends in any other."""
    try:
        load(checkpoint)
    except CheckpointError as error:
        assert "\x1b" not in str(error), what
        return True
    except Exception as error:  # noqa: BLE001  to be told with its place
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    return False


@pytest.mark.parametrize("most", [4, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("role", ["G_ema", "D"])
@pytest.mark.parametrize("file", FILES)
def test_odd_attributes_give_a_network_or_a_clean_error(file, role, most):
    checkpoint = read_checkpoint(GOLDEN / file)
    record = checkpoint.networks.get(role)
    if record is None:
        pytest.skip("has no such network")
    load = load_generator if role == "G_ema" else load_discriminator
    chance, refused = random.Random(0), 0
    for odd in ODD:
        places = list(changed(record.attributes, odd))
        for name, attributes in chance.sample(places, min(most, len(places))):
            other = NetworkRecord(record.class_name, record.tensors, attributes)
            strange = dataclasses.replace(checkpoint, networks={**checkpoint.networks, role: other})
            refused += is_refused(load, strange, f"{name} = {odd!r}")
    assert refused


# --------------------------------------------------------------------------------------------
# Headers of metagan's own files

OWN = (*FILES, "ros_train16.pt", "luc_16_attn_noconst/model_0.pt", "keras_dcgan32.zip")
ODD_ENTRIES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**70, 0.5, -1e308, float("nan"), float("inf"), "\x1b[31m", [], [0], [2**70],
    [-1, -1], {}, {"a": 1},
)  # fmt: skip


def entries(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Where entries lie in nested dicts and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inner:
        yield (key,)
        yield from ((key, *rest) for rest in entries(entry))


def with_entry(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    """The same with one entry in other words."""
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    return changed


@pytest.mark.parametrize("most", [5, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("file", OWN)
def test_odd_configurations_give_a_network_or_a_clean_error(file, most):
    path = GOLDEN / file
    generator = load_generator(read_checkpoint(path))
    header = describe(generator)
    plain = json.loads(json.dumps(header.configuration))
    record = NetworkRecord("own", generator.state_dict(), {})
    places = list(entries(plain))
    chance, refused = random.Random(0), 0
    for odd in ODD_ENTRIES:
        for place in chance.sample(places, min(most, len(places))):
            strange = dataclasses.replace(header, configuration=with_entry(plain, place, odd))
            own = Checkpoint(path, "own", {"G_ema": record}, header=strange)
            refused += is_refused(load_generator, own, f"{place} = {odd!r}")
    assert refused
