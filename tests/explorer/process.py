"""One daemon process: the daemon's real objects, on lines that the world can cut. It dies when it is forgotten."""

from __future__ import annotations

import collections
import datetime
import functools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.explorer.rules import defect_of
from tests.explorer.watching import PodWatch
from tests.explorer.wires import ApiWire, CloudWire
from tests.support.cloud_transport import CloudSettings
from virtual_kubelet_salad import daemon, errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kube.leader import LeaderElector
from virtual_kubelet_salad.kubelet.heartbeat import LEASE_NAMESPACE
from virtual_kubelet_salad.kubelet.node import NodeSettings, Taint
from virtual_kubelet_salad.kubelet.result import Result
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.saladcloud.provider import assemble

if TYPE_CHECKING:
    from tests.explorer.world import World

ORGANIZATION = "sandbox"
CLUSTER = "cluster"
RATE_LIMIT = 240
CATCH_UP_OVERLAP = datetime.timedelta(minutes=3)
WORKER = "worker 0"


class ProcessClock:
    """The machine's clock: intervals are right, the time of day may be wrong."""

    def __init__(self, base: Clock, error_seconds: float) -> None:
        self.error_seconds = error_seconds
        self.monotonic = base.monotonic
        self._base = base

    def now(self) -> datetime.datetime:
        return self._base.now() + datetime.timedelta(seconds=self.error_seconds)


class Process:
    """A new process knows nothing of the one before it."""

    def __init__(self, world: World, node: str, project: str) -> None:
        world.boots += 1
        self.number = world.boots
        self.world = world
        self.node = node
        self.project = project
        self.groups_path = f"/organizations/{ORGANIZATION}/projects/{project}/containers"
        self.location_prefix = f"{ORGANIZATION}/{project}/"
        self.calls: collections.deque[float] = collections.deque()
        """When this process has asked SaladCloud (monotonic)."""
        self.silent_until = float("-inf")
        """Until when SaladCloud has asked this process to be silent (monotonic)."""
        self.frozen_until = float("-inf")
        self.api_is_out_of_reach_until = self.cloud_is_out_of_reach_until = float("-inf")
        """Until when this process alone reaches nothing there (monotonic)."""
        self.is_lost = False
        """It has led, and leads no more: it will end."""
        layout, jitter = world.layout, random.Random(world.seed * 1_000 + self.number)
        error = layout.clock_error_seconds
        self.clock = ProcessClock(world.clock, world.rng.uniform(-error, error) if error else 0.0)
        wire = ApiWire(self)
        self._elector = self._new_elector(ApiServer(wire, clock=self.clock), jitter) if layout.replicas > 1 else None
        guard = self._check_leadership
        api = ApiServer(wire, clock=self.clock, before_write=guard)
        settings = CloudSettings(nodename=node, sce_project_name=project, salad_list_limit=layout.list_limit)
        provider = assemble(
            CloudWire(self),
            Budget(self.clock, RATE_LIMIT, follows_another=True),
            settings,
            CLUSTER,
            self.clock,
            _metrics(),
            before_write=guard,
            is_active=self.is_active,
            since=self._last_sign_of_life(),
        )
        taint = Taint("virtual-kubelet.io/provider", "saladcloud", "NoSchedule")
        self.daemon = daemon.build(
            daemon.Settings(NodeSettings(node, "192.0.2.7", 10250, taint, "v1.36.3"), CLUSTER, workers=1),
            api=api,
            lease_api=api,
            provider=provider,
            recorder=EventRecorder(api, self.clock, "virtual-kubelet-salad", node),
            clock=self.clock,
            metrics=_metrics(),
            is_active=self.is_active,
            jitter=jitter,
        )
        # A worker would log it and try again; here it must not stay unseen.
        self.daemon.worker._reconcile = _revealing(self.daemon.pod_sync.reconcile)
        self.watch = PodWatch(self)
        self.loops: dict[str, Callable[[], float | None]] = {loop.name: loop.step for loop in self.daemon.loops}
        self.work = self.loops.pop(WORKER)
        self.loop_names = sorted(self.loops)

    # -- leadership ---------------------------------------------------------------------------------------------------

    def is_active(self) -> bool:
        return self._elector is None or self._elector.is_leader()

    @property
    def has_elector(self) -> bool:
        return self._elector is not None

    def elect(self) -> float:
        """One step of the elector's thread."""
        assert self._elector is not None
        return self._elector.step()

    def stop(self) -> None:
        """SIGTERM, as far as others notice it."""
        self.daemon.queue.shut_down()
        if self._elector is not None:
            self._elector.release()

    def _new_elector(self, api: ApiServer, jitter: random.Random) -> LeaderElector:
        def lose(reason: str) -> None:
            self.is_lost = True

        return LeaderElector(
            api,
            self.clock,
            namespace="kube-system",
            name=f"virtual-kubelet-salad-{self.node}",
            identity=f"{self.node}-{self.number}",
            on_gained=lambda: None,
            on_lost=lose,
            jitter=jitter,
        )

    def _check_leadership(self) -> None:
        if not self.is_active():
            raise errors.NotLeader("another replica leads")

    # -- what the world wants to know ---------------------------------------------------------------------------------

    def is_frozen(self) -> bool:
        return self.world.clock.monotonic() < self.frozen_until

    def is_write(self, method: str, path: str) -> bool:
        """Whether a request to SaladCloud changes something."""
        return method != "GET" and not path.endswith("/log-entries")

    def _last_sign_of_life(self) -> datetime.datetime | None:
        """From when on events are read: since the node's lease was last renewed, and some."""
        lease = self.world.api_model.look_up("leases", LEASE_NAMESPACE, self.node)
        renewed = (lease or {}).get("spec", {}).get("renewTime")
        return datetime.datetime.fromisoformat(renewed) - CATCH_UP_OVERLAP if renewed else None


def _revealing(reconcile: Callable[[str], Result]) -> Callable[[str], Result]:
    def revealed(uid: str) -> Result:
        try:
            return reconcile(uid)
        except errors.Error:
            raise
        except Exception as error:
            raise defect_of(error) from error

    return revealed


@functools.cache
def _metrics() -> Metrics:
    """One for all: making it takes longer than hundreds of steps, and nothing reads it."""
    return Metrics.in_new_registry()
