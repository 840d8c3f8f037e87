"""What Kubernetes does by itself with a Node that is silent or deleted, and with pods that others write to as well."""

from __future__ import annotations

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import ClusterWorld

# A silent Node is believed after 50 s, a missing one after 40 to 60 s.
SECONDS = 240.0
MEDDLINGS_PER_LOOK = 5


def pods_are_ready_again_after_a_blip(world: ClusterWorld) -> None:
    """The daemon stands still for a minute. The node controller sets its pods' Ready to False, and never back: that is
    the node's to do. Its daemon is this story's own."""
    world.create_pod(manifests.pod("web"))
    before = world.until_ready("web", SECONDS)
    world.daemon.freeze()
    try:
        world.until_pod("web", _is_not_ready, "to be called not ready by the node controller", SECONDS)
        node = world.cluster.node(world.node)
        assert seen.condition(node, "Ready") == "Unknown"
    finally:
        world.daemon.thaw()
    after = world.until_ready("web", SECONDS)
    world.until(lambda: seen.condition(world.cluster.node(world.node), "Ready") == "True", "the Node", SECONDS)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert seen.container_status(after) == seen.container_status(before)
    assert world.group_names() == {seen.group_name(before)}
    world.delete_pod("web")
    world.until_nothing_is_left(timeout=SECONDS)


def pods_of_a_deleted_node_go_after_their_groups(world: ClusterWorld) -> None:
    """The Node is deleted while its daemon is dead. Pod GC deletes its pods by force; their objects wait for a daemon
    that clears up. The daemon is this story's own."""
    world.create_pod(manifests.pod("web"))
    world.create_pod(manifests.pod("job", restart_policy="Never"))
    world.until_all_ready(2, SECONDS)
    world.daemon.kill()
    world.cluster.delete(f"/api/v1/nodes/{world.node}")

    def all_are_leaving() -> bool:
        pods = world.pods()
        assert len(pods) == 2 and all("deletionTimestamp" in pod["metadata"] for pod in pods), seen.in_short(pods)
        return True

    world.until(all_are_leaving, "pod GC to delete both", SECONDS)
    assert len(world.group_names()) == 2
    world.daemon.start()
    world.until_nothing_is_left(timeout=SECONDS)
    world.until(lambda: seen.condition(world.cluster.node(world.node), "Ready") == "True", "the Node", SECONDS)


def pods_that_others_write_to_all_the_time(world: ClusterWorld) -> None:
    """Labels and annotations change many times a second from the pod's first moment to its last, so that many of our
    writes come from a view that is old already."""
    meddler = _Meddler(world, "web")
    world.create_pod(manifests.pod("web", restart_policy="OnFailure"))
    pod = world.until(lambda: meddler.pod_if(seen.is_ready), "to be ready", SECONDS)
    group = seen.group_name(pod)
    world.cloud.control("exit_container", name=group, code=5)
    world.until(lambda: meddler.pod_if(_has_restarted), "to be restarted", SECONDS)
    world.until(lambda: meddler.pod_if(seen.is_ready), "to be ready again", SECONDS)
    assert world.group_names() == {group}
    world.delete_pod("web")
    world.until(meddler.is_gone, "to be gone", SECONDS)
    world.until_nothing_is_left(timeout=SECONDS)


class _Meddler:
    """Changes one pod again and again, whenever it is asked about it."""

    def __init__(self, world: ClusterWorld, name: str) -> None:
        self._world = world
        self._name = name
        self._count = 0

    def pod_if(self, is_so: seen.IsSo) -> Object | None:
        for _ in range(MEDDLINGS_PER_LOOK):
            self._count += 1
            change = {"metadata": {"annotations": {"example.com/count": str(self._count)}}}
            pod = self._world.cluster.patch(self._world.path("pods", self._name), change)
            if is_so(pod):
                return pod
        return None

    def is_gone(self) -> bool:
        try:
            self.pod_if(lambda pod: False)
        except AssertionError:
            return self._world.pod(self._name) is None
        return False


def _is_not_ready(pod: Object) -> bool:
    return seen.condition(pod, "Ready") == "False"


def _has_restarted(pod: Object) -> bool:
    return bool(seen.container_status(pod)["restartCount"] == 1)


STORIES = (pods_that_others_write_to_all_the_time,)
STORIES_WITH_A_NODE = (pods_are_ready_again_after_a_blip, pods_of_a_deleted_node_go_after_their_groups)
"""Each needs a daemon and a Node of its own."""
