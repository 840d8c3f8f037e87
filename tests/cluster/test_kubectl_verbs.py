"""kubectl and the node, verb by verb: each does what it does on any other node, or says why it cannot.

The real kubectl, API server, scheduler and controllers; the daemon has the rights which ship. Every story has a
namespace of its own. They are begun together, because nearly all of their time is waiting; each test waits for the end
of one.

What Virtual Kubelet's own suite of black-box tests expects of a kubelet, and the story that shows it here, is in
`SUITE`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.cluster.stories import kubectl_nodes, kubectl_pods, kubelet_rights, kubelet_suite
from tests.support import cluster as seen
from tests.support.auditor import Auditor
from tests.support.cloud_process import CloudProcess
from tests.support.cluster import NODE_NAME
from tests.support.cluster_world import (
    IDENTITY,
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    checked_cloud,
    check_rights,
    daemon_process,
    new_namespace,
    running,
)
from tests.support.control_plane import ControlPlane
from tests.support.egress import NODE_ADDRESS, Egress
from tests.support.kubectl_world import KubectlWorld
from tests.support.story_choice import wanted_stories

Story = Callable[[KubectlWorld], None]

ALL: tuple[Story, ...] = (
    *kubectl_nodes.STORIES_WITH_A_NODE,
    *kubectl_nodes.STORIES,
    *kubectl_pods.STORIES,
    *kubelet_suite.STORIES,
    *kubelet_rights.STORIES,
)
# The names are those of https://github.com/virtual-kubelet/virtual-kubelet/tree/master/test/e2e; the last one is in its
# manual alone.
SUITE: dict[str, Story] = {
    "TestGetPods": kubelet_suite.pods_of_the_node_are_listed,
    "TestGetStatsSummary": kubelet_suite.usage_is_told_in_two_forms,
    "TestGetMetricsResource": kubelet_suite.usage_is_told_in_two_forms,
    "TestPodLifecycleGracefulDelete": kubelet_suite.a_deleted_pod_runs_no_more_from_the_first_moment,
    "TestPodLifecycleForceDelete": kubelet_suite.a_pod_deleted_by_force_runs_no_more_from_the_first_moment,
    "TestCreatePodWithOptionalInexistentSecrets": kubelet_suite.optional_sources_that_are_missing_hold_nobody_up,
    "TestCreatePodWithOptionalInexistentConfigMap": kubelet_suite.optional_sources_that_are_missing_hold_nobody_up,
    "TestCreatePodWithMandatoryInexistentSecrets": kubelet_suite.mandatory_sources_that_are_missing_are_waited_for,
    "TestCreatePodWithMandatoryInexistentConfigMap": kubelet_suite.mandatory_sources_that_are_missing_are_waited_for,
    "TestNodeCreateAfterDelete": kubectl_nodes.delete_node,
}
HEARTBEAT = ("--heartbeat-interval", "2s")
# Longer than every wait in a story: each fails by itself first.
STORY_SECONDS = 500.0


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Story, Future[float]]]:
    """The stories that are wanted in this run, all begun; they have ended before everything else does."""
    wanted = [story for story in ALL if story in wanted_stories(request)]
    directory = tmp_path_factory.mktemp("kubectl-verbs")
    cluster = seen.over_tls(control_plane.api())
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(len(wanted), "story"))
        egress = stack.enter_context(Egress(control_plane.directory))
        flag = f"--egress-selector-config-file={egress.configuration}"
        server = stack.enter_context(control_plane.another_api_server(flag))
        cloud = stack.enter_context(checked_cloud(directory, *QUICK_CLOUD_FLAGS))
        worlds = _worlds(stack, control_plane, server, cloud, directory, wanted)
        # An Event into a namespace that goes would be a 403.
        namespaces = stack.enter_context(contextlib.ExitStack())
        auditor = stack.enter_context(Auditor(cluster, cloud))
        stories = {story: executor.submit(_play, story, worlds[story], namespaces) for story in wanted}
        yield stories
        concurrent.futures.wait(stories.values(), STORY_SECONDS)
        auditor.check()
        for world in worlds.values():
            check_rights(world.daemon)


def _worlds(
    stack: contextlib.ExitStack,
    control_plane: ControlPlane,
    server: str,
    cloud: CloudProcess,
    directory: pathlib.Path,
    stories: list[Story],
) -> dict[Story, KubectlWorld]:
    """The common world, or one with a node of its own for a story that needs it."""
    cluster = seen.over_tls(control_plane.api())

    def on_node(node: str, *flags: str) -> KubectlWorld:
        where = ("--node-ip", NODE_ADDRESS)
        daemon = daemon_process(control_plane, cloud, directory, node, *QUICK_FLAGS, *HEARTBEAT, *where, *flags)
        stack.enter_context(running(daemon, cluster, node))
        return KubectlWorld(
            cluster, cloud, daemon, control_plane=control_plane, node=node, server=server, directory=directory
        )

    common = on_node(NODE_NAME, *IDENTITY)
    return {
        # The election's lease has the shipped node's name.
        story: on_node(f"node-{number}", "--no-leader-elect") if story in kubectl_nodes.STORIES_WITH_A_NODE else common
        for number, story in enumerate(stories)
    }


def _play(story: Story, world: KubectlWorld, namespaces: contextlib.ExitStack) -> float:
    """How long it took, in seconds. Its namespace goes with `namespaces`."""
    began = time.monotonic()
    story(world.in_namespace(namespaces.enter_context(new_namespace(world.control_plane))))
    return time.monotonic() - began


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.__name__)
def test_kubectl(played: dict[Story, Future[float]], story: Story) -> None:
    print(f"{played[story].result(STORY_SECONDS):.0f} s")


def test_the_whole_suite_of_virtual_kubelet_is_played() -> None:
    assert set(SUITE.values()) <= set(ALL)
