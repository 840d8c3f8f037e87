"""Measures what containers use, for as long as somebody asks: one instance read after the other, in turn.

SaladCloud renews its numbers about every minute and does not say when, so a measurement is dated by the first reading
that shows it: a rate between two measurements is then right on average. However many containers there are, reading
takes at most 20 requests a minute, and 10 while logs are followed; nothing when nobody asks. One thread calls `step`;
`usage` may be called from any.
"""

from __future__ import annotations

import datetime
import logging
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
# A third of the minute in which the numbers stay the same.
LEAST_INTERVAL_SECONDS = 20.0
SECONDS_PER_READ = 3.0
CONTENDED_SECONDS_PER_READ = 6.0
IDLE_SECONDS = 3600.0
# Numbers that stay the same for longer than SaladCloud's minute are measured all the same.
STEADY = datetime.timedelta(seconds=90)
MEBIBYTE = 1024 * 1024


@dataclass(slots=True)
class _Wanted:
    """One group that somebody asks about."""

    asked_at: float
    read_at: float | None = None
    usage: Usage | None = None


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
        now = self._clock.monotonic()
        chosen, delay = self._next(now)
        if chosen is None:
            return delay
        name, wanted = chosen
        try:
            instances = self._client.list_instances(name, RequestClass.LOGS)
        except NoBudget as error:
            return max(error.retry_after or SECONDS_PER_READ, SECONDS_PER_READ)
        except (NotFound, CouldNotAsk) as error:
            log.debug("usage not read name=%s reason=%s", name, error)
            instances = ()
        wanted.read_at = self._clock.monotonic()
        wanted.usage = _usage(instances, wanted.usage, self._clock.now())
        return CONTENDED_SECONDS_PER_READ if self._is_contended() else SECONDS_PER_READ

    def _next(self, now: float) -> tuple[tuple[str, _Wanted] | None, float]:
        """The group that was read longest ago, if it is due; else the seconds until one is."""
        with self._lock:
            for name in [name for name, each in self._wanted.items() if now - each.asked_at > WANTED_SECONDS]:
                del self._wanted[name]
            if not self._wanted:
                return None, IDLE_SECONDS
            name, wanted = min(self._wanted.items(), key=lambda item: item[1].read_at or 0.0)
        due = 0.0 if wanted.read_at is None else wanted.read_at + LEAST_INTERVAL_SECONDS - now
        return (None, due) if due > 0.0 else ((name, wanted), 0.0)


def _usage(instances: tuple[Instance, ...], before: Usage | None, now: datetime.datetime) -> Usage | None:
    running = next((each for each in instances if each.state == "running"), None)
    if running is None or (running.cpu_seconds is None and running.memory_in_mib is None):
        # Between two runs, or in the first minute of one; or it could not be read: what is known stays for a while.
        is_stale = before is None or now - before.measured_at > 2 * STEADY
        return None if is_stale or running is not None else before
    container_id = SCHEME + running.id
    memory = None if running.memory_in_mib is None else int(running.memory_in_mib * MEBIBYTE)
    cores = None
    if before is not None and before.container_id == container_id:
        is_same = (before.cpu_seconds, before.memory_bytes) == (running.cpu_seconds, memory)
        if is_same and now - before.measured_at < STEADY:
            return before
        cores = _rate(before, running.cpu_seconds, now)
    return Usage(container_id, now, running.cpu_seconds, cores, memory)


def _rate(before: Usage, cpu_seconds: float | None, now: datetime.datetime) -> float | None:
    length = (now - before.measured_at).total_seconds()
    if before.cpu_seconds is None or cpu_seconds is None or cpu_seconds < before.cpu_seconds or length <= 0.0:
        return None
    return (cpu_seconds - before.cpu_seconds) / length
