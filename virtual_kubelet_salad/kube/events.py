"""Posts Kubernetes Events about pods and the node, without ever making the caller wait.

`event()` only notes. `step()`, on a thread of its own, posts. The same event about the same object is posted once and
then counted up (count and lastTimestamp), also while it still waits to be posted.

Does not guarantee delivery: Events are for people. When the API server cannot be asked they wait, at most
`_MAX_WAITING` of them and each for at most ten minutes; what is lost is counted in `dropped`. Events of core/v1,
because its times do not need the six digits of a MicroTime and every kubectl shows them.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

# The API server's own limits.
_MAX_MESSAGE_BYTES = 1024
_MAX_REASON_CHARACTERS = 128
_MAX_NAME_CHARACTERS = 253

# Some 2 MB at worst; a cluster that says more than this while the API server is away says nothing new.
_MAX_WAITING = 1_000
# How many posted events are remembered to be counted up.
_MAX_REMEMBERED = 4_096
# The API server keeps events for an hour; what is posted much later than it happened misleads.
_MAX_WAIT_SECONDS = 600.0
# The API server drops an event after an hour, so a counter older than this is begun anew.
_REMEMBERED_SECONDS = 3_000.0

_POSTS_PER_STEP = 5
# How late an event may be posted when none is waiting; people read them, and a look costs nothing.
_IDLE_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0

# Where Events about objects without a namespace live.
_CLUSTER_NAMESPACE = "default"

Object = dict[str, Any]


class Api(Protocol):
    """What is needed of `kube.client.ApiServer`."""

    def create_event(self, namespace: str, event: Object) -> Object: ...

    def patch_event(self, namespace: str, name: str, patch: Object) -> Object: ...


class _Key(NamedTuple):
    """Events that agree in all of this are one event that happened several times."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str


@dataclasses.dataclass(slots=True)
class _Waiting:
    """An event to be posted: when it happened, how often, and since when it waits (monotonic)."""

    first: datetime.datetime
    last: datetime.datetime
    count: int
    since: float


@dataclasses.dataclass(slots=True)
class _Posted:
    """An event that the API server has, or (after an answer got lost) may have."""

    name: str
    first: datetime.datetime
    count: int
    at: float
    is_certain: bool


class EventRecorder:
    """`component` and `host` tell who reports. `event()` may be called from any thread, `step()` from one."""

    def __init__(self, api: Api, clock: Clock, component: str, host: str) -> None:
        self._api = api
        self._clock = clock
        self._component = component
        self._host = host
        self._lock = threading.Lock()
        # In the order of arrival; guarded by the lock, as is the count of what was lost.
        self._waiting: OrderedDict[_Key, _Waiting] = OrderedDict()
        self._dropped = 0
        # Written by step() alone.
        self._posted_count = 0
        # Only step() touches these.
        self._posted: OrderedDict[_Key, _Posted] = OrderedDict()
        self._last_name_nanoseconds = 0
        self._pause_seconds = 0.0
        self._not_before = clock.monotonic()

    def event(self, regarding: Mapping[str, Any], type: str, reason: str, message: str) -> None:
        """Note an event about an object (as the API server sends it; without a kind it is a pod). Never waits.

        `type` is `Normal` or `Warning`, `reason` one CamelCase word. Reason and message are clipped to the API's
        limits.
        """
        key = _key(regarding, type, reason, message)
        now = self._clock.now()
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.count += 1
                waiting.last = now
            elif len(self._waiting) >= _MAX_WAITING:
                self._dropped += 1
            else:
                self._waiting[key] = _Waiting(now, now, 1, self._clock.monotonic())

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
            taken = self._take()
            if taken is None:
                return _IDLE_SECONDS
            try:
                self._post(*taken)
                self._posted_count += 1
            except errors.CouldNotAsk as error:
                self._put_back(*taken)
                return self._begin_pause(error)
            except errors.Error as error:
                # The namespace is going away, or a right is missing: asking again would change nothing.
                self._drop(taken[1].count)
                log.warning("event refused reason=%s kind=%s why=%s", taken[0].reason, taken[0].kind, error)
            self._pause_seconds = 0.0
        return 0.0

    # -- waiting

    def _take(self) -> tuple[_Key, _Waiting] | None:
        """The oldest waiting event that is still news."""
        with self._lock:
            while self._waiting:
                key, waiting = self._waiting.popitem(last=False)
                if self._clock.monotonic() - waiting.since <= _MAX_WAIT_SECONDS:
                    return key, waiting
                self._dropped += waiting.count
        return None

    def _put_back(self, key: _Key, failed: _Waiting) -> None:
        with self._lock:
            meanwhile = self._waiting.pop(key, None)
            if meanwhile is not None:
                failed.count += meanwhile.count
                failed.last = meanwhile.last
            self._waiting[key] = failed
            self._waiting.move_to_end(key, last=False)

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

    def _post(self, key: _Key, waiting: _Waiting) -> None:
        posted = self._remembered(key)
        if posted is not None and posted.is_certain and self._count_up(key, posted, waiting):
            return
        if posted is None or posted.is_certain:
            posted = _Posted(self._new_name(key), waiting.first, 0, self._clock.monotonic(), is_certain=False)
            self._remember(key, posted)
        event = self._body(key, posted, waiting)
        try:
            self._api.create_event(event["metadata"]["namespace"], event)
        except errors.Conflict:
            # No other writer uses this name: an earlier create of ours was applied, though its answer got lost.
            posted.is_certain = True
            self._count_up(key, posted, waiting)
        else:
            posted.count = waiting.count
            posted.is_certain = True

    def _count_up(self, key: _Key, posted: _Posted, waiting: _Waiting) -> bool:
        """Whether the event is still there to be counted up."""
        count = posted.count + waiting.count
        patch = {"count": count, "lastTimestamp": _format(waiting.last)}
        try:
            self._api.patch_event(key.namespace or _CLUSTER_NAMESPACE, posted.name, patch)
        except errors.NotFound:
            return False
        posted.count = count
        return True

    def _remembered(self, key: _Key) -> _Posted | None:
        posted = self._posted.get(key)
        if posted is None or self._clock.monotonic() - posted.at > _REMEMBERED_SECONDS:
            return None
        self._posted.move_to_end(key)
        return posted

    def _remember(self, key: _Key, posted: _Posted) -> None:
        self._posted[key] = posted
        self._posted.move_to_end(key)
        if len(self._posted) > _MAX_REMEMBERED:
            self._posted.popitem(last=False)

    def _new_name(self, key: _Key) -> str:
        """As client-go: the object's name and a time; ours only grows, so that no two events share a name."""
        nanoseconds = int(self._clock.now().timestamp() * 10**6) * 10**3
        self._last_name_nanoseconds = max(self._last_name_nanoseconds + 1, nanoseconds)
        suffix = f".{self._last_name_nanoseconds:x}"
        return key.name[: _MAX_NAME_CHARACTERS - len(suffix)].rstrip(".-") + suffix

    def _body(self, key: _Key, posted: _Posted, waiting: _Waiting) -> Object:
        regarding = {
            "apiVersion": key.api_version,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": key.uid,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": posted.name, "namespace": key.namespace or _CLUSTER_NAMESPACE},
            "involvedObject": {field: value for field, value in regarding.items() if value},
            "type": key.type,
            "reason": key.reason,
            "message": key.message,
            "source": {"component": self._component, "host": self._host},
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "firstTimestamp": _format(waiting.first),
            "lastTimestamp": _format(waiting.last),
            "count": waiting.count,
        }


def _key(regarding: Mapping[str, Any], type: str, reason: str, message: str) -> _Key:
    metadata = regarding.get("metadata") or {}
    return _Key(
        api_version=str(regarding.get("apiVersion") or "v1"),
        kind=str(regarding.get("kind") or "Pod"),  # Items of a list come without their kind.
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        type=type,
        reason=reason[:_MAX_REASON_CHARACTERS],
        message=_clipped(message),
    )


def _clipped(message: str) -> str:
    """At most as many bytes as the API takes, with a sign that something is missing."""
    encoded = message.encode("utf-8", errors="replace")
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: _MAX_MESSAGE_BYTES - len("…".encode())].decode(errors="ignore") + "…"


def _format(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
