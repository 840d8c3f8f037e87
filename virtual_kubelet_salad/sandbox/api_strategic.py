"""Strategic merge patch: lists are merged by key, maps field by field.

Follows k8s.io/apimachinery `strategicpatch`, with the merge keys of the kinds that this server stores. The directives
`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>` are obeyed. Lists that are
not in the tables are replaced whole, as atomic lists are.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json, bad_request
from virtual_kubelet_salad.sandbox.api_objects import copy_json

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "resourceClaims": "name",
    "resourceClaimStatuses": "name",
    "schedulingGates": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "podIPs": "ip",
    "hostIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "addresses": "type",
    "ownerReferences": "uid",
}
_MERGED_PRIMITIVES = {"finalizers", "podCIDRs"}

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList/"
_ORDER_PREFIX = "$setElementOrder/"


def strategic_merge(original: Json, patch: Json) -> Json:
    """The patched object; the original is not changed, unchanged parts are shared with it."""
    directive = patch.get(_PATCH)
    if directive == "replace":
        return _without_directives(patch)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch type: {directive}")
    result = dict(original)
    if _RETAIN_KEYS in patch:
        kept = set(patch[_RETAIN_KEYS])
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key.startswith(_DELETE_PREFIX):
            field = key.removeprefix(_DELETE_PREFIX)
            if isinstance(result.get(field), list):
                result[field] = [item for item in result[field] if item not in value]
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(result, key, value, patch.get(_ORDER_PREFIX + key))
    for key, order in patch.items():
        if key.startswith(_ORDER_PREFIX) and key.removeprefix(_ORDER_PREFIX) not in patch:
            _reorder(result, key.removeprefix(_ORDER_PREFIX), order)
    return result


def _merge_field(result: Json, key: str, value: Any, order: Any) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        present = result.get(key)
        merged = strategic_merge(present if isinstance(present, dict) else {}, value)
        if value.get(_PATCH) == "delete":
            result.pop(key, None)
        else:
            result[key] = merged
    elif isinstance(value, list) and key in _MERGE_KEYS:
        result[key] = _merge_list(result.get(key) or [], value, _MERGE_KEYS[key])
        if order is not None:
            _reorder(result, key, order)
    elif isinstance(value, list) and key in _MERGED_PRIMITIVES:
        present = result.get(key) or []
        result[key] = present + [
            item for index, item in enumerate(value) if item not in present and item not in value[:index]
        ]
        if order is not None:
            _reorder(result, key, order)
    else:
        result[key] = copy_json(value)


def _merge_list(original: list[Json], patch: list[Any], merge_key: str) -> list[Json]:
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" and merge_key not in item for item in patch):
        return [_without_directives(item) for item in patch if item.get(_PATCH) != "replace"]
    result = list(original)
    for item in patch:
        if not isinstance(item, dict):
            raise bad_request("invalid JSON document: expected objects in a list with a merge key")
        if merge_key not in item:
            raise ApiError(500, f"map: {item} does not contain declared merge key: {merge_key}")
        wanted = item[merge_key]
        if item.get(_PATCH) == "delete":
            result = [present for present in result if present.get(merge_key) != wanted]
            continue
        for index, present in enumerate(result):
            if present.get(merge_key) == wanted:
                result[index] = strategic_merge(present, item)
                break
        else:
            result.append(_without_directives(item))
    return result


def _without_directives(item: Json) -> Json:
    """A patch taken as a value of its own: merged into nothing."""
    return strategic_merge({}, {key: value for key, value in item.items() if key != _PATCH})


def _reorder(result: Json, field: str, order: list[Any]) -> None:
    """Bring the elements that `order` names into that order; the others stay before the element they stood before."""
    items = result.get(field)
    if not isinstance(items, list):
        return
    merge_key = _MERGE_KEYS.get(field)
    wanted = [entry.get(merge_key) if isinstance(entry, dict) and merge_key else entry for entry in order]

    def identity(item: Any) -> Any:
        return item.get(merge_key) if isinstance(item, dict) and merge_key else item

    named = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    source = iter(named)
    result[field] = [next(source) if identity(item) in wanted else item for item in items]
