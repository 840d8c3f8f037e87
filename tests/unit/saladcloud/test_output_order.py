"""The order of lines, and how long they are held back for it."""

from __future__ import annotations

import datetime

from virtual_kubelet_salad.saladcloud.models import OutputEntry
from virtual_kubelet_salad.saladcloud.output_order import HELD, OutputOrder

BEGIN = datetime.datetime(2026, 5, 4, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return BEGIN + datetime.timedelta(seconds=seconds)


def line(text: str, written: float, delay: float, *, instance: str = "a", skew: float = 0.0) -> OutputEntry:
    return OutputEntry("web", instance, at(written + skew), at(written + delay), text)


def texts(entries: list[OutputEntry]) -> list[str]:
    return [entry.text for entry in entries]


def test_a_line_waits_until_no_earlier_one_can_come_in() -> None:
    order = OutputOrder()
    order.add([line("second", 1.0, 1.0)])
    assert order.release(at(2.0 + HELD.total_seconds() - 0.1)) == []
    order.add([line("first", 0.0, 10.0)])
    assert texts(order.release(at(30.0))) == ["first", "second"]


def test_a_wrong_clock_changes_neither_order_nor_wait() -> None:
    for skew in (-73.0, 0.0, 73.0):
        order = OutputOrder()
        order.add([line("second", 1.0, 1.0, skew=skew), line("first", 0.0, 5.0, skew=skew)])
        assert order.release(at(10.0)) == []
        assert texts(order.release(at(12.0))) == ["first", "second"]


def test_a_late_line_is_in_its_place_however_even_the_others_came_in() -> None:
    order = OutputOrder()
    order.add(line(str(number), number / 10, 1.0) for number in range(1_000) if number != 900)
    shown = order.release(at(100.0))
    order.add([line("900", 90.0, 10.0)])
    shown += order.release(at(200.0))
    assert texts(shown) == [str(number) for number in range(1_000)]


def test_a_line_that_comes_far_too_late_is_shown_all_the_same() -> None:
    order = OutputOrder()
    order.add([line("second", 1.0, 1.0)])
    assert texts(order.release(at(30.0))) == ["second"]
    order.add([line("first", 0.0, 60.0)])
    assert texts(order.release(at(90.0))) == ["first"]


def test_runs_on_machines_with_other_clocks_come_one_after_the_other() -> None:
    order = OutputOrder()
    order.add(line(f"new {number}", 20.0 + number, 1.0, instance="new", skew=-70.0) for number in range(3))
    order.add(line(f"old {number}", number, 1.0, instance="old", skew=70.0) for number in range(3))
    assert texts(order.release(None)) == ["old 0", "old 1", "old 2", "new 0", "new 1", "new 2"]


def test_lines_of_one_moment_come_in_the_order_in_which_they_were_received() -> None:
    order = OutputOrder()
    order.add([line("second", 1.0, 2.0), line("first", 1.0, 1.0)])
    assert texts(order.release(None)) == ["first", "second"]
