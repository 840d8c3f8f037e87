"""Every root thread is watched: one that hangs is named by the health page after its own bound."""

from __future__ import annotations

import threading

import pytest

from tests.support.clock import FakeClock
from tests.support.cloud_transport import CloudSettings, CloudTransport
from tests.support.kubelet_world import NODE, settings
from tests.support.model_transport import ModelTransport
from tests.support.waiting import wait_until
from virtual_kubelet_salad import daemon
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.runtime.threads import Loop, ThreadGroup
from virtual_kubelet_salad.saladcloud.provider import assemble
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel

# What the operator is told to expect: nothing may hang for longer than this without a word.
LONGEST_BOUND_SECONDS = 400.0


def loops(clock: FakeClock) -> tuple[Loop, ...]:
    """Those of the real daemon on the real provider."""
    api = ApiServer(ModelTransport(ApiServerModel(clock)), clock=clock)
    metrics = Metrics.in_new_registry()
    cloud = CloudTransport(SaladCloudModel(clock))
    provider = assemble(cloud, Budget(clock, 240), CloudSettings(nodename=NODE), "cluster", clock, metrics)
    recorder = EventRecorder(api, clock, "virtual-kubelet-salad", NODE)
    parts = daemon.build(
        settings(), api=api, lease_api=api, provider=provider, recorder=recorder, clock=clock, metrics=metrics
    )
    return parts.loops


NAMES = [loop.name for loop in loops(FakeClock())]


def test_the_daemon_has_these_threads() -> None:
    own = ["worker 0", "node status", "lease", "orphans", "events"]
    expected = [*own, "group poller", "event feed", "catalog", "log tail", "usage"]
    assert sorted(NAMES) == sorted(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_hanging_thread_is_named_after_its_bound(name: str, fake_clock: FakeClock) -> None:
    hanging, released = threading.Event(), threading.Event()
    loop = next(loop for loop in loops(fake_clock) if loop.name == name)

    def hang() -> float:
        hanging.set()
        released.wait(30.0)
        return 0.0

    loop.step = hang
    group = ThreadGroup(fake_clock, lambda dead, error: None)
    group.add(loop)
    group.start()
    try:
        wait_until(hanging.is_set, timeout=60.0, what="the step to begin")
        fake_clock.advance(loop.bound_seconds - 1.0)
        assert group.stale(fake_clock.monotonic()) == []
        fake_clock.advance(2.0)
        assert [stale.name for stale in group.stale(fake_clock.monotonic())] == [name]
        assert loop.bound_seconds <= LONGEST_BOUND_SECONDS
    finally:
        released.set()
        assert group.stop(10.0) == []
