"""The way of a pod from its first sight to a workload that exists: refuse, wait, claim, create, and create again.

Every create is preceded by a claim that the API server has accepted, and an attempt is followed by the next only when
it is confirmed gone or its name can never be ours.
"""

from __future__ import annotations

import dataclasses

from virtual_kubelet_salad.errors import Blocked, Conflict, CouldNotAsk, NoBudget, NotLeader, Refused
from virtual_kubelet_salad.kubelet import pods, prospect, status
from virtual_kubelet_salad.kubelet.claims import Claim
from virtual_kubelet_salad.kubelet.environment import SourcesMissing
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import SOURCE_RETRY_SECONDS, Notice, Pod
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.kubelet.services import Services
from virtual_kubelet_salad.kubelet.vanishing import Verdict

# Blocked pods are looked at again at least this often.
BLOCKED_RETRY_SECONDS = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0)
# A failed image is tried again ever more rarely: 1, 2, 4, 8, then every 10 minutes.
IMAGE_RETRY_SECONDS = (60.0, 120.0, 240.0, 480.0, 600.0)
# An attempt whose name is taken or used up is followed by the next; a wait keeps a broken cloud from eating names.
NAME_RETRY_SECONDS = (0.0, 10.0, 60.0, 600.0)
BRAKE_RETRY_SECONDS = 15.0
# Whoever waits for the next list need not hurry.
NEWER_LIST_SECONDS = 2.0
# A daemon that serves the wrong place is mended by a restart with the right one.
MISPLACED_SECONDS = 60.0
# Until then what fails may be over with the next try.
TROUBLE_IS_NEWS_SECONDS = 10.0
# Between two questions whether a workload is really not there.
ASK_AGAIN_SECONDS = 10.0
NOT_RUN_HERE = Notice(
    "Normal",
    "NotRunOnVirtualNode",
    "pods of DaemonSets do not run on a virtual node; a nodeAffinity keeps them away from it",
)


class Starting:
    """Pods that have no workload yet, or none any more."""

    def __init__(self, services: Services) -> None:
        self._on = services
        # A new object for each recovery, so that none is lost when two threads tell of one at the same time.
        self._recovery = object()

    def recovered(self) -> None:
        """Something that held pods back may be over: none waits out its backoff. Any thread."""
        self._recovery = object()

    @property
    def recovery(self) -> object:
        """The latest recovery. A pod that was last refused before it (`Memory.recovery`) need not wait."""
        return self._recovery

    def begin(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """A pod without a claim: refused, blocked, or claimed."""
        if pods.is_owned_by(pod, "DaemonSet"):
            return self._report_daemonset_pod(pod)
        if pods.has_started(pod):
            return self._restore_claim(pod, memory)
        if self._on.placement.is_elsewhere():
            return self._wait_for_place(pod)
        try:
            ignored = self._on.planner.refuse(pod)
            plan = self._on.planner.plan(pod, self._on.claims.owner(pod, claim.attempt), first_seen=memory.first_seen)
        except Refused as refusal:
            return self._refuse(pod, refusal)
        except Blocked as obstacle:
            return self._block(pod, obstacle, memory)
        except CouldNotAsk as error:
            self.tell_of_trouble(pod, error, memory)
            raise
        claimed = self._claim(pod, claim.attempt, memory)
        for notice in (*ignored, *plan.notices):
            self._on.tell(pod, notice)
        return claimed

    def _restore_claim(self, pod: Pod, memory: Memory) -> Result:
        """It has run, so another kubelet has run it, or somebody has taken our finalizer away from it."""
        if self._on.placement.is_elsewhere():
            return Result("could_not_ask", "its workload may lie elsewhere", MISPLACED_SECONDS)
        attempt = self._on.claims.newest_attempt(pod)
        if attempt is None and self._on.provider.snapshot() is None:
            return Result("waiting", "it has run, and nothing has been listed yet", NEWER_LIST_SECONDS)
        if attempt is not None:
            name = self._on.claims.name(pod, attempt)
            memory.names.add(name)
            found = self._on.provider.exists(name)
            # Its computed name is proof enough where nobody's record is in it.
            if found is True or self._on.claims.is_own(found, pod, attempt):
                self._on.patch(pod, {"metadata": self._on.claims.metadata_patch(pod, attempt)})
                memory.attempt = attempt
                memory.saw()
                text = "the finalizer was taken away while its container runs; it is set again"
                self._on.tell(pod, Notice("Warning", "ClaimRestored", text))
                return Result("adopted", text, AT_ONCE)
            if found is False:
                memory.is_settled = True
                memory.missed(name, self._on.clock.monotonic())
                wait = memory.seconds_until_absent(name, self._on.create_settle_seconds)
                if wait > 0.0:
                    return Result("waiting", f"it has run, but {name} is not there; asking again", wait)
        text = "its container was started by another kubelet; this node runs only what it started itself"
        wanted = self._on.statuses.failed(
            pod, self._on.clock.now(), "UnclaimedPod", text, exit_code=status.EXIT_CODE_UNKNOWN
        )
        return self._on.write(pod, wanted, "not started by this node", Notice("Warning", "NotStartedByThisNode", text))

    def _wait_for_place(self, pod: Pod) -> Result:
        """What is started in the wrong place would have to be cleared up there by hand."""
        provider = self._on.provider
        noun = provider.identity.workload_noun
        text = f"this node serves {provider.place}, and {noun}s of its pods lie elsewhere: nothing is started"
        obstacle = Blocked(provider.identity.misplaced_reason, text, then="looked at again every minute")
        return self.show_obstacle(pod, obstacle, MISPLACED_SECONDS)

    def _claim(self, pod: Pod, attempt: int, memory: Memory) -> Result:
        """Says on the pod that a workload may exist from now on. Only its success allows the create; an old view of
        the pod makes it fail.
        """
        memory.claiming = attempt
        claimed = self._on.statuses.claimed(pod, self._on.clock.now())
        self._on.patch(pod, {"metadata": self._on.claims.metadata_patch(pod, attempt), "status": claimed})
        memory.begin(attempt)
        return Result("claimed", f"attempt {attempt} claimed", AT_ONCE)

    def _report_daemonset_pod(self, pod: Pod) -> Result:
        wanted = self._on.statuses.not_run_here(pod, self._on.clock.now(), is_ready=self._on.daemonset_pods_are_ready)
        return self._on.write(pod, wanted, "a DaemonSet's pod is not run", NOT_RUN_HERE)

    def _refuse(self, pod: Pod, refusal: Refused) -> Result:
        """A pod that can never run: Failed, unless its owner would replace a failed pod without end."""
        notice = Notice("Warning", refusal.reason, str(refusal))
        is_final = pods.restart_policy(pod) != "Always" or pods.is_owned_by(pod, "Job")
        wanted = self._on.statuses.refused(pod, self._on.clock.now(), refusal.reason, str(refusal), is_final=is_final)
        return self._on.write(pod, wanted, "refused", notice, outcome="refused")

    def _block(self, pod: Pod, obstacle: Blocked, memory: Memory) -> Result:
        """A pod that cannot start yet: Pending with the reason, looked at again."""
        if obstacle.retry_after is not None:
            return self.show_obstacle(pod, obstacle, obstacle.retry_after)
        now = self._on.clock.monotonic()
        is_tried = memory.wait_for(f"blocked:{obstacle.reason}", now, BLOCKED_RETRY_SECONDS) == 0.0
        if is_tried:
            memory.tried(now, BLOCKED_RETRY_SECONDS)
        then = f"next try at {pods.format_time(memory.time_of_next_try(self._on.clock))} at the latest"
        return self.show_obstacle(pod, obstacle, memory.not_before - now, then, is_tried=is_tried)

    def show_obstacle(
        self, pod: Pod, obstacle: Blocked, delay: float, then: str = "", *, is_tried: bool = False
    ) -> Result:
        """Says on the pod what it waits for, and what happens next. It becomes an Event when it is another obstacle
        than before, and after each try that it has brought to nothing.
        """
        text, before = str(obstacle), prospect.without(pods.status(pod).get("message") or "")
        wanted = self._on.statuses.waiting(
            pod, self._on.clock.now(), obstacle.reason, text, obstacle.then or then or "looked at again soon"
        )
        notices: tuple[Notice, ...] = ()
        if is_tried or pods.waiting_reason(pod) != obstacle.reason or not text.startswith(before):
            notices = (obstacle.notices if isinstance(obstacle, SourcesMissing) else ()) or (
                Notice("Warning", obstacle.reason, text),
            )
        self._on.write(pod, wanted, "blocked", *notices)
        return Result("blocked", obstacle.reason, min(max(delay, 1.0), BLOCKED_RETRY_SECONDS[-1]))

    def tell_of_trouble(self, pod: Pod, error: CouldNotAsk, memory: Memory) -> None:
        """A pod that waits because somebody cannot be asked says so; a want of budget is no news, nor are a few
        seconds.
        """
        seconds = self._on.clock.monotonic() - memory.first_seen
        if seconds >= TROUBLE_IS_NEWS_SECONDS and not isinstance(error, (NoBudget, NotLeader)):
            noun = self._on.provider.identity.workload_noun
            text = f"the pod's {noun} cannot be created now, and is tried again: {error}"
            self._on.tell(pod, Notice("Warning", "CreationWaits", text))

    def create(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """Sends the create of an attempt that nobody can have sent before."""
        now = self._on.clock.monotonic()
        recovery = self._recovery
        is_waiting = memory.waits_for.startswith("blocked:") and now < memory.not_before
        if is_waiting and memory.recovery is recovery:
            return Result("blocked", memory.waits_for, memory.not_before - now)
        owner = self._on.claims.owner(pod, claim.attempt)
        try:
            plan = self._on.planner.plan(pod, owner, first_seen=memory.first_seen)
        except Blocked as obstacle:
            memory.recovery = recovery
            return self._block(pod, obstacle, memory)
        except Refused as refusal:
            return self._refuse(pod, refusal)
        wanted = (plan.made_of, dict(pods.annotations_of(pod)))
        if memory.refused == wanted:
            return Result("refused", "the cloud has refused this very pod")
        memory.may_create = memory.is_settled = False
        memory.made_of = plan.made_of
        try:
            self._on.provider.create(plan, owner)
        except Conflict:
            return self.name_taken(pod, claim, memory)
        except Blocked as obstacle:
            memory.may_create = memory.is_settled = True
            memory.recovery = recovery
            return self._block(pod, obstacle, memory)
        except Refused as refusal:
            memory.may_create = memory.is_settled = True
            memory.refused = wanted
            return self._refuse(pod, refusal)
        except CouldNotAsk as error:
            if not error.may_be_applied:
                memory.may_create = memory.is_settled = True
            self.tell_of_trouble(pod, error, memory)
            raise
        memory.saw()
        return Result("created", f"{claim.name} created", AT_ONCE)

    def name_taken(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """The name is in use: by our own earlier create, by a ghost, or by somebody else."""
        found = self._on.provider.exists(claim.name)
        if self._on.claims.is_own(found, pod, claim.attempt):
            memory.saw()
            return Result("adopted", f"{claim.name} exists already", AT_ONCE)
        if found is False:
            memory.is_name_used_up = True
            memory.missed(claim.name, self._on.clock.monotonic())
            return Result(
                "waiting",
                f"{claim.name} is taken, though it does not exist",
                min(memory.seconds_until_absent(claim.name, self._on.create_settle_seconds), ASK_AGAIN_SECONDS),
            )
        self._on.tell(
            pod, Notice("Warning", "NameTaken", f"{claim.name} belongs to somebody else; trying another name")
        )
        return self._next_attempt(pod, claim, memory, "name", NAME_RETRY_SECONDS)

    def missing(self, pod: Pod, claim: Claim, memory: Memory) -> Result:
        """The cloud says that the workload does not exist. Believed only when repeated."""
        memory.missed(claim.name, self._on.clock.monotonic())
        was_seen = memory.was_seen or pods.was_seen(pod)
        memory.is_settled = memory.is_settled or (was_seen and not memory.is_name_used_up)
        if was_seen and not pods.is_image_failed(pod):
            self._on.vanishing.missed(claim.name)
        wait = memory.seconds_until_absent(claim.name, self._on.create_settle_seconds)
        if wait > 0.0:
            return Result("waiting", f"{claim.name} is not there; asking again", min(wait, ASK_AGAIN_SECONDS))
        if pods.is_image_failed(pod):
            return self._next_attempt(pod, claim, memory, "image", IMAGE_RETRY_SECONDS)
        if memory.is_name_used_up:
            return self._next_attempt(pod, claim, memory, "name", NAME_RETRY_SECONDS)
        if not was_seen:
            memory.begin(claim.attempt)
            return Result("waiting", f"{claim.name} was never created; creating it", AT_ONCE)
        verdict = self._on.vanishing.judge(claim.name, memory.absences[claim.name][0])
        if verdict is Verdict.HELD:
            return Result("held_by_brake", verdict.value, BRAKE_RETRY_SECONDS)
        if verdict is Verdict.NOT_JUDGED_YET:
            return Result("waiting", f"{claim.name} is not there, but {verdict.value}", NEWER_LIST_SECONDS)
        identity = self._on.provider.identity
        text = f"the {identity.workload_noun} {claim.name} does not exist any more; it was not deleted by this node"
        wanted = self._on.statuses.failed(
            pod, self._on.clock.now(), identity.not_found_reason, text, exit_code=status.EXIT_CODE_UNKNOWN
        )
        return self._on.write(pod, wanted, "vanished", Notice("Warning", identity.not_found_reason, text))

    def wait_for_image(self, pod: Pod, claim: Claim, memory: Memory) -> Result | None:
        """A failed image between two attempts, the last of which is known to be gone: how long it waits. None: it waits
        no more, for its time has come, or what the attempt was made of (the image's name, a Secret) has changed.
        """
        now = self._on.clock.monotonic()
        if memory.waits_for != f"image:{claim.attempt}" or memory.not_before <= now:
            return None
        made_of = self._on.planner.made_of(pod, now=now)
        memory.made_of = memory.made_of or made_of
        if made_of != memory.made_of:
            memory.not_before = now
            return None
        wait = memory.not_before - now
        has_sources = len(made_of) > 1
        return Result(
            "waiting", f"attempt {claim.attempt + 1} follows", min(wait, SOURCE_RETRY_SECONDS) if has_sources else wait
        )

    def _next_attempt(self, pod: Pod, claim: Claim, memory: Memory, subject: str, delays: tuple[float, ...]) -> Result:
        """The attempt is over and confirmed gone (or its name is not ours to use): the next one, after a wait that
        grows with the attempts.
        """
        now = self._on.clock.monotonic()
        wait = memory.wait_for(f"{subject}:{claim.attempt}", now, delays[min(claim.attempt, len(delays) - 1) :][:1])
        if wait > 0.0:
            if subject == "image":
                return dataclasses.replace(self._back_off(pod, memory), after=wait)
            return Result("waiting", f"attempt {claim.attempt + 1} follows", wait)
        return self._claim(pod, claim.attempt + 1, memory)

    def _back_off(self, pod: Pod, memory: Memory) -> Result:
        """A failed image: what was wrong with it, and when it is tried again."""
        moment = pods.format_time(memory.time_of_next_try(self._on.clock))
        text = prospect.without(pods.status(pod).get("message") or "")
        then = f"next attempt at {moment} at the latest"
        wanted = self._on.statuses.waiting(pod, self._on.clock.now(), "ImagePullBackOff", text, then)
        image = pods.container(pod).get("image", "")
        is_news = pods.waiting_reason(pod) != "ImagePullBackOff"
        notices = [Notice("Normal", "BackOff", f'Back-off pulling image "{image}"')] if is_news else []
        return self._on.write(pod, wanted, "image back-off", *notices, outcome="waiting")
