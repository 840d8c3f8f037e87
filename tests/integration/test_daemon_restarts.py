"""The daemon stopped, killed, frozen and cut off: pods go on, and nothing is done twice."""

from __future__ import annotations

import pathlib
import time

import pytest

from tests.integration.conftest import QUICK_FLAGS
from tests.support import cluster as seen
from tests.support import manifests, scenarios
from tests.support.daemon_process import EXIT_GRACE_SECONDS, SHUTDOWN_SECONDS, DaemonProcess
from tests.support.scenarios import World, holds_for
from virtual_kubelet_salad.sandbox.api_http import ApiServer

pytestmark = pytest.mark.integration

# A leader's Lease lasts 15 s; who waits for it looks every 2 to 3 s.
TAKE_OVER_SECONDS = 30.0
# Shorter than the 10 s after which a leader that cannot renew gives up.
API_OUTAGE_SECONDS = 5.0


def test_a_restarted_daemon_adopts_what_runs_and_creates_nothing(world: World) -> None:
    names = [f"web-{number}" for number in range(3)]
    for name in names:
        world.cluster.create_pod(manifests.pod(name))
    before = world.until_all_ready(3)
    assert world.daemon.stop() == 0
    requests = world.cloud.statistics()["requests_by_operation"]
    world.daemon.start()
    world.daemon.wait_until_ready()
    # It has looked at every pod once it has asked for every group.
    world.until(
        lambda: world.requests("get_container_group") + world.requests("list_container_group_instances")
        >= requests.get("get_container_group", 0) + requests.get("list_container_group_instances", 0) + 3,
        "three looks",
    )
    holds_for(2.0, lambda: _are_as(before, world), "pods as they were")
    assert world.requests("create_container_group") == 3
    assert world.requests("delete_container_group") == 0
    for name in names:
        world.cluster.delete_pod(name)
    world.until_nothing_is_left()


def test_a_kill_in_the_middle_of_a_rollout_changes_nothing_in_the_end(world: World) -> None:
    scenarios.pods_survive_a_kill(world, [f"web-{number}" for number in range(10)])


def test_pods_deleted_while_the_daemon_is_away_are_cleared_up_by_the_next(world: World) -> None:
    world.cluster.create_pod(manifests.pod("left"))
    world.until_ready("left")
    world.daemon.kill()
    world.cluster.delete_pod("left", grace_seconds=0)
    assert world.pod("left") is not None
    world.daemon.start()
    world.until_nothing_is_left()


def test_an_ordered_stop_is_quick_and_keeps_the_pods(world: World) -> None:
    world.cluster.create_pod(manifests.pod("kept"))
    before = world.until_ready("kept")
    began = time.monotonic()
    assert world.daemon.stop() == 0
    assert time.monotonic() - began < SHUTDOWN_SECONDS
    _are_as([before], world)
    assert world.group_names() == {seen.group_name(before)}
    assert not _leader(world)


def test_a_stop_in_the_middle_of_a_rollout_is_in_order(world: World) -> None:
    for number in range(10):
        world.cluster.create_pod(manifests.pod(f"web-{number}"))
    world.until(lambda: world.requests("create_container_group") >= 3, "some creates")
    began = time.monotonic()
    assert world.daemon.stop() == 0
    assert time.monotonic() - began < SHUTDOWN_SECONDS
    world.daemon.start()
    world.until_all_ready(10)


def test_a_stop_ends_within_its_deadline_though_saladcloud_is_mute(world: World) -> None:
    world.cluster.create_pod(manifests.pod("kept"))
    before = world.until_ready("kept")
    world.cloud.control("outage", kind="hang")
    requests = world.cloud.statistics()["requests"]
    # The poller, the feed and a worker wait for an answer that does not come.
    world.cluster.create_pod(manifests.pod("new"))
    world.until(lambda: world.cloud.statistics()["requests"] >= requests + 3, "three requests without an answer")
    began = time.monotonic()
    world.daemon.stop()
    assert time.monotonic() - began < SHUTDOWN_SECONDS + EXIT_GRACE_SECONDS
    _are_as([before], world)
    assert not _leader(world)
    world.cloud.control("outage", kind=None)
    world.daemon.start()
    world.until_all_ready(2)


def test_an_outage_of_the_api_server_is_survived(world: World, api_server: ApiServer) -> None:
    world.cluster.create_pod(manifests.pod("before"))
    world.until_ready("before")
    pid = world.daemon.pid
    api_server.down()
    world.cluster.create_pod(manifests.pod("during"))
    holds_for(API_OUTAGE_SECONDS, lambda: _is_alive(world), "a living daemon")
    api_server.up()
    world.cluster.create_pod(manifests.pod("after"))
    world.until_all_ready(3)
    assert world.daemon.pid == pid
    _is_alive(world)


def test_a_frozen_leader_is_replaced_and_gives_up_when_it_wakes(
    world: World, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    flags = (*QUICK_FLAGS, "--leader-identity", "another")
    with DaemonProcess(tmp_path, kubeconfig_file, world.cloud.url, *flags, name="standby") as standby:
        standby.wait_until_ready()
        world.cluster.create_pod(manifests.pod("before"))
        world.until_ready("before")
        assert standby.metrics().value("reconcile_duration_seconds_count") == 0
        for number in range(5):
            world.cluster.create_pod(manifests.pod(f"rollout-{number}"))
        world.until(lambda: world.requests("create_container_group") >= 2, "the rollout to begin")
        world.daemon.freeze()
        world.until_all_ready(6, TAKE_OVER_SECONDS + scenarios.START_SECONDS)
        world.daemon.thaw()
        assert world.daemon.wait_for_exit(SHUTDOWN_SECONDS) != 0
        for number in range(5):
            world.cluster.delete_pod(f"rollout-{number}")
        world.cluster.delete_pod("before")
        world.until_nothing_is_left()
        assert standby.stop() == 0


def _are_as(before: list[seen.Object], world: World) -> None:
    """The pods' own part of their status is untouched."""
    for pod in before:
        now = world.pod(pod["metadata"]["name"])
        assert now is not None
        assert now["status"]["containerStatuses"] == pod["status"]["containerStatuses"]
        assert now["status"]["conditions"] == pod["status"]["conditions"]


def _leader(world: World) -> str:
    """Who holds the election's Lease; empty when it is free."""
    lease = world.cluster.get(
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/virtual-kubelet-salad-saladcloud-node"
    )
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


def _is_alive(world: World) -> None:
    assert world.daemon.get("/healthz").status == 200
