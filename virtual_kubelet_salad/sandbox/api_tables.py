"""Objects as rows, as `kubectl get` asks for them (`Accept: application/json;as=Table`).

The columns of pods and nodes, and the STATUS and RESTARTS of a pod, are computed as k8s.io/kubernetes
`pkg/printers/internalversion` does.
"""

from __future__ import annotations

import datetime
from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_objects import parse_time
from virtual_kubelet_salad.sandbox.api_resources import ResourceType

_ROLE_PREFIX = "node-role.kubernetes.io/"
_LEGACY_ROLE = "kubernetes.io/role"

# Name, and 1 for a column that only `-o wide` shows.
_COLUMNS: dict[str, list[tuple[str, int]]] = {
    "pods": [
        ("Name", 0), ("Ready", 0), ("Status", 0), ("Restarts", 0), ("Age", 0),
        ("IP", 1), ("Node", 1), ("Nominated Node", 1), ("Readiness Gates", 1),
    ],
    "nodes": [
        ("Name", 0), ("Status", 0), ("Roles", 0), ("Age", 0), ("Version", 0),
        ("Internal-IP", 1), ("External-IP", 1), ("OS-Image", 1), ("Kernel-Version", 1), ("Container-Runtime", 1),
    ],
    "namespaces": [("Name", 0), ("Status", 0), ("Age", 0)],
    "events": [
        ("Last Seen", 0), ("Type", 0), ("Reason", 0), ("Object", 0), ("Subobject", 1), ("Source", 1), ("Message", 0),
        ("Count", 1), ("Name", 1),
    ],
    "secrets": [("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
    "configmaps": [("Name", 0), ("Data", 0), ("Age", 0)],
    "leases": [("Name", 0), ("Holder", 0), ("Age", 0)],
    "deployments": [("Name", 0), ("Ready", 0), ("Up-to-date", 0), ("Available", 0), ("Age", 0)],
    "replicasets": [("Name", 0), ("Desired", 0), ("Current", 0), ("Ready", 0), ("Age", 0)],
    "jobs": [("Name", 0), ("Status", 0), ("Completions", 0), ("Duration", 0), ("Age", 0)],
}  # fmt: skip
_PLAIN_COLUMNS = [("Name", 0), ("Age", 0)]


def duration_text(seconds: float) -> str:
    """A duration for people, as `duration.HumanDuration` writes it: 45s, 3m12s, 17m, 5h3m, 2d4h, 12d, 3y."""
    whole = int(seconds)
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = whole // 3600
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


def _age(text: str | None, now: datetime.datetime) -> str:
    return "<unknown>" if text is None else duration_text((now - parse_time(text)).total_seconds())


def pod_status_text(pod: Json) -> str:
    """The STATUS column of a pod."""
    status: Json = pod["status"]
    text = str(status.get("reason") or status.get("phase", ""))
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            text = "SchedulingGated"
    has_running = False
    for container in reversed(status.get("containerStatuses", [])):
        state = container.get("state", {})
        waiting, ended = state.get("waiting", {}), state.get("terminated", {})
        if waiting.get("reason"):
            text = waiting["reason"]
        elif ended.get("reason"):
            text = ended["reason"]
        elif "terminated" in state:
            text = f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"
        elif container.get("ready") and "running" in state:
            has_running = True
    if text == "Completed" and has_running:
        text = "Running" if _has_ready_condition(status) else "NotReady"
    if "deletionTimestamp" in pod["metadata"]:
        if status.get("reason") == "NodeLost":
            return "Unknown"
        return text if status.get("phase") in ("Failed", "Succeeded") else "Terminating"
    return text


def _has_ready_condition(status: Json) -> bool:
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions", []))


def _pod_cells(pod: Json, now: datetime.datetime) -> list[Any]:
    spec, status, metadata = pod["spec"], pod["status"], pod["metadata"]
    containers = status.get("containerStatuses", [])
    ready = sum(1 for item in containers if item.get("ready") and "running" in item.get("state", {}))
    restarts = sum(item.get("restartCount", 0) for item in containers)
    ends = [item.get("lastState", {}).get("terminated", {}).get("finishedAt") for item in containers]
    last = max((end for end in ends if end), default=None)
    restart_text = f"{restarts} ({_age(last, now)} ago)" if restarts and last else str(restarts)
    return [
        metadata["name"],
        f"{ready}/{len(spec['containers'])}",
        pod_status_text(pod),
        restart_text,
        _age(metadata["creationTimestamp"], now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        "<none>",
    ]


def _node_cells(node: Json, now: datetime.datetime) -> list[Any]:
    metadata, status = node["metadata"], node.get("status", {})
    info = status.get("nodeInfo", {})
    ready = next((item for item in status.get("conditions", []) if item.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    labels = metadata.get("labels", {})
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} | {
        labels.get(_LEGACY_ROLE, "")
    } - {""}
    addresses = {item.get("type"): item.get("address") for item in status.get("addresses", [])}
    return [
        metadata["name"],
        ",".join(words),
        ",".join(sorted(roles)) or "<none>",
        _age(metadata["creationTimestamp"], now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _event_cells(event: Json, now: datetime.datetime) -> list[Any]:
    about, source = event["involvedObject"], event.get("source", {})
    last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    reporter = source.get("component") or event.get("reportingComponent") or ""
    origin = ", ".join(part for part in (reporter, source.get("host", "")) if part)
    return [
        _age(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        origin,
        str(event.get("message", "")).strip(),
        event.get("count", 1),
        event["metadata"]["name"],
    ]


def _cells(resource: ResourceType, item: Json, now: datetime.datetime) -> list[Any]:
    metadata = item["metadata"]
    name, age = metadata["name"], _age(metadata["creationTimestamp"], now)
    if resource.plural == "pods":
        return _pod_cells(item, now)
    if resource.plural == "nodes":
        return _node_cells(item, now)
    if resource.plural == "events":
        return _event_cells(item, now)
    if resource.plural == "namespaces":
        return [name, item["status"]["phase"], age]
    if resource.plural == "secrets":
        return [name, item.get("type", ""), len(item.get("data", {})), age]
    if resource.plural == "configmaps":
        return [name, len(item.get("data", {})) + len(item.get("binaryData", {})), age]
    if resource.plural == "leases":
        return [name, item.get("spec", {}).get("holderIdentity", ""), age]
    if resource.plural in ("deployments", "replicasets"):
        return _replica_cells(resource, item, age)
    if resource.plural == "jobs":
        return _job_cells(item, now)
    return [name, age]


def _replica_cells(resource: ResourceType, item: Json, age: str) -> list[Any]:
    name, desired, status = item["metadata"]["name"], item["spec"].get("replicas", 1), item.get("status", {})
    ready = status.get("readyReplicas", 0)
    if resource.plural == "replicasets":
        return [name, desired, status.get("replicas", 0), ready, age]
    return [name, f"{ready}/{desired}", status.get("updatedReplicas", 0), status.get("availableReplicas", 0), age]


def _job_cells(job: Json, now: datetime.datetime) -> list[Any]:
    metadata, status = job["metadata"], job.get("status", {})
    ends = [item["type"] for item in status.get("conditions", []) if item.get("status") == "True"]
    started, finished = status.get("startTime"), status.get("completionTime")
    until = parse_time(finished) if finished else now
    duration = duration_text((until - parse_time(started)).total_seconds()) if started else ""
    completions = f"{status.get('succeeded', 0)}/{job['spec'].get('completions', 1)}"
    age = _age(metadata["creationTimestamp"], now)
    return [metadata["name"], ends[0] if ends else "Running", completions, duration, age]


def as_table(
    resource: ResourceType,
    items: list[Json],
    metadata: Json,
    now: datetime.datetime,
    include: str,
    *,
    with_columns: bool = True,
) -> Json:
    """The Table of these objects. `include` is the query's includeObject: Metadata (or empty), Object or None."""
    columns = [
        {
            "name": name,
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, priority in _COLUMNS.get(resource.plural, _PLAIN_COLUMNS)
    ]
    rows = []
    for item in items:
        row: Json = {"cells": _cells(resource, item, now)}
        if include == "Object":
            row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version, **item}
        elif include != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": item["metadata"],
            }
        rows.append(row)
    table: Json = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }
    if not with_columns:
        table["columnDefinitions"] = None
    return table
