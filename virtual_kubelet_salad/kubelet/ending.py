"""The end of a pod: its workload is deleted, confirmed gone, and only then the pod is let go.

While our finalizer is on the pod its object cannot disappear, so nothing here needs to be remembered across a restart.
"""

from __future__ import annotations

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound, NotLeader
from virtual_kubelet_salad.kubelet import pods, status
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Notice, Pod
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.kubelet.services import Services

# A delete is accepted, not done: how long until the cloud is asked whether it is, and until the delete is sent again.
DELETE_CONFIRM_SECONDS = 1.0
DELETE_AGAIN_SECONDS = 30.0
# The API server takes a delete and answers "another pod" for none; that the object goes is seen soon.
REMOVE_AGAIN_SECONDS = 30.0
# Between two questions whether it is gone.
ASK_AGAIN_SECONDS = 10.0
# Whoever waits for the next list is woken by it, mostly.
NEWER_LIST_SECONDS = 2.0


class Ending:
    """Pods that are finished or being deleted."""

    def __init__(self, services: Services) -> None:
        self._on = services

    def overdue(self, pod: Pod) -> Result:
        """The pod has been active for longer than it may."""
        text = "Pod was active on the node longer than the specified deadline"
        exit_code = status.EXIT_CODE_UNKNOWN if pods.has_started(pod) else None
        wanted = self._on.statuses.failed(pod, self._on.clock.now(), "DeadlineExceeded", text, exit_code=exit_code)
        return self._on.write(pod, wanted, "deadline exceeded", Notice("Normal", "DeadlineExceeded", text))

    def wind_up(self, pod: Pod, names: list[str], memory: Memory) -> Result:
        """The pod is finished or being deleted: its workload goes, is confirmed gone, and only then the pod is let
        go.
        """
        if len(names) == 1 and pods.was_seen(pod):
            memory.is_settled = True  # also when it was another process that created it
        try:
            remaining = self._clear_all(pod, names, memory)
        except CouldNotAsk as error:
            self._say_why_not(pod, error)
            raise
        if remaining is not None:
            return remaining
        if not pods.is_terminating(pod):
            return self._release(pod, "finished", memory)
        ended = self._on.statuses.ended(pod, self._on.clock.now())
        container = pods.container_status(pod).get("state") or {}
        if not pods.is_finished(pod) or "terminated" not in container:
            if status.differs(pod, {key: ended[key] for key in ("phase", "containerStatuses")}):
                return self._on.write(pod, ended, "ended")
        if not memory.is_removed:
            return self.remove(pod, memory)
        return self._release(pod, "deleted", memory)

    def _clear_all(self, pod: Pod, names: list[str], memory: Memory) -> Result | None:
        """What is still to be done before all of them count as gone; None: nothing."""
        for name in names:
            if memory.seconds_until_absent(name, self._on.create_settle_seconds) > 0.0:
                is_first = name not in memory.deleted_at
                cleared = self._clear(name, memory)
                runs = "running" in (pods.container_status(pod).get("state") or {})
                if is_first and runs and pods.is_terminating(pod):
                    text = f"Stopping container {pods.container(pod).get('name', '')}"
                    self._on.tell(pod, Notice("Normal", "Killing", text))
                return cleared
        for name in names:
            doubt = self._doubt(name, memory)
            if doubt is not None:
                return doubt
        return None

    def _doubt(self, name: str, memory: Memory) -> Result | None:
        """What is still to be done before an absence counts: a list must lie between its first answer and its last. A
        cloud that has lost its way, or refuses us, says of everything that it does not exist, and lists nothing.
        """
        first, latest = memory.absences[name]
        if memory.proven.get(name) == first:
            return None
        snapshot = self._on.provider.snapshot()
        if snapshot is None or snapshot.taken_at <= first:
            reachability = self._on.provider.reachability()
            if not reachability.is_reachable:
                raise CouldNotAsk(reachability.message, retry_after=ASK_AGAIN_SECONDS)
            return Result("waiting", f"{name} is gone, but no list is newer than that", NEWER_LIST_SECONDS)
        if snapshot.taken_at >= latest and self._on.provider.exists(name, confirms=True) is not False:
            memory.absences.pop(name)
            return Result("waiting", f"{name} is there after all", AT_ONCE)
        memory.proven[name] = first
        return None

    def _say_why_not(self, pod: Pod, error: CouldNotAsk) -> None:
        """A pod that stays Terminating because the cloud cannot be asked says so; a want of budget is no news."""
        if not isinstance(error, (NoBudget, NotLeader)):
            noun = self._on.provider.identity.workload_noun
            text = f"the pod waits until its {noun} is confirmed gone; not possible now: {error}"
            self._on.tell(pod, Notice("Warning", "DeletionWaits", text))

    def _clear(self, name: str, memory: Memory) -> Result:
        """Deletes a workload of our own, or asks whether it is gone."""
        now = self._on.clock.monotonic()
        if name not in memory.deleted_at:
            return self.delete(name, memory)
        if self._on.provider.exists(name, confirms=memory.is_row_open(name, now)) is False:
            memory.missed(name, now)
            return Result("waiting", f"{name} is gone; asking again", self._until_absent(name, memory))
        memory.absences.pop(name, None)
        memory.is_settled = True
        if now - memory.deleted_at[name] >= DELETE_AGAIN_SECONDS:
            return self.delete(name, memory)
        return Result("waiting", f"{name} is being deleted", 2.0)

    def delete(self, name: str, memory: Memory) -> Result:
        """Sends the delete of a workload of our own: its name was computed from this pod."""
        now = self._on.clock.monotonic()
        last = memory.deleted_at.get(name)
        if last is not None and now - last < DELETE_AGAIN_SECONDS:
            return Result("waiting", f"{name} is being deleted", DELETE_CONFIRM_SECONDS)
        try:
            self._on.provider.delete(name)
        except NotFound:
            # Should it turn up after all, its delete need not wait.
            memory.deleted_at[name] = now - DELETE_AGAIN_SECONDS
            memory.missed(name, now)
            return Result("deleted", f"{name} is gone", self._until_absent(name, memory))
        memory.deleted_at[name] = now
        memory.is_settled = True
        # What can be deleted is there: what was said before, while its create was under way, does not count.
        memory.absences.pop(name, None)
        return Result("deleted", f"{name} deleted", DELETE_CONFIRM_SECONDS)

    def _until_absent(self, name: str, memory: Memory) -> float:
        return min(memory.seconds_until_absent(name, self._on.create_settle_seconds), ASK_AGAIN_SECONDS)

    def remove(self, pod: Pod, memory: Memory) -> Result:
        """The pod's object goes now; finalizers (ours, or others') may still keep it."""
        if memory.is_removed and pods.metadata(pod).get("deletionGracePeriodSeconds") == 0:
            return Result("settled", "others' finalizers keep it")
        # Also when it was sent before: an object that does not show it has not seen it.
        self._on.api.delete_pod(pods.namespace(pod), pods.name(pod), pods.uid(pod), grace_seconds=0)
        memory.is_removed = True
        return Result("removed", "removed from the API server", AT_ONCE if self._holds(pod) else REMOVE_AGAIN_SECONDS)

    def _release(self, pod: Pod, why: str, memory: Memory) -> Result:
        """The last thing done for a pod: without our finalizer its object may disappear."""
        self._on.patch(pod, {"metadata": self._on.claims.release_patch()})
        # Also when the object stays, for others' finalizers or as a finished pod.
        self._on.forget(memory.names)
        return Result("released", why)

    def _holds(self, pod: Pod) -> bool:
        return self._on.provider.identity.finalizer in (pods.metadata(pod).get("finalizers") or [])
