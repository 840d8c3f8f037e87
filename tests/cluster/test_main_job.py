"""The main job on a real control plane: what users apply with kubectl runs on SaladCloud, and nothing is left of it.

The daemon runs with the ServiceAccount and the rights that ship in `deploy/manifests/rbac.yaml`, never as
administrator; the scheduler and the controllers are the real ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import CloudProcess, create_foreign_group
from tests.support.cluster import NODE_NAME, Object
from tests.support.control_plane import ControlPlane
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud, holds_for

ACCOUNT = ("kube-system", "virtual-kubelet-salad")
REPLICAS = 20
NEW_IMAGE = "registry.example/server:2"
# A rollout's waves of pods, each with its start; seen: 30 s.
ROLLOUT_SECONDS = 120.0
FEED_SECONDS = 10.0  # --feed-interval as it is by default
# Deleting, and two looks 5 s apart.
CLEAR_SECONDS = 60.0
CONTROLLER_SECONDS = 30.0
# A fixed name takes its own lease back at once after a kill.
IDENTITY = ("--leader-identity", "the-only-one")

REST_WINDOW_SECONDS = 61.0
COMPLETE_REQUESTS_PER_MINUTE = 24
CAPPED_REQUESTS_PER_MINUTE = 84


@dataclasses.dataclass(frozen=True)
class ClusterWorld(World):
    """With the administrator's kubectl."""

    control_plane: ControlPlane = dataclasses.field(kw_only=True)

    def kubectl(self, *words: str, manifest: Object | None = None) -> str:
        stdin = None if manifest is None else json.dumps(manifest)
        return self.control_plane.kubectl("--namespace", self.namespace, *words, stdin=stdin).stdout

    def apply(self, manifest: Object) -> None:
        self.kubectl("apply", "-f", "-", manifest=manifest)

    def deployment(self, name: str) -> Object:
        found = self.cluster.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}")
        assert found is not None
        return found

    def until_rolled_out(self, name: str, count: int, timeout: float = ROLLOUT_SECONDS) -> None:
        """As `kubectl rollout status`, and no pod of the old kind is left either."""

        def look() -> bool:
            deployment = self.deployment(name)
            status = deployment.get("status", {})
            assert status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            numbers = {key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
            assert set(numbers.values()) == {count}, f"{numbers}\n{seen.in_short(self.pods())}"
            return True

        self.until(look, f"{name} to be rolled out", timeout)
        self.until_all_ready(count, CLEAR_SECONDS)


@pytest.fixture(scope="module")
def shipped_kubeconfig(control_plane: ControlPlane) -> pathlib.Path:
    return control_plane.kubeconfig_for_service_account(*ACCOUNT)


@contextlib.contextmanager
def _world(
    control_plane: ControlPlane,
    kubeconfig: pathlib.Path,
    namespace: str,
    directory: pathlib.Path,
    *daemon_flags: str,
    cloud_flags: tuple[str, ...] = (),
    node: str = NODE_NAME,
    foreign: tuple[str, ...] = (),
) -> Iterator[ClusterWorld]:
    """A simulator and a daemon on a node of that name. Afterwards both are stopped in order, what must always hold is
    checked, and the Node is deleted."""
    directory = directory / node
    directory.mkdir()
    flags = ("--nodename", node, *daemon_flags)
    cluster = seen.over_tls(control_plane.api())
    try:
        with CloudProcess(directory, "--profile", "fast", *cloud_flags) as cloud:
            for name in foreign:
                create_foreign_group(cloud, name)
            with DaemonProcess(directory, kubeconfig, cloud.url, *flags) as daemon:
                daemon.wait_until_ready()
                try:
                    yield ClusterWorld(cluster, cloud, daemon, namespace, control_plane=control_plane)
                    assert daemon.stop() == 0
                    assert daemon.problems() == []
                except BaseException as error:
                    error.add_note("\n".join(daemon.whole_log().splitlines()[-60:]))
                    raise
            check_cloud(cloud, foreign)
    finally:
        cluster.delete(f"/api/v1/nodes/{node}")


@pytest.fixture
def world(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, namespace: str, tmp_path: pathlib.Path
) -> Iterator[ClusterWorld]:
    """Everything as it is by default: intervals, rate limit, list limit, leader election."""
    with _world(control_plane, shipped_kubeconfig, namespace, tmp_path, *IDENTITY) as world:
        yield world
        _check_rights(world)


@pytest.fixture
def quick_world(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, namespace: str, tmp_path: pathlib.Path
) -> Iterator[ClusterWorld]:
    """With short intervals and without a rate limit. A create that was under way when its daemon was killed is believed
    to be lost after 6 s instead of two minutes; the simulator answers within 0.2 s."""
    flags = (
        *IDENTITY, "--poll-interval", "1s", "--feed-interval", "2s", "--create-settle", "6s", "--sce-rate-limit", "0",
    )  # fmt: skip
    no_limit = ("--no-rate-limit",)
    with _world(control_plane, shipped_kubeconfig, namespace, tmp_path, *flags, cloud_flags=no_limit) as world:
        yield world
        _check_rights(world)


def test_a_deployment_is_run_updated_scaled_and_deleted_and_nothing_is_left(world: ClusterWorld) -> None:
    world.apply(manifests.deployment("web", REPLICAS, node=NODE_NAME))
    world.until_rolled_out("web", REPLICAS)
    assert world.cloud.statistics()["groups"] == REPLICAS
    world.kubectl("set", "image", "deployment/web", f"main={NEW_IMAGE}")
    world.until_rolled_out("web", REPLICAS)
    assert {group["image"] for group in world.cloud.overview()} == {NEW_IMAGE}
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.until_rolled_out("web", 3)
    assert len(world.group_names()) == 3
    world.kubectl("delete", "deployment/web", "--wait=false")
    world.until_nothing_is_left(timeout=CLEAR_SECONDS)
    statistics = world.cloud.statistics()
    assert statistics["requests_by_code"].get("429", 0) == 0
    assert statistics["requests_by_operation"]["create_container_group"] == 2 * REPLICAS


def test_kills_in_the_middle_of_a_rollout_change_nothing_in_the_end(quick_world: ClusterWorld) -> None:
    world = quick_world
    world.apply(manifests.deployment("web", REPLICAS, node=NODE_NAME))
    _kill_after(world, "create_container_group", REPLICAS // 2)
    world.until_rolled_out("web", REPLICAS)
    world.kubectl("set", "image", "deployment/web", f"main={NEW_IMAGE}")
    _kill_after(world, "delete_container_group", REPLICAS // 4)
    world.until_rolled_out("web", REPLICAS)
    world.kubectl("delete", "deployment/web", "--wait=false")
    _kill_after(world, "delete_container_group", REPLICAS // 4)
    world.until_nothing_is_left(timeout=ROLLOUT_SECONDS)


def test_jobs_end_with_their_exit_codes_and_their_groups_go_within_two_ticks(world: ClusterWorld) -> None:
    for code in (0, 3):
        world.apply(manifests.job(f"exits-{code}", manifests.exits(code, 3.0)))
    groups: dict[int, str] = {}
    for code in (0, 3):
        pod = world.until(lambda: _claimed(_pod_of_job(world, f"exits-{code}")), "a claim")  # noqa: B023
        groups[code] = seen.group_name(pod)
    ended: dict[int, float] = {}
    deleted: dict[int, float] = {}

    def both_are_deleted() -> bool:
        present = {group["name"]: group for group in world.cloud.overview()}
        runs = world.cloud.statistics()["runs"]
        for code, name in groups.items():
            goes = name in runs and (name not in present or present[name]["is_deleting"])
            # The cloud starts the container again right after its exit: the second run shows the end of the first.
            if (goes or runs.get(name, 0) > 1) and code not in ended:
                ended[code] = time.monotonic()
            if goes and code not in deleted:
                deleted[code] = time.monotonic()
        return len(deleted) == 2

    world.until(both_are_deleted, "both groups to be deleted")
    for code in (0, 3):
        assert deleted[code] - ended[code] <= 2 * FEED_SECONDS
    world.kubectl("wait", "--for=condition=Complete", "job/exits-0", f"--timeout={CONTROLLER_SECONDS:g}s")
    world.kubectl("wait", "--for=condition=Failed", "job/exits-3", f"--timeout={CONTROLLER_SECONDS:g}s")
    for code, phase in ((0, "Succeeded"), (3, "Failed")):
        pod = _pod_of_job(world, f"exits-{code}")
        assert seen.phase(pod) == phase
        assert seen.container_state(pod, "terminated")["exitCode"] == code
    world.kubectl("delete", "jobs", "--all", "--wait=false")
    world.until_nothing_is_left(timeout=CLEAR_SECONDS)


def test_a_daemon_set_counts_its_pod_here_as_ready_and_it_costs_nothing(world: ClusterWorld) -> None:
    world.apply(manifests.daemon_set("logs"))
    path = f"/apis/apps/v1/namespaces/{world.namespace}/daemonsets/logs"

    def all_ready() -> bool:
        status = (world.cluster.get(path) or {})["status"]
        assert status.get("desiredNumberScheduled", 0) == status.get("numberReady", 0) == 1, status
        return True

    world.until(all_ready, "the DaemonSet to be ready", CONTROLLER_SECONDS)
    (pod,) = world.pods()
    assert pod["status"]["reason"] == "NotRunOnVirtualNode"
    assert not world.group_names()
    world.kubectl("delete", "daemonset/logs", "--wait=false")
    world.until_nothing_is_left()


def test_a_restart_of_the_api_server_is_survived(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, namespace: str, tmp_path: pathlib.Path
) -> None:
    # Without the election, whose leader must end when it cannot renew: here the very same process goes on.
    with _world(control_plane, shipped_kubeconfig, namespace, tmp_path, "--no-leader-elect") as world:
        world.apply(manifests.deployment("web", 3, node=NODE_NAME))
        world.until_rolled_out("web", 3)
        before = world.pods()
        pid = world.daemon.pid
        control_plane.stop_api_server()
        try:
            holds_for(3.0, lambda: _is_alive(world), "a living daemon")
        finally:
            control_plane.start_api_server()
        world.kubectl("scale", "deployment/web", "--replicas=5")
        world.until_rolled_out("web", 5)
        assert world.daemon.pid == pid
        uids = {pod["metadata"]["uid"] for pod in world.pods()}
        assert {pod["metadata"]["uid"] for pod in before} <= uids
        assert world.cloud.statistics()["requests_by_operation"]["create_container_group"] == 5
        world.kubectl("delete", "deployment/web", "--wait=false")
        world.until_nothing_is_left(timeout=CLEAR_SECONDS)


def test_at_rest_requests_do_not_grow_with_the_number_of_pods(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, namespace: str, tmp_path: pathlib.Path
) -> None:
    """Three nodes at once, because each must be watched for a minute: 20 and 100 pods with a complete list, and 100
    pods with one that shows 100 groups, a third of which are somebody else's."""
    no_cap, foreign = ("--list-limit", "none"), tuple(f"somebodys-{number}" for number in range(33))
    kinds: dict[str, tuple[int, tuple[str, ...], tuple[str, ...], tuple[str, ...], int]] = {
        "rest-20": (20, no_cap, ("--salad-list-limit", "1000"), (), COMPLETE_REQUESTS_PER_MINUTE),
        "rest-100": (100, no_cap, ("--salad-list-limit", "1000"), (), COMPLETE_REQUESTS_PER_MINUTE),
        "rest-100-capped": (100, (), (), foreign, CAPPED_REQUESTS_PER_MINUTE),
    }
    with contextlib.ExitStack() as stack:
        worlds: dict[str, ClusterWorld] = {}
        for node, (_, cloud_flags, daemon_flags, others, _) in kinds.items():
            # The election's lease has the shipped node's name; these nodes have others. No rate limit: only the rest
            # is measured, and it comes sooner.
            worlds[node] = stack.enter_context(
                _world(
                    control_plane, shipped_kubeconfig, namespace, tmp_path,
                    "--no-leader-elect", "--sce-rate-limit", "0", *daemon_flags,
                    cloud_flags=("--no-rate-limit", *cloud_flags), node=node, foreign=others,
                )
            )  # fmt: skip
        for node, (count, *_) in kinds.items():
            worlds[node].apply(manifests.deployment(node, count, node=node))
        any_world = worlds["rest-20"]
        any_world.until_all_ready(sum(count for count, *_ in kinds.values()), ROLLOUT_SECONDS)
        # Two more looks at everything, and what follows a start is over.
        for node, world in worlds.items():
            queries = world.requests("query_log_entries")
            world.until(lambda: world.requests("query_log_entries") >= queries + 2, "rest")  # noqa: B023
        rates = _requests_per_minute(worlds)
        print(f"requests per minute at rest: {rates}")
        any_world.kubectl("delete", "deployments", "--all", "--wait=false")
        for node, (*_, most) in kinds.items():
            assert 0 < rates[node] <= most, rates
        for node, (_, _, _, others, _) in kinds.items():
            worlds[node].until_nothing_is_left(keep=others, timeout=ROLLOUT_SECONDS)


def _requests_per_minute(worlds: dict[str, ClusterWorld]) -> dict[str, float]:
    """Over a window of at least a minute, the same for all."""
    before = {node: world.cloud.statistics()["requests"] for node, world in worlds.items()}
    began = time.monotonic()
    first = next(iter(worlds.values()))
    holds_for(REST_WINDOW_SECONDS, lambda: _is_alive(first), "a minute of rest")
    minutes = (time.monotonic() - began) / 60.0
    return {
        node: round((world.cloud.statistics()["requests"] - before[node]) / minutes, 1)
        for node, world in worlds.items()
    }


def _kill_after(world: ClusterWorld, operation: str, count: int) -> None:
    """`kill -9` when SaladCloud has seen that many more requests of this kind, and a new start."""
    before = world.requests(operation)
    world.until(lambda: world.requests(operation) >= before + count, f"{count} × {operation}")
    world.daemon.kill()
    world.daemon.start()


def _check_rights(world: ClusterWorld) -> None:
    """The shipped rights were enough for everything that happened since the latest start."""
    assert world.daemon.metrics().value("apiserver_requests_total", code="403") == 0


def _pod_of_job(world: ClusterWorld, job: str) -> Object | None:
    pods = [pod for pod in world.pods() if pod["metadata"].get("labels", {}).get("job-name") == job]
    assert len(pods) <= 1, seen.in_short(pods)
    return pods[0] if pods else None


def _claimed(pod: Object | None) -> Any:
    return pod if pod is not None and seen.group_name(pod) else None


def _is_alive(world: ClusterWorld) -> None:
    assert world.daemon.get("/healthz").status == 200
