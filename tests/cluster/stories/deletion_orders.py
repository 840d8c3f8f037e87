"""Pods that go in every order: the object never before its group, and never a group that is not wanted any more."""

from __future__ import annotations

import uuid

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import ClusterWorld, new_namespace

# Generous: two answers of "not found" are believed 5 s apart, and everything else here takes its time, too.
SECONDS = 180.0
KEEP = "example.com/keep"


def deleted_while_they_run(world: ClusterWorld) -> None:
    for name in ("graceful", "forced", "by-hand", "patient"):
        world.create_pod(manifests.pod(name))
    world.until_all_ready(4, SECONDS)
    world.delete_pod("graceful")
    world.delete_pod("forced", grace_seconds=0)
    world.delete_pod("patient", grace_seconds=600)
    world.kubectl("delete", "pod", "by-hand", "--force", "--grace-period=0", "--wait=false")
    world.until_nothing_is_left(timeout=SECONDS)


def deleted_before_their_create(world: ClusterWorld) -> None:
    """They wait for a Secret that never comes, so nothing was claimed."""
    for name in ("waits", "waits-in-vain"):
        source = manifests.from_secret("PASSWORD", "missing", "password")
        world.create_pod(manifests.pod(name, environment_from=[source]))
        pod = world.until_pod(name, _waits_for("CreateContainerConfigError"), "to wait for its Secret", SECONDS)
        assert not seen.has_finalizer(pod)
    world.delete_pod("waits")
    world.delete_pod("waits-in-vain", grace_seconds=0)
    world.until_nothing_is_left(timeout=SECONDS)
    assert not _groups_ever(world, "waits")


def deleted_between_claim_and_create(world: ClusterWorld) -> None:
    """SaladCloud refuses every create, so nothing was ever made."""
    name = _unique("refused")
    world.cloud.control("fail_next", count=10_000, kind="400", operation="create_container_group", group=name)
    world.create_pod(manifests.pod(name))
    pod = world.until_pod(name, _waits_for("RejectedBySaladCloud"), "to say why it waits", SECONDS)
    assert seen.has_finalizer(pod)
    world.delete_pod(name)
    world.until_nothing_is_left(timeout=SECONDS)
    assert not _groups_ever(world, name)


def deleted_during_a_create_that_was_lost(world: ClusterWorld) -> None:
    """Every create fails in a way that does not tell whether it took effect; none has."""
    name = _unique("lost")
    world.cloud.control("fail_next", count=10_000, kind="504", operation="create_container_group", group=name)
    creates = world.requests("create_container_group")
    world.create_pod(manifests.pod(name))
    world.until_pod(name, seen.has_finalizer, "to be claimed", SECONDS)
    world.until(lambda: world.requests("create_container_group") > creates, "a create", SECONDS)
    world.delete_pod(name)
    world.until_nothing_is_left(timeout=SECONDS)
    assert not _groups_ever(world, name)


def deleted_during_a_create_that_took_effect(world: ClusterWorld) -> None:
    """The answer is an error, or there is none for half a minute; the group is there all the same."""
    names = {kind: _unique(f"applied-{kind}") for kind in ("504", "408", "reset", "hang")}
    for kind, name in names.items():
        world.cloud.control(
            "fail_next", count=1, kind=kind, applied=True, operation="create_container_group", group=name
        )
        world.create_pod(manifests.pod(name))
    for number, name in enumerate(names.values()):
        world.until(lambda: _groups_ever(world, name), f"the group of {name}", SECONDS)  # noqa: B023
        world.delete_pod(name, grace_seconds=0 if number % 2 else None)
    world.until_nothing_is_left(timeout=SECONDS)
    for name in names.values():
        assert len(_groups_ever(world, name)) == 1


def deleted_when_they_have_succeeded(world: ClusterWorld) -> None:
    """One at once, when its group may still be there, one when it has been let go; and one that somebody else keeps."""
    for name in ("at-once", "later", "kept"):
        pod = manifests.pod(name, restart_policy="Never", environment=manifests.exits(0))
        if name == "kept":
            pod["metadata"]["finalizers"] = [KEEP]
        world.create_pod(pod)
    world.until_pod("at-once", _is("Succeeded"), "to succeed", SECONDS)
    world.delete_pod("at-once")
    world.until_pod("later", _is_let_go_as("Succeeded"), "to be let go", SECONDS)
    world.delete_pod("later")
    world.until_pod("kept", _is("Succeeded"), "to succeed", SECONDS)
    world.delete_pod("kept")
    kept = world.until_pod("kept", _is_let_go_as("Succeeded"), "to be let go", SECONDS)
    assert seen.container_state(kept, "terminated")["exitCode"] == 0
    _strip(world, "kept")
    world.until_nothing_is_left(timeout=SECONDS)


def deleted_with_a_foreign_finalizer(world: ClusterWorld) -> None:
    """The group goes and we let go, though the object stays; it says that nothing runs."""
    pod = manifests.pod("kept")
    pod["metadata"]["finalizers"] = [KEEP]
    world.create_pod(pod)
    world.until_ready("kept", SECONDS)
    world.delete_pod("kept")
    kept = world.until_pod("kept", _is_let_go_as("Failed"), "to be let go", SECONDS)
    assert not world.group_names()
    assert kept["metadata"]["finalizers"] == [KEEP]
    ending = seen.container_state(kept, "terminated")
    assert (ending["exitCode"], ending["reason"]) == (137, "ContainerStatusUnknown"), ending
    assert seen.condition(kept, "Ready") == "False"
    _strip(world, "kept")
    world.until_nothing_is_left(timeout=SECONDS)


def deleted_with_their_namespace(world: ClusterWorld) -> None:
    """Running, finished and waiting ones go with it."""
    with new_namespace(world.control_plane) as namespace:
        doomed = world.in_namespace(namespace)
        for name in ("runs", "runs-too"):
            doomed.create_pod(manifests.pod(name))
        doomed.create_pod(manifests.pod("done", restart_policy="Never", environment=manifests.exits(0)))
        source = manifests.from_secret("PASSWORD", "missing", "password")
        doomed.create_pod(manifests.pod("waits", environment_from=[source]))
        for name in ("runs", "runs-too"):
            doomed.until_ready(name, SECONDS)
        doomed.until_pod("done", _is("Succeeded"), "to succeed", SECONDS)
    path = f"/api/v1/namespaces/{namespace}"
    world.until(lambda: world.cluster.get(path) is None, "the namespace to be gone", SECONDS)
    assert not doomed.group_names()


def _unique(name: str) -> str:
    """Faults name groups by how their names begin."""
    return f"{name}-{uuid.uuid4().hex[:6]}"


def _groups_ever(world: ClusterWorld, name: str) -> list[str]:
    """Every group that there ever was for a pod of that name."""
    return [group for group in world.cloud.statistics()["runs"] if group.startswith(f"{name}-")]


def _strip(world: ClusterWorld, name: str) -> None:
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": [KEEP]}}
    world.cluster.patch(world.path("pods", name), change)


def _waits_for(reason: str) -> seen.IsSo:
    return lambda pod: seen.container_state(pod, "waiting").get("reason") == reason


def _is(phase: str) -> seen.IsSo:
    return lambda pod: seen.phase(pod) == phase


def _is_let_go_as(phase: str) -> seen.IsSo:
    def look(pod: Object) -> bool:
        return seen.phase(pod) == phase and not seen.has_finalizer(pod)

    return look


STORIES = (
    deleted_while_they_run,
    deleted_before_their_create,
    deleted_between_claim_and_create,
    deleted_during_a_create_that_was_lost,
    deleted_during_a_create_that_took_effect,
    deleted_when_they_have_succeeded,
    deleted_with_a_foreign_finalizer,
    deleted_with_their_namespace,
)
