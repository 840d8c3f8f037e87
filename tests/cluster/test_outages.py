"""SaladCloud and the API server away: pods wait, nothing is concluded from that, and all goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.auditor import Auditor
from tests.support.cluster_world import QUICK_CLOUD_FLAGS, QUICK_FLAGS, ClusterWorld, cluster_world
from tests.support.control_plane import ControlPlane
from tests.support.scenarios import holds_for

FOREIGN = ("somebodys-group",)
SECONDS = 180.0
API_OUTAGE_SECONDS = 3.0


@pytest.fixture(scope="module")
def shared(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorld]:
    """Without the election, whose leader must end when it cannot renew: here the very same process goes on."""
    flags, directory = (*QUICK_FLAGS, "--no-leader-elect"), tmp_path_factory.mktemp("outages")
    with cluster_world(
        control_plane, "default", directory, *flags, cloud_flags=QUICK_CLOUD_FLAGS, foreign=FOREIGN
    ) as world:
        with Auditor(world.cluster, world.cloud) as auditor:
            yield world
            auditor.check()


@pytest.fixture
def world(shared: ClusterWorld, namespace: str) -> ClusterWorld:
    return shared.in_namespace(namespace)


def test_deleted_pods_stay_while_saladcloud_is_away_and_say_why(world: ClusterWorld) -> None:
    for name in ("leaves", "forced"):
        world.create_pod(manifests.pod(name))
    world.until_all_ready(2, SECONDS)
    groups = world.group_names()
    world.cloud.control("outage", kind="503")
    try:
        world.delete_pod("leaves")
        world.delete_pod("forced", grace_seconds=0)
        for name in ("leaves", "forced"):
            world.until(lambda: _says(world, name, "DeletionWaits"), "the Event", SECONDS)  # noqa: B023
        assert {pod["metadata"]["name"] for pod in world.pods()} == {"leaves", "forced"}
        assert all(seen.has_finalizer(pod) and seen.phase(pod) == "Running" for pod in world.pods())
        assert world.group_names() == groups
    finally:
        world.cloud.control("outage", kind=None)
    world.until_nothing_is_left(timeout=SECONDS)


def test_a_restart_of_the_api_server_without_its_history_is_survived(world: ClusterWorld) -> None:
    """The daemon misses changes, cannot ask for them, and finds that nobody can tell them any more."""
    world.apply(manifests.deployment("web", 3, node=world.node))
    world.create_pod(manifests.pod("leaves"))
    before = world.until_all_ready(4, SECONDS)
    creates = world.requests("create_container_group")
    lists = _lists(world)
    pid = world.daemon.pid
    world.daemon.freeze()
    try:
        world.kubectl("scale", "deployment/web", "--replicas=5")
        world.delete_pod("leaves")
        world.create_pod(manifests.pod("comes"))
        world.until(lambda: len(world.pods()) == 7, "the new pods", SECONDS)
        world.control_plane.stop_api_server()
        world.control_plane.compact_history()
    finally:
        world.daemon.thaw()
    try:
        holds_for(API_OUTAGE_SECONDS, lambda: _is_alive(world), "a living daemon")
    finally:
        world.control_plane.start_api_server()
    after = world.until_all_ready(6, SECONDS)
    assert world.daemon.pid == pid
    assert _lists(world) > lists
    uids = {pod["metadata"]["uid"] for pod in after}
    assert {pod["metadata"]["uid"] for pod in before if pod["metadata"]["name"] != "leaves"} <= uids
    assert world.requests("create_container_group") == creates + 3
    assert len(world.group_names()) == 6
    world.kubectl("delete", "deployment/web", "pod/comes", "--wait=false")
    world.until_nothing_is_left(timeout=SECONDS)


def _says(world: ClusterWorld, name: str, reason: str) -> bool:
    return any(event["reason"] == reason for event in world.cluster.events_of(name, world.namespace))


def _lists(world: ClusterWorld) -> float:
    """How often the daemon has listed its pods."""
    return world.daemon.metrics().value("apiserver_requests_total", verb="list", resource="pods", code="200")


def _is_alive(world: ClusterWorld) -> None:
    assert world.daemon.get("/healthz").status == 200
