"""Pods exactly as an API server of Kubernetes 1.36 stores them: with every default written out."""

from __future__ import annotations

import base64
import copy
import uuid
from typing import Any

from virtual_kubelet_salad.sandbox.api_pods import default_pod

_TOKEN_VOLUME: dict[str, Any] = {
    "name": "kube-api-access-x7k2p",
    "projected": {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ],
    },
}
_TOKEN_MOUNT: dict[str, Any] = {
    "name": "kube-api-access-x7k2p",
    "readOnly": True,
    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
}
_STORED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-0",
        "namespace": "default",
        "uid": "5f0c6a0e-7f0b-4f4e-9c0a-0b9b8f7a6c5d",
        "resourceVersion": "771",
        "generation": 1,
        "creationTimestamp": "2026-05-04T09:30:00Z",
    },
    "spec": {
        "volumes": [_TOKEN_VOLUME],
        "containers": [
            {
                "name": "web",
                "image": "nginx:1.29",
                "resources": {},
                "volumeMounts": [_TOKEN_MOUNT],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeName": "saladcloud-node",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "saladcloud", "effect": "NoSchedule"},
            {
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    },
    "status": {"phase": "Pending", "qosClass": "BestEffort"},
}


def stored_pod(
    *,
    container: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    volumes: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A stored pod of its own, with fields of container and spec put in and volumes added."""
    pod = copy.deepcopy(_STORED)
    pod["spec"]["containers"][0].update(copy.deepcopy(container or {}))
    pod["spec"].update(copy.deepcopy(spec or {}))
    pod["spec"]["volumes"] += copy.deepcopy(volumes or [])
    if annotations:
        pod["metadata"]["annotations"] = dict(annotations)
    return pod


def as_stored(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a person wrote, as the API server keeps it: a pod with its defaults and bound to the node, a Secret with its
    values in base64.
    """
    stored = copy.deepcopy(manifest)
    name = stored["metadata"]["name"]
    stored["metadata"] |= {"namespace": "default", "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name))}
    if stored["kind"] == "Pod":
        default_pod(stored, "x7k2p")
        stored["spec"]["nodeName"] = "saladcloud-node"
    for key, text in stored.pop("stringData", {}).items():
        stored.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
    return stored
