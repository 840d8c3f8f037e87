"""Reads what containers write now, for everybody who follows one: one query for all of them, every few seconds.

However many follow, they cost 15 requests a minute, 20 while there is more to read than fits into a page, and nothing
when nobody follows. Every query reaches back over the last one, because entries come in late; each follower knows
what it had. One thread calls `step`; followers come, wait and go on threads of their own.
"""

from __future__ import annotations

import collections
import datetime
import logging
import threading
from collections.abc import Callable, Sequence

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.saladcloud.client import LOG_PAGE_SIZE, SaladCloud
from virtual_kubelet_salad.saladcloud.models import OutputEntry
from virtual_kubelet_salad.saladcloud.output_pages import Pages, Seen, query

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 4.0
# At least so long for each page that was read: a third of the budget's share is for those who only look, and for usage.
SECONDS_PER_PAGE = 3.0
RETRY_SECONDS = 1.0
IDLE_SECONDS = 3600.0
PAGES_PER_STEP = 5
# Where windows go by the machines' clocks: these are wrong by up to 73 s, and entries come in up to 10 s late; twice
# that, rounded. Where they go by SaladCloud's own, what was received may take a moment to be found.
OVERLAP = datetime.timedelta(seconds=150)
LEAST_OVERLAP = datetime.timedelta(seconds=5)
# So much of a page at the most is what was read before; the rest is for what is new.
REREAD_ENTRIES = LOG_PAGE_SIZE * 2 // 5
WIDEST_WINDOW = datetime.timedelta(minutes=5)
# A window that goes further back than this is another follower's, who has come late: nothing new is in it for this one.
# Remembering more would cost those who follow for days memory without end.
REMEMBERED = datetime.timedelta(minutes=10)
# A reader so far behind is not reading.
MOST_WAITING = 20_000
MOST_WAITING_CHARACTERS = 8 * 2**20


class Follower:
    """What one stream waits for."""

    def __init__(self, group: str, read_until: datetime.datetime, seen: Seen) -> None:
        """Everything until `read_until` is known already, and the entries in `seen` are."""
        self.group = group
        self._seen = seen
        self._read_until = read_until
        self._waiting: list[OutputEntry] = []
        self._waiting_characters = 0
        self._is_too_slow = False
        self._news = threading.Condition()

    @property
    def read_until(self) -> datetime.datetime:
        """Everything that SaladCloud received until then has been handed over."""
        with self._news:
            return self._read_until

    def take(self, seconds: float) -> tuple[list[OutputEntry], datetime.datetime]:
        """What has come in, after at most `seconds`, and until when that is all. Raises `CouldNotAsk` when too much
        has.
        """
        with self._news:
            if not self._waiting:
                self._news.wait(seconds)
            if self._is_too_slow:
                raise CouldNotAsk("the reader is too slow for this log")
            taken, self._waiting, self._waiting_characters = self._waiting, [], 0
            return taken, self._read_until

    def put(self, entries: Sequence[OutputEntry], read_until: datetime.datetime) -> None:
        """By the tail's thread alone."""
        horizon = self.read_until - REMEMBERED
        own = [each for each in entries if each.group == self.group and max(each.time, each.receive_time) >= horizon]
        fresh = self._seen.new(own)
        self._seen.forget(horizon)
        with self._news:
            self._read_until = max(self._read_until, read_until)
            if fresh:
                self._waiting += fresh
                self._waiting_characters += sum(len(entry.text) for entry in fresh)
                is_much = self._waiting_characters > MOST_WAITING_CHARACTERS
                self._is_too_slow = is_much or len(self._waiting) > MOST_WAITING
                self._news.notify()


class OutputTail:
    """All followers of one project."""

    def __init__(self, client: SaladCloud, clock: Clock) -> None:
        self._client = client
        self._pages = Pages(client)
        self._clock = clock
        self._lock = threading.Lock()
        self._followers: list[Follower] = []
        self.wake: Callable[[], None] = lambda: None
        """Lets `step` be called now; set by whoever runs it."""
        self._is_by_receive_time = False
        # When the latest entries were received; and where to go on inside a window that was too full for one step.
        self._latest: collections.deque[datetime.datetime] = collections.deque(maxlen=REREAD_ENTRIES)
        self._resume_at: datetime.datetime | None = None
        self._pass_began = clock.now()
        self._is_failing = False

    def follow(self, follower: Follower) -> None:
        with self._lock:
            self._followers.append(follower)
        self.wake()

    def leave(self, follower: Follower) -> None:
        with self._lock:
            self._followers.remove(follower)
            is_last = not self._followers
        if is_last:
            self._pages.cut()

    def count(self) -> int:
        """How many follow."""
        with self._lock:
            return len(self._followers)

    def step(self) -> float:
        """Reads what is new; returns the seconds until the next step."""
        with self._lock:
            followers = list(self._followers)
        if not followers:
            self._resume_at = None
            self._latest.clear()
            return IDLE_SECONDS
        begun = self._clock.monotonic()
        try:
            pages = self._read(followers)
        except CouldNotAsk as error:
            if not self.count():
                return RETRY_SECONDS  # the last one who left has ended the query
            level = logging.DEBUG if self._is_failing or isinstance(error, NoBudget) else logging.WARNING
            log.log(level, "logs not read, followers wait followers=%d reason=%s", len(followers), error)
            self._is_failing = not isinstance(error, NoBudget)
            return min(max(error.retry_after or INTERVAL_SECONDS, RETRY_SECONDS), INTERVAL_SECONDS)
        self._is_failing = False
        interval = max(INTERVAL_SECONDS, pages * SECONDS_PER_PAGE)
        return max(RETRY_SECONDS, interval - (self._clock.monotonic() - begun))

    def _read(self, followers: Sequence[Follower]) -> int:
        """One window, or as much of it as a step may; how many pages that were."""
        now = self._clock.now()
        known_until = min(follower.read_until for follower in followers)
        start = self._start(known_until)
        if self._resume_at is not None:
            start = self._resume_at if known_until >= self._resume_at else min(start, self._resume_at)
        else:
            self._pass_began = now
        end = min(now, max(start, known_until) + WIDEST_WINDOW)
        if end <= start:
            return 0  # SaladCloud's clock turned out to be far behind
        wanted = query(self._client.project, sorted({follower.group for follower in followers}))
        for number in range(PAGES_PER_STEP):
            if number and not self.count():
                return number  # all have gone
            page = self._pages.read(wanted, start, end)
            if page.is_by_receive_time is not None:
                self._is_by_receive_time = page.is_by_receive_time
            reached = end if page.next_start is None else page.next_start
            self._latest.extend(sorted(entry.receive_time for entry in page.entries)[-REREAD_ENTRIES:])
            if not self._is_by_receive_time:
                # What has come in since, into parts of the window that are read already, is found by the next pass.
                reached = min(reached, self._pass_began)
            for follower in followers:
                follower.put(page.entries, reached)
            if page.next_start is None:
                self._resume_at = None
                return number + 1
            start = self._resume_at = page.next_start
        return PAGES_PER_STEP

    def _start(self, known_until: datetime.datetime) -> datetime.datetime:
        """Back over the last window; where it is safe, over so many entries that new ones fit into the same page."""
        back = known_until - OVERLAP
        if not self._is_by_receive_time or len(self._latest) < REREAD_ENTRIES:
            return back
        return max(back, min(sorted(self._latest)[0], known_until - LEAST_OVERLAP))
