"""Days in seconds: a daemon's real objects under a fake clock, with people, faults and outages all the time."""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
from collections.abc import Mapping

from tests.simulated.world import World
from tests.soak.growth import Held, held, instances
from tests.soak.troubles import Troubles
from tests.support import manifests

HOUR_SECONDS = 3_600.0
MOST_PODS = 12
FOREIGN_GROUPS = 5
SETTLE_SECONDS = 3_600.0
# What is kept for a while by design: rows of the feed, posted Events, groups that have gone.
REST_SECONDS = 3_600.0
# Series of metrics come into being with what they count, and tables keep the size that they once had.
MOST_GROWTH = {"objects": 0.1, "bytes": 0.5, "instances": 0.1, "threads": 0.0}
PACKAGE, SIMULATORS = "virtual_kubelet_salad.", "virtual_kubelet_salad.sandbox."


@dataclasses.dataclass(frozen=True)
class Rest:
    """A daemon with no pod: what it holds on to, how many objects of its classes there are at all, and how many
    threads.
    """

    held: Held
    instances: int
    threads: int


@dataclasses.dataclass(frozen=True)
class Day:
    """What came of it."""

    pods: int
    creates: int
    requests: int
    most_requests_per_minute: int
    troubles: Mapping[str, int]
    troubled_seconds: Mapping[str, int]
    rests: tuple[Rest, ...]
    """At first, and at the end of each part."""

    def growth(self) -> dict[str, float]:
        """The greatest share by which each number has grown since the end of the first part; 0: it has not."""
        numbers = [{**rest.held._asdict(), "instances": rest.instances, "threads": rest.threads} for rest in self.rests]
        first, *later = numbers[1:]
        return {name: max(0.0, *(each[name] / first[name] - 1.0 for each in later)) for name in first}

    def is_flat(self) -> bool:
        return all(share <= MOST_GROWTH[name] for name, share in self.growth().items())


def run(hours: float, seed: int, parts: int = 4) -> Day:
    """Raises AssertionError when something leaks, doubles, or does not settle."""
    chance = random.Random(seed)
    world = World(seed, start=False, node_skew_max=30.0)
    foreign = world.create_foreign_groups(FOREIGN_GROUPS)
    world.daemon = world.start()
    world.run(60.0)
    people, troubles = _People(world, chance), Troubles(world, chance)
    rests = [_rest(world)]
    for _ in range(parts):
        end = world.now + hours / parts * HOUR_SECONDS
        while world.now < end:
            people.act()
            troubles.act()
            world.run(chance.uniform(5.0, 120.0))
        troubles.mend()
        people.leave()
        world.run_until(lambda: not world.cluster.pods() and world.groups() == foreign, SETTLE_SECONDS)
        world.run(REST_SECONDS)
        world.check(foreign)
        rests.append(_rest(world))
    statistics = world.cloud.statistics()
    return Day(
        people.count,
        statistics["requests_by_operation"]["create_container_group"],
        statistics["requests"],
        world.daemon.cloud_line.most_per_minute,
        dict(sorted(troubles.counts.items())),
        dict(sorted(troubles.seconds.items())),
        tuple(rests),
    )


class _People:
    """They create, change and delete pods."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.count = 0
        self._world = world
        self._chance = chance

    def act(self) -> None:
        chance, cluster = self._chance, self._world.cluster
        for pod in cluster.pods():
            name = pod["metadata"]["name"]
            if chance.random() < 0.15:
                cluster.delete_pod(name, grace_seconds=0 if chance.random() < 0.3 else None)
            elif chance.random() < 0.05 and pod["status"].get("phase") in ("Pending", "Running"):
                image = f"registry.example/server:{chance.randint(1, 9)}"
                change = {"spec": {"containers": [{"name": "main", "image": image}]}}
                cluster.patch(f"/api/v1/namespaces/default/pods/{name}", change)
        for _ in range(min(chance.randint(0, 3), MOST_PODS - len(cluster.pods()))):
            self._create()

    def leave(self) -> None:
        for pod in self._world.cluster.pods():
            self._world.cluster.delete_pod(pod["metadata"]["name"])

    def _create(self) -> None:
        self.count += 1
        chance, name = self._chance, f"pod-{self.count}"
        policy = chance.choice(("Always", "Always", "OnFailure", "Never"))
        environment: dict[str, str] = {}
        if chance.random() < 0.4:
            environment = manifests.exits(chance.choice((0, 1, 3)), round(chance.uniform(1.0, 300.0), 1))
            if chance.random() < 0.2:
                environment["SIM_EXIT_EVENT"] = chance.choice(("lost", "none"))
        image = "registry.example/does-not-exist:1" if chance.random() < 0.05 else manifests.IMAGE
        self._world.create(name, restart_policy=policy, environment=environment, image=image)


def _rest(world: World) -> Rest:
    """Of the daemon alone: not of the simulators, nor of what the tests note of its requests."""
    daemon = world.daemon
    daemon.cloud_line.calls.clear()
    daemon.api_line.writes.clear()
    strangers = [world.clock, world.cloud, *world.api_models, daemon.cloud_line, daemon.api_line, logging.root]
    return Rest(held(daemon.daemon, strangers), instances(PACKAGE, SIMULATORS), threading.active_count())
