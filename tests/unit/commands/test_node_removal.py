"""The Node of a cleanup: cordoned, deleted, and never somebody else's."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from tests.support.kubelet_world import NODE
from tests.unit.commands.cleanup_world import CleanupWorld
from virtual_kubelet_salad.commands.node_removal import NotOurNode


@pytest.fixture
def world(fake_clock: FakeClock) -> CleanupWorld:
    return CleanupWorld(fake_clock)


def test_the_node_is_cordoned_once(world: CleanupWorld) -> None:
    assert world.removal().cordon()
    assert not world.removal().cordon()
    node = world.removal().node()
    assert node is not None and node["spec"]["unschedulable"] is True


def test_the_node_and_its_lease_are_deleted_and_that_is_idempotent(world: CleanupWorld) -> None:
    world.daemon.heartbeat.step()
    assert world.removal().delete_heartbeat_lease()
    assert world.removal().delete_node()
    assert not world.removal().delete_heartbeat_lease()
    assert not world.removal().delete_node()
    assert world.model.handle("GET", f"/api/v1/nodes/{NODE}").status == 404


@pytest.mark.parametrize(
    ("labels", "provider_id"),
    [({}, ""), ({"type": "virtual-kubelet"}, "other://virtual"), ({"type": "worker"}, "memory://virtual")],
)
def test_somebody_elses_node_is_not_touched(world: CleanupWorld, labels: dict[str, str], provider_id: str) -> None:
    assert world.removal().delete_node()
    body = {"metadata": {"name": NODE, "labels": labels}, "spec": {"providerID": provider_id} if provider_id else {}}
    assert world.model.handle("POST", "/api/v1/nodes", {}, body).status == 201
    for action in (world.removal().cordon, world.removal().delete_node, world.removal().node):
        with pytest.raises(NotOurNode):
            action()
    assert world.model.handle("GET", f"/api/v1/nodes/{NODE}").body["spec"].get("unschedulable") is None
