"""The API server is away, slow, refuses, loses answers or leaves a watch dead: pods run on, and it is caught up with.

| what the API server does | tests |
|---|---|
| down for 1 s to 10 min | `test_an_outage_*` |
| restarted with a compacted history | `test_after_a_compacted_history_*` |
| slow, 429, 401, 403, 5xx, HTML | `test_a_slow_*`, `test_refusals_*` |
| a watch that is silently dead | `test_a_dead_watch_*` |
| status PATCH conflicts, lost answers | `test_conflicts_*`, `test_lost_answers_*` |
| Ready set False by the node controller | `test_ready_is_set_back_*` |
| the same over sockets: `tests/integration/kube`, `tests/integration/test_daemon_outages.py` | |
"""

from __future__ import annotations

import random

import pytest

from tests.simulated.process import DEAD_WATCH_SECONDS
from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support import manifests
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer

POD = "/api/v1/namespaces/default/pods"
# Backed-off retries, and what follows a change in SaladCloud.
CAUGHT_UP_SECONDS = 60.0


def _answer(code: int, reason: str, retry_after: str = "") -> ApiAnswer:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "as told by the test"}
    return ApiAnswer(code, body, {"retry-after": retry_after} if retry_after else {})


@pytest.mark.parametrize("is_compacted", [False, True], ids=["resumed", "compacted"])
@pytest.mark.parametrize("seconds", [1.0, 30.0, 600.0])
def test_an_outage_is_survived_and_caught_up_with(seconds: float, is_compacted: bool) -> None:
    world = World()
    world.create_and_run("web", "leaves")
    world.create_and_run("job", restart_policy="Never", environment=manifests.exits(3, 30.0))
    before = world.status()
    line = world.daemon.cloud_line
    writes = (line.count("create"), line.count("delete"))
    begun = world.now
    world.daemon.api_line.is_cut = True
    world.create("comes")
    world.cluster.delete_pod("leaves")
    world.run(seconds)
    assert (line.count("create"), line.count("delete")) == writes, "nothing is written on an old view"
    assert line.longest_gap("list", begun, world.now) <= 10.0
    if is_compacted:
        world.api_models[0].compact()
    world.daemon.api_line.is_cut = False
    world.run_until(lambda: world.is_gone("leaves") and world.is_ready("comes"), CAUGHT_UP_SECONDS)
    world.run_until(lambda: world.phase("job") == "Failed", CAUGHT_UP_SECONDS)
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 3
    assert world.status() == before
    assert seen.condition(world.node(), "Ready") == "True"
    world.run_until(lambda: world.groups() == {world.group("web"), world.group("comes")})
    world.check()


def test_an_outage_of_both_sides_is_survived() -> None:
    world = World()
    world.create_and_run("web", "leaves")
    before = world.status()
    world.daemon.api_line.is_cut = True
    world.cloud.outage("503")
    world.cluster.delete_pod("leaves")
    world.run(600.0)
    world.daemon.api_line.is_cut = False
    world.run(120.0)
    assert world.status() == before
    world.cloud.outage(None)
    world.run_until(lambda: world.is_gone("leaves"), CAUGHT_UP_SECONDS)
    assert world.groups() == {world.group("web")}


def test_a_restart_of_the_daemon_while_the_api_server_is_away_changes_nothing() -> None:
    world = World()
    world.create_and_run("web")
    before = world.status()
    world.restart()
    world.daemon.api_line.is_cut = True
    world.run(300.0)
    line = world.daemon.cloud_line
    assert (line.count("create"), line.count("delete")) == (0, 0), "without pods nothing is an orphan"
    world.daemon.api_line.is_cut = False
    world.run(60.0)
    assert world.status() == before


# -- answers that are none --------------------------------------------------------------------------------------------

REFUSALS = {
    "429": _answer(429, "TooManyRequests", "5"),
    "429 without a time": _answer(429, "TooManyRequests"),
    "500": _answer(500, "InternalError"),
    "503 page": ApiAnswer(503, None, {}),
    "200 page": ApiAnswer(200, None, {}),
    "401": _answer(401, "Unauthorized"),
    "403": _answer(403, "Forbidden"),
    "409": _answer(409, "Conflict"),
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_refusals_of_every_write_for_minutes_are_survived_without_a_storm(answer: ApiAnswer) -> None:
    world = World()
    world.create_and_run("web", "leaves")
    before = world.status()
    line = world.daemon.api_line
    line.before = lambda method, path: None if method == "GET" else answer
    requests = line.requests
    world.create("comes")
    world.cluster.delete_pod("leaves")
    world.run(300.0)
    # The lease and the node each 2 s, with a look before; pods and Events ever more rarely.
    assert line.requests - requests <= 300 / 2 * 4 + 150
    line.before = lambda method, path: None
    world.run_until(lambda: world.is_gone("leaves") and world.is_ready("comes"), within=700.0)
    assert world.status() == before
    assert world.groups() == {world.group("web"), world.group("comes")}
    world.check()


def test_a_slow_api_server_slows_us_down_and_nothing_else() -> None:
    world = World()
    world.daemon.api_line.before = lambda method, path: world.clock.advance(1.0)
    world.create_and_run("web", "other", within=300.0)
    world.cluster.delete_pod("other")
    world.run_until(lambda: world.is_gone("other"), within=300.0)
    assert world.groups() == {world.group("web")}
    world.check()


# -- the watch --------------------------------------------------------------------------------------------------------


def test_a_dead_watch_is_noticed_and_what_was_missed_is_made_good() -> None:
    world = World()
    world.create_and_run("web", "leaves")
    world.daemon.watch.die_silently()
    world.cluster.delete_pod("leaves")
    world.create("comes")
    # Somebody else writes, so that what we know is old; and something happens that we want to write.
    world.cluster.patch(f"{POD}/web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    world.cloud.set_ready(world.group("web"), False)
    world.run(30.0)
    assert not world.is_gone("leaves")
    world.run_until(lambda: not world.is_ready("web"), DEAD_WATCH_SECONDS)
    world.run_until(lambda: world.is_gone("leaves") and world.is_ready("comes"), CAUGHT_UP_SECONDS)
    assert world.pod("web")["metadata"]["labels"]["changed"] == "meanwhile"
    world.check()


def test_after_a_compacted_history_a_deleted_pod_is_missed_no_longer() -> None:
    """A pod whose end the watch never told is known to be gone after the next list."""
    world = World()
    world.create_and_run("web")
    group = world.group()
    world.daemon.watch.die_silently()
    world.cluster.patch(f"{POD}/web", {"metadata": {"$deleteFromPrimitiveList/finalizers": [seen.FINALIZER]}})
    world.cluster.delete_pod("web", grace_seconds=0)
    world.create("web")
    world.api_models[0].compact()
    world.run_until(lambda: world.is_ready("web"), within=200.0)
    world.run_until(lambda: group not in world.groups(), within=200.0)
    assert world.groups() == {world.group("web")}
    world.check()


# -- writes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_conflicts_of_writes_are_tried_again(seed: int) -> None:
    world, chance = World(), random.Random(seed)

    def refuse_some(method: str, path: str) -> ApiAnswer | None:
        return REFUSALS["409"] if method != "GET" and chance.random() < 0.5 else None

    world.daemon.api_line.before = refuse_some
    names = [f"web-{number}" for number in range(5)]
    world.create_and_run(*names, within=300.0)
    world.cluster.delete_pod("web-0")
    world.run_until(lambda: world.is_gone("web-0"), within=300.0)
    assert world.groups() == {world.group(name) for name in names[1:]}
    world.check()


@pytest.mark.parametrize("seed", range(3))
def test_lost_answers_of_writes_do_nothing_twice(seed: int) -> None:
    world, chance = World(), random.Random(seed)

    def lose_some(method: str, path: str) -> None:
        if method != "GET" and chance.random() < 0.4:
            raise errors.CouldNotAsk("the connection was cut", may_be_applied=True)

    world.daemon.api_line.after = lose_some
    names = [f"web-{number}" for number in range(5)]
    world.create_and_run(*names, within=600.0)
    world.create("once", restart_policy="Never", environment=manifests.exits(0, 5.0))
    world.run_until(lambda: world.phase("once") == "Succeeded", within=300.0)
    world.cluster.delete_pod("web-0")
    world.run_until(lambda: world.is_gone("web-0"), within=300.0)
    world.run_until(lambda: world.groups() == {world.group(name) for name in names[1:]}, within=300.0)
    world.check()


def test_ready_is_set_back_after_a_blip_of_the_node() -> None:
    world = World()
    names = ["web", "other"]
    world.create_and_run(*names)
    for name in names:
        condition = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
        world.cluster.patch(f"{POD}/{name}/status", {"status": {"conditions": [condition]}})
        assert not world.is_ready(name)
    world.run(1.0)
    assert all(map(world.is_ready, names))
