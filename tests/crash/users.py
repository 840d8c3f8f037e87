"""What people do while the daemon is killed, and what must have become of their pods in the end."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.scenarios import World

MOST_PODS = 16
# Names of pods begin with what they do, and names of groups with the names of their pods.
SERVES = "web"
ENDS = "once"
ENDS_UNTOLD = "untold"
"""No log entry tells of its exit; perhaps the group's own system log does."""


class Users:
    """They create, delete and change pods; `act` is called between kills."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._count = 0
        self._codes: dict[str, int] = {}
        self.created: dict[str, int] = {SERVES: 0, ENDS: 0, ENDS_UNTOLD: 0}

    def act(self) -> None:
        """Some new pods, some that go, one that gets a new image."""
        chance = self._chance
        present = [pod for pod in self._world.pods() if "deletionTimestamp" not in pod["metadata"]]
        for pod in present:
            if chance.random() < 0.4:
                grace = 0 if chance.random() < 0.3 else None
                self._world.cluster.delete_pod(pod["metadata"]["name"], grace_seconds=grace)
            elif chance.random() < 0.15:
                self._change_image(pod)
        for _ in range(min(chance.randint(2, 6), MOST_PODS - len(present))):
            self._create()

    def check(self, pods: list[Object]) -> None:
        """Every pod is ready, or finished as its container did; nothing is on its way out. Exits of which nobody tells
        may take their time.
        """
        for pod in pods:
            name = pod["metadata"]["name"]
            assert "deletionTimestamp" not in pod["metadata"], seen.in_short(pods)
            if name.startswith(SERVES):
                assert seen.is_ready(pod), seen.in_short(pods)
            elif name.startswith(ENDS):
                assert seen.phase(pod) in ("Succeeded", "Failed"), seen.in_short(pods)
                assert not seen.has_finalizer(pod), seen.in_short(pods)
                self._check_ending(name, pod)

    def _check_ending(self, name: str, pod: Object) -> None:
        code = self._codes[name]
        told = seen.container_state(pod, "terminated").get("exitCode")
        if told != code or seen.phase(pod) != ("Succeeded" if code == 0 else "Failed"):
            raise WrongEnding(f"{name} ended with {code}, its pod says: {pod['status']}")

    def _create(self) -> None:
        chance = self._chance
        self._count += 1
        if chance.random() >= 0.35:
            self._add(SERVES)
            return
        code, after = chance.choice((0, 3)), round(chance.uniform(0.5, 4.0), 1)
        environment = manifests.exits(code, after)
        if chance.random() < 0.3:
            # Never restarted: an end of which nobody tells counts as a failure.
            how = chance.choice(("lost", "none"))
            self._add(ENDS_UNTOLD, restart_policy="Never", environment={**environment, "SIM_EXIT_EVENT": how})
            return
        policy = "OnFailure" if code == 0 and chance.random() < 0.3 else "Never"
        self._codes[self._add(ENDS, restart_policy=policy, environment=environment)] = code

    def _add(self, kind: str, restart_policy: str = "Always", environment: Mapping[str, str] | None = None) -> str:
        name = f"{kind}-{self._count}"
        self._world.cluster.create_pod(manifests.pod(name, restart_policy=restart_policy, environment=environment))
        self.created[kind] += 1
        return name

    def _change_image(self, pod: Object) -> None:
        if seen.phase(pod) not in ("Pending", "Running"):
            return
        image = f"registry.example/server:{self._chance.randint(2, 9)}"
        change = {"spec": {"containers": [{"name": "main", "image": image}]}}
        self._world.cluster.patch(f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}", change)


class WrongEnding(Exception):
    """A pod says of its container what is not so. Not an AssertionError, which a wait would take for "not yet"."""
