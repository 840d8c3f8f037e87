"""The main job on a real control plane: what users apply with kubectl runs on SaladCloud, and nothing is left of it.

The daemon runs with everything as it is by default, with the ServiceAccount and the rights that ship in
`deploy/manifests/rbac.yaml`, never as administrator; the scheduler and the controllers are the real ones. Beside it
three more nodes come to rest meanwhile, because a minute of that must pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import IDENTITY, ClusterWorld, check_rights, cluster_world, new_namespace
from tests.support.control_plane import ControlPlane

REPLICAS = 20
NEW_IMAGE = "registry.example/server:2"
FEED_SECONDS = 10.0  # --feed-interval as it is by default
# A rollout's waves of pods, each with its start; seen: 30 s.
SECONDS = 180.0


@dataclasses.dataclass(frozen=True)
class Rest:
    """A node of which nothing is wanted but that its pods go on."""

    pods: int
    most_requests_per_minute: int
    cloud_flags: tuple[str, ...] = ()
    daemon_flags: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


COMPLETE = Rest(20, 24, ("--list-limit", "none"), ("--salad-list-limit", "1000"))
# With a complete list, and with one that shows 100 groups, a third of which are somebody else's.
RESTING = {
    "rest-20": COMPLETE,
    "rest-100": dataclasses.replace(COMPLETE, pods=100),
    "rest-100-capped": Rest(100, 84, foreign=tuple(f"somebodys-{number}" for number in range(33))),
}


@pytest.fixture(scope="module")
def namespaces(control_plane: ControlPlane) -> Iterator[contextlib.ExitStack]:
    """Keeps every namespace until the last daemon has ended: Events are refused in one that is on its way out, just as
    they are without the right to create them."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def shared(
    control_plane: ControlPlane, namespaces: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterWorld]:
    """Intervals, rate limit, list limit and leader election as by default."""
    with cluster_world(control_plane, "default", tmp_path_factory.mktemp("main-job"), *IDENTITY) as world:
        yield world
        check_rights(world.daemon)
        assert world.cloud.statistics()["requests_by_code"].get("429", 0) == 0


@pytest.fixture
def world(shared: ClusterWorld, control_plane: ControlPlane, namespaces: contextlib.ExitStack) -> ClusterWorld:
    return shared.in_namespace(namespaces.enter_context(new_namespace(control_plane)))


@pytest.fixture(scope="module", autouse=True)
def resting(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ClusterWorld]]:
    """Nodes whose pods have been applied."""
    directory = tmp_path_factory.mktemp("rest")
    with contextlib.ExitStack() as stack:
        namespace = stack.enter_context(new_namespace(control_plane))
        worlds: dict[str, ClusterWorld] = {}
        for node, rest in RESTING.items():
            # The election's lease has the shipped node's name; these nodes have others. No rate limit: only the rest
            # is measured, and it comes sooner.
            worlds[node] = stack.enter_context(
                cluster_world(
                    control_plane, namespace, directory,
                    "--no-leader-elect", "--sce-rate-limit", "0", *rest.daemon_flags,
                    cloud_flags=("--profile", "fast", "--no-rate-limit", *rest.cloud_flags),
                    node=node, foreign=rest.foreign,
                )
            )  # fmt: skip
            worlds[node].apply(manifests.deployment(node, rest.pods, node=node))
        yield worlds


def test_a_deployment_is_run_updated_scaled_and_deleted_and_nothing_is_left(world: ClusterWorld) -> None:
    creates = world.requests("create_container_group")
    world.apply(manifests.deployment("web", REPLICAS, node=world.node))
    world.until_rolled_out("web", REPLICAS, SECONDS)
    assert len(world.group_names()) == REPLICAS
    world.kubectl("set", "image", "deployment/web", f"main={NEW_IMAGE}")
    world.until_rolled_out("web", REPLICAS, SECONDS)
    assert len(world.group_names()) == REPLICAS
    assert {group["image"] for group in world.cloud.overview()} == {NEW_IMAGE}
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.until_rolled_out("web", 3, SECONDS)
    assert len(world.group_names()) == 3
    world.kubectl("delete", "deployment/web", "--wait=false")
    world.until_nothing_is_left(timeout=SECONDS)
    assert world.requests("create_container_group") == creates + 2 * REPLICAS


def test_jobs_end_with_their_exit_codes_and_their_groups_go_within_two_ticks(world: ClusterWorld) -> None:
    endings = {0: ("Complete", "Succeeded"), 3: ("Failed", "Failed")}
    for code in endings:
        world.apply(manifests.job(f"exits-{code}", manifests.exits(code, 3.0), node=world.node))
    for code, (condition, phase) in endings.items():
        world.until(lambda: condition in _conditions(world, f"exits-{code}"), "the Job's end", SECONDS)  # noqa: B023
        (pod,) = [pod for pod in world.pods() if pod["metadata"]["labels"]["job-name"] == f"exits-{code}"]
        assert seen.phase(pod) == phase
        assert seen.container_state(pod, "terminated")["exitCode"] == code
        group = seen.group_name(pod)
        world.until(lambda: group not in world.group_names(), "its group to be gone", SECONDS)  # noqa: B023
        # From the container's exit until its group's deletion, by the simulator's own clock.
        assert world.cloud.statistics()["seconds_until_deleted"][group] <= 2 * FEED_SECONDS
    world.kubectl("delete", "jobs", "--all", "--wait=false")
    world.until_nothing_is_left(timeout=SECONDS)


def test_a_daemon_set_counts_its_pod_here_as_ready_and_it_costs_nothing(world: ClusterWorld) -> None:
    world.apply(manifests.daemon_set("logs", node=world.node))

    def all_ready() -> bool:
        status = _get(world, "daemonsets", "logs", "apis/apps/v1")["status"]
        assert status.get("desiredNumberScheduled", 0) == status.get("numberReady", 0) == 1, status
        return True

    world.until(all_ready, "the DaemonSet to be ready", SECONDS)
    (pod,) = world.pods()
    assert pod["status"]["reason"] == "NotRunOnVirtualNode"
    assert not world.group_names()
    world.kubectl("delete", "daemonset/logs", "--wait=false")
    world.until_nothing_is_left(timeout=SECONDS)


def test_at_rest_requests_do_not_grow_with_the_number_of_pods(resting: dict[str, ClusterWorld]) -> None:
    """The pods run long before this test if it comes after the others; then its minute has passed already."""
    any_world = resting["rest-20"]
    any_world.until_all_ready(sum(rest.pods for rest in RESTING.values()), SECONDS)

    def at_rest() -> dict[str, int]:
        rates = {node: world.cloud.statistics()["requests_last_minute"] for node, world in resting.items()}
        assert all(0 < rates[node] <= rest.most_requests_per_minute for node, rest in RESTING.items()), rates
        return rates

    print(f"requests in a minute of rest: {any_world.until(at_rest, 'a minute of rest', SECONDS)}")
    any_world.kubectl("delete", "deployments", "--all", "--wait=false")
    any_world.until(lambda: not any_world.pods(), "all pods to be gone", SECONDS)
    for world in resting.values():
        assert not world.group_names()


def _get(world: ClusterWorld, resource: str, name: str, group: str) -> Object:
    found = world.cluster.get(world.path(resource, name, group))
    assert found is not None
    return found


def _conditions(world: ClusterWorld, job: str) -> set[str]:
    conditions = _get(world, "jobs", job, "apis/batch/v1").get("status", {}).get("conditions") or []
    return {each["type"] for each in conditions if each["status"] == "True"}
