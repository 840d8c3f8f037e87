"""What the node says about itself: the desired Node object and its status, computed from configuration and the
provider; pure.

Only labels, taints, conditions and addresses that are ours are written; everything else on the Node belongs to others.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from virtual_kubelet_salad.kubelet.placement import Verdict
from virtual_kubelet_salad.kubelet.pods import format_time
from virtual_kubelet_salad.kubelet.provider import Capacity, Identity, Reachability
from virtual_kubelet_salad.runtime import quantity

# Capacity of a node is in whole numbers of these units.
KIBIBYTE = 1024
# The cloud must be silent for this long before the node says so: shorter outages are the retries' business.
UNREACHABLE_AFTER_SECONDS = 60.0
UNREACHABLE_TAINT_SUFFIX = "unreachable"


@dataclasses.dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str

    def as_dict(self) -> dict[str, str]:
        return {"key": self.key, "value": self.value, "effect": self.effect}


@dataclasses.dataclass(frozen=True, slots=True)
class NodeSettings:
    """What the operator decides about the node."""

    name: str
    address: str
    kubelet_port: int
    taint: Taint | None
    kubelet_version: str
    max_pods: int | None = None
    fixed_capacity: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Resource -> quantity that overrides what the provider says."""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the node's status depends on."""

    capacity: Capacity | None
    reachability: Reachability
    own_workloads: int
    """Workloads that this node's pods have."""
    pods_without_workload: int
    """Pods on the node that use none of the quota: DaemonSets', refused ones."""
    placement: Verdict
    """Whether the right place is served."""
    monotonic: float
    now: datetime.datetime


def labels(settings: NodeSettings) -> dict[str, str]:
    return {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }


def own_annotations(identity: Identity, facts: Facts) -> dict[str, str]:
    """Those that are ours to write at this moment."""
    record = facts.placement.record
    return {} if record is None else {identity.place_annotation: record}


def provider_id(settings: NodeSettings, identity: Identity) -> str:
    return f"{identity.name}://{settings.name}"


def unreachable_taint(identity: Identity) -> Taint:
    """Keeps new pods away while the cloud does not answer for this node; running ones are left alone."""
    return Taint(f"{identity.name}.virtual-kubelet.io/{UNREACHABLE_TAINT_SUFFIX}", "", "NoSchedule")


def is_cut_off(facts: Facts) -> bool:
    """Whether the cloud has been silent for long enough to say so, or is asked about the wrong place."""
    reachability = facts.reachability
    is_silent = not reachability.is_reachable and facts.monotonic - reachability.since >= UNREACHABLE_AFTER_SECONDS
    return is_silent or bool(facts.placement.mismatch)


def taints(settings: NodeSettings, identity: Identity, facts: Facts) -> list[dict[str, str]]:
    """The taints that are ours at this moment."""
    wanted = [settings.taint.as_dict()] if settings.taint else []
    if is_cut_off(facts):
        wanted.append(unreachable_taint(identity).as_dict())
    return wanted


def own_taint_keys(settings: NodeSettings, identity: Identity) -> frozenset[tuple[str, str]]:
    """(key, effect) of every taint that we set or remove."""
    ours = {(unreachable_taint(identity).key, "NoSchedule")}
    if settings.taint:
        ours.add((settings.taint.key, settings.taint.effect))
    return frozenset(ours)


def new_node(settings: NodeSettings, identity: Identity, facts: Facts) -> dict[str, Any]:
    """The Node to create."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": settings.name,
            "labels": labels(settings),
            "annotations": own_annotations(identity, facts),
        },
        "spec": {
            "taints": taints(settings, identity, facts),
            "providerID": provider_id(settings, identity),
        },
    }


def object_patch(node: Mapping[str, Any], settings: NodeSettings, identity: Identity, facts: Facts) -> dict[str, Any]:
    """What must change outside the status so that our labels, taints and providerID are right; empty when nothing."""
    patch: dict[str, Any] = {}
    metadata = node.get("metadata") or {}
    for field, wanted_ones in (("labels", labels(settings)), ("annotations", own_annotations(identity, facts))):
        present = metadata.get(field) or {}
        missing = {key: value for key, value in wanted_ones.items() if present.get(key) != value}
        if missing:
            patch.setdefault("metadata", {})[field] = missing
    spec = node.get("spec") or {}
    ours = own_taint_keys(settings, identity)
    foreign = [taint for taint in spec.get("taints") or [] if (taint.get("key"), taint.get("effect")) not in ours]
    wanted = [*foreign, *taints(settings, identity, facts)]
    if _taint_set(spec.get("taints") or []) != _taint_set(wanted):
        # Taints are a list without a merge key, so it is sent whole; the version makes a write in between fail.
        patch.setdefault("spec", {})["taints"] = wanted
        patch.setdefault("metadata", {})["resourceVersion"] = (node.get("metadata") or {}).get("resourceVersion", "")
    if not spec.get("providerID"):
        patch.setdefault("spec", {})["providerID"] = provider_id(settings, identity)
    return patch


def status(node: Mapping[str, Any], settings: NodeSettings, identity: Identity, facts: Facts) -> dict[str, Any]:
    """Our part of the status."""
    capacity, allocatable = _resources(settings, facts)
    return {
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": _conditions(node, identity, facts),
        "addresses": [
            {"type": "InternalIP", "address": settings.address},
            {"type": "Hostname", "address": settings.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.kubelet_port}},
        "nodeInfo": {
            "kubeletVersion": settings.kubelet_version,
            "kubeProxyVersion": "",
            "architecture": "amd64",
            "operatingSystem": "linux",
            "osImage": identity.name,
            "kernelVersion": "",
            "containerRuntimeVersion": f"{identity.container_id_scheme}://",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
    }


def is_worth_writing(node: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the status says something else than the Node's, heartbeat times aside."""
    present = node.get("status") or {}
    by_type = {condition.get("type"): condition for condition in present.get("conditions") or []}
    for condition in wanted["conditions"]:
        before = by_type.get(condition["type"], {})
        if any(before.get(key, "") != condition[key] for key in ("status", "reason", "message")):
            return True
    if present.get("daemonEndpoints") != wanted["daemonEndpoints"]:
        return True
    for key in ("capacity", "allocatable"):
        if not _amounts(wanted[key]).items() <= _amounts(present.get(key) or {}).items():
            return True
    if (present.get("nodeInfo") or {}).get("kubeletVersion") != wanted["nodeInfo"]["kubeletVersion"]:
        return True
    addresses = {(address.get("type"), address.get("address")) for address in present.get("addresses") or []}
    return any((address["type"], address["address"]) not in addresses for address in wanted["addresses"])


def _resources(settings: NodeSettings, facts: Facts) -> tuple[dict[str, str], dict[str, str]]:
    """Capacity and allocatable. Without an answer about the quota there is room for nothing."""
    capacity = facts.capacity
    quota = capacity.workloads if capacity else 0
    used_by_others = max(0, capacity.workloads_used - facts.own_workloads) if capacity else 0
    free = max(0, quota - used_by_others)
    largest = capacity.largest if capacity else {}
    full = _scaled(quota, facts.pods_without_workload, largest, settings)
    allocatable = _scaled(free, facts.pods_without_workload, largest, settings)
    full.update(settings.fixed_capacity)
    allocatable.update(settings.fixed_capacity)
    return full, allocatable


def _scaled(workloads: int, idle_pods: int, largest: Mapping[str, int], settings: NodeSettings) -> dict[str, str]:
    pods = workloads + idle_pods
    if settings.max_pods is not None:
        pods = min(pods, settings.max_pods)
        workloads = min(workloads, settings.max_pods)
    return {
        "pods": str(pods),
        "cpu": str(workloads * largest.get("cpu", 0)),
        "memory": f"{math.floor(workloads * largest.get('memory', 0) / KIBIBYTE)}Ki",
        "ephemeral-storage": f"{math.floor(workloads * largest.get('ephemeral-storage', 0) / KIBIBYTE)}Ki",
        "nvidia.com/gpu": str(workloads * largest.get("nvidia.com/gpu", 0)),
    }


def _conditions(node: Mapping[str, Any], identity: Identity, facts: Facts) -> list[dict[str, Any]]:
    reachability = facts.reachability
    cut_off = is_cut_off(facts)
    reason, message = reachability.reason, reachability.message
    if facts.placement.mismatch:
        reason, message = identity.misplaced_reason, facts.placement.mismatch
    wanted = [
        ("Ready", "True", "KubeletReady", "the virtual kubelet is running"),
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "a virtual node has no memory of its own"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "a virtual node has no disk of its own"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "a virtual node has no processes of its own"),
        ("NetworkUnavailable", "False", "RouteCreated", "a virtual node needs no routes"),
        (
            identity.reachable_condition,
            "False" if cut_off else "True",
            reason if cut_off else "Reachable",
            message if cut_off else "the cloud answers",
        ),
    ]
    moment = format_time(facts.now)
    before = {condition.get("type"): condition for condition in (node.get("status") or {}).get("conditions") or []}
    return [
        {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": moment,
            "lastTransitionTime": _transition_time(before.get(kind), value, moment),
        }
        for kind, value, reason, message in wanted
    ]


def _transition_time(before: Mapping[str, Any] | None, value: str, moment: str) -> str:
    if before and before.get("status") == value and before.get("lastTransitionTime"):
        return str(before["lastTransitionTime"])
    return moment


def _amounts(resources: Mapping[str, str]) -> dict[str, Fraction]:
    """The API server writes quantities in a form of its own, so they are compared by value."""
    return {name: quantity.parse(amount) for name, amount in resources.items()}


def _taint_set(items: list[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    return {(str(item.get("key")), str(item.get("value") or ""), str(item.get("effect"))) for item in items}
