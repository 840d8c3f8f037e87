"""The official description of the SaladCloud API, where the environment variable SALADCLOUD_OPENAPI names the file."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker

OFFICIAL_FILE = os.environ.get("SALADCLOUD_OPENAPI", "")


class CoreSchemaLoader(yaml.SafeLoader):
    """YAML 1.2: only true and false are booleans, so that the country `no` stays a string; times stay strings too."""


CoreSchemaLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
CoreSchemaLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


@functools.cache
def official_document() -> dict[str, Any]:
    """The whole description; read-only."""
    document: dict[str, Any] = yaml.load(Path(OFFICIAL_FILE).read_text("utf-8"), CoreSchemaLoader)
    return document


@functools.cache
def _validator(schema: str) -> Any:
    document = official_document()
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return OAS31Validator(wanted, format_checker=oas31_format_checker)


def violations(schema: str, value: object) -> list[str]:
    """What the official description says against a value; empty also when the file is not at hand."""
    if not OFFICIAL_FILE:
        return []
    return [f"{error.json_path}: {error.message}" for error in _validator(schema).iter_errors(value)]
