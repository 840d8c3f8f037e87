"""Posts Kubernetes Events about pods and the node, without ever making the caller wait.

`event()` only notes. `step()`, on a thread of its own, posts. The same event about the same object is posted once and
then counted up (count and lastTimestamp), also while it still waits to be posted. Budgets bound what is written, for
each object and for all together: see `event_budget`.

Does not guarantee delivery: Events are for people. When the API server cannot be asked or a budget is spent they wait,
at most `_MAX_WAITING` of them and each for at most a quarter of an hour; what is lost is counted in `dropped`. What was
posted is forgotten with the process: an equal event is then posted anew. Events of core/v1, because its times do not
need the six digits of a MicroTime and every kubectl shows them.
"""

from __future__ import annotations

import dataclasses
import datetime
import heapq
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube import event_shapes
from virtual_kubelet_salad.kube.event_budget import NodeBudget, ObjectBudgets
from virtual_kubelet_salad.kube.event_shapes import Key, Object, key_of
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.trouble import Trouble

log = logging.getLogger(__name__)

# Some 10 MB at worst, mostly 2; a start of a thousand pods tells some 5,000.
_MAX_WAITING = 6_000
# How many posted events are remembered to be counted up.
_MAX_REMEMBERED = 4_096
# The API server keeps events for an hour; what is posted much later than it happened misleads.
_MAX_WAIT_SECONDS = 900.0
# For so long an event waits for its object's budget: a second one of the same object still fits in.
_MAX_HOLD_SECONDS = 600.0
# The API server drops an event an hour after its last write, so a counter older than this is begun anew.
_REMEMBERED_SECONDS = 3_000.0

_POSTS_PER_STEP = 5
# How often the budgets of objects are looked at; a new event wakes the loop.
_IDLE_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


class Api(Protocol):
    """What is needed of `kube.client.ApiServer`."""

    def create_event(self, namespace: str, event: Object) -> Object: ...

    def patch_event(self, namespace: str, name: str, patch: Object) -> Object: ...


@dataclasses.dataclass(slots=True)
class _Waiting:
    """An event to be posted: when it happened, how often, and since when it waits (monotonic)."""

    first: datetime.datetime
    last: datetime.datetime
    count: int
    since: float
    due: float
    """Monotonic: its object's budget lets it go from then on."""


@dataclasses.dataclass(slots=True)
class _Posted:
    """An event that the API server has, or (after an answer got lost) may have."""

    name: str
    count: int
    at: float
    """Monotonic: when it was last written."""
    is_certain: bool


class EventRecorder:
    """`component` and `host` tell who reports. `event()` may be called from any thread, `step()` from one."""

    def __init__(self, api: Api, clock: Clock, component: str, host: str) -> None:
        self._api = api
        self._clock = clock
        self._component = component
        self._host = host
        self._lock = threading.Lock()
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something new to post, on the thread that told it; must not wait."""
        # Guarded by the lock, as are the budgets of the objects and the count of what was lost.
        self._waiting: dict[Key, _Waiting] = {}
        # The waiting events by the time from which they may go, then by their arrival.
        self._order: list[tuple[float, int, Key]] = []
        self._arrivals = 0
        self._budgets = ObjectBudgets()
        self._dropped = 0
        # UIDs of objects that have gone; guarded by the lock.
        self._gone: set[str] = set()
        # Written by step() alone.
        self._posted_count = 0
        # Only step() touches these.
        self._posted: OrderedDict[Key, _Posted] = OrderedDict()
        self._pace = NodeBudget()
        self._last_name_nanoseconds = 0
        self._pause_seconds = 0.0
        self._not_before = clock.monotonic()
        # Never over: what is posted elsewhere does not end the refusals of a namespace that is going away.
        self._refusals = Trouble(clock, log, "event refused")

    def event(self, regarding: Mapping[str, Any], type: str, reason: str, message: str) -> None:
        """Note an event about an object (as the API server sends it; without a kind it is a pod). Never waits.

        `type` is `Normal` or `Warning`, `reason` one CamelCase word. Reason and message are clipped to the API's
        limits.
        """
        key = key_of(regarding, type, reason, message)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.count += 1
                waiting.last = now
                return
            due = None
            if len(self._waiting) < _MAX_WAITING:
                due = self._budgets.reserve(f"{key.kind}/{key.uid}", monotonic, _MAX_HOLD_SECONDS)
            if due is None:
                self._dropped += 1
                return
            self._enqueue(key, _Waiting(now, now, 1, monotonic, due))
        self.wake()

    def forget(self, uid: str) -> None:
        """The object of that UID has gone: nothing more will happen to it that could be counted up. Never waits."""
        with self._lock:
            self._gone.add(uid)

    @property
    def posted(self) -> int:
        """How many Events were written to the API server, repetitions included."""
        return self._posted_count

    @property
    def dropped(self) -> int:
        """How many occurrences were never posted."""
        with self._lock:
            return self._dropped

    @property
    def pending(self) -> int:
        """How many different events wait to be posted."""
        with self._lock:
            return len(self._waiting)

    def step(self) -> float:
        """Post a few waiting events. Returns the seconds until there is more to do."""
        pause = self._not_before - self._clock.monotonic()
        if pause > 0:
            return pause
        for _ in range(_POSTS_PER_STEP):
            wait = self._pace.seconds_until_next(self._clock.monotonic())
            if wait > 0.0:
                return wait
            taken = self._take()
            if taken is None:
                self._forget_gone()
                return _IDLE_SECONDS
            self._pace.spend(self._clock.monotonic())
            try:
                self._post(*taken)
                self._posted_count += 1
            except errors.CouldNotAsk as error:
                self._put_back(*taken)
                return self._begin_pause(error)
            except errors.Error as error:
                # The namespace is going away, or a right is missing: asking again would change nothing.
                self._drop(taken[1].count)
                self._refusals.failed(error)
            self._pause_seconds = 0.0
        return 0.0

    # -- waiting

    def _enqueue(self, key: Key, waiting: _Waiting) -> None:
        self._waiting[key] = waiting
        self._arrivals += 1
        heapq.heappush(self._order, (waiting.due, self._arrivals, key))

    def _take(self) -> tuple[Key, _Waiting] | None:
        """The event that has been due for longest and is still news."""
        now = self._clock.monotonic()
        with self._lock:
            while self._order and self._order[0][0] <= now:
                key = heapq.heappop(self._order)[2]
                waiting = self._waiting.pop(key)
                if now - waiting.since <= _MAX_WAIT_SECONDS:
                    return key, waiting
                self._dropped += waiting.count
        return None

    def _put_back(self, key: Key, failed: _Waiting) -> None:
        """It goes before all others, with what has been told of it meanwhile."""
        with self._lock:
            meanwhile = self._waiting.pop(key, None)
            if meanwhile is not None:
                failed.count += meanwhile.count
                failed.last = meanwhile.last
                self._order = [entry for entry in self._order if entry[2] != key]
                heapq.heapify(self._order)
            self._enqueue(key, failed)

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def _begin_pause(self, error: errors.CouldNotAsk) -> float:
        self._pause_seconds = min(max(_FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), _LONGEST_PAUSE_SECONDS)
        pause = max(self._pause_seconds, error.retry_after or 0.0)
        self._not_before = self._clock.monotonic() + pause
        log.info("events wait pending=%s seconds=%s why=%s", self.pending, pause, error)
        return pause

    # -- posting

    def _post(self, key: Key, waiting: _Waiting) -> None:
        posted = self._remembered(key)
        if posted is not None and posted.is_certain and self._count_up(key, posted, waiting):
            return
        if posted is None or posted.is_certain:
            posted = _Posted(self._new_name(key), 0, self._clock.monotonic(), is_certain=False)
            self._remember(key, posted)
        event = event_shapes.body(
            key,
            posted.name,
            component=self._component,
            host=self._host,
            first=waiting.first,
            last=waiting.last,
            count=waiting.count,
        )
        try:
            self._api.create_event(key.event_namespace, event)
        except errors.Conflict:
            # No other writer uses this name: an earlier create of ours was applied, though its answer got lost.
            posted.is_certain = True
            self._count_up(key, posted, waiting)
        else:
            posted.count = waiting.count
            posted.is_certain = True

    def _count_up(self, key: Key, posted: _Posted, waiting: _Waiting) -> bool:
        """Whether the event is still there to be counted up."""
        count = posted.count + waiting.count
        try:
            self._api.patch_event(key.event_namespace, posted.name, event_shapes.patch(waiting.last, count))
        except errors.NotFound:
            return False
        posted.count, posted.at = count, self._clock.monotonic()
        return True

    def _remembered(self, key: Key) -> _Posted | None:
        posted = self._posted.get(key)
        if posted is None or self._clock.monotonic() - posted.at > _REMEMBERED_SECONDS:
            return None
        self._posted.move_to_end(key)
        return posted

    def _remember(self, key: Key, posted: _Posted) -> None:
        self._posted[key] = posted
        self._posted.move_to_end(key)
        too_old = posted.at - _REMEMBERED_SECONDS
        while len(self._posted) > _MAX_REMEMBERED or next(iter(self._posted.values())).at < too_old:
            self._posted.popitem(last=False)

    def _forget_gone(self) -> None:
        """Nothing is due: what was said about the objects that have gone is posted."""
        with self._lock:
            gone, self._gone = self._gone, set()
        if gone:
            self._posted = OrderedDict((key, posted) for key, posted in self._posted.items() if key.uid not in gone)

    def _new_name(self, key: Key) -> str:
        """The time in it only grows, so that no two events share a name."""
        nanoseconds = int(self._clock.now().timestamp() * 10**6) * 10**3
        self._last_name_nanoseconds = max(self._last_name_nanoseconds + 1, nanoseconds)
        return event_shapes.name_of(key, self._last_name_nanoseconds)
