"""SaladCloud fails, lies and loses answers: nothing is evicted, no phase changes, and in the end all is in order.

| what SaladCloud does | tests |
|---|---|
| 5xx, HTML, 408, 429 with and without `Retry-After`, 401, 403, resets, garbage, 404 to all | `test_an_outage_*` |
| an hour of all of them | `test_an_hour_of_ever_other_failures_*`, `test_an_outage_does_not_fill_the_log` |
| a request that is lost before or after it was applied | `test_a_lost_*` |
| unknown enum values and fields | `test_what_is_not_known_*` |
| a list of 100 of more | `test_groups_that_the_list_does_not_show_*` |
| events late, skewed, doubled, missing | `test_every_exit_counts_once_*` |
| hangs, a rotated key file: `tests/integration/test_daemon_outages.py` | |
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support import manifests

KEY_REFUSED, NO_ANSWER = "ApiKeyRefused", "SaladCloudUnreachable"
OUTAGES = {
    "500": NO_ANSWER, "502": NO_ANSWER, "503": NO_ANSWER, "504": NO_ANSWER, "408": NO_ANSWER, "reset": NO_ANSWER,
    "garbage": NO_ANSWER, "html200": NO_ANSWER, "429": NO_ANSWER, "429-retry-after": NO_ANSWER, "400": NO_ANSWER,
    "401": KEY_REFUSED, "403": NO_ANSWER, "404": "ProjectNotFound",
}  # fmt: skip
# When the node says so: a minute after the first poll that failed, at the next look at its status. A 429 delays polls.
TOLD_SECONDS = 60.0 + 10.0 + 10.0
# The node looks at its status every 10 s; two polls and what was put off until then fit into that.
RECOVERED_SECONDS = 20.0
# Whether a create that failed in the outage was applied after all is waited for.
SETTLE_SECONDS = 120.0
LEASE_SECONDS = 40.0


class Outage:
    """Pods in every state of life, before and during an outage."""

    def __init__(self) -> None:
        self.world = world = World(allocation=5.0)
        world.create_and_run("server", "leaves")
        world.create_and_run("job", restart_policy="Never")
        world.create("starts")
        world.run_until(lambda: world.waiting("starts") == "Allocating")
        self.before = {name: world.status(name) for name in ("server", "job")}
        self.node = world.node()
        self.leaving = world.group("leaves")

    def begin(self, kind: str) -> None:
        self.world.cloud.outage(kind)
        self.world.cluster.delete_pod("leaves")
        self.world.create("comes")

    def holds(self) -> None:
        """What an outage must not change."""
        world = self.world
        for name, status in self.before.items():
            assert world.status(name) == status
        assert world.phase("starts") in ("Pending", "Running")
        assert (world.phase("comes"), world.phase("leaves")) == ("Pending", "Running")
        node = world.node()
        assert seen.condition(node, "Ready") == "True"
        assert node["status"]["capacity"]["cpu"] == self.node["status"]["capacity"]["cpu"]
        assert world.daemon.daemon.heartbeat.age_seconds() < LEASE_SECONDS

    def is_over(self) -> bool:
        """Whether everything that was there before is as if nothing had happened."""
        world = self.world
        assert not world.is_cut_off()
        assert all(map(world.is_ready, ["server", "job", "starts"]))
        assert world.is_gone("leaves") and self.leaving not in world.groups()
        return True

    def is_settled(self) -> bool:
        """Whether there is one ready pod for each group."""
        world = self.world
        names = [pod["metadata"]["name"] for pod in world.cluster.pods()]
        assert all(map(world.is_ready, names))
        assert world.groups() == {world.group(name) for name in names}
        return True


@pytest.mark.parametrize(("kind", "reason"), OUTAGES.items(), ids=OUTAGES)
def test_an_outage_changes_nothing_is_told_and_is_over_at_once(kind: str, reason: str) -> None:
    outage = Outage()
    world = outage.world
    outage.begin(kind)
    begun = world.now
    world.run_until(world.is_cut_off, TOLD_SECONDS)
    assert world.now - begun >= 55.0
    node = world.node()
    assert [one["reason"] for one in node["status"]["conditions"] if one["type"] == "SaladCloudReachable"] == [reason]
    # New pods are kept away by the taint.
    world.create("late")
    for _ in range(60):
        world.run(10.0)
        outage.holds()
        assert world.is_cut_off()
        assert "nodeName" not in world.pod("late")["spec"]
    world.run_until(lambda: "DeletionWaits" in world.reasons("leaves"), 700.0)
    world.cloud.outage(None)
    # A rate limit slows us down for as long as it says; everything else is over at once.
    slack = 90.0 if kind.startswith("429") else 0.0
    world.run_until(outage.is_over, RECOVERED_SECONDS + slack)
    for name in outage.before:
        assert world.status(name) == outage.before[name]
    world.run_until(outage.is_settled, SETTLE_SECONDS + RECOVERED_SECONDS + slack)
    assert world.phase("late") == "Running"
    world.check()


def test_an_hour_of_ever_other_failures_changes_nothing() -> None:
    outage = Outage()
    world = outage.world
    kinds = list(OUTAGES)
    outage.begin(kinds[0])
    for minute in range(60):
        world.cloud.outage(kinds[minute % len(kinds)])
        world.run(60.0)
        outage.holds()
    world.cloud.outage(None)
    world.run_until(outage.is_over, within=60.0)
    world.run_until(outage.is_settled, within=300.0)
    world.check()


def test_a_short_outage_is_not_even_told() -> None:
    outage = Outage()
    world = outage.world
    outage.begin("503")
    for _ in range(50):
        world.run(1.0)
        assert not world.is_cut_off()
    world.cloud.outage(None)
    world.run_until(outage.is_over, RECOVERED_SECONDS)


def test_an_outage_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.create_and_run("web")
    caplog.set_level(logging.WARNING, "virtual_kubelet_salad")
    caplog.clear()
    world.cloud.outage("503")
    world.run(3600.0)
    # The list, the feed, quota and classes: each when it begins and every five minutes.
    assert 4 <= len(caplog.records) <= 4 * 13
    caplog.clear()
    caplog.set_level(logging.INFO, "virtual_kubelet_salad")
    world.cloud.outage(None)
    world.run(700.0)
    assert sum(message.startswith("over: ") for message in caplog.messages) == 4


# -- lost requests ----------------------------------------------------------------------------------------------------

LOST = ("reset", "408", "500", "504", "garbage")


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", LOST)
def test_a_lost_create_makes_one_group(kind: str, applied: bool) -> None:
    world = World()
    world.cloud.fail_next(1, kind, applied=applied, operation="create_container_group")
    world.create_and_run("web", within=200.0)
    assert len(world.groups()) == 1
    world.check()


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", LOST)
def test_a_lost_delete_leaves_neither_pod_nor_group(kind: str, applied: bool) -> None:
    world = World()
    world.create_and_run("web")
    world.cloud.fail_next(1, kind, applied=applied, operation="delete_container_group")
    group = world.group()
    world.cluster.delete_pod("web")

    def is_first_the_group_gone() -> bool:
        assert group not in world.groups() or not world.is_gone("web"), "the pod went before its group"
        return world.is_gone("web")

    world.run_until(is_first_the_group_gone, within=60.0)
    assert not world.groups()


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", LOST)
def test_a_lost_update_ends_with_the_new_image(kind: str, applied: bool) -> None:
    world = World()
    world.create_and_run("web")
    world.cloud.fail_next(1, kind, applied=applied, operation="update_container_group")
    change = {"spec": {"containers": [{"name": "main", "image": "registry.example/server:2"}]}}
    world.cluster.patch("/api/v1/namespaces/default/pods/web", change)
    world.run_until(lambda: world.cloud.overview()[0]["image"] == "registry.example/server:2", within=120.0)
    world.run_until(world.is_ready)
    world.run(60.0)
    assert world.is_ready() and world.container()["restartCount"] == 1


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", LOST)
def test_a_lost_start_is_repeated(kind: str, applied: bool) -> None:
    world = World(autostart_works=False)
    world.cloud.fail_next(1, kind, applied=applied, operation="start_container_group")
    world.create_and_run("web", within=120.0)
    world.check()


@pytest.mark.parametrize("seed", range(5))
def test_when_every_third_request_fails_everything_ends_well(seed: int) -> None:
    world = World(seed)
    number = 0

    def fail_some(method: str, path: str) -> None:
        nonlocal number
        number += 1
        if number % 3 == seed % 3:
            kind = ("reset", "503", "408", "500", "garbage")[number % 5]
            world.cloud.fail_next(1, kind, applied=number % 2 == 0)

    world.daemon.cloud_line.before = fail_some
    names = [f"web-{index}" for index in range(10)]
    world.create_and_run(*names, within=600.0)
    assert len(world.groups()) == 10
    for name in names:
        world.cluster.delete_pod(name)
    world.run_until(lambda: world.is_gone(*names) and not world.groups(), within=600.0)
    world.check()


# -- what is not known ------------------------------------------------------------------------------------------------


def _with_news(value: Any) -> Any:
    """The same answer from a version of the API that tells more, everywhere."""
    if isinstance(value, dict):
        return {**{key: _with_news(inner) for key, inner in value.items()}, "x_new": {"a": [1, None]}, "newer": "yes"}
    if isinstance(value, list):
        return [_with_news(inner) for inner in value]
    return value


def test_what_is_not_known_in_an_answer_is_passed_over() -> None:
    world = World()
    world.daemon.cloud_line.distort = lambda path, body: _with_news(body)
    world.create_and_run("web")
    world.create_and_run("job", restart_policy="Never", environment=manifests.exits(3, 20.0))
    world.run_until(lambda: world.phase("job") == "Failed")
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 3
    world.cluster.delete_pod("web")
    world.run_until(lambda: world.is_gone("web"))


def test_what_is_not_known_as_a_state_ends_no_pod() -> None:
    world = World()
    world.create_and_run("web", "other")
    before = world.status()

    def rename(path: str, body: Any) -> Any:
        if isinstance(body, dict) and isinstance(body.get("current_state"), dict):
            body["current_state"]["status"] = "hibernating"
        for item in (body or {}).get("items", []) if isinstance(body, dict) else []:
            rename(path, item)
        for instance in (body or {}).get("instances", []) if isinstance(body, dict) else []:
            instance["state"] = "dreaming"
        return body

    world.daemon.cloud_line.distort = rename
    world.run(600.0)
    assert world.phase() == "Running" and world.container()["restartCount"] == 0
    world.daemon.cloud_line.distort = lambda path, body: body
    world.run_until(world.is_ready)
    assert world.container()["containerID"] == before["containerStatuses"][0]["containerID"]
    assert world.daemon.cloud_line.count("delete") == 0


def test_groups_that_the_list_does_not_show_are_followed_all_the_same() -> None:
    world = World(start=False, list_limit=100)
    foreign = world.create_foreign_groups(130)
    world.daemon = world.start()
    world.run(2.0)
    world.create_and_run("web", "other", within=200.0)
    world.create("job", restart_policy="Never", environment=manifests.exits(3, 30.0))
    world.run_until(lambda: world.phase("job") == "Failed", within=200.0)
    world.run(1800.0)
    assert world.is_ready("web") and world.is_ready("other")
    world.restart()
    world.run(600.0)
    assert world.is_ready("web") and world.container()["restartCount"] == 0
    world.cluster.delete_pod("other")
    world.run_until(lambda: world.is_gone("other"))
    assert world.groups() == {*foreign, world.group("web")}
    world.check(foreign)


# -- events -----------------------------------------------------------------------------------------------------------


def _doubled(path: str, body: Any) -> Any:
    if path.endswith("/log-entries") and isinstance(body, dict) and "items" in body:
        body["items"] = [item for item in body["items"] for _ in range(2)]
    return body


def _without_events(path: str, body: Any) -> Any:
    if path.endswith("/log-entries") and isinstance(body, dict) and "items" in body:
        body["items"] = []
    return body


EVENTS: dict[str, tuple[dict[str, Any], Any]] = {
    "late": ({"log_lag_min": 20.0, "log_lag_max": 40.0}, None),
    "skewed": ({"node_skew_max": 73.0}, None),
    "doubled": ({}, _doubled),
}


@pytest.mark.parametrize(("settings", "distort"), EVENTS.values(), ids=EVENTS)
def test_every_exit_counts_once_however_events_come(settings: dict[str, Any], distort: Any) -> None:
    world = World(**settings)
    if distort is not None:
        world.daemon.cloud_line.distort = distort
    world.create_and_run("web")
    world.create("job", restart_policy="Never", environment=manifests.exits(3, 40.0))
    for count in range(1, 4):
        world.run(120.0)
        world.cloud.exit_container(world.group(), 1)
        world.run_until(lambda: world.container()["restartCount"] == count, within=400.0)  # noqa: B023
        world.run_until(world.is_ready, within=100.0)
    assert world.phase("job") == "Failed"
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 3
    world.run(600.0)
    assert world.container()["restartCount"] == 3
    assert world.container()["lastState"]["terminated"]["exitCode"] == 1


def test_an_exit_without_any_event_is_found_by_looking_and_its_code_in_the_groups_own_log() -> None:
    world = World()
    world.daemon.cloud_line.distort = _without_events
    world.create("job", restart_policy="Never", environment=manifests.exits(3, 40.0))
    world.run_until(lambda: world.phase("job") == "Failed", within=600.0)
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 3
    world.run_until(lambda: not world.groups())
