"""A write of a daemon leaves what is not its own as it was, and takes nothing back that it has told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.explorer.rules import FINALIZER, FOREIGN_MARK, Violation, container_status

Item = Mapping[str, Any]


def judge_kept_pod(before: Item, after: Item) -> None:
    """Raises `Violation` when the write between these two changed what it must not."""
    name = before["metadata"]["name"]
    _judge_metadata(before, after)
    if _without(before["metadata"].get("finalizers"), FINALIZER) != _without(
        after["metadata"].get("finalizers"), FINALIZER
    ):
        raise Violation("kept", f"finalizers of others on {name}: {after['metadata'].get('finalizers')}")
    if before["spec"] != after["spec"]:
        raise Violation("kept", f"the spec of {name}")
    old, new = _conditions(before), _conditions(after)
    for kind, condition in old.items():
        if kind == FOREIGN_MARK and new.get(kind) != condition:
            raise Violation("kept", f"the condition that others gave {name}: {new.get(kind)}")
        there = new.get(kind, {})
        if there.get("status") == condition["status"] and condition.get("lastTransitionTime"):
            if there.get("lastTransitionTime") != condition["lastTransitionTime"]:
                raise Violation("kept", f"{name} was {kind}={condition['status']} before: {there}")
    _judge_told(name, before["status"], after["status"])
    if container_status(after).get("restartCount", 0) < container_status(before).get("restartCount", 0):
        raise Violation("kept", f"restarts of {name} were taken back")


def _judge_told(name: str, old: Item, new: Item) -> None:
    if old.get("startTime") not in (None, new.get("startTime")):
        raise Violation("kept", f"the start time of {name} was changed from {old['startTime']}")
    if new.get("podIP") is not None:
        raise Violation("kept", f"{name} was given an address: {new['podIP']}")


def judge_kept_node(before: Item, after: Item) -> None:
    """As `judge_kept_pod`."""
    _judge_metadata(before, after)
    name = before["metadata"]["name"]
    if before["spec"].get("unschedulable") != after["spec"].get("unschedulable"):
        raise Violation("kept", f"whether {name} is cordoned")
    here = {taint["key"] for taint in after["spec"].get("taints") or []}
    for taint in before["spec"].get("taints") or []:
        if taint["key"] == FOREIGN_MARK and FOREIGN_MARK not in here:
            raise Violation("kept", f"the taint that others gave {name}")


def _judge_metadata(before: Item, after: Item) -> None:
    for field in ("labels", "annotations"):
        value = (before["metadata"].get(field) or {}).get(FOREIGN_MARK)
        if value is not None and (after["metadata"].get(field) or {}).get(FOREIGN_MARK) != value:
            raise Violation("kept", f"{field} of others on {before['metadata']['name']}")


def _conditions(pod: Item) -> dict[str, Item]:
    return {condition["type"]: condition for condition in pod["status"].get("conditions") or []}


def _without(finalizers: list[str] | None, own: str) -> list[str]:
    return [one for one in finalizers or [] if one != own]
