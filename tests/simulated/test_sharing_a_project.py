"""Nodes, clusters and people share one project of SaladCloud: nobody's groups are touched by another.

| who shares | tests |
|---|---|
| two nodes of one cluster, two clusters, a hundred groups of people | `test_nobody_touches_*` |
| two clusters whose nodes bear one name | every test: `NODES` |
| orphans beside those of others | `test_orphans_*` |
| groups that somebody made of a copy of ours | `test_a_copy_*` |
| the same over sockets: `tests/integration/test_shared_project.py` | |
"""

from __future__ import annotations

import dataclasses

import pytest

from tests.simulated.process import Process
from tests.simulated.world import GROUPS, World
from tests.support import cluster as seen
from tests.support.cluster import Cluster
from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.saladcloud import owner

FOREIGN = 100
POD = "/api/v1/namespaces/default/pods"


@dataclasses.dataclass(frozen=True)
class Node:
    """A node of a cluster; `number` is the cluster's."""

    number: int
    name: str
    cluster_id: str


NODES = (Node(0, "virtual", "cluster-a"), Node(0, "second", "cluster-a"), Node(1, "virtual", "cluster-b"))


class Project:
    """Three daemons, two clusters, and a hundred groups that are nobody's here."""

    def __init__(self, list_limit: int | None) -> None:
        self.world = world = World(start=False, list_limit=list_limit)
        self.clusters: tuple[Cluster, ...] = (world.cluster, world.add_cluster())
        self.foreign = world.create_foreign_groups(FOREIGN)
        world.clock.advance(61.0)
        self.past: dict[Node, list[Process]] = {node: [] for node in NODES}
        self.daemons = {node: self._start(node) for node in NODES}
        world.run(5.0)

    def _start(self, node: Node) -> Process:
        # Each has a key of its own, so that the limit of requests is no matter here.
        key = f"key of {node.name} of {node.cluster_id}"
        return self.world.start(node.number, node=node.name, cluster_id=node.cluster_id, key=key)

    def restart(self, node: Node) -> None:
        self.world.kill(self.daemons[node])
        self.past[node].append(self.daemons[node])
        self.daemons[node] = self._start(node)

    def cluster(self, node: Node) -> Cluster:
        return self.clusters[node.number]

    def create(self, node: Node, *names: str) -> None:
        self.world.create(*names, cluster=self.cluster(node), node=node.name)

    def names(self, node: Node, count: int = 8) -> list[str]:
        # Both clusters have pods of the same names.
        return [f"{node.name}-{number}" for number in range(count)]

    def are_ready(self, node: Node, names: list[str]) -> bool:
        return all(self.world.is_ready(name, self.cluster(node)) for name in names)

    def groups_of(self, node: Node, names: list[str]) -> set[str]:
        return {self.world.group(name, self.cluster(node)) for name in names}

    def touched(self, node: Node) -> set[str]:
        """Names of the groups that a node's daemons have sent a write about."""
        lines = [process.cloud_line for process in (*self.past[node], self.daemons[node])]
        writes = [call for line in lines for call in line.calls if call.operation in ("delete", "update", "start")]
        return {call.path.removeprefix(f"{GROUPS}/").partition("/")[0] for call in writes}


@pytest.mark.parametrize("list_limit", [None, 100], ids=["whole list", "list of 100"])
def test_nobody_touches_what_is_anothers(list_limit: int | None) -> None:
    project = Project(list_limit)
    world = project.world
    for node in NODES:
        project.create(node, *project.names(node))
    world.run_until(lambda: all(project.are_ready(node, project.names(node)) for node in NODES), within=300.0)
    mine = {node: project.groups_of(node, project.names(node)) for node in NODES}
    # One is restarted in the middle of a rollout, one is killed for minutes, one deletes half of its pods.
    project.create(NODES[0], *(f"more-{number}" for number in range(5)))
    world.step(world.now + 0.5)
    project.restart(NODES[0])
    world.kill(project.daemons[NODES[1]])
    for name in project.names(NODES[2])[:4]:
        project.cluster(NODES[2]).delete_pod(name)
    world.cloud.outage("503")
    world.run(90.0)
    world.cloud.outage(None)
    world.run(200.0)
    project.past[NODES[1]].append(project.daemons[NODES[1]])
    project.daemons[NODES[1]] = project._start(NODES[1])
    world.cloud.stop_group(sorted(mine[NODES[1]])[0])
    world.run(400.0)
    left = {
        NODES[0]: [*project.names(NODES[0]), *(f"more-{number}" for number in range(5))],
        NODES[1]: project.names(NODES[1]),
        NODES[2]: project.names(NODES[2])[4:],
    }
    for node, names in left.items():
        assert project.are_ready(node, names), node
        mine[node] |= project.groups_of(node, names)
    assert world.groups() == project.foreign.union(*(project.groups_of(node, names) for node, names in left.items()))
    for node in NODES:
        assert project.touched(node) <= mine[node], node
    for node, names in left.items():
        for name in names:
            project.cluster(node).delete_pod(name)
    world.run_until(lambda: world.groups() == project.foreign, within=300.0)
    for node in NODES:
        assert project.touched(node) <= mine[node], node
    world.check(project.foreign)


def test_orphans_are_deleted_by_the_node_that_they_name_and_by_no_other() -> None:
    project = Project(None)
    world = project.world
    for node in NODES:
        project.create(node, *project.names(node, 3))
    world.run_until(lambda: all(project.are_ready(node, project.names(node, 3)) for node in NODES), within=300.0)
    orphans = {}
    for node in NODES:
        # Somebody takes our finalizer away and forces the delete while no daemon of the node runs.
        world.kill(project.daemons[node])
        name = project.names(node)[0]
        orphans[node] = project.groups_of(node, [name])
        change = {"metadata": {"$deleteFromPrimitiveList/finalizers": [seen.FINALIZER]}}
        project.cluster(node).patch(f"{POD}/{name}", change)
        project.cluster(node).delete_pod(name, grace_seconds=0)
    for node in NODES:
        project.past[node].append(project.daemons[node])
        project.daemons[node] = project._start(node)
        world.run(120.0)
        assert not orphans[node] & world.groups()
        assert project.touched(node) == orphans[node]
    expected = project.foreign.union(*(project.groups_of(node, project.names(node)[1:3]) for node in NODES))
    assert world.groups() == expected
    world.check(project.foreign)


def test_a_copy_of_one_of_our_groups_under_another_name_is_left_alone_while_its_pod_lives() -> None:
    """The portal can duplicate a group, and the copy carries our owner record."""
    world = World()
    world.create_and_run("web")
    pod = world.pod()
    record = Owner("cluster", "virtual", "default", "web", pod["metadata"]["uid"], 0, "")
    variables = {owner.SALAD_VK_OWNER: owner.encode(record)}
    body = {
        "name": "copy-of-web",
        "container": {
            "image": "theirs:1",
            "resources": {"cpu": 1, "memory": 1024},
            "environment_variables": variables,
        },
        "autostart_policy": True,
        "replicas": 1,
        "restart_policy": "always",
    }
    assert world.ask("POST", GROUPS, body) == 201
    world.run(600.0)
    assert "copy-of-web" in world.groups()
    assert world.is_ready()
    assert world.pod()["metadata"]["annotations"] == pod["metadata"]["annotations"]
    world.cluster.delete_pod("web")
    world.run_until(lambda: world.is_gone("web"))
