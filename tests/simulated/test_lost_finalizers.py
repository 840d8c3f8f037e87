"""Somebody takes our finalizer from a pod: its group is not forgotten, and its container not ended for it.

| the pod | tests |
|---|---|
| runs | `test_a_running_pod_*` |
| is over, and its object stays | `test_what_is_left_of_a_finished_pod_*` |
| is being deleted, and others' finalizers keep its object | `test_what_is_left_of_a_deleted_pod_*` |
| is gone | `test_sharing_a_project.py`: orphans |
| was run by another kubelet | `test_a_pod_of_another_kubelet_*` |
"""

from __future__ import annotations

import pytest

from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support import manifests

POD = "/api/v1/namespaces/default/pods"
KEEP = "example.com/keep"
# Two sightings at least 30 s apart.
ORPHAN_SECONDS = 60.0


def _take_finalizer(world: World, name: str = "web") -> None:
    world.cluster.patch(f"{POD}/{name}", {"metadata": {"$deleteFromPrimitiveList/finalizers": [seen.FINALIZER]}})


@pytest.mark.parametrize("is_restarted", [False, True], ids=["at once", "by a new daemon"])
def test_a_running_pod_takes_its_finalizer_back_and_runs_on(is_restarted: bool) -> None:
    world = World()
    world.create_and_run("web")
    before = world.status()
    if is_restarted:
        world.kill(world.daemon)
    _take_finalizer(world)
    if is_restarted:
        world.daemon = world.start()
    world.run_until(lambda: seen.has_finalizer(world.pod()))
    world.run(300.0)
    assert world.status() == before
    assert "ClaimRestored" in world.reasons()
    assert (world.daemon.cloud_line.count("delete"), len(world.groups())) == (0, 1)
    world.cluster.delete_pod("web")
    world.run_until(lambda: world.is_gone("web") and not world.groups())
    world.check()


def test_a_running_pod_is_not_given_up_while_saladcloud_cannot_be_asked() -> None:
    world = World()
    world.create_and_run("web")
    before = world.status()
    world.cloud.outage("503")
    _take_finalizer(world)
    world.run(600.0)
    assert world.status() == before
    world.cloud.outage(None)
    world.run_until(lambda: seen.has_finalizer(world.pod()))
    assert world.status() == before


def test_what_is_left_of_a_finished_pod_goes() -> None:
    world = World()
    world.create_and_run("job", restart_policy="Never")
    world.kill(world.daemon)
    _take_finalizer(world, "job")
    world.cluster.patch(f"{POD}/job/status", {"status": {"phase": "Failed"}})
    world.daemon = world.start()
    world.run_until(lambda: not world.groups(), ORPHAN_SECONDS)
    world.run(60.0)
    assert world.phase("job") == "Failed"


def test_what_is_left_of_a_deleted_pod_goes_though_others_keep_its_object() -> None:
    world = World()
    world.create_and_run("web")
    world.kill(world.daemon)
    world.cluster.patch(f"{POD}/web", {"metadata": {"finalizers": [KEEP]}})
    _take_finalizer(world)
    world.cluster.delete_pod("web", grace_seconds=0)
    world.daemon = world.start()
    world.run_until(lambda: not world.groups(), ORPHAN_SECONDS)
    assert not world.is_gone("web")


@pytest.mark.parametrize("is_claimed_by_its_template", [False, True])
def test_a_pod_of_another_kubelet_fails_and_costs_no_group(is_claimed_by_its_template: bool) -> None:
    """Annotations may be copied from another pod; SaladCloud knows no group of this one."""
    world = World()
    notes = {"salad.com/attempt": "3", "salad.com/container-group": "sandbox/default/somebodys-0"}
    pod = manifests.pod("web", annotations=notes if is_claimed_by_its_template else None)
    world.kill(world.daemon)
    world.cluster.create_pod({**pod, "spec": {**pod["spec"], "nodeName": "virtual"}})
    status = {"name": "main", "image": "x", "imageID": "", "ready": True, "restartCount": 0}
    running = {**status, "containerID": "other://1", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    world.cluster.patch(f"{POD}/web/status", {"status": {"phase": "Running", "containerStatuses": [running]}})
    world.daemon = world.start()
    world.run_until(lambda: world.phase() == "Failed")
    world.run(5.0)
    assert "NotStartedByThisNode" in world.reasons()
    assert not world.groups() and world.daemon.cloud_line.count("create") == 0
