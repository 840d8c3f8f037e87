"""When "not found" counts, and how long to wait for the next try."""

from __future__ import annotations

from virtual_kubelet_salad.kubelet.memory import Memory

SETTLE = 120.0


def test_a_settled_name_is_absent_after_two_answers_five_seconds_apart() -> None:
    memory = Memory(first_seen=0.0, is_settled=True)
    assert memory.seconds_until_absent("n", SETTLE) == 5.0
    memory.missed("n", 10.0)
    assert memory.seconds_until_absent("n", SETTLE) == 5.0
    memory.missed("n", 14.9)
    assert memory.seconds_until_absent("n", SETTLE) > 0.0
    memory.missed("n", 15.0)
    assert memory.seconds_until_absent("n", SETTLE) == 0.0


def test_an_unsettled_name_is_absent_after_the_settle_time() -> None:
    memory = Memory(first_seen=0.0)
    for now in (0.0, 40.0, 80.0, 119.0):
        memory.missed("n", now)
    assert memory.seconds_until_absent("n", SETTLE) == 1.0
    memory.missed("n", 120.0)
    assert memory.seconds_until_absent("n", SETTLE) == 0.0


def test_answers_that_are_minutes_apart_are_no_row() -> None:
    memory = Memory(first_seen=0.0, is_settled=True)
    memory.missed("n", 0.0)
    memory.missed("n", 700.0)
    assert memory.seconds_until_absent("n", SETTLE) == 5.0


def test_a_sighting_ends_the_row_of_absences() -> None:
    memory = Memory(first_seen=0.0, is_settled=True)
    memory.missed("n", 0.0)
    memory.saw()
    memory.missed("n", 100.0)
    assert memory.seconds_until_absent("n", SETTLE) == 5.0


def test_who_comes_back_when_told_is_not_sent_away_for_a_rounding() -> None:
    memory = Memory(first_seen=0.0, is_settled=True)
    memory.missed("n", 0.1)
    memory.missed("n", 0.1 + 0.7 + 4.3 - 1e-9)
    assert memory.seconds_until_absent("n", SETTLE) == 0.0


def test_waits_grow_from_try_to_try_and_begin_anew_with_another_subject() -> None:
    memory, delays = Memory(first_seen=0.0), (1.0, 2.0, 4.0)
    assert memory.wait_for("a", 0.0, delays) == 1.0
    assert memory.wait_for("a", 1.0, delays) == 0.0
    memory.tried(1.0, delays)
    assert memory.wait_for("a", 1.0, delays) == 2.0
    memory.tried(3.0, delays)
    memory.tried(7.0, delays)
    assert memory.wait_for("a", 7.0, delays) == 4.0
    assert memory.wait_for("b", 7.0, delays) == 1.0


def test_the_wait_starts_over_after_a_long_run_and_grows_after_a_short_one() -> None:
    memory, delays = Memory(first_seen=0.0), (300.0, 600.0, 1200.0)

    def stop(now: float) -> float:
        memory.stopped("stopped", now, delays)
        return memory.wait_for("stopped", now, delays)

    memory.runs(0.0)
    assert stop(1000.0) == 300.0
    assert stop(1100.0) == 200.0
    memory.tried(1300.0, delays)
    memory.runs(1310.0)
    assert stop(1400.0) == 600.0
    memory.tried(2000.0, delays)
    memory.runs(2010.0)
    memory.runs(90_000.0)
    assert stop(100_000.0) == 300.0


def test_a_row_is_open_while_another_answer_would_go_on_with_it() -> None:
    memory = Memory(first_seen=0.0)
    assert not memory.is_row_open("n", 0.0)
    memory.missed("n", 10.0)
    assert memory.is_row_open("n", 70.0)
    assert not memory.is_row_open("n", 70.1)
    assert not memory.is_row_open("other", 10.0)
