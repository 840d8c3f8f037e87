"""The reconcile loop of one pod: the only code that decides about a pod.

`reconcile` is level-triggered: it reads the pod that the API server shows and the workload that the cloud shows,
decides, does at most one remote write (Events aside) and says when to come back. It may be killed between any two
statements: what it needs to know is in the pod (`claims`), the rest may be forgotten (`memory`). Called by workers,
never twice at once for one pod.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claim
from virtual_kubelet_salad.kubelet.ending import Ending
from virtual_kubelet_salad.kubelet.following import Following
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Notice, Owner, Pod
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.kubelet.services import Services
from virtual_kubelet_salad.kubelet.starting import ASK_AGAIN_SECONDS, Starting

# A claim elsewhere changes when somebody mends it; then a change of the pod wakes it.
MISPLACED_SECONDS = 300.0
FIRST_LIST_SECONDS = 2.0
# An author can write a large attempt; looking for it must not eat the budget of requests.
NEXT_ATTEMPT_SECONDS = 1.0


class PodSync:
    """Reconciles the pods of one node."""

    def __init__(self, services: Services) -> None:
        self._on = services
        self._starting = Starting(services)
        self._ending = Ending(services)
        self._following = Following(services, self._starting, self._ending)
        self._memories: dict[str, Memory] = {}

    def reconcile(self, uid: str) -> Result:
        """Does the next thing for the pod of that UID. Raises the errors of `errors.py`, which the worker maps to a
        later try.
        """
        pod = self._on.cache.get(uid)
        if pod is None:
            return self._forget(uid)
        if pods.is_mirror(pod):
            return Result("not_ours")
        memory = self._memories.setdefault(uid, Memory(first_seen=self._on.clock.monotonic()))
        claim = self._on.claims.read(pod, known_attempt=memory.attempt)
        memory.attempt = claim.attempt
        return self._back_at_its_deadline(pod, self._decide(pod, claim, memory))

    def _decide(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        if claim.is_elsewhere:
            return self._leave_alone(pod, self._on.provider.place)
        if not claim.is_held:
            return self._without_claim(pod, claim, memory)
        memory.names.add(claim.name)
        if memory.claiming == claim.attempt:
            memory.begin(claim.attempt)
        if claim.is_doubtful:
            return self._settle_doubt(pod, claim, memory)
        if pods.is_terminating(pod) or pods.is_finished(pod):
            return self._ending.wind_up(pod, [claim.name], memory)
        is_overdue = pods.is_overdue(pod, self._on.clock.now())
        if is_overdue and not pods.has_started(pod):
            return self._ending.overdue(pod)
        if memory.may_create and not is_overdue:
            return self._starting.create(pod, claim, memory)
        if pods.is_image_failed(pod) and not is_overdue:
            waiting = self._starting.wait_for_image(pod, claim, memory)
            if waiting is not None:
                return waiting
        remembered = None if pods.is_image_failed(pod) else pods.remembered_run(pod)
        try:
            workload = self._on.provider.observe(claim.name, remembered)
        except CouldNotAsk as error:
            if not (memory.was_seen or pods.was_seen(pod)):
                self._starting.tell_of_trouble(pod, error, memory)
            raise
        if workload is None:
            return self._ending.overdue(pod) if is_overdue else self._starting.missing(pod, claim, memory)
        if claim.name in memory.absences:
            self._on.vanishing.found(claim.name)
        return self._following.follow(pod, claim, workload, memory)

    def recovered(self) -> None:
        """Something that held pods back may be over: the next reconcile of a blocked pod tries again. Any thread."""
        self._starting.recovered()

    def _back_at_its_deadline(self, pod: Pod, result: Result) -> Result:
        """Whatever it waits for, it comes back when its time is over."""
        seconds = pods.seconds_to_deadline(pod, self._on.clock.now())
        if seconds is None or seconds <= 0.0 or (result.after is not None and result.after <= seconds):
            return result
        return dataclasses.replace(result, after=seconds)

    def _leave_alone(self, pod: Pod, served: str) -> Result:
        """Its workload lies where we cannot ask, or is that of another daemon; or its author edited the claim."""
        identity = self._on.provider.identity
        location = pods.annotations_of(pod).get(identity.claim_annotation, "")
        text = (
            f"the claim names {location}, and this node serves {served}: nothing is changed, neither the pod nor its "
            f"{identity.workload_noun}"
        )
        self._on.tell(pod, Notice("Warning", identity.misplaced_reason, text))
        return Result("could_not_ask", text, MISPLACED_SECONDS)

    def _without_claim(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """Without our finalizer no create was sent: the pod may go, or start."""
        if pods.is_terminating(pod):
            return self._ending.remove(pod, memory)
        if pods.is_finished(pod):
            return Result("settled", "finished")
        if pods.is_overdue(pod, self._on.clock.now()) and not pods.has_started(pod):
            return self._ending.overdue(pod)
        return self._starting.begin(pod, claim, memory)

    def _settle_doubt(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """The annotations do not tell which attempt lives: asks for one after the other, the newest first. Before the
        first list nobody knows which is the newest.
        """
        if self._on.provider.snapshot() is None:
            return Result("waiting", "the claim is in doubt and nothing has been listed yet", FIRST_LIST_SECONDS)
        names = {attempt: self._on.claims.name(pod, attempt) for attempt in range(claim.attempt, -1, -1)}
        memory.names.update(names.values())
        wait_for_written = 0.0
        if claim.written_name and claim.written_name not in names.values():
            found = self._written_name_is(pod, claim.written_name, memory)
            if self._on.claims.is_of_another_daemon(claim.written_name, found, pod):
                return self._leave_alone(pod, "pods under another cluster id or node name")
            if found is False:
                wait_for_written = memory.seconds_until_absent(claim.written_name, self._on.create_settle_seconds)
        is_over = pods.is_terminating(pod) or pods.is_finished(pod)
        if is_over and (wait_for_written == 0.0 or not self._are_absent(names.values(), memory)):
            return self._ending.wind_up(pod, list(names.values()), memory)
        for attempt, name in names.items():
            if is_over or memory.seconds_until_absent(name, self._on.create_settle_seconds) == 0.0:
                continue
            found = self._on.provider.exists(name)
            if found is True or self._on.claims.is_own(found, pod, attempt):
                self._on.patch(pod, {"metadata": self._on.claims.metadata_patch(pod, attempt)})
                memory.saw()
                memory.attempt = attempt
                return Result("adopted", f"attempt {attempt} found; the claim is repaired", AT_ONCE)
            memory.missed(name, self._on.clock.monotonic())
            wait = memory.seconds_until_absent(name, self._on.create_settle_seconds)
            delay = min(max(wait, NEXT_ATTEMPT_SECONDS), ASK_AGAIN_SECONDS)
            return Result("waiting", f"attempt {attempt} not found; asking again, then for the one before", delay)
        if wait_for_written > 0.0:
            text = f"{claim.written_name} may still be another daemon's for this pod; asking again"
            return Result("waiting", text, min(wait_for_written, ASK_AGAIN_SECONDS))
        self._on.patch(pod, {"metadata": self._on.claims.metadata_patch(pod, claim.attempt)})
        return Result("claimed", f"no attempt found; the claim is repaired to attempt {claim.attempt}", AT_ONCE)

    def _written_name_is(self, pod: Pod, name: str, memory: Memory) -> Owner | bool:
        """A live question about a name that stands in a claim and is not ours to compute: the pod's author wrote it, or
        a daemon that was configured otherwise. Not asked any more once its absence counts.
        """
        now = self._on.clock.monotonic()
        if memory.seconds_until_absent(name, self._on.create_settle_seconds) == 0.0:
            return False
        # Who can send one request at a time must come to the next question too.
        if memory.written is not None and memory.written[0] == name and now - memory.written[1] < ASK_AGAIN_SECONDS:
            return memory.written[2]
        memory.names.add(name)
        found = self._on.provider.exists(name)
        memory.written = (name, now, found)
        if found is False:
            memory.missed(name, now)
        return found

    def _are_absent(self, names: Iterable[str], memory: Memory) -> bool:
        return all(memory.seconds_until_absent(name, self._on.create_settle_seconds) == 0.0 for name in names)

    def _forget(self, uid: str) -> Result:
        memory = self._memories.pop(uid, None)
        if memory is not None:
            self._on.forget(memory.names)
        self._on.recorder.forget(uid)
        return Result("gone")
