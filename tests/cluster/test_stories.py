"""What the real Kubernetes controllers make of pods on the node, and the node of what they do: all at the same time.

Every story has a namespace of its own; they share the control plane, the simulated SaladCloud and one daemon, but for
those which freeze or kill theirs. They are begun together, because nearly all of their time is waiting; each test waits
for the end of one. At the end the simulator's books and the auditor's say whether anything was ever wrong.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.cluster.stories import deletion_orders, jobs, kills, nodes, same_names
from tests.support import cluster as seen
from tests.support.auditor import Auditor
from tests.support.cloud_process import CloudProcess
from tests.support.cluster import NODE_NAME
from tests.support.cluster_world import (
    IDENTITY,
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    ClusterWorld,
    checked_cloud,
    daemon_process,
    new_namespace,
    running,
)
from tests.support.control_plane import ControlPlane
from tests.support.story_choice import wanted_stories

Story = Callable[[ClusterWorld], None]

SHARED = (*deletion_orders.STORIES, *same_names.STORIES, *jobs.STORIES, *nodes.STORIES)
ALL: tuple[Story, ...] = (*kills.STORIES_WITH_A_CLOUD, *nodes.STORIES_WITH_A_NODE, *SHARED)
FOREIGN = tuple(f"somebodys-{number}" for number in range(10))
# Longer than every wait in a story: each fails by itself first.
STORY_SECONDS = 500.0 + 20.0 * (kills.KILLS - kills.SHORT_RUN_KILLS)
pytestmark = pytest.mark.timeout(STORY_SECONDS + 100.0)


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Story, Future[float]]]:
    """The stories that are wanted in this run, all begun; they have ended before everything else does."""
    wanted = [story for story in ALL if story in wanted_stories(request)]
    directory = tmp_path_factory.mktemp("stories")
    cluster = seen.over_tls(control_plane.api())
    with contextlib.ExitStack() as stack:
        # Daemons that a story starts end with the thread that started them, so the threads go last.
        executor = stack.enter_context(ThreadPoolExecutor(len(wanted), "story"))
        cloud = stack.enter_context(checked_cloud(directory, *QUICK_CLOUD_FLAGS, foreign=FOREIGN))
        worlds = _worlds(stack, control_plane, cloud, directory, wanted)
        auditor = stack.enter_context(Auditor(cluster, cloud))
        stories = {story: executor.submit(_play, story, worlds[story]) for story in wanted}
        yield stories
        concurrent.futures.wait(stories.values(), STORY_SECONDS)
        auditor.check()


def _worlds(
    stack: contextlib.ExitStack,
    control_plane: ControlPlane,
    cloud: CloudProcess,
    directory: pathlib.Path,
    stories: list[Story],
) -> dict[Story, ClusterWorld]:
    """A world for each story: the common one, or one with what it must have for itself."""
    cluster = seen.over_tls(control_plane.api())

    def on_node(cloud: CloudProcess, node: str, *flags: str) -> ClusterWorld:
        daemon = daemon_process(control_plane, cloud, directory, node, *QUICK_FLAGS, *flags)
        stack.enter_context(running(daemon, cluster, node))
        return ClusterWorld(cluster, cloud, daemon, control_plane=control_plane, node=node)

    common = on_node(cloud, NODE_NAME, *IDENTITY)
    found: dict[Story, ClusterWorld] = {}
    for story in stories:
        # The election's lease has the shipped node's name, and a leader that was frozen must end.
        node = f"node-{len(found)}"
        if story in kills.STORIES_WITH_A_CLOUD:
            flags = (*QUICK_CLOUD_FLAGS, "--seed", str(kills.SEED))
            own = stack.enter_context(checked_cloud(directory, *flags, foreign=FOREIGN, name=f"cloud-of-{node}"))
            found[story] = on_node(own, node, "--no-leader-elect")
        elif story in nodes.STORIES_WITH_A_NODE:
            found[story] = on_node(cloud, node, "--no-leader-elect")
        else:
            found[story] = common
    return found


def _play(story: Story, world: ClusterWorld) -> float:
    """How long it took, in seconds."""
    began = time.monotonic()
    with new_namespace(world.control_plane) as namespace:
        story(world.in_namespace(namespace))
    return time.monotonic() - began


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.__name__)
def test_story(played: dict[Story, Future[float]], story: Story) -> None:
    print(f"{played[story].result(STORY_SECONDS):.0f} s")
