"""The parts of a pod that this provider reads; pure and total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Pod

Fields = Mapping[str, Any]


def annotations_of(pod: Pod) -> Mapping[str, str]:
    metadata: Fields = pod.get("metadata") or {}
    return metadata.get("annotations") or {}


def spec(pod: Pod) -> Fields:
    return pod.get("spec") or {}


def container(pod: Pod) -> Fields:
    """Container 0, the only one that runs."""
    containers = spec(pod).get("containers") or [{}]
    first: Fields = containers[0]
    return first


def has_sources(pod: Pod) -> bool:
    """Whether values of the container's environment come from Secrets or ConfigMaps, and so can change."""
    own = container(pod)
    return bool(own.get("envFrom")) or any(
        source.get("secretKeyRef") or source.get("configMapKeyRef")
        for source in (entry.get("valueFrom") or {} for entry in own.get("env") or [])
    )


def port_number(pod: Pod, port: object) -> int | None:
    """A port as a number, whether it is written as one or by its name in the container's `ports`; None when no port
    has that name.
    """
    if isinstance(port, int):
        return port
    if not isinstance(port, str):
        return None
    if port.isascii() and port.isdigit() and len(port) <= 6:
        return int(port)
    for declared in container(pod).get("ports") or []:
        if declared.get("name") == port:
            number: int | None = declared.get("containerPort")
            return number
    return None
