"""What this process remembers of a pod between two reconciles: only what cannot be read back, and all of it safe to
lose.

An entry lives as long as the pod and is touched only by the worker that holds the pod's key in the queue.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.runtime.clock import Clock

# Two answers of "not found" are believed only this far apart: a list or a GET can be stale for some seconds after a
# write.
ABSENCE_SECONDS = 5.0
# Answers further apart than this are two rows: anything may have happened between them.
ROW_GAP_SECONDS = 60.0
# After a run of this length an interruption is a new one; as a kubelet forgets a crash loop.
LONG_RUN_SECONDS = 600.0
# Who comes back exactly when told must not be sent away for the rounding of a sum of times.
ROUNDING_SECONDS = 1e-6


@dataclasses.dataclass(slots=True)
class Memory:
    """One pod. A new entry (after a restart) knows nothing, which is always the careful side."""

    first_seen: float
    """Monotonic; a Secret read that began earlier does not serve this pod."""
    attempt: int = 0
    """The greatest attempt known."""
    names: set[str] = dataclasses.field(default_factory=set)
    """Every workload that the provider was asked about for this pod; it is told to forget them in the end."""
    may_create: bool = False
    """We hold the claim of `attempt` and know that no create of it can have been applied."""
    claiming: int | None = None
    """The attempt whose claim was sent by this process and whose answer has not come."""
    was_seen: bool = False
    """The workload of `attempt` has been seen by this process."""
    is_settled: bool = False
    """Whether the last create of `attempt` is known to be applied or refused; absence counts soon only then."""
    is_name_used_up: bool = False
    """The cloud refuses the name though nothing bears it."""
    absences: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """Name -> first and latest time (monotonic) of an unbroken row of "not found"."""
    proven: dict[str, float] = dataclasses.field(default_factory=dict)
    """Name -> begin of the row of "not found" of which nothing is in doubt any more."""
    written: tuple[str, float, Owner | bool] | None = None
    """A name in the pod's claim that is not computed, and the latest answer about it: when (monotonic), and which."""
    deleted_at: dict[str, float] = dataclasses.field(default_factory=dict)
    """Name -> when the cloud last accepted its delete."""
    not_before: float = 0.0
    """Monotonic: the next attempt, start or update waits until then."""
    tries: int = 0
    """How often the thing that waits for `not_before` was tried, for its backoff."""
    next_try: tuple[float, datetime.datetime] | None = None
    """`not_before` and what the clock on the wall shows then, so that a text with that time stays as it is."""
    waits_for: str = ""
    """What `not_before` is about; a new subject starts a new backoff."""
    recovery: object = None
    """The latest recovery of the cloud when it last refused this pod a create or a start, or took its start."""
    refused_start: str = ""
    """Why the cloud refused the last start, in one word; empty: it took it."""
    settled_annotations: Mapping[str, str] | None = None
    """Those that cannot be changed any more, as they were when the workload of `attempt` was first seen."""
    made_of: tuple[str, ...] = ()
    """What the plan of the last create was made of; empty: not known."""
    running_since: float | None = None
    """Monotonic: since when its container has been seen running, as far as this process knows."""
    refused: object = None
    """What the cloud has refused for good: the same is not sent again."""
    is_removed: bool = False
    """The API server accepted the final delete of the pod."""

    def saw(self) -> None:
        """The workload of the present attempt exists."""
        self.was_seen = self.is_settled = True
        self.may_create = self.is_name_used_up = False
        self.claiming = None
        self.absences.clear()

    def begin(self, attempt: int) -> None:
        """The claim of a new attempt is ours and nothing has been sent for it."""
        self.attempt, self.may_create, self.is_settled = attempt, True, True
        self.claiming, self.was_seen, self.is_name_used_up = None, False, False
        self.settled_annotations = None
        self.absences.clear()

    def missed(self, name: str, now: float) -> None:
        """The cloud said that the name does not exist. A row of such answers is broken when nobody asked for long."""
        first, latest = self.absences.get(name, (now, now))
        self.absences[name] = (first if now - latest <= ROW_GAP_SECONDS else now, now)

    def is_row_open(self, name: str, now: float) -> bool:
        """Whether another "not found" would go on with a row: who can ask only few asks for these first, so that not
        all rows break.
        """
        row = self.absences.get(name)
        return row is not None and now - row[1] <= ROW_GAP_SECONDS

    def seconds_until_absent(self, name: str, settle_seconds: float) -> float:
        """How long "not found" must still be repeated before it counts; 0: it counts."""
        if name not in self.absences:
            return ABSENCE_SECONDS
        first, latest = self.absences[name]
        needed = ABSENCE_SECONDS if self.is_settled else max(settle_seconds, ABSENCE_SECONDS)
        return _rounded(needed - (latest - first))

    def wait_for(self, subject: str, now: float, delays: tuple[float, ...]) -> float:
        """Seconds until `subject` may be tried (again); the delays grow from call to call that finds the wait over.
        0: now.
        """
        if self.waits_for != subject:
            self.waits_for, self.tries, self.not_before = subject, 0, now + delays[0]
        return _rounded(self.not_before - now)

    def time_of_next_try(self, clock: Clock) -> datetime.datetime:
        """`not_before` by the clock on the wall; the same answer until it is another try."""
        if self.next_try is None or self.next_try[0] != self.not_before:
            wait = datetime.timedelta(seconds=self.not_before - clock.monotonic())
            self.next_try = (self.not_before, clock.now() + wait)
        return self.next_try[1]

    def runs(self, now: float) -> None:
        """Its container was seen running."""
        if self.running_since is None:
            self.running_since = now

    def stopped(self, subject: str, now: float, delays: tuple[float, ...]) -> None:
        """It runs no more. After a long run the wait for `subject` starts over; after a short one it goes on growing,
        counted from now.
        """
        if self.running_since is None:
            return
        if now - self.running_since >= LONG_RUN_SECONDS:
            self.waits_for = ""
        elif self.waits_for == subject:
            self.not_before = now + delays[min(self.tries, len(delays) - 1)]
        self.running_since = None

    def tried(self, now: float, delays: tuple[float, ...]) -> None:
        """The subject of the wait was tried; the next try waits longer."""
        self.tries += 1
        self.not_before = now + delays[min(self.tries, len(delays) - 1)]


def _rounded(seconds: float) -> float:
    return seconds if seconds > ROUNDING_SECONDS else 0.0
