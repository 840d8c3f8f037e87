"""What is still there of one node: its workloads at the cloud, and the pods that carry our finalizer.

Guarantees: only a live answer that shows our owner record of exactly this cluster id and node makes a workload one of
ours, and only under the very name that is computed from that record: a copy that somebody made of it is not. Asks, and
changes nothing. Everything runs on the caller's thread.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from virtual_kubelet_salad.commands.node_removal import NodeRemoval
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claim, Claims
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Owner, Pod, Provider, Snapshot
from virtual_kubelet_salad.runtime.clock import Clock


class Cloud(Provider, Protocol):
    """A provider whose loops do not run: it is listed on demand."""

    def refresh(self) -> Snapshot:
        """A live list. Raises `CouldNotAsk`."""
        ...


@dataclasses.dataclass(slots=True)
class Workload:
    """One that must be gone in the end."""

    name: str
    pod: str
    """`namespace/name` of its pod, for people."""
    uid: str
    """Of its pod."""
    memory: Memory
    is_present: bool = False
    """The latest answer about it showed it, with our owner record."""
    is_gone: bool = False
    """Confirmed; set by whoever has asked often enough."""
    foreign: str = ""
    """Why it is not ours to delete."""


@dataclasses.dataclass(frozen=True, slots=True)
class Claimed:
    """A pod with our finalizer, and the names of the workloads that it may have."""

    pod: Pod
    claim: Claim
    names: tuple[str, ...]

    @property
    def uid(self) -> str:
        return pods.uid(self.pod)

    @property
    def title(self) -> str:
        return f"{pods.namespace(self.pod)}/{pods.name(self.pod)}"


class Remains:
    """Of one node. `removal` is None when there is no cluster."""

    def __init__(
        self,
        cloud: Cloud,
        claims: Claims,
        removal: NodeRemoval | None,
        clock: Clock,
        cluster_id: str,
        node_name: str,
    ) -> None:
        self._cloud = cloud
        self._claims = claims
        self._removal = removal
        self._clock = clock
        self._cluster_id = cluster_id
        self._node_name = node_name
        self._snapshot: Snapshot | None = None
        self.workloads: dict[str, Workload] = {}
        """Everything that was ever seen or claimed, by name."""
        self.claimed: list[Claimed] = []
        self.refused: dict[str, str] = {}
        """UID of a pod -> why it is never let go."""

    @property
    def is_listed(self) -> bool:
        """Whether there has been a list at all."""
        return self._snapshot is not None

    @property
    def may_be_cut_off(self) -> bool:
        """Whether the latest list may have shown only a part."""
        return self._snapshot is not None and not self._snapshot.is_complete

    # -- asking -------------------------------------------------------------------------------------------------------

    def list(self) -> None:
        """Lists anew, both sides. Raises `CouldNotAsk`, `Rejected`."""
        snapshot = self._cloud.refresh()
        claimed = self._removal.claimed_pods() if self._removal is not None else []
        self._snapshot = snapshot
        for workload in self.workloads.values():
            workload.is_present = False
        for sighting in snapshot.sightings:
            if sighting.owner is not None and self._is_ours(sighting.owner):
                self._saw(self._workload(sighting.name, sighting.owner))
        self.claimed = [self._read(pod) for pod in claimed]

    def ask(self, workload: Workload) -> None:
        """Asks for one by its name. Raises `CouldNotAsk`."""
        found = self._cloud.exists(workload.name)
        workload.is_present = False
        if self._is_ours(found):
            self._saw(workload)
        elif found is not False:
            workload.foreign = "it bears a name of ours, but not our owner record"

    def look_for_reason_to_keep(self, claimed: Claimed) -> None:
        """Asks whether the pod's workload runs under another cluster id: then everything computed here is wrong.
        Raises `CouldNotAsk`.
        """
        sightings = self._snapshot.sightings if self._snapshot is not None else ()
        owners: list[Owner | bool | None] = [sighting.owner for sighting in sightings]
        located = self._located(claimed.pod) if claimed.claim.is_doubtful else None
        if located is not None and located not in claimed.names:
            owners.append(self._cloud.exists(located))
        for owner in owners:
            if isinstance(owner, Owner) and owner.uid == claimed.uid and not self._is_ours(owner):
                noun = self._cloud.identity.workload_noun
                self.refused[claimed.uid] = f"its {noun} is that of cluster id {owner.cluster_id}, node {owner.node}"

    # -- judging ------------------------------------------------------------------------------------------------------

    def is_gone(self, claimed: Claimed) -> bool:
        """Whether each workload that the pod may have is confirmed gone."""
        return not claimed.claim.is_elsewhere and all(self.workloads[name].is_gone for name in claimed.names)

    def may_never_go(self, claimed: Claimed) -> bool:
        """Whether nothing that we may do can free the pod."""
        return (
            claimed.claim.is_elsewhere
            or claimed.uid in self.refused
            or any(self.workloads[name].foreign for name in claimed.names)
        )

    def why_kept(self, claimed: Claimed) -> str:
        """Why the pod still has its finalizer."""
        if claimed.claim.is_elsewhere:
            location = pods.annotations_of(claimed.pod).get(self._cloud.identity.claim_annotation, "")
            return f"its claim lies elsewhere ({location}); run this there"
        noun = self._cloud.identity.workload_noun
        return self.refused.get(claimed.uid) or f"its {noun} is not confirmed gone"

    def title(self, workload: Workload) -> str:
        return f"{self._cloud.identity.workload_noun} {workload.name} (pod {workload.pod})"

    # -----------------------------------------------------------------------------------------------------------------

    def _read(self, pod: Pod) -> Claimed:
        claim = self._claims.read(pod)
        if claim.is_elsewhere:
            return Claimed(pod, claim, ())
        attempts = range(claim.attempt, -1, -1) if claim.is_doubtful else [claim.attempt]
        names = []
        for attempt in attempts:
            workload = self._workload(self._claims.name(pod, attempt), self._claims.owner(pod, attempt))
            if pods.was_seen(pod) and not claim.is_doubtful:
                workload.memory.is_settled = True
            names.append(workload.name)
        # What else is known of this pod: an earlier attempt that should long be gone.
        names += [workload.name for workload in self.workloads.values() if workload.uid == pods.uid(pod)]
        return Claimed(pod, claim, tuple(dict.fromkeys(names)))

    def _workload(self, name: str, owner: Owner) -> Workload:
        known = self.workloads.get(name)
        if known is None:
            known = Workload(name, f"{owner.namespace}/{owner.pod}", owner.uid, Memory(self._clock.monotonic()))
            if name != self._cloud.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt):
                known.foreign = "it carries an owner record of this node, but not the name that belongs to that record"
            self.workloads[name] = known
        return known

    def _saw(self, workload: Workload) -> None:
        if workload.foreign:
            return
        workload.is_present, workload.is_gone = True, False
        workload.memory.is_settled = True
        workload.memory.absences.clear()

    def _is_ours(self, owner: Owner | bool) -> bool:
        return isinstance(owner, Owner) and (owner.cluster_id, owner.node) == (self._cluster_id, self._node_name)

    def _located(self, pod: Pod) -> str | None:
        try:
            return self._cloud.name_at(pods.annotations_of(pod).get(self._cloud.identity.claim_annotation, ""))
        except ValueError:
            return None
