"""The sandbox at one moment: what is to be shown of nodes, pods, container groups and traffic. Pure."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

# A waiting container with such a reason was refused for good, unless it waits for a better Secret.
_REFUSED_REASONS = ("Unsupported", "Invalid")
_WAITS_FOR_SECRET = "Secret"
_DEFAULT_NAMESPACE = "default"  # not shown


@dataclasses.dataclass(frozen=True, slots=True)
class NodeRow:
    """One node."""

    name: str
    is_ready: bool
    is_cloud_reachable: bool
    room: str
    """How many pods it takes."""

    def text(self) -> str:
        """All that there is to say about it, in one line."""
        readiness = "ready" if self.is_ready else "not ready"
        cloud = "SaladCloud reached" if self.is_cloud_reachable else "SaladCloud not reached"
        return f"{readiness}, {cloud}, room for {self.room} pods"


@dataclasses.dataclass(frozen=True, slots=True)
class PodRow:
    """One pod; `status` as `kubectl get pods` computes it."""

    name: str
    status: str
    is_ready: bool
    restarts: int
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class GroupRow:
    """One container group of the simulated SaladCloud."""

    name: str
    status: str
    instances: str
    runs: int
    image: str


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """Everything at one moment, as the API server and SaladCloud tell it."""

    nodes: list[dict[str, Any]]
    pods: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    statistics: Mapping[str, Any]

    def is_settled(self, expected_pods: int) -> bool:
        """Whether there is a node, and as many pods as were asked for, all of them ready, finished or refused."""
        has_node = any(map(_is_ready, self.nodes))
        return has_node and len(self.pods) >= expected_pods and not self.unsettled()

    def unsettled(self) -> list[PodRow]:
        """The pods that are neither ready nor finished nor refused."""
        return [_pod_row(pod) for pod in self.pods if _stage(pod) == "waiting"]

    def summary(self) -> str:
        """How many pods there are at which stage, e.g. `3 pods: 1 ready, 1 finished, 1 refused`."""
        stages = collections.Counter(_stage(pod) for pod in self.pods)
        return _counted(len(self.pods), "pod") + _listed(
            f"{stages[stage]} {stage}" for stage in ("waiting", "ready", "finished", "refused") if stages[stage]
        )

    def node_rows(self) -> list[NodeRow]:
        return [
            NodeRow(
                name=node["metadata"]["name"],
                is_ready=_is_ready(node),
                is_cloud_reachable=_condition(node, "SaladCloudReachable").get("status") == "True",
                room=str(_status(node).get("allocatable", {}).get("pods", "0")),
            )
            for node in self.nodes
        ]

    def pod_rows(self) -> list[PodRow]:
        return [_pod_row(pod) for pod in self.pods]

    def group_rows(self) -> list[GroupRow]:
        return [
            GroupRow(
                name=group["name"],
                status="deleting" if group["is_deleting"] else group["status"],
                instances=", ".join(instance["state"] for instance in group["instances"]),
                runs=group["runs"],
                image=group["image"],
            )
            for group in sorted(self.groups, key=lambda group: str(group["name"]))  # as the pods, whose names they bear
        ]

    def traffic(self) -> str:
        """The requests that SaladCloud got, and what it would bill."""
        statistics = self.statistics
        parts = [
            f"{statistics['requests_last_minute']} requests in the last minute",
            f"{statistics['requests']} in all",
            f"{sum(statistics['billed_seconds'].values()):.0f} s billed",
        ]
        refused = statistics["requests_by_code"].get("429", 0)
        if refused:
            parts.append(f"{refused} over the rate limit")
        if statistics["schema_violations"]:
            parts.append(f"{statistics['schema_violations']} malformed")
        return "SaladCloud: " + ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(parts: Iterable[str]) -> str:
    text = ", ".join(parts)
    return f": {text}" if text else ""


def _status(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("status") or {}


def _condition(item: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((found for found in _status(item).get("conditions") or [] if found["type"] == kind), {})


def _container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of the pod's first container."""
    return next(iter(_status(pod).get("containerStatuses") or [{}]))


def _waiting(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_container(pod).get("state") or {}).get("waiting") or {}


def _pod_row(pod: Mapping[str, Any]) -> PodRow:
    container = _container(pod)
    terminated = (container.get("state") or {}).get("terminated") or {}
    status = _status(pod)
    namespace = pod["metadata"].get("namespace", "")
    # A pod that nobody runs yet has no message of its own; the scheduler says why it found no node.
    message = status.get("message") or _waiting(pod).get("message") or terminated.get("message")
    shown = _waiting(pod).get("reason") or terminated.get("reason") or status.get("reason") or status.get("phase", "")
    return PodRow(
        name=pod["metadata"]["name"] if namespace == _DEFAULT_NAMESPACE else f"{namespace}/{pod['metadata']['name']}",
        status="Terminating" if pod["metadata"].get("deletionTimestamp") else str(shown),
        is_ready=_is_ready(pod),
        restarts=int(container.get("restartCount", 0)),
        message=" ".join(str(message or _condition(pod, "PodScheduled").get("message") or "").split()),
    )


def _is_ready(item: Mapping[str, Any]) -> bool:
    """Of a node or a pod."""
    return _condition(item, "Ready").get("status") == "True"


def _stage(pod: Mapping[str, Any]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "waiting"
    if _status(pod).get("phase") in ("Succeeded", "Failed"):
        return "finished"
    if _is_ready(pod):
        return "ready"
    reason = str(_waiting(pod).get("reason", ""))
    is_refused = reason.startswith(_REFUSED_REASONS) and not reason.endswith(_WAITS_FOR_SECRET)
    return "refused" if is_refused else "waiting"
