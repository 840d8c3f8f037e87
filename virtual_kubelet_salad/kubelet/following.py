"""A pod whose workload is there: its status follows the workload, and the workload follows the pod's image."""

from __future__ import annotations

import dataclasses
from typing import Any

from virtual_kubelet_salad.errors import Blocked, NotFound, Refused
from virtual_kubelet_salad.kubelet import claims, pods, status, telling
from virtual_kubelet_salad.kubelet.claims import Claim
from virtual_kubelet_salad.kubelet.ending import Ending
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Notice, Pod, State, Workload
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.kubelet.services import Services
from virtual_kubelet_salad.kubelet.starting import Starting

# A workload that somebody stopped is started again after 5 minutes, then ever more rarely; one that may not restart
# fails after 10.
STOPPED_RETRY_SECONDS = (300.0, 300.0, 600.0, 1200.0, 3600.0)
STOPPED_FAILS_SECONDS = (600.0,)
# One that the cloud has stopped: the provider lets one start through for all of them together.
STOPPED_BY_CLOUD_RETRY_SECONDS = (300.0,)
START_FOR_ALL = "one start is tried every 5 minutes for all pods together"
# Start was asked for a workload that had never run; the state follows within a poll or two.
START_CONFIRM_SECONDS = (0.0, 15.0, 30.0, 60.0, 300.0, 600.0)
UPDATE_RETRY_SECONDS = (0.0, 15.0, 30.0, 60.0, 300.0, 600.0)


class Following:
    """Pods with a workload."""

    def __init__(self, services: Services, starting: Starting, ending: Ending) -> None:
        self._on = services
        self._starting = starting
        self._ending = ending

    def follow(self, pod: Pod, claim: Claim, workload: Workload, memory: Memory) -> Result:
        """The workload is there: keep it in line with the pod, and the pod's status with it."""
        if workload.owner is not None and not self._on.claims.is_own(workload.owner, pod, claim.attempt):
            return self._starting.name_taken(pod, claim, memory)
        memory.saw()
        self._tell_of_ignored_annotations(pod, memory)
        if pods.is_overdue(pod, self._on.clock.now()) and not self._ends_by_itself(pod, workload):
            return self._ending.overdue(pod)
        if workload.state is State.FAILED or pods.is_image_failed(pod):
            return self._give_up_attempt(pod, claim, workload, memory)
        if workload.state is State.STOPPED:
            return self._restart_stopped(pod, claim, workload, memory)
        if workload.run is not None:
            memory.runs(self._on.clock.monotonic())
        wanted = self._on.statuses.following(pod, self._on.clock.now(), workload)
        if status.differs(pod, wanted) or self._annotations_differ(pod, workload):
            return self._write_following(pod, wanted, workload)
        if workload.owner is not None and workload.owner.image_hash != claims.image_hash(pod):
            return self._update(pod, claim, memory)
        return Result("settled", workload.reason or workload.state.value, workload.look_again_after)

    def _ends_by_itself(self, pod: Pod, workload: Workload) -> bool:
        """Whether its last run is known to be over: then it tells how the pod ended, however late that is heard."""
        return self._on.statuses.following(pod, self._on.clock.now(), workload)["phase"] in ("Succeeded", "Failed")

    def _tell_of_ignored_annotations(self, pod: Pod, memory: Memory) -> None:
        """What was decided when the workload was created cannot be edited afterwards; an edit while the daemon was down
        is not noticed.
        """
        written = pods.annotations_of(pod)
        settled = {name: written[name] for name in self._on.provider.identity.settled_annotations if name in written}
        before = memory.settled_annotations
        memory.settled_annotations = settled
        if before is not None and before != settled:
            changed = sorted(name for name in {*before, *settled} if before.get(name) != settled.get(name))
            noun = self._on.provider.identity.workload_noun
            text = f"{', '.join(changed)}: the {noun} stays as it was created; delete the pod to have it as written"
            self._on.tell(pod, Notice("Warning", "AnnotationIgnored", text))

    def _write_following(self, pod: Pod, wanted: dict[str, Any], workload: Workload) -> Result:
        patch: dict[str, Any] = {"status": wanted}
        if workload.annotations:
            patch["metadata"] = {"annotations": dict(workload.annotations)}
        self._on.patch(pod, patch)
        final = self._on.statuses.final_ending(pod, workload)
        if final is not None:
            # What the cloud ran after the last run of the pod is none of it.
            own = workload.endings[: workload.endings.index(final) + 1]
            workload = dataclasses.replace(workload, endings=own, run=None)
        for notice in telling.changes(pod, workload, self._on.provider.identity):
            self._on.tell(pod, notice)
        return Result("status_written", f"{wanted['phase']} {workload.reason}".strip(), AT_ONCE)

    def _annotations_differ(self, pod: Pod, workload: Workload) -> bool:
        return any(pods.annotations_of(pod).get(key) != value for key, value in workload.annotations.items())

    def _give_up_attempt(self, pod: Pod, claim: Claim, workload: Workload, memory: Memory) -> Result:
        """The image failed: say so, delete the attempt; the next one follows when it is confirmed gone."""
        if not pods.is_image_failed(pod):
            wanted = self._on.statuses.waiting(pod, self._on.clock.now(), "ErrImagePull", workload.message)
            why = workload.message or "the image could not be prepared"
            text = f'Failed to pull image "{pods.container(pod).get("image", "")}": {why}'
            return self._on.write(pod, wanted, "image failed", Notice("Warning", "Failed", text))
        return self._ending.delete(claim.name, memory)

    def _restart_stopped(self, pod: Pod, claim: Claim, workload: Workload, memory: Memory) -> Result:
        """Somebody else stopped it, or it was never started."""
        now = self._on.clock.monotonic()
        policy = pods.restart_policy(pod)
        was_stopped_by_cloud = pods.waiting_reason(pod) == self._on.provider.identity.stopped_by_cloud_reason
        # What the cloud itself had stopped goes on as soon as the cloud does not say so any more.
        is_resumed = was_stopped_by_cloud and not workload.is_stopped_by_cloud and policy != "Never"
        starts_now = is_resumed or not pods.has_started(pod)
        delays: tuple[float, ...]
        if starts_now:
            delays = START_CONFIRM_SECONDS
        elif workload.is_stopped_by_cloud and policy != "Never":
            delays = STOPPED_BY_CLOUD_RETRY_SECONDS
        elif policy == "Always":
            delays = STOPPED_RETRY_SECONDS
        else:
            delays = STOPPED_FAILS_SECONDS
        memory.stopped("stopped", now, delays)
        wait = memory.wait_for("start" if starts_now else "stopped", now, delays)
        recovery = self._starting.recovery
        if starts_now and memory.recovery is not recovery:
            wait = 0.0
        if wait > 0.0:
            if starts_now:
                return Result("waiting", "started; waiting for the cloud", wait)
            return dataclasses.replace(self._show_stop(pod, workload, memory, delays), after=wait)
        if delays is STOPPED_FAILS_SECONDS:
            noun = self._on.provider.identity.workload_noun
            text = f"the {noun} was stopped, not by this node, and its restart policy allows no new start"
            wanted = self._on.statuses.failed(
                pod, self._on.clock.now(), "Stopped", text, exit_code=status.EXIT_CODE_UNKNOWN
            )
            return self._on.write(pod, wanted, "stopped for good", Notice("Warning", "Stopped", text))
        memory.tried(now, delays)
        try:
            self._on.provider.start(claim.name)
        except Blocked as obstacle:
            memory.recovery = recovery
            memory.refused_start = obstacle.reason
            if obstacle.retry_after is not None and obstacle.reason == pods.waiting_reason(pod):
                return Result("blocked", obstacle.reason, memory.not_before - now)
            then = f"next try at {pods.format_time(memory.time_of_next_try(self._on.clock))} at the latest"
            if obstacle.reason == self._on.provider.identity.stopped_by_cloud_reason:
                then = START_FOR_ALL
            return self._starting.show_obstacle(pod, obstacle, memory.not_before - now, then, is_tried=True)
        except NotFound:
            return Result("waiting", "vanished before its start", AT_ONCE)
        memory.recovery = recovery
        memory.refused_start = ""
        return Result("started", f"{claim.name} started", memory.not_before - now)

    def _show_stop(self, pod: Pod, workload: Workload, memory: Memory, delays: tuple[float, ...]) -> Result:
        """Says on the pod that it stands still, and what happens next; an Event when that is new. Why a start has been
        refused says more.
        """
        if memory.refused_start and memory.refused_start == pods.waiting_reason(pod):
            return Result("blocked", memory.refused_start)
        reason = workload.reason or "Stopped"
        moment = pods.format_time(memory.time_of_next_try(self._on.clock))
        if delays is STOPPED_FAILS_SECONDS:
            then = f"the pod fails at {moment} unless it is started before"
        elif delays is STOPPED_BY_CLOUD_RETRY_SECONDS:
            then = START_FOR_ALL
        else:
            then = f"started again at {moment}"
        wanted = self._on.statuses.waiting(pod, self._on.clock.now(), reason, workload.message, then)
        notices = [Notice("Warning", reason, workload.message)] if pods.waiting_reason(pod) != reason else []
        return self._on.write(pod, wanted, "stopped", *notices)

    def _update(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """The image was changed in place: the one change that Kubernetes allows and the cloud can take."""
        now = self._on.clock.monotonic()
        wait = memory.wait_for(f"update:{claims.image_hash(pod)}", now, UPDATE_RETRY_SECONDS)
        if wait > 0.0:
            return Result("waiting", "the update is tried again later", wait)
        memory.tried(now, UPDATE_RETRY_SECONDS)
        try:
            plan = self._on.planner.plan_update(pod, self._on.claims.owner(pod, claim.attempt), now=now)
            self._on.provider.update(claim.name, plan)
        except (Blocked, Refused) as obstacle:
            self._on.tell(pod, Notice("Warning", "UpdateFailed", f"the image was not changed: {obstacle}"))
            return Result("blocked", "the image cannot be changed now", memory.not_before - now)
        except NotFound:
            return Result("waiting", "vanished before its update", AT_ONCE)
        self._on.tell(pod, Notice("Normal", "Updated", "the container is replaced by one with the new image"))
        return Result("updated", f"{claim.name} has the new image", AT_ONCE)
