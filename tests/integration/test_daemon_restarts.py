"""The daemon stopped, killed and away: pods go on, and nothing is done twice."""

from __future__ import annotations

import pathlib
import time

import pytest

from tests.integration.stage import QUICK_FLAGS, running, stage
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.daemon_process import EXIT_GRACE_SECONDS, SHUTDOWN_SECONDS, DaemonProcess
from tests.support.scenarios import World
from virtual_kubelet_salad.sandbox.api_http import ApiServer
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer

pytestmark = pytest.mark.integration

# A stable identity takes its own lease back at once, also after a kill.
ALONE = ("--leader-identity", "the-only-one")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/virtual-kubelet-salad-saladcloud-node"


def test_a_daemon_that_is_stopped_killed_and_started_again_and_again_changes_nothing_in_the_end(
    tmp_path: pathlib.Path,
) -> None:
    with stage(tmp_path, *ALONE) as world:
        kept = [f"kept-{number}" for number in range(3)]
        for name in (*kept, "leaves", "forced"):
            world.cluster.create_pod(manifests.pod(name))
        before = [pod for pod in world.until_all_ready(5) if pod["metadata"]["name"] in kept]

        # An ordered stop: quick, with the leader's lease free and the pods as they were.
        began = time.monotonic()
        assert world.daemon.stop() == 0
        assert time.monotonic() - began < SHUTDOWN_SECONDS + EXIT_GRACE_SECONDS
        assert _leader(world) == ""
        _are_as(before, world)
        requests = world.cloud.statistics()["requests_by_operation"]

        # While it is away pods come, and go in every way.
        world.cluster.delete_pod("leaves")
        world.cluster.delete_pod("forced", grace_seconds=0)
        assert world.pod("forced") is not None, "our finalizer holds it"
        rollout = [f"web-{number}" for number in range(8)]
        for name in rollout:
            world.cluster.create_pod(manifests.pod(name))

        # Killed in the middle of the rollout, and stopped in the middle of the rest of it.
        world.daemon.start()
        created = requests["create_container_group"]
        world.until(lambda: world.requests("create_container_group") >= created + 3, "some creates")
        world.daemon.kill()
        for name in ("late-1", "late-2", "late-3"):
            world.cluster.create_pod(manifests.pod(name))
        lists = world.requests("list_container_groups")
        world.daemon.start()
        world.until(lambda: world.requests("list_container_groups") > lists, "a look")
        assert world.daemon.stop() == 0
        world.daemon.start()

        pods = world.until_all_ready(len(kept) + len(rollout) + 3)
        assert world.group_names() == {seen.group_name(pod) for pod in pods}
        _are_as(before, world)
        assert world.cloud.statistics()["groups"] == len(pods)
        world.daemon.wait_until_ready()
        for pod in pods:
            world.cluster.delete_pod(pod["metadata"]["name"])
        world.until_nothing_is_left()


def test_a_stop_is_in_order_though_saladcloud_is_mute(tmp_path: pathlib.Path) -> None:
    """Calls that hang are cut before the time for the stop is over; what they were about is made good later."""
    with stage(tmp_path, *ALONE, "--shutdown-timeout", "6s") as world:
        world.cluster.create_pod(manifests.pod("kept"))
        before = world.until_ready("kept")
        world.cloud.control("outage", kind="hang")
        requests = world.cloud.statistics()["requests"]
        # The poller, the feed and a worker wait for an answer that does not come.
        world.cluster.create_pod(manifests.pod("new"))
        world.until(lambda: world.cloud.statistics()["requests"] >= requests + 3, "three requests without an answer")
        began = time.monotonic()
        assert world.daemon.stop() == 0
        assert time.monotonic() - began < SHUTDOWN_SECONDS + EXIT_GRACE_SECONDS
        assert "calls hang and are cut threads=" in world.daemon.log_of_this_run()
        _are_as([before], world)
        assert _leader(world) == ""
        world.cloud.control("outage", kind=None)
        world.daemon.start()
        world.until_all_ready(2)
        world.daemon.wait_until_ready()


def test_a_stop_is_in_order_though_the_api_server_is_mute(tmp_path: pathlib.Path) -> None:
    with stage(tmp_path, "--no-leader-elect", "--shutdown-timeout", "6s") as world:
        world.api_server.fault(kind="hang")

        def is_hanging() -> bool:
            metrics = world.daemon.metrics()
            ages = [metrics.value("thread_last_step_age_seconds", thread=name) for name in ("lease", "node status")]
            return max(ages) > 3.0

        world.until(is_hanging, "the heartbeat to hang")
        assert world.daemon.stop() == 0


def test_an_outage_of_the_api_server_is_survived(
    cloud: SaladCloudServer, api_server: ApiServer, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    # Without an election, which ends a process that cannot renew its lease for 10 s, however busy the machine is.
    daemon = DaemonProcess(tmp_path, kubeconfig_file, cloud.url, *QUICK_FLAGS, "--no-leader-elect")
    with running(daemon):
        world = World(seen.in_process(api_server), cloud, daemon)
        world.cluster.create_pod(manifests.pod("before"))
        world.cluster.create_pod(manifests.pod("leaves"))
        world.until_all_ready(2)
        pid = daemon.pid
        api_server.down()
        world.cluster.create_pod(manifests.pod("during"))
        world.cluster.delete_pod("leaves")
        polls = world.requests("list_container_groups")
        world.until(lambda: world.requests("list_container_groups") >= polls + 6, "SaladCloud to be read meanwhile")
        assert daemon.get("/healthz").status == 200
        # It comes back with another history, as a restarted one may.
        api_server.compact()
        api_server.up()
        world.cluster.create_pod(manifests.pod("after"))
        world.until_all_ready(3)
        assert world.group_names() == {seen.group_name(pod) for pod in world.pods()}
        assert daemon.pid == pid


def _are_as(before: list[seen.Object], world: World) -> None:
    """The pods' own part of their status is untouched."""
    for pod in before:
        now = world.pod(pod["metadata"]["name"])
        assert now is not None
        assert now["status"]["containerStatuses"] == pod["status"]["containerStatuses"]
        assert now["status"]["conditions"] == pod["status"]["conditions"]


def _leader(world: World) -> str:
    """Who holds the election's Lease; empty when it is free."""
    lease = world.cluster.get(LEASE)
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])
