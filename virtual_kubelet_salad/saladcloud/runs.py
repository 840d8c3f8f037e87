"""Which runs of a container have ended, and how, out of system events. Pure.

SaladCloud starts a container again after every exit, and the only trace of the run before may be an event. Events are
sorted by the clock of their machine, which orders the events of one machine rightly though it may be wrong; times that
are told are SaladCloud's own.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from virtual_kubelet_salad.kubelet.provider import Ending, RunReference
from virtual_kubelet_salad.saladcloud.events import ENDS_A_RUN, Event, Kind

SCHEME = "salad://"
EXIT_CODE_KILLED = 137
UNKNOWN = "ContainerStatusUnknown"
INTERRUPTED = "Interrupted"

# Interruptions that the container brought about itself: to Kubernetes they are failures.
_FAILURES = ("(Requested Disk Space Exceeded)", "(Liveness Probe Failure)", "(Startup Probe Failure)")
# It follows exits that came too often, and then says nothing about the last of them.
_MOVED_AFTER_EXITS = "Instance Reallocated by Platform"

EventKey = tuple[str, datetime.datetime, str]


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """The end of one run, as far as events tell: an exit, or what took the instance away, or both."""

    instance_id: str
    exit: Event | None
    cause: Event | None
    running: Event | None
    """The event that told of the run's begin, if it has come."""

    @property
    def last(self) -> Event:
        event = self.exit or self.cause
        assert event is not None
        return event

    @property
    def receive_time(self) -> datetime.datetime:
        """When SaladCloud first heard of the end."""
        return min(event.receive_time for event in (self.exit, self.cause) if event is not None)

    @property
    def keys(self) -> frozenset[EventKey]:
        return frozenset(key_of(event) for event in (self.exit, self.cause) if event is not None)

    @property
    def is_exit(self) -> bool:
        """The container ended by itself."""
        if self.exit is None:
            return False
        if self.cause is None or self.exit.exit_code != EXIT_CODE_KILLED:
            return True
        return self.cause.message.startswith(_MOVED_AFTER_EXITS)

    @property
    def may_hide_an_exit(self) -> bool:
        """Whether the platform's reason for taking the instance away may be an exit that has not come in yet."""
        return self.exit is None and self.cause is not None and self.cause.message.startswith(_MOVED_AFTER_EXITS)

    @property
    def had_run(self) -> bool:
        """Whether the events prove that there was a run at all: an instance can be taken away before it runs."""
        return self.exit is not None or self.running is not None


def key_of(event: Event) -> EventKey:
    """What tells one event from all others."""
    return event.instance_id, event.time, event.message


def ends(events: Iterable[Event]) -> list[End]:
    """Every end, by the time at which SaladCloud heard of it."""
    by_instance: dict[str, list[Event]] = {}
    for event in events:
        if event.instance_id:
            by_instance.setdefault(event.instance_id, []).append(event)
    found: list[End] = []
    for instance_id, of_instance in by_instance.items():
        found += _ends_of(instance_id, sorted(of_instance, key=lambda event: (event.time, event.receive_time)))
    return sorted(found, key=lambda end: end.receive_time)


def ending(end: End, reference: RunReference | None = None) -> Ending:
    """The end as the kubelet wants it; `reference` is the run, if it is remembered."""
    if reference is not None:
        started_at = reference.started_at
    else:
        started_at = (end.running.receive_time if end.running else end.receive_time).replace(microsecond=0)
    exit_code, reason, is_interruption = _verdict(end)
    return Ending(
        container_id=SCHEME + end.instance_id,
        started_at=started_at,
        finished_at=_finished_at(end, started_at),
        exit_code=exit_code,
        reason=reason,
        message=end.last.message if end.is_exit or end.cause is None else end.cause.message,
        is_interruption=is_interruption,
    )


def unknown_ending(reference: RunReference, now: datetime.datetime) -> Ending:
    """For a run that is over and of whose end nothing was heard."""
    return Ending(
        container_id=reference.container_id,
        started_at=reference.started_at,
        finished_at=max(now, reference.started_at),
        exit_code=EXIT_CODE_KILLED,
        reason=UNKNOWN,
        message="The run is over, and SaladCloud does not tell how it ended",
    )


def replaced_ending(reference: RunReference, now: datetime.datetime, version: int) -> Ending:
    """For a run that a change of its group put an end to; SaladCloud makes no event of that."""
    return Ending(
        container_id=reference.container_id,
        started_at=reference.started_at,
        finished_at=max(now, reference.started_at),
        exit_code=EXIT_CODE_KILLED,
        reason="Error",
        message=f"Replaced by version {version} of the container group",
        is_replacement=True,
    )


def _ends_of(instance_id: str, events: list[Event]) -> list[End]:
    """An instance has one run or, where restarts keep its id, several; a new exit or a new begin starts the next."""
    found: list[End] = []
    running: Event | None = None
    is_open = False
    for event in events:
        if event.kind is Kind.RUNNING:
            running, is_open = event, False
        elif event.kind in ENDS_A_RUN:
            is_exit = event.kind is Kind.EXIT
            if is_open and not (is_exit and found[-1].exit is not None):
                latest = found[-1]
                found[-1] = dataclasses.replace(
                    latest, exit=event if is_exit else latest.exit, cause=latest.cause if is_exit else event
                )
            else:
                found.append(End(instance_id, event if is_exit else None, None if is_exit else event, running))
            running, is_open = None, True
    return found


def _verdict(end: End) -> tuple[int, str, bool]:
    """Exit code, reason, and whether it was an interruption."""
    if end.is_exit:
        assert end.exit is not None and end.exit.exit_code is not None
        if end.exit.exit_code == 0:
            return 0, "Completed", False
        return end.exit.exit_code, "OOMKilled" if end.exit.is_out_of_memory else "Error", False
    assert end.cause is not None
    if end.cause.message.endswith(_FAILURES):
        return EXIT_CODE_KILLED, "Error", False
    return EXIT_CODE_KILLED, INTERRUPTED, True


def _finished_at(end: End, started_at: datetime.datetime) -> datetime.datetime:
    """How long the run was by its machine's clock, which is wrong but steady; never after SaladCloud heard of it."""
    heard = end.receive_time
    if end.running is not None and end.running.machine_id == end.last.machine_id:
        length = max(end.last.time - end.running.time, datetime.timedelta(0))
        return max(started_at, min(started_at + length, heard))
    return max(started_at, heard)
