"""Answers who asks for the log of a pod: the past first, then what is written now, each line once and in order.

A stream runs on the thread of whoever reads it. What it reads of the past costs its own requests; what comes later is
read by the tail, once for all. Lines of one run come in order; lines of a later run come after about all of the earlier
one's, for two machines' clocks cannot be compared better than that.
"""

from __future__ import annotations

import collections
import datetime
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence

from virtual_kubelet_salad.kubelet.provider_insight import LogLine, LogQuestion
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.models import OutputEntry
from virtual_kubelet_salad.saladcloud.output_history import WAIT_SECONDS, OutputHistory
from virtual_kubelet_salad.saladcloud.output_order import HELD, OutputOrder
from virtual_kubelet_salad.saladcloud.output_pages import Seen, query
from virtual_kubelet_salad.saladcloud.output_tail import Follower, OutputTail
from virtual_kubelet_salad.saladcloud.runs import SCHEME

# Machines' clocks are wrong by up to 73 s and entries come in up to 10 s late; twice that, rounded.
CLOCK_MARGIN = datetime.timedelta(seconds=150)
# After the end of a run its last lines come in for so long; a cloud that does not answer is not waited for much longer.
LAST_LINES = datetime.timedelta(seconds=12)
LAST_LINES_DEADLINE_SECONDS = 120.0
# SaladCloud keeps entries for 90 days.
KEPT = datetime.timedelta(days=90)

_Batch = list[OutputEntry]


class ContainerOutput:
    """The logs of one project's groups. Safe to use from any thread."""

    def __init__(self, client: SaladCloud, tail: OutputTail, clock: Clock, wait_seconds: float = WAIT_SECONDS) -> None:
        """`wait_seconds`: how long a read waits for something at the most."""
        self._client = client
        self._tail = tail
        self._clock = clock
        self._wait_seconds = wait_seconds

    def stream(self, question: LogQuestion) -> OutputStream:
        """The answer to a question. Asks nothing yet."""
        return OutputStream(self._client, self._tail, self._clock, self._wait_seconds, question)


class OutputStream:
    """Implements `kubelet.provider_insight.LogStream`."""

    def __init__(
        self, client: SaladCloud, tail: OutputTail, clock: Clock, wait_seconds: float, question: LogQuestion
    ) -> None:
        self._tail = tail
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._question = question
        self._instance_id = question.container_id.removeprefix(SCHEME)
        self._earlier = {each.removeprefix(SCHEME) for each in question.earlier_container_ids}
        self._history = OutputHistory(client, query(client.project, question.names, self._instance_id), self._pause)
        self._seen = Seen()
        self._order = OutputOrder()
        # The first line of each run that is shown, where only the last lines are wanted.
        self._first: dict[str, datetime.datetime] = {}
        now = clock.now()
        self._until = now if question.ended is None else min(now, question.ended + CLOCK_MARGIN)
        self._received_from = (
            None if question.newest_seconds is None else now - datetime.timedelta(seconds=question.newest_seconds)
        )
        self._ended_at: tuple[datetime.datetime, float] | None = None
        self._batches = self._run()

    def read(self) -> Sequence[LogLine] | None:
        """See `LogStream.read`."""
        for batch in self._batches:
            return [LogLine(entry.time, entry.text) for entry in batch]
        return None

    def end(self) -> None:
        """See `LogStream.end`."""
        if self._ended_at is None:
            self._ended_at = self._clock.now(), self._clock.monotonic()

    def abandon(self) -> None:
        """See `LogStream.abandon`."""
        self._history.abandon()

    def close(self) -> None:
        """See `LogStream.close`."""
        self._batches.close()

    def _run(self) -> Generator[_Batch, None, None]:
        if self._question.tail is None:
            yield from self._all()
        elif self._question.tail > 0 and self._shares_its_id:
            yield from self._last_of_all(self._question.tail)
        elif self._question.tail > 0:
            yield from self._last(self._question.tail)
        if self._question.follows:
            yield from self._follow()
        yield self._released(None)

    @property
    def _shares_its_id(self) -> bool:
        return self._question.after is not None or self._question.before is not None

    def _released(self, read_until: datetime.datetime | None) -> _Batch:
        """What can be shown now; of two runs with one id only that of the one that is wanted."""
        released = self._order.release(read_until)
        if not self._shares_its_id:
            return released
        after, before = self._question.after, self._question.before
        return [
            entry
            for entry in released
            if (after is None or self._order.written(entry) >= after)
            and (before is None or self._order.written(entry) < before)
        ]

    # -- the past

    def _all(self) -> Iterator[_Batch]:
        for entries, read_until in self._history.forward(self._start(), self._until):
            self._order.add(self._wanted(self._seen.new(entries)))
            yield self._released(read_until)

    def _last_of_all(self, count: int) -> Iterator[_Batch]:
        """Where lines of another run may be among the last ones of this id."""
        last: collections.deque[OutputEntry] = collections.deque(maxlen=count)
        for entries in self._all():
            last.extend(entries)
            yield []
        last.extend(self._released(None))
        yield list(last)

    def _last(self, count: int) -> Iterator[_Batch]:
        history = self._history.last(count, self._start(), self._until)
        while True:
            try:
                next(history)
            except StopIteration as done:
                found = list(self._wanted(self._seen.new(done.value)))
                break
            yield []
        ordered = OutputOrder()
        ordered.add(found)
        last = ordered.release(None)[-count:]
        for entry in last:
            self._first.setdefault(entry.instance_id, entry.time)
        self._order.add(last)
        yield self._released(self._until)

    def _start(self) -> datetime.datetime:
        """Nothing that is wanted was received before this."""
        question = self._question
        starts = [question.began - CLOCK_MARGIN, self._clock.now() - KEPT]
        if question.since is not None:
            starts.append(question.since - CLOCK_MARGIN)
        if self._received_from is not None:
            # Machines' clocks may be what windows go by.
            starts.append(self._received_from - CLOCK_MARGIN)
        return max(starts)

    def _wanted(self, entries: Iterable[OutputEntry]) -> Iterator[OutputEntry]:
        question = self._question
        for entry in entries:
            if entry.instance_id in self._earlier or self._is_of_earlier_run(entry):
                continue
            if question.since is not None and entry.time < question.since:
                continue
            if self._received_from is not None and entry.receive_time < self._received_from:
                continue
            if entry.instance_id in self._first and entry.time < self._first[entry.instance_id]:
                continue
            yield entry

    def _is_of_earlier_run(self, entry: OutputEntry) -> bool:
        """Of one before the last one, which the pod does not know any more: it had come in when this run began."""
        is_other = self._instance_id not in ("", entry.instance_id)
        return is_other and entry.receive_time < self._question.began

    # -- the present

    def _follow(self) -> Iterator[_Batch]:
        if self._question.tail == 0 and self._received_from is None:
            self._received_from = self._until
        follower = Follower(self._question.names[-1], self._until, self._seen)
        self._tail.follow(follower)
        try:
            while not self._is_over(follower):
                entries, read_until = follower.take(self._wait_seconds)
                self._order.add(self._wanted(entries))
                yield self._released(read_until)
        finally:
            self._tail.leave(follower)

    def _is_over(self, follower: Follower) -> bool:
        """Whether the container has ended and its last lines must have come in."""
        if self._ended_at is None:
            return False
        moment, monotonic = self._ended_at
        has_read_on = follower.read_until >= moment + max(LAST_LINES, HELD)
        return has_read_on or self._clock.monotonic() - monotonic >= LAST_LINES_DEADLINE_SECONDS

    def _pause(self, seconds: float) -> None:
        threading.Event().wait(min(seconds, self._wait_seconds))
