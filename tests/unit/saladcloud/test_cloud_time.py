"""What time it is at SaladCloud is told by the dates of its answers, where our own clock is clearly wrong."""

from __future__ import annotations

import datetime

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.saladcloud.cloud_time import CloudTime


class Server:
    """Dates answers by a clock that differs from ours."""

    def __init__(self, clock: FakeClock, ahead_seconds: float) -> None:
        self._clock = clock
        self.ahead = datetime.timedelta(seconds=ahead_seconds)

    def date(self) -> datetime.datetime:
        return (self._clock.now() + self.ahead).replace(microsecond=0)


@pytest.fixture
def time(fake_clock: FakeClock) -> CloudTime:
    return CloudTime(fake_clock)


def _error(time: CloudTime, clock: FakeClock, server: Server) -> float:
    return abs((time.now() - (clock.now() + server.ahead)).total_seconds())


@pytest.mark.parametrize("ahead", [-7200.0, -300.0, -12.3, 12.3, 300.0, 7200.0])
def test_two_answers_that_agree_set_it_right(fake_clock: FakeClock, time: CloudTime, ahead: float) -> None:
    server = Server(fake_clock, ahead)
    time.heard(server.date(), 0.1)
    assert time.now() == fake_clock.now()
    fake_clock.advance(5.3)
    time.heard(server.date(), 0.1)
    assert _error(time, fake_clock, server) <= 1.0
    assert time.monotonic() == fake_clock.monotonic()


@pytest.mark.parametrize("ahead", [-2.0, -1.0, 0.0, 1.0, 2.0])
def test_a_small_difference_is_none(fake_clock: FakeClock, time: CloudTime, ahead: float) -> None:
    server = Server(fake_clock, ahead)
    for _ in range(20):
        time.heard(server.date(), 0.1)
        assert time.now() == fake_clock.now()
        fake_clock.advance(0.37)


def test_a_page_with_an_old_date_moves_nothing(fake_clock: FakeClock, time: CloudTime) -> None:
    old = fake_clock.now() - datetime.timedelta(hours=1)
    for _ in range(10):
        time.heard(old, 0.1)
        fake_clock.advance(5.0)
    assert time.now() == fake_clock.now()


def test_answers_without_a_date_and_slow_ones_tell_nothing(fake_clock: FakeClock, time: CloudTime) -> None:
    server = Server(fake_clock, 600.0)
    for _ in range(3):
        time.heard(None, 0.1)
        time.heard(server.date(), 25.0)
    assert time.now() == fake_clock.now()


def test_a_clock_that_is_set_right_is_believed_again(fake_clock: FakeClock, time: CloudTime) -> None:
    server = Server(fake_clock, 300.0)
    for _ in range(2):
        time.heard(server.date(), 0.1)
    assert _error(time, fake_clock, server) <= 1.0
    server.ahead = datetime.timedelta(0)
    for _ in range(2):
        time.heard(server.date(), 0.1)
    assert time.now() == fake_clock.now()
