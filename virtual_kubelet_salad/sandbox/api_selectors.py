"""Label and field selectors: parsed once, then asked for every object.

The label grammar is the full one of k8s.io/apimachinery `labels.Parse`; field selectors know `=`, `==` and `!=` on
the fields that the real server indexes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Json, bad_request
from virtual_kubelet_salad.sandbox.api_resources import ResourceType

Matcher = Callable[[Json], bool]
_LabelTest = Callable[[dict[str, str]], bool]

_KEY = r"(?P<key>[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?)"
_SET = re.compile(_KEY + r"\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARE = re.compile(_KEY + r"\s*(?P<sign>==|!=|=|<|>)\s*(?P<value>[-A-Za-z0-9_.]*)")
_EXISTS = re.compile(r"(?P<no>!)?\s*" + _KEY)

_COMMON_FIELDS = {"metadata.name", "metadata.namespace"}
_FIELDS: dict[str, set[str]] = {
    "pods": {
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    },
    "nodes": {"spec.unschedulable"},
    "namespaces": {"status.phase"},
    "secrets": {"type"},
    "jobs.batch": {"status.successful"},
    "events": {
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    },
}  # fmt: skip


def _split_requirements(text: str) -> list[str]:
    """Split at the commas outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text)]


def _as_integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def _compare(key: str, sign: str, value: str) -> _LabelTest:
    if sign in ("=", "=="):
        return lambda labels: labels.get(key) == value
    if sign == "!=":
        return lambda labels: labels.get(key) != value
    bound = _as_integer(value)
    if bound is None:
        raise bad_request(
            f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": '
            "for 'Gt', 'Lt' operators, the value must be an integer"
        )

    def is_beyond(labels: dict[str, str]) -> bool:
        number = _as_integer(labels.get(key))
        return number is not None and (number > bound if sign == ">" else number < bound)

    return is_beyond


def _label_test(requirement: str) -> _LabelTest:
    if match := _SET.fullmatch(requirement):
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["word"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _COMPARE.fullmatch(requirement):
        return _compare(match["key"], match["sign"], match["value"])
    if match := _EXISTS.fullmatch(requirement):
        key, is_absent = match["key"], match["no"] is not None
        return lambda labels: (key in labels) is not is_absent
    raise bad_request(f'unable to parse requirement: "{requirement}"')


@functools.lru_cache(maxsize=512)
def label_matcher(text: str) -> Matcher | None:
    """What a labelSelector asks for; None when it asks for nothing. 400 when it cannot be parsed."""
    if not text.strip():
        return None
    tests = [_label_test(requirement) for requirement in _split_requirements(text)]
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def field_value(item: Json, path: str) -> str:
    """The field as the text that selectors compare with; absent is the empty text."""
    value: Any = item
    if path == "source":
        return str(item.get("source", {}).get("component") or item.get("reportingComponent") or "")
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path in ("spec.unschedulable", "spec.hostNetwork"):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _field_test(resource: ResourceType, requirement: str, whole: str) -> Matcher:
    match = re.fullmatch(r"\s*([^=!\s]+)\s*(==|=|!=)(.*)", requirement)
    if match is None:
        raise bad_request(f"invalid selector: '{whole}'; can't understand '{requirement}'")
    path, sign, wanted = match[1], match[2], match[3].strip()
    if path not in _COMMON_FIELDS and path not in _FIELDS.get(resource.qualified, ()):
        raise bad_request(f"field label not supported: {path}")
    is_equality = sign != "!="
    return lambda item: (field_value(item, path) == wanted) is is_equality


@functools.lru_cache(maxsize=512)
def field_matcher(resource: ResourceType, text: str) -> Matcher | None:
    """What a fieldSelector asks for; None when it asks for nothing. 400 for a field that is not indexed."""
    if not text.strip():
        return None
    tests = [_field_test(resource, requirement, text) for requirement in text.split(",")]
    return lambda item: all(test(item) for test in tests)


def namespace_matcher(namespace: str) -> Matcher | None:
    """Only objects of this namespace; None for all."""
    return (lambda item: bool(item["metadata"].get("namespace") == namespace)) if namespace else None


def combined(*matchers: Matcher | None) -> Matcher | None:
    """All of them at once; None when none of them asks for anything."""
    present = [matcher for matcher in matchers if matcher is not None]
    if not present:
        return None
    if len(present) == 1:
        return present[0]
    return lambda item: all(matcher(item) for matcher in present)
