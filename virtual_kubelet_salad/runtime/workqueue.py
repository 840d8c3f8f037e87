"""A queue of keys: each key waits at most once and is processed at most once at a time.

Guarantees, as client-go's workqueue:

* Fair: within a lane, keys are handed out in the order in which they were added; the urgent lane goes first.
* Stingy: a key that is added many times before it is handed out is handed out once.
* A key that is added while it is processed is handed out again after `done()`, never meanwhile.
* A key is never forgotten by the queue itself: retries are unlimited, their delay is capped.

Does not guarantee that the normal lane moves while the urgent lane is never empty, nor that a delayed key is handed out
exactly when it is due (only not before, unless an `add()` pulls it forward). Safe to use from any thread; nothing is
called out while the lock is held. `get()` never waits, so that one thread can drive the queue step by step; workers
wait in `wait()`.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import OrderedDict
from typing import NamedTuple

from virtual_kubelet_salad.runtime.clock import Clock

# The heap is rebuilt when it holds this many outdated entries and they are the majority: keys that are delayed for long
# and pulled forward often would otherwise pile them up.
_OUTDATED_ENTRIES = 1_000

# Doublings beyond this change nothing: 0.5 s * 2**40 is far above every sensible cap, and floats must not overflow.
_MAX_DOUBLINGS = 40


class Depth(NamedTuple):
    """How many keys are where."""

    urgent: int
    normal: int
    delayed: int
    processing: int


class _Delay(NamedTuple):
    due: float
    urgent: bool


class WorkQueue:
    """Two lanes, deduplication, delays and a backoff per key.

    Delays are in seconds, due times on the clock's monotonic time.
    """

    def __init__(
        self, clock: Clock, *, base_delay: float = 0.5, max_delay: float = 600.0, jitter: random.Random | None = None
    ) -> None:
        self._clock = clock
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._jitter = jitter if jitter is not None else random.Random()
        self._changed = threading.Condition()
        # Keys that wait to be handed out, with the time when they became ready. Every one of them is in _dirty and not
        # in _processing; none is in both lanes.
        self._urgent: OrderedDict[str, float] = OrderedDict()
        self._normal: OrderedDict[str, float] = OrderedDict()
        # Keys that must be processed, and whether urgently: those in a lane, and those that were added while being
        # processed.
        self._dirty: dict[str, bool] = {}
        # Keys that were handed out and not yet reported done. They may be in _dirty as well; then done() puts them into
        # a lane.
        self._processing: set[str] = set()
        # The one pending delay of a key. A key may be here and in any of the sets above.
        self._delays: dict[str, _Delay] = {}
        # (due, sequence, key) of every delay ever asked; an entry that does not agree with _delays is outdated and
        # skipped.
        self._heap: list[tuple[float, int, str]] = []
        self._sequence = itertools.count()
        self._retries: dict[str, int] = {}
        self._is_shut_down = False
        self._is_draining = False

    def add(self, key: str, *, urgent: bool = False) -> None:
        """Make the key ready now; a pending delay of the key is used up.

        An urgent add moves a waiting key to the urgent lane.
        """
        with self._changed:
            self._add(key, urgent)

    def add_after(self, key: str, delay: float, *, urgent: bool = False) -> None:
        """Make the key ready in `delay` seconds.

        Of two pending delays of a key the earlier one counts, urgent if either was.
        """
        with self._changed:
            self._add_after(key, delay, urgent)

    def add_rate_limited(self, key: str, *, urgent: bool = False) -> float:
        """Make the key ready after its backoff and count the retry. Returns the delay in seconds."""
        with self._changed:
            retries = self._retries.get(key, 0)
            self._retries[key] = retries + 1
            backoff = min(self._base_delay * 2.0 ** min(retries, _MAX_DOUBLINGS), self._max_delay)
            # Only downwards, so that the cap stays a promise; half of it, so that keys that failed together come back
            # apart.
            delay = backoff * self._jitter.uniform(0.5, 1.0)
            self._add_after(key, delay, urgent)
            return delay

    def forget(self, key: str) -> None:
        """Let the key's backoff start anew. Whether the key waits or is delayed does not change."""
        with self._changed:
            self._retries.pop(key, None)

    def retries(self, key: str) -> int:
        """How many rate-limited adds of the key there were since it was last forgotten."""
        with self._changed:
            return self._retries.get(key, 0)

    def get(self) -> str | None:
        """Hand out the next ready key and mark it as being processed; None when nothing is ready. Never waits."""
        with self._changed:
            self._promote_due()
            lane = self._urgent or self._normal
            if not lane or (self._is_shut_down and not self._is_draining):
                return None
            key, _ = lane.popitem(last=False)
            del self._dirty[key]
            self._processing.add(key)
            return key

    def done(self, key: str) -> None:
        """Report that the key is processed; if it was added meanwhile it becomes ready again.

        KeyError for a key that was not handed out.
        """
        with self._changed:
            self._processing.remove(key)
            if key in self._dirty:
                self._make_ready(key, self._dirty[key])

    def wait(self, timeout: float) -> None:
        """Block until a key is ready, the queue is shut down, or `timeout` seconds have passed.

        May also return early.
        """
        with self._changed:
            deadline = self._clock.monotonic() + timeout
            while True:
                self._promote_due()
                if self._urgent or self._normal or self._is_shut_down:
                    return
                next_due = self._next_due()
                until = deadline if next_due is None else min(deadline, next_due)
                remaining = until - self._clock.monotonic()
                if remaining <= 0 or not self._changed.wait(remaining):
                    return

    def shut_down(self, *, drain: bool = False) -> None:
        """Accept nothing more.

        Without `drain` nothing more is handed out either; with it, what is ready or dirty still is (delayed keys are
        not).
        """
        with self._changed:
            self._is_shut_down = True
            self._is_draining = drain
            self._changed.notify_all()

    @property
    def is_shut_down(self) -> bool:
        """Whether shut_down() was called."""
        with self._changed:
            return self._is_shut_down

    def next_due(self) -> float | None:
        """The monotonic time at which the earliest delayed key becomes ready; None when no key is delayed."""
        with self._changed:
            return self._next_due()

    def __len__(self) -> int:
        """How many keys are ready, in both lanes."""
        with self._changed:
            self._promote_due()
            return len(self._urgent) + len(self._normal)

    def depth(self) -> Depth:
        """How many keys are where, for the metrics."""
        with self._changed:
            self._promote_due()
            return Depth(len(self._urgent), len(self._normal), len(self._delays), len(self._processing))

    def longest_lag(self) -> float:
        """For how many seconds the oldest ready key has been waiting; 0.0 when none is ready."""
        with self._changed:
            self._promote_due()
            since = min(itertools.chain(self._urgent.values(), self._normal.values()), default=None)
            return 0.0 if since is None else max(0.0, self._clock.monotonic() - since)

    # All below expect the lock to be held.

    def _add(self, key: str, urgent: bool) -> None:
        if self._is_shut_down:
            return
        self._delays.pop(key, None)
        if key in self._processing:
            self._dirty[key] = urgent or self._dirty.get(key, False)
        elif key not in self._dirty:
            self._make_ready(key, urgent)
        elif urgent and key in self._normal:
            self._urgent[key] = self._normal.pop(key)
            self._dirty[key] = True

    def _make_ready(self, key: str, urgent: bool) -> None:
        self._dirty[key] = urgent
        lane = self._urgent if urgent else self._normal
        lane[key] = self._clock.monotonic()
        self._changed.notify()

    def _add_after(self, key: str, delay: float, urgent: bool) -> None:
        if self._is_shut_down:
            return
        if delay <= 0:
            self._add(key, urgent)
            return
        due = self._clock.monotonic() + delay
        pending = self._delays.get(key)
        if pending is not None:
            urgent = urgent or pending.urgent
            due = min(due, pending.due)
        self._delays[key] = _Delay(due, urgent)
        if pending is None or due < pending.due:
            self._drop_outdated()
            heapq.heappush(self._heap, (due, next(self._sequence), key))
            if self._heap[0][0] == due:
                # Every sleeper has to learn of the earlier time: the one that is woken may be busy with another key
                # when it comes.
                self._changed.notify_all()

    def _drop_outdated(self) -> None:
        if len(self._heap) - len(self._delays) > max(_OUTDATED_ENTRIES, len(self._delays)):
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        due, _, key = entry
        return key in self._delays and self._delays[key].due == due

    def _next_due(self) -> float | None:
        while self._heap:
            if self._is_current(self._heap[0]):
                return self._heap[0][0]
            heapq.heappop(self._heap)
        return None

    def _promote_due(self) -> None:
        now = self._clock.monotonic()
        while True:
            due = self._next_due()
            if due is None or due > now or self._is_shut_down:
                return
            key = heapq.heappop(self._heap)[2]
            self._add(key, self._delays[key].urgent)
