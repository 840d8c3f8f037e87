"""The PATCH kinds: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch, and server-side apply
taken as a strategic merge.

Server-side apply keeps no field owners here: it merges and never removes; enough for `kubectl apply --server-side` to
create and change objects.
"""

from __future__ import annotations

import logging
from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json, bad_request, unsupported_media_type
from virtual_kubelet_salad.sandbox.api_objects import clone_json, copy_json
from virtual_kubelet_salad.sandbox.api_strategic import strategic_merge

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_LOG = logging.getLogger(__name__)


def media_type(content_type: str | None) -> str:
    """The type without its parameters."""
    return (content_type or "").split(";")[0].strip().lower()


def apply_patch(original: Json, patch: object, content_type: str | None) -> Json:
    """The patched object as a fresh one without nulls; 415, 400 or 422 as a real server answers."""
    kind = media_type(content_type)
    if kind == JSON_PATCH:
        if not isinstance(patch, list):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            )
        patched = json_patch(original, patch)
    elif kind in (MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH):
        if not isinstance(patch, dict):
            raise bad_request("the patch is not a JSON object")
        patched = merge_patch(original, patch) if kind == MERGE_PATCH else strategic_merge(original, patch)
    else:
        raise unsupported_media_type()
    if not isinstance(patched, dict):
        raise bad_request("the patched object is not a JSON object")
    result: Json = copy_json(patched)
    return result


def merge_patch(original: Any, patch: Any) -> Any:
    """RFC 7386; the original is not changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(original) if isinstance(original, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def _rejected(why: str) -> ApiError:
    """A patch that does not apply; a real server does not tell the client why."""
    _LOG.debug("json patch rejected: %s", why)
    return ApiError(422, "the server rejected our request due to an error in our request", details={})


def _pointer(text: object) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _rejected(f"invalid JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(part: str, length: int) -> int:
    if not part.isdigit() or int(part) >= length:
        raise _rejected(f"Unable to access invalid index: {part}: invalid index referenced")
    return int(part)


def _child(node: Any, part: str, path: object) -> Any:
    if isinstance(node, dict) and part in node:
        return node[part]
    if isinstance(node, list):
        return node[_index(part, len(node))]
    raise _rejected(f"operation does not apply: doc is missing path: {path}: missing value")


def _look_up(document: Any, path: object) -> Any:
    for part in _pointer(path):
        document = _child(document, part, path)
    return document


def _add(document: Any, path: object, value: Any) -> Any:
    parts = _pointer(path)
    if not parts:
        return value
    parent = _look_up(document, "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts[:-1]))
    last = parts[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent) + 1), value)
    else:
        raise _rejected(f"operation does not apply: doc is missing path: {path}: missing value")
    return document


def _remove(document: Any, path: object) -> Any:
    parts = _pointer(path)
    if not parts:
        raise _rejected("the whole document cannot be removed")
    parent = document
    for part in parts[:-1]:
        parent = _child(parent, part, path)
    removed = _child(parent, parts[-1], path)
    if isinstance(parent, dict):
        del parent[parts[-1]]
    else:
        del parent[int(parts[-1])]
    return removed


def json_patch(original: Json, operations: list[Any]) -> Any:
    """RFC 6902; the original is not changed. 422 when an operation does not apply or a test fails."""
    document: Any = clone_json(original)
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request("the patch is not a list of operations")
        name, path = operation.get("op"), operation.get("path")
        if name == "add":
            document = _add(document, path, clone_json(operation.get("value")))
        elif name == "remove":
            _remove(document, path)
        elif name == "replace":
            _look_up(document, path)
            if path:
                _remove(document, path)
            document = _add(document, path, clone_json(operation.get("value")))
        elif name == "move":
            document = _add(document, path, _remove(document, operation.get("from")))
        elif name == "copy":
            document = _add(document, path, clone_json(_look_up(document, operation.get("from"))))
        elif name == "test":
            if _look_up(document, path) != operation.get("value"):
                raise _rejected(f"testing value {path} failed: test failed")
        else:
            raise _rejected(f"Unexpected kind: {name}")
    return document
