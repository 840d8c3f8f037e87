"""The end of a waiting pod's message: since when, and what is next."""

from __future__ import annotations

import datetime

import pytest

from virtual_kubelet_salad.kubelet import prospect

SINCE = datetime.datetime(2026, 3, 1, 10, 0, 0, 999_999, tzinfo=datetime.UTC)


def test_a_stage_says_since_when_it_goes_on() -> None:
    assert prospect.of_stage("It downloads: 42 %", SINCE) == "It downloads: 42 % (since 2026-03-01T10:00:00Z)"


def test_a_wait_says_since_when_and_what_is_next() -> None:
    said = prospect.of_wait("The quota is used up", SINCE, "next try at noon")
    assert said == "The quota is used up (waiting since 2026-03-01T10:00:00Z; next try at noon)"
    assert prospect.of_wait("It looks", SINCE) == "It looks (waiting since 2026-03-01T10:00:00Z)"


def test_no_text_has_no_prospect() -> None:
    assert prospect.of_stage("", SINCE) == prospect.of_wait("", SINCE, "next try at noon") == ""


@pytest.mark.parametrize("text", ["plain", "ends (in brackets)", "since (when)", "has (since x; y) inside", ""])
def test_what_was_added_can_be_taken_off(text: str) -> None:
    assert prospect.without(prospect.of_stage(text, SINCE)) == text
    assert prospect.without(prospect.of_wait(text, SINCE)) == text
    assert prospect.without(prospect.of_wait(text, SINCE, "next attempt at 2026-03-01T10:00:00Z at the latest")) == text
    assert prospect.without(text) == text


def test_a_long_text_is_cut_and_its_prospect_is_not() -> None:
    said = prospect.of_wait("x" * 5_000, SINCE, "next try at noon")
    assert len(said) == prospect.MESSAGE_LENGTH
    assert said.endswith("x (waiting since 2026-03-01T10:00:00Z; next try at noon)")
