"""A pod that is held back says what it waits for, since when and what is next; it is written when that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.in_memory_provider import IDENTITY
from tests.support.kubelet_world import KubeletWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.errors import Blocked, CouldNotAsk
from virtual_kubelet_salad.kubelet.provider import Notice, State


def fail_creates(world: KubeletWorld, error: Callable[[], errors.Error]) -> None:
    def fail(call: str, name: str, applied: bool) -> None:
        if call == "create" and not applied:
            raise error()

    world.provider.fail = fail


def version(world: KubeletWorld) -> str:
    return str((world.pod() or {})["metadata"]["resourceVersion"])


def messages(world: KubeletWorld, seconds: float, step: float = 1.0) -> list[str]:
    """The texts that the pod's message has had within that time, one after the other."""
    found: list[str] = []
    end = world.clock.monotonic() + seconds
    while world.clock.monotonic() < end:
        world.wake()
        world.settle(step)
        world.events()
        if not found or found[-1] != world.status()["message"]:
            found.append(world.status()["message"])
    return found


def test_a_blocked_pod_says_since_when_and_when_it_is_tried_next(world: KubeletWorld) -> None:
    world.create_pod()
    fail_creates(world, lambda: Blocked("QuotaExceeded", "The quota is used up"))
    world.settle()
    since = world.status()["startTime"]
    assert world.status()["message"] == (
        f"The quota is used up (waiting since {since}; next try at 2026-01-01T00:00:10Z at the latest)"
    )
    assert world.container()["state"]["waiting"]["message"] == world.status()["message"]
    assert world.status()["phase"] == "Pending" and "reason" not in world.status()


def test_the_text_of_a_blocked_pod_changes_with_its_tries_and_not_with_time(world: KubeletWorld) -> None:
    world.create_pod()
    fail_creates(world, lambda: Blocked("QuotaExceeded", "The quota is used up"))
    world.settle()
    texts = messages(world, 700.0)
    # After 10, 30, 70, 150, 310 and 630 seconds.
    assert len(texts) == 7 and len(set(texts)) == 7
    assert {text.split("; next try")[0] for text in texts} == {texts[0].split("; next try")[0]}
    tries = world.provider.count("create")
    (told,) = [event for event in world.events() if event["reason"] == "QuotaExceeded"]
    assert tries == 7 and told["count"] == 7
    assert (told["type"], told["message"]) == ("Warning", "The quota is used up")


def test_a_restart_tells_no_obstacle_anew_before_it_has_met_it(world: KubeletWorld) -> None:
    world.create_pod()
    fail_creates(world, lambda: Blocked("QuotaExceeded", "The quota is used up"))
    world.settle(100.0)
    before, text = len(world.events()), world.status()["message"]
    world.start()
    world.settle()
    assert len(world.events()) == before
    assert world.status()["message"].split("; next")[0] == text.split("; next")[0]


def test_another_obstacle_is_told_at_once(world: KubeletWorld) -> None:
    world.create_pod()
    fail_creates(world, lambda: Blocked("QuotaExceeded", "The quota is used up"))
    world.settle(5.0)
    fail_creates(world, lambda: Blocked("OutOfCredit", "There is no credit"))
    world.settle(10.0)
    assert world.waiting_reason() == "OutOfCredit"
    assert world.event_reasons() == ["QuotaExceeded", "OutOfCredit"]


def test_a_missing_source_says_how_often_it_is_looked_for_and_is_written_once(world: KubeletWorld) -> None:
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "t"}}}
    world.create_pod(container={"env": [reference]})
    world.settle()
    written = version(world)
    (text,) = messages(world, 3_600.0, step=60.0)
    assert text == ("Secret default/tokens not found (waiting since 2026-01-01T00:00:00Z; looked for again every 10 s)")
    assert version(world) == written
    (told,) = world.events()
    assert (told["reason"], told["count"]) == ("MandatorySecretNotFound", 1)


def test_a_refused_pod_says_that_it_is_not_tried_again(world: KubeletWorld) -> None:
    world.provider.refused = [Notice("Warning", "UnsupportedField", "no such thing here")]
    world.create_pod()
    world.settle(600.0)
    assert world.status()["message"] == (
        "no such thing here (waiting since 2026-01-01T00:00:00Z; not tried again until the pod is changed)"
    )


def test_an_image_back_off_says_when_the_next_attempt_is(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.change(world.box_name(), state=State.FAILED, message="manifest unknown")
    world.wake()
    world.settle(20.0)
    text = world.status()["message"]
    assert text.startswith("manifest unknown (waiting since 2026-01-01T00:00:00Z; next attempt at 2026-01-01T00:01:")
    assert text.endswith("Z at the latest)")
    written = version(world)
    assert messages(world, 20.0) == [text] and version(world) == written
    world.start()
    world.settle(140.0)
    again = world.status()["message"]
    assert again.count("waiting since") == 1 and again > text
    world.settle(120.0)
    assert (world.pod() or {})["metadata"]["annotations"][IDENTITY.attempt_annotation] == "1"


def test_out_of_credit_is_written_once_however_often_a_start_is_refused(world: KubeletWorld) -> None:
    world.run_pod()
    reason = IDENTITY.stopped_by_cloud_reason
    stop: dict[str, Any] = {"state": State.STOPPED, "run": None, "is_running": False, "is_stopped_by_cloud": True}
    world.provider.change(world.box_name(), **stop, reason=reason, message="There is no credit")

    def fail(call: str, name: str, applied: bool) -> None:
        if call == "start" and not applied:
            raise Blocked(reason, "There is no credit, says the start", retry_after=300.0)

    world.provider.fail = fail
    world.wake()
    world.settle()
    written = version(world)
    (text,) = messages(world, 3_000.0, step=60.0)
    assert text.startswith("There is no credit (waiting since 2026-01-01T00:00:00Z; one start is tried every 5 minutes")
    assert version(world) == written and world.provider.count("start") > 5
    assert [event["count"] for event in world.events() if event["reason"] == reason] == [1]


def test_a_start_that_is_refused_for_another_reason_says_so_and_no_more(world: KubeletWorld) -> None:
    world.run_pod()
    stop: dict[str, Any] = {"state": State.STOPPED, "run": None, "is_running": False}
    world.provider.change(world.box_name(), **stop, reason="Stopped", message="It was stopped")

    def fail(call: str, name: str, applied: bool) -> None:
        if call == "start" and not applied:
            raise Blocked("ApiKeyRefused", "The key is refused")

    world.provider.fail = fail
    world.wake()
    world.settle(200.0)
    assert world.waiting_reason() == "Stopped"
    assert len(messages(world, 1_500.0, step=60.0)) > 2
    assert world.provider.count("start") > 2
    assert world.waiting_reason() == "ApiKeyRefused" and "next try at" in world.status()["message"]
    assert world.event_reasons() == ["Started", "Stopped", "ApiKeyRefused"]
    world.provider.fail = lambda call, name, applied: None
    world.settle(3_700.0)
    world.wake()
    world.settle()
    assert world.waiting_reason() == "Allocating"


def test_a_stopped_pod_that_may_not_restart_says_when_it_fails(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="Never")
    stop: dict[str, Any] = {"state": State.STOPPED, "run": None, "is_running": False}
    world.provider.change(world.box_name(), **stop, reason="Stopped", message="It was stopped")
    world.wake()
    world.settle()
    assert "; the pod fails at 2026-01-01T00:10:00Z unless it is started before)" in world.status()["message"]
    world.settle(601.0)
    assert (world.status()["phase"], world.status()["reason"]) == ("Failed", "Stopped")


def test_nobody_says_that_a_workload_cannot_be_created_when_it_has_been(world: KubeletWorld) -> None:
    world.create_pod()

    def fail(call: str, name: str, applied: bool) -> None:
        if call == "observe":
            raise CouldNotAsk("SaladCloud answered 503", retry_after=5.0)

    world.provider.fail = fail
    world.settle(60.0)
    assert world.provider.count("create") == 1 and world.provider.count("observe") > 5
    assert "CreationWaits" not in world.event_reasons()


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_create_that_cannot_be_asked_for_is_told_when_that_goes_on(world: KubeletWorld, seconds: float) -> None:
    world.create_pod()
    fail_creates(world, lambda: CouldNotAsk("SaladCloud answered 503", retry_after=5.0))
    world.settle(seconds)
    told = [event for event in world.events() if event["reason"] == "CreationWaits"]
    assert len(told) == (1 if seconds else 0)
    assert all("SaladCloud answered 503" in event["message"] for event in told)


def test_a_want_of_budget_is_no_news(world: KubeletWorld) -> None:
    world.create_pod()
    fail_creates(world, lambda: errors.NoBudget("no token", retry_after=5.0))
    world.settle(120.0)
    assert world.event_reasons() == []
