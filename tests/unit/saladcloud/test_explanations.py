"""Events that a status may still need are kept, and not many more."""

from __future__ import annotations

import datetime

from virtual_kubelet_salad.saladcloud.events import Event, from_entry
from virtual_kubelet_salad.saladcloud.explanations import LATEST_EVENTS, UNTOLD_EVENTS, Explanations
from virtual_kubelet_salad.saladcloud.models import LogEntry
from virtual_kubelet_salad.saladcloud.runs import key_of

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def _event(number: int) -> Event:
    time = BEGIN + datetime.timedelta(seconds=number)
    return from_entry(
        LogEntry(
            group="web",
            instance_id=f"instance-{number}",
            machine_id="machine",
            time=time,
            receive_time=time,
            message="Instance Exited:3 (Error)",
            gpu_class="",
        )
    )


def _full(count: int) -> tuple[Explanations, list[Event]]:
    explanations, events = Explanations(), [_event(number) for number in range(count)]
    for event in events:
        explanations.add("web", event)
    return explanations, events


def test_the_first_and_the_latest_events_are_kept() -> None:
    explanations, events = _full(1_000)
    assert explanations.of("web") == (*events[:UNTOLD_EVENTS], *events[-LATEST_EVENTS:])
    assert explanations.count("web") == 1_000


def test_what_was_told_makes_room_for_what_was_not() -> None:
    explanations, events = _full(150)
    explanations.told("web", {key_of(events[99])})
    assert explanations.of("web") == tuple(events[100:])
    later = [_event(number) for number in range(150, 2_000)]
    for event in later:
        explanations.add("web", event)
    assert explanations.of("web")[0] == events[100]
    assert explanations.of("web")[-1] == later[-1]


def test_the_latest_events_are_kept_though_they_were_told() -> None:
    explanations, events = _full(50)
    explanations.told("web", {key_of(events[-1])})
    assert explanations.of("web") == tuple(events[-LATEST_EVENTS:])
    explanations.told("web", {key_of(event) for event in events})
    explanations.told("web", ())
    explanations.told("unknown", {key_of(events[0])})
    assert explanations.of("web") == tuple(events[-LATEST_EVENTS:])


def test_what_came_in_since_a_count_is_told_as_far_as_it_is_kept() -> None:
    explanations, events = _full(1_000)
    assert explanations.since("web", 998) == tuple(events[-2:])
    assert explanations.since("web", 1_000) == ()
    assert len(explanations.since("web", 0)) == UNTOLD_EVENTS + LATEST_EVENTS
