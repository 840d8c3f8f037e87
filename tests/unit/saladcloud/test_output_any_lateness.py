"""Whatever comes in how late: each line once, those of a run in order. Lines and times as hypothesis thinks them up:
times in whole milliseconds, many lines in one, texts that repeat, delays of up to ten seconds."""

from __future__ import annotations

import collections
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.line_cloud import MILLISECOND, Line, LineCloud, Reading
from virtual_kubelet_salad.kubelet.provider_insight import LogLine
from virtual_kubelet_salad.saladcloud.output_history import FIRST_WIDTH
from virtual_kubelet_salad.saladcloud.output_order import HELD

MOST_DELAY = int(HELD / MILLISECOND)
MOST_SKEW = 73_000
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)

# Bursts within a millisecond, steady writing, and pauses.
GAPS = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 1_500), st.integers(0, 6_000))
DELAYS = st.one_of(st.integers(1, MOST_DELAY), st.sampled_from([1, 1_000, MOST_DELAY]))


@st.composite
def written(draw: st.DrawFn, run: str = "first", begin: int = 0) -> list[Line]:
    """The lines of one run; some of them many times over."""
    skew = draw(st.integers(-MOST_SKEW, MOST_SKEW))
    moment, lines = begin, []
    for gap, delay, text, times in draw(
        # Two runs of so many are never more in one millisecond than SaladCloud shows.
        st.lists(st.tuples(GAPS, DELAYS, st.sampled_from("abc"), st.sampled_from([1, 1, 1, 3])), max_size=50)
    ):
        moment += gap
        lines += [Line(moment, delay, f"{run} {text}", run, skew)] * times
    return lines


def shown(lines: Iterable[LogLine], cloud: LineCloud) -> list[tuple[int, str]]:
    return [((line.time - cloud.begin) // MILLISECOND, line.text) for line in lines]


def check(got: list[LogLine], cloud: LineCloud, *runs: list[Line]) -> None:
    """Each line once, and the machine's clock never goes back within a run."""
    told = shown(got, cloud)
    for run in runs:
        expected = sorted((line.written + line.skew, line.text) for line in run)
        own = [each for each in told if run and each[1].startswith(run[0].run)]
        assert collections.Counter(own) == collections.Counter(expected)
        assert [moment for moment, _ in own] == [moment for moment, _ in expected]
    assert len(told) == sum(map(len, runs))


def end_of(*runs: list[Line]) -> float:
    """When the last line has come in."""
    return max((line.written + line.delay for run in runs for line in run), default=0) / 1_000.0


@pytest.mark.parametrize("by_receive_time", [True, False], ids=["by receive time", "by the machines' clocks"])
@given(first=written(), second=written("second"), asked_at=st.floats(0.0, 120.0))
@EXAMPLES
def test_who_follows_gets_each_line_once_and_in_order(
    by_receive_time: bool, first: list[Line], second: list[Line], asked_at: float
) -> None:
    clock = FakeClock()
    cloud = LineCloud(clock, is_by_receive_time=by_receive_time)
    cloud.put(*first, *second)
    reading = Reading(cloud, clock)
    reading.run(asked_at)
    got = reading.ask(follows=True)
    # What machines whose clocks are ahead wrote is found when the window comes to it.
    reading.run(end_of(first, second) + MOST_SKEW / 1_000.0 + 30.0)
    check(got, cloud, first, second)


@given(lines=written(), count=st.integers(1, 80), also=st.integers(0, 999))
@EXAMPLES
def test_the_last_lines_are_the_last_ones(lines: list[Line], count: int, also: int) -> None:
    clock = FakeClock()
    cloud = LineCloud(clock)
    cloud.put(*lines)
    reading = Reading(cloud, clock)
    # At a moment that may fall between two milliseconds, or on one.
    clock.advance(end_of(lines) + 20.0 + also / 1_000.0)
    got = reading.ask(tail=count)
    reading.run(30.0)
    expected = sorted((line.written + line.skew, line.text) for line in lines)[-count:]
    assert [moment for moment, _ in shown(got, cloud)] == [moment for moment, _ in expected]


@given(lines=written(), asked_at=st.floats(0.0, 60.0), count=st.integers(1, 20))
@EXAMPLES
def test_the_last_lines_and_what_follows_join_without_gap_or_repetition(
    lines: list[Line], asked_at: float, count: int
) -> None:
    clock = FakeClock()
    cloud = LineCloud(clock)
    cloud.put(*lines)
    reading = Reading(cloud, clock)
    reading.run(asked_at)
    received = sum(cloud.begin + (line.written + line.delay) * MILLISECOND <= clock.now() for line in lines)
    got = reading.ask(follows=True, tail=count)
    reading.run(end_of(lines) + 40.0)
    told = shown(got, cloud)
    everything = [(line.written + line.skew, line.text) for line in lines]
    assert [moment for moment, _ in told] == sorted(moment for moment, _ in told)
    assert len(told) >= min(count, received)
    # From the first one that is shown on, nothing is missing and nothing is there twice.
    begin = told[0][0] if told else -MOST_SKEW
    after = [each for each in everything if each[0] > begin]
    assert collections.Counter(each for each in told if each[0] > begin) == collections.Counter(after)
    assert not collections.Counter(told) - collections.Counter(everything)


@given(lines=written(), asked_at=st.floats(0.0, 60.0))
@EXAMPLES
def test_who_wants_none_of_the_past_gets_all_that_comes_in_later(lines: list[Line], asked_at: float) -> None:
    clock = FakeClock()
    cloud = LineCloud(clock)
    cloud.put(*lines)
    reading = Reading(cloud, clock)
    reading.run(asked_at)
    clock.advance(0.000_5)  # not in the very moment in which a line comes in
    asked = clock.now()
    got = reading.ask(follows=True, tail=0)
    reading.run(end_of(lines) + 40.0)
    later = [line for line in lines if cloud.begin + (line.written + line.delay) * MILLISECOND > asked]
    told = shown(got, cloud)
    assert collections.Counter(told) == collections.Counter((line.written + line.skew, line.text) for line in later)
    assert [moment for moment, _ in told] == sorted(moment for moment, _ in told)


def test_a_line_on_the_border_of_two_windows_is_shown_once() -> None:
    clock = FakeClock()
    cloud = LineCloud(clock)
    # A line each millisecond; the first window that is searched begins in the middle of them.
    lines = [Line(number, 1_000, f"first {number}") for number in range(120)]
    cloud.put(*lines)
    clock.advance(FIRST_WIDTH.total_seconds() + 1.06)
    reading = Reading(cloud, clock)
    got = reading.ask(tail=80)
    reading.run(30.0)
    assert shown(got, cloud) == [(line.written, line.text) for line in lines[-80:]]
    assert cloud.queries < 5


def test_one_late_line_among_many_even_ones_is_in_its_place() -> None:
    clock = FakeClock()
    cloud = LineCloud(clock)
    lines = [Line(number * 100, MOST_DELAY if number == 400 else 1_000, f"first {number}") for number in range(500)]
    cloud.put(*lines)
    reading = Reading(cloud, clock)
    got = reading.ask(follows=True)
    reading.run(end_of(lines) + 30.0)
    check(got, cloud, lines)
