"""What the pods of the node use, gathered from the provider for who asks the port.

The node itself is the sum of its pods. They are measured at different moments and come and go, so its processor time is
not the sum of theirs, whose rate would jump: it grows by what all of them use at a time. Safe to use from any thread.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Pod, Provider
from virtual_kubelet_salad.kubelet.provider_insight import Usage
from virtual_kubelet_salad.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Measured:
    """One pod; its only container is the pod."""

    namespace: str
    pod: str
    uid: str
    container: str
    image: str
    started_at: datetime.datetime
    pod_started_at: datetime.datetime
    usage: Usage


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """The node as a whole."""

    measured_at: datetime.datetime
    """Now: it is computed, not measured."""
    cpu_seconds: float
    """Since this process began to count; only grows."""
    cpu_cores: float
    memory_bytes: int


class Measurements:
    """The pods of one node."""

    def __init__(self, cache: PodCache, provider: Provider, claims: Claims, clock: Clock) -> None:
        self._cache = cache
        self._provider = provider
        self._claims = claims
        self._clock = clock
        self._lock = threading.Lock()
        self._counted_at = clock.monotonic()
        self._cpu_seconds = 0.0

    def read(self) -> tuple[Sequence[Measured], NodeUsage | None]:
        """Every pod that was measured, in order; and the node, None while none of its pods was."""
        found = [measured for pod in self._cache.all() if (measured := self._measured(pod)) is not None]
        found.sort(key=lambda each: (each.namespace, each.pod))
        return found, self._node(found)

    def _measured(self, pod: Pod) -> Measured | None:
        current = pods.container_status(pod)
        running = (current.get("state") or {}).get("running")
        started_at = pods.parse_time((running or {}).get("startedAt"))
        names = self._claims.latest_names(pod, 1)
        if started_at is None or not names or not current.get("containerID"):
            return None
        usage = self._provider.usage(names[-1])
        if usage is None or usage.container_id != current["containerID"] or usage.measured_at < started_at:
            return None
        return Measured(
            namespace=pods.namespace(pod),
            pod=pods.name(pod),
            uid=pods.uid(pod),
            container=str(pods.container(pod).get("name", "")),
            image=str(pods.container(pod).get("image", "")),
            started_at=started_at,
            pod_started_at=pods.parse_time(pods.status(pod).get("startTime")) or started_at,
            usage=usage,
        )

    def _node(self, found: Sequence[Measured]) -> NodeUsage | None:
        cores = sum(map(_cores, found))
        with self._lock:
            now = self._clock.monotonic()
            self._cpu_seconds += cores * (now - self._counted_at)
            self._counted_at = now
            cpu_seconds = self._cpu_seconds
        if not found:
            return None
        return NodeUsage(
            measured_at=self._clock.now(),
            cpu_seconds=cpu_seconds,
            cpu_cores=cores,
            memory_bytes=sum(each.usage.memory_bytes or 0 for each in found),
        )


def _cores(each: Measured) -> float:
    """As measured last; on the first measurement of a run, on average since it began."""
    usage = each.usage
    if usage.cpu_cores is not None:
        return usage.cpu_cores
    length = (usage.measured_at - each.started_at).total_seconds()
    return usage.cpu_seconds / length if usage.cpu_seconds is not None and length > 0.0 else 0.0
