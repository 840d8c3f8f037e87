"""Two replicas as processes: the leader freezes, or is cut off from the API server; the other takes over.

What a call does that was under way meanwhile, and how quick it is, is told exactly in
`tests/simulated/test_election.py`.
"""

from __future__ import annotations

import pathlib

import pytest

from tests.integration.stage import QUICK_FLAGS, simulated_cloud
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import ApiServerProcess
from tests.support.daemon_process import SHUTDOWN_SECONDS, DaemonProcess
from tests.support.relay import Relay
from tests.support.scenarios import World, check_cloud
from virtual_kubelet_salad.sandbox.api_http import kubeconfig

pytestmark = pytest.mark.integration

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/virtual-kubelet-salad-saladcloud-node"
# A Lease lasts 15 s and a standby looks every 2 to 3 s; the rest is for the machine.
TAKE_OVER_SECONDS = 120.0
# Who cannot renew leads for 10 s more, ends its calls and stops.
GIVE_UP_SECONDS = 60.0 + SHUTDOWN_SECONDS


def test_a_leader_that_freezes_or_is_cut_off_is_replaced_and_gives_up(tmp_path: pathlib.Path) -> None:
    with simulated_cloud(tmp_path) as cloud, ApiServerProcess(tmp_path) as api_server:
        port = int(api_server.url.rpartition(":")[2])
        with Relay(port) as relay:
            cuttable = tmp_path / "relay.kubeconfig"
            cuttable.write_text(kubeconfig(f"http://127.0.0.1:{relay.port}"))
            one = DaemonProcess(
                tmp_path, api_server.kubeconfig(), cloud.url, *QUICK_FLAGS, "--leader-identity", "one", name="one"
            )
            two = DaemonProcess(tmp_path, cuttable, cloud.url, *QUICK_FLAGS, "--leader-identity", "two", name="two")
            world = World(seen.over_http(api_server.url), cloud, one)
            with one:
                one.wait_until_ready()
                assert _leader(world) == "one", "a first start is ready when it leads"
                with two:
                    two.wait_until_ready()
                    try:
                        _one_freezes(world, one, two)
                        _two_is_cut_off(world, one, two, relay)
                    except BaseException as error:
                        error.add_note("\n".join([*one.whole_log().splitlines()[-40:], "--- two"]))
                        error.add_note("\n".join(two.whole_log().splitlines()[-40:]))
                        raise
                assert one.stop() == 0
        check_cloud(cloud)


def _one_freezes(world: World, one: DaemonProcess, two: DaemonProcess) -> None:
    """In the middle of a rollout."""
    world.cluster.create_pod(manifests.pod("kept"))
    before = world.until_ready("kept")
    assert two.metrics().value("reconcile_duration_seconds_count") == 0
    for number in range(5):
        world.cluster.create_pod(manifests.pod(f"rollout-{number}"))
    world.until(lambda: world.requests("create_container_group") >= 3, "the rollout to begin")
    one.freeze()
    world.until(lambda: _leader(world) == "two", "the other to lead", TAKE_OVER_SECONDS)
    world.until_all_ready(6, TAKE_OVER_SECONDS)
    one.thaw()
    assert one.wait_for_exit(GIVE_UP_SECONDS) != 0
    _is_as(before, world)
    assert world.cloud.statistics()["groups"] == 6


def _two_is_cut_off(world: World, one: DaemonProcess, two: DaemonProcess, relay: Relay) -> None:
    """From the API server only: SaladCloud it could still write to. Connections stay and are mute."""
    one.start()
    one.wait_until_ready()
    before = world.until_ready("kept")
    relay.mute()
    world.cluster.delete_pod("rollout-0")
    world.cluster.create_pod(manifests.pod("comes"))
    world.until(lambda: _leader(world) == "one", "the other to lead", TAKE_OVER_SECONDS)
    assert two.wait_for_exit(GIVE_UP_SECONDS) != 0
    world.until_ready("comes", TAKE_OVER_SECONDS)
    world.until(lambda: world.pod("rollout-0") is None, "the deleted pod to go", TAKE_OVER_SECONDS)
    pods = world.until_all_ready(6, TAKE_OVER_SECONDS)
    assert world.group_names() == {seen.group_name(pod) for pod in pods}
    _is_as(before, world)
    for pod in pods:
        world.cluster.delete_pod(pod["metadata"]["name"])
    world.until_nothing_is_left()


def _is_as(before: seen.Object, world: World) -> None:
    now = world.pod(before["metadata"]["name"])
    assert now is not None
    assert now["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def _leader(world: World) -> str:
    lease = world.cluster.get(LEASE)
    return str((lease or {}).get("spec", {}).get("holderIdentity"))
