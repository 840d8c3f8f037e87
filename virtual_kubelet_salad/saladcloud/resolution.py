"""The remembered run of a container against what SaladCloud shows now: does it go on, and what has ended since. Pure.

The truth is the instance; events explain. An event counts once: what was told before is in `accounted`, and what was
told before this process began is recognized by its time. A run that is over without an explanation is `unexplained`
until somebody decides to give up.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from virtual_kubelet_salad.kubelet.provider import Ending, Run, RunReference
from virtual_kubelet_salad.saladcloud import runs
from virtual_kubelet_salad.saladcloud.events import Event, Kind
from virtual_kubelet_salad.saladcloud.models import Group, Instance
from virtual_kubelet_salad.saladcloud.runs import SCHEME, End, EventKey

# Events arrive up to 10 s after they happened.
_LAG = datetime.timedelta(seconds=10)
# How long an exit may come in after what it led to: the lag, and the time between two queries.
_EXIT_DELAY = datetime.timedelta(seconds=20)
# Whole seconds, and clocks of several servers.
_BLUR = datetime.timedelta(seconds=2)
# A reading of the instance may be this old in itself.
_STALENESS = datetime.timedelta(seconds=15)
KNOWN_STATES = frozenset({"allocating", "downloading", "creating", "running", "stopping"})
# What comes in this long after an end was told without an event belongs to that end.
_OLD_NEWS = datetime.timedelta(seconds=90)


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One answer about the instances of a group."""

    instances: tuple[Instance, ...]
    at: datetime.datetime

    @property
    def running(self) -> Instance | None:
        """The instance that runs; of several the one that began last."""
        candidates = [one for one in self.instances if one.state == "running"]
        return max(candidates, key=lambda one: one.update_time, default=None)

    @property
    def starting(self) -> Instance | None:
        """The instance that is on its way to run."""
        candidates = [one for one in self.instances if one.state not in ("running", "stopping")]
        return max(candidates, key=lambda one: one.update_time, default=None)

    def is_unreadable(self, instance_id: str) -> bool:
        """Whether the instance is in a state of which we do not know what it means."""
        return any(one.id == instance_id and one.state not in KNOWN_STATES for one in self.instances)

    def tells_already(self, event: Event) -> bool:
        """Whether the event says nothing about the instances that this answer does not show."""
        running = self.running
        if event.kind is Kind.GROUP:
            return True
        if running is None or running.id != event.instance_id:
            return False
        if event.kind is Kind.READINESS:
            return running.ready is not event.message.startswith("Instance Not Ready")
        return event.kind is Kind.RUNNING


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known about the container of one group."""

    group: Group
    reading: Reading | None
    """None: the instances were not read in the present state of the group."""
    events: tuple[Event, ...]
    remembered: RunReference | None
    now: datetime.datetime
    process_began: datetime.datetime
    """Events that were received before may have been told by an earlier process."""
    previous: Instance | None = None
    """How the remembered run's instance was last seen."""
    accounted: frozenset[EventKey] = frozenset()
    given_up: Mapping[str, datetime.datetime] = dataclasses.field(default_factory=dict)
    """Instances whose end was told without an event, and when; what comes in about that end later is old news."""
    is_given_up: bool = False
    """Nothing more will be heard about the end of the remembered run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Resolution:
    """What has become of the remembered run."""

    run: Run | None = None
    endings: tuple[Ending, ...] = ()
    told: frozenset[EventKey] = frozenset()
    is_unexplained: bool = False
    """The remembered run is over, and nothing tells how."""
    told_without_event: str | None = None
    """The instance about whose end more may still come in, though it has been told."""


def resolve(facts: Facts) -> Resolution:
    """Never tells an ending that is accounted for, and never moves on from a remembered run without telling its end."""
    ends = [end for end in runs.ends(facts.events) if _is_news(end, facts)]
    reference = facts.remembered
    if reference is None or reference.is_over:
        told = [end for end in ends if end.had_run and _is_later(end, facts)]
        endings = tuple(ending for ending in map(runs.ending, told) if not _is_told(ending, reference))
        return Resolution(_run(facts), endings, _keys(told))
    own = next((end for end in ends if end.instance_id == _id(reference) and _is_end_of(end, reference, facts)), None)
    if own is not None:
        later = [end for end in ends if end is not own and end.had_run and _is_later(end, facts)]
        told = sorted([own, *later], key=lambda end: end.receive_time)
        endings = tuple(runs.ending(end, reference if end is own else None) for end in told)
        return Resolution(_run(facts), endings, _keys(told))
    if not _is_over(facts):
        # A run that was never seen: it matters only if it is the last that this pod may have.
        final = [end for end in ends if end.instance_id != _id(reference) and _is_final(end, facts.group)]
        return Resolution(_same_run(facts), tuple(map(runs.ending, final)), _keys(final))
    version = _replaced_by(facts) or _silently_replaced_by(facts, ends)
    if version is None and not facts.is_given_up:
        return Resolution(Run(reference.container_id, reference.started_at, False, False), is_unexplained=True)
    if version is not None:
        unheard = runs.replaced_ending(reference, facts.now, version)
    else:
        unheard = runs.unknown_ending(reference, facts.now)
    later = [end for end in ends if end.had_run and _is_later(end, facts)]
    return Resolution(_run(facts), (unheard, *map(runs.ending, later)), _keys(later), told_without_event=_id(reference))


def _is_told(ending: Ending, reference: RunReference | None) -> bool:
    """Whether the pod's status shows this very ending already."""
    return reference is not None and (ending.container_id, ending.started_at) == (
        reference.container_id,
        reference.started_at,
    )


def _id(reference: RunReference) -> str:
    return reference.container_id.removeprefix(SCHEME)


def _keys(ends: list[End]) -> frozenset[EventKey]:
    return frozenset().union(*(end.keys for end in ends))


def _is_news(end: End, facts: Facts) -> bool:
    given_up_at = facts.given_up.get(end.instance_id)
    is_late = given_up_at is not None and end.receive_time <= given_up_at + _OLD_NEWS
    is_early = end.may_hide_an_exit and facts.now < end.receive_time + _EXIT_DELAY
    return not is_late and not is_early and not end.keys & facts.accounted


def _is_old(end: End, facts: Facts) -> bool:
    return end.receive_time <= facts.process_began


def _is_later(end: End, facts: Facts) -> bool:
    """Whether the run that ended began after the remembered one."""
    reference = facts.remembered
    if reference is None:
        return True
    if end.instance_id == _id(reference) and _is_old(end, facts):
        return end.running is not None and end.running.receive_time > reference.started_at + _LAG + _BLUR
    return end.receive_time > reference.started_at + (_LAG if _is_old(end, facts) else -_BLUR)


def _is_end_of(end: End, reference: RunReference, facts: Facts) -> bool:
    """Whether this end of the instance ends the remembered run, and not an earlier one with the same id."""
    if not _is_old(end, facts):
        return end.receive_time >= reference.started_at - _BLUR
    if end.running is not None:
        return _began_with(end.running, reference)
    for event in facts.events:
        if event.kind is Kind.RUNNING and event.instance_id == end.instance_id and event.time > end.last.time:
            if _began_with(event, reference):
                return False
    return end.receive_time >= reference.started_at


def _began_with(running: Event, reference: RunReference) -> bool:
    return -_BLUR <= running.receive_time - reference.started_at <= _LAG + _BLUR


def _is_over(facts: Facts) -> bool:
    """Whether the remembered run cannot be the one that SaladCloud shows."""
    assert facts.remembered is not None
    if facts.reading is None:
        return facts.group.running_count == 0
    current = facts.reading.running
    if current is None and facts.reading.is_unreadable(_id(facts.remembered)):
        return False
    if current is None or current.id != _id(facts.remembered):
        return True
    previous = facts.previous
    if previous is None or previous.id != current.id:
        return False
    if previous.machine_id != current.machine_id:
        return True
    is_unchanged = (previous.version, previous.ready, previous.started) == (
        current.version,
        current.ready,
        current.started,
    )
    return is_unchanged and current.update_time - previous.update_time > _BLUR


def _replaced_by(facts: Facts) -> int | None:
    """The version of the group that took the place of the one that ran; None when that is not why the run is over."""
    if facts.previous is None or facts.reading is None:
        return None
    versions = [one.version for one in (facts.reading.running, facts.reading.starting) if one is not None]
    return max((version for version in versions if version > facts.previous.version), default=None)


def _silently_replaced_by(facts: Facts, ends: list[End]) -> int | None:
    """As `_replaced_by`, where this process has not seen the version that ran. A later run has ended for good, and the
    event of an exit before it would have come in by now: of all ends only a replacement makes none.
    """
    later = (end for end in ends if end.instance_id != _id_of(facts) and _is_final(end, facts.group))
    if facts.group.version > 1 and any(facts.now >= end.receive_time + _EXIT_DELAY for end in later):
        return facts.group.version
    return None


def _id_of(facts: Facts) -> str:
    return _id(facts.remembered) if facts.remembered is not None else ""


def _is_final(end: End, group: Group) -> bool:
    """Whether the restart policy allows no run after this one."""
    if not end.is_exit or end.exit is None:
        return False
    return group.restart_policy == "never" or (group.restart_policy == "on_failure" and end.exit.exit_code == 0)


def _same_run(facts: Facts) -> Run | None:
    reference, current = facts.remembered, facts.reading.running if facts.reading else None
    if reference is None or current is None:
        return None
    return Run(reference.container_id, reference.started_at, current.ready and current.started, current.started)


def _run(facts: Facts) -> Run | None:
    """The run that the reading shows, unless its end is known already."""
    if facts.reading is None or facts.reading.running is None:
        return None
    current, at = facts.reading.running, facts.reading.at
    started_at = current.update_time.astimezone(datetime.UTC).replace(microsecond=0)
    ends_of_it = [end for end in runs.ends(facts.events) if end.instance_id == current.id]
    reference = facts.remembered
    if reference is not None and _id(reference) == current.id:
        is_new = started_at > reference.started_at + _BLUR and (
            facts.previous is None or facts.previous.update_time != current.update_time
        )
        heard = max((end.receive_time for end in ends_of_it), default=reference.started_at)
        if not is_new and at <= heard + _STALENESS:
            return None
        if started_at <= reference.started_at:
            started_at = max(heard, reference.started_at + _BLUR).replace(microsecond=0)
    elif ends_of_it:
        heard = max(end.receive_time for end in ends_of_it)
        if at <= heard + _STALENESS:
            return None
    return Run(SCHEME + current.id, started_at, current.ready and current.started, current.started)
