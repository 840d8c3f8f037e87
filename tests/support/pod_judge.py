"""Judges what became of a pod, without the code that decided it: is the outcome one that may be, and is every field of
the pod either in the request or named to its author?

The published table is taken at its word. What it says is acted upon must show in the request, by the rules written out
here; what it says is refused must not be accepted, unless opted out; everything else must be named in an Event, but for
what the table excepts.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.support.any_pod_values import CANARY
from tests.support.pod_proofs import PROOFS
from tests.support.pod_schema import row_of, rows_by_path
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet.provider import Notice, Plan
from virtual_kubelet_salad.kubelet.refusal_table import (
    ACTED_UPON,
    OTHER_CONTAINERS,
    SERVICE_ACCOUNT_PATH,
    Row,
    Treatment,
)

Json = dict[str, Any]

_ROWS = rows_by_path()
_NOTHING: tuple[object, ...] = (None, "", [], {})
_REASON = re.compile(r"[A-Z][A-Za-z]+")

# Acted upon by the node itself, so the request does not have them.
_NOT_IN_THE_REQUEST = (
    "spec.containers[].name",
    "spec.containers[].ports",
    "spec.activeDeadlineSeconds",
    "spec.nodeName",
    "spec.readinessGates",
)
# Refused or not by what they say, so only the whole variable can be judged.
_PROVED_WITH_THE_ENVIRONMENT = (
    "spec.containers[].env[].valueFrom.fieldRef.fieldPath",
    "spec.containers[].env[].valueFrom.fileKeyRef",
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a pod."""

    kind: str
    """`accepted`, `refused` or `blocked`."""
    request: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notices: Sequence[Notice] = ()
    """Of an obstacle: its reason and text."""


def outcome_of(translate: Callable[[], tuple[Plan, Sequence[Notice]]]) -> Outcome:
    """Runs the translation. Any other exception than the two obstacles passes on: it is a defect."""
    try:
        plan, notices = translate()
    except Refused as refusal:
        return Outcome("refused", notices=[Notice("Warning", refusal.reason, str(refusal))])
    except Blocked as obstacle:
        return Outcome("blocked", notices=[Notice("Warning", obstacle.reason, str(obstacle))])
    return Outcome("accepted", plan.request, notices)


def complaints(pod: Json, documents: Sequence[Json], outcome: Outcome) -> Iterator[str]:
    """What is wrong with an outcome; nothing when all is well."""
    for notice in outcome.notices:
        if not _REASON.fullmatch(notice.reason) or not notice.message or notice.type not in ("Normal", "Warning"):
            yield f"the notice {notice} has no reason or no text"
        if CANARY in notice.message:
            yield f"the notice {notice.reason} shows a value"
        if notice.reason == "InvalidRequest":
            yield f"the request was found wrong only after it was made: {notice.message}"
    if outcome.kind != "accepted":
        return
    told = "\n".join(notice.message for notice in outcome.notices)
    for path, place, value in fields_of(pod):
        if path.startswith(_PROVED_WITH_THE_ENVIRONMENT):
            continue
        row = _ROWS[OTHER_CONTAINERS] if path == OTHER_CONTAINERS else row_of(path, _ROWS)
        if row is None:
            if not _is_named(place, told):
                yield f"{place} is unknown and not named"
        elif row.treatment in ACTED_UPON:
            if not path.startswith((*_NOT_IN_THE_REQUEST, *(proof.path for proof in PROOFS))):
                yield f"{place} is said to be acted upon, but nothing here proves it"
        elif row.treatment is not Treatment.CLUSTER and _must_be_named(row, value) and not _is_named(place, told):
            yield f"{place} is neither in the request nor named"
    yield from _volumes(pod, told)
    for proof in PROOFS:
        yield from proof.complaints(pod, documents, outcome.request, told)


def fields_of(pod: Json) -> Iterator[tuple[str, str, object]]:
    """Every field of the spec that has a value: its path in the schema, its place in the pod, the value."""
    for name, value in (pod.get("spec") or {}).items():
        if name == "containers":
            yield from _below(f"spec.{name}[]", f"{name}[0]", (value or [{}])[0])
            for other in (value or [])[1:]:
                yield OTHER_CONTAINERS, f"the container {other.get('name')}", other
        elif name != "volumes":
            yield from _below(f"spec.{name}", name, value)


def _below(path: str, place: str, value: Any) -> Iterator[tuple[str, str, object]]:
    if value in _NOTHING and not isinstance(value, bool):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _below(f"{path}.{name}", f"{place}.{name}", inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _below(f"{path}[]", f"{place}[{index}]", inner)
    else:
        yield path, place, value


def _volumes(pod: Json, told: str) -> Iterator[str]:
    """A volume is named as a whole, but for the cluster's own token and the shared memory, of which only what is
    unknown must be named.
    """
    spec = pod.get("spec") or {}
    mounts = [mount for container in spec.get("containers") or [] for mount in container.get("volumeMounts") or []]
    for volume in spec.get("volumes") or []:
        places = {mount.get("mountPath") for mount in mounts if mount.get("name") == volume.get("name")}
        is_token = "serviceAccountToken" in str(volume.get("projected")) and places <= {SERVICE_ACCOUNT_PATH}
        is_shared_memory = "emptyDir" in volume and places == {"/dev/shm"}
        if is_shared_memory and (volume.get("emptyDir") or {}).get("medium") in (None, "", "Memory"):
            parts = {**volume, **(volume.get("emptyDir") or {})}
            for name in set(parts) - {"name", "emptyDir", "medium", "sizeLimit"}:
                if parts[name] not in _NOTHING and f"{name} of the volume {volume.get('name')}" not in told:
                    yield f"{name} of the volume {volume.get('name')} is not named"
        elif not is_token and f"the volume {volume.get('name')} (" not in told:
            yield f"the volume {volume.get('name')} is neither honoured nor named"


def _must_be_named(row: Row, value: object) -> bool:
    """Whether the table promises that such a value is named (or refused)."""
    if "not named in the Event" in row.text:
        return False
    return not any(type(value) is type(nothing) and value == nothing for nothing in row.unstated)


def _is_named(place: str, told: str) -> bool:
    """Whether a field, or the part of the pod that it is in, is named."""
    if place.startswith("the "):
        return place in told
    parts = re.split(r"(?=[.\[])", place)
    return any(
        re.search(rf"(?<![\w.]){re.escape(''.join(parts[:end]))}(?![\w.\[])", told) for end in range(1, len(parts) + 1)
    )
