"""The request budget: never above the limit in any sliding minute, polls never starved, everything well used."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass, TokenBucket

LIMIT = 240
OTHERS = [request_class for request_class in RequestClass if request_class is not RequestClass.POLL]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budget(clock: FakeClock) -> Budget:
    return Budget(clock, LIMIT)


def take_all(budget: Budget, request_class: RequestClass) -> int:
    """Takes until refused; returns how many were granted."""
    return next(count for count in itertools.count() if budget.try_acquire(request_class) > 0)


def busiest_minute(times: list[float]) -> int:
    """The most grants within any closed span of 60 seconds."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] > 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most


# TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: FakeClock) -> None:
    bucket = TokenBucket(clock, rate_per_minute=60, burst=3)
    assert [bucket.try_acquire() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.try_acquire() == pytest.approx(1.0)
    clock.advance(1.0)
    assert bucket.try_acquire() == 0.0
    assert bucket.try_acquire() > 0


def test_a_refusal_takes_nothing(clock: FakeClock) -> None:
    bucket = TokenBucket(clock, rate_per_minute=60, burst=4)
    assert bucket.try_acquire(3) == 0.0
    assert bucket.try_acquire(3) == pytest.approx(2.0)
    assert bucket.try_acquire(1) == 0.0


def test_a_bucket_never_holds_more_than_its_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(clock, rate_per_minute=60, burst=2)
    clock.advance(3600)
    assert [bucket.try_acquire() == 0.0 for _ in range(3)] == [True, True, False]


def test_more_than_the_burst_never_comes(clock: FakeClock) -> None:
    assert TokenBucket(clock, rate_per_minute=60, burst=2).try_acquire(3) == math.inf


@given(st.floats(0.01, 1_000), st.floats(1, 50), st.lists(st.floats(0, 100), max_size=30))
def test_who_comes_back_exactly_when_told_is_served(rate: float, burst: float, pauses: list[float]) -> None:
    clock = FakeClock()
    bucket = TokenBucket(clock, rate, burst)
    for pause in pauses:
        clock.advance(pause)
        wait = bucket.try_acquire()
        clock.advance(wait)
        assert wait == 0.0 or bucket.try_acquire() == 0.0


# Order of the classes


def test_a_fresh_budget_gives_its_burst_to_whoever_asks_but_for_the_reserves(clock: FakeClock) -> None:
    granted = {request_class: take_all(Budget(clock, LIMIT), request_class) for request_class in RequestClass}
    assert granted == {
        RequestClass.POLL: 14,
        RequestClass.DELETE: 16,
        RequestClass.CREATE: 15,
        RequestClass.READ: 14,
        RequestClass.SWEEP: 5,
        RequestClass.PROGRESS: 5,
        RequestClass.SAFETY: 1,
        RequestClass.LOGS: 5,
    }


def test_when_tokens_are_short_polls_pass_before_deletes_before_creates_before_reads(budget: Budget) -> None:
    assert take_all(budget, RequestClass.SWEEP) == 5
    take_all(budget, RequestClass.READ)
    assert budget.try_acquire(RequestClass.PROGRESS) > 0
    assert budget.try_acquire(RequestClass.READ) > 0
    assert take_all(budget, RequestClass.CREATE) == 1
    assert take_all(budget, RequestClass.DELETE) == 1
    assert take_all(budget, RequestClass.POLL) == 4


def test_what_polls_do_not_use_is_open_to_others(budget: Budget, clock: FakeClock) -> None:
    granted = 0
    for _ in range(600):
        granted += take_all(budget, RequestClass.CREATE)
        clock.advance(0.1)
    assert granted >= 15 + 219


def test_reads_that_inform_have_a_ceiling_even_when_nobody_else_asks(clock: FakeClock) -> None:
    ceilings = {
        RequestClass.SWEEP: 60,
        RequestClass.PROGRESS: 60,
        RequestClass.SAFETY: 6,
        RequestClass.LOGS: 30,
    }
    for request_class, ceiling in ceilings.items():
        budget, times = Budget(clock, LIMIT), []
        for _ in range(1_800):
            times += [clock.monotonic()] * take_all(budget, request_class)
            clock.advance(0.1)
        assert ceiling - 2 <= busiest_minute(times) <= ceiling


# Limits


requests = st.sampled_from(list(RequestClass))
actions = st.one_of(
    st.tuples(st.just("ask"), requests, st.integers(1, 30)),
    st.tuples(st.just("wait"), st.floats(0, 5), st.just(0)),
    st.tuples(st.just("rest"), st.floats(5, 90), st.just(0)),
    st.tuples(st.just("throttled"), st.one_of(st.none(), st.floats(0, 120)), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=200), st.sampled_from([1, 2, 5, 24, 60, 100, 240, 1000]))
def test_no_sliding_minute_exceeds_the_limit(steps: list[tuple[str, object, int]], limit: int) -> None:
    clock = FakeClock()
    budget = Budget(clock, limit)
    times: list[float] = []
    not_before = 0.0
    for action, value, count in steps:
        if action == "ask":
            assert isinstance(value, RequestClass)
            for _ in range(count):
                wait = budget.try_acquire(value)
                assert wait >= 0
                if wait == 0.0:
                    assert clock.monotonic() >= not_before
                    times.append(clock.monotonic())
        elif action == "throttled":
            assert value is None or isinstance(value, float)
            budget.throttled(value)
            not_before = max(not_before, clock.monotonic() + (value or 0))
        else:
            assert isinstance(value, float)
            clock.advance(value)
    assert busiest_minute(times) <= limit


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.floats(0.2, 200), max_size=4))
def test_polls_within_their_share_are_never_refused_whatever_the_others_do(
    choice: random.Random, throttled_at: list[float]
) -> None:
    clock = FakeClock()
    budget = Budget(clock, LIMIT)
    throttled_at.sort()
    paused_until = 0.0
    begin = clock.monotonic()
    # A list each 5 s, the feed each 10 s, quota and classes each minute: 20 per minute, once a minute four together.
    for second in range(240):
        for _ in range(choice.randrange(6)):
            take_all(budget, choice.choice(OTHERS))
        for period in (5, 10, 60, 60):
            if second % period == 0 and clock.monotonic() >= paused_until:
                assert budget.try_acquire(RequestClass.POLL) == 0.0
        while throttled_at and clock.monotonic() - begin >= throttled_at[0]:
            throttled_at.pop(0)
            budget.throttled(1.0)
            # Afterwards the bucket begins at nothing, so the reserve needs a while to be there again.
            paused_until = clock.monotonic() + 1.0 + 10.0
        clock.advance(1.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.1, 70.0), min_size=1, max_size=8))
def test_processes_that_follow_each_other_keep_the_limit_together(lives: list[float]) -> None:
    clock = FakeClock()
    times: list[float] = []
    for life in lives:
        # A standby is there long before it is asked for anything.
        budget, end = Budget(clock, LIMIT, follows_another=True), clock.monotonic() + life
        while clock.monotonic() < end:
            times += [clock.monotonic()] * sum(take_all(budget, request_class) for request_class in RequestClass)
            clock.advance(0.25)
    assert busiest_minute(times) <= LIMIT


def test_one_that_follows_another_gains_nothing_before_its_first_question(clock: FakeClock) -> None:
    budget = Budget(clock, LIMIT, follows_another=True)
    clock.advance(600.0)
    wait = budget.try_acquire(RequestClass.POLL)
    assert 0.0 < wait <= 1.0
    clock.advance(wait)
    assert budget.try_acquire(RequestClass.POLL) == 0.0


def test_no_limit_grants_everything(clock: FakeClock) -> None:
    budget = Budget(clock, 0)
    assert all(budget.try_acquire(request_class) == 0.0 for request_class in RequestClass for _ in range(1_000))
    assert budget.remaining() == math.inf
    assert budget.rate_per_minute() == math.inf


# 429


@pytest.mark.parametrize("limit", [0, LIMIT])
def test_after_a_429_nothing_is_sent_before_retry_after(clock: FakeClock, limit: int) -> None:
    budget = Budget(clock, limit)
    budget.throttled(30.0)
    clock.advance(29.9)
    for request_class in RequestClass:
        assert budget.try_acquire(request_class) > 0
    clock.advance(10)
    assert budget.try_acquire(RequestClass.POLL) == 0.0


def test_a_shorter_retry_after_does_not_shorten_a_longer_one(budget: Budget, clock: FakeClock) -> None:
    budget.throttled(30.0)
    budget.throttled(1.0)
    clock.advance(29)
    assert budget.try_acquire(RequestClass.POLL) > 0


def test_a_429_halves_the_rate_and_each_clean_minute_gives_20_back(budget: Budget, clock: FakeClock) -> None:
    budget.throttled(None)
    assert budget.rate_per_minute() == 110
    clock.advance(59)
    assert budget.rate_per_minute() == 110
    clock.advance(1)
    assert budget.rate_per_minute() == 130
    clock.advance(60 * 4)
    assert budget.rate_per_minute() == 210
    clock.advance(60 * 10)
    assert budget.rate_per_minute() == 220


def test_429s_of_requests_that_were_on_their_way_halve_once(budget: Budget, clock: FakeClock) -> None:
    for _ in range(10):
        budget.throttled(1.0)
        clock.advance(0.5)
    assert budget.rate_per_minute() == 110


def test_the_rate_never_falls_below_what_polls_need(budget: Budget, clock: FakeClock) -> None:
    for _ in range(10):
        budget.throttled(1.0)
        clock.advance(20)
    assert budget.rate_per_minute() == 30


def test_what_came_in_before_a_recovery_came_in_at_the_lower_rate(clock: FakeClock) -> None:
    budget = Budget(clock, 1_200)
    for _ in range(10):
        clock.advance(20)
        budget.throttled(0.0)
    assert budget.rate_per_minute() == 30
    clock.advance(60)
    assert budget.remaining() == pytest.approx(30)
    assert budget.rate_per_minute() == 50


def test_a_429_empties_the_bucket(budget: Budget, clock: FakeClock) -> None:
    budget.throttled(0.0)
    assert budget.remaining() == 0.0
    clock.advance(60)
    assert budget.remaining() == 20.0


# How well those who wait are served


class Crowd:
    """Waiters who each need one token and come back when told; polls go on meanwhile."""

    def __init__(self, waiters: int, leave: Callable[[int], bool] = lambda waiter: False) -> None:
        self.clock = FakeClock()
        self.budget = Budget(self.clock, LIMIT)
        self.served_at: dict[int, float] = {}
        self.asked: list[float] = []
        self._leave = leave
        self._events = [(0.0, waiter) for waiter in range(waiters)]
        self._events += [(0.0, -5), (0.0, -10)]  # A list each 5 s and the feed each 10 s, named by their period.
        heapq.heapify(self._events)

    def run(self, until: float) -> None:
        begin = self.clock.monotonic()
        while self._events and self._events[0][0] <= until:
            at, who = heapq.heappop(self._events)
            self.clock.advance(max(0.0, at - (self.clock.monotonic() - begin)))
            if who < 0:
                assert self.budget.try_acquire(RequestClass.POLL) == 0.0
                heapq.heappush(self._events, (at - who, who))
                continue
            wait = self.budget.try_acquire(RequestClass.CREATE)
            self.asked.append(at)
            if wait == 0.0:
                self.served_at[who] = at
            elif not self._leave(who):
                # A queue hands out a little late, never early.
                heapq.heappush(self._events, (at + wait + 0.005, who))


@pytest.mark.parametrize(("waiters", "seconds"), [(100, 26.5), (300, 86.0)])
def test_a_crowd_is_served_as_fast_as_the_rate_allows(waiters: int, seconds: float) -> None:
    crowd = Crowd(waiters)
    crowd.run(until=200)
    assert len(crowd.served_at) == waiters
    # 15 at once, then 220 per minute less 18 for the polls.
    ideal = (waiters - 15) / (220 - 18) * 60
    assert max(crowd.served_at.values()) <= seconds <= ideal + 2


def test_a_crowd_does_not_come_back_all_at_once() -> None:
    crowd = Crowd(300)
    crowd.run(until=200)
    later = sorted(at for at in crowd.asked if at > 0)
    within_a_second = max(sum(1 for other in later if at <= other <= at + 1) for at in later)
    assert within_a_second <= 20
    assert len(crowd.asked) <= 300 * 6


def test_tokens_do_not_lie_idle_when_half_of_the_crowd_never_comes_back() -> None:
    crowd = Crowd(300, leave=lambda waiter: waiter % 2 == 1)
    crowd.run(until=200)
    staying = [waiter for waiter in range(300) if waiter % 2 == 0]
    assert all(waiter in crowd.served_at for waiter in staying)
    assert max(crowd.served_at.values()) <= (150 - 15) / (220 - 18) * 60 + 6


def test_nobody_is_sent_away_for_long_on_account_of_others(budget: Budget) -> None:
    waits = [budget.try_acquire(RequestClass.CREATE) for _ in range(10_000)]
    assert max(waits) <= 31


def test_the_line_starts_over_when_nobody_waits_any_more(budget: Budget, clock: FakeClock) -> None:
    for _ in range(150):
        budget.try_acquire(RequestClass.CREATE)
    clock.advance(10)
    take_all(budget, RequestClass.CREATE)
    assert budget.try_acquire(RequestClass.CREATE) < 1
