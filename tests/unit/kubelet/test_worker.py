"""What a worker makes of results and errors."""

from __future__ import annotations

import random

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors, metrics
from virtual_kubelet_salad.kubelet.result import AT_ONCE, OUTCOMES, Result
from virtual_kubelet_salad.kubelet.worker import Worker
from virtual_kubelet_salad.runtime.workqueue import WorkQueue


class Observed:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.retries = 0

    def reconciled(self, outcome: str, seconds: float) -> None:
        self.outcomes.append(outcome)

    def retried(self) -> None:
        self.retries += 1


def run(clock: FakeClock, answer: Result | Exception) -> tuple[WorkQueue, Observed]:
    queue, observed = WorkQueue(clock, jitter=random.Random(0)), Observed()

    def reconcile(uid: str) -> Result:
        if isinstance(answer, Exception):
            raise answer
        return answer

    queue.add("uid")
    Worker(queue, reconcile, clock, observed).step()
    return queue, observed


def test_done_waits_for_a_wake_up(fake_clock: FakeClock) -> None:
    queue, observed = run(fake_clock, Result("settled"))
    assert (queue.next_due(), queue.get(), observed.outcomes) == (None, None, ["settled"])


def test_at_once_comes_back_at_once_in_the_urgent_lane(fake_clock: FakeClock) -> None:
    queue, _ = run(fake_clock, Result("claimed", after=AT_ONCE))
    queue.add("other")
    assert queue.get() == "uid"


def test_a_result_may_say_when_to_come_back(fake_clock: FakeClock) -> None:
    queue, _ = run(fake_clock, Result("waiting", after=7.0))
    fake_clock.advance(6.9)
    assert queue.get() is None
    fake_clock.advance(0.2)
    assert queue.get() == "uid"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.CouldNotAsk("x"), "could_not_ask"),
        (errors.Unauthorized("x"), "could_not_ask"),
        (errors.Rejected("Bad", "x"), "rejected"),
        (ValueError("a defect"), "failed"),
    ],
)
def test_a_failure_comes_back_with_backoff_for_ever(fake_clock: FakeClock, error: Exception, outcome: str) -> None:
    queue, observed = run(fake_clock, error)
    assert (observed.outcomes, observed.retries) == ([outcome], 1)
    assert queue.next_due() is not None
    assert queue.retries("uid") == 1


@pytest.mark.parametrize(
    "error",
    [
        errors.NoBudget("x", retry_after=3.0),
        errors.NotLeader("x"),
        errors.AnotherPod("x"),
        errors.BeingDeleted("x"),
        errors.CouldNotAsk("x", retry_after=30.0),
    ],
)
def test_an_error_that_knows_its_delay_needs_no_backoff(fake_clock: FakeClock, error: Exception) -> None:
    queue, observed = run(fake_clock, error)
    assert observed.retries == 0
    assert queue.retries("uid") == 0
    assert queue.next_due() is not None


def test_the_metric_knows_every_outcome() -> None:
    assert metrics.RECONCILE_OUTCOMES == OUTCOMES
