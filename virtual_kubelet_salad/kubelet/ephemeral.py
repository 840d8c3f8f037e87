"""Ephemeral containers, which `kubectl debug` adds to a pod that is there already: none ever runs, and each says so.

The pod itself goes on, for what was added by mistake cannot be taken back. Each has a status of its own, because
`kubectl debug -it` waits until there is one that has ended or runs. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Notice, Pod
from virtual_kubelet_salad.kubelet.refusals import REFUSED_REASON

_WHY = "a pod has only one container here, and none can be added to it"


def statuses(pod: Pod, now: datetime.datetime) -> list[dict[str, Any]]:
    """`ephemeralContainerStatuses` of the pod; one that was told once stays as it is."""
    told = _told(pod)
    return [told.get(str(container.get("name"))) or _refused(container, now) for container in _containers(pod)]


def news(pod: Pod) -> list[Notice]:
    """A notice for each that has no status yet."""
    told = _told(pod)
    names = [str(container.get("name")) for container in _containers(pod)]
    return [
        Notice("Warning", REFUSED_REASON, f"the ephemeral container {name} is not run: {_WHY}")
        for name in names
        if name not in told
    ]


def _containers(pod: Pod) -> list[Mapping[str, Any]]:
    return (pod.get("spec") or {}).get("ephemeralContainers") or []


def _told(pod: Pod) -> dict[str, dict[str, Any]]:
    return {str(status.get("name")): status for status in pods.status(pod).get("ephemeralContainerStatuses") or []}


def _refused(container: Mapping[str, Any], now: datetime.datetime) -> dict[str, Any]:
    return {
        "name": container.get("name", ""),
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": pods.never_run(REFUSED_REASON, _WHY, now)},
    }
