"""Events: noted without waiting, posted once, counted up, lost only with a count."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.event_api import NODE, POD, EventApi, pod, post_all, run
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.events import EventRecorder


def test_an_event_is_posted_as_core_v1(recorder: EventRecorder, api: EventApi) -> None:
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


def test_an_event_about_the_node_lives_in_the_default_namespace(recorder: EventRecorder, api: EventApi) -> None:
    recorder.event(NODE, "Normal", "Registered", "hello")
    post_all(recorder)
    assert api.only["metadata"]["namespace"] == "default"
    assert "namespace" not in api.only["involvedObject"]
    assert api.only["involvedObject"]["kind"] == "Node"


def test_equal_events_that_wait_are_posted_as_one(recorder: EventRecorder, api: EventApi, clock: FakeClock) -> None:
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


def test_an_equal_event_later_is_counted_up(recorder: EventRecorder, api: EventApi, clock: FakeClock) -> None:
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
    recorder: EventRecorder, api: EventApi, regarding: dict[str, Any], type: str, reason: str, message: str
) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(regarding, type, reason, message)
    post_all(recorder)
    assert [event["count"] for event in api.events.values()] == [1, 1]


def test_an_event_that_has_expired_on_the_server_is_posted_anew(recorder: EventRecorder, api: EventApi) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    api.events.clear()
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.calls == ["create", "patch", "create"]
    assert api.only["count"] == 1


def test_after_most_of_an_hour_an_equal_event_is_a_new_one(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    clock.advance(3_001)
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.calls == ["create", "create"]
    assert len(api.events) == 2


def test_what_is_too_old_to_be_counted_up_is_not_remembered(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    for number in range(100):
        recorder.event(POD, "Normal", "Started", str(number))
        post_all(recorder)
        clock.advance(100)
    assert len(recorder._posted) <= 31


def test_events_of_an_object_that_has_gone_are_posted_and_then_forgotten(
    recorder: EventRecorder, api: EventApi
) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(NODE, "Normal", "Registered", "hello")
    post_all(recorder)
    recorder.event(POD, "Normal", "Deleted", "x")
    recorder.forget(POD["metadata"]["uid"])
    assert recorder.pending == 1
    post_all(recorder)
    assert len(api.events) == 3
    assert [key.kind for key in recorder._posted] == ["Node"]
    recorder.event(NODE, "Normal", "Registered", "hello")
    post_all(recorder)
    assert api.calls[-1] == "patch"


def test_texts_are_clipped_to_the_limits_of_the_api(recorder: EventRecorder, api: EventApi) -> None:
    pod = {"metadata": {**POD["metadata"], "name": "n" * 253}}
    recorder.event(pod, "Normal", "R" * 200, "ü" * 1_000)
    post_all(recorder)
    assert len(api.only["reason"]) == 128
    assert len(api.only["message"].encode()) <= 1024
    assert api.only["message"].startswith("ü" * 510)
    assert api.only["message"].endswith("…")
    assert len(api.only["metadata"]["name"]) <= 253


def test_a_message_of_just_the_limit_is_left_alone(recorder: EventRecorder, api: EventApi) -> None:
    recorder.event(POD, "Normal", "Started", "x" * 1024)
    post_all(recorder)
    assert api.only["message"] == "x" * 1024


def test_when_the_server_cannot_be_asked_events_wait_with_growing_pauses(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
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


def test_a_new_event_does_not_shorten_the_pause(recorder: EventRecorder, api: EventApi) -> None:
    api.fail_before = [errors.CouldNotAsk("down", retry_after=20.0)]
    recorder.event(POD, "Normal", "Started", "x")
    assert recorder.step() == 20.0
    recorder.event(POD, "Normal", "Stopped", "x")
    assert recorder.step() == 20.0
    assert api.calls == ["create"]


def test_what_happens_again_during_the_pause_is_counted(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    api.fail_before = [errors.CouldNotAsk("down")]
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(recorder.step())
    recorder.event(POD, "Normal", "Started", "x")
    post_all(recorder)
    assert api.only["count"] == 2


def test_what_happens_again_during_a_failing_call_is_counted(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    api.fail_before = [errors.CouldNotAsk("down")]
    api.during_call = lambda: recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Started", "x")
    pause = recorder.step()
    api.during_call = lambda: None
    clock.advance(pause)
    post_all(recorder)
    assert api.only["count"] == 2


def test_a_success_makes_the_next_pause_short_again(recorder: EventRecorder, api: EventApi, clock: FakeClock) -> None:
    for _ in range(2):
        api.fail_before = [errors.CouldNotAsk("down"), errors.CouldNotAsk("down")]
        recorder.event(POD, "Normal", "Started", "x")
        for pause in (1.0, 2.0):
            assert recorder.step() == pause
            clock.advance(pause)
        post_all(recorder)


def test_a_create_whose_answer_was_lost_is_not_posted_twice(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
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
    recorder: EventRecorder, api: EventApi, clock: FakeClock
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
    recorder: EventRecorder, api: EventApi, error: errors.Error
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
    for number in range(6_005):
        recorder.event(pod(number), "Normal", "Started", "x")
    assert recorder.pending == 6_000
    assert recorder.dropped == 5


def test_old_news_is_dropped_and_counted(recorder: EventRecorder, api: EventApi, clock: FakeClock) -> None:
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Started", "x")
    clock.advance(901)
    post_all(recorder)
    assert api.calls == []
    assert recorder.dropped == 2


def test_refused_events_are_one_line_in_the_log_and_not_one_each(
    recorder: EventRecorder, api: EventApi, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        api.fail_before = [errors.Forbidden("no right")]
        recorder.event(pod(number), "Normal", "Started", "x")
        post_all(recorder)
    assert recorder.dropped == 50
    assert sum("event refused" in message for message in caplog.messages) == 1


def test_refusals_among_successes_are_one_line_too(
    recorder: EventRecorder, api: EventApi, caplog: pytest.LogCaptureFixture
) -> None:
    """A namespace that is going away takes no Events, while those of the others are posted."""
    caplog.set_level("INFO")
    for number in range(0, 20, 2):
        api.fail_before = [errors.Forbidden("the namespace is being terminated")]
        recorder.event(pod(number), "Normal", "Killing", "x")
        recorder.event(pod(number + 1), "Normal", "Started", "x")
        post_all(recorder)
    assert (recorder.dropped, recorder.posted) == (10, 10)
    assert sum("event refused" in message for message in caplog.messages) == 1


def test_a_new_event_wakes_the_loop_and_a_repetition_does_not(recorder: EventRecorder) -> None:
    wakes: list[int] = []
    recorder.wake = lambda: wakes.append(recorder.pending)
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Started", "x")
    recorder.event(POD, "Normal", "Stopped", "x")
    assert wakes == [1, 2]


def test_a_step_makes_only_a_few_calls(recorder: EventRecorder, api: EventApi) -> None:
    for number in range(12):
        recorder.event(POD, "Normal", "Started", f"message {number}")
    assert recorder.step() == 0.0
    assert len(api.calls) == 5
    post_all(recorder)
    assert len(api.events) == 12


def test_what_is_remembered_is_bounded(recorder: EventRecorder, clock: FakeClock) -> None:
    for number in range(5_000):
        recorder.event(pod(number), "Normal", "Started", "x")
        run(recorder, clock, 0.1)
    assert len(recorder._posted) == 4_096


def test_a_recorder_with_nothing_to_post_looks_again_within_a_second(recorder: EventRecorder, api: EventApi) -> None:
    assert 0 < recorder.step() <= 1.0
    recorder.event(POD, "Normal", "Started", "x")
    assert 0 < recorder.step() <= 1.0
    assert len(api.events) == 1
