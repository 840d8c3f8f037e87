"""The PATCH kinds by themselves: standard cases, directives, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from virtual_kubelet_salad.sandbox.api_errors import ApiError
from virtual_kubelet_salad.sandbox.api_patch import json_patch, merge_patch
from virtual_kubelet_salad.sandbox.api_strategic import strategic_merge

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/1", "value": 9}], {"a": [1, 9]}),
        ({"a": {"b": 1}, "c": 2}, [{"op": "move", "from": "/a/b", "path": "/d"}], {"a": {}, "c": 2, "d": 1}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        (
            {"a/b": 1, "m~n": 2},
            [{"op": "test", "path": "/a~1b", "value": 1}, {"op": "remove", "path": "/m~0n"}],
            {"a/b": 1},
        ),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_a_json_patch_does_what_the_standard_says(document: Json, operations: list[Json], expected: Json) -> None:
    before = repr(document)
    assert json_patch(document, operations) == expected
    assert repr(document) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/absent"},
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "add", "path": "/absent/deeper", "value": 1},
        {"op": "add", "path": "/list/7", "value": 1},
        {"op": "remove", "path": "/list/x"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "a", "value": 1},
        {"op": "invent", "path": "/a"},
    ],
)
def test_a_json_patch_that_does_not_apply_is_refused(operation: Json) -> None:
    with pytest.raises(ApiError) as refusal:
        json_patch({"a": 1, "list": [1]}, [operation])
    assert refusal.value.code == 422


def test_a_merge_patch_does_what_the_standard_says() -> None:
    original = {"a": {"b": 1, "c": 2}, "list": [1, 2]}
    patch = {"a": {"b": None, "d": {"e": None, "f": 1}}, "list": [3]}
    assert merge_patch(original, patch) == {"a": {"c": 2, "d": {"f": 1}}, "list": [3]}
    assert original == {"a": {"b": 1, "c": 2}, "list": [1, 2]}


@pytest.mark.parametrize(
    ("original", "patch", "expected"),
    [
        (
            {"env": [{"name": "a", "value": "1"}]},
            {"env": [{"name": "b"}]},
            {"env": [{"name": "a", "value": "1"}, {"name": "b"}]},
        ),
        ({"env": [{"name": "a", "value": "1"}]}, {"env": [{"name": "a", "value": None}]}, {"env": [{"name": "a"}]}),
        (
            {"env": [{"name": "a"}, {"name": "b"}]},
            {"env": [{"name": "a", "$patch": "delete"}]},
            {"env": [{"name": "b"}]},
        ),
        ({"env": [{"name": "a"}]}, {"env": [{"$patch": "replace"}, {"name": "c"}]}, {"env": [{"name": "c"}]}),
        ({"emptyDir": {}, "name": "v"}, {"$retainKeys": ["name", "secret"], "secret": {}}, {"name": "v", "secret": {}}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"$patch": "replace", "z": 3}}, {"a": {"z": 3}}),
        ({"a": {"x": 1}, "b": 1}, {"a": {"$patch": "delete"}}, {"b": 1}),
        ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
        (
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c", "b"]},
            {"finalizers": ["b", "c"]},
        ),
        ({}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {}),
        (
            {"env": [{"name": "a"}, {"name": "x"}, {"name": "b"}]},
            {"$setElementOrder/env": [{"name": "b"}, {"name": "a"}]},
            {"env": [{"name": "b"}, {"name": "x"}, {"name": "a"}]},
        ),
    ],
)
def test_a_strategic_merge_obeys_keys_and_directives(original: Json, patch: Json, expected: Json) -> None:
    before = repr(original)
    assert strategic_merge(original, patch) == expected
    assert repr(original) == before


def test_a_list_element_without_its_merge_key_is_an_error() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: type"):
        strategic_merge({"conditions": []}, {"conditions": [{"status": "True"}]})
