"""Asks regularly for the project's system events, keeps them as explanations, and wakes the pods they are about.

One query per step covers every pod. The window of each query reaches back over the last, because events come in late
and the clocks of machines are wrong; what was read before is recognized. A failed step does not move on. Events only
wake and explain: what runs is told by the instances. One thread calls `step`; nothing else is called from outside.
"""

from __future__ import annotations

import collections
import datetime
import logging
from collections.abc import Callable

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.runtime.trouble import Trouble
from virtual_kubelet_salad.saladcloud import events
from virtual_kubelet_salad.saladcloud.client import LOG_PAGE_SIZE, SaladCloud
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.models import LogEntry

log = logging.getLogger(__name__)

# Clocks of machines are wrong by up to 73 s and entries arrive up to 10 s late; twice that, rounded.
OVERLAP = datetime.timedelta(seconds=150)
# Wider windows make the live service answer 408 and 500.
WIDEST_WINDOW = datetime.timedelta(minutes=5)
LONGEST_CATCH_UP = datetime.timedelta(hours=6)
PAGES_PER_STEP = 10
# While behind, the next step follows soon; the budget is what limits it.
BEHIND_SECONDS = 1.0
STANDBY_SECONDS = 1.0
# So many of the latest entries are read again at most, so that a busy minute does not make every query a long one.
REREAD_ENTRIES = LOG_PAGE_SIZE * 3 // 4
# Recognizes every entry that a window can show again, in a flood too.
REMEMBERED_KEYS = 20_000
# An entry that was received so long before the end of the last window is in no later one, even if windows should mean
# the time on a machine's wrong clock.
REMEMBERED = 2 * OVERLAP

_MILLISECOND = datetime.timedelta(milliseconds=1)
# They precede a run and say nothing that the list does not; most events are of these kinds.
_WITHOUT_CONSEQUENCE = ("Instance Allocated", "Instance Downloading", "Instance Creating", "Instance Starting")

_Key = tuple[str, str, datetime.datetime, str]


class EventFeed:
    """The events of one project from `since` on (at most six hours back)."""

    def __init__(
        self,
        client: SaladCloud,
        explanations: Explanations,
        clock: Clock,
        wake: Callable[[str], None],
        interval_seconds: float,
        since: datetime.datetime,
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        """`wake` is told the name of a group that has new events."""
        self._client = client
        self._explanations = explanations
        self._clock = clock
        self._wake = wake
        self._interval_seconds = interval_seconds
        self._is_active = is_active
        self._query = _query(client.project)
        self._catch_up = max(datetime.timedelta(0), min(clock.now() - since, LONGEST_CATCH_UP))
        # Everything up to here has been read once.
        self._cursor = clock.now() - self._catch_up
        # Where to go on inside a window that was too full for one step; nothing before it is read again.
        self._resume_at: datetime.datetime | None = None
        self._latest: collections.deque[datetime.datetime] = collections.deque(maxlen=REREAD_ENTRIES)
        # Each with its receive time.
        self._known: collections.OrderedDict[_Key, datetime.datetime] = collections.OrderedDict()
        self._trouble = Trouble(clock, log, "events not read, the next query begins where this one did")

    def step(self) -> float:
        """Reads the events since the last step; returns the seconds until the next."""
        if not self._is_active():
            return STANDBY_SECONDS
        begun = self._clock.monotonic()
        try:
            is_behind = self._read_window()
        except CouldNotAsk as error:
            if not isinstance(error, NoBudget):
                self._trouble.failed(error)
            return min(max(error.retry_after or self._interval_seconds, BEHIND_SECONDS), self._interval_seconds)
        self._trouble.over()
        if is_behind:
            return BEHIND_SECONDS
        return max(BEHIND_SECONDS, self._interval_seconds - (self._clock.monotonic() - begun))

    def _read_window(self) -> bool:
        """Reads one window, or as much of it as a step may; returns whether there is more to read now."""
        now = self._clock.now()
        if self._cursor > now:
            # The clock was ahead and has been set right: what was asked for lay in the future.
            self._cursor, self._resume_at = now - self._catch_up, None
        start = self._resume_at if self._resume_at is not None else self._start()
        end = min(now, max(start, self._cursor) + WIDEST_WINDOW)
        for page in range(PAGES_PER_STEP):
            found = self._client.log_entries(
                self._query, start, end, request_class=RequestClass.READ if page else RequestClass.POLL
            )
            for entry in found.entries:
                self._take(entry)
            if found.count < LOG_PAGE_SIZE:
                self._cursor, self._resume_at = end, None
                self._forget_old()
                return end < now
            times = [entry.receive_time for entry in found.entries] or [start]
            reached = found.last_time or max(times)
            # A page full of one millisecond would be read for ever.
            start = self._resume_at = reached if reached - start >= _MILLISECOND else start + _MILLISECOND
        return True

    def _start(self) -> datetime.datetime:
        """Back over the last window, but not over more entries than fit into a page beside new ones."""
        back = self._cursor - OVERLAP
        if len(self._latest) < REREAD_ENTRIES:
            return back
        return min(max(back, sorted(self._latest)[0]), self._cursor)

    def _take(self, entry: LogEntry) -> None:
        key = (entry.group, entry.instance_id, entry.time, entry.message)
        if key in self._known:
            return
        self._known[key] = entry.receive_time
        if len(self._known) > REMEMBERED_KEYS:
            self._known.popitem(last=False)
        self._latest.append(entry.receive_time)
        if entry.group:
            self._explanations.add(entry.group, events.from_entry(entry))
            self._wake(entry.group)

    def _forget_old(self) -> None:
        too_old = self._cursor - REMEMBERED
        while self._known and next(iter(self._known.values())) < too_old:
            self._known.popitem(last=False)


def _query(project: str) -> str:
    parts = [
        f'resource.labels.project_name = "{project}"',
        '(resource.type = "instance_controller" or resource.type = "deployment_controller")',
        *(f'json_log.message != "{name}"' for name in _WITHOUT_CONSEQUENCE),
    ]
    return " and ".join(parts)
