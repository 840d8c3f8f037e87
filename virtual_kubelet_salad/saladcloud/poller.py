"""Lists the container groups regularly and wakes the pods whose groups have changed.

One request covers every pod as long as the list is complete. When SaladCloud shows only a part, the groups that are
followed and not in the list are asked for by name: first those that were woken or are not settled, then, slowly, all
others, within a share of the budget. One thread calls `step`; nothing else is called from outside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.runtime.trouble import Trouble
from virtual_kubelet_salad.saladcloud.catalog import Catalog
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.credit import Credit
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.followed import Followed
from virtual_kubelet_salad.saladcloud.groups import GroupCache, by_state
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.reachability import Watch

log = logging.getLogger(__name__)

STANDBY_SECONDS = 1.0
LEAST_PAUSE_SECONDS = 0.5
# So many groups are asked for by name in one step at most, so that a step ends well within its bound.
READS_PER_STEP = 10


class Gauges(Protocol):
    """What the poller reports; `metrics.Metrics` has these."""

    def groups_by_state(self, groups: Mapping[str, int]) -> None: ...

    def dollars_per_hour(self, dollars: float) -> None: ...


class Poller:
    """Keeps `cache` up to date."""

    def __init__(
        self,
        client: SaladCloud,
        cache: GroupCache,
        followed: Followed,
        explanations: Explanations,
        catalog: Catalog,
        credit: Credit,
        watch: Watch,
        gauges: Gauges,
        clock: Clock,
        wake: Callable[[Group], None],
        interval_seconds: float,
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        """`wake` is told every group of ours that is new, changed or gone."""
        self._client = client
        self._cache = cache
        self._followed = followed
        self._explanations = explanations
        self._catalog = catalog
        self._credit = credit
        self._watch = watch
        self._gauges = gauges
        self._clock = clock
        self._wake = wake
        self._interval_seconds = interval_seconds
        self._is_active = is_active
        self._started: frozenset[str] = frozenset()
        self._list_trouble = Trouble(clock, log, "container groups not listed")
        self._read_trouble = Trouble(clock, log, "container groups that the list does not show are not read")

    def step(self) -> float:
        """Lists once; returns the seconds until the next."""
        if not self._is_active():
            return STANDBY_SECONDS
        begun = self._clock.monotonic()
        try:
            items = self._client.list_groups()
        except CouldNotAsk as error:
            self._watch.failed(error)
            if not isinstance(error, NoBudget):
                self._list_trouble.failed(error)
            # A rate limit says when to come back; that is no reason to stay away for longer than an interval.
            return min(max(error.retry_after or self._interval_seconds, LEAST_PAUSE_SECONDS), self._interval_seconds)
        self._list_trouble.over()
        self._watch.succeeded()
        changed = self._cache.put_list(items, begun)
        self._report(self._cache.ours())
        for group in changed:
            self._wake(group)
        snapshot = self._cache.snapshot()
        if snapshot is not None and snapshot.is_complete:
            self._explanations.keep_only(self._names_that_matter())
        else:
            self._read_unlisted()
        return max(LEAST_PAUSE_SECONDS, self._interval_seconds - (self._clock.monotonic() - begun))

    def _names_that_matter(self) -> set[str]:
        return {group.name for group in self._cache.ours()} | self._followed.names()

    def _report(self, ours: Sequence[Group]) -> None:
        self._credit.stopped(sum(group.status == "stopped" and group.name in self._started for group in ours))
        self._started = frozenset(group.name for group in ours if group.status in ("deploying", "running"))
        self._gauges.groups_by_state(by_state(ours))
        self._gauges.dollars_per_hour(self._catalog.dollars_per_hour(ours))

    def _read_unlisted(self) -> None:
        due = self._followed.due(self._cache.asked_at, self._cache.is_listed, self._clock.monotonic())
        for name in due[:READS_PER_STEP]:
            begun = self._clock.monotonic()
            before = self._cache.get(name)
            try:
                changed = self._cache.put(self._client.get_group(name, RequestClass.SWEEP), begun)
            except NotFound:
                # What that means is for the pod to find out, by asking itself.
                self._cache.put_gone(name, begun)
                changed = before
            except NoBudget:
                return
            except CouldNotAsk as error:
                self._read_trouble.failed(error)
                return
            self._read_trouble.over()
            self._followed.read(name)
            if changed is not None:
                self._wake(changed)
