"""What an outage of SaladCloud must not do, whose groups are not touched, and a Node that somebody deletes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support import cluster as seen
from tests.support import manifests, scenarios
from tests.support.cloud_process import create_foreign_group
from tests.support.cluster import NODE_NAME
from tests.support.scenarios import World, holds_for

pytestmark = pytest.mark.integration

# Together 30 s, half of what the Node is given before it says that SaladCloud cannot be reached; each longer than the
# 5 s after which two answers of "not found" would count.
OUTAGES = ("503", "reset", "garbage", "html200", "401")
SECONDS_EACH = 6.0
NODE_SECONDS = 15.0
# Two sightings at least 30 s apart.
ORPHAN_SECONDS = 60.0


def test_an_outage_of_saladcloud_changes_nothing(world: World) -> None:
    for name in ("server", "job", "leaves"):
        world.cluster.create_pod(manifests.pod(name, restart_policy="Never" if name == "job" else "Always"))
    before = {pod["metadata"]["name"]: pod for pod in world.until_all_ready(3)}
    node = _node_in_short(world)

    def nothing_changed() -> None:
        for name in ("server", "job"):
            pod = world.pod(name)
            assert pod is not None
            assert pod["status"] == before[name]["status"]
        assert _node_in_short(world) == node
        leaving = world.pod("leaves")
        assert leaving is not None and seen.phase(leaving) == "Running"

    world.cloud.control("outage", kind=OUTAGES[0])
    world.cluster.create_pod(manifests.pod("comes"))
    world.cluster.delete_pod("leaves")
    for kind in OUTAGES:
        world.cloud.control("outage", kind=kind)
        holds_for(SECONDS_EACH, nothing_changed, f"an outage ({kind}) without effect")
        assert seen.phase(world.pod("comes")) == "Pending"
    world.cloud.control("outage", kind=None)
    world.until_all_ready(3)
    assert set(world.group_names()) == {seen.group_name(pod) for pod in world.pods()}


def test_a_lost_answer_to_a_create_makes_no_second_group(world: World) -> None:
    world.cloud.control("fail_next", count=1, kind="504", applied=True, operation="create_container_group")
    world.cluster.create_pod(manifests.pod("web"))
    world.until_ready("web")
    assert len(world.group_names()) == 1


def test_groups_of_others_are_never_touched_and_orphans_of_ours_go(world: World) -> None:
    foreign = ["somebodys-group", "web-abcdefghijkl"]
    for name in foreign:
        create_foreign_group(world.cloud, name)
    world.cluster.create_pod(manifests.pod("orphaned"))
    world.cluster.create_pod(manifests.pod("stays"))
    kept = {*foreign, seen.group_name(world.until_ready("stays"))}
    pod = world.until_ready("orphaned")
    orphan = seen.group_name(pod)
    # Somebody strips the finalizer and forces the delete while nobody looks.
    world.daemon.kill()
    path = "/api/v1/namespaces/default/pods/orphaned"
    world.cluster.patch(path, {"metadata": {"$deleteFromPrimitiveList/finalizers": [seen.FINALIZER]}})
    world.cluster.delete_pod("orphaned", grace_seconds=0)
    assert world.pod("orphaned") is None
    world.daemon.start()
    world.until(lambda: orphan not in world.group_names(), "the orphan to be deleted", ORPHAN_SECONDS)
    assert world.group_names() == kept
    assert world.daemon.metrics().value("orphans_deleted_total") == 1
    world.cluster.delete_pod("stays")
    world.until_nothing_is_left(keep=foreign)
    scenarios.check_cloud(world.cloud, foreign)


def test_a_deleted_node_is_there_again_soon_and_its_pods_run_on(world: World) -> None:
    world.cluster.create_pod(manifests.pod("web"))
    before = world.until_ready("web")
    old = world.cluster.node()
    assert old is not None
    world.cluster.delete(f"/api/v1/nodes/{NODE_NAME}")
    deleted = time.monotonic()

    def is_back() -> bool:
        node = world.cluster.node()
        assert node is not None and node["metadata"]["uid"] != old["metadata"]["uid"]
        return seen.condition(node, "Ready") == "True" and "pods" in node["status"]["capacity"]

    world.until(is_back, "the node to be back", NODE_SECONDS)
    assert time.monotonic() - deleted <= NODE_SECONDS
    new = world.cluster.node()
    assert new is not None

    def owned() -> bool:
        lease = world.cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE_NAME}")
        owners = (lease or {}).get("metadata", {}).get("ownerReferences") or []
        return [owner["uid"] for owner in owners] == [new["metadata"]["uid"]]

    world.until(owned, "the lease to belong to the new node", NODE_SECONDS)
    after = world.pod("web")
    assert after is not None and after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def _node_in_short(world: World) -> dict[str, Any]:
    """What an outage must not change; the heartbeat times may."""
    node = world.cluster.node()
    assert node is not None
    return {
        "taints": node["spec"].get("taints"),
        "conditions": {each["type"]: each["status"] for each in node["status"]["conditions"]},
        "capacity": node["status"]["capacity"],
    }
