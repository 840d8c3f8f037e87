"""The work queue's promises, most of them under the names of client-go's own tests."""

from __future__ import annotations

import random
import threading

import pytest

from tests.support.clock import FakeClock
from tests.support.waiting import wait_until
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.runtime.workqueue import Depth, WorkQueue


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue:
    return WorkQueue(clock, jitter=random.Random(1))


def drain(queue: WorkQueue) -> list[str]:
    """Hands out and finishes everything that is ready."""
    keys = []
    while (key := queue.get()) is not None:
        keys.append(key)
        queue.done(key)
    return keys


def test_keys_are_handed_out_in_the_order_of_their_adds(queue: WorkQueue) -> None:
    for key in ("c", "a", "b"):
        queue.add(key)
    assert drain(queue) == ["c", "a", "b"]


def test_len_counts_what_is_ready_only(queue: WorkQueue) -> None:
    queue.add("a")
    queue.add("b", urgent=True)
    queue.add_after("c", 5)
    assert len(queue) == 2
    queue.get()
    assert len(queue) == 1


def test_adding_a_waiting_key_again_changes_nothing(queue: WorkQueue) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert drain(queue) == ["a", "b"]


def test_add_while_processing_is_handed_out_after_done_and_not_before(queue: WorkQueue) -> None:
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    assert queue.get() is None
    queue.done("a")
    assert queue.get() == "a"


def test_adds_collapse_while_processing(queue: WorkQueue) -> None:
    queue.add("a")
    queue.get()
    for _ in range(5):
        queue.add("a")
    queue.done("a")
    assert drain(queue) == ["a"]


def test_reinsert_goes_behind_the_keys_that_wait(queue: WorkQueue) -> None:
    queue.add("a")
    queue.get()
    queue.add("a")
    queue.add("b")
    queue.done("a")
    assert drain(queue) == ["b", "a"]


def test_a_key_is_gone_after_done_without_an_add(queue: WorkQueue) -> None:
    queue.add("a")
    queue.get()
    queue.done("a")
    assert queue.get() is None
    assert queue.depth() == Depth(0, 0, 0, 0)


def test_done_of_a_key_that_was_not_handed_out_is_an_error(queue: WorkQueue) -> None:
    with pytest.raises(KeyError):
        queue.done("a")


# Lanes


def test_the_urgent_lane_goes_first(queue: WorkQueue) -> None:
    queue.add("a")
    queue.add("b", urgent=True)
    queue.add("c", urgent=True)
    assert drain(queue) == ["b", "c", "a"]


def test_a_waiting_key_that_is_added_urgent_moves_up(queue: WorkQueue) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("b", urgent=True)
    assert queue.depth() == Depth(1, 1, 0, 0)
    assert drain(queue) == ["b", "a"]


def test_an_urgent_key_that_is_added_again_stays_urgent(queue: WorkQueue) -> None:
    queue.add("a")
    queue.add("b", urgent=True)
    queue.add("b")
    assert drain(queue) == ["b", "a"]


def test_a_key_added_urgent_while_processed_returns_to_the_urgent_lane(queue: WorkQueue) -> None:
    queue.add("a")
    queue.get()
    queue.add("b")
    queue.add("a", urgent=True)
    queue.add("a")
    queue.done("a")
    assert drain(queue) == ["a", "b"]


def test_urgency_ends_when_the_key_is_handed_out(queue: WorkQueue) -> None:
    queue.add("a", urgent=True)
    drain(queue)
    queue.add("b")
    queue.add("a")
    assert drain(queue) == ["b", "a"]


# Delays


def test_a_delayed_key_is_not_handed_out_before_it_is_due(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("a", 5)
    clock.advance(4.999)
    assert queue.get() is None
    clock.advance(0.001)
    assert queue.get() == "a"


def test_delayed_keys_become_ready_in_the_order_of_their_times(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("late", 9)
    queue.add_after("early", 3)
    queue.add_after("middle", 6)
    clock.advance(10)
    assert drain(queue) == ["early", "middle", "late"]


def test_a_delay_of_nothing_is_an_add(queue: WorkQueue) -> None:
    queue.add_after("a", 0)
    assert queue.get() == "a"


def test_add_pulls_a_delayed_key_forward_and_uses_the_delay_up(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("a", 600)
    queue.add("a")
    assert drain(queue) == ["a"]
    assert queue.next_due() is None
    clock.advance(600)
    assert queue.get() is None


def test_a_pending_earlier_delay_is_kept_when_a_later_one_is_asked(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("a", 5)
    queue.add_after("a", 600)
    clock.advance(5)
    assert drain(queue) == ["a"]
    clock.advance(600)
    assert queue.get() is None


def test_an_earlier_delay_replaces_a_pending_later_one(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("a", 600)
    queue.add_after("a", 5)
    clock.advance(5)
    assert drain(queue) == ["a"]
    clock.advance(600)
    assert queue.get() is None


def test_a_delayed_key_keeps_its_urgency(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after("a", 5, urgent=True)
    queue.add_after("a", 5)
    clock.advance(5)
    queue.add("b")
    assert drain(queue) == ["a", "b"]


def test_a_delay_that_ends_while_the_key_is_processed_waits_for_done(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add("a")
    queue.get()
    queue.add_after("a", 1)
    clock.advance(2)
    assert queue.get() is None
    queue.done("a")
    assert queue.get() == "a"


def test_a_delay_asked_while_the_key_is_ready_is_kept(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add("a")
    queue.add_after("a", 5)
    assert drain(queue) == ["a"]
    clock.advance(5)
    assert drain(queue) == ["a"]


def test_next_due_names_the_earliest_delay(queue: WorkQueue, clock: FakeClock) -> None:
    assert queue.next_due() is None
    queue.add_after("a", 9)
    queue.add_after("b", 4)
    assert queue.next_due() == clock.monotonic() + 4
    queue.add("b")
    assert queue.next_due() == clock.monotonic() + 9


def test_pulling_delayed_keys_forward_for_ever_does_not_pile_up_memory(queue: WorkQueue) -> None:
    queue.add_after("first", 1)
    for round_number in range(20_000):
        queue.add_after(f"key-{round_number % 10}", 600)
        queue.add(f"key-{round_number % 10}")
        drain(queue)
    assert len(queue._heap) <= 1_100


# Backoff


def test_backoff_doubles_up_to_the_cap_and_is_jittered_downwards_only(queue: WorkQueue) -> None:
    delays = [queue.add_rate_limited("a") for _ in range(30)]
    expected = [min(600.0, 0.5 * 2**retry) for retry in range(30)]
    assert all(full / 2 <= delay <= full for delay, full in zip(delays, expected))
    assert len(set(delays)) == 30


def test_backoff_is_counted_for_each_key_and_never_gives_up(queue: WorkQueue, clock: FakeClock) -> None:
    for _ in range(5_000):
        queue.add_rate_limited("a")
    assert queue.retries("a") == 5_000
    assert queue.retries("b") == 0
    assert queue.add_rate_limited("b") <= 0.5
    clock.advance(600)
    assert set(drain(queue)) == {"a", "b"}


def test_forget_starts_the_backoff_anew_and_leaves_the_delay(queue: WorkQueue, clock: FakeClock) -> None:
    for _ in range(3):
        delay = queue.add_rate_limited("a")
    queue.forget("a")
    assert queue.retries("a") == 0
    clock.advance(delay)
    assert drain(queue) == ["a"]
    assert queue.add_rate_limited("a") <= 0.5


def test_the_backoff_returned_is_the_delay_that_is_used(queue: WorkQueue, clock: FakeClock) -> None:
    delay = queue.add_rate_limited("a")
    assert queue.next_due() == clock.monotonic() + delay


def test_the_same_seed_gives_the_same_delays(clock: FakeClock) -> None:
    queues = [WorkQueue(clock, jitter=random.Random(7)) for _ in range(2)]
    first, second = [[queue.add_rate_limited("a") for _ in range(5)] for queue in queues]
    assert first == second


# Metrics


def test_the_longest_lag_is_that_of_the_key_that_is_ready_longest(queue: WorkQueue, clock: FakeClock) -> None:
    assert queue.longest_lag() == 0.0
    queue.add("a")
    clock.advance(3)
    queue.add("b", urgent=True)
    queue.add("a", urgent=True)
    clock.advance(1)
    assert queue.longest_lag() == 4.0


# Shut down


def test_after_shut_down_nothing_is_handed_out_or_accepted(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add("a")
    queue.add_after("b", 1)
    queue.shut_down()
    queue.add("c")
    queue.add_after("d", 1)
    clock.advance(2)
    assert queue.is_shut_down
    assert queue.get() is None


def test_shut_down_with_drain_hands_out_what_is_ready_or_dirty(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add("a")
    queue.add("b")
    queue.get()
    queue.add("a")
    queue.add_after("delayed", 1)
    queue.shut_down(drain=True)
    queue.add("c")
    queue.done("a")
    clock.advance(2)
    assert drain(queue) == ["b", "a"]


# Threads


def test_wait_returns_at_once_when_something_is_ready_or_the_queue_is_shut_down(queue: WorkQueue) -> None:
    queue.add("a")
    queue.wait(60)
    queue.get()
    queue.shut_down()
    queue.wait(60)


def test_wait_ends_at_its_timeout(queue: WorkQueue) -> None:
    queue.wait(0.01)
    assert queue.get() is None


@pytest.mark.parametrize("wake", ["add", "add_after", "shut_down"])
def test_a_sleeper_is_woken(wake: str) -> None:
    queue = WorkQueue(SystemClock())
    sleeper = threading.Thread(target=queue.wait, args=(60,), name="sleeper")
    sleeper.start()
    if wake == "add":
        queue.add("a")
    elif wake == "add_after":
        queue.add_after("a", 0.01)
    else:
        queue.shut_down()
    sleeper.join(60)
    assert not sleeper.is_alive()


def test_many_workers_process_everything_and_no_key_twice_at_once() -> None:
    queue = WorkQueue(SystemClock())
    lock = threading.Lock()
    being_processed: set[str] = set()
    handled: dict[str, int] = {}
    collisions: list[str] = []

    def work() -> None:
        while not queue.is_shut_down:
            key = queue.get()
            if key is None:
                queue.wait(5)
                continue
            with lock:
                if key in being_processed:
                    collisions.append(key)
                being_processed.add(key)
            with lock:
                handled[key] = handled.get(key, 0) + 1
                being_processed.discard(key)
            queue.done(key)

    workers = [threading.Thread(target=work, name=f"worker-{number}") for number in range(8)]
    for worker in workers:
        worker.start()
    for number in range(4_000):
        if number % 3:
            queue.add(f"key-{number % 50}", urgent=number % 7 == 0)
        else:
            queue.add_after(f"key-{number % 50}", 0.001)
    wait_until(lambda: queue.depth() == Depth(0, 0, 0, 0), timeout=60, what="an empty queue")
    queue.shut_down()
    for worker in workers:
        worker.join(60)
    assert collisions == []
    assert len(handled) == 50
    assert not any(worker.is_alive() for worker in workers)


def test_news_that_comes_during_a_failing_run_does_not_wait_out_its_backoff(queue: WorkQueue) -> None:
    queue.add("a")
    for _ in range(10):
        queue.get()
        queue.done("a")
        queue.add_rate_limited("a")
        queue.add("a")
    assert queue.get() == "a"
    queue.add("a")  # it changes while it is looked at
    queue.done("a")
    queue.add_rate_limited("a")  # and the look fails
    assert queue.get() == "a"
