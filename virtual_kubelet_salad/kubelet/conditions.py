"""The conditions of a pod: those that a kubelet sets, each with the time of its last transition. Pure.

    PodScheduled                 True; the scheduler's own is left alone
    PodReadyToStartContainers    True while the workload has a machine
    Initialized                  True, for there are no init containers
    ContainersReady, Ready       as the container; Ready needs the pod's readiness gates besides

A transition time survives while the status stays. Others' conditions are not touched.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Pod

_SCHEDULED = "PodScheduled"
_HAS_MACHINE = "PodReadyToStartContainers"
_CONTAINERS_READY = "ContainersReady"


def standard(
    pod: Pod, now: datetime.datetime, phase: str, container: Mapping[str, Any], *, has_machine: bool
) -> list[dict[str, Any]]:
    """The conditions of a pod in that phase, whose only container has that status."""
    is_ready = bool(container.get("ready")) and phase == "Running"
    unready: dict[str, Any] = {"status": "True", "reason": None, "message": None}
    if not is_ready:
        names = f"containers with unready status: [{container.get('name', '')}]"
        unready = {"status": "False", "reason": "ContainersNotReady", "message": names}
        if phase == "Succeeded":
            unready.update(reason="PodCompleted", message=None)
        elif phase == "Failed":
            unready.update(reason="PodFailed", message=None)
    is_over = phase in ("Succeeded", "Failed")
    wanted: list[dict[str, Any]] = [
        {"type": _HAS_MACHINE, "status": "True" if has_machine and not is_over else "False"},
        {
            "type": "Initialized",
            "status": "True",
            "reason": "PodCompleted" if phase == "Succeeded" else None,
            "message": None,
        },
        {"type": _CONTAINERS_READY, **unready},
        {"type": "Ready", **(_readiness_gates(pod) if is_ready else unready)},
    ]
    if _before(pod, _SCHEDULED) is None:
        wanted.append({"type": _SCHEDULED, "status": "True"})
    return [dated(pod, now, condition) for condition in wanted]


def dated(pod: Pod, now: datetime.datetime, wanted: dict[str, Any]) -> dict[str, Any]:
    """A condition with its time, which is kept while its status stays, and the generation of the pod it is about."""
    generation = pods.metadata(pod).get("generation")
    complete = {**wanted, "observedGeneration": generation} if generation else dict(wanted)
    before = _before(pod, wanted["type"]) or {}
    if before.get("status") == wanted["status"] and before.get("lastTransitionTime"):
        return {**complete, "lastTransitionTime": before["lastTransitionTime"]}
    return {**complete, "lastTransitionTime": pods.format_time(now)}


def unready_since(pod: Pod, now: datetime.datetime) -> datetime.datetime:
    """Since when the pod waits for a run: the end of the last one, else the time since which no container was ready;
    `now` while it runs.
    """
    container, before = pods.container_status(pod), _before(pod, _CONTAINERS_READY) or {}
    if "running" in (container.get("state") or {}):
        return now
    ended = (container.get("lastState") or {}).get("terminated") or {}
    unready = before.get("lastTransitionTime") if before.get("status") == "False" else None
    times = (ended.get("finishedAt"), unready, pods.status(pod).get("startTime"))
    return next((time for time in map(pods.parse_time, times) if time is not None), now)


def _before(pod: Pod, type: str) -> Mapping[str, Any] | None:
    for condition in pods.status(pod).get("conditions") or []:
        if condition.get("type") == type:
            found: Mapping[str, Any] = condition
            return found
    return None


def _readiness_gates(pod: Pod) -> dict[str, Any]:
    """Ready needs the pod's own readiness gates beside its container."""
    missing = [
        gate.get("conditionType", "")
        for gate in (pod.get("spec") or {}).get("readinessGates") or []
        if (_before(pod, gate.get("conditionType", "")) or {}).get("status") != "True"
    ]
    if missing:
        return {
            "status": "False",
            "reason": "ReadinessGatesNotReady",
            "message": f'the status of pod readiness gates is not "True": {missing}',
        }
    return {"status": "True", "reason": None, "message": None}
