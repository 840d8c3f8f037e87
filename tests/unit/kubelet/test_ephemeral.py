"""What is added to a pod that is there already never runs, and does the pod no harm."""

from __future__ import annotations

from typing import Any

from tests.support.kubelet_world import KubeletWorld

ROUTE = "/ephemeralcontainers"
DEBUGGER = {"name": "debugger", "image": "busybox:1", "terminationMessagePolicy": "File"}


def added(world: KubeletWorld) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.status().get("ephemeralContainerStatuses", [])
    return found


def told(world: KubeletWorld) -> int:
    return world.event_reasons().count("UnsupportedField")


def test_one_added_to_a_running_pod_has_ended_with_a_reason_and_the_pod_goes_on(world: KubeletWorld) -> None:
    world.run_pod()
    container = world.container()
    world.patch_pod({"spec": {"ephemeralContainers": [DEBUGGER]}}, subresource=ROUTE)
    world.settle(600.0)
    (status,) = added(world)
    assert (status["name"], status["image"]) == ("debugger", "busybox:1")
    ended = status["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "UnsupportedField")
    assert "only one container" in ended["message"]
    assert world.container() == container
    assert world.status()["phase"] == "Running"
    assert told(world) == 1
    assert world.provider.count("create") == 1


def test_one_that_was_told_stays_as_it_was_told(world: KubeletWorld) -> None:
    world.run_pod()
    world.patch_pod({"spec": {"ephemeralContainers": [DEBUGGER]}}, subresource=ROUTE)
    world.settle()
    first = added(world)
    assert told(world) == 1
    world.clock.advance(60.0)
    world.patch_pod({"spec": {"ephemeralContainers": [DEBUGGER, {**DEBUGGER, "name": "another"}]}}, subresource=ROUTE)
    world.settle(600.0)
    assert added(world)[:1] == first
    assert [status["name"] for status in added(world)] == ["debugger", "another"]
    assert told(world) == 2
    world.start()
    world.settle(600.0)
    assert len(added(world)) == 2
    assert told(world) == 2


def test_a_pod_that_waits_is_not_refused_for_one(world: KubeletWorld) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "t"}}}
    world.create_pod(restartPolicy="Never", container={"env": [token]})
    world.settle()
    world.patch_pod({"spec": {"ephemeralContainers": [DEBUGGER]}}, subresource=ROUTE)
    world.settle()
    assert [status["name"] for status in added(world)] == ["debugger"]
    secret = {"metadata": {"name": "tokens"}, "data": {"t": "czNjcjN0"}}
    world.model.handle("POST", "/api/v1/namespaces/default/secrets", {}, secret)
    world.settle(600.0)
    assert world.provider.count("create") == 1
    assert world.status()["phase"] == "Pending"
