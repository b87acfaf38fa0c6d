"""The JSON Schema, as editors use it."""

import copy

import pytest
import yaml
from jsonschema import Draft202012Validator

from metagan.registry.schema import schema
from tests.registry.conftest import VALID
from tests.registry.test_read import FULL, GOLDEN, HASH


def errors(registry):
    found = Draft202012Validator(schema()).iter_errors(registry)
    return sorted(".".join(map(str, error.path)) for error in found)


def test_the_schema_is_a_valid_schema():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [VALID, FULL.replace("picture_pages: no", "picture_pages: false")])
def test_good_registries_fit(text):
    assert errors(yaml.safe_load(text)) == []


def test_every_mistake_that_an_editor_can_see_is_seen():
    found = errors(yaml.safe_load((GOLDEN / "mistakes.yaml").read_text()))
    assert found == sorted(
        [
            "defaults.format",
            "defaults.psi",
            "site",
            "site.base_url",
            "site.theme.accent",
            "site.title",
            "subjects",  # the slug that is no slug
            "subjects",  # the slug that is reserved
            "subjects.api.images",
            "subjects.api.licence",
            "subjects.api.sha256",
            "subjects.cat",
            "subjects.dog",  # truncation
            *["subjects.dog"] * 4,  # title, weights, licence, source
            "subjects.dog.class",
            "subjects.dog.exclude",
            *["subjects.dog.noise"] * 2,  # its type, and its choices
            "subjects.dog.text",
        ]
    )


def test_remote_weights_must_state_their_hash():
    registry = yaml.safe_load(VALID)
    subject = registry["subjects"]["hummingbird"]
    for weights in ("https://example.org/x.pkl", "hf://owner/repo/x.pkl"):
        subject["weights"] = weights
        assert errors(registry) == ["subjects.hummingbird"]
        assert errors(copy.deepcopy(registry) | {"subjects": {"x": {**subject, "sha256": HASH}}}) == []


def test_nothing_may_be_null():
    registry = yaml.safe_load(VALID)
    registry["subjects"]["hummingbird"] |= {"psi": None, "class": None, "exclude": None}
    assert len(errors(registry)) == 3


def test_every_key_has_a_description_and_every_value_an_example():
    found = schema()
    for definition in [found, *found["$defs"].values()]:
        assert definition["description"]
        for key, value in definition["properties"].items():
            target = found["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert value.get("description") or target["description"], key
            assert "$ref" in value or key == "subjects" or value["examples"], key


def test_the_examples_fit_their_own_schema():
    found = schema()
    for definition in found["$defs"].values():
        for key, value in definition["properties"].items():
            for example in value.get("examples", []):
                assert list(Draft202012Validator(value).iter_errors(example)) == [], key
