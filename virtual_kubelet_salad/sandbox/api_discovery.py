"""The documents by which clients find out what the server can do: /version, /api, /apis and the resource lists below
them.

The OpenAPI documents name only the PATCH operations of each kind: by their `fieldValidation` parameter kubectl learns
that the server validates, and does not ask for schemas.
"""

from __future__ import annotations

import functools
from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_resources import EPHEMERAL, RESOURCES, ResourceType

_VERSION = {
    "major": "1", "minor": "34", "emulationMajor": "1", "emulationMinor": "34",
    "gitVersion": "v1.34.4", "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]


def _group_versions() -> list[tuple[str, str]]:
    return sorted({(resource.group, resource.version) for resource in RESOURCES if resource.group})


def _group(name: str, version: str) -> Json:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _resource_list(group: str, version: str) -> Json | None:
    entries: list[Json] = []
    for resource in RESOURCES:
        if (resource.group, resource.version) != (group, version):
            continue
        entry: Json = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        entries.extend(_subresource(resource, name) for name in resource.subresources)
    if not entries:
        return None
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _subresource(resource: ResourceType, name: str) -> Json:
    kinds = {"status": resource.kind, EPHEMERAL: resource.kind}
    kinds |= {"scale": "Scale", "binding": "Binding", "eviction": "Eviction"}
    entry: Json = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kinds[name],
        "verbs": _STATUS_VERBS if name in ("status", "scale", EPHEMERAL) else ["create"],
    }
    if name == "eviction":
        entry.update(group="policy", version="v1")
    if name == "scale":
        entry.update(group="autoscaling", version="v1")
    return entry


def _open_api_index() -> Json:
    paths = ["api/v1"] + [f"apis/{group}/{version}" for group, version in _group_versions()]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def _open_api(group: str, version: str) -> Json | None:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    paths: dict[str, Any] = {}
    for resource in RESOURCES:
        if (resource.group, resource.version) != (group, version):
            continue
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        middle = "/namespaces/{namespace}" if resource.namespaced else ""
        operation = {
            "operationId": f"patch{resource.kind}",
            "parameters": parameters,
            "requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}},
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": resource.kind},
        }
        paths[f"{root}{middle}/{resource.plural}/{{name}}"] = {"patch": operation}
    if not paths:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": _VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": {}},
    }


@functools.lru_cache(maxsize=256)
def discovery_document(path: str) -> Json | None:
    """The document at a path; None when there is none."""
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        return dict(_VERSION)
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if parts == ["apis"]:
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name, version) for name, version in _group_versions()],
        }
    if parts[0] == "api" and len(parts) == 2:
        return _resource_list("", parts[1])
    if parts[0] == "apis" and len(parts) == 2:
        known = [_group(name, version) for name, version in _group_versions() if name == parts[1]]
        return {"kind": "APIGroup", "apiVersion": "v1", **known[0]} if known else None
    if parts[0] == "apis" and len(parts) == 3:
        return _resource_list(parts[1], parts[2])
    if parts == ["openapi", "v3"]:
        return _open_api_index()
    if parts[:3] == ["openapi", "v3", "api"] and len(parts) == 4:
        return _open_api("", parts[3])
    if parts[:3] == ["openapi", "v3", "apis"] and len(parts) == 5:
        return _open_api(parts[3], parts[4])
    return None
