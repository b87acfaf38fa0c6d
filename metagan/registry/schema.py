"""The registry's JSON Schema, with which editors complete and check registry.yaml."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from metagan.registry.fields import RESERVED_SLUGS
from metagan.registry.models import Drawing, RegistryFile, Wording

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REMOTE_PATTERN = "^(https?|hf)://"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of registry.yaml, as plain JSON values.

    It can't check whether files exist and what their networks accept.
    """
    found = RegistryFile.model_json_schema(schema_generator=_WithoutNull)
    subjects = found["properties"]["subjects"]
    subjects["additionalProperties"] = False
    subjects["propertyNames"] = {"not": {"enum": list(RESERVED_SLUGS)}, "maxLength": 64}
    found["$defs"]["Subject"]["if"] = {
        "properties": {"weights": {"pattern": REMOTE_PATTERN}},
        "required": ["weights"],
    }
    found["$defs"]["Subject"]["then"] = {"required": ["sha256"]}
    found["$defs"]["Subject"]["dependentRequired"] = {"traits": ["collection"], "reals_licence": ["reals"]}
    for key in (
        *Drawing.model_fields,
        *Wording.model_fields,
    ):  # a subject's defaults are those of its registry
        found["$defs"]["Subject"]["properties"][key].pop("default", None)
    return {"$schema": DIALECT, **found}


class _WithoutNull(GenerateJsonSchema):
    """Omits null from the types of optional keys, because a key that is present must have a value."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") in (None, (), ""):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)
