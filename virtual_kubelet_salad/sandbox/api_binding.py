"""A small scheduler: which node takes a pod, and what the pod says when none does.

It looks at the node's readiness, `unschedulable`, taints, the pod's nodeSelector and required node affinity by
labels, and the free cpu, memory, pods and extended resources. The first node by name that fits is taken; there is no
scoring and no preemption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_objects import parse_quantity, pod_requests

_UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Capacity:
    """What is free on one node while pods are being placed."""

    def __init__(self, node: Json, pods: Iterable[Json]) -> None:
        self.node = node
        allocatable = node.get("status", {}).get("allocatable", {})
        self._free = {name: parse_quantity(quantity) for name, quantity in allocatable.items()}
        for pod in pods:
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                self.take(pod_requests(pod))

    def take(self, requests: dict[str, Decimal]) -> None:
        """Count a pod that is placed here."""
        for name, amount in requests.items():
            self._free[name] = self._free.get(name, Decimal(0)) - amount

    def lacking(self, requests: dict[str, Decimal]) -> str | None:
        """The scheduler's words for the first resource that does not suffice."""
        for name, amount in requests.items():
            if amount > self._free.get(name, Decimal(0)):
                return "Too many pods" if name == "pods" else f"Insufficient {name}"
        return None


def _tolerates(tolerations: list[Json], taint: Json) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        if not toleration.get("key"):
            if toleration.get("operator") == "Exists":
                return True
            continue
        if toleration["key"] != taint["key"]:
            continue
        if toleration.get("operator", "Equal") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def is_ready(node: Json) -> bool:
    """Whether the node says that it is ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _expression_holds(expression: Json, labels: dict[str, str]) -> bool:
    key, operator, values = expression.get("key", ""), expression.get("operator"), expression.get("values", [])
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    return operator == "DoesNotExist" and key not in labels


def _matches_affinity(spec: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels", {})
    if any(labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return False
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_expression_holds(item, labels) for item in term.get("matchExpressions", []))
        and all(_expression_holds(item, fields) for item in term.get("matchFields", []))
        for term in required.get("nodeSelectorTerms", [])
    )


def why_not(pod: Json, requests: dict[str, Decimal], capacity: Capacity) -> str | None:
    """The scheduler's words for what keeps the pod from the node; None when it fits."""
    node, spec = capacity.node, pod["spec"]
    tolerations = spec.get("tolerations", [])
    if node.get("spec", {}).get("unschedulable") and not _tolerates(tolerations, _UNSCHEDULABLE_TAINT):
        return "node(s) were unschedulable"
    if not is_ready(node):
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    for taint in node.get("spec", {}).get("taints", []):
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerates(tolerations, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _matches_affinity(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return capacity.lacking(requests)


def place(pod: Json, capacities: list[Capacity]) -> tuple[str | None, str]:
    """The node that takes the pod, or None with the text of the PodScheduled condition. A node that takes it is
    charged.
    """
    requests = pod_requests(pod)
    reasons: Counter[str] = Counter()
    for capacity in capacities:
        reason = why_not(pod, requests, capacity)
        if reason is None:
            capacity.take(requests)
            return str(capacity.node["metadata"]["name"]), ""
        reasons[reason] += 1
    if not capacities:
        return None, "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return (
        None,
        f"0/{len(capacities)} nodes are available: {listed}. preemption: 0/{len(capacities)} nodes are available.",
    )
