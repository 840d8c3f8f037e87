"""Simulated clusters, one simulated SaladCloud, and daemon processes between them, in one thread under a fake clock.

Hours pass in seconds, and exactly: what is due at a time happens at that time. Requests take no time.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.simulated.process import Process
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.clock import FakeClock
from tests.support.cluster import Cluster, Object
from tests.support.raw_api import RawAnswer
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST
from virtual_kubelet_salad.sandbox.salad_wire import Request

GROUPS = "/organizations/sandbox/projects/default/containers"
# Controllers of the cluster look at least this often.
LONGEST_SLICE_SECONDS = 1.0
SHORTEST_SLICE_SECONDS = 0.001
FOREIGN_KEY = "somebodys-key"


class World:
    """`settings` are those of the simulated SaladCloud, on top of the fast profile. Without `start` no daemon runs."""

    def __init__(self, seed: int = 1, *, start: bool = True, **settings: Any) -> None:
        self.clock = FakeClock()
        self.cloud = SaladCloudModel(self.clock, dataclasses.replace(FAST, **settings), seed)
        self.api_models: list[ApiServerModel] = []
        self.processes: list[Process] = []
        self.seed = seed
        self.cluster = self.add_cluster()
        if start:
            self.daemon = self.start()
            self.run(2.0)

    # -- its parts

    def add_cluster(self) -> Cluster:
        """Another cluster; the daemons of the first number are those of the first one."""
        model = ApiServerModel(self.clock, seed=self.seed + len(self.api_models))
        self.api_models.append(model)

        def send(method: str, path: str, body: object, content_type: str) -> RawAnswer:
            answer = model.handle(method, path, {}, json.loads(json.dumps(body)), content_type)
            return RawAnswer(answer.status, answer.body)

        return Cluster(send)

    def start(self, cluster_number: int = 0, **options: Any) -> Process:
        """A new daemon process, see `Process`."""
        model = self.api_models[cluster_number]
        process = Process(self.clock, model, self.cloud, seed=self.seed + len(self.processes), **options)
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """At once and without a word."""
        self.processes.remove(process)

    def restart(self, **options: Any) -> None:
        """The only daemon is killed and started anew."""
        self.kill(self.daemon)
        self.daemon = self.start(**options)

    # -- time

    def run(self, seconds: float) -> None:
        """Lets so much time pass."""
        end = self.now + seconds
        while True:
            self.step(end)
            if self.now >= end:
                return

    def run_until(self, condition: Callable[[], Any], within: float = 120.0) -> float:
        """Lets time pass until the condition holds (a failed `assert` in it counts as not yet); how many seconds that
        took.
        """
        begun = self.now
        while True:
            failure: AssertionError | None = None
            try:
                if condition():
                    return self.now - begun
            except AssertionError as error:
                failure = error
            assert self.now - begun < within, f"not within {within} s: {failure or condition}"
            self.step(begun + within)

    def step(self, end: float) -> None:
        """Everything that is due now, then the time of what is due next; at most until `end`."""
        self.cloud.advance()
        for model in self.api_models:
            model.tick()
        for process in list(self.processes):
            process.work()
        due = [process.next_due() for process in self.processes]
        change = self.cloud.next_change()
        target = min([*due, end, self.now + LONGEST_SLICE_SECONDS, *([] if change is None else [change])])
        self.clock.advance(max(target - self.now, min(SHORTEST_SLICE_SECONDS, max(end - self.now, 0.0))))

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    # -- pods

    def create(self, *names: str, cluster: Cluster | None = None, **spec: Any) -> None:
        """Pods that the cluster's scheduler will place; `spec` as of `manifests.pod`."""
        for name in names:
            (cluster or self.cluster).create_pod(manifests.pod(name, **spec))

    def create_and_run(self, *names: str, cluster: Cluster | None = None, within: float = 120.0, **spec: Any) -> None:
        self.create(*names, cluster=cluster, **spec)
        self.run_until(lambda: all(self.is_ready(name, cluster) for name in names), within)

    def pod(self, name: str = "web", cluster: Cluster | None = None) -> Object:
        pod = (cluster or self.cluster).pod(name)
        assert pod is not None, f"there is no pod {name}"
        return pod

    def is_gone(self, *names: str) -> bool:
        return all(self.cluster.pod(name) is None for name in names)

    def is_ready(self, name: str = "web", cluster: Cluster | None = None) -> bool:
        return seen.is_ready((cluster or self.cluster).pod(name))

    def phase(self, name: str = "web") -> str:
        return seen.phase(self.pod(name))

    def status(self, name: str = "web") -> Object:
        status: Object = self.pod(name)["status"]
        return status

    def container(self, name: str = "web") -> Object:
        return seen.container_status(self.pod(name))

    def waiting(self, name: str = "web") -> str:
        return str(seen.container_state(self.pod(name), "waiting").get("reason", ""))

    def group(self, name: str = "web", cluster: Cluster | None = None) -> str:
        """The name in the pod's claim."""
        return seen.group_name(self.pod(name, cluster))

    def reasons(self, name: str = "web") -> set[str]:
        """Reasons of the Events about an object of that name."""
        return {event["reason"] for event in self.cluster.events_of(name)}

    def node(self, name: str = "virtual") -> Object:
        node = self.cluster.node(name)
        assert node is not None, "there is no node"
        return node

    def is_cut_off(self) -> bool:
        """Whether the node says that SaladCloud cannot be reached, by condition and taint; both or neither."""
        node = self.node()
        keys = {taint["key"] for taint in node["spec"].get("taints") or []}
        is_tainted = "saladcloud.virtual-kubelet.io/unreachable" in keys
        is_told = seen.condition(node, "SaladCloudReachable") == "False"
        assert is_tainted == is_told, node
        return is_told

    # -- SaladCloud

    def groups(self) -> set[str]:
        return {group["name"] for group in self.cloud.overview()}

    def create_foreign_groups(self, count: int, first: int = 0) -> set[str]:
        """Groups of somebody else in the same project."""
        names = {f"somebodys-{number}" for number in range(first, first + count)}
        for name in names:
            body = {
                "name": name,
                "container": {"image": "theirs:1", "resources": {"cpu": 1, "memory": 1024}},
                "autostart_policy": True,
                "replicas": 1,
                "restart_policy": "always",
            }
            assert self.ask("POST", GROUPS, body) == 201
        return names

    def ask(self, method: str, path: str, body: object = None, key: str = FOREIGN_KEY) -> int:
        """A request of somebody else; its status."""
        headers = {"Salad-Api-Key": key, "User-Agent": "somebody/1", "Content-Type": "application/json"}
        return self.cloud.handle(Request(method, path, headers, body)).status

    def check(self, foreign: Iterable[str] = ()) -> None:
        """What must hold whatever has happened: nothing twice, nothing foreign touched, every request as described."""
        statistics = self.cloud.statistics()
        assert statistics["schema_violations"] == 0, statistics["schema_violation_texts"]
        assert statistics["duplicates"] == []
        assert statistics["foreign_deletions"] == []
        assert set(foreign) <= self.groups()
