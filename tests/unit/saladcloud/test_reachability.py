"""Whether SaladCloud answers, since when, and who hears of its return."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, Unauthorized, UnknownPlace
from virtual_kubelet_salad.saladcloud.reachability import Watch


def test_the_return_is_told_once(fake_clock: FakeClock) -> None:
    watch, told = Watch(fake_clock), []
    watch.on_recovery = lambda: told.append(fake_clock.monotonic())
    watch.succeeded()
    assert told == []
    watch.failed(CouldNotAsk("down"))
    watch.failed(CouldNotAsk("still down"))
    fake_clock.advance(30)
    watch.succeeded()
    watch.succeeded()
    assert told == [fake_clock.monotonic()]


def test_the_time_is_that_of_the_change(fake_clock: FakeClock) -> None:
    watch = Watch(fake_clock)
    fake_clock.advance(5)
    watch.failed(CouldNotAsk("down"))
    since = fake_clock.monotonic()
    fake_clock.advance(5)
    watch.failed(CouldNotAsk("down"))
    assert (watch.now().is_reachable, watch.now().since) == (False, since)


def test_a_request_that_was_not_sent_says_nothing(fake_clock: FakeClock) -> None:
    watch = Watch(fake_clock)
    watch.failed(NoBudget("used up", retry_after=1.0))
    assert watch.now().is_reachable


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CouldNotAsk("down"), "SaladCloudUnreachable"),
        (Unauthorized("refused"), "ApiKeyRefused"),
        (UnknownPlace("never heard of"), "ProjectNotFound"),
    ],
)
def test_the_reason_tells_an_outage_from_a_mistake(fake_clock: FakeClock, error: CouldNotAsk, reason: str) -> None:
    watch = Watch(fake_clock)
    watch.failed(error)
    assert (watch.now().reason, watch.now().message) == (reason, str(error))
