"""Objects as the API server and SaladCloud show them, for tests of what the sandbox makes of them."""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.sandbox.picture import Picture

Json = dict[str, Any]

REFUSAL = (
    "hostNetwork: a pod has no part in the machine that it runs on. To run the pod without it, annotate it with"
    ' salad.com/ignore-unsupported: "hostNetwork"'
)


def node(*, is_ready: bool = True, is_reachable: bool = True) -> Json:
    conditions = [
        {"type": "Ready", "status": str(is_ready)},
        {"type": "SaladCloudReachable", "status": str(is_reachable)},
    ]
    return {
        "metadata": {"name": "saladcloud-node"},
        "status": {"conditions": conditions, "allocatable": {"pods": "1k"}},
    }


def pod(name: str, phase: str, *, namespace: str = "default", is_ready: bool = False, **status: Any) -> Json:
    conditions = [{"type": "Ready", "status": str(is_ready)}]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def waiting(name: str, reason: str, message: str = "") -> Json:
    containers = [{"state": {"waiting": {"reason": reason, "message": message}}, "restartCount": 0}]
    return pod(name, "Pending", containerStatuses=containers, message=message)


def running(name: str, *, is_ready: bool = True, restarts: int = 0) -> Json:
    containers = [{"state": {"running": {}}, "ready": is_ready, "restartCount": restarts}]
    return pod(name, "Running", is_ready=is_ready, containerStatuses=containers)


def finished(name: str, reason: str = "Completed") -> Json:
    containers = [{"state": {"terminated": {"reason": reason}}, "restartCount": 0}]
    phase = "Succeeded" if reason == "Completed" else "Failed"
    return pod(name, phase, containerStatuses=containers)


def group(name: str, status: str = "running", *instances: str, is_deleting: bool = False) -> Json:
    return {
        "name": name,
        "status": status,
        "is_deleting": is_deleting,
        "instances": [{"state": state} for state in instances],
        "runs": len(instances),
        "image": "nginx:1.29",
    }


def picture(
    *pods: Json, nodes: list[Json] | None = None, groups: list[Json] | None = None, requests: int = 0, **statistics: Any
) -> Picture:
    counted = {
        "requests": requests,
        "requests_last_minute": requests,
        "requests_by_code": {},
        "schema_violations": 0,
        "billed_seconds": {},
    }
    return Picture(
        nodes=[node()] if nodes is None else nodes,
        pods=list(pods),
        groups=groups or [],
        statistics={**counted, **statistics},
    )
