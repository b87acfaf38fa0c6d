"""The exception tree, and how a user meets it."""

import pytest

from metagan.errors import MetaganError, Problem, RegistryError


def test_a_registry_error_lists_every_problem_with_its_fix():
    problems = [
        Problem("registry.yaml:6:13", "want 64 hex digits, got 'abc'", "paste the hash"),
        Problem("r:1:1", "x", "y"),
    ]
    with pytest.raises(MetaganError) as caught:
        raise RegistryError(problems)
    assert str(caught.value) == (
        "registry.yaml:6:13: want 64 hex digits, got 'abc'\n  fix: paste the hash\nr:1:1: x\n  fix: y"
    )
