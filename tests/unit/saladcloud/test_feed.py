"""The event feed: windows, pages, repetitions and failures."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.support.clock import FakeClock, WrongClock
from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.saladcloud.events import Kind
from virtual_kubelet_salad.saladcloud.explanations import LATEST_EVENTS, UNTOLD_EVENTS, Explanations
from virtual_kubelet_salad.saladcloud.feed import EventFeed
from virtual_kubelet_salad.saladcloud.models import LogEntry, LogPage

SECOND = datetime.timedelta(seconds=1)


class Logs:
    """A store of entries that answers queries as SaladCloud does."""

    project = "project"

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.queries: list[tuple[datetime.datetime, datetime.datetime, RequestClass]] = []
        self.failures: list[Exception | None] = []

    def add(
        self, at: datetime.datetime, message: str = "Instance Running", group: str = "web", instance: str = "i"
    ) -> None:
        self.entries.append(LogEntry(group, instance, "m", at, at, message, ""))

    def log_entries(
        self, query: str, start: datetime.datetime, end: datetime.datetime, *, request_class: RequestClass, **_: Any
    ) -> LogPage:
        self.queries.append((start, end, request_class))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        inside = (entry for entry in self.entries if start <= entry.receive_time <= end)
        found = sorted(inside, key=lambda entry: entry.receive_time)[:100]
        return LogPage(tuple(found), len(found), max((entry.receive_time for entry in found), default=end))


class World:
    def __init__(self, since_seconds: float = 0.0, wrong_by_seconds: float = 0.0) -> None:
        self._right = FakeClock()
        self.clock, self.logs, self.explanations = WrongClock(self._right, wrong_by_seconds), Logs(), Explanations()
        self.woken: list[str] = []
        self.begin = self.clock.now()
        self.feed = EventFeed(
            self.logs,  # type: ignore[arg-type]
            self.explanations,
            self.clock,
            self.woken.append,
            10.0,
            self.begin - since_seconds * SECOND,
        )

    def tick(self, seconds: float = 10.0) -> float:
        self._right.advance(seconds)
        return self.feed.step()


@pytest.fixture
def world() -> World:
    return World()


def test_each_event_wakes_once_and_is_kept(world: World) -> None:
    world.logs.add(world.clock.now() + SECOND, "Instance Exited:3 (Error)")
    world.tick()
    world.tick()
    assert world.woken == ["web"]
    (event,) = world.explanations.of("web")
    assert (event.kind, event.exit_code) == (Kind.EXIT, 3)
    assert world.explanations.count("web") == 1


def test_one_query_per_tick_at_rest(world: World) -> None:
    for _ in range(30):
        assert world.tick() == 10.0
    assert len(world.logs.queries) == 30
    assert {request_class for _, _, request_class in world.logs.queries} == {RequestClass.POLL}


def test_an_event_that_comes_in_late_is_still_seen(world: World) -> None:
    for _ in range(20):
        world.tick()
    world.logs.add(world.clock.now() - 140 * SECOND)
    world.tick()
    assert world.woken == ["web"]


def test_a_clock_that_was_ahead_and_is_set_right_makes_no_gap() -> None:
    world = World(since_seconds=60.0, wrong_by_seconds=3600.0)
    world.tick()
    world.logs.add(world.clock.now() - 3650 * SECOND)
    world.clock.wrong_by = 0 * SECOND
    world.tick()
    assert world.woken == ["web"]
    assert all(start <= end for start, end, _ in world.logs.queries)


def test_a_clock_that_is_set_back_tells_nothing_twice() -> None:
    world = World(since_seconds=1_800.0)
    world.logs.add(world.begin - 600 * SECOND, "Instance Exited:3 (Error)")
    while world.tick(1.0) == 1.0:
        pass
    for _ in range(60):
        world.tick()
    world.clock.wrong_by = -900 * SECOND
    for _ in range(12):
        world.tick()
    assert len(world.explanations.of("web")) == world.explanations.count("web") == 1


def test_what_no_window_can_show_again_is_not_remembered(world: World) -> None:
    for number in range(120):
        world.logs.add(world.clock.now() + SECOND, instance=str(number))
        world.tick()
    assert len(world.woken) == 120, "each is told once"
    assert len(world.feed._known) <= 32, "those of five minutes"


def test_a_failed_tick_does_not_move_on(world: World) -> None:
    for _ in range(20):
        world.tick()
    world.logs.failures = [CouldNotAsk("down")] * 60
    missed = world.clock.now() + SECOND
    for _ in range(60):
        assert world.tick() == 10.0, "an outage is no reason to ask more often"
    world.logs.add(missed)
    world.tick()
    world.tick(1.0)
    world.tick(1.0)
    assert world.woken == ["web"]


def test_further_pages_are_read_in_the_same_tick_and_another_share(world: World) -> None:
    for number in range(250):
        world.logs.add(world.clock.now() + number * SECOND / 50, instance=str(number))
    assert world.tick() >= 1.0
    assert len(world.woken) == 250
    assert [request_class for _, _, request_class in world.logs.queries] == [
        RequestClass.POLL,
        RequestClass.READ,
        RequestClass.READ,
    ]


def test_a_flood_is_read_on_where_the_last_tick_stopped(world: World) -> None:
    for number in range(2_500):
        world.logs.add(world.clock.now() + number * SECOND / 500, instance=str(number))
    ticks = 0
    while len(set(world.woken)) == 0 or len(world.woken) < 2_500:
        world.tick(1.0 if ticks else 10.0)
        ticks += 1
        assert ticks < 6
    before = len(world.logs.queries)
    for _ in range(6):
        world.tick()
    assert len(world.logs.queries) - before <= 7
    assert len(world.woken) == 2_500


def test_a_page_that_fails_is_the_first_of_the_next_tick(world: World) -> None:
    for number in range(250):
        world.logs.add(world.clock.now() + number * SECOND / 50, instance=str(number))
    world.logs.failures = [None, NoBudget("none left", retry_after=2.0)]
    assert world.tick() == 2.0
    assert len(world.woken) == 100
    world.tick(2.0)
    assert len(world.woken) == 250


def test_more_than_a_page_in_one_millisecond_does_not_stop_the_feed(world: World) -> None:
    for number in range(150):
        world.logs.add(world.clock.now() + SECOND, instance=str(number))
    world.logs.add(world.clock.now() + 2 * SECOND, "Instance Exited:0 (Exited Successfully)", "job", "last")
    world.tick()
    assert "job" in world.woken


def test_after_a_start_the_gap_is_read_in_windows_of_five_minutes() -> None:
    world = World(since_seconds=3_600.0)
    world.logs.add(world.begin - 3_000 * SECOND, group="old")
    world.logs.add(world.begin - 5 * SECOND, group="new")
    ticks = 0
    while world.tick(1.0) == 1.0:
        ticks += 1
        assert ticks < 20
    assert world.woken == ["old", "new"]
    widest = max(end - start for start, end, _ in world.logs.queries)
    assert widest <= datetime.timedelta(minutes=5) + 150 * SECOND


def test_nobody_reads_back_further_than_six_hours() -> None:
    world = World(since_seconds=100 * 3_600.0)
    world.tick(1.0)
    assert world.logs.queries[0][0] >= world.begin - datetime.timedelta(hours=6, minutes=5)


def test_a_standby_asks_nothing() -> None:
    clock, logs = FakeClock(), Logs()
    feed = EventFeed(
        logs, Explanations(), clock, lambda name: None, 10.0, clock.now(), lambda: False  # type: ignore[arg-type]
    )
    assert feed.step() == 1.0 and logs.queries == []


def test_kept_events_are_bounded_and_can_be_dropped(world: World) -> None:
    for number in range(UNTOLD_EVENTS + LATEST_EVENTS + 10):
        world.logs.add(world.clock.now() + number * SECOND / 100, instance=str(number))
    world.logs.add(world.clock.now() + SECOND, group="other")
    world.tick()
    assert len(world.explanations.of("web")) == UNTOLD_EVENTS + LATEST_EVENTS
    world.explanations.keep_only({"other"})
    assert world.explanations.of("web") == () and len(world.explanations.of("other")) == 1
    world.explanations.forget("other")
    assert world.explanations.of("other") == () and world.explanations.count("other") == 0
