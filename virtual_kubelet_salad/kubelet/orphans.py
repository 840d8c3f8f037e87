"""Finds workloads that no pod speaks for, and deletes them with proof.

A workload is an orphan when its owner record names this cluster and node, its name is the one computed from that
record, two successful lists at least 30 s apart show it, the (fresh) pod cache does not know the UID, and a live GET of
the pod says that it is gone or another. A left-over of an earlier attempt of a known pod is deleted on two sightings
alike, and that of a pod that is over and from which somebody has taken our finalizer. Nothing else is ever deleted
here. Runs on its own thread.
"""

from __future__ import annotations

import dataclasses
import logging

from virtual_kubelet_salad.errors import CouldNotAsk, NotFound
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.brake import Brake
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Owner, Provider
from virtual_kubelet_salad.kubelet.vanishing import Vanishing
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.trouble import Trouble

log = logging.getLogger(__name__)

SIGHTINGS_APART_SECONDS = 30.0
STEP_SECONDS = 5.0
# A cache that has not heard from the API server for longer than a watch lives proves nothing about a missing pod.
FRESH_SECONDS = 90.0


@dataclasses.dataclass(slots=True)
class OrphanSweep:
    """One node's sweep; `step` belongs to its own thread."""

    clock: Clock
    cache: PodCache
    api: ApiServer
    provider: Provider
    claims: Claims
    brake: Brake
    vanishing: Vanishing
    deleted: int = 0
    """How many orphans were deleted, for the metric."""
    _first_seen: dict[str, float] = dataclasses.field(default_factory=dict)
    _number: int = 0
    _trouble: Trouble = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._trouble = Trouble(self.clock, log, "orphans are kept: could not ask")

    def step(self) -> float:
        """Looks at the latest list once; returns the seconds until the next look."""
        self.vanishing.look()
        snapshot = self.provider.snapshot()
        if snapshot is None or snapshot.number == self._number or not self._cache_is_fresh():
            return STEP_SECONDS
        self._number = snapshot.number
        ours = {
            sighting.name: sighting.owner
            for sighting in snapshot.sightings
            if sighting.owner is not None and self.claims.made(sighting.name, sighting.owner)
        }
        orphans = {name: owner for name, owner in ours.items() if self._is_suspect(name, owner)}
        self._first_seen = {name: self._first_seen.get(name, snapshot.taken_at) for name in orphans}
        due = [name for name in orphans if snapshot.taken_at - self._first_seen[name] >= SIGHTINGS_APART_SECONDS]
        # Those that are not due yet count too: what was lost at once need not have been seen at once.
        if due and self.brake.examine(
            frozenset(orphans), len(ours), f"{self.provider.identity.workload_noun}s are orphans"
        ):
            try:
                self._delete_proven(due, orphans)
                self._trouble.over()
            except CouldNotAsk as error:
                self._trouble.failed(error)
        return STEP_SECONDS

    def _cache_is_fresh(self) -> bool:
        return self.cache.has_synced.is_set() and self.cache.age_seconds() <= FRESH_SECONDS

    def _is_suspect(self, name: str, owner: Owner) -> bool:
        pod = self.cache.get(owner.uid)
        if pod is None:
            return True
        claim = self.claims.read(pod)
        if not claim.is_held:
            # Somebody has taken our finalizer away. Who lives takes it back; who is over does nothing any more.
            return pods.is_terminating(pod) or pods.is_finished(pod)
        is_earlier = not claim.is_doubtful and owner.attempt < claim.attempt
        return is_earlier and self.claims.name(pod, owner.attempt) == name

    def _delete_proven(self, due: list[str], orphans: dict[str, Owner]) -> None:
        """Asks for the pods of the orphans, the oldest first, and deletes those that are proven."""
        for name in sorted(due, key=lambda name: self._first_seen[name]):
            owner = orphans[name]
            if self.cache.get(owner.uid) is None and self._pod_exists(owner):
                continue
            try:
                self.provider.delete(name)
            except NotFound:
                pass
            log.warning(
                "orphan deleted name=%s pod=%s/%s uid=%s attempt=%d",
                name,
                owner.namespace,
                owner.pod,
                owner.uid,
                owner.attempt,
            )
            self._first_seen.pop(name)
            self.deleted += 1

    def _pod_exists(self, owner: Owner) -> bool:
        """A live question: does the pod that the owner record names exist, with that UID?"""
        try:
            pod = self.api.get_pod(owner.namespace, owner.pod)
        except NotFound:
            return False
        return pods.uid(pod) == owner.uid
