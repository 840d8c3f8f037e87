"""Pods that come again under the same name, again and again: each has a group of its own, one after the other."""

from __future__ import annotations

from collections.abc import Callable

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import ClusterWorld

TIMES = 10
SECONDS = 180.0


def _at_once(_: Object) -> bool:
    return True


# How far a pod gets before it is deleted.
STAGES: tuple[Callable[[Object], bool], ...] = (_at_once, seen.has_finalizer, _at_once, seen.is_ready)


def bare_pods(world: ClusterWorld) -> None:
    """Created anew in the moment in which the name is free."""
    uids = set()
    for time in range(TIMES):
        world.until(lambda: world.pod("web") is None, "the name to be free", SECONDS)
        uids.add(world.create_pod(manifests.pod("web"))["metadata"]["uid"])
        world.until_pod("web", STAGES[time % len(STAGES)], "to get far enough", SECONDS)
        world.delete_pod("web", grace_seconds=0 if time % 3 == 0 else None)
    assert len(uids) == TIMES
    world.until_nothing_is_left(timeout=SECONDS)


def pods_of_a_stateful_set(world: ClusterWorld) -> None:
    """Its controller makes them anew; the other pod of the set is left alone by that."""
    world.create_stateful_set(manifests.stateful_set("db", 2))
    other = world.until(lambda: world.pod("db-1"), "the other pod", SECONDS)
    uids: set[str] = set()
    for time in range(TIMES):
        stage = STAGES[time % len(STAGES)]

        def is_next(pod: Object) -> bool:
            assert pod["metadata"]["uid"] not in uids
            return stage(pod)  # noqa: B023

        pod = world.until(lambda: _if(world.pod("db-0"), is_next), "the next db-0", SECONDS)  # noqa: B023
        uids.add(pod["metadata"]["uid"])
        world.delete_pod("db-0", grace_seconds=0 if time % 3 == 0 else None)
    pods = world.until_all_ready(2, SECONDS)
    assert {pod["metadata"]["uid"] for pod in pods} & {other["metadata"]["uid"]}
    assert len({seen.group_name(pod) for pod in pods}) == 2
    world.cluster.delete(world.path("statefulsets", "db", "apis/apps/v1"))
    world.until_nothing_is_left(timeout=SECONDS)


def _if(pod: Object | None, is_so: Callable[[Object], bool]) -> Object | None:
    return pod if pod is not None and is_so(pod) else None


STORIES = (bare_pods, pods_of_a_stateful_set)
