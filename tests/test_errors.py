"""The exception tree, and how a user meets it."""

import pickle
from pathlib import Path

import pytest

from metagan.errors import CheckpointError, Location, MetaganError, Problem, RegistryError, UnsafeFileError


def test_an_error_is_data_and_becomes_text_once():
    error = CheckpointError("the file is empty", where=Path("ape.pkl"), fix="download it again")
    assert (error.where, error.what, error.fix) == (Path("ape.pkl"), "the file is empty", "download it again")
    assert str(error) == "ape.pkl: the file is empty\n  fix: download it again"
    assert str(CheckpointError("no network")) == "no network"


def test_a_registry_error_lists_every_problem_with_its_fix():
    problems = [
        Problem(Location("registry.yaml", 6, 13), "want 64 hex digits, got 'abc'", "paste the hash"),
        Problem(Location("r", 1, 1), "x", "y"),
    ]
    with pytest.raises(MetaganError) as caught:
        raise RegistryError.of(problems)
    assert caught.value.problems == tuple(problems)
    assert str(caught.value) == (
        "registry.yaml:6:13: want 64 hex digits, got 'abc'\n  fix: paste the hash\nr:1:1: x\n  fix: y"
    )


def test_an_error_about_a_part_of_a_file_can_be_given_the_file():
    part = UnsafeFileError("it wants code run", where="byte 7", fix="get another")
    whole = part.at(Path("a.pkl"))
    assert type(whole) is UnsafeFileError
    assert str(whole) == "a.pkl: byte 7: it wants code run\n  fix: get another"
    assert whole.at(Path("a.pkl")) is whole


def test_errors_cross_processes_whole():
    error = pickle.loads(pickle.dumps(UnsafeFileError("x", where=Location("a", 1), fix="y")))
    assert type(error) is UnsafeFileError
    assert error.problems == (Problem(Location("a", 1), "x", "y"),)
