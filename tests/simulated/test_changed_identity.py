"""The daemon is started with other flags than those under which its pods were started: nothing of theirs is touched.

| what was changed | tests |
|---|---|
| `--cluster-id` (or it is given for the first time) | `test_under_another_cluster_id_*` |
| `--nodename` | `test_under_another_node_name_*` |
| `--sce-organization-name`, `--sce-project-name` | `test_in_a_wrong_place_*` |
| the key may not see the project any more | `test_a_key_that_may_see_nothing_*` |
| over sockets: `tests/integration/test_wrong_project.py` | |
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support.cloud_transport import CloudSettings
from virtual_kubelet_salad.saladcloud.transport import Answer

# Longer than a create may take to settle, and than the brake holds.
LONG_SECONDS = 1_800.0
MANY = 12


def _unchanged(world: World, before: dict[str, seen.Object], groups: set[str]) -> None:
    for name, pod in before.items():
        now = world.pod(name)
        assert now["status"] == pod["status"], name
        assert now["metadata"]["annotations"] == pod["metadata"]["annotations"]
        assert seen.has_finalizer(now)
    assert groups <= world.groups()


@pytest.mark.parametrize("count", [2, MANY], ids=["few", "many"])
def test_under_another_cluster_id_the_pods_are_left_alone_and_told(count: int) -> None:
    """Every name that is computed now is another; that nothing bears them says nothing about the groups."""
    world = World()
    names = [f"web-{number}" for number in range(count)]
    world.create_and_run(*names)
    world.restart(cluster_id="prod")
    before, groups = {name: world.pod(name) for name in names}, world.groups()
    world.cluster.delete_pod("web-0")
    world.create("new")
    world.run(LONG_SECONDS)
    _unchanged(world, before, groups)
    assert "ProjectMismatch" in world.reasons("web-0") & world.reasons("web-1")
    assert "Brake" not in world.reasons("virtual")
    assert world.is_ready("new"), "what is new starts under the new id"
    line = world.daemon.cloud_line
    assert (line.count("create"), line.count("delete"), line.count("update")) == (1, 0, 0)
    # Back again everything goes on as if nothing had happened.
    world.cluster.delete_pod("new")
    world.run_until(lambda: world.is_gone("new"))
    world.restart()
    world.run_until(lambda: world.is_gone("web-0"))
    world.run(60.0)
    assert all(world.status(name) == before[name]["status"] for name in names[1:])
    assert world.groups() == {world.group(name) for name in names[1:]}
    world.check()


def test_under_another_cluster_id_a_create_that_is_under_way_is_waited_for() -> None:
    """Its group appears after the restart, under the old name."""
    world = World()
    world.cloud.fail_next(1, "reset", applied=True, operation="create_container_group")
    world.create("web")
    world.run_until(lambda: world.groups())
    world.restart(cluster_id="prod")
    world.cluster.delete_pod("web")
    world.run(LONG_SECONDS)
    assert not world.is_gone("web"), "the pod is all that tells of the group"
    assert world.daemon.cloud_line.count("create") == 0
    world.restart()
    world.run_until(lambda: world.is_gone("web") and not world.groups())


@pytest.mark.parametrize("poll_seconds", [5.0, 120.0])
def test_a_key_that_may_see_nothing_any_more_lets_no_pod_go(poll_seconds: float) -> None:
    """Then SaladCloud says of every group that it does not exist, in the words of one that is gone."""
    world = World(start=False)
    world.daemon = world.start(operator=CloudSettings(nodename="virtual", poll_interval=poll_seconds))
    world.run(5.0)
    world.create_and_run("web", "leaves", within=300.0)
    status, groups = world.status(), world.groups()
    problem = {"type": "container_group_not_found", "title": "Not Found", "status": 404}
    line = world.daemon.cloud_line
    line.before = lambda method, path: Answer(404, "application/problem+json", dict(problem))
    world.cluster.delete_pod("leaves")
    world.run(LONG_SECONDS)
    assert not world.is_gone("leaves") and seen.has_finalizer(world.pod("leaves"))
    assert world.status() == status and world.groups() == groups
    assert world.is_cut_off()
    line.before = lambda method, path: None
    world.run_until(lambda: world.is_gone("leaves"), within=2 * poll_seconds + 120.0)
    assert world.groups() == {world.group()} and world.status() == status


def test_an_edited_claim_is_no_sign_of_another_daemon() -> None:
    """An author writes the name of somebody else's group, or of none, into the claim."""
    world = World()
    foreign = world.create_foreign_groups(1)
    world.create_and_run("web", "other", "third")
    for name, written in (("web", foreign.copy().pop()), ("other", world.group("third")), ("third", "nothing")):
        claim = {"salad.com/container-group": f"sandbox/default/{written}"}
        world.cluster.patch(f"/api/v1/namespaces/default/pods/{name}", {"metadata": {"annotations": claim}})
    world.run_until(lambda: all(world.group(name) in world.groups() for name in ("web", "other", "third")))
    assert world.group("web") not in foreign
    for name in ("web", "other", "third"):
        world.cluster.delete_pod(name)
    world.run_until(lambda: world.is_gone("web", "other", "third"), within=300.0)
    assert world.groups() == foreign
    world.check(foreign)


def test_under_another_node_name_nothing_of_the_old_node_is_touched() -> None:
    world = World()
    world.create_and_run("web", "leaves")
    before, groups = {name: world.pod(name) for name in ("web", "leaves")}, world.groups()
    world.restart(node="renamed")
    world.cluster.delete_pod("leaves")
    world.create("new", node="renamed")
    world.run(LONG_SECONDS)
    assert world.is_ready("new")
    _unchanged(world, before, groups)
    assert world.daemon.cloud_line.count("delete") == 0
    world.kill(world.daemon)
    world.daemon = world.start()
    world.run_until(lambda: world.is_gone("leaves"))
    world.run(60.0)
    assert world.status() == before["web"]["status"]
    world.check()


@pytest.mark.parametrize(
    "mistake",
    [{"sce_organization_name": "nobody"}, {"sce_project_name": "nobody"}, {"sce_project_name": "other"}],
    ids=["unknown organization", "unknown project", "another project"],
)
@pytest.mark.parametrize("count", [2, MANY], ids=["few", "many"])
def test_in_a_wrong_place_nothing_changes_however_often_the_daemon_starts(mistake: dict[str, Any], count: int) -> None:
    """A place that SaladCloud does not know answers 404 to every question; nothing is gone for that."""
    world = World(projects=("default", "other"))
    names = [f"web-{number}" for number in range(count)]
    world.create_and_run(*names)
    world.run(60.0)
    before, groups = {name: world.pod(name) for name in names}, world.groups()
    world.cluster.delete_pod("web-0")
    for _ in range(3):
        world.restart(operator=CloudSettings(nodename="virtual", **mistake))
        world.create("new")
        world.run(LONG_SECONDS / 3.0)
        _unchanged(world, before, groups)
        assert world.is_cut_off()
        conditions = world.node()["status"]["conditions"]
        assert [one["reason"] for one in conditions if one["type"] == "SaladCloudReachable"] == ["ProjectMismatch"]
        line = world.daemon.cloud_line
        assert (line.count("create"), line.count("delete"), line.count("get")) == (0, 0, 0)
        world.cluster.delete_pod("new")
        world.run_until(lambda: world.is_gone("new"))
    world.restart()
    world.run_until(lambda: world.is_gone("web-0") and not world.is_cut_off())
    world.run(60.0)
    assert all(world.status(name) == before[name]["status"] for name in names[1:])
    assert world.groups() == {world.group(name) for name in names[1:]}
    world.check()
