"""What every part of the reconcile loop works with, and the three ways in which it speaks: write, patch, tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet import ephemeral, pods, status
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.placement import Placement
from virtual_kubelet_salad.kubelet.planning import Planner
from virtual_kubelet_salad.kubelet.provider import Notice, Pod, Provider
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.kubelet.vanishing import Vanishing
from virtual_kubelet_salad.runtime.clock import Clock


class Recorder(Protocol):
    """Turns notices into Kubernetes Events, without waiting."""

    def event(self, regarding: Mapping[str, Any], type: str, reason: str, message: str) -> None: ...

    def forget(self, uid: str) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of one node's reconcile loop; all of them thread-safe."""

    clock: Clock
    cache: PodCache
    api: ApiServer
    provider: Provider
    claims: Claims
    planner: Planner
    statuses: status.Writer
    recorder: Recorder
    vanishing: Vanishing
    placement: Placement
    create_settle_seconds: float = 120.0
    daemonset_pods_are_ready: bool = True

    def write(self, pod: Pod, wanted: dict[str, Any], said: str, *notices: Notice, outcome: str = "settled") -> Result:
        """Writes a status if it says anything new; the notices are told only then."""
        if not status.differs(pod, wanted):
            return Result(outcome, said)
        self.patch(pod, {"status": wanted})
        for notice in notices:
            self.tell(pod, notice)
        return Result("status_written", said, AT_ONCE)

    def patch(self, pod: Pod, patch: dict[str, Any]) -> None:
        """One PATCH of `pods/status`; its answer is shown by the cache until the informer has caught up.

        It carries the version of the pod that it was computed from, so one that was computed from an old view (a watch
        can be dead for a minute) is refused instead of taking a phase or a claim back. Every status says what becomes
        of ephemeral containers, so here is where the Events about new ones are told.
        """
        version = pods.metadata(pod).get("resourceVersion", "")
        guarded = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version}}
        written = self.api.patch_pod_status(pods.namespace(pod), pods.name(pod), pods.uid(pod), guarded)
        self.cache.note_written(written)
        if "status" in patch:
            for notice in ephemeral.news(pod):
                self.tell(pod, notice)

    def forget(self, names: set[str]) -> None:
        """Nobody asks about these workloads any more."""
        for name in names:
            self.provider.forget(name)
        names.clear()

    def tell(self, pod: Pod, notice: Notice) -> None:
        self.recorder.event(pod, notice.type, notice.reason, notice.message)
