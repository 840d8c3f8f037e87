"""Each request that the daemon sends to SaladCloud fails for minutes, in every way, while all others are answered.

An outage of everything is easy: nothing is believed. Here most answers are good, and what fails must not be taken for
an answer: no phase changes, nothing is made twice or deleted, nothing waits for ever. One row of `OPERATIONS` for each
operation in `saladcloud/client.py`; hangs take as long as the daemon lets them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support import manifests

POD = "/api/v1/namespaces/default/pods"
KINDS = (
    *("500", "502", "503", "504", "408", "reset", "hang", "garbage", "html200"),
    *("400", "401", "403", "429", "429-retry-after"),
)
EACH_SECONDS = 60.0
# The longest backoff, and what follows.
RECOVERED_SECONDS = 700.0
NEW_IMAGE = "registry.example/server:2"


def _change_image(world: World) -> None:
    world.cluster.patch(f"{POD}/changes", {"spec": {"containers": [{"name": "main", "image": NEW_IMAGE}]}})


def _delete(world: World) -> None:
    world.cluster.delete_pod("leaves")


def _create(world: World) -> None:
    world.create("comes")


def _exit(world: World) -> None:
    world.cloud.exit_container(world.group("server"), 1)


def _stop(world: World) -> None:
    world.cloud.stop_group(world.group("server"))


def _nothing(world: World) -> None:
    """It is asked for anyway."""


OPERATIONS: dict[str, Callable[[World], None]] = {
    "list_container_groups": _nothing,
    "get_container_group": _delete,
    "create_container_group": _create,
    "update_container_group": _change_image,
    "delete_container_group": _delete,
    "start_container_group": _stop,
    "list_container_group_instances": _exit,
    "get_system_logs": _exit,
    "query_log_entries": _exit,
    "get_quotas": _create,
    "list_gpu_classes": _create,
}


def _world() -> World:
    world = World()
    world.create_and_run("server", "changes", "leaves")
    world.create_and_run("job", restart_policy="Never", environment=manifests.exits(3, 200.0))
    return world


def _image(world: World, name: str) -> str:
    group = world.group(name)
    return next(str(one["image"]) for one in world.cloud.overview() if one["name"] == group)


def _holds(world: World, groups: set[str]) -> None:
    for name in ("server", "changes"):
        assert world.phase(name) == "Running"
    assert world.phase("job") in ("Running", "Failed")
    if world.phase("job") == "Failed":
        assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 3
    assert seen.condition(world.node(), "Ready") == "True"
    assert not groups - world.groups()
    assert not world.cloud.statistics()["duplicates"]


@pytest.mark.parametrize(("operation", "act"), OPERATIONS.items(), ids=OPERATIONS)
def test_an_operation_that_fails_for_minutes_in_every_way_changes_nothing(
    operation: str, act: Callable[[World], None]
) -> None:
    world = _world()
    kept = {world.group(name) for name in ("server", "changes")}
    leaving = world.group("leaves")
    world.cloud.fail_next(1_000_000, KINDS[0], operation=operation)
    act(world)
    for kind in KINDS:
        world.cloud.clear_faults()
        world.cloud.fail_next(1_000_000, kind, operation=operation)
        end = world.now + EACH_SECONDS
        while world.now < end:
            world.run(5.0)
            _holds(world, kept)
            assert not world.is_gone("leaves") or leaving not in world.groups(), "the pod went before its group"
    world.cloud.clear_faults()
    if act is not _delete:
        world.cluster.delete_pod("leaves")
    world.run_until(lambda: world.is_gone("leaves") and world.phase("job") == "Failed", RECOVERED_SECONDS)
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] in (3, 137)
    names = [name for name in ("server", "changes", "comes") if not world.is_gone(name)]
    world.run_until(lambda: all(map(world.is_ready, names)), RECOVERED_SECONDS)
    world.run_until(lambda: world.groups() == {world.group(name) for name in names}, RECOVERED_SECONDS)
    image = NEW_IMAGE if act is _change_image else manifests.IMAGE
    world.run_until(lambda: _image(world, "changes") == image and world.is_ready("changes"), RECOVERED_SECONDS)
    world.run_until(lambda: not world.is_cut_off(), RECOVERED_SECONDS)
    assert world.daemon.daemon.heartbeat.age_seconds() < 40.0
    world.check()
