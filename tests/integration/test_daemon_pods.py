"""Pods on the whole daemon: what an author sees, and what SaladCloud is asked for.

All stories begin at once on one daemon; each test waits for its own pod.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.stage import stage
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.scenarios import World

pytestmark = pytest.mark.integration

DAEMON_SET = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "a-uid", "controller": True}
SECRETS = "/api/v1/namespaces/default/secrets"
OTHER_IMAGE = "registry.example/server:2"


def _pods() -> list[Object]:
    refused = manifests.pod("refused")
    refused["spec"]["hostNetwork"] = True
    wish = manifests.from_secret("PASSWORD", "late", "password")
    return [
        manifests.pod("web"),
        manifests.pod("updated", environment={"KEPT": "yes"}),
        manifests.pod("forced"),
        manifests.pod("short"),
        manifests.pod("once-0", restart_policy="Never", environment=manifests.exits(0)),
        manifests.pod("once-3", restart_policy="Never", environment=manifests.exits(3)),
        manifests.pod("done", restart_policy="OnFailure", environment=manifests.exits(0)),
        manifests.pod("again-onfailure", restart_policy="OnFailure", environment=manifests.exits(3, 2.0)),
        manifests.pod("again-always", environment=manifests.exits(0, 2.0)),
        manifests.pod("broken", image="registry.example/does-not-exist:1"),
        manifests.pod("waits", environment_from=[wish]),
        manifests.pod("logs-x1", owner=DAEMON_SET),
        refused,
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with stage(tmp_path_factory.mktemp("pods")) as world:
        for pod in _pods():
            world.cluster.create_pod(pod)
        # It goes before it can be ready.
        world.until(lambda: _groups_of(world, "short"), "the group of short")
        world.cluster.delete_pod("short")
        yield world


def _groups_of(world: World, name: str) -> list[Object]:
    """Groups are named after their pods."""
    return [group for group in world.cloud.overview() if group["name"].rpartition("-")[0] == name]


def _is_gone(world: World, name: str) -> bool:
    return world.pod(name) is None and not _groups_of(world, name)


def _waits_for(pod: Object) -> str:
    return str(seen.container_state(pod, "waiting").get("reason", ""))


def test_a_pod_becomes_ready_and_leaves_nothing_behind(world: World) -> None:
    pod = world.until_ready("web")
    assert seen.has_finalizer(pod)
    status = seen.container_status(pod)
    assert status["containerID"].startswith("salad://"), status
    assert "startedAt" in status["state"]["running"]
    assert pod["status"]["startTime"]
    assert not pod["status"].get("podIP")
    group = world.group_of(pod)
    assert group is not None and group["name"] == seen.group_name(pod)
    world.cluster.delete_pod("web")
    world.until(lambda: _is_gone(world, "web"), "nothing to be left")


@pytest.mark.parametrize("code", [0, 3])
def test_a_container_that_runs_once_ends_with_its_exit_code(world: World, code: int) -> None:
    """Its group goes although nobody deletes the pod."""
    name, expected = f"once-{code}", "Succeeded" if code == 0 else "Failed"
    pod = world.until_pod(name, lambda pod: seen.phase(pod) == expected, f"to be {expected}")
    ending = seen.container_state(pod, "terminated")
    assert (ending["exitCode"], ending["reason"]) == (code, "Completed" if code == 0 else "Error")
    world.until(lambda: not _groups_of(world, name), "its group to be deleted")
    pod = world.until_pod(name, lambda pod: not seen.has_finalizer(pod), "to be let go")
    assert seen.phase(pod) == expected


@pytest.mark.parametrize(("policy", "code"), [("OnFailure", 3), ("Always", 0)])
def test_the_restart_policy_lets_a_container_run_again(world: World, policy: str, code: int) -> None:
    """Each exit is a restart, in the same group."""
    name = f"again-{policy.lower()}"
    pod = world.until_pod(name, lambda pod: seen.container_status(pod).get("restartCount"), "to be restarted")
    assert seen.container_status(pod)["lastState"]["terminated"]["exitCode"] == code
    assert seen.phase(pod) == "Running"
    (group,) = _groups_of(world, name)
    assert group["name"] == seen.group_name(pod)
    assert pod["metadata"]["annotations"]["salad.com/attempt"] == "0"


def test_on_failure_a_success_is_the_end(world: World) -> None:
    pod = world.until_pod("done", lambda pod: seen.phase(pod) == "Succeeded", "to succeed")
    assert seen.container_state(pod, "terminated")["exitCode"] == 0
    world.until(lambda: not _groups_of(world, "done"), "its group to be deleted")


def test_a_failed_image_is_told_and_its_group_deleted(world: World) -> None:
    reasons = ("ErrImagePull", "ImagePullBackOff")
    pod = world.until_pod("broken", lambda pod: _waits_for(pod) in reasons, "to show the failure")
    assert seen.phase(pod) == "Pending"
    world.until(lambda: not _groups_of(world, "broken"), "the failed attempt to be deleted")
    world.until(
        lambda: any("manifest unknown" in event["message"] for event in world.cluster.events_of("broken")), "the Event"
    )


def test_a_pod_starts_soon_after_the_secret_that_it_waits_for_appears(world: World) -> None:
    world.until_pod("waits", lambda pod: _waits_for(pod) == "CreateContainerConfigError", "to wait for the Secret")
    assert not _groups_of(world, "waits")
    world.cluster.create(SECRETS, manifests.secret("late", {"password": "x"}))
    world.until_ready("waits")


def test_a_new_image_in_place_is_one_patch_of_the_same_group(world: World) -> None:
    before = world.group_of(world.until_ready("updated"))
    assert before is not None
    change = {"spec": {"containers": [{"name": "main", "image": OTHER_IMAGE}]}}
    world.cluster.patch("/api/v1/namespaces/default/pods/updated", change)
    world.until_pod(
        "updated",
        lambda pod: seen.is_ready(pod) and seen.container_status(pod)["restartCount"] == 1,
        "to run the new image",
    )
    (after,) = _groups_of(world, "updated")
    assert (after["name"], after["image"]) == (before["name"], OTHER_IMAGE)
    assert world.requests("update_container_group") == 1


def test_a_pod_that_can_never_run_here_says_why_and_costs_nothing(world: World) -> None:
    refused = world.until_pod("refused", lambda pod: seen.container_state(pod, "waiting").get("message"), "to say why")
    assert seen.phase(refused) == "Pending"
    assert not seen.has_finalizer(refused)
    assert not _groups_of(world, "refused")


def test_a_pod_of_a_daemon_set_is_reported_ready_and_costs_nothing(world: World) -> None:
    pod = world.until_ready("logs-x1")
    assert pod["status"]["reason"] == "NotRunOnVirtualNode"
    assert not seen.has_finalizer(pod)
    assert not _groups_of(world, "logs-x1")
    world.cluster.delete_pod("logs-x1")
    world.until(lambda: _is_gone(world, "logs-x1"), "nothing to be left")


def test_a_pod_deleted_by_force_takes_its_group_along(world: World) -> None:
    world.until_ready("forced")
    world.cluster.delete_pod("forced", grace_seconds=0)
    world.until(lambda: _is_gone(world, "forced"), "nothing to be left")


def test_a_pod_deleted_before_its_group_is_ready_leaves_nothing(world: World) -> None:
    world.until(lambda: _is_gone(world, "short"), "nothing to be left")
