"""Defects on purpose: each takes one safety line out of the daemon. The explorer must find every one of them.

A defect is planted by patching the daemon's classes and modules, in this process, until the patch is undone. With it
stand the rules that it breaks (a defect that only makes the daemon raise an exception breaks none of them) and the
kinds of layout in which the line matters most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.explorer.layout import KINDS
from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.leader import LeaderElector
from virtual_kubelet_salad.kubelet import claims, conditions, node, orphans, pods, starting, status
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
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.observing import Observing

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclasses.dataclass(frozen=True)
class Defect:
    """`rules`: of which the first violation must be one. `kinds`: runs of other layouts would be wasted on it."""

    plant: Plant
    rules: tuple[str, ...]
    kinds: tuple[str, ...]


DEFECTS: dict[str, Defect] = {}


def defect(*rules: str, kinds: tuple[str, ...] = KINDS) -> Callable[[Plant], Plant]:
    def note(plant: Plant) -> Plant:
        DEFECTS[plant.__name__] = Defect(plant, rules, kinds)
        return plant

    return note


# -- the claim and the create -----------------------------------------------------------------------------------------


@defect("I4")
def no_claim(patch: Patch) -> None:
    """The create goes out without the claim: a pod that is deleted meanwhile leaves its group behind."""

    def claim(self: starting.Starting, pod: Pod, attempt: int, memory: Memory) -> Result:
        memory.begin(attempt)
        return self.create(pod, Claim(True, attempt, self._on.claims.name(pod, attempt)), memory)

    patch.setattr(starting.Starting, "_claim", claim)


@defect("I1", "I4", kinds=("lossy",))
def blind_creation_anew(patch: Patch) -> None:
    """Whatever is not found is created again at once, under the next name: then there are two."""

    def missing(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        return self._claim(pod, claim.attempt + 1, memory)

    patch.setattr(starting.Starting, "missing", missing)


@defect("I4", kinds=("lossy",))
def unsettled_creates_are_not_waited_for(patch: Patch) -> None:
    """A pod is let go as soon as its group is not found, though its create timed out and may yet be carried out."""
    before = Ending.wind_up

    def wind_up(self: Ending, pod: Pod, names: list[str], memory: Memory) -> Result:
        memory.is_settled = True
        return before(self, pod, names, memory)

    patch.setattr(Ending, "wind_up", wind_up)


@defect("run", "running", "ready")
def another_daemons_group_is_adopted(patch: Patch) -> None:
    """Whose record a group carries is not looked at: the pod tells of a container that is not its own."""
    patch.setattr(Claims, "is_own", lambda self, owner, pod, attempt: bool(owner))


@defect("I2", kinds=("strayed",))
def a_claim_elsewhere_is_taken_for_ours(patch: Patch) -> None:
    """A daemon of the wrong project goes on with the pods of the right one, and starts them a second time there."""
    before = Claims.read

    def read(self: Claims, pod: Pod, *, known_attempt: int = 0) -> Claim:
        return dataclasses.replace(before(self, pod, known_attempt=known_attempt), is_elsewhere=False)

    patch.setattr(Claims, "read", read)


# -- the end ----------------------------------------------------------------------------------------------------------


@defect("I1", "I3", "I4", kinds=("plain", "nodes", "odd"))
def one_not_found_is_gone(patch: Patch) -> None:
    """The first 404 is believed, though a read can be stale for seconds: the pod goes and the group stays."""

    def at_once(self: Memory, name: str, settle_seconds: float) -> float:
        return 0.0 if name in self.absences else 5.0

    patch.setattr(Memory, "seconds_until_absent", at_once)
    _absences_need_no_list(patch)


def _absences_need_no_list(patch: Patch) -> None:
    """What makes good for many a wrong absence is left out as well, or the other line would hardly be missed."""
    patch.setattr(Ending, "_doubt", lambda self, name, memory: None)


@defect("I4")
def release_before_delete(patch: Patch) -> None:
    """The finalizer goes before the group does: whatever stops the delete then leaves it behind."""

    def wind_up(self: Ending, pod: Pod, names: list[str], memory: Memory) -> Result:
        if pods.is_terminating(pod) and not memory.is_removed:
            return self.remove(pod, memory)
        return self._release(pod, "deleted", memory)

    patch.setattr(Ending, "wind_up", wind_up)


@defect("liveness")
def a_finished_pod_keeps_its_group(patch: Patch) -> None:
    """SaladCloud starts a container again after every exit: a finished Job would run and cost for ever."""
    before = Ending.wind_up

    def wind_up(self: Ending, pod: Pod, names: list[str], memory: Memory) -> Result:
        return before(self, pod, names, memory) if pods.is_terminating(pod) else Result("settled", "finished")

    patch.setattr(Ending, "wind_up", wind_up)


@defect("I3", "I4", kinds=("deaf", "plain", "capped", "outages"))
def absence_in_a_list_is_gone(patch: Patch) -> None:
    """What a list does not show is gone, without a question by name; lists are stale, and now and then they lie."""
    before = Observing._group

    def group(self: Observing, name: str, *track: Any) -> Group | None:
        snapshot = self._cache.snapshot()
        is_shown = snapshot is None or not snapshot.is_complete or self._cache.is_listed(name)
        return before(self, name, *track) if is_shown else None

    patch.setattr(Observing, "_group", group)


@defect("I1", "I3", "I4", kinds=("lossy", "outages"))
def could_not_ask_means_not_found(patch: Patch) -> None:
    """Whatever goes wrong with a question is taken for "gone": an outage would fail the pods, forget their groups."""
    before = client.SaladCloud.get_group

    def get_group(self: client.SaladCloud, *arguments: Any, **options: Any) -> Any:
        try:
            return before(self, *arguments, **options)
        except NoBudget:
            raise
        except CouldNotAsk as error:
            raise NotFound(str(error)) from None

    patch.setattr(client.SaladCloud, "get_group", get_group)
    _absences_need_no_list(patch)


# -- orphans ----------------------------------------------------------------------------------------------------------


@defect("I2")
def no_owner_check(patch: Patch) -> None:
    """The sweep takes every group with a record for its own, also another cluster's and another node's."""
    patch.setattr(Claims, "made", lambda self, name, owner: owner is not None)
    patch.setattr(orphans.OrphanSweep, "_pod_exists", lambda self, owner: False)


@defect("I2")
def copies_are_taken_for_ours(patch: Patch) -> None:
    """The record is enough, whatever the group's name: people who copy a group copy its record, too."""

    def made(self: Claims, name: str, owner: Owner | None) -> bool:
        return owner is not None and (owner.cluster_id, owner.node) == (self._cluster_id, self._node_name)

    patch.setattr(Claims, "made", made)


@defect("I2")
def no_live_question_about_an_orphans_pod(patch: Patch) -> None:
    """What the cache does not know is gone, though a watch can be dead for a minute; and one sighting is enough."""
    patch.setattr(orphans.OrphanSweep, "_pod_exists", lambda self, owner: False)
    patch.setattr(orphans.OrphanSweep, "_cache_is_fresh", lambda self: True)
    patch.setattr(orphans, "SIGHTINGS_APART_SECONDS", 0.0)


@defect("brake", kinds=("crowd",))
def no_brake(patch: Patch) -> None:
    """Nothing is too much at once: a restored backup or a lying list would end all that runs."""
    patch.setattr(Brake, "examine", lambda self, names, total, what: True)


# -- what is told -----------------------------------------------------------------------------------------------------


@defect("liveness")
def comparison_with_last_sent(patch: Patch) -> None:
    """A status is compared with what was sent last instead of with what the API server shows: a pod that the node
    controller made unready stays so.
    """
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


@defect("I7")
def secret_in_status(patch: Patch) -> None:
    """The request, environment and all, appears in the pod's status, which many may read."""
    before = starting.Starting.create

    def create(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        owner = self._on.claims.owner(pod, claim.attempt)
        plan = self._on.planner.plan(pod, owner, first_seen=memory.first_seen)
        self._on.patch(pod, {"status": {"message": str(plan.request)}})
        return before(self, pod, claim, memory)

    patch.setattr(starting.Starting, "create", create)


@defect("phase", "kept", "I1", "I4", "I5")
def writes_from_an_old_view(patch: Patch) -> None:
    """A status may be computed from a pod that has changed meanwhile, and takes back what was told or claimed."""

    def write(self: Services, pod: Pod, patch: dict[str, Any]) -> None:
        written = self.api.patch_pod_status(pods.namespace(pod), pods.name(pod), pods.uid(pod), patch)
        self.cache.note_written(written)

    patch.setattr(Services, "patch", write)


@defect("succeeded", "ending", kinds=("deaf",))
def an_unknown_end_is_a_success(patch: Patch) -> None:
    """A run of whose end nothing was heard is told as completed: a Job would count work that was lost."""
    before = runs.unknown_ending

    def unknown_ending(reference: RunReference, now: Any) -> Any:
        return dataclasses.replace(before(reference, now), exit_code=0, reason="Completed")

    patch.setattr(runs, "unknown_ending", unknown_ending)


@defect("I8", kinds=("outages", "plain"))
def not_ready_without_the_cloud(patch: Patch) -> None:
    """The node is as ready as SaladCloud is, so that an outage evicts its pods."""
    before = node._conditions

    def conditions(*arguments: Any) -> list[dict[str, Any]]:
        found = before(*arguments)
        reachable = next(one["status"] for one in found if one["type"] == "SaladCloudReachable")
        return [{**one, "status": reachable} if one["type"] == "Ready" else one for one in found]

    patch.setattr(node, "_conditions", conditions)


@defect("kept")
def conditions_of_others_are_replaced(patch: Patch) -> None:
    """The conditions are written as a whole: what other controllers wait for is gone."""
    before = Services.patch

    def write(self: Services, pod: Pod, patch: dict[str, Any]) -> None:
        own = patch.get("status", {}).get("conditions")
        if own:
            whole = [{"$patch": "replace"}, *own]
            patch = {**patch, "status": {**patch["status"], "conditions": whole}}
        before(self, pod, patch)

    patch.setattr(Services, "patch", write)


@defect("kept")
def taints_of_others_are_replaced(patch: Patch) -> None:
    """The taints are written as a whole: a node that people keep pods away from takes them again."""

    class Every(frozenset[tuple[str, str]]):
        def __contains__(self, item: object) -> bool:
            return True

    patch.setattr(node, "own_taint_keys", lambda settings, identity: Every())


@defect("kept")
def transition_times_are_lost(patch: Patch) -> None:
    """Every write dates all conditions anew: nobody can tell since when a pod is ready."""

    before = conditions.dated

    def dated(pod: Pod, now: Any, wanted: dict[str, Any]) -> dict[str, Any]:
        return {**before(pod, now, wanted), "lastTransitionTime": pods.format_time(now)}

    patch.setattr(conditions, "dated", dated)


@defect("I11")
def a_source_restarts_the_container(patch: Patch) -> None:
    """The record's hash is of the annotations too, so that an edit of one restarts what runs."""
    before = claims.image_hash
    patch.setattr(claims, "image_hash", lambda pod: before(pod) + str(pods.annotations_of(pod).get("note")))


# -- how much, and who ------------------------------------------------------------------------------------------------


@defect("liveness", kinds=("plain", "outages"))
def forgotten_retry(patch: Patch) -> None:
    """What failed is not tried again by itself."""
    patch.setattr(WorkQueue, "add_rate_limited", lambda self, key, *, urgent=False: 0.0)


@defect("I9")
def budget_ignored(patch: Patch) -> None:
    """Everything is asked at once, more than SaladCloud allows in a minute."""
    patch.setattr(Budget, "try_acquire", lambda self, request_class: 0.0)


@defect("I9")
def throttling_ignored(patch: Patch) -> None:
    """A 429 is an error like any other: who was asked to wait asks again at once."""
    patch.setattr(Budget, "throttled", lambda self, retry_after: None)


@defect("leader", kinds=("replicas",))
def no_leadership_check(patch: Patch) -> None:
    """Nobody looks who leads before a write, so that one who was away goes on beside the new leader."""
    patch.setattr(ApiServer, "_check_before_write", lambda self: None)


@defect("leader", kinds=("replicas",))
def a_leader_for_life(patch: Patch) -> None:
    """Who has led believes to lead, however long it was away."""
    patch.setattr(LeaderElector, "is_leader", lambda self: self._has_led and not self._is_lost)
