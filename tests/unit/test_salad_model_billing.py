"""The simulated SaladCloud: whom its containers run for, and exits of which nobody is told."""

from __future__ import annotations

import pytest

from tests.support.salad_caller import SaladCaller
from virtual_kubelet_salad.sandbox.salad_control import ControlError


@pytest.fixture
def salad() -> SaladCaller:
    return SaladCaller(log_lag_min=0.0, log_lag_max=0.0)


def _seconds(salad: SaladCaller, kind: str, name: str) -> float:
    seconds: float = salad.model.statistics()[f"{kind}_seconds"][name]
    return seconds


def test_a_container_whose_pod_has_ended_runs_unwanted(salad: SaladCaller) -> None:
    salad.run("web", uid="one")
    salad.run("other", uid="two")
    salad.wait(10)
    salad.model.pod_ended("one")
    salad.wait(5)
    salad.model.pod_ended("one")
    salad.wait(5)
    assert _seconds(salad, "billed", "web") == pytest.approx(20, abs=3)
    assert _seconds(salad, "unwanted", "web") == pytest.approx(10)
    assert _seconds(salad, "unwanted", "other") == 0
    salad.delete("web")
    salad.wait(100)
    assert _seconds(salad, "unwanted", "web") == pytest.approx(10)


def test_a_group_made_after_its_pod_has_ended_is_unwanted_from_its_first_second(salad: SaladCaller) -> None:
    salad.model.pod_ended("one")
    salad.run("web", uid="one")
    salad.wait(7)
    assert _seconds(salad, "unwanted", "web") == _seconds(salad, "billed", "web") == pytest.approx(7)


@pytest.mark.parametrize(
    "policy, code, is_unwanted",
    [("never", 0, True), ("never", 3, True), ("on_failure", 0, True), ("on_failure", 3, False), ("always", 0, False)],
)
def test_runs_after_the_last_that_may_be_are_unwanted(
    salad: SaladCaller, policy: str, code: int, is_unwanted: bool
) -> None:
    salad.run("job", restart_policy=policy)
    salad.wait(10)
    salad.model.exit_container("job", code)
    salad.wait(10)
    salad.delete("job")
    deletions = salad.model.statistics()["seconds_until_deleted"]
    assert deletions == ({"job": pytest.approx(10)} if is_unwanted else {})
    billed = _seconds(salad, "billed", "job")
    assert billed == pytest.approx(19.5, abs=0.1), "the restart takes half a second"
    assert _seconds(salad, "unwanted", "job") == (pytest.approx(9.5) if is_unwanted else 0)
    one_life = salad.model.statistics()["unwanted_seconds_of_one_life"]["job"]
    assert one_life == _seconds(salad, "unwanted", "job"), "of all runs"


def test_seconds_without_a_daemon_are_counted_apart(salad: SaladCaller) -> None:
    salad.run("web", uid="one")
    salad.model.daemon_is("away")
    salad.wait(2)
    salad.model.pod_ended("one")
    salad.wait(3)
    salad.model.daemon_is("away")
    salad.wait(1)
    salad.model.daemon_is("working")
    salad.model.daemon_is("working")
    salad.wait(5)
    assert _seconds(salad, "unattended", "web") == pytest.approx(4)
    assert _seconds(salad, "unwanted", "web") == pytest.approx(5)
    salad.model.daemon_is("away")
    salad.wait(6)
    assert _seconds(salad, "unattended", "web") == pytest.approx(10)
    salad.delete("web")
    salad.wait(6)
    assert _seconds(salad, "unattended", "web") == pytest.approx(10)


def test_seconds_while_a_daemon_starts_are_counted_apart(salad: SaladCaller) -> None:
    salad.run("web", uid="one")
    for _ in range(3):
        salad.model.daemon_is("away")
        salad.wait(1)
        salad.model.pod_ended("one")
        salad.model.daemon_is("starting")
        salad.wait(2)
        salad.model.daemon_is("working")
        salad.wait(4)
    statistics = salad.model.statistics()
    assert statistics["unwanted_seconds_at_starts"]["web"] == pytest.approx(6)
    assert statistics["unwanted_seconds"]["web"] == pytest.approx(12)
    assert statistics["unwanted_seconds_of_one_life"]["web"] == pytest.approx(4)
    assert statistics["unattended_seconds"]["web"] == pytest.approx(2)


def test_a_daemon_does_nothing_else(salad: SaladCaller) -> None:
    with pytest.raises(ControlError, match="'asleep'"):
        salad.model.control("daemon_is", {"doing": "asleep"})


@pytest.mark.parametrize("kind, is_in_its_own_log", [("lost", True), ("none", False)])
def test_an_exit_of_which_nobody_is_told(salad: SaladCaller, kind: str, is_in_its_own_log: bool) -> None:
    salad.run("job", environment={"SIM_EXIT": "3 after 5s", "SIM_EXIT_EVENT": kind})
    before = salad.instance("job")
    salad.wait(6)
    assert salad.instance("job")["id"] != before["id"]
    exits = "Instance Exited:3 (Error)"
    assert (exits in salad.events("job")) is is_in_its_own_log
    query = 'resource.labels.container_group_name = "job"'
    messages = [item["json_log"]["message"] for item in salad.logs(query).body["items"] if "json_log" in item]
    assert "Instance Running" in messages
    assert exits not in messages
