"""Pods on the whole daemon: what an author sees, and what SaladCloud is asked for."""

from __future__ import annotations

import time

import pytest

from tests.support import cluster as seen
from tests.support import manifests, scenarios
from tests.support.scenarios import World

pytestmark = pytest.mark.integration

SOURCE_SECONDS = 15.0
# One minute of back-off before the second attempt, and the deletion of the first.
NEXT_ATTEMPT_SECONDS = 100.0


def test_a_pod_becomes_ready_and_leaves_nothing_behind(world: World) -> None:
    scenarios.a_pod_runs_and_leaves_nothing(world)


@pytest.mark.parametrize("code", [0, 3])
def test_a_container_that_runs_once_ends_with_its_exit_code(world: World, code: int) -> None:
    scenarios.a_container_ends_for_good(world, code)


@pytest.mark.parametrize(("policy", "code"), [("OnFailure", 3), ("Always", 0)])
def test_the_restart_policy_lets_a_container_run_again(world: World, policy: str, code: int) -> None:
    scenarios.a_container_is_restarted(world, policy, code)


def test_on_failure_a_success_is_the_end(world: World) -> None:
    world.cluster.create_pod(manifests.pod("done", restart_policy="OnFailure", environment=manifests.exits(0)))
    pod = world.until_pod("done", lambda pod: seen.phase(pod) == "Succeeded", "to succeed")
    assert seen.container_state(pod, "terminated")["exitCode"] == 0
    world.until(lambda: not world.group_names(), "its group to be deleted")


def test_a_failed_image_is_told_and_the_next_attempt_follows(world: World) -> None:
    world.cluster.create_pod(manifests.pod("broken", image="registry.example/does-not-exist:1"))
    pod = world.until_pod("broken", lambda pod: _waits_for(pod) == "ErrImagePull", "to show the failure")
    assert "manifest unknown" in seen.container_state(pod, "waiting")["message"]
    first = seen.group_name(pod)
    world.until(lambda: first not in world.group_names(), "the failed attempt to be deleted")
    pod = world.until_pod(
        "broken", lambda pod: seen.group_name(pod) != first, "to be tried again", NEXT_ATTEMPT_SECONDS
    )
    assert seen.phase(pod) == "Pending"
    assert pod["metadata"]["annotations"]["salad.com/attempt"] == "1"
    world.until(lambda: world.requests("create_container_group") == 2, "the second create")
    assert any("manifest unknown" in event["message"] for event in world.cluster.events_of("broken"))
    world.cluster.delete_pod("broken")
    world.until_nothing_is_left()


def test_a_pod_starts_soon_after_the_secret_that_it_waits_for_appears(world: World) -> None:
    wish = manifests.from_secret("PASSWORD", "late", "password")
    world.cluster.create_pod(manifests.pod("waits", environment_from=[wish]))
    world.until_pod("waits", lambda pod: _waits_for(pod) == "CreateContainerConfigError", "to wait for the Secret")
    assert world.requests("create_container_group") == 0
    world.cluster.create("/api/v1/namespaces/default/secrets", manifests.secret("late", {"password": "x"}))
    appeared = time.monotonic()
    world.until(lambda: world.requests("create_container_group") == 1, "the create", SOURCE_SECONDS)
    assert time.monotonic() - appeared <= SOURCE_SECONDS
    world.until_ready("waits")


def test_a_new_image_in_place_is_one_patch_of_the_same_group(world: World) -> None:
    world.cluster.create_pod(manifests.pod("web", environment={"KEPT": "yes"}))
    before = world.group_of(world.until_ready("web"))
    assert before is not None
    image = "registry.example/server:2"
    change = {"spec": {"containers": [{"name": "main", "image": image}]}}
    world.cluster.patch("/api/v1/namespaces/default/pods/web", change)
    world.until(lambda: world.requests("update_container_group") >= 1, "the update")
    world.until_pod(
        "web", lambda pod: seen.is_ready(pod) and seen.container_status(pod)["image"] == image, "to run the new image"
    )
    (after,) = world.cloud.overview()
    assert (after["name"], after["image"]) == (before["name"], image)
    assert world.requests("update_container_group") == 1
    assert world.requests("create_container_group") == 1


def test_a_pod_that_can_never_run_here_says_why_and_costs_nothing(world: World) -> None:
    pod = manifests.pod("refused")
    pod["spec"]["hostNetwork"] = True
    world.cluster.create_pod(pod)
    refused = world.until_pod("refused", lambda pod: seen.container_state(pod, "waiting").get("message"), "to say why")
    assert seen.phase(refused) == "Pending"
    assert not seen.has_finalizer(refused)
    assert world.requests("create_container_group") == 0


def test_a_pod_of_a_daemon_set_is_reported_ready_and_costs_nothing(world: World) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "a-uid", "controller": True}
    world.cluster.create_pod(manifests.pod("logs-x1", owner=owner))
    pod = world.until_ready("logs-x1")
    assert pod["status"]["reason"] == "NotRunOnVirtualNode"
    assert not seen.has_finalizer(pod)
    assert world.requests("create_container_group") == 0
    world.cluster.delete_pod("logs-x1")
    world.until_nothing_is_left()


def test_a_pod_deleted_by_force_takes_its_group_along(world: World) -> None:
    world.cluster.create_pod(manifests.pod("forced"))
    world.until_ready("forced")
    world.cluster.delete_pod("forced", grace_seconds=0)
    world.until_nothing_is_left()


def test_a_pod_deleted_before_its_group_is_ready_leaves_nothing(world: World) -> None:
    world.cluster.create_pod(manifests.pod("short"))
    world.until(lambda: world.group_names(), "its group")
    world.cluster.delete_pod("short")
    world.until_nothing_is_left()


def _waits_for(pod: seen.Object) -> str:
    return str(seen.container_state(pod, "waiting").get("reason", ""))
