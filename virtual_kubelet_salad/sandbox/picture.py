"""The sandbox at one moment, as rows to show: nodes, pods, container groups, traffic. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

MESSAGE_WIDTH = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """Everything at one moment, as the two servers tell it."""

    nodes: list[dict[str, Any]]
    pods: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    statistics: Mapping[str, Any]

    def is_settled(self) -> bool:
        """Whether every pod is ready, finished, or refused for good."""
        return bool(self.nodes) and bool(self.pods) and all(map(_is_settled, self.pods))

    def node_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                node["metadata"]["name"],
                "Ready" if _condition(node, "Ready") == "True" else "NotReady",
                _condition(node, "SaladCloudReachable"),
                str((node.get("status") or {}).get("allocatable", {}).get("pods", "0")),
            )
            for node in self.nodes
        ]

    def pod_rows(self) -> list[tuple[str, ...]]:
        rows = []
        for pod in self.pods:
            container = next(iter(pod.get("status", {}).get("containerStatuses") or [{}]))
            rows.append(
                (
                    f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}",
                    _shown_status(pod, container),
                    "yes" if container.get("ready") else "no",
                    str(container.get("restartCount", 0)),
                    str(pod.get("status", {}).get("message") or "")[:MESSAGE_WIDTH],
                )
            )
        return rows

    def group_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                group["name"],
                "deleting" if group["is_deleting"] else group["status"],
                ", ".join(instance["state"] for instance in group["instances"]),
                str(group["runs"]),
            )
            for group in self.groups
        ]

    def traffic(self) -> str:
        statistics = self.statistics
        return (
            f"SaladCloud: {statistics['requests_last_minute']} requests in the last minute, "
            f"{statistics['requests']} in all, {len(self.groups)} groups, "
            f"{sum(statistics['billed_seconds'].values()):.0f} s billed"
        )


def _condition(node: Mapping[str, Any], kind: str) -> str:
    conditions = (node.get("status") or {}).get("conditions") or []
    return next((str(condition["status"]) for condition in conditions if condition["type"] == kind), "Unknown")


def _shown_status(pod: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    """As `kubectl get pods` computes STATUS, for one container."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    state = container.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    status = pod.get("status") or {}
    return str(waiting.get("reason") or terminated.get("reason") or status.get("reason") or status.get("phase", ""))


def _is_settled(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    container = next(iter(status.get("containerStatuses") or [{}]))
    waiting = (container.get("state") or {}).get("waiting") or {}
    return bool(container.get("ready")) or str(waiting.get("reason", "")).startswith("Unsupported")
