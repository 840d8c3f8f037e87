"""Events are told within budgets: for each object, and for all together. Nothing that goes on is lost by that."""

from __future__ import annotations

from tests.support.clock import FakeClock
from tests.support.event_api import NODE, POD, EventApi, pod, post_all, run
from virtual_kubelet_salad.kube.events import EventRecorder


def test_a_pod_may_tell_25_events_at_once_and_then_one_in_five_minutes(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    for number in range(30):
        recorder.event(POD, "Normal", "Started", f"message {number}")
    recorder.event(NODE, "Normal", "Registered", "another object has its own budget")
    post_all(recorder)
    assert len(api.events) == 26
    assert (recorder.pending, recorder.dropped) == (2, 3)
    run(recorder, clock, 302)
    assert len(api.events) == 27
    run(recorder, clock, 300)
    assert len(api.events) == 28
    assert api.calls == ["create"] * 28


def test_what_goes_on_happening_while_its_budget_is_spent_is_counted_and_not_lost(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    for _ in range(25):
        recorder.event(POD, "Warning", "Exited", "code 1")
        post_all(recorder)
    writes = len(api.calls)
    for _ in range(60):
        recorder.event(POD, "Warning", "Exited", "code 1")
        recorder.event(POD, "Normal", "Started", "x")
        run(recorder, clock, 10)
    run(recorder, clock, 600)
    assert {event["reason"]: event["count"] for event in api.events.values()} == {"Exited": 85, "Started": 60}
    assert recorder.dropped == 0
    assert len(api.calls) - writes <= 4


def test_all_pods_together_tell_fifty_events_in_a_second(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    for number in range(1_000):
        recorder.event(pod(number), "Normal", "Started", "x")
    post_all(recorder)
    assert len(api.calls) == 100
    run(recorder, clock, 10)
    assert 590 <= len(api.calls) <= 601
    run(recorder, clock, 10)
    assert len(api.events) == 1_000 and recorder.dropped == 0


def test_the_budget_of_a_quiet_pod_is_full_again(recorder: EventRecorder, api: EventApi, clock: FakeClock) -> None:
    for round in range(2):
        for number in range(25):
            recorder.event(POD, "Normal", "Started", f"message {round}/{number}")
        post_all(recorder)
        assert len(api.events) == 25 * (round + 1)
        run(recorder, clock, 25 * 300)


def test_an_event_that_keeps_happening_is_one_event_for_hours(
    recorder: EventRecorder, api: EventApi, clock: FakeClock
) -> None:
    for _ in range(30):
        recorder.event(POD, "Warning", "QuotaExceeded", "full")
        run(recorder, clock, 600)
    assert api.only["count"] == 30
