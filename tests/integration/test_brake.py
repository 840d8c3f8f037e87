"""Many groups that vanish at once: the pods are not failed for it, and Event, metric and log tell of it."""

from __future__ import annotations

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.scenarios import World, holds_for

pytestmark = pytest.mark.integration

MANY = 12


def test_mass_vanishing_is_held_and_told(world: World) -> None:
    for number in range(MANY):
        world.cluster.create_pod(manifests.pod(f"web-{number}"))
    pods = world.until_all_ready(MANY)
    assert world.daemon.metrics().value("brake_active") == 0
    for pod in pods:
        world.cloud.control("vanish", name=seen.group_name(pod))
    world.until(lambda: world.daemon.metrics().value("brake_active") == 1, "the brake")
    world.until(lambda: "Brake" in _reasons(world), "the Event on the Node")
    assert "brake engaged" in world.daemon.log_of_this_run()

    def none_is_failed() -> None:
        assert {seen.phase(pod) for pod in world.pods()} == {"Running"}

    holds_for(10.0, none_is_failed, "pods that run on")
    assert world.requests("create_container_group") == MANY
    # Who is asked to go may go all the same.
    for pod in pods:
        world.cluster.delete_pod(pod["metadata"]["name"])
    world.until_nothing_is_left()


def _reasons(world: World) -> set[str]:
    return {event["reason"] for event in world.cluster.events_of(seen.NODE_NAME)}
