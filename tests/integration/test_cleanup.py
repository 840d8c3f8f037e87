"""`cleanup` as a process, after and beside a real daemon: everything of the node goes, nothing else is touched."""

from __future__ import annotations

import pathlib
import signal
import subprocess

import pytest

from tests.support import cluster as seen
from tests.support import manifests, subcommand
from tests.support.cloud_process import create_foreign_group
from tests.support.daemon_process import API_KEY
from tests.support.scenarios import World, check_cloud
from virtual_kubelet_salad.sandbox.api_http import ApiServer

pytestmark = pytest.mark.integration

LEADER_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/virtual-kubelet-salad-saladcloud-node"
NODE_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/saladcloud-node"
FOREIGN_FINALIZER = "example.com/theirs"


def cleanup(world: World, directory: pathlib.Path, *flags: str) -> subcommand.Ended:
    return subcommand.run(
        directory, "cleanup",
        "--sce-api-url", world.cloud.url,
        "--sce-organization-name", "sandbox",
        "--sce-project-name", "default",
        "--sce-rate-limit", "0",
        "--create-settle", "6s",
        *flags,
    )  # fmt: skip


@pytest.fixture
def strangers(world: World) -> set[str]:
    """Somebody else's groups: with ours more than one list shows."""
    names = {f"somebody-{number}" for number in range(100)}
    for name in sorted(names):
        create_foreign_group(world.cloud, name)
    return names


def test_everything_of_the_node_goes_and_nothing_else(
    world: World, strangers: set[str], kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    world.cluster.create_pod(manifests.pod("runs"))
    leaving = manifests.pod("leaving")
    leaving["metadata"]["finalizers"] = [FOREIGN_FINALIZER]
    world.cluster.create_pod(leaving)
    world.until_all_ready(2)
    kubeconfig = ("--kubeconfig", str(kubeconfig_file))

    tried = cleanup(world, tmp_path, *kubeconfig, "--dry-run")
    assert tried.code == 0, tried
    assert len(tried.lines("would delete container group")) == 2, tried
    assert len(tried.lines("would let pod")) == 2, tried
    assert "the-only-one holds the leader's lease" in tried.out
    assert len(world.group_names()) == 102
    assert all(seen.has_finalizer(pod) for pod in world.pods())

    assert world.daemon.stop() == 0
    world.cluster.delete_pod("leaving")
    world.cloud.control("outage", kind="503")
    failed = cleanup(world, tmp_path, *kubeconfig, "--timeout", "10s")
    assert failed.code == 1, failed
    assert failed.lines("left: the time is up") and failed.lines("left: the latest question"), failed
    assert all(seen.has_finalizer(pod) for pod in world.pods())
    assert world.cluster.node() is not None
    world.cloud.control("outage", kind=None)

    done = cleanup(world, tmp_path, *kubeconfig)
    assert done.code == 0, done
    assert len(done.lines("deleted container group")) == 2, done
    assert done.lines("2 container groups deleted, 2 pods let go"), done
    assert world.group_names() == strangers
    assert world.cluster.node() is None
    assert world.cluster.get(NODE_LEASE) is None and world.cluster.get(LEADER_LEASE) is None
    pods = {pod["metadata"]["name"]: pod for pod in world.pods()}
    assert not any(seen.has_finalizer(pod) for pod in pods.values())
    assert seen.phase(pods["runs"]) == "Failed"
    assert pods["leaving"]["metadata"]["finalizers"] == [FOREIGN_FINALIZER]

    again = cleanup(world, tmp_path, *kubeconfig)
    assert (again.code, again.lines("left: ")) == (0, []), again
    assert again.lines("0 container groups deleted, 0 pods let go"), again
    check_cloud(world.cloud, strangers)


def test_by_force_it_takes_over_from_a_daemon_that_runs(
    world: World, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    world.cluster.create_pod(manifests.pod("runs"))
    world.until_ready("runs")
    done = cleanup(world, tmp_path, "--kubeconfig", str(kubeconfig_file), "--force")
    assert done.code == 0, done
    assert done.lines("lease virtual-kubelet-salad-saladcloud-node keeps a daemon"), done
    assert world.group_names() == set()
    assert world.cluster.node() is None
    # It gave up its lead by itself, and stands by when it is started again.
    assert world.daemon.wait_for_exit(60.0) == 1
    world.daemon.start()
    world.daemon.wait_until_ready()
    lease = world.cluster.get(LEADER_LEASE)
    assert lease is not None and lease["spec"]["holderIdentity"].startswith("cleanup-")
    assert world.cluster.node() is None


def test_without_a_cluster_the_owner_records_are_enough(
    world: World, strangers: set[str], api_server: ApiServer, tmp_path: pathlib.Path
) -> None:
    names = [f"web-{number}" for number in range(3)]
    for name in names:
        world.cluster.create_pod(manifests.pod(name))
    world.until_all_ready(3)
    system = world.cluster.get("/api/v1/namespaces/kube-system")
    assert system is not None
    cluster_id = ("--cluster-id", system["metadata"]["uid"])
    world.daemon.kill()
    api_server.down()
    world.cloud.control("configure", list_limit=None)

    for elsewhere in (("--cluster-id", "another"), (*cluster_id, "--node", "another")):
        missed = cleanup(world, tmp_path, *elsewhere, "--create-settle", "0.1s")
        assert (missed.code, missed.lines("deleted")) == (0, []), missed
    done = cleanup(world, tmp_path, *cluster_id)
    assert done.code == 0, done
    assert len(done.lines("deleted container group")) == 3, done
    assert world.group_names() == strangers
    check_cloud(world.cloud, strangers)
    api_server.up()


def test_a_stop_in_the_middle_names_what_is_left(
    world: World, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    world.cluster.create_pod(manifests.pod("runs"))
    world.until_ready("runs")
    assert world.daemon.stop() == 0
    # A delete takes long from now on, so that the stop comes before its end.
    world.cloud.control("configure", deletion=3600.0)
    command = subcommand.command(
        "cleanup", "--kubeconfig", str(kubeconfig_file), "--sce-api-url", world.cloud.url,
        "--sce-organization-name", "sandbox", "--sce-project-name", "default",
    )  # fmt: skip
    with subprocess.Popen(
        command, env=subcommand.environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("deleted container group"):
                process.send_signal(signal.SIGTERM)
        code = process.wait(60.0)
    assert code == 1
    assert any(line.startswith("left: it was stopped") for line in lines), lines
    assert any(line.startswith("left: pod default/runs keeps its finalizer") for line in lines), lines
    pod = world.pod("runs")
    assert pod is not None and seen.has_finalizer(pod)
    lease = world.cluster.get(LEADER_LEASE)
    assert lease is not None and not lease["spec"]["holderIdentity"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--kubeconfig (KUBECONFIG): is required outside of a cluster"),
        (("--without-cluster",), "--without-cluster: needs --cluster-id"),
        (("--cluster",), "--cluster: unknown flag"),
        (("--node", "Not A Name"), "--node (SALAD_VK_NODE_NAME): must be"),
    ],
)
def test_a_command_line_that_is_not_understood(tmp_path: pathlib.Path, flags: tuple[str, ...], said: str) -> None:
    names = ("--sce-organization-name", "sandbox", "--sce-project-name", "default")
    ended = subcommand.run(tmp_path, "cleanup", *names, *flags)
    assert ended.code == 2, ended
    assert said in ended.err
    assert API_KEY not in ended.err
