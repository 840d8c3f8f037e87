"""One simulated daemon process: the daemon's real objects, whose steps are taken when they are due.

The informer is stood for by `watch`: it brings what the API server's model has to tell, unless the line is cut or the
connection is silently dead, which is noticed after as long as the real one needs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from tests.simulated.lines import ApiLine, CloudLine
from tests.support.clock import FakeClock, WrongClock
from tests.support.cloud_transport import CloudSettings
from virtual_kubelet_salad import daemon, errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kube.leader import LeaderElector
from virtual_kubelet_salad.kubelet.node import NodeSettings, Taint
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.saladcloud.provider import assemble
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel

TAINT = Taint("virtual-kubelet.io/provider", "saladcloud", "NoSchedule")
# A watch that is silently dead is noticed within this time.
DEAD_WATCH_SECONDS = 65.0
MOST_RECONCILES_AT_ONCE = 10_000


class Process:
    """Runs from its construction on; the world forgets it to kill it."""

    def __init__(
        self,
        clock: FakeClock,
        cluster: ApiServerModel,
        cloud: SaladCloudModel,
        *,
        node: str = "virtual",
        cluster_id: str = "cluster",
        replica: str = "",
        key: str = "our-key",
        operator: CloudSettings | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        """`replica`: the identity in an election; empty: there is none. `settings` are those of the kubelet."""
        self.node, self.cluster_id = node, cluster_id
        self.clock = clock
        self.machine = WrongClock(clock, 0.0)
        self.api_line, self.cloud_line = ApiLine(cluster), CloudLine(cloud, clock, key)
        self.is_frozen = False
        self.lost_leadership = ""
        self.watch = _PodWatch(cluster, self.api_line, clock, node)
        jitter = random.Random(seed)
        self.elector = self._new_elector(replica, jitter) if replica else None
        options = operator or CloudSettings(nodename=node)
        self.budget = Budget(self.machine, options.sce_rate_limit or 0, follows_another=True)
        self.metrics = Metrics.in_new_registry()
        api = ApiServer(self.api_line, clock=self.machine, before_write=self._check_leadership)
        provider = assemble(
            self.cloud_line, self.budget, options, cluster_id, self.machine, self.metrics,
            before_write=self._check_leadership, is_active=self.is_active,
        )  # fmt: skip
        self.daemon = daemon.build(
            daemon.Settings(
                NodeSettings(node, "192.0.2.7", 10250, TAINT, "v1.36.3"), cluster_id, workers=1, **settings
            ),
            api=api,
            lease_api=api,
            provider=provider,
            recorder=EventRecorder(api, self.machine, "virtual-kubelet-salad", node),
            clock=self.machine,
            metrics=self.metrics,
            is_active=self.is_active,
            jitter=jitter,
        )
        self.watch.cache = self.daemon.cache
        now = clock.monotonic()
        self._due: dict[Loop, float] = {loop: now for loop in self.daemon.loops if not loop.name.startswith("worker")}
        self._election_due = now if self.elector is not None else math.inf
        self._watch_due = now

    def is_active(self) -> bool:
        return self.elector is None or self.elector.is_leader()

    def work(self) -> None:
        """Takes every step that is due."""
        if self.is_frozen or self.lost_leadership:
            return
        now = self.clock.monotonic()
        if self._election_due <= now and self.elector is not None:
            self._election_due = now + self.elector.step()
        if self._watch_due <= now:
            self._watch_due = now + self.watch.step()
        for loop, due in self._due.items():
            if due <= self.clock.monotonic() or loop._woken.is_set():
                loop._woken.clear()
                self._due[loop] = self.clock.monotonic() + (loop.step() or 0.0)
        for _ in range(MOST_RECONCILES_AT_ONCE):
            self.watch.deliver()
            if not (self.is_active() and self.daemon.cache.has_synced.is_set()) or self.daemon.worker.step() != 0.0:
                return
        raise AssertionError("the workers never come to rest")

    def next_due(self) -> float:
        """Monotonic time of the next step."""
        if self.is_frozen or self.lost_leadership:
            return math.inf
        of_queue = self.daemon.queue.next_due() if self.is_active() else None
        return min(self._election_due, self._watch_due, *self._due.values(), math.inf if of_queue is None else of_queue)

    def stop(self) -> None:
        """SIGTERM, as far as others notice it."""
        self.daemon.queue.shut_down()
        if self.elector is not None:
            self.elector.release()

    def loop(self, name: str) -> Callable[[], float | None]:
        """The step of the loop of that name."""
        return next(loop.step for loop in self.daemon.loops if loop.name == name)

    def _new_elector(self, identity: str, jitter: random.Random) -> LeaderElector:
        def lose(reason: str) -> None:
            self.lost_leadership = reason

        return LeaderElector(
            ApiServer(self.api_line, clock=self.machine),
            self.machine,
            namespace="kube-system",
            name=f"virtual-kubelet-salad-{self.node}",
            identity=identity,
            on_gained=lambda: None,
            on_lost=lose,
            jitter=jitter,
        )

    def _check_leadership(self) -> None:
        if not self.is_active():
            raise errors.NotLeader("another replica leads")


class _PodWatch:
    """Brings pods into the cache as the informer does, without its pacing."""

    def __init__(self, model: ApiServerModel, line: ApiLine, clock: FakeClock, node: str) -> None:
        self.cache: Any = None
        self._model = model
        self._line = line
        self._clock = clock
        self._selector = f"spec.nodeName={node}"
        self._version: int | None = None
        self._dead_until = -math.inf
        self._retry_at = -math.inf

    def die_silently(self) -> None:
        """The connection stays and brings nothing any more."""
        self._dead_until = self._clock.monotonic() + DEAD_WATCH_SECONDS

    def step(self) -> float:
        """A look at a quiet time; returns the seconds until the next."""
        self.deliver()
        return 1.0

    def deliver(self) -> None:
        now = self._clock.monotonic()
        if now < self._dead_until or now < self._retry_at:
            return
        if self._line.is_cut:
            self._retry_at = now + 1.0
            return
        if self._version is None:
            self._list()
            return
        version = self._model.version
        if version == self._version:
            self.cache.mark_fresh()
            return
        events = self._model.events_after("pods", self._version, field_selector=self._selector)
        if events and events[0]["type"] == "ERROR":
            self._list()
            return
        self._version = version
        for event in events:
            self.cache.apply(event["type"], event["object"])
        self.cache.mark_fresh()

    def _list(self) -> None:
        answer = self._model.handle("GET", "/api/v1/pods", {"fieldSelector": self._selector})
        listed = {pod["metadata"]["uid"] for pod in answer.body["items"]}
        for known in self.cache.all():
            if known["metadata"]["uid"] not in listed:
                self.cache.apply("DELETED", dict(known))
        for pod in answer.body["items"]:
            self.cache.apply("MODIFIED", pod)
        self._version = int(answer.body["metadata"]["resourceVersion"])
        self.cache.mark_fresh()
        self.cache.has_synced.set()
