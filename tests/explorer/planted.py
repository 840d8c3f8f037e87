"""Defects on purpose: each takes one safety line out of the daemon. The explorer must find every one of them.

A defect is planted by patching the daemon's classes and modules, in this process, until the patch is undone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.explorer.layout import KINDS
from virtual_kubelet_salad.errors import Error, NotFound
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.leader import LeaderElector
from virtual_kubelet_salad.kubelet import claims, node, orphans, pods, starting, status
from virtual_kubelet_salad.kubelet.brake import Brake
from virtual_kubelet_salad.kubelet.claims import Claim, Claims
from virtual_kubelet_salad.kubelet.ending import Ending
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Owner, Pod, RunReference
from virtual_kubelet_salad.kubelet.result import Result
from virtual_kubelet_salad.kubelet.services import Services
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.runtime.workqueue import WorkQueue
from virtual_kubelet_salad.saladcloud import client, runs

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclasses.dataclass(frozen=True)
class Defect:
    """`kinds`: the layouts in which the missing line matters; runs of others would be wasted on it."""

    plant: Plant
    kinds: tuple[str, ...] = KINDS


DEFECTS: dict[str, Defect] = {}


def defect(*kinds: str) -> Callable[[Plant], Plant]:
    def note(plant: Plant) -> Plant:
        DEFECTS[plant.__name__] = Defect(plant, kinds or KINDS)
        return plant

    return note


# -- the claim and the create -----------------------------------------------------------------------------------------


@defect()
def no_claim(patch: Patch) -> None:
    """The create goes out without the claim."""

    def claim(self: starting.Starting, pod: Pod, attempt: int, memory: Memory) -> Result:
        memory.begin(attempt)
        return self.create(pod, Claim(True, attempt, self._on.claims.name(pod, attempt)), memory)

    patch.setattr(starting.Starting, "_claim", claim)


@defect()
def blind_creation_anew(patch: Patch) -> None:
    """Whatever is not found is created again at once, under the next name."""

    def missing(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        return self._claim(pod, claim.attempt + 1, memory)

    patch.setattr(starting.Starting, "missing", missing)


@defect()
def unsettled_creates_are_not_waited_for(patch: Patch) -> None:
    """A create that timed out is taken for one that was refused."""
    before = Memory.seconds_until_absent
    patch.setattr(Memory, "seconds_until_absent", lambda self, name, settle_seconds: before(self, name, 5.0))


@defect()
def another_daemons_group_is_adopted(patch: Patch) -> None:
    """Whose record a group carries is not looked at."""
    patch.setattr(Claims, "is_own", lambda self, owner, pod, attempt: bool(owner))


@defect("plain")
def a_claim_elsewhere_is_taken_for_ours(patch: Patch) -> None:
    """A daemon of the wrong project goes on with the pods of the right one."""
    before = Claims.read

    def read(self: Claims, pod: Pod, *, known_attempt: int = 0) -> Claim:
        return dataclasses.replace(before(self, pod, known_attempt=known_attempt), is_elsewhere=False)

    patch.setattr(Claims, "read", read)


# -- the end ----------------------------------------------------------------------------------------------------------


@defect()
def one_not_found_is_gone(patch: Patch) -> None:
    """The first 404 is believed."""

    def at_once(self: Memory, name: str, settle_seconds: float) -> float:
        return 0.0 if name in self.absences else 5.0

    patch.setattr(Memory, "seconds_until_absent", at_once)


@defect()
def release_before_delete(patch: Patch) -> None:
    """The finalizer goes before the group does."""

    def wind_up(self: Ending, pod: Pod, names: list[str], memory: Memory) -> Result:
        if pods.is_terminating(pod) and not memory.is_removed:
            return self.remove(pod, memory)
        return self._release(pod, "deleted", memory)

    patch.setattr(Ending, "wind_up", wind_up)


@defect()
def a_page_accepts_a_delete(patch: Patch) -> None:
    """Any success is taken for the acceptance of an order, a proxy's page too."""
    patch.setattr(client, "_ORDER_ACCEPTED", frozenset(range(200, 300)))


@defect()
def an_error_means_not_found(patch: Patch) -> None:
    """Could not ask is taken for gone."""
    before = client._error

    def error(answer: Any, operation: str, is_write: bool, request: object) -> Error:
        found = before(answer, operation, is_write, request)
        return NotFound(str(found)) if answer.status >= 500 and operation == "get_container_group" else found

    patch.setattr(client, "_error", error)


# -- orphans ----------------------------------------------------------------------------------------------------------


@defect()
def no_owner_check(patch: Patch) -> None:
    """The sweep takes every group with a record for its own."""
    patch.setattr(Claims, "made", lambda self, name, owner: owner is not None)
    patch.setattr(orphans.OrphanSweep, "_pod_exists", lambda self, owner: False)


@defect()
def copies_are_taken_for_ours(patch: Patch) -> None:
    """The record is enough, whatever the group's name."""

    def made(self: Claims, name: str, owner: Owner | None) -> bool:
        return owner is not None and (owner.cluster_id, owner.node) == (self._cluster_id, self._node_name)

    patch.setattr(Claims, "made", made)


@defect()
def no_live_question_about_an_orphans_pod(patch: Patch) -> None:
    """What the cache does not know is gone; no list of pods is waited for, and no second sighting."""
    patch.setattr(orphans.OrphanSweep, "_pod_exists", lambda self, owner: False)
    patch.setattr(orphans.OrphanSweep, "_cache_is_fresh", lambda self: True)
    patch.setattr(orphans, "SIGHTINGS_APART_SECONDS", 0.0)


@defect("crowd")
def no_brake(patch: Patch) -> None:
    """Nothing is too much at once."""
    patch.setattr(Brake, "examine", lambda self, names, total, what: True)


# -- what is told -----------------------------------------------------------------------------------------------------


@defect()
def comparison_with_last_sent(patch: Patch) -> None:
    """A status is compared with what was sent last instead of with what the API server shows."""
    sent: dict[str, object] = {}

    def differs(pod: Pod, wanted: object) -> bool:
        uid, comparable = pods.uid(pod), _without_times(wanted)
        if sent.get(uid) == comparable:
            return False
        sent[uid] = comparable
        return True

    patch.setattr(status, "differs", differs)


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        times = ("lastTransitionTime", "startTime", "startedAt", "finishedAt")
        return {key: _without_times(item) for key, item in value.items() if key not in times}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


@defect()
def secret_in_status(patch: Patch) -> None:
    """The request, environment and all, appears in the pod's status."""
    before = starting.Starting.create

    def create(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        owner = self._on.claims.owner(pod, claim.attempt)
        plan = self._on.planner.plan(pod, owner, first_seen=memory.first_seen)
        self._on.patch(pod, {"status": {"message": str(plan.request)}})
        return before(self, pod, claim, memory)

    patch.setattr(starting.Starting, "create", create)


@defect()
def writes_from_an_old_view(patch: Patch) -> None:
    """A status may be computed from a pod that has changed meanwhile."""

    def write(self: Services, pod: Pod, patch: dict[str, Any]) -> None:
        written = self.api.patch_pod_status(pods.namespace(pod), pods.name(pod), pods.uid(pod), patch)
        self.cache.note_written(written)

    patch.setattr(Services, "patch", write)


@defect()
def an_unknown_end_is_a_success(patch: Patch) -> None:
    """A run of whose end nothing was heard is told as completed."""
    before = runs.unknown_ending

    def unknown_ending(reference: RunReference, now: Any) -> Any:
        return dataclasses.replace(before(reference, now), exit_code=0, reason="Completed")

    patch.setattr(runs, "unknown_ending", unknown_ending)


@defect()
def not_ready_without_the_cloud(patch: Patch) -> None:
    """The node is as ready as SaladCloud is, so that an outage evicts its pods."""
    before = node._conditions

    def conditions(*arguments: Any) -> list[dict[str, Any]]:
        found = before(*arguments)
        reachable = next(one["status"] for one in found if one["type"] == "SaladCloudReachable")
        return [{**one, "status": reachable} if one["type"] == "Ready" else one for one in found]

    patch.setattr(node, "_conditions", conditions)


@defect()
def a_source_restarts_the_container(patch: Patch) -> None:
    """The record's hash is of the annotations too, so an edit of them makes an update."""
    before = claims.image_hash
    patch.setattr(claims, "image_hash", lambda pod: before(pod) + str(pods.annotations_of(pod).get("note")))


# -- how much, and who ------------------------------------------------------------------------------------------------


@defect()
def forgotten_retry(patch: Patch) -> None:
    """What failed is not tried again by itself."""
    patch.setattr(WorkQueue, "add_rate_limited", lambda self, key, *, urgent=False: 0.0)


@defect()
def budget_ignored(patch: Patch) -> None:
    """Everything is asked at once."""
    patch.setattr(Budget, "try_acquire", lambda self, request_class: 0.0)


@defect()
def throttling_ignored(patch: Patch) -> None:
    """A 429 is an error like any other."""
    patch.setattr(Budget, "throttled", lambda self, retry_after: None)


@defect("replicas")
def no_leadership_check(patch: Patch) -> None:
    """Nobody looks who leads before a write."""
    patch.setattr(ApiServer, "_check_before_write", lambda self: None)


@defect("replicas")
def a_leader_for_life(patch: Patch) -> None:
    """Who has led believes to lead, however long it was away."""
    patch.setattr(LeaderElector, "is_leader", lambda self: self._has_led and not self._is_lost)
