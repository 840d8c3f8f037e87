"""Events: noted without waiting, posted once, counted up, lost only with a count."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.events import EventRecorder

POD = {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}}
NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "saladcloud-node", "uid": "n-1"}}


class Api:
    """Keeps events by namespace and name, and fails when told: before or after the call is applied."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.fail_before: list[errors.Error] = []
        self.fail_after: list[errors.Error] = []
        self.during_call: Callable[[], None] = lambda: None

    def create_event(self, namespace: str, event: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("create")
        self.during_call()
        self._fail(self.fail_before)
        assert event["metadata"]["namespace"] == namespace
        key = (namespace, event["metadata"]["name"])
        if key in self.events:
            raise errors.Conflict("already exists")
        self.events[key] = copy.deepcopy(event)
        self._fail(self.fail_after)
        return event

    def patch_event(self, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("patch")
        self._fail(self.fail_before)
        if (namespace, name) not in self.events:
            raise errors.NotFound("no such event")
        self.events[namespace, name].update(patch)
        self._fail(self.fail_after)
        return self.events[namespace, name]

    def _fail(self, failures: list[errors.Error]) -> None:
        if failures:
            raise failures.pop(0)

    @property
    def only(self) -> dict[str, Any]:
        (event,) = self.events.values()
        return event


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def recorder(api: Api, clock: FakeClock) -> EventRecorder:
    return EventRecorder(api, clock, "virtual-kubelet-salad", "saladcloud-node")


def post_all(recorder: EventRecorder) -> None:
    while recorder.step() == 0.0:
        pass


def test_an_event_is_posted_as_core_v1(recorder: EventRecorder, api: Api) -> None:
    recorder.event(POD, "Warning", "Interrupted", "the machine went away")
    assert api.calls == []
    post_all(recorder)
    event = api.only
    assert event.pop("metadata")["namespace"] == "shop"
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web", "uid": "u-1"},
        "type": "Warning",
        "reason": "Interrupted",
        "message": "the machine went away",
        "source": {"component": "virtual-kubelet-salad", "host": "saladcloud-node"},
        "reportingComponent": "virtual-kubelet-salad",
        "reportingInstance": "saladcloud-node",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }


def test_an_event_about_the_node_lives_in_the_default_namespace(recorder: EventRecorder, api: Api) -> None:
    recorder.event(NODE, "Normal", "Registered", "hello")
    post_all(recorder)
    assert api.only["metadata"]["namespace"] == "default"
    assert "namespace" not in api.only["involvedObject"]
    assert api.only["involvedObject"]["kind"] == "Node"


def test_equal_events_that_wait_are_posted_as_one(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    for _ in range(3):
        recorder.event(POD, "Normal", "Started", "x")
        clock.advance(2)
    post_all(recorder)
    assert api.calls == ["create"]
    assert (api.only["count"], api.only["firstTimestamp"], api.only["lastTimestamp"]) == (
        3,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:04Z",
    )


def test_an_equal_event_later_is_counted_up(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    for _ in range(3):
        recorder.event(POD, "Normal", "Started", "x")
        post_all(recorder)
        clock.advance(60)
    assert api.calls == ["create", "patch", "patch"]
    assert (api.only["count"], api.only["lastTimestamp"]) == (3, "2026-01-01T00:02:00Z")


@pytest.mark.parametrize(
    ("regarding", "type", "reason", "message"),
    [
        ({"metadata": {**POD["metadata"], "uid": "u-2"}}, "Normal", "Started", "x"),
        (POD, "Warning", "Started", "x"),
        (POD, "Normal", "Stopped", "x"),
        (POD, "Normal", "Started", "y"),
    ],
)
def test_events_that_differ_are_posted_apart(
    recorder: EventRecorder, api: Api, regarding: dict[str, Any], type: str, reason: str, message: str
) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(regarding, type, reason, message)
    post_all(recorder)
    assert [event["count"] for event in api.events.values()] == [1, 1]


def test_an_event_that_has_expired_on_the_server_is_posted_anew(recorder: EventRecorder, api: Api) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    api.events.clear()
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.calls == ["create", "patch", "create"]
    assert api.only["count"] == 1


def test_after_most_of_an_hour_an_equal_event_is_a_new_one(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    clock.advance(3_001)
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.calls == ["create", "create"]
    assert len(api.events) == 2


def test_texts_are_clipped_to_the_limits_of_the_api(recorder: EventRecorder, api: Api) -> None:
    pod = {"metadata": {**POD["metadata"], "name": "n" * 253}}
    recorder.event(pod, "Normal", "R" * 200, "ü" * 1_000)
    post_all(recorder)
    assert len(api.only["reason"]) == 128
    assert len(api.only["message"].encode()) <= 1024
    assert api.only["message"].startswith("ü" * 510)
    assert api.only["message"].endswith("…")
    assert len(api.only["metadata"]["name"]) <= 253


def test_a_message_of_just_the_limit_is_left_alone(recorder: EventRecorder, api: Api) -> None:
    recorder.event(POD, "Normal", "Started", "x" * 1024)
    post_all(recorder)
    assert api.only["message"] == "x" * 1024


def test_when_the_server_cannot_be_asked_events_wait_with_growing_pauses(
    recorder: EventRecorder, api: Api, clock: FakeClock
) -> None:
    api.fail_before = [errors.CouldNotAsk("down") for _ in range(8)]
    recorder.event(POD, "Normal", "Started", "x")
    pauses = []
    for _ in range(8):
        pauses.append(recorder.step())
        clock.advance(pauses[-1])
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    post_all(recorder)
    assert api.only["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert recorder.dropped == 0


def test_a_new_event_does_not_shorten_the_pause(recorder: EventRecorder, api: Api) -> None:
    api.fail_before = [errors.CouldNotAsk("down", retry_after=20.0)]
    recorder.event(POD, "Normal", "Started", "x")
    assert recorder.step() == 20.0
    recorder.event(POD, "Normal", "Stopped", "x")
    assert recorder.step() == 20.0
    assert api.calls == ["create"]


def test_what_happens_again_during_the_pause_is_counted(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    api.fail_before = [errors.CouldNotAsk("down")]
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(recorder.step())
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.only["count"] == 2


def test_what_happens_again_during_a_failing_call_is_counted(
    recorder: EventRecorder, api: Api, clock: FakeClock
) -> None:
    api.fail_before = [errors.CouldNotAsk("down")]
    api.during_call = lambda: recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Started", "x")
    pause = recorder.step()
    api.during_call = lambda: None
    clock.advance(pause)
    post_all(recorder)
    assert api.only["count"] == 2


def test_a_success_makes_the_next_pause_short_again(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    for _ in range(2):
        api.fail_before = [errors.CouldNotAsk("down"), errors.CouldNotAsk("down")]
        recorder.event(POD, "Normal", "Started", "x")
        for pause in (1.0, 2.0):
            assert recorder.step() == pause
            clock.advance(pause)
        post_all(recorder)


def test_a_create_whose_answer_was_lost_is_not_posted_twice(
    recorder: EventRecorder, api: Api, clock: FakeClock
) -> None:
    api.fail_after = [errors.CouldNotAsk("reset", may_be_applied=True)]
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(recorder.step())
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.only["count"] == 2
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.only["count"] == 3


def test_a_patch_whose_answer_was_lost_is_not_counted_twice(
    recorder: EventRecorder, api: Api, clock: FakeClock
) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    api.fail_after = [errors.CouldNotAsk("reset", may_be_applied=True)]
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(recorder.step())
    post_all(recorder)
    assert api.only["count"] == 2


@pytest.mark.parametrize("error", [errors.Forbidden("ending"), errors.NotFound("no namespace")])
def test_a_refused_event_is_dropped_and_counted_and_the_next_is_posted(
    recorder: EventRecorder, api: Api, error: errors.Error
) -> None:
    api.fail_before = [error]
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Stopped", "y")
    post_all(recorder)
    assert api.only["reason"] == "Stopped"
    assert recorder.dropped == 1
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert len(api.events) == 2


def test_the_queue_is_bounded_and_what_does_not_fit_is_counted(recorder: EventRecorder) -> None:
    for number in range(1_005):
        recorder.event(POD, "Normal", "Started", f"message {number}")
    assert recorder.pending == 1_000
    assert recorder.dropped == 5


def test_old_news_is_dropped_and_counted(recorder: EventRecorder, api: Api, clock: FakeClock) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(601)
    post_all(recorder)
    assert api.calls == []
    assert recorder.dropped == 2


def test_a_step_makes_only_a_few_calls(recorder: EventRecorder, api: Api) -> None:
    for number in range(12):
        recorder.event(POD, "Normal", "Started", f"message {number}")
    assert recorder.step() == 0.0
    assert len(api.calls) == 5
    post_all(recorder)
    assert len(api.events) == 12


def test_what_is_remembered_is_bounded(recorder: EventRecorder) -> None:
    for number in range(5_000):
        recorder.event(POD, "Normal", "Started", f"message {number}")
        post_all(recorder)
    assert len(recorder._posted) == 4_096


def test_a_recorder_with_nothing_to_post_looks_again_within_a_second(recorder: EventRecorder, api: Api) -> None:
    assert 0 < recorder.step() <= 1.0
    recorder.event(POD, "Normal", "Started", "x")
    assert 0 < recorder.step() <= 1.0
    assert len(api.events) == 1
