"""The reconcile loop of one pod: the only code that decides about a pod.

`reconcile` is level-triggered: it reads the pod that the API server shows and the workload that the cloud shows,
decides, does at most one remote write (Events aside) and says when to come back. It may be killed between any two
statements: what it needs to know is in the pod (`claims`), the rest may be forgotten (`memory`). Called by workers,
never twice at once for one pod.
"""

from __future__ import annotations

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claim
from virtual_kubelet_salad.kubelet.ending import Ending
from virtual_kubelet_salad.kubelet.following import Following
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Notice, Pod
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
        if claim.is_elsewhere:
            return self._leave_alone(pod)
        if not claim.is_held:
            return self._without_claim(pod, claim, memory)
        if memory.claiming == claim.attempt:
            memory.begin(claim.attempt)
        if claim.is_doubtful:
            return self._settle_doubt(pod, claim, memory)
        if pods.is_terminating(pod) or pods.is_finished(pod):
            return self._ending.wind_up(pod, [claim.name], memory)
        if memory.may_create:
            return self._starting.create(pod, claim, memory)
        if pods.is_image_failed(pod):
            waiting = self._starting.wait_for_image(pod, claim, memory)
            if waiting is not None:
                return waiting
        remembered = None if pods.is_image_failed(pod) else pods.remembered_run(pod)
        workload = self._on.provider.observe(claim.name, remembered)
        if workload is None:
            return self._starting.missing(pod, claim, memory)
        if claim.name in memory.absences:
            self._on.vanishing.found(claim.name)
        return self._following.follow(pod, claim, workload, memory)

    def recovered(self) -> None:
        """Something that held pods back may be over: the next reconcile of a blocked pod tries again. Any thread."""
        self._starting.recovered()

    def _leave_alone(self, pod: Pod) -> Result:
        """Its workload lies where we cannot ask, or its author edited the claim."""
        identity = self._on.provider.identity
        location = pods.annotations_of(pod).get(identity.claim_annotation, "")
        text = (
            f"the claim names {location}, and this node serves {self._on.provider.place}: nothing is changed, neither "
            f"the pod nor its {identity.workload_noun}"
        )
        self._on.tell(pod, Notice("Warning", identity.misplaced_reason, text))
        return Result("could_not_ask", text, MISPLACED_SECONDS)

    def _without_claim(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """Without our finalizer no create was sent: the pod may go, or start."""
        if pods.is_terminating(pod):
            return self._ending.remove(pod, memory)
        if pods.is_finished(pod):
            return Result("settled", "finished")
        return self._starting.begin(pod, claim, memory)

    def _settle_doubt(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """The annotations do not tell which attempt lives: asks for one after the other, the newest first. Before the
        first list nobody knows which is the newest.
        """
        if self._on.provider.snapshot() is None:
            return Result("waiting", "the claim is in doubt and nothing has been listed yet", FIRST_LIST_SECONDS)
        names = {attempt: self._on.claims.name(pod, attempt) for attempt in range(claim.attempt, -1, -1)}
        if pods.is_terminating(pod) or pods.is_finished(pod):
            return self._ending.wind_up(pod, list(names.values()), memory)
        for attempt, name in names.items():
            if memory.seconds_until_absent(name, self._on.create_settle_seconds) == 0.0:
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
        self._on.patch(pod, {"metadata": self._on.claims.metadata_patch(pod, claim.attempt)})
        return Result("claimed", f"no attempt found; the claim is repaired to attempt {claim.attempt}", AT_ONCE)

    def _forget(self, uid: str) -> Result:
        self._memories.pop(uid, None)
        return Result("gone")
