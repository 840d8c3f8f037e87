"""What is left of a text that repeats a secret."""

from __future__ import annotations

import html
import json

import pytest

from virtual_kubelet_salad.saladcloud.secret_texts import LONGEST_TEXT_IN_CHARS, without, without_in

SECRET = 'a "long" <secret>\\ with\ttabs and ümläute'


@pytest.mark.parametrize(
    "written", [SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), html.escape(SECRET)]
)
def test_a_secret_goes_however_it_is_escaped(written: str) -> None:
    assert without(f"say {written}, twice: {written}!", [SECRET]).replace('"', "") == "say …, twice: …!"


def test_a_part_of_a_secret_goes_when_it_is_no_accident() -> None:
    assert without("begins with 0123456789abcdef...", ["0123456789abcdefghijkl"]) == "begins with …..."
    assert without("contains 456789ab", ["0123456789abcdefghijkl"]) == "contains 456789ab"


def test_of_secrets_that_overlap_nothing_stays() -> None:
    assert without("<abcdef>", ["abcd", "cdef"]) == "<…>"
    assert without("<aaaaa>", ["aaa"]) == "<…>"


def test_what_is_too_short_for_a_secret_stays() -> None:
    assert without("1 of 22 is on", ["1", "22", ""]) == "1 of 22 is on"


def test_the_end_of_a_text_that_was_cut_may_be_the_begin_of_a_secret() -> None:
    text = "x" * (LONGEST_TEXT_IN_CHARS - 5) + "secret-value"
    assert without(text, ["secret-value"]) == "x" * (LONGEST_TEXT_IN_CHARS - 12) + "…"


def test_a_json_value_is_searched_as_a_whole() -> None:
    value = {"a": ["key", {"key": 1, "b": "the key"}], "c": None, "d": True}
    assert without_in(value, ("key",)) == {"a": ["…", {"…": 1, "b": "the …"}], "c": None, "d": True}
