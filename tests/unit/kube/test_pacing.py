"""The waits between attempts to list and watch."""

from __future__ import annotations

import random

import pytest

from virtual_kubelet_salad.kube.pacing import Pacing


class NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.fixture
def pacing() -> Pacing:
    return Pacing(NoJitter())


def test_waits_grow_to_a_limit(pacing: Pacing) -> None:
    assert [pacing.next_delay() for _ in range(8)] == [0.0, 0.5, 1.5, 4.5, 13.5, 30.0, 30.0, 30.0]


def test_every_watch_follows_its_list_at_once(pacing: Pacing) -> None:
    for _ in range(3):
        pacing.next_delay()
        pacing.list_succeeded()
        assert pacing.next_delay() == 0.0


def test_lists_that_succeed_do_not_excuse_watches_that_fail(pacing: Pacing) -> None:
    waited = []
    for _ in range(5):
        waited.append(pacing.next_delay())
        pacing.list_succeeded()
        pacing.next_delay()
        pacing.list_is_needed()
    assert waited == [0.0, 0.5, 13.5, 30.0, 30.0]


def test_the_first_list_after_a_healthy_watch_need_not_wait(pacing: Pacing) -> None:
    pacing.next_delay()
    pacing.list_succeeded()
    pacing.watch_was_healthy(ended_in_order=False)
    for _ in range(5):
        pacing.next_delay()
    pacing.list_is_needed()
    assert pacing.next_delay() == 0.0


def test_after_a_regular_end_the_next_watch_begins_at_once(pacing: Pacing) -> None:
    for _ in range(5):
        pacing.next_delay()
    pacing.watch_was_healthy(ended_in_order=True)
    assert pacing.next_delay() == 0.0


def test_after_a_break_the_waits_start_small_again(pacing: Pacing) -> None:
    for _ in range(5):
        pacing.next_delay()
    pacing.watch_was_healthy(ended_in_order=False)
    assert [pacing.next_delay(), pacing.next_delay()] == [0.5, 1.5]


def test_a_pause_that_was_asked_for_is_kept_once_and_within_reason(pacing: Pacing) -> None:
    pacing.wait_at_least(7)
    assert pacing.next_delay() == 7
    assert pacing.next_delay() == 0.5
    pacing.wait_at_least(86_400)
    assert pacing.next_delay() == 60


def test_no_two_clients_wait_alike() -> None:
    waits = set()
    for seed in range(20):
        pacing = Pacing(random.Random(seed))
        pacing.next_delay()
        waits.add(pacing.next_delay())
    assert len(waits) == 20
    assert all(0.375 <= wait <= 0.5 for wait in waits)
