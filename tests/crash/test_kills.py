"""The daemon killed with -9 at random moments while users create, change and delete pods and SaladCloud loses answers.

In the end everything settles as if nothing had happened: nothing leaked, nothing twice, nothing foreign touched, hardly
a second paid for a container whose pod has ended. At no moment does a pod go before its group. A run prints its seed
and its figures; SALAD_VK_CRASH_SEED repeats its choices (though not the operating system's), SALAD_VK_CRASH_KILLS makes
it longer.
"""

from __future__ import annotations

import os
import pathlib
import random
from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.auditor import Auditor
from tests.support.cloud_process import ApiServerProcess, CloudProcess, create_foreign_group
from tests.support.cluster import Object
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("SALAD_VK_CRASH_KILLS", "20"))
SEED = int(os.environ.get("SALAD_VK_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
MOST_PODS = 16
# A kill comes after so many requests of this run: mostly soon, so that it meets starts and bursts; sometimes late, so
# that there is something to come back to.
MOST_REQUESTS = 25
MOST_REQUESTS_OF_A_LONG_RUN = 120
LONG_RUNS = 0.2
# Nothing that was deleted goes while kills come every few seconds, so from time to time everything may settle.
KILLS_BETWEEN_CALMS = 12
SETTLE_SECONDS = 120.0
FOREIGN = ("somebodys-group", "web-abcdefghijkl")
FLAGS = (
    "--poll-interval", "300ms",
    "--feed-interval", "500ms",
    "--heartbeat-interval", "1s",
    "--create-settle", "6s",
    "--sce-rate-limit", "0",
    "--leader-identity", "the-only-one",
)  # fmt: skip
# Ways in which SaladCloud may fail a request, before it takes effect or after.
FAULTS = ("503", "504", "408", "reset")
# For one group, while a daemon runs. A loaded machine must not fail the test, a forgotten group must.
UNWANTED_SECONDS = 60.0


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    """Both servers as processes; the daemon is not started."""
    cloud_flags = ("--profile", "fast", "--no-rate-limit", "--latency", "0.02", "--seed", str(SEED))
    with CloudProcess(tmp_path, *cloud_flags) as cloud, ApiServerProcess(tmp_path) as api_server:
        for name in FOREIGN:
            create_foreign_group(cloud, name)
        daemon = DaemonProcess(tmp_path, api_server.kubeconfig(), cloud.url, *FLAGS)
        try:
            yield World(seen.over_http(api_server.url), cloud, daemon)
        except BaseException as error:
            error.add_note(f"seed {SEED}\n" + "\n".join(daemon.whole_log().splitlines()[-60:]))
            raise
        finally:
            if daemon.is_running:
                daemon.kill()


class Users:
    """What people do meanwhile."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._count = 0

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

    def _create(self) -> None:
        self._count += 1
        if self._chance.random() < 0.3:
            code, after = self._chance.choice((0, 3)), self._chance.uniform(0.5, 4.0)
            environment = manifests.exits(code, round(after, 1))
            pod = manifests.pod(f"once-{self._count}", restart_policy="Never", environment=environment)
        else:
            pod = manifests.pod(f"web-{self._count}")
        self._world.cluster.create_pod(pod)

    def _change_image(self, pod: Object) -> None:
        if seen.phase(pod) not in ("Pending", "Running"):
            return
        image = f"registry.example/server:{self._chance.randint(2, 9)}"
        change = {"spec": {"containers": [{"name": "main", "image": image}]}}
        self._world.cluster.patch(f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}", change)


def test_after_many_kills_everything_is_as_it_should_be(world: World) -> None:
    with Auditor(world.cluster, world.cloud) as auditor:
        _kill_again_and_again(world)
        auditor.check()


def _kill_again_and_again(world: World) -> None:
    chance = random.Random(SEED)
    users = Users(world, chance)
    for number in range(1, KILLS + 1):
        users.act()
        if chance.random() < 0.6:
            kind, is_applied = chance.choice(FAULTS), chance.random() < 0.5
            world.cloud.control("fail_next", count=chance.randint(1, 3), kind=kind, applied=is_applied)
        _start(world)
        if number % KILLS_BETWEEN_CALMS == 0:
            world.until(lambda: _is_calm(world), "what was deleted to go", SETTLE_SECONDS)
        most = MOST_REQUESTS_OF_A_LONG_RUN if chance.random() < LONG_RUNS else MOST_REQUESTS
        enough = world.cloud.statistics()["requests"] + chance.randint(1, most)
        world.until(lambda: world.cloud.statistics()["requests"] >= enough, "the moment of the kill")  # noqa: B023
        world.daemon.kill()
        world.cloud.control("daemon_away", on=True)
    assert world.requests("create_container_group") >= KILLS / 2
    world.cloud.control("clear_faults")
    _start(world)
    world.until(lambda: _has_settled(world), "everything to settle", SETTLE_SECONDS)
    images = {pod["metadata"]["uid"]: pod["spec"]["containers"][0]["image"] for pod in world.pods()}
    for group in world.cloud.overview():
        if group["name"] not in FOREIGN:
            assert group["image"] == images[group["owner_uid"]]
    check_cloud(world.cloud, FOREIGN)
    for pod in world.pods():
        world.cluster.delete_pod(pod["metadata"]["name"])
    world.until_nothing_is_left(keep=FOREIGN, timeout=SETTLE_SECONDS)
    check_cloud(world.cloud, FOREIGN)
    assert world.daemon.stop() == 0
    assert world.daemon.problems() == []
    _check_books(world)


def _is_calm(world: World) -> bool:
    return not any("deletionTimestamp" in pod["metadata"] for pod in world.pods())


def _start(world: World) -> None:
    world.daemon.start()
    world.cloud.control("daemon_away", on=False)


def _check_books(world: World) -> None:
    """What was paid for."""
    statistics = world.cloud.statistics()
    unwanted, unattended = statistics["unwanted_seconds"], statistics["unattended_seconds"]
    leaked = world.group_names() - set(FOREIGN)
    print(
        f"seed {SEED}, {KILLS} kills, {world.requests('create_container_group')} creates, {statistics['requests']} "
        f"requests: {len(leaked)} leaked, {len(statistics['duplicates'])} double, "
        f"{len(statistics['foreign_deletions'])} foreign touched\n"
        f"{sum(statistics['billed_seconds'].values()):.0f} s billed; without a live pod {sum(unwanted.values()):.1f} s "
        f"in {sum(map(bool, unwanted.values()))} groups, {max(unwanted.values()):.1f} s in one of them; "
        f"while no daemon ran {sum(unattended.values()):.1f} s"
    )
    assert max(unwanted.values()) <= UNWANTED_SECONDS, unwanted


def _has_settled(world: World) -> bool:
    """Every pod is ready with its one group, or finished without; nothing is on its way out; no other group is
    there."""
    expected = set(FOREIGN)
    pods = world.pods()
    for pod in pods:
        assert "deletionTimestamp" not in pod["metadata"], seen.in_short(pods)
        if seen.phase(pod) in ("Succeeded", "Failed"):
            assert not seen.has_finalizer(pod), seen.in_short(pods)
        else:
            assert seen.is_ready(pod), seen.in_short(pods)
            expected.add(seen.group_name(pod))
    assert world.group_names() == expected
    return True
