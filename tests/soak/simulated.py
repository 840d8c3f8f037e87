"""Days in seconds: a daemon's real objects under a fake clock, with people, faults and outages all the time."""

from __future__ import annotations

import dataclasses
import logging
import random

from tests.simulated.world import World
from tests.soak.growth import reachable
from tests.support import manifests
from virtual_kubelet_salad.sandbox.salad_control import ControlError
from virtual_kubelet_salad.sandbox.salad_wire import FAULTS

HOUR_SECONDS = 3_600.0
MOST_PODS = 12
FAULT_KINDS = ("500", "502", "503", "504", "408", "429", "429-retry-after", "401", "403", "garbage", "html200", "reset")
SETTLE_SECONDS = 1_200.0


@dataclasses.dataclass(frozen=True)
class Day:
    """What came of it."""

    pods: int
    creates: int
    requests: int
    most_requests_per_minute: int
    objects: tuple[int, ...]
    """What the daemon holds on to, with no pod there, at first and at the end of each part."""


def run(hours: float, seed: int, parts: int = 4) -> Day:
    """Raises AssertionError when something leaks, doubles, or does not settle."""
    chance = random.Random(seed)
    world = World(seed, start=False, node_skew_max=30.0)
    foreign = world.create_foreign_groups(5)
    world.daemon = world.start()
    world.run(60.0)
    people = _People(world, chance)
    objects = []
    # The first part fills what is kept for a while by design.
    for _ in range(parts + 1):
        end = world.now + hours / parts * HOUR_SECONDS
        while world.now < end:
            people.act()
            _break_something(world, chance)
            world.run(chance.uniform(5.0, 120.0))
        _mend(world)
        people.leave()
        world.run_until(lambda: not world.cluster.pods() and world.groups() == foreign, SETTLE_SECONDS)
        world.run(SETTLE_SECONDS)
        world.check(foreign)
        objects.append(_held(world))
        world.daemon.cloud_line.calls.clear()
        world.daemon.api_line.writes.clear()
    statistics = world.cloud.statistics()
    return Day(
        people.count,
        statistics["requests_by_operation"]["create_container_group"],
        statistics["requests"],
        world.daemon.cloud_line.most_per_minute,
        tuple(objects),
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
        scripts: list[dict[str, str]] = [{}, {}, manifests.exits(chance.choice((0, 1, 3)), chance.uniform(1.0, 300.0))]
        image = "registry.example/does-not-exist:1" if chance.random() < 0.05 else manifests.IMAGE
        self._world.create(name, restart_policy=policy, environment=chance.choice(scripts), image=image)


def _break_something(world: World, chance: random.Random) -> None:
    """Now and then, and each thing for a while."""
    roll = chance.random()
    if roll < 0.2:
        world.cloud.fail_next(chance.randint(1, 4), chance.choice(FAULT_KINDS), applied=chance.random() < 0.5)
    elif roll < 0.24:
        world.cloud.outage(chance.choice(sorted(FAULTS.keys() & set(FAULT_KINDS))))
    elif roll < 0.34:
        _mend(world)
    elif roll < 0.37:
        world.daemon.api_line.is_cut = True
    elif roll < 0.4:
        world.daemon.watch.die_silently()
    elif roll < 0.43:
        world.api_models[0].compact()
    elif roll < 0.6:
        _move_a_group(world, chance)


def _move_a_group(world: World, chance: random.Random) -> None:
    ours = [group["name"] for group in world.cloud.overview() if group["owner_uid"]]
    if not ours:
        return
    name = chance.choice(ours)
    moves = (world.cloud.reallocate, world.cloud.node_offline, world.cloud.preempt, world.cloud.stop_group)
    try:
        chance.choice(moves)(name)
    except ControlError:
        return  # it does not fit what the group is doing


def _mend(world: World) -> None:
    world.cloud.clear_faults()
    world.daemon.api_line.is_cut = False


def _held(world: World) -> int:
    """By the daemon alone: not by the simulators, nor by what this test notes of it. The Events that it remembers, to
    count them up, are bounded by a number that only days of this reach.
    """
    daemon = world.daemon
    strangers = [world.clock, world.cloud, *world.api_models, daemon.cloud_line, daemon.api_line, logging.root]
    strangers.append(daemon.daemon.recorder._posted)
    return reachable(daemon.daemon, strangers)
