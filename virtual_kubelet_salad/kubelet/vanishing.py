"""Notices when many workloads vanish at once, before one of their pods is failed for it.

A complete list is compared with the one before it; the first one of a process with the pods that an earlier process
left behind. What is missed by its name counts as well, for it may have come and gone between two looks. All that
vanishes within a minute is one event. Nobody is told that a workload has vanished before a list was judged that is
newer than its absence. A list that shows only a part says nothing about absence, nor about how many there are: then
what is missed is only counted. Safe to call from any thread; asks nothing.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping

from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.brake import ONE_EVENT_SECONDS, Brake
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Pod, Provider, Snapshot
from virtual_kubelet_salad.runtime.clock import Clock


class Verdict(enum.Enum):
    """Whether a workload that the cloud does not find may be taken for gone."""

    BELIEVED = "believed"
    NOT_JUDGED_YET = "no list is newer than its absence"
    HELD = "too many vanished at once"


class Vanishing:
    """Of one node."""

    def __init__(
        self,
        clock: Clock,
        cache: PodCache,
        provider: Provider,
        claims: Claims,
        brake: Brake,
    ) -> None:
        self._clock = clock
        self._cache = cache
        self._provider = provider
        self._claims = claims
        self._brake = brake
        self._born = clock.now()
        self._lock = threading.Lock()
        self._number = 0
        # What the latest complete list showed, and parts since; None before the first.
        self._present: frozenset[str] | None = None
        # Name -> when it vanished from the complete lists; when it was last missed by its name.
        self._vanished: dict[str, float] = {}
        self._missed: dict[str, float] = {}

    def look(self) -> None:
        """Judges the latest list, once."""
        snapshot = self._provider.snapshot()
        with self._lock:
            if snapshot is None or snapshot.number == self._number or not self._cache.has_synced.is_set():
                return
            self._number = snapshot.number
            names = frozenset(seen.name for seen in snapshot.sightings if self._claims.made(seen.name, seen.owner))
            before = self._present if self._present is not None else self._left_behind()
            self._present = names if snapshot.is_complete else before | names
            known = self._recent(self._vanished)
            gone = (before | known.keys()) - names if snapshot.is_complete else known.keys() - names
            wanted = self._wanted() if gone or self._brake.remembers else frozenset()
            now = self._clock.monotonic()
            self._vanished = {name: known.get(name, now) for name in gone & wanted}
            vanished = frozenset(self._vanished)
            total = len(before | vanished)
        # What is there again was a false alarm, and the next one is held as well.
        self._brake.came_back(names & wanted)
        if vanished:
            self._examine(vanished, total)

    def missed(self, name: str) -> None:
        """The cloud says that the workload of a pod, which was there, does not exist."""
        with self._lock:
            self._missed[name] = self._clock.monotonic()

    def found(self, name: str) -> None:
        """It is there after all."""
        with self._lock:
            self._missed.pop(name, None)
            self._vanished.pop(name, None)
        self._brake.came_back(frozenset({name}))

    def judge(self, name: str, missed_since: float) -> Verdict:
        """Whether `name`, which the cloud has not found since that monotonic time, is gone."""
        snapshot = self._provider.snapshot()
        if snapshot is None or snapshot.taken_at <= missed_since:
            return Verdict.NOT_JUDGED_YET
        self.look()
        self._judge_misses(snapshot)
        return Verdict.HELD if self._brake.is_engaged() else Verdict.BELIEVED

    def _judge_misses(self, snapshot: Snapshot) -> None:
        listed = {sighting.name for sighting in snapshot.sightings}
        with self._lock:
            self._missed = self._recent(self._missed)
            vanished = frozenset(self._missed.keys() - listed) | self._vanished.keys()
            total = len(vanished | (self._present or frozenset())) if snapshot.is_complete else len(vanished)
        self._examine(vanished, total)

    def _recent(self, times: Mapping[str, float]) -> dict[str, float]:
        now = self._clock.monotonic()
        return {name: at for name, at in times.items() if now - at <= ONE_EVENT_SECONDS}

    def _examine(self, names: frozenset[str], total: int) -> None:
        self._brake.examine(names, total, f"{self._provider.identity.workload_noun}s vanished")

    def _left_behind(self) -> frozenset[str]:
        """The workloads that an earlier process saw running."""
        claims = [self._claims.read(pod) for pod in self._cache.all() if pods.was_seen(pod) and self._is_older(pod)]
        # Of the others nobody knows here what their names are, or whether they are there.
        return frozenset(claim.name for claim in claims if not claim.is_elsewhere and not claim.is_doubtful)

    def _is_older(self, pod: Pod) -> bool:
        started = pods.parse_time(pods.status(pod).get("startTime"))
        return started is not None and started < self._born

    def _wanted(self) -> frozenset[str]:
        """The workloads of pods that should run."""
        return frozenset(
            self._claims.read(pod).name
            for pod in self._cache.all()
            if not pods.is_terminating(pod) and not pods.is_finished(pod) and not pods.is_image_failed(pod)
        )
