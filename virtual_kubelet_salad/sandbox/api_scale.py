"""The scale subresource of Deployments and ReplicaSets: how many replicas `kubectl scale` reads and writes."""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.api_errors import Json, bad_request

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(item: Json) -> Json:
    """The Scale object of a workload."""
    labels = item["spec"].get("selector", {}).get("matchLabels", {})
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: item["metadata"][name] for name in _METADATA},
        "spec": {"replicas": item["spec"].get("replicas", 1)},
        "status": {"replicas": item.get("status", {}).get("replicas", 0), "selector": selector},
    }


def wanted_replicas(scale: object) -> int:
    """What a sent Scale asks for; 400 when it asks for nothing that can be."""
    spec = scale.get("spec") if isinstance(scale, dict) else None
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise bad_request("the body of the request is not a Scale with spec.replicas of at least 0")
    return replicas
