"""Looks at one container group for its pod: what is known, and what must be asked live.

The list tells of the group; its instances are read once per start and whenever the feed or the list shows that
something has happened to it, now and then while it downloads or is not ready, and every five minutes where a missed
exit would matter. A read for which there is no budget is left out, and the pod comes back. What is remembered here is
safe to lose. Called from any worker thread, never twice at once for one name.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import threading

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound
from virtual_kubelet_salad.kubelet.provider import RunReference, Workload
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.saladcloud import pod_status
from virtual_kubelet_salad.saladcloud.catalog import Catalog
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.credit import Credit
from virtual_kubelet_salad.saladcloud.events import Event, from_entry
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.followed import Followed
from virtual_kubelet_salad.saladcloud.groups import GroupCache
from virtual_kubelet_salad.saladcloud.models import Group, Instance
from virtual_kubelet_salad.saladcloud.pod_status import Surroundings, Verdict
from virtual_kubelet_salad.saladcloud.resolution import Facts, Reading, Resolution
from virtual_kubelet_salad.saladcloud.runs import SCHEME, EventKey, key_of

log = logging.getLogger(__name__)

# An event that explains the end of a run comes within this time, or not at all.
EXPLANATION_SECONDS = 60.0
LEAST_LOOK_SECONDS = 1.0


@dataclasses.dataclass(slots=True)
class _Track:
    """What this process remembers of one group between two looks."""

    reading: Reading | None = None
    read_of: Group | None = None
    """The group as it was when its instances were read."""
    read_at: float = 0.0
    """Monotonic."""
    events_read: int = 0
    """How many events there had been by then."""
    is_doubted: bool = False
    """Its instances were not found, so the next question is about the group itself."""
    is_look_due: bool = False
    """The last look left something open that only another reading can tell."""
    previous: Instance | None = None
    downloading: Instance | None = None
    """The instance that was last seen downloading, as it was then."""
    accounted: frozenset[EventKey] = frozenset()
    given_up: dict[str, datetime.datetime] = dataclasses.field(default_factory=dict)
    offered: frozenset[EventKey] = frozenset()
    offered_without_event: str | None = None
    offered_for: RunReference | None = None
    offered_run: Instance | None = None
    """The instance whose run the pod will remember when it has taken the offer."""
    unexplained_since: float | None = None
    system_log: tuple[Event, ...] | None = None
    """What the group's own log says of the run that nothing else explains; None: not asked yet."""


class Observing:
    """Implements `Provider.observe`."""

    def __init__(
        self,
        client: SaladCloud,
        cache: GroupCache,
        explanations: Explanations,
        followed: Followed,
        catalog: Catalog,
        credit: Credit,
        clock: Clock,
    ) -> None:
        self._client = client
        self._cache = cache
        self._explanations = explanations
        self._followed = followed
        self._catalog = catalog
        self._credit = credit
        self._clock = clock
        self._began = clock.monotonic()
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track] = {}

    def observe(self, name: str, remembered: RunReference | None) -> Workload | None:
        """The workload relative to the remembered run; None when SaladCloud says that it does not exist. Raises
        `CouldNotAsk`.
        """
        with self._lock:
            track = self._tracks.setdefault(name, _Track())
        group = self._group(name, track)
        if group is None:
            return None
        self._settle_offer(name, track, remembered)
        try:
            delay = self._read_instances(group, track)
            verdict = self._concluded(group, track, remembered)
        except NotFound:
            track.is_doubted = True
            return self._workload_of_missing(name, track)
        self._offer(track, remembered, verdict.resolution)
        return self._finished(group, track, verdict, delay)

    def forget(self, name: str) -> None:
        with self._lock:
            self._tracks.pop(name, None)

    # -- what is asked

    def _group(self, name: str, track: _Track) -> Group | None:
        """The group as last seen; asked for when the latest list had to show it and does not."""
        group, snapshot = self._cache.get(name), self._cache.snapshot()
        is_known = (
            group is not None
            and not track.is_doubted
            and (
                self._cache.is_listed(name)
                or snapshot is None
                or not snapshot.is_complete
                or (self._cache.asked_at(name) or 0.0) >= snapshot.taken_at
            )
        )
        return group if is_known else self._asked(name, track)

    def _asked(self, name: str, track: _Track) -> Group | None:
        """By its name, now; None: SaladCloud says that it does not exist."""
        begun = self._clock.monotonic()
        try:
            self._cache.put(self._client.get_group(name), begun)
        except NotFound:
            self._cache.put_gone(name, begun)
            return None
        track.is_doubted = False
        group = self._cache.get(name)
        if group is None:
            raise CouldNotAsk("SaladCloud shows a container group that a newer list of it does not show")
        return group

    def _workload_of_missing(self, name: str, track: _Track) -> Workload | None:
        """Its instances are not there any more; only an answer about the group itself counts."""
        if self._asked(name, track) is None:
            return None
        raise CouldNotAsk("SaladCloud shows the container group without its instances", retry_after=LEAST_LOOK_SECONDS)

    def _read_instances(self, group: Group, track: _Track) -> float | None:
        """Reads the instances if that tells something new; returns the seconds after which to try again when there
        was no budget.
        """
        request_class = self._why_read(group, track)
        if request_class is None:
            return None
        try:
            self._read_now(group, track, request_class)
        except NoBudget as error:
            return error.retry_after
        except CouldNotAsk as error:
            if request_class is RequestClass.READ:
                raise
            return error.retry_after or pod_status.PROGRESS_SECONDS
        return None

    def _read_now(self, group: Group, track: _Track, request_class: RequestClass) -> None:
        count, at, begun = self._explanations.count(group.name), self._clock.now(), self._clock.monotonic()
        track.reading = Reading(self._client.list_instances(group.name, request_class), at)
        track.read_of, track.read_at, track.events_read = group, begun, count
        starting = track.reading.starting
        if starting is not None and starting.state == "downloading":
            track.downloading = starting

    def _why_read(self, group: Group, track: _Track) -> RequestClass | None:
        """What for the instances are read now; None: they are not."""
        if group.status in ("pending", "failed", "stopped", "succeeded"):
            return None
        age = self._clock.monotonic() - track.read_at
        is_changed = track.read_of is None or _life(track.read_of) != _life(group)
        if group.running_count > 0:
            if is_changed or self._has_news(group, track):
                return RequestClass.READ
            if track.is_look_due and age >= pod_status.NEXT_RUN_SECONDS:
                return RequestClass.READ
            running = track.reading.running if track.reading is not None else None
            if (running is None or not running.ready) and age >= pod_status.UNREADY_SECONDS:
                return RequestClass.PROGRESS
            if group.restart_policy != "always" and age >= pod_status.SAFETY_SECONDS:
                return RequestClass.SAFETY
        elif group.creating_count > 0 and (is_changed or age >= pod_status.PROGRESS_SECONDS):
            return RequestClass.PROGRESS
        return None

    def _has_news(self, group: Group, track: _Track) -> bool:
        """Whether an event has come in that the last reading does not cover."""
        events = self._explanations.since(group.name, track.events_read)
        return any(track.reading is None or not track.reading.tells_already(event) for event in events)

    # -- what is concluded

    def _concluded(self, group: Group, track: _Track, remembered: RunReference | None) -> Verdict:
        verdict = self._verdict(group, track, remembered)
        if verdict.resolution.is_unexplained:
            return self._explain(group, track, remembered, verdict)
        track.unexplained_since, track.system_log = None, None
        running = track.reading.running if track.reading is not None else None
        track.previous = running or track.previous
        return verdict

    def _verdict(
        self,
        group: Group,
        track: _Track,
        remembered: RunReference | None,
        *,
        has_system_log: bool = False,
        is_given_up: bool = False,
    ) -> Verdict:
        """The group's own log tells the same ends as the feed, with other times, so only one of both is asked."""
        events = self._explanations.of(group.name)
        logged = (track.system_log or ()) if has_system_log else ()
        facts = Facts(
            group=group,
            reading=track.reading if track.read_of is not None and _life(track.read_of) == _life(group) else None,
            events=(*events, *logged),
            remembered=remembered,
            now=self._clock.now(),
            process_began=self._process_began(),
            previous=track.previous,
            accounted=track.accounted,
            given_up=track.given_up,
            is_given_up=is_given_up,
        )
        surroundings = Surroundings(
            is_out_of_credit=self._credit.is_out,
            gpu_class=self._gpu_class(group, events, facts.reading),
            gpu_classes=tuple(self._catalog.name_of(one) or one for one in group.gpu_classes),
            downloading=track.downloading,
        )
        return pod_status.verdict(facts, surroundings)

    def _process_began(self) -> datetime.datetime:
        """By SaladCloud's clock, as events are."""
        return self._clock.now() - datetime.timedelta(seconds=self._clock.monotonic() - self._began)

    def _explain(self, group: Group, track: _Track, remembered: RunReference | None, verdict: Verdict) -> Verdict:
        """The remembered run is over and no event says how: wait a minute, then look whether it is really over, then
        ask the group's own log, then give up.
        """
        now = self._clock.monotonic()
        if track.unexplained_since is None:
            track.unexplained_since = now
        if now - track.unexplained_since < EXPLANATION_SECONDS or remembered is None:
            return verdict
        if track.system_log is None:
            # Once: who can send one request at a time would never come to the next question.
            if track.read_at < track.unexplained_since + EXPLANATION_SECONDS:
                self._read_now(group, track, RequestClass.READ)
                verdict = self._verdict(group, track, remembered)
                if not verdict.resolution.is_unexplained:
                    return verdict
            instance_id = remembered.container_id.removeprefix(SCHEME)
            logged = map(from_entry, self._client.system_logs(group.name))
            track.system_log = tuple(event for event in logged if event.instance_id == instance_id)
        verdict = self._verdict(group, track, remembered, has_system_log=True)
        if verdict.resolution.is_unexplained:
            log.info("the end of a run stays unexplained name=%s run=%s", group.name, remembered.container_id)
            verdict = self._verdict(group, track, remembered, has_system_log=True, is_given_up=True)
        elif verdict.resolution.endings:
            told = dataclasses.replace(
                verdict.resolution, told_without_event=remembered.container_id.removeprefix(SCHEME)
            )
            verdict = Verdict(verdict.workload, told)
        return verdict

    def _offer(self, track: _Track, remembered: RunReference | None, resolution: Resolution) -> None:
        track.offered, track.offered_for = resolution.told, remembered
        track.offered_without_event = resolution.told_without_event
        shown = track.reading.running if track.reading is not None else None
        track.offered_run = shown if resolution.run is not None and not resolution.is_unexplained else None

    def _settle_offer(self, name: str, track: _Track, remembered: RunReference | None) -> None:
        """What was offered is written as soon as the pod remembers another run: then it must not be told again."""
        if remembered == track.offered_for:
            return
        # Events that are not kept any more will not be told again either.
        kept = frozenset(map(key_of, self._explanations.of(name)))
        track.accounted = (track.accounted | track.offered) & kept
        self._explanations.told(name, track.offered)
        if track.offered_without_event is not None:
            track.given_up[track.offered_without_event] = self._clock.now()
        # The next reading is compared with the run that the pod remembers now, and not with the one before.
        track.previous = track.offered_run or track.previous
        track.offered, track.offered_without_event, track.offered_run = frozenset(), None, None
        track.unexplained_since, track.system_log = None, None

    def _finished(self, group: Group, track: _Track, verdict: Verdict, delay: float | None) -> Workload:
        workload = verdict.workload
        times = [seconds for seconds in (workload.look_again_after, delay) if seconds is not None]
        track.is_look_due = workload.run is None and group.running_count > 0 or verdict.resolution.is_unexplained
        is_settled = not track.is_look_due and (workload.run is None or workload.run.ready) and not delay
        self._followed.observed(group.name, is_settled=is_settled and workload.run is not None)
        if not times:
            return workload
        return dataclasses.replace(workload, look_again_after=max(min(times), LEAST_LOOK_SECONDS))

    def _gpu_class(self, group: Group, events: tuple[Event, ...], reading: Reading | None) -> str:
        """The class of its present instance: the only one it may have, or the one that an event of it names."""
        if len(group.gpu_classes) == 1:
            return self._catalog.name_of(group.gpu_classes[0]) or _class_in(events, reading)
        return _class_in(events, reading) if group.gpu_classes else ""


def _class_in(events: tuple[Event, ...], reading: Reading | None) -> str:
    row = (reading.running or reading.starting) if reading is not None else None
    named = (event.gpu_class for event in reversed(events) if row is not None and event.instance_id == row.id)
    return next((name.strip() for name in named if name), "")


def _life(group: Group) -> tuple[object, ...]:
    """The part of a group that tells that something has happened to its instances."""
    return (
        group.status,
        group.version,
        group.pending_change,
        group.allocating_count,
        group.creating_count,
        group.running_count,
        group.stopping_count,
    )
