"""Measures what containers use, for as long as somebody asks: one instance read after the other, in turn.

SaladCloud renews its numbers every minute and does not say when: some time between the last reading that showed others
and the first that shows them. Within these bounds a measurement is dated whole minutes after the one before, because a
rate is only as right as the time between two measurements. However many containers there are, reading takes at most 20
requests a minute, and 8 while logs are followed; nothing when nobody asks. One thread calls `step`; `usage` may be
called from any.
"""

from __future__ import annotations

import datetime
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound
from virtual_kubelet_salad.kubelet.provider_insight import Usage
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.models import Instance
from virtual_kubelet_salad.saladcloud.runs import SCHEME

log = logging.getLogger(__name__)

# metrics-server asks every 15 s, Prometheus every minute at the least.
WANTED_SECONDS = 150.0
# SaladCloud measures once in it.
PERIOD = datetime.timedelta(seconds=60)
# A third of it, and a half: the more seldom, the less is known of the moment.
LEAST_INTERVAL_SECONDS = 20.0
MOST_SECONDS_TO_SEE_A_CHANGE = 30.0
SECONDS_PER_READ = 3.0
# With 15 to 20 queries a minute for those who follow logs, just less than the 25 that come back each minute.
CONTENDED_SECONDS_PER_READ = 7.5
IDLE_SECONDS = 3600.0
# Numbers that stay the same for longer than a period are measured all the same.
STEADY = datetime.timedelta(seconds=90)
MEBIBYTE = 1024 * 1024
# SaladCloud counts whole seconds. Whoever has run has used some time, and metrics-server takes 0 for a measurement that
# failed: a pod that idles would never be seen.
LEAST_CPU_SECONDS = 0.001


@dataclass(slots=True)
class _Wanted:
    """One group that somebody asks about."""

    asked_at: float
    read_at: float | None = None
    """Whether there was an answer or not."""
    seen_at: datetime.datetime | None = None
    """The last answer."""
    failures: int = 0
    """Readings since then."""
    usage: Usage | None = None

    @property
    def has_rate(self) -> bool:
        """Whether it was measured twice."""
        return self.usage is not None and self.usage.cpu_cores is not None


class UsageSampler:
    """What the containers of one project use."""

    def __init__(self, client: SaladCloud, clock: Clock, is_contended: Callable[[], bool] = lambda: False) -> None:
        """`is_contended`: whether others need the same share of the budget now."""
        self._client = client
        self._clock = clock
        self._is_contended = is_contended
        self._lock = threading.Lock()
        self._wanted: dict[str, _Wanted] = {}
        self.wake: Callable[[], None] = lambda: None
        """Lets `step` be called now; set by whoever runs it."""

    def usage(self, name: str) -> Usage | None:
        """The last measurement; has the group measured for the next minutes."""
        now = self._clock.monotonic()
        with self._lock:
            wanted = self._wanted.get(name)
            is_first = not self._wanted
            if wanted is None:
                wanted = self._wanted[name] = _Wanted(now)
            wanted.asked_at = now
            usage = wanted.usage
        if is_first:
            self.wake()
        return usage

    def forget(self, name: str) -> None:
        """The group is gone."""
        with self._lock:
            self._wanted.pop(name, None)

    def step(self) -> float:
        """Reads one group; returns the seconds until the next step."""
        began = self._clock.monotonic()
        chosen, delay = self._next(began)
        if chosen is None:
            return delay
        name, wanted = chosen
        try:
            instances = self._client.list_instances(name, RequestClass.LOGS)
        except NoBudget as error:
            return max(error.retry_after or SECONDS_PER_READ, SECONDS_PER_READ)
        except (NotFound, CouldNotAsk) as error:
            log.debug("usage not read name=%s reason=%s", name, error)
            wanted.failures += 1
            if wanted.failures > 1 and _is_stale(wanted.usage, self._clock.now()):
                wanted.usage = None
        else:
            now = self._clock.now()
            wanted.usage = _usage(instances, wanted.usage, wanted.seen_at, now)
            wanted.seen_at, wanted.failures = now, 0
        wanted.read_at = began
        return max(0.0, began + self._seconds_per_read() - self._clock.monotonic())

    def _next(self, now: float) -> tuple[tuple[str, _Wanted] | None, float]:
        """The group that is due longest, if one is; else the seconds until then."""
        with self._lock:
            for name in [name for name, each in self._wanted.items() if now - each.asked_at > WANTED_SECONDS]:
                del self._wanted[name]
            if not self._wanted:
                return None, IDLE_SECONDS
            due = self._due()
            name = min(due, key=lambda each: due[each])
            wanted = self._wanted[name]
        return (None, due[name] - now) if due[name] > now else ((name, wanted), 0.0)

    def _due(self) -> dict[str, float]:
        """When each is to be read. The few that have no rate yet do not wait for all the others."""
        seconds = self._seconds_per_read()
        interval = interval_of_new = _interval(len(self._wanted) * seconds)
        if sum(not each.has_rate for each in self._wanted.values()) * seconds <= MOST_SECONDS_TO_SEE_A_CHANGE:
            interval_of_new = min(interval, PERIOD.total_seconds())
        return {
            name: -math.inf if each.read_at is None else each.read_at + (interval if each.has_rate else interval_of_new)
            for name, each in self._wanted.items()
        }

    def _seconds_per_read(self) -> float:
        return CONTENDED_SECONDS_PER_READ if self._is_contended() else SECONDS_PER_READ


def _interval(turn_seconds: float) -> float:
    """Seconds between two readings of one container, when reading all of them takes so long. Often enough to see when
    its numbers change; or whole periods, so that as many have passed between two measurements as between the readings.
    """
    if turn_seconds <= MOST_SECONDS_TO_SEE_A_CHANGE:
        return max(turn_seconds, LEAST_INTERVAL_SECONDS)
    period = PERIOD.total_seconds()
    return math.ceil(turn_seconds / period) * period


def _usage(
    instances: tuple[Instance, ...], before: Usage | None, seen_at: datetime.datetime | None, now: datetime.datetime
) -> Usage | None:
    running = next((each for each in instances if each.state == "running"), None)
    if running is None or (running.cpu_seconds is None and running.memory_in_mib is None):
        # In the first minute of a run; or between two runs: what is known of the one before stays for a while.
        return None if running is not None or _is_stale(before, now) else before
    container_id = SCHEME + running.id
    cpu_seconds = None if running.cpu_seconds is None else max(running.cpu_seconds, LEAST_CPU_SECONDS)
    memory = None if running.memory_in_mib is None else int(running.memory_in_mib * MEBIBYTE)
    if before is None or before.container_id != container_id:
        return Usage(container_id, _middle(seen_at, now), cpu_seconds, None, memory)
    if (before.cpu_seconds, before.memory_bytes) != (cpu_seconds, memory):
        measured_at = _after(before, seen_at, now)
    elif now - before.measured_at >= STEADY:
        measured_at = before.measured_at + (now - before.measured_at) // PERIOD * PERIOD
    else:
        return before
    return Usage(container_id, measured_at, cpu_seconds, _rate(before, cpu_seconds, measured_at), memory)


def _is_stale(usage: Usage | None, now: datetime.datetime) -> bool:
    return usage is None or now - usage.measured_at > 2 * STEADY


def _earliest(seen_at: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
    """When numbers that are new now were measured at the earliest."""
    return now - PERIOD if seen_at is None else max(now - PERIOD, seen_at)


def _middle(seen_at: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
    earliest = _earliest(seen_at, now)
    return earliest + (now - earliest) / 2


def _after(before: Usage, seen_at: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
    """Whole periods after the measurement before, or as much as lies between the readings when those are whole periods;
    within what is possible.
    """
    if seen_at is not None and now - seen_at >= PERIOD:
        passed = now - seen_at
    else:
        passed = max(1, round((_middle(seen_at, now) - before.measured_at) / PERIOD)) * PERIOD
    return min(max(before.measured_at + passed, _earliest(seen_at, now)), now)


def _rate(before: Usage, cpu_seconds: float | None, measured_at: datetime.datetime) -> float | None:
    length = (measured_at - before.measured_at).total_seconds()
    if before.cpu_seconds is None or cpu_seconds is None or cpu_seconds < before.cpu_seconds or length <= 0.0:
        return None
    return (cpu_seconds - before.cpu_seconds) / length
