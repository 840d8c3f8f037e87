"""Whether a manifest has the shape that the API server takes: known fields, of the right types, none missing.

Judged by the models of the official client, which are made from the API server's own description. Values are never
repeated: a finding names the place and what belongs there. Only shapes are judged, not the rules between fields, which
the API server has besides. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic
from kubernetes.client import models

KINDS: Mapping[str, type[pydantic.BaseModel]] = {
    kind: getattr(models, f"V1{kind}")
    for kind in (
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "Secret",
        "ConfigMap",
        "ServiceAccount",
    )
}

_WANTED = {
    "string_type": "a string (put it in quotes)",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_OTHERWISE = "what the API server takes"
_ABSENT = "missing"
_UNKNOWN = "extra_forbidden"


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What is odd about a manifest."""

    wrong: tuple[str, ...]
    """The API server refuses these, one line each: "spec.containers[0].name: is missing"."""
    unknown: tuple[str, ...]
    """Fields that the API server of our version does not know: kubectl refuses them, others drop them."""


def examine(kind: str, manifest: Mapping[str, Any]) -> Shape:
    """Judges a manifest of one of `KINDS`; its status is left aside, for who applies a manifest cannot set it."""
    applied = {name: value for name, value in manifest.items() if name != "status"}
    try:
        KINDS[kind].model_validate(applied)
    except pydantic.ValidationError as invalid:
        found = [
            (_place(error["loc"], applied, is_absent=error["type"] == _ABSENT), error["type"])
            for error in invalid.errors(include_url=False, include_context=False, include_input=False)
        ]
        return Shape(_wrong(found), tuple(dict.fromkeys(place for place, kind in found if kind == _UNKNOWN)))
    return Shape((), ())


def _wrong(found: list[tuple[str, str]]) -> tuple[str, ...]:
    """One line per place; a field of several types fails once for each of them."""
    wanted: dict[str, list[str]] = {}
    for place, kind in found:
        if kind == _ABSENT:
            wanted[place] = []
        elif kind != _UNKNOWN:
            wanted.setdefault(place, []).append(_WANTED.get(kind, _OTHERWISE))
    return tuple(
        f"{place}: must be {' or '.join(dict.fromkeys(texts))}" if texts else f"{place}: is missing"
        for place, texts in wanted.items()
    )


def _place(steps: tuple[int | str, ...], manifest: Mapping[str, Any], *, is_absent: bool) -> str:
    """The place in the manifest; what the library adds to tell the types of one field apart is left out."""
    place = ""
    here: Any = manifest
    for number, step in enumerate(steps):
        if isinstance(step, int) and isinstance(here, list):
            place, here = f"{place}[{step}]", here[step]
        elif isinstance(here, Mapping) and (step in here or (is_absent and number == len(steps) - 1)):
            place, here = f"{place}.{step}" if place else str(step), here.get(step)
        else:
            break
    return place
