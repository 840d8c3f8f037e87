"""The daemon killed with -9 at random moments and inside its writes, while users create, change and delete pods, and
SaladCloud and the API server lose answers, refuse, hang, and tell events late or never.

In the end everything settles as if nothing had happened: nothing leaked, nothing twice, nothing foreign touched, every
exit told as it was, hardly a second paid for a container whose pod has ended. At no moment does a pod go before its
group. A run prints its seed and its figures; the long one:

    SALAD_VK_CRASH_KILLS=200 pytest -s tests/crash

SALAD_VK_CRASH_SEED makes other choices; a seed repeats them (though not the operating system's).
"""

from __future__ import annotations

import json
import os
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.users import ENDS, ENDS_UNTOLD, Users
from tests.support import cluster as seen
from tests.support.auditor import Auditor
from tests.support.books import Bound, close_the_books
from tests.support.cloud_process import ApiServerProcess, CloudProcess, create_foreign_group
from tests.support.cluster import NODE_NAME
from tests.support.daemon_process import DaemonProcess
from tests.support.kill_moments import Moments
from tests.support.misfortune import LATENCY_SECONDS, Misfortune
from tests.support.mortal import Mortal
from tests.support.scenarios import World, check_cloud

SHORT_RUN_KILLS = 16
KILLS = int(os.environ.get("SALAD_VK_CRASH_KILLS", SHORT_RUN_KILLS))
SEED = int(os.environ.get("SALAD_VK_CRASH_SEED", "1"))
# Nothing that has ended goes while kills come every few seconds, so from time to time all of it may go.
KILLS_BETWEEN_CALMS = 12
SETTLE_SECONDS = 240.0
pytestmark = [pytest.mark.crash, pytest.mark.timeout(600.0 + 20.0 * KILLS)]
FLAGS = (
    "--poll-interval", "300ms",
    "--feed-interval", "500ms",
    "--heartbeat-interval", "1s",
    "--create-settle", "6s",
    "--sce-rate-limit", "0",
    "--leader-identity", "the-only-one",
)  # fmt: skip
# For one group, while one daemon works: what its design allows, and how long SaladCloud may keep it waiting. A short
# run is part of every run of the tests, beside others on a loaded machine; there a forgotten group must fail it, and
# nothing else.
UNWANTED_SECONDS = 60.0 if KILLS <= SHORT_RUN_KILLS else 10.0 + LATENCY_SECONDS
# An exit of which no event tells looks like an event that is late, for a minute and anew after each kill.
UNWANTED_SECONDS_OF_UNTOLD_EXITS = 60.0 + UNWANTED_SECONDS
BOUNDS = {
    ENDS_UNTOLD: Bound(UNWANTED_SECONDS_OF_UNTOLD_EXITS, KILLS),
    "": Bound(UNWANTED_SECONDS, KILLS_BETWEEN_CALMS),
}


@pytest.fixture
def api_server(tmp_path: pathlib.Path) -> Iterator[ApiServerProcess]:
    with ApiServerProcess(tmp_path) as api_server:
        yield api_server


@pytest.fixture
def world(tmp_path: pathlib.Path, api_server: ApiServerProcess) -> Iterator[World]:
    """Both servers as processes; the daemon is not started."""
    cloud_flags = ("--profile", "fast", "--no-rate-limit", "--seed", str(SEED))
    with CloudProcess(tmp_path, *cloud_flags) as cloud:
        daemon = DaemonProcess(tmp_path, api_server.kubeconfig(), cloud.url, *FLAGS)
        try:
            yield World(seen.over_http(api_server.url), cloud, daemon)
        except BaseException as error:
            error.add_note(f"seed {SEED}\n" + "\n".join(daemon.whole_log().splitlines()[-60:]))
            raise
        finally:
            if daemon.is_running:
                daemon.kill()


def test_after_many_kills_everything_is_as_it_should_be(world: World, api_server: ApiServerProcess) -> None:
    foreign = _create_foreign_groups(world)
    users = Users(world, random.Random(SEED))
    with Auditor(world.cluster, world.cloud) as auditor, Mortal(world.daemon, world.cloud) as mortal:
        _kill_again_and_again(world, api_server, users, mortal)
        world.until(lambda: _has_settled(world, users, set(foreign)), "everything to settle", SETTLE_SECONDS)
        _check_images(world, set(foreign))
        for pod in world.pods():
            world.cluster.delete_pod(pod["metadata"]["name"])
        world.until_nothing_is_left(keep=set(foreign), timeout=SETTLE_SECONDS)
        auditor.check()
    check_cloud(world.cloud, foreign)
    assert _as_they_are(world, set(foreign)) == foreign
    assert world.daemon.stop() == 0
    assert world.daemon.problems() == []
    leaked = world.group_names() - set(foreign)
    close_the_books(world.cloud, mortal, f"seed {SEED}", leaked, BOUNDS)


def _kill_again_and_again(world: World, api_server: ApiServerProcess, users: Users, mortal: Mortal) -> None:
    """The last of them is not killed."""
    chance = random.Random(SEED + 1)
    misfortune = Misfortune(world.cloud, chance, api_server)
    moments = Moments(world, chance, api_server)
    for number in range(1, KILLS + 1):
        users.act()
        misfortune.strike()
        is_calm_wanted = number % KILLS_BETWEEN_CALMS == 0
        if is_calm_wanted:
            mortal.start()
            world.until(lambda: _is_calm(world), "what has ended to go", SETTLE_SECONDS)
            moments.prepare()
        else:
            moments.prepare()
            mortal.start()
        moments.wait()
        mortal.kill()
        misfortune.end()
    print("kills:", moments.in_short())
    print("pods:", ", ".join(f"{count} {kind}" for kind, count in users.created.items()))
    assert world.requests("create_container_group") >= KILLS / 2
    mortal.start()


def _is_calm(world: World) -> bool:
    """No pod is on its way out, and of every exit that was told the pod tells."""
    for pod in world.pods():
        assert "deletionTimestamp" not in pod["metadata"]
        if pod["metadata"]["name"].startswith(ENDS):
            assert seen.phase(pod) in ("Succeeded", "Failed") and not seen.has_finalizer(pod)
    return True


def _has_settled(world: World, users: Users, foreign: set[str]) -> bool:
    """Every pod is as it should be, with its one group or finished without; no other group is there."""
    pods = world.pods()
    users.check(pods)
    live = {seen.group_name(pod) for pod in pods if seen.phase(pod) == "Running"}
    assert world.group_names() == foreign | live
    return True


def _check_images(world: World, foreign: set[str]) -> None:
    images = {pod["metadata"]["uid"]: pod["spec"]["containers"][0]["image"] for pod in world.pods()}
    for group in world.cloud.overview():
        if group["name"] not in foreign:
            assert group["image"] == images[group["owner_uid"]]


def _create_foreign_groups(world: World) -> dict[str, Any]:
    """Of people, of another node of this cluster, and of a node of the same name in another cluster; what they are like
    once they run, by name.
    """
    cluster = world.cluster.get("/api/v1/namespaces/kube-system")
    assert cluster is not None
    for number in range(8):
        create_foreign_group(world.cloud, f"somebodys-{number}")
    create_foreign_group(world.cloud, "web-abcdefghijkl")
    create_foreign_group(world.cloud, "web-1-abcdefghijkl", _record(cluster["metadata"]["uid"], "another-node"))
    create_foreign_group(world.cloud, "web-2-abcdefghijkl", _record("another-cluster", NODE_NAME))
    names = world.group_names()

    def all_run() -> dict[str, Any]:
        groups = _as_they_are(world, names)
        assert all(each["state"] == "running" for group in groups.values() for each in group["instances"]), groups
        assert all(group["status"] == "running" and group["instances"] for group in groups.values()), groups
        return groups

    groups: dict[str, Any] = world.until(all_run, "the groups of others to run")
    return groups


def _record(cluster: str, node: str) -> dict[str, str]:
    record = {"v": 1, "cluster": cluster, "node": node, "namespace": "default", "pod": "web", "attempt": 0, "image": ""}
    return {"SALAD_VK_OWNER": json.dumps({**record, "uid": f"of-{node}-in-{cluster}"})}


def _as_they_are(world: World, names: set[str]) -> dict[str, Any]:
    """All that shows a write: a change of status, version, image, runs or instances."""
    return {group["name"]: group for group in world.cloud.overview() if group["name"] in names}
