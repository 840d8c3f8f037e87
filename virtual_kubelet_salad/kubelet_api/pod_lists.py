"""Answers `/pods`, `/runningpods/` and `/configz`; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Pod


def pod_list(every: Iterable[Pod]) -> dict[str, Any]:
    """All pods of the node, as a kubelet lists them."""
    ordered = sorted(every, key=lambda pod: (pods.namespace(pod), pods.name(pod)))
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": ordered}


def running_pods(every: Iterable[Pod]) -> dict[str, Any]:
    """Those whose container runs, without those that are being deleted, in the short form that a kubelet makes of what
    its runtime says.
    """
    running = [pod for pod in every if _runs(pod) and not pods.is_terminating(pod)]
    return pod_list([_in_short(pod) for pod in running])


def configuration(*, port: int, is_rotating: bool) -> dict[str, Any]:
    """What of a kubelet's configuration has a meaning here."""
    return {
        "kubeletconfig": {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "enableServer": True,
            "port": port,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True, "cacheTTL": "2m0s"}},
            "authorization": {
                "mode": "Webhook",
                "webhook": {"cacheAuthorizedTTL": "2m0s", "cacheUnauthorizedTTL": "10s"},
            },
            "tlsMinVersion": "VersionTLS12",
            "serverTLSBootstrap": is_rotating,
            "nodeLeaseDurationSeconds": 40,
        }
    }


def _runs(pod: Pod) -> bool:
    current = pods.container_status(pod)
    # A pod of a DaemonSet is reported as running and has no container.
    return "running" in (current.get("state") or {}) and bool(current.get("containerID"))


def _in_short(pod: Pod) -> dict[str, Any]:
    container = pods.container(pod)
    return {
        "metadata": {"name": pods.name(pod), "namespace": pods.namespace(pod), "uid": pods.uid(pod)},
        "spec": {
            "containers": [{"name": container.get("name", ""), "image": container.get("image", ""), "resources": {}}]
        },
        "status": {},
    }
