"""What goes on failing is told when it begins, changes, lasts and ends, and not at each failure."""

from __future__ import annotations

import logging

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.runtime.trouble import MOST_KINDS, Trouble

LOGGER = logging.getLogger("virtual_kubelet_salad.test")


@pytest.fixture
def trouble(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> Trouble:
    caplog.set_level(logging.DEBUG, LOGGER.name)
    return Trouble(fake_clock, LOGGER, "things not read")


def test_an_hour_of_failures_is_a_dozen_lines(
    trouble: Trouble, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(720):
        trouble.failed("no answer")
        fake_clock.advance(5.0)
    assert len(caplog.records) == 12
    assert caplog.messages[0] == "things not read reason=no answer"
    assert caplog.messages[1] == "things not read, still reason=no answer times=61 seconds=300"
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_another_kind_of_failure_is_told_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    for reason in ("no answer", "503", "no answer", "503"):
        trouble.failed(reason)
    assert [message.partition("reason=")[2] for message in caplog.messages] == ["no answer", "503 times=2 seconds=0"]


def test_a_text_that_is_always_another_one_does_not_fill_the_log(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        trouble.failed(f"request {number} failed")
    assert len(caplog.records) == MOST_KINDS


def test_the_end_is_told_once_and_the_next_failure_is_news(
    trouble: Trouble, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    trouble.over()
    assert caplog.messages == []
    for _ in range(3):
        trouble.failed("no answer")
        fake_clock.advance(10.0)
    trouble.over()
    trouble.over()
    trouble.failed("no answer")
    assert caplog.messages[1:] == [
        "over: things not read times=3 seconds=30",
        "things not read reason=no answer",
    ]
    assert caplog.records[1].levelname == "INFO"
