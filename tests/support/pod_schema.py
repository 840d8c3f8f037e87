"""The fields of a pod's spec, from the official client and from an API server's own OpenAPI, and the one rule by which
both are held against the published table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import kubernetes.client

from virtual_kubelet_salad.kubelet.refusal_table import OTHER_VOLUME, TABLE, Row

Schema = Mapping[str, Any]

_POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_REFERENCE = "#/components/schemas/"


def without_row(fields: Iterable[str], table: Iterable[Row] = TABLE) -> list[str]:
    """Fields of which the table does not say what becomes of them."""
    rows = rows_by_path(table)
    return [field for field in fields if row_of(field, rows) is None]


def rows_by_path(table: Iterable[Row] = TABLE) -> dict[str, Row]:
    return {path: row for row in table for path in row.paths()}


def row_of(field: str, rows: Mapping[str, Row]) -> Row | None:
    """The row that tells a field's fate: its own, else the nearest above it. A row with parts serves only these. Of the
    volumes, one row serves every kind that has none of its own.
    """
    place = field
    while place and place not in rows:
        place = place.removesuffix("[]") if place.endswith("[]") else place.rpartition(".")[0]
    if not place:
        return rows.get(OTHER_VOLUME) if field.startswith("spec.volumes[].") else None
    row = rows[place]
    return None if place == row.path and place != field and row.parts else row


@functools.cache
def fields_of_client() -> dict[str, str]:
    """Every field that the official client knows, each down to what has no fields of its own, and its type."""
    return dict(_of_client("V1PodSpec", "spec"))


def _of_client(model: str, path: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    if model.startswith(("list[", "List[")):
        yield from _of_client(model[5:-1], f"{path}[]", above)
        return
    described = getattr(kubernetes.client, model, None)
    if not hasattr(described, "openapi_types") or model in above:
        yield path, model
        return
    for attribute, inner in described.openapi_types.items():
        yield from _of_client(inner, f"{path}.{described.attribute_map[attribute]}", above | {model})


def fields_of_openapi(document: Schema) -> list[str]:
    """Every field of a pod's spec in what an API server answers at /openapi/v3/api/v1."""
    return list(_of_schema(document, {"$ref": _REFERENCE + _POD_SPEC}, "spec"))


def _of_schema(document: Schema, schema: Schema, path: str, above: frozenset[str] = frozenset()) -> Iterator[str]:
    while True:
        # An API server wraps a reference to give it a default.
        reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ())), None)
        if reference is None:
            break
        if reference in above:
            yield path
            return
        above |= {reference}
        schema = document["components"]["schemas"][reference.removeprefix(_REFERENCE)]
    if "items" in schema:
        yield from _of_schema(document, schema["items"], f"{path}[]", above)
    elif "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from _of_schema(document, inner, f"{path}.{name}", above)
    else:
        yield path
