"""Manifests of the objects that the tests give to the virtual node, as an author would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

TOLERATIONS = [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]
IMAGE = "registry.example/server:1"


def pod(
    name: str,
    *,
    image: str = IMAGE,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    environment_from: Sequence[Object] = (),
    restart_policy: str = "Always",
    node: str | None = None,
    gpus: int = 0,
    labels: Mapping[str, str] | None = None,
    owner: Object | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """A bare pod that tolerates the node's taint. `environment_from` are entries of `env` with a `valueFrom`."""
    metadata: Object = {"name": name}
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    spec = pod_spec(
        image=image,
        command=command,
        environment=environment,
        environment_from=environment_from,
        restart_policy=restart_policy,
        node=node,
        gpus=gpus,
    )
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pod_spec(
    *,
    image: str = IMAGE,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    environment_from: Sequence[Object] = (),
    restart_policy: str = "Always",
    node: str | None = None,
    gpus: int = 0,
) -> Object:
    """`node` is asked for by its label, so that the scheduler is the one who places the pod."""
    container: Object = {"name": "main", "image": image}
    if command is not None:
        container["command"] = list(command)
    variables = [{"name": key, "value": value} for key, value in (environment or {}).items()]
    if variables or environment_from:
        container["env"] = [*variables, *environment_from]
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    spec: Object = {"restartPolicy": restart_policy, "tolerations": TOLERATIONS, "containers": [container]}
    if node is not None:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return spec


def from_secret(variable: str, secret: str, key: str) -> Object:
    """An entry of `env` whose value is a key of a Secret."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def secret(name: str, values: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}


def exits(code: int, after_seconds: float = 1.0) -> dict[str, str]:
    """Environment that makes the simulated container end."""
    return {"SIM_EXIT": f"{code} after {after_seconds:g}s"}


def deployment(name: str, replicas: int, *, node: str | None = None, image: str = IMAGE) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(image=image, node=node)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def job(
    name: str,
    environment: Mapping[str, str] | None = None,
    *,
    restart_policy: str = "Never",
    annotations: Mapping[str, str] | None = None,
    node: str | None = None,
    **spec: Any,
) -> Object:
    """`spec` are fields of the Job's own, as they are written there; without a `backoffLimit` nothing is tried again.
    `annotations` are the pod's.
    """
    pod = pod_spec(environment=environment, restart_policy=restart_policy, node=node)
    template = {"metadata": {"annotations": dict(annotations or {})}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def stateful_set(name: str, replicas: int) -> Object:
    """All of its pods are started at once; its Service does not exist, which a StatefulSet does not mind."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
        },
    }


def daemon_set(name: str, *, node: str | None = None) -> Object:
    """One that goes on every node (or on that one alone), the virtual one included, as log shippers do."""
    labels = {"app": name}
    spec = {**pod_spec(node=node), "tolerations": [{"operator": "Exists"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
