"""The daemon killed with -9 again and again while real controllers roll out, scale, retry and delete, and SaladCloud
loses answers, refuses, hangs, and tells events late.

In the end all is as if nothing had happened: nothing leaked, nothing twice, nothing foreign touched, every Job told how
its container ended, and hardly a second paid for a container that nobody wanted. A run prints its seed and its figures;
the long one:

    SALAD_VK_CLUSTER_KILLS=32 pytest -s tests/cluster/test_stories.py -k kills

SALAD_VK_CRASH_SEED makes other choices; a seed repeats them (though not the operating system's).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.auditor import Auditor
from tests.support.books import Bound, close_the_books
from tests.support.cluster_world import ClusterWorld, check_rights
from tests.support.kill_moments import Moments
from tests.support.misfortune import LATENCY_SECONDS, Misfortune
from tests.support.mortal import Mortal
from tests.support.scenarios import holds_for

# The first four come at chosen moments of a rollout, the others at random.
SHORT_RUN_KILLS = 6
KILLS = int(os.environ.get("SALAD_VK_CLUSTER_KILLS", SHORT_RUN_KILLS))
SEED = int(os.environ.get("SALAD_VK_CRASH_SEED", "1"))
REPLICAS = 12
MOST_PODS = 20
MOST_SECONDS_AWAY = 5.0
SECONDS = 240.0
# For one group, while one daemon works: what its design allows, and how long SaladCloud may keep it waiting. A short
# run is part of every run of the tests, beside others on a loaded machine; there a forgotten group must fail it, and
# nothing else.
UNWANTED_SECONDS = 60.0 if KILLS <= SHORT_RUN_KILLS else 10.0 + LATENCY_SECONDS


class Users:
    """What people do meanwhile."""

    def __init__(self, world: ClusterWorld, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._count = 0
        self.jobs: dict[str, int] = {}
        """Name and exit code."""

    def act(self) -> None:
        """Some new pods and Jobs, some pods that go, one rollout or another size."""
        world, chance = self._world, self._chance
        bare = [pod for pod in world.pods() if not pod["metadata"].get("ownerReferences")]
        present = [pod for pod in bare if "deletionTimestamp" not in pod["metadata"]]
        for pod in present:
            if chance.random() < 0.4:
                world.delete_pod(pod["metadata"]["name"], 0 if chance.random() < 0.3 else None)
        for _ in range(min(chance.randint(1, 4), MOST_PODS - len(present))):
            self._create()
        if chance.random() < 0.5:
            self.change_image(chance.randint(2, 9))
        if chance.random() < 0.3:
            world.kubectl("scale", "deployment/web", f"--replicas={chance.randint(1, REPLICAS)}")

    def change_image(self, number: int) -> None:
        """A rollout of the Deployment."""
        self._world.kubectl("set", "image", "deployment/web", f"main=registry.example/server:{number}")

    def delete_everything(self) -> None:
        self._world.kubectl("delete", "deployment,pods,jobs", "--all", "--wait=false")

    def _create(self) -> None:
        self._count += 1
        name = f"pod-{self._count}"
        if self._chance.random() < 0.4:
            code, after = self._chance.choice((0, 3)), round(self._chance.uniform(1.0, 5.0), 1)
            self._world.create_job(manifests.job(name, manifests.exits(code, after)))
            self.jobs[name] = code
        else:
            self._world.create_pod(manifests.pod(name))


def kills_change_nothing_in_the_end(world: ClusterWorld) -> None:
    """The daemon is this story's own, and so is SaladCloud, which fails requests and counts them."""
    with Auditor(world.cluster, world.cloud) as auditor, Mortal(world.daemon, world.cloud) as mortal:
        _kill_again_and_again(world, mortal)
        auditor.check()
    close_the_books(world.cloud, mortal, f"seed {SEED}", world.group_names(), {"": Bound(UNWANTED_SECONDS, KILLS)})


def _kill_again_and_again(world: ClusterWorld, mortal: Mortal) -> None:
    chance = random.Random(SEED)
    users = Users(world, chance)
    deployment = manifests.deployment("web", REPLICAS, node=world.node)
    _kill_during(world, mortal, lambda: world.apply(deployment), "create_container_group", REPLICAS // 2)
    world.until_rolled_out("web", REPLICAS, SECONDS)
    _kill_during(world, mortal, lambda: users.change_image(2), "delete_container_group", REPLICAS // 4)
    _kill_during(world, mortal, lambda: users.change_image(3), "create_container_group", 1)
    misfortune, moments = Misfortune(world.cloud, chance), Moments(world, chance)
    for _ in range(KILLS - 4):
        misfortune.strike()
        moments.prepare()
        users.act()
        moments.wait()
        _kill(mortal, _absence(users, chance))
        misfortune.end()
    print("kills at random:", moments.in_short())
    world.until(lambda: _has_settled(world, users), "everything to settle", SECONDS)
    _kill_during(world, mortal, users.delete_everything, "delete_container_group", 1)
    world.until_nothing_is_left(timeout=SECONDS)
    check_rights(world.daemon)


def _kill_during(world: ClusterWorld, mortal: Mortal, act: Callable[[], None], operation: str, count: int) -> None:
    """Kills when SaladCloud has seen that many requests of that kind since the act."""
    enough = world.requests(operation) + count
    act()
    world.until(lambda: world.requests(operation) >= enough, f"{count} × {operation}", SECONDS)
    _kill(mortal)


def _kill(mortal: Mortal, meanwhile: Callable[[], None] = lambda: None) -> None:
    mortal.kill()
    meanwhile()
    mortal.start()


def _absence(users: Users, chance: random.Random) -> Callable[[], None]:
    """Sometimes more happens, and time passes, before another daemon is there."""
    if chance.random() >= 0.3:
        return lambda: None
    seconds = chance.uniform(1.0, MOST_SECONDS_AWAY)

    def pass_time() -> None:
        users.act()
        holds_for(seconds, lambda: None, "a time without a daemon")

    return pass_time


def _has_settled(world: ClusterWorld, users: Users) -> bool:
    """Every pod that is to run is ready, with its one group and the image that it asks for; every Job has ended as its
    container did; no other group of ours is there."""
    pods = [pod for pod in world.pods() if "job-name" not in pod["metadata"].get("labels", {})]
    assert all(seen.is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods), seen.in_short(pods)
    deployment = world.cluster.get(world.path("deployments", "web", "apis/apps/v1"))
    assert deployment is not None
    of_deployment = [pod for pod in pods if pod["metadata"].get("labels", {}).get("app") == "web"]
    assert len(of_deployment) == deployment["spec"]["replicas"]
    images = {pod["spec"]["containers"][0]["image"] for pod in of_deployment}
    assert images == {deployment["spec"]["template"]["spec"]["containers"][0]["image"]}
    for name, code in users.jobs.items():
        job = world.cluster.get(world.path("jobs", name, "apis/batch/v1"))
        ended = {each["type"] for each in (job or {}).get("status", {}).get("conditions") or []}
        assert ("Complete" if code == 0 else "Failed") in ended, (name, code, ended, seen.in_short(world.pods()))
    groups = {group["name"]: group["image"] for group in world.cloud.overview() if group["owner_uid"]}
    assert groups == {seen.group_name(pod): pod["spec"]["containers"][0]["image"] for pod in pods}
    return True


STORIES_WITH_A_CLOUD = (kills_change_nothing_in_the_end,)
"""Each needs a simulator, a daemon and a Node of its own."""
