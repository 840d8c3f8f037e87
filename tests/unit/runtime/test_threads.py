"""Loops and their group: steps, ages, deaths, and an end within one deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.clock import FakeClock
from tests.support.waiting import wait_until
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.runtime.threads import Loop, Stale, ThreadGroup

Death = tuple[str, BaseException]


class Harness:
    """A group on the real clock that remembers its dead and is stopped after the test."""

    def __init__(self) -> None:
        self.deaths: list[Death] = []
        self.group = ThreadGroup(SystemClock(), lambda name, error: self.deaths.append((name, error)))


@pytest.fixture
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    assert harness.group.stop(10) == []


def counting(delay: float | None = 60.0) -> tuple[list[int], Callable[[], float | None]]:
    steps: list[int] = []

    def step() -> float | None:
        steps.append(len(steps))
        return delay

    return steps, step


def test_nothing_runs_before_start(harness: Harness) -> None:
    steps, step = counting()
    before = threading.active_count()
    harness.group.add(Loop("quiet", step, bound_seconds=1))
    assert threading.active_count() == before
    assert steps == []


def test_each_loop_gets_a_thread_of_its_name_and_steps_at_once(harness: Harness) -> None:
    names: list[str] = []

    def step() -> float:
        names.append(threading.current_thread().name)
        return 60

    harness.group.add(Loop("poller", step, bound_seconds=1))
    harness.group.add(Loop("heartbeat", step, bound_seconds=1))
    harness.group.start()
    wait_until(lambda: sorted(names) == ["heartbeat", "poller"], timeout=60, what="both first steps")


def test_a_step_that_asks_for_no_delay_runs_again_at_once(harness: Harness) -> None:
    delays: list[float | None] = [None, 0.0, None, 60.0]

    harness.group.add(Loop("busy", lambda: delays.pop(0), bound_seconds=1))
    harness.group.start()
    wait_until(lambda: delays == [], timeout=60, what="four steps")


def test_wake_begins_the_next_step_now(harness: Harness) -> None:
    steps, step = counting()
    loop = Loop("sleeper", step, bound_seconds=1)
    harness.group.add(loop)
    harness.group.start()
    wait_until(lambda: len(steps) == 1, timeout=60, what="the first step")
    loop.wake()
    wait_until(lambda: len(steps) == 2, timeout=60, what="the step after the wake")


def test_a_wake_during_a_step_is_not_lost(harness: Harness) -> None:
    steps: list[int] = []

    def step() -> float:
        steps.append(1)
        if len(steps) == 1:
            loop.wake()
        return 60

    loop = Loop("self-waker", step, bound_seconds=1)
    harness.group.add(loop)
    harness.group.start()
    wait_until(lambda: len(steps) == 2, timeout=60, what="the step after the wake")


def test_a_loop_may_bring_its_own_wait_and_wake(harness: Harness) -> None:
    woken = threading.Event()
    asked: list[float] = []

    def wait(seconds: float) -> None:
        asked.append(seconds)
        woken.wait(60)

    _, step = counting(7.0)
    harness.group.add(Loop("own-wait", step, bound_seconds=1, wait=wait, wake=woken.set))
    harness.group.start()
    wait_until(lambda: asked == [7.0], timeout=60, what="the own wait")
    assert harness.group.stop(10) == []


def test_stop_interrupts_waits_and_joins_everybody(harness: Harness) -> None:
    for number in range(5):
        harness.group.add(Loop(f"loop-{number}", counting()[1], bound_seconds=1))
    harness.group.start()
    assert harness.group.stop(10) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loop-")]


def test_stop_lets_the_present_step_finish(harness: Harness) -> None:
    entered, leave = threading.Event(), threading.Event()
    finished: list[bool] = []

    def step() -> float:
        entered.set()
        assert leave.wait(60)
        finished.append(True)
        return 0

    harness.group.add(Loop("careful", step, bound_seconds=1))
    harness.group.start()
    assert entered.wait(60)
    assert harness.group.stop(0.01) == ["careful"]
    leave.set()
    assert harness.group.stop(10) == []
    assert finished == [True]


def test_stop_names_those_that_still_run_within_one_common_deadline(harness: Harness) -> None:
    leave = threading.Event()

    def hang() -> float:
        leave.wait(30)
        return 0

    for number in range(4):
        harness.group.add(Loop(f"hung-{number}", hang, bound_seconds=1))
    harness.group.add(Loop("fine", counting()[1], bound_seconds=1))
    harness.group.start()
    clock = SystemClock()
    begin = clock.monotonic()
    assert harness.group.stop(0.5) == ["hung-0", "hung-1", "hung-2", "hung-3"]
    assert clock.monotonic() - begin < 1.5
    leave.set()


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(3)])
def test_a_raising_step_is_reported_once_and_ends_its_thread_only(harness: Harness, error: BaseException) -> None:
    def step() -> float:
        raise error

    steps, other = counting(0.001)
    harness.group.add(Loop("mortal", step, bound_seconds=1))
    harness.group.add(Loop("other", other, bound_seconds=1))
    harness.group.start()
    wait_until(lambda: len(steps) > 3 and harness.deaths, timeout=60, what="the death and the other's life")
    assert harness.deaths == [("mortal", error)]


def test_a_dead_loop_becomes_stale() -> None:
    clock = FakeClock()
    died = threading.Event()
    group = ThreadGroup(clock, lambda name, error: died.set())

    def step() -> float:
        raise RuntimeError("boom")

    group.add(Loop("mortal", step, bound_seconds=5))
    group.start()
    assert died.wait(60)
    assert group.stop(10) == []
    assert group.stale(clock.monotonic() + 5) == []
    assert group.stale(clock.monotonic() + 6) == [Stale("mortal", 6.0, 5)]


def test_a_group_starts_once_and_takes_no_loop_afterwards(harness: Harness) -> None:
    harness.group.add(Loop("only", counting()[1], bound_seconds=1))
    with pytest.raises(ValueError):
        harness.group.add(Loop("only", counting()[1], bound_seconds=1))
    harness.group.start()
    with pytest.raises(RuntimeError):
        harness.group.start()
    with pytest.raises(RuntimeError):
        harness.group.add(Loop("late", counting()[1], bound_seconds=1))


class Stepped:
    """Runs one step and one wait of a loop in the test's thread; both move the fake clock."""

    def __init__(self, step_seconds: float, delay: float, bound: float) -> None:
        self.clock = FakeClock()
        self.stopping = threading.Event()
        self.seen_while_waiting: list[tuple[float, bool]] = []
        self.seen_in_step: list[tuple[float, bool]] = []
        self._step_seconds, self._delay = step_seconds, delay
        self.loop = Loop("stepped", self._step, bound_seconds=bound, wait=self._wait)

    def run(self) -> None:
        self.loop.run(self.stopping, self.clock)

    def _step(self) -> float:
        self.clock.advance(self._step_seconds)
        now = self.clock.monotonic()
        self.seen_in_step.append((self.loop.age(now), self.loop.is_stale(now)))
        return self._delay

    def _wait(self, seconds: float) -> None:
        self.clock.advance(seconds + 3)
        now = self.clock.monotonic()
        self.seen_while_waiting.append((self.loop.age(now), self.loop.is_stale(now)))
        self.stopping.set()


def test_the_age_counts_from_the_start_of_the_running_step() -> None:
    stepped = Stepped(step_seconds=6, delay=1, bound=5)
    stepped.run()
    assert stepped.seen_in_step == [(6.0, True)]


def test_a_loop_that_waits_as_long_as_its_step_asked_is_not_stale_and_one_that_overslept_is() -> None:
    patient = Stepped(step_seconds=1, delay=600, bound=5)
    patient.run()
    assert patient.seen_while_waiting == [(3.0, False)]
    late = Stepped(step_seconds=1, delay=600, bound=2)
    late.run()
    assert late.seen_while_waiting == [(3.0, True)]


def test_a_loop_that_was_not_started_is_not_stale() -> None:
    loop = Loop("unborn", lambda: 1.0, bound_seconds=1)
    assert not loop.is_stale(1e9)
    assert loop.last_finished is None


def test_ages_count_from_the_last_finished_step() -> None:
    stepped = Stepped(step_seconds=2, delay=10, bound=5)
    group = ThreadGroup(stepped.clock, lambda name, error: None)
    group.add(stepped.loop)
    assert group.ages() == {}
    stepped.run()
    assert group.ages() == {"stepped": 13.0}
