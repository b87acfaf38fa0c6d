"""docs/registry.md tells the truth."""

import re
from pathlib import Path

import pytest
from cogapp import Cog
from jsonschema import Draft202012Validator

from metagan.errors import RegistryError
from metagan.registry.read import read_registry
from metagan.registry.schema import schema
from metagan.registry.tree import read_tree

PAGE = Path(__file__).parents[2] / "docs" / "registry.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_generated_parts_are_up_to_date():
    assert Cog().main(["cog", "--check", str(PAGE)]) == 0, "run: cog -r docs/registry.md"


@pytest.mark.parametrize("example", EXAMPLES[:2])
def test_the_examples_are_valid_for_metagan_and_for_editors(example, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "hummingbirds.pkl").touch()
    (tmp_path / "hummingbirds.txt").touch()
    path = tmp_path / "registry.yaml"
    path.write_text(example)
    assert read_registry(path).subjects
    assert list(Draft202012Validator(schema()).iter_errors(read_tree(path).value)) == []


def test_the_example_of_mistakes_has_mistakes(tmp_path):
    (tmp_path / "registry.yaml").write_text(EXAMPLES[2])
    with pytest.raises(RegistryError):
        read_registry(tmp_path / "registry.yaml")
