"""Deletes every workload of one node, with proof, and lets its pods go: the heart of `cleanup`.

Guarantees: a workload is deleted only when `remains` knows it for ours. A pod loses our finalizer only after each
workload that it may have is confirmed gone: by "not found" twice, 5 s apart, or, when nobody knows whether its create
was applied, for as long as a create may take to be applied. What cannot be asked is not gone.

Level-triggered: each pass lists anew what is there and does what it can, so an interrupted cleanup is simply run again,
and a list that shows only a part shows the next part when the first is gone. Everything runs on the caller's thread.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from virtual_kubelet_salad.commands.node_removal import NodeRemoval
from virtual_kubelet_salad.commands.remains import Claimed, Cloud, Remains, Workload
from virtual_kubelet_salad.errors import AnotherPod, CouldNotAsk, Error, NoBudget, NotFound, Rejected, Unauthorized
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.trouble import Trouble

log = logging.getLogger(__name__)

T = TypeVar("T")

PASS_SECONDS = 5.0
# After a pass that had no answer to some question.
TROUBLE_SECONDS = 10.0
# A delete that was accepted and shows no effect is sent again.
DELETE_AGAIN_SECONDS = 30.0
# A row of "not found" is broken when nobody asks for a minute. With 240 requests per minute a pass with so many deletes
# and so many open rows is over well before.
MOST_DELETES_PER_PASS = 100
MOST_OPEN_ROWS = 40
# Answers in a row that did not come; the rest of the pass would fare no better.
FAILURES_PER_PASS = 3


class Over(Exception):
    """The cleanup ends here, finished or not; the text says why."""


@dataclasses.dataclass(slots=True)
class Outcome:
    """What was done (or, in a dry run, found), and what is left."""

    deleted: int = 0
    released: int = 0
    left: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


class Cleaning:
    """One cleanup of one node. `removal` is None when there is no cluster; `wait` pauses for so many seconds and raises
    `Over` when it must not go on; `say` gets one line for each thing done.
    """

    def __init__(
        self,
        cloud: Cloud,
        remains: Remains,
        removal: NodeRemoval | None,
        clock: Clock,
        *,
        settle_seconds: float,
        wait: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        self._cloud = cloud
        self._remains = remains
        self._removal = removal
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._wait = wait
        self._say = say
        self._begun = clock.monotonic()
        self._released: set[str] = set()
        # Why the present pass is not complete.
        self._trouble = ""
        self._log_of_trouble = Trouble(clock, log, "not possible now, it is tried again")
        self._outcome = Outcome()

    # -- the two ways to run ------------------------------------------------------------------------------------------

    def look(self) -> Outcome:
        """Asks and changes nothing; every line says what a cleanup would do. Raises `Over`, `errors.Error`."""
        remains = self._remains
        self._patiently(Remains.list, remains)
        for workload in list(remains.workloads.values()):
            if not workload.is_present and not workload.foreign:
                self._patiently(remains.ask, workload)
            if workload.is_present:
                self._outcome.deleted += 1
                self._say(f"would delete {remains.title(workload)}")
        for claimed in remains.claimed:
            self._patiently(remains.look_for_reason_to_keep, claimed)
            if not remains.may_never_go(claimed):
                self._outcome.released += 1
                self._say(f"would let pod {claimed.title} go")
        self._tell_what_is_left(is_dry=True)
        return self._outcome

    def run(self) -> Outcome:
        """Works until nothing is left that can be done. `Over` is an ending too: it stands in the outcome."""
        try:
            while not self._pass():
                self._wait(TROUBLE_SECONDS if self._trouble else PASS_SECONDS)
        except Over as over:
            self._outcome.left.append(str(over))
        self._tell_what_is_left(is_dry=False)
        return self._outcome

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _pass(self) -> bool:
        """Does everything that can be done now; True when there is no more to do."""
        self._trouble = ""
        try:
            self._patiently(Remains.list, self._remains)
            self._go_on(self._deletable(), self._delete)
            self._go_on(self._unconfirmed(), self._confirm)
            self._go_on(self._remains.claimed, self._let_go)
        except CouldNotAsk as error:
            self._note_trouble(error)
        except Error as error:
            raise Over(str(error)) from error
        return self._is_done()

    def _go_on(self, things: Iterable[T], act: Callable[[T], None]) -> None:
        """Acts on each; one that fails does not keep the others from their turn, a row of failures does."""
        failures = 0
        for thing in things:
            try:
                self._patiently(act, thing)
                failures = 0
            except CouldNotAsk as error:
                failures += 1
                self._note_trouble(error)
                if failures >= FAILURES_PER_PASS:
                    raise

    def _patiently(self, act: Callable[[T], None], thing: T) -> None:
        """Comes back when the budget of requests allows it. A refused key is the end: asking again does not mend it."""
        while True:
            try:
                return act(thing)
            except NoBudget as error:
                self._wait(error.retry_after or PASS_SECONDS)
            except Unauthorized as error:
                raise Over(str(error)) from error

    def _note_trouble(self, error: CouldNotAsk) -> None:
        self._trouble = str(error)
        self._log_of_trouble.failed(error)

    def _is_done(self) -> bool:
        remains = self._remains
        if self._trouble:
            return False
        if not all(workload.is_gone or workload.foreign for workload in remains.workloads.values()):
            return False
        if any(claimed.uid not in self._released and not remains.may_never_go(claimed) for claimed in remains.claimed):
            return False
        # Without pods nobody knows of a create that is still on its way.
        return self._removal is not None or self._clock.monotonic() - self._begun >= self._settle_seconds

    # -- workloads ----------------------------------------------------------------------------------------------------

    def _deletable(self) -> list[Workload]:
        known = self._remains.workloads.values()
        due = [workload for workload in known if workload.is_present and self._is_delete_due(workload)]
        return due[:MOST_DELETES_PER_PASS]

    def _is_delete_due(self, workload: Workload) -> bool:
        last = workload.memory.deleted_at.get(workload.name)
        return last is None or self._clock.monotonic() - last >= DELETE_AGAIN_SECONDS

    def _delete(self, workload: Workload) -> None:
        now = self._clock.monotonic()
        try:
            self._cloud.delete(workload.name)
        except NotFound:
            workload.is_present = False
            workload.memory.missed(workload.name, now)
            return
        is_first = workload.name not in workload.memory.deleted_at
        workload.memory.deleted_at[workload.name] = now
        if is_first:
            self._outcome.deleted += 1
            self._say(f"deleted {self._remains.title(workload)}")

    def _unconfirmed(self) -> list[Workload]:
        """Those that may be gone; open rows first, and no more of them than can be kept up."""
        waiting = [
            workload
            for workload in self._remains.workloads.values()
            if not workload.is_present and not workload.is_gone and not workload.foreign
        ]
        waiting.sort(key=lambda workload: workload.name not in workload.memory.absences)
        return waiting[:MOST_OPEN_ROWS]

    def _confirm(self, workload: Workload) -> None:
        """Asks once more whether it is gone."""
        self._remains.ask(workload)
        if workload.is_present and self._is_delete_due(workload):
            self._delete(workload)
        elif not workload.is_present and not workload.foreign:
            memory = workload.memory
            memory.missed(workload.name, self._clock.monotonic())
            workload.is_gone = memory.seconds_until_absent(workload.name, self._settle_seconds) == 0.0

    # -- pods ---------------------------------------------------------------------------------------------------------

    def _let_go(self, claimed: Claimed) -> None:
        remains = self._remains
        if claimed.uid in self._released or remains.may_never_go(claimed) or not remains.is_gone(claimed):
            return
        remains.look_for_reason_to_keep(claimed)
        if claimed.uid in remains.refused:
            return
        assert self._removal is not None, "without a cluster there are no pods"
        try:
            self._removal.let_go(claimed.pod)
        except AnotherPod:
            log.info("pod is gone already pod=%s", claimed.title)
        except Rejected as error:
            remains.refused[claimed.uid] = f"the API server refuses to let it go: {error}"
            return
        self._released.add(claimed.uid)
        self._outcome.released += 1
        self._say(f"let pod {claimed.title} go")

    # -- what is left -------------------------------------------------------------------------------------------------

    def _tell_what_is_left(self, *, is_dry: bool) -> None:
        remains, left = self._remains, self._outcome.left
        for workload in remains.workloads.values():
            if workload.foreign:
                left.append(f"{remains.title(workload)}: {workload.foreign}; it is not touched")
            elif not workload.is_gone and not is_dry:
                left.append(f"{remains.title(workload)}: not confirmed gone")
        for claimed in remains.claimed:
            if remains.may_never_go(claimed) or not (is_dry or claimed.uid in self._released):
                left.append(f"pod {claimed.title} keeps its finalizer: {remains.why_kept(claimed)}")
        if self._trouble:
            left.append(f"the latest question without an answer: {self._trouble}")
        if not remains.is_listed:
            left.append("nothing could be listed")
        elif remains.may_be_cut_off:
            text = f"the list of {self._cloud.identity.workload_noun}s may be cut off: what lies beyond it was not seen"
            if self._removal is None:
                left.append(text)
            else:
                self._outcome.notes.append(f"{text}, unless a pod of the node names it")
