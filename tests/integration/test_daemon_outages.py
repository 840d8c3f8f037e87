"""SaladCloud and the API server misbehave on the wire, a key is rotated, a Node is deleted: over real sockets.

What only takes time (an hour of outage, minutes of backoff) is told exactly in `tests/simulated`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.integration.stage import Stage, stage
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import NODE_NAME, Object
from tests.support.scenarios import World

pytestmark = pytest.mark.integration

KEY_AT_FIRST, KEY_THEN = "the-key-of-today", "the-key-of-tomorrow"
NODE_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE_NAME}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("outages")


@pytest.fixture(scope="module")
def key_file(directory: pathlib.Path) -> pathlib.Path:
    path = directory / "key"
    path.write_text(f"{KEY_AT_FIRST}\n")
    return path


@pytest.fixture(scope="module")
def world(directory: pathlib.Path, key_file: pathlib.Path) -> Iterator[Stage]:
    with stage(directory, "--no-leader-elect", "--sce-api-key-file", str(key_file), api_key="") as world:
        world.cluster.create_pod(manifests.pod("server"))
        world.until_ready("server")
        yield world


@pytest.fixture(autouse=True)
def nothing_happens_to_the_server(world: Stage) -> Iterator[None]:
    """Whatever a test does, a pod that runs is not affected by it."""
    before = world.until_ready("server")
    yield
    after = world.until_ready("server")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def test_a_hanging_saladcloud_holds_up_nothing_but_what_waits_for_it(world: Stage) -> None:
    world.cluster.create_pod(manifests.pod("leaves"))
    world.until_ready("leaves")
    # Each request is held for 3 s and then dropped: all threads that ask SaladCloud hang all the time.
    world.cloud.control("configure", hang=3.0)
    world.cloud.control("outage", kind="hang")
    world.cluster.create_pod(manifests.pod("comes"))
    world.cluster.delete_pod("leaves")
    renewals = {_renewal(world)}

    def is_alive() -> bool:
        assert world.daemon.get("/healthz").status == 200
        assert world.daemon.get("/readyz").status == 200
        assert seen.condition(world.cluster.node(), "Ready") == "True"
        renewals.add(_renewal(world))
        return len(renewals) >= 5

    world.until(is_alive, "the lease to be renewed again and again")
    assert seen.phase(world.pod("comes")) == "Pending"
    assert seen.phase(world.pod("leaves")) == "Running"
    world.cloud.control("outage", kind=None)
    world.until_ready("comes")
    world.until(lambda: world.pod("leaves") is None, "the deleted pod to go")
    world.cluster.delete_pod("comes")


@pytest.mark.parametrize("kind", ["reset", "garbage", "html200", "503"])
def test_a_short_outage_of_saladcloud_is_over_when_it_is_over(world: Stage, kind: str) -> None:
    name = f"comes-{kind}"
    world.cloud.control("fail_next", count=1, kind=kind, applied=True, operation="create_container_group")
    world.cloud.control("fail_next", count=8, kind=kind, operation="list_container_groups")
    world.cluster.create_pod(manifests.pod(name))
    world.until_ready(name)
    assert len(_groups(world, name)) == 1
    world.cloud.control("fail_next", count=1, kind=kind, applied=True, operation="delete_container_group")
    world.cluster.delete_pod(name)  # nobody waits for its end


def test_a_rotated_key_is_used_without_a_restart(world: Stage, key_file: pathlib.Path) -> None:
    pid = world.daemon.pid
    world.cloud.control("configure", api_key=KEY_THEN)
    refused = {"operation": "list_container_groups", "code": "401"}
    world.until(
        lambda: world.daemon.metrics().value("saladcloud_requests_total", **refused) > 1, "the key to be refused"
    )
    world.cluster.create_pod(manifests.pod("rotated"))
    # As a mounted Secret changes: a new file takes the old one's place.
    new = key_file.with_suffix(".new")
    new.write_text(f"{KEY_THEN}\n")
    new.replace(key_file)
    world.until_ready("rotated")
    assert world.daemon.pid == pid
    world.cluster.delete_pod("rotated")


def test_an_api_server_that_fails_in_every_way_is_outlived(world: Stage) -> None:
    names = [f"unlucky-{number}" for number in range(5)]
    # What the daemon alone sends.
    status = {"method": "PATCH", "path_part": "/status"}
    for fault in (
        {"kind": "status", "code": 429, "retry_after_seconds": 1, "times": 3, **status},
        {"kind": "close_after", "times": 3, **status},
        {"kind": "close", "times": 2, **status},
        {"kind": "status", "code": 500, "times": 2, **status},
        {"kind": "html", "code": 200, "times": 1, **status},
        {"kind": "status", "code": 409, "times": 2, **status},
        # One after the other, since the informer asks ever more rarely while it fails.
        {"kind": "gone_event", "times": 1},
        {"kind": "garbage", "watches": True, "times": 1},
    ):
        world.api_server.fault(**fault)
    for name in names:
        world.cluster.create_pod(manifests.pod(name))
    world.until(lambda: all(seen.is_ready(world.pod(name)) for name in names), "the pods to be ready", 120.0)
    assert len(_groups(world, "unlucky-")) == len(names)
    for name in names:
        world.cluster.delete_pod(name)
    # The last deletes come seconds later, and are the daemon's.
    world.api_server.fault(kind="close_after", method="DELETE", times=2)
    world.api_server.fault(kind="close_after", times=2, **status)
    world.until(lambda: not [pod for pod in world.pods() if pod["metadata"]["name"] in names], "them to go", 120.0)
    world.api_server.clear_faults()
    assert not _groups(world, "unlucky-")


def test_a_deleted_node_is_there_again_soon_and_its_pods_run_on(world: Stage) -> None:
    old = world.cluster.node()
    assert old is not None
    world.cluster.delete(f"/api/v1/nodes/{NODE_NAME}")

    def is_back() -> Object:
        node = world.cluster.node()
        assert node is not None and node["metadata"]["uid"] != old["metadata"]["uid"]
        assert seen.condition(node, "Ready") == "True" and "pods" in node["status"]["capacity"]
        return node

    new = world.until(is_back, "the node to be back")

    def is_owned() -> bool:
        lease = world.cluster.get(NODE_LEASE)
        owners = (lease or {}).get("metadata", {}).get("ownerReferences") or []
        return [owner["uid"] for owner in owners] == [new["metadata"]["uid"]]

    world.until(is_owned, "the lease to belong to the new node")


def _renewal(world: World) -> str:
    lease = world.cluster.get(NODE_LEASE)
    assert lease is not None
    return str(lease["spec"]["renewTime"])


def _groups(world: World, begin: str) -> list[str]:
    return [name for name in world.group_names() if name.startswith(begin)]
