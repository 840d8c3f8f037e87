"""The daemon's parts, built and wired, without a thread or a socket: everything that decides, as steps.

`build` is what the process runs in threads (`app`) and what a test drives step by step under a fake clock. The informer
and the HTTP servers are not here: the informer's seam is `Daemon.cache`.
"""

from __future__ import annotations

import collections
import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kube.sources import Sources
from virtual_kubelet_salad.kubelet import pods, status
from virtual_kubelet_salad.kubelet.brake import Brake
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.heartbeat import LeaseHeartbeat, NodeStatus
from virtual_kubelet_salad.kubelet.node import Facts, NodeSettings
from virtual_kubelet_salad.kubelet.orphans import OrphanSweep
from virtual_kubelet_salad.kubelet.placement import Placement, Verdict
from virtual_kubelet_salad.kubelet.planning import Planner
from virtual_kubelet_salad.kubelet.pod_sync import PodSync
from virtual_kubelet_salad.kubelet.provider import Provider
from virtual_kubelet_salad.kubelet.services import Services
from virtual_kubelet_salad.kubelet.vanishing import Vanishing
from virtual_kubelet_salad.kubelet.worker import Worker
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.runtime.workqueue import WorkQueue

# A step's bound: the longest row of calls it makes, each at its timeout. Above it, /healthz says so.
WORKER_BOUND_SECONDS = 180.0
LEASE_BOUND_SECONDS = 60.0
NODE_BOUND_SECONDS = 90.0
ORPHANS_BOUND_SECONDS = 120.0
EVENTS_BOUND_SECONDS = 90.0
# Who does not lead looks this often whether that has changed.
STANDBY_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides, as far as the kubelet's side is concerned."""

    node: NodeSettings
    cluster_id: str
    workers: int = 10
    heartbeat_seconds: float = 10.0
    create_settle_seconds: float = 120.0
    daemonset_pods_are_ready: bool = True
    namespaces: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Daemon:
    """All parts, for the one who starts them."""

    clock: Clock
    cache: PodCache
    queue: WorkQueue
    provider: Provider
    pod_sync: PodSync
    worker: Worker
    heartbeat: LeaseHeartbeat
    node_status: NodeStatus
    orphans: OrphanSweep
    vanishing: Vanishing
    brake: Brake
    recorder: EventRecorder
    loops: tuple[Loop, ...]
    """Every thread but the informer, the elector and the HTTP servers."""


def build(
    settings: Settings,
    *,
    api: ApiServer,
    lease_api: ApiServer,
    provider: Provider,
    recorder: EventRecorder,
    clock: Clock,
    metrics: Metrics,
    is_active: Callable[[], bool] = lambda: True,
    jitter: random.Random | None = None,
) -> Daemon:
    """Wires the parts. `is_active` tells whether this replica may work (leads); standbys only watch. `jitter` spreads
    retries.
    """
    identity = provider.identity
    cache = PodCache(clock)
    queue = WorkQueue(clock, jitter=jitter)
    claims = Claims(provider, settings.cluster_id, settings.node.name)
    brake = Brake(clock, lambda text: recorder.event(node_reference(settings, node_status), "Warning", "Brake", text))
    placement = Placement(clock, cache, claims, provider)
    node_status = NodeStatus(
        api, clock, settings.node, identity, lambda: _facts(cache, provider, clock), placement.judge
    )
    planner = Planner(provider, Sources(api, clock), settings.node.name, settings.node.address, settings.namespaces)
    vanishing = Vanishing(clock, cache, provider, claims, brake)
    services = Services(
        clock=clock,
        cache=cache,
        api=api,
        provider=provider,
        claims=claims,
        planner=planner,
        statuses=status.Writer(settings.node.address, identity.interruption_annotation),
        recorder=recorder,
        vanishing=vanishing,
        placement=placement,
        create_settle_seconds=settings.create_settle_seconds,
        daemonset_pods_are_ready=settings.daemonset_pods_are_ready,
    )
    pod_sync = PodSync(services)
    worker = Worker(queue, pod_sync.reconcile, clock, metrics)
    node_loop = Loop("node status", _when(is_active, node_status.step), bound_seconds=NODE_BOUND_SECONDS)
    heartbeat = LeaseHeartbeat(lease_api, clock, settings.node.name, settings.heartbeat_seconds, node_loop.wake)
    orphans = OrphanSweep(clock, cache, api, provider, claims, brake, vanishing)

    def wake(uid: str, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None) -> None:
        queue.add(uid, urgent=new is not None and pods.is_terminating(new))

    cache.on_change = wake
    provider.on_change(queue.add)
    provider.on_recovery(lambda: _wake_all(cache, queue, pod_sync))
    may_reconcile = _both(is_active, cache.has_synced.is_set)
    events_loop = Loop("events", recorder.step, bound_seconds=EVENTS_BOUND_SECONDS)
    recorder.wake = events_loop.wake
    loops = [_worker_loop(number, worker, queue, may_reconcile) for number in range(settings.workers)]
    loops += [
        node_loop,
        Loop("lease", _when(is_active, heartbeat.step), bound_seconds=LEASE_BOUND_SECONDS),
        Loop("orphans", _when(is_active, orphans.step), bound_seconds=ORPHANS_BOUND_SECONDS),
        events_loop,
        *provider.loops(),
    ]
    return Daemon(
        clock=clock,
        cache=cache,
        queue=queue,
        provider=provider,
        pod_sync=pod_sync,
        worker=worker,
        heartbeat=heartbeat,
        node_status=node_status,
        orphans=orphans,
        vanishing=vanishing,
        brake=brake,
        recorder=recorder,
        loops=tuple(loops),
    )


def _wake_all(cache: PodCache, queue: WorkQueue, pod_sync: PodSync) -> None:
    pod_sync.recovered()
    for pod in cache.all():
        queue.add(pods.uid(pod), urgent=pods.is_terminating(pod))


def _worker_loop(number: int, worker: Worker, queue: WorkQueue, may_reconcile: Callable[[], bool]) -> Loop:
    """A worker waits for the queue; one that may not work yet must not, for the queue may be full meanwhile."""
    stopped = threading.Event()

    def wait(seconds: float) -> None:
        if may_reconcile():
            queue.wait(seconds)
        else:
            stopped.wait(seconds)

    def wake() -> None:
        stopped.set()
        queue.shut_down()

    step = _when(may_reconcile, worker.step)
    return Loop(f"worker {number}", step, bound_seconds=WORKER_BOUND_SECONDS, wait=wait, wake=wake)


def _facts(cache: PodCache, provider: Provider, clock: Clock) -> Facts:
    finalizer = provider.identity.finalizer
    counts = collections.Counter(
        finalizer in (pods.metadata(pod).get("finalizers") or []) for pod in cache.all() if not pods.is_finished(pod)
    )
    return Facts(
        capacity=provider.capacity(),
        reachability=provider.reachability(),
        own_workloads=counts[True],
        pods_without_workload=counts[False],
        placement=Verdict(),
        monotonic=clock.monotonic(),
        now=clock.now(),
    )


def node_reference(settings: Settings, node_status: NodeStatus) -> dict[str, Any]:
    """The Node, for an Event about it."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": settings.node.name, "uid": node_status.node_uid}}


def _when(condition: Callable[[], bool], step: Callable[[], float | None]) -> Callable[[], float | None]:
    """The step while the condition holds; else a look at it again soon."""
    return lambda: step() if condition() else STANDBY_SECONDS


def _both(first: Callable[[], bool], second: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: first() and second()
